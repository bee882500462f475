"""triows with what it is for, typed parameters and a resource, for ``triows run``."""

from __future__ import annotations

from typing import Annotated

from triows import AsyncResource, Ignore, Triows, WebSocket, WebSocketRoute, use

echo_route = WebSocketRoute("echo/{room}")


async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws
    await ws.close()


@echo_route.endpoint
async def echo(ws: Annotated[WebSocket, use(accepted, reuse=False)], room: str, limit: int) -> None:
    assert room == "lobby"
    async for message in ws:
        assert len(message) <= limit
        await ws.send(message)


app = Triows(echo_route)
