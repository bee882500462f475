"""
Prints the task switches of a story under some schedules, for a test that compares processes.

The story has an application, several clients, sends, timeouts, a connection that vanishes, and a
shutdown.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated

import trio
from trio.testing import MockClock

from _triows_schedules.schedule import Schedule
from _triows_schedules.trace import Trace
from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute, use
from triows.testing import open_app

room: list[WebSocket] = []
route = WebSocketRoute("room/{name}")


async def membership(ws: WebSocket):
    await ws.accept()
    room.append(ws)
    try:
        yield
    finally:
        room.remove(ws)
        await trio.sleep(0.1)


async def tick(ws: WebSocket) -> None:
    while True:
        await trio.sleep(1)
        await ws.send("tick")


@route.endpoint
async def chat(
    ws: WebSocket, name: str, nursery: trio.Nursery, _member: Annotated[None, use(membership)]
) -> None:
    nursery.start_soon(tick, ws)
    async for message in ws:
        for other in room:
            await other.send(f"{name}: {message}")


async def visit(client, number: int) -> None:
    with suppress(WebSocketDisconnect):
        await talk(client, number)


async def talk(client, number: int) -> None:
    path = "mounted" if number % 2 else "room"
    async with client.websocket_connect(f"/{path}/{number}") as ws:
        for i in range(3):
            await ws.send(f"message {i}")
            with trio.move_on_after(number):
                await ws.receive()
            await trio.sleep(0.5)
        if number == 2:
            ws.vanish()


async def mounted(scope, receive, send) -> None:
    """An application of another framework, which repeats what it hears."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


async def story() -> None:
    app = Triows(route)
    app.mount("mounted", mounted)
    async with open_app(app) as client:
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(visit, client, number)
        async with trio.open_nursery() as nursery:
            for number in range(4, 8):
                nursery.start_soon(visit, client, number)
            # Until Python 3.11, a comprehension is a function of its own.
            _ = [await trio.sleep(0.35) for _ in range(2)]
            await client.shutdown()
        with suppress(ConnectionRefusedError):
            await talk(client, 8)


def switches(seed: int) -> list[str]:
    traces: list[Trace] = []

    def record() -> None:
        traces.append(Trace(schedule))
        trio.lowlevel.add_instrument(traces[-1])

    schedule = Schedule(seed, on_loop=record)
    with schedule.installed():
        trio.run(story, clock=MockClock(autojump_threshold=0))
    return [str(switch) for trace in traces for switch in trace.switches]


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:]):
        print(f"the schedule {seed}")
        print(*switches(seed), sep="\n")
