"""The applications that are served: one with short timeouts, and one with long ones."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import trio
from attrs import asdict, define
from starlette.responses import FileResponse, StreamingResponse

from trials import statistics
from triows import (
    AsyncResource,
    Compression,
    Limits,
    Route,
    Timeouts,
    Triows,
    Upload,
    WebSocket,
    WebSocketRoute,
    use,
)

logger = logging.getLogger("soak")

BLOCK = bytes(2**16)

#: After how many seconds a send is cancelled, to measure how long that takes.
PATIENCE = 1


@define
class Tally:
    """Counts what has happened in this process."""

    entered: int = 0
    exited: int = 0
    #: How many sends were given up, because the peer didn't read.
    cancelled: int = 0
    #: How many seconds the slowest of them took.
    slowest: float = 0.0


tally = Tally()


async def counted() -> AsyncResource[None]:
    """A resource whose exit takes a moment."""
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
    """Send all the time."""
    await ws.accept()
    while True:
        await ws.send("tick")
        await trio.sleep(0.2)


work_route = WebSocketRoute("work")


@work_route.endpoint
async def work(ws: WebSocket, resource: Counted) -> None:
    """Do something else all the time."""
    await ws.accept()
    await trio.sleep_forever()


flood_route = WebSocketRoute("flood")


@flood_route.endpoint
async def flood(ws: WebSocket, resource: Counted) -> None:
    """Send until the peer takes no more. Give up that send, and go on."""
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
    await ws.send_json(asdict(tally))


body_route = Route("body", limits=Limits(body=2**31))


@body_route.put
async def take_parts(parts: AsyncIterator[bytes], resource: Counted) -> int:
    return sum([len(part) async for part in parts])


@body_route.post
async def take_upload(upload: Upload, resource: Counted) -> int:
    size = 0
    async for part in upload:
        async for chunk in part:
            size += len(chunk)
    return size


async def blocks(size: int) -> AsyncIterator[bytes]:
    for done in range(0, size, len(BLOCK)):
        yield BLOCK[: size - done]


@(body_route / "stream").get
async def send_parts(size: int, resource: Counted) -> AsyncIterator[bytes]:
    async for block in blocks(size):
        yield block


@(body_route / "response").get
async def send_response(size: int, resource: Counted) -> StreamingResponse:
    return StreamingResponse(blocks(size))


folder = tempfile.TemporaryDirectory()


@(body_route / "file").get
def send_file(size: int, resource: Counted) -> FileResponse:
    """Send a file that takes no room on the disk."""
    path = Path(folder.name, str(size))
    with path.open("ab") as file:
        file.truncate(size)
    return FileResponse(path)


@asynccontextmanager
async def lifespan(app: Triows) -> AsyncIterator[None]:
    yield
    logger.info("resources: %d entered, %d exited", tally.entered, tally.exited)


ROUTES = (
    echo_route,
    tick_route,
    work_route,
    flood_route,
    tally_route,
    body_route,
    statistics.route,
)

app = Triows(
    *ROUTES,
    lifespan=lifespan,
    limits=Limits(outbox=2**16, fragments=1000),
    timeouts=Timeouts(send=2, close=1, teardown=1),
    compression=Compression(),
)

patient = Triows(
    *ROUTES,
    lifespan=lifespan,
    limits=Limits(outbox=2**16),
    timeouts=Timeouts(
        send=120, ping_interval=120, close=2, disconnect_grace=1, teardown=2, shutdown_grace=3
    ),
)
