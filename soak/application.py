"""The applications that are served: one that loses its patience soon, and one that doesn't."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import trio
from attrs import define

from hostile import statistics
from hostile.settings import compression, limits
from triows import AsyncResource, Timeouts, Triows, WebSocket, WebSocketRoute, use

logger = logging.getLogger("soak")

BLOCK = bytes(2**16)

#: Seconds for what is measured below: that a send can be cancelled.
PATIENCE = 1


@define
class Tally:
    """What has happened in this process."""

    entered: int = 0
    exited: int = 0
    #: Sends to peers that don't read, that were given up.
    cancelled: int = 0
    #: Seconds that the slowest of them took.
    slowest: float = 0.0


tally = Tally()


async def counted() -> AsyncResource[None]:
    """Be a resource whose exit takes a moment."""
    tally.entered += 1
    try:
        yield
    finally:
        await trio.sleep(0.01)
        tally.exited += 1


Counted = Annotated[None, use(counted)]

echo_route = WebSocketRoute("echo")


@echo_route.endpoint
async def echo(ws: WebSocket, resource: Counted) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


tick_route = WebSocketRoute("tick")


@tick_route.endpoint
async def tick(ws: WebSocket, resource: Counted) -> None:
    """Be busy sending."""
    await ws.accept()
    while True:
        await ws.send("tick")
        await trio.sleep(0.2)


work_route = WebSocketRoute("work")


@work_route.endpoint
async def work(ws: WebSocket, resource: Counted) -> None:
    """Be busy with something else."""
    await ws.accept()
    await trio.sleep_forever()


flood_route = WebSocketRoute("flood")


@flood_route.endpoint
async def flood(ws: WebSocket, resource: Counted) -> None:
    """Send until the peer takes no more; give up that send; go on all the same."""
    await ws.accept()
    given_up = False
    while not given_up:
        begun = trio.current_time()
        with trio.move_on_after(PATIENCE) as scope:
            await ws.send(BLOCK)
        given_up = scope.cancelled_caught
    tally.cancelled += 1
    tally.slowest = max(tally.slowest, trio.current_time() - begun)
    while True:
        await ws.send(BLOCK)


tally_route = WebSocketRoute("tally")


@tally_route.endpoint
async def tell(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_json({"cancelled": tally.cancelled, "slowest": tally.slowest})


@asynccontextmanager
async def lifespan(app: Triows) -> AsyncIterator[None]:
    yield
    logger.info("resources: %d entered, %d exited", tally.entered, tally.exited)


ROUTES = (echo_route, tick_route, work_route, flood_route, tally_route, statistics.route)

app = Triows(
    *ROUTES,
    lifespan=lifespan,
    limits=limits(outbox=2**16, fragments=1000),
    timeouts=Timeouts(send=2, close=1, teardown=1),
    **compression(),
)

patient = Triows(
    *ROUTES,
    lifespan=lifespan,
    limits=limits(outbox=2**16),
    timeouts=Timeouts(
        send=120, ping_interval=120, close=2, disconnect_grace=1, teardown=2, shutdown_grace=3
    ),
)
