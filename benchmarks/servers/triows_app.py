"""triows: handlers without parameters or resources, and a mounted application."""

from __future__ import annotations

from triows import Triows, WebSocket, WebSocketRoute

from . import bare_http

echo_route = WebSocketRoute("echo")
fan_out_route = WebSocketRoute("fanout")
members: set[WebSocket] = set()


@echo_route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


@fan_out_route.endpoint
async def fan_out(ws: WebSocket) -> None:
    await ws.accept()
    members.add(ws)
    try:
        async for message in ws:
            for member in list(members):
                await member.send(message)
    finally:
        members.discard(ws)


app = Triows(echo_route, fan_out_route)
app.mount("/", bare_http.app)
