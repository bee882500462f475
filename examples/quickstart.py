"""
A route, a resource that accepts and closes the connection, and a handler.

    triows run examples.quickstart:app

Connect to ``ws://127.0.0.1:8000/web_socket/session123?max_users=5`` to get one message.
"""

from __future__ import annotations

from typing import Annotated

from triows import AsyncResource, Ignore, Triows, WebSocket, WebSocketRoute, use

ws_route = WebSocketRoute("web_socket/{session_id}")


async def ws_factory(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws
    await ws.close()


@ws_route.ws_handler
async def ws_handler(
    ws: Annotated[WebSocket, use(ws_factory, reuse=False)],
    session_id: str,
    max_users: int,
):
    assert session_id == "session123" and max_users == 5  # noqa: PT018
    await ws.send_text("Hello, world!")


app = Triows()
app.include_routes(ws_route)
