"""lihil, for uvicorn."""

# No `from __future__ import annotations`: lihil does not evaluate annotations that are text.

from lihil import Lihil, Route, Text, WebSocket, WebSocketRoute

echo_route = WebSocketRoute("echo")
fan_out_route = WebSocketRoute("fanout")
small_route = Route("small")
members: set[WebSocket] = set()


@echo_route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws.iter_text():
        await ws.send_text(message)


@small_route.get
async def small() -> Text:
    return "Hello, world!"


@fan_out_route.endpoint
async def fan_out(ws: WebSocket) -> None:
    await ws.accept()
    members.add(ws)
    try:
        async for message in ws.iter_text():
            for member in list(members):
                await member.send_text(message)
    finally:
        members.discard(ws)


app = Lihil()
app.include_routes(echo_route, fan_out_route, small_route)
