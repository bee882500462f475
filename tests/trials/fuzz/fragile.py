"""An application that has two weaknesses."""

from __future__ import annotations

import os

import trio

from trials import statistics
from trials.fuzz.application import echo_route
from triows import Triows, WebSocket, WebSocketRoute

weak_route = WebSocketRoute("weak")


@weak_route.endpoint
async def weak(ws: WebSocket) -> None:
    os._exit(1)


leaky_route = WebSocketRoute("leaky")


@leaky_route.endpoint
async def leaky(ws: WebSocket) -> None:
    await ws.accept()
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


app = Triows(echo_route, weak_route, leaky_route, statistics.route)
