"""The application that is attacked. Its handlers read, don't read, write, and leave early."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import trio
import trio.lowlevel
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tests.server.applications.typed import routes as typed_routes
from trials import statistics
from triows import Compression, Limits, Param, Timeouts, Triows, WebSocket, WebSocketRoute

STATIC = Path(__file__).parent.parent.parent / "examples" / "static"

echo_route = WebSocketRoute("echo")


@echo_route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


slow_route = WebSocketRoute("slow")


@slow_route.endpoint
async def slow(ws: WebSocket) -> None:
    """Let early data, and what follows it, wait for a moment."""
    await trio.sleep(0.02)
    await ws.accept()
    await trio.sleep(0.05)
    async for _ in ws:
        pass


brief_route = WebSocketRoute("brief")


@brief_route.endpoint
async def brief(ws: WebSocket) -> None:
    await ws.accept()
    await ws.receive()


deaf_route = WebSocketRoute("deaf")


@deaf_route.endpoint
async def deaf(ws: WebSocket) -> None:
    """Send, and never receive."""
    await ws.accept()
    for _ in range(1000):
        await ws.send(b"x" * 1000)
    await trio.sleep_forever()


refused_route = WebSocketRoute("refused")


@refused_route.endpoint
async def refused(ws: WebSocket) -> None:
    """Refuse, and go on for a while after that."""
    await ws.close()
    await trio.sleep(0.05)


typed_route = WebSocketRoute("rooms/{room}")


@typed_route.endpoint
async def typed(
    ws: WebSocket,
    room: int,
    times: int = 1,
    tags: list[str] = [],  # noqa: B006 - nobody changes it
    token: Annotated[str, Param("header", alias="x-token")] = "",
) -> None:
    offered = ws.scope["subprotocols"]
    await ws.accept(offered[0] if offered else None)
    await ws.send_json({"room": room, "times": times, "tags": tags, "token": token})


async def count(request: Request) -> PlainTextResponse:
    """Read a body, and keep nothing of it."""
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
    except ClientDisconnect:
        pass
    return PlainTextResponse(str(size))


async def stream(request: Request) -> StreamingResponse:
    async def chunks():
        for _ in range(10):
            yield b"x" * 100
            await trio.lowlevel.checkpoint()

    return StreamingResponse(chunks())


http = Starlette(
    routes=[
        Route("/count", count, methods=["GET", "POST", "PUT"]),
        Route("/stream", stream),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
)

app = Triows(
    echo_route,
    slow_route,
    brief_route,
    deaf_route,
    refused_route,
    typed_route,
    *typed_routes,
    statistics.route,
    limits=Limits(message_size=2**16, fragments=100),
    # These are short, so that soon nothing of an attempt is left.
    timeouts=Timeouts(
        accept=2, ping_interval=2, ping_timeout=2, send=2, receive=2, close=1, teardown=1
    ),
    compression=Compression(),
)
app.mount("/http", http)
