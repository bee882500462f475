"""An application that tells who its clients are."""

from __future__ import annotations

from typing import Any

from triows import Request, Route, Triows, WebSocket, WebSocketRoute

__all__ = ["app"]


def facts(connection: Any) -> dict[str, Any]:
    """What a handler sees."""
    return {
        "client": connection.client and connection.client.host,
        "url": str(connection.url),
        "headers": dict(connection.headers),
    }


plain = Route("plain")
socket = WebSocketRoute("socket")


@plain.get
async def tell(request: Request) -> dict[str, Any]:
    return facts(request)


@socket.endpoint
async def tell_by_message(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_json(facts(ws))


app = Triows(plain, socket)
