"""
Sensors: readings go out while commands come in, in two tasks of one connection.

    triows run examples.sensors:app

Then connect to ``ws://127.0.0.1:8000/sensors/boiler`` and send ``{"type": "every",
"seconds": 0.2}`` or ``{"type": "pause"}``. The handler receives commands. A task in the
connection's nursery sends the readings, so it ends with the connection, and if it crashed, the
connection would end. A command that is neither type closes the connection with 1007.
"""

from __future__ import annotations

import random
from typing import Annotated

import msgspec
import trio

from triows import Triows, WebSocket, WebSocketRoute


class Every(msgspec.Struct, tag="every"):
    """Send a reading now, and then at this interval."""

    seconds: Annotated[float, msgspec.Meta(ge=0.01, le=3600)]


class Pause(msgspec.Struct, tag="pause"):
    """Send nothing until the next ``every``."""


class Reading(msgspec.Struct, tag="reading"):
    sensor: str
    celsius: float


async def push(
    ws: WebSocket,
    sensor: str,
    seconds: float,
    task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.CancelScope() as pushing:
        task_status.started(pushing)
        while True:
            await ws.send_json(Reading(sensor, round(random.gauss(20, 2), 1)))
            await trio.sleep(seconds)


sensors = WebSocketRoute("sensors/{sensor}")


@sensors.endpoint
async def control(ws: WebSocket, nursery: trio.Nursery, sensor: str) -> None:
    await ws.accept()
    pushing = await nursery.start(push, ws, sensor, 1.0)
    command: Every | Pause
    async for command in ws.iter_json(Every | Pause):
        # This is safe at any point, because a message is sent as a whole or not at all.
        pushing.cancel()
        match command:
            case Every(seconds):
                pushing = await nursery.start(push, ws, sensor, seconds)
            case Pause():
                pass


app = Triows(sensors)
