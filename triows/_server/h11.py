"""HTTP/1.1 as Hypercorn speaks it, up to the request that asks for a WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen
from hypercorn.events import Closed, RawData
from hypercorn.protocol.h11 import H11Protocol

from triows._protocol.upgrade import asks_for_websocket

if TYPE_CHECKING:
    import h11

__all__ = ["HTTP11", "WebSocketRequest"]


@frozen(eq=False)
class WebSocketRequest:
    """A request that asks for a WebSocket."""

    request: h11.Request
    #: The bytes that came after it.
    early: bytes


class _Stop(Exception):
    """
    Leaves Hypercorn's loop over the events that it finds in some bytes. Nothing else does.

    The loop would go on with what follows the request, and read it as HTTP.

    Args:
        wanted: The request that asks for a WebSocket, or ``None`` if a request was refused.
    """

    def __init__(self, wanted: WebSocketRequest | None = None) -> None:
        self.wanted = wanted
        super().__init__("nothing more is read as HTTP")


class HTTP11(H11Protocol):
    """
    Hypercorn's HTTP/1.1, except for the two ways to other protocols.

    A request that asks for a WebSocket is handed to the caller. HTTP/2 is not served: a client that
    asks to switch to it is answered in HTTP/1.1, and a client that assumes it is refused.

    Args:
        args: As in Hypercorn's class.
        patience: How many seconds the sending of an error response may take.
    """

    def __init__(self, *args: Any, patience: float) -> None:
        super().__init__(*args)
        #: Whether an error response is being sent.
        self.refusing = False
        self._patience = patience

    async def receive(self, data: bytes) -> WebSocketRequest | None:
        """
        Take bytes from the client, and serve the requests in them.

        Returns:
            The request that asks for a WebSocket, if there is one. The connection is then the
            caller's.
        """
        try:
            await self.handle(RawData(data))
        except _Stop as stop:
            return stop.wanted
        return None

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

    async def _send_error_response(self, status_code: int) -> None:
        # An application may answer the request, and so end the connection, at the same time.
        self.refusing = True
        with trio.move_on_after(self._patience, shield=True):
            await super()._send_error_response(status_code)
        self.refusing = False

    async def _refuse(self, status: int) -> None:
        await self._send_error_response(status)
        await self.send(Closed())
        raise _Stop

    async def _create_stream(self, request: h11.Request) -> None:
        if asks_for_websocket(list(request.headers)):
            raise _Stop(WebSocketRequest(request, self.connection.trailing_data[0]))
        await super()._create_stream(request)
        if self.stream is not None and getattr(self.stream, "app_put", None) is None:
            # Hypercorn answers it itself, because it isn't for one of its server_names.
            self.stream = None
            await self.send(Closed())
            raise _Stop
