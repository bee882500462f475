"""An ASGI application without a framework, for ``hypercorn -k trio``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from . import bare_http

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

members: set[Send] = set()


async def echo(receive: Receive, send: Send) -> None:
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


async def fan_out(receive: Receive, send: Send) -> None:
    members.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            for member in list(members):
                await member({"type": "websocket.send", "text": event["text"]})
    finally:
        members.discard(send)


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        await bare_http.app(scope, receive, send)
    else:
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        await (echo if scope["path"] == "/echo" else fan_out)(receive, send)
