"""An application that has a weakness."""

from __future__ import annotations

import os

from fuzz.application import echo_route
from hostile import statistics
from triows import Triows, WebSocket, WebSocketRoute

weak_route = WebSocketRoute("weak")


@weak_route.endpoint
async def weak(ws: WebSocket) -> None:
    os._exit(1)


app = Triows(echo_route, weak_route, statistics.route)
