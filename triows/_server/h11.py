"""HTTP/1.1 as Hypercorn speaks it, up to the request that asks for a WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from hypercorn.events import Closed
from hypercorn.protocol.h11 import H11Protocol

from triows._protocol.upgrade import asks_for_websocket

if TYPE_CHECKING:
    import h11

__all__ = ["HTTP11", "RefusedRequest", "WebSocketRequest"]


class WebSocketRequest(Exception):
    """
    Raised through the HTTP code when a request asks for a WebSocket: the connection is ours.

    Args:
        request: The request.
        early: What came behind it.
    """

    def __init__(self, request: h11.Request, early: bytes) -> None:
        self.request = request
        self.early = early
        super().__init__("a request asks for a WebSocket")


class HTTP11(H11Protocol):
    """
    Hypercorn's HTTP/1.1, with its two doors to other protocols changed.

    WebSockets are ours: :exc:`WebSocketRequest` is raised. HTTP/2 is not served: where a
    client asks to switch to it, it is answered in HTTP/1.1; where it takes it for granted,
    it is refused.
    """

    async def _check_protocol(self, event: h11.Request) -> None:
        names = {name for name, _ in event.headers}
        if event.http_version not in {b"1.0", b"1.1"}:
            await self._refuse(505)
        elif {b"content-length", b"transfer-encoding"} <= names:
            # They would say different things about where the request ends, which is how
            # requests are smuggled (RFC 9112 section 6.1).
            await self._refuse(400)
        elif not all(value.isascii() for name, value in event.headers if name == b"host"):
            await self._refuse(400)
        elif event.method != event.method.upper():
            # Methods are case-sensitive, and unknown ones not implemented (RFC 9110 section
            # 9.1). Hypercorn would answer "head" as HEAD: without the body it announces.
            await self._refuse(501)

    #: Whether an error response is under way.
    refusing = False
    #: Seconds that it may take.
    patience = 0.0

    async def _send_error_response(self, status_code: int) -> None:
        # An application may answer the request, and so end the connection, at the same time.
        self.refusing = True
        with trio.move_on_after(self.patience, shield=True):
            await super()._send_error_response(status_code)
        self.refusing = False

    async def _refuse(self, status: int) -> None:
        await self._send_error_response(status)
        await self.send(Closed())
        raise RefusedRequest

    async def _create_stream(self, request: h11.Request) -> None:
        if asks_for_websocket(list(request.headers)):
            raise WebSocketRequest(request, self.connection.trailing_data[0])
        await super()._create_stream(request)
        if self.stream is not None and getattr(self.stream, "app_put", None) is None:
            # Answered by Hypercorn, without an application: not one of its server_names.
            self.stream = None
            await self.send(Closed())
            raise RefusedRequest


class RefusedRequest(Exception):
    """Raised through the HTTP code when a request has been refused: nothing more is read."""
