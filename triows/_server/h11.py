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
    Raised through the HTTP code when a request asks for a WebSocket: the connection is then ours.

    Args:
        request: The request.
        early: The bytes that came after it.
    """

    def __init__(self, request: h11.Request, early: bytes) -> None:
        self.request = request
        self.early = early
        super().__init__("a request asks for a WebSocket")


class HTTP11(H11Protocol):
    """
    Hypercorn's HTTP/1.1, except for the two ways to other protocols.

    For a WebSocket, :exc:`WebSocketRequest` is raised. HTTP/2 is not served: a client that asks to
    switch to it is answered in HTTP/1.1, and a client that assumes it is refused.
    """

    async def _check_protocol(self, event: h11.Request) -> None:
        names = {name for name, _ in event.headers}
        if event.http_version not in {b"1.0", b"1.1"}:
            await self._refuse(505)
        elif {b"content-length", b"transfer-encoding"} <= names:
            # The two would disagree about where the request ends. Requests are smuggled like that
            # (RFC 9112 section 6.1).
            await self._refuse(400)
        elif not all(value.isascii() for name, value in event.headers if name == b"host"):
            await self._refuse(400)
        elif event.method != event.method.upper():
            # Methods are case-sensitive, and unknown ones aren't implemented (RFC 9110 section
            # 9.1). Hypercorn would answer "head" like HEAD: without the body that it announces.
            await self._refuse(501)

    #: Whether an error response is being sent.
    refusing = False
    #: How many seconds that may take.
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
            # Hypercorn answers it itself, because it isn't for one of its server_names.
            self.stream = None
            await self.send(Closed())
            raise RefusedRequest


class RefusedRequest(Exception):
    """Raised through the HTTP code when a request was refused. Nothing more is read."""
