"""What handlers of WebSocket routes may ask for, and the sentences about it."""

from __future__ import annotations

import trio

from triows._injection.kinds import APP, NAMES_OF_ALL, NURSERY, Given, RouteKind
from triows._where import where
from triows.websocket import WebSocket

__all__ = ["WEBSOCKET", "blind", "websocket_kind"]

WEBSOCKET = Given("WebSocket")

_AT_ACCEPT = (
    "a WebSocket has no response but the handshake's, whose headers the handler gives to "
    "`await ws.accept(headers=...)`"
)


def websocket_kind(application: type) -> RouteKind:
    """
    Make the kind of WebSocket routes.

    Args:
        application: The class of applications, which this module can't import.
    """
    return RouteKind(
        noun="connection",
        givens={WebSocket: WEBSOCKET, trio.Nursery: NURSERY, application: APP},
        names={
            **NAMES_OF_ALL,
            "ws": "WebSocket",
            "websocket": "WebSocket",
            "web_socket": "WebSocket",
            "socket": "WebSocket",
            "request": "WebSocket",
            "Request": "WebSocket",
            "HTTPConnection": "WebSocket",
        },
        remedies={"ResponseHeaders": _AT_ACCEPT},
        unmistakable=("ws", "websocket", "web_socket", "socket", "nursery"),
        no_body="a WebSocket handshake has no body",
    )


def blind(handler: object) -> str:
    """Say what to do about a handler that can't accept, because nothing gives it the WebSocket."""
    return (
        f"{where(handler)} can't accept a connection, because neither it nor its factories take "
        "the WebSocket: add a parameter `ws: WebSocket`, and call `await ws.accept()`. If it is "
        "there to refuse every connection, annotate it `-> NoReturn`"
    )
