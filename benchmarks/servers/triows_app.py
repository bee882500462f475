"""triows: handlers without parameters or resources, and a mounted application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows import Triows, WebSocket, WebSocketRoute
from triows._transports.fan_out import FanOut

if TYPE_CHECKING:
    from triows._transports.interface import Transport

from . import bare_http

echo_route = WebSocketRoute("echo")
fan_out_route = WebSocketRoute("fanout")
members: set[Transport] = set()
everyone = FanOut()


@echo_route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


@fan_out_route.endpoint
async def to_everyone(ws: WebSocket) -> None:
    # There is no public name for this yet.
    transport = ws._transport
    await ws.accept()
    members.add(transport)
    try:
        async for message in ws:
            for full in await everyone.send(members, message):
                await full.send(message)
    finally:
        members.discard(transport)


app = Triows(echo_route, fan_out_route)
app.mount("/", bare_http.app)
