"""A request of our own server, shown to ASGI middleware and mounted applications as events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import trio

from triows._where import known_as
from triows.exceptions import ClientDisconnect

from .transport import RequestTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from triows.types import Message, Receive, Send

__all__ = ["EngineRequest", "RequestBridge", "bridge_of"]


class EngineRequest(RequestTransport, Protocol):
    """A request of our own server. Only one task may receive, and one may send, at a time."""

    @property
    def has_more(self) -> bool:
        """Whether more of the request's body will come, as far as that is known."""

    async def receive(self) -> bytes:
        """
        Wait for a part of the request's body. It is empty only if there is no more.

        A part that is there is returned even if the caller is cancelled.

        Raises:
            ClientDisconnect: The client has gone, or has broken a rule. The rest won't come.
        """

    async def wait_over(self) -> None:
        """Wait until the client has left, or has got the whole response."""

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]], *, trailers: bool) -> None:
        """
        Begin the response. It is sent together with the first part of its body.

        Raises:
            ValueError: This can't be sent.
            ClientDisconnect: The client has gone.
        """

    async def send(self, body: bytes, *, more: bool) -> None:
        """
        Send a part of the response's body, and wait while the client is slow.

        If this is cancelled before a byte is handed over, nothing is sent. After that, the
        connection is cut, so that the client sees that something is missing.

        Raises:
            ClientDisconnect: The client has gone.
            ValueError: It is more or less than the response has announced.
        """

    async def send_file(self, path: str) -> None:
        """
        Send a file as the body of the response, and as its end. See :meth:`send`.

        Raises:
            OSError: The file can't be read.
        """

    async def send_trailers(self, headers: Iterable[tuple[bytes, bytes]], *, more: bool) -> None:
        """Send trailers, if the client wants them. See :meth:`send`."""


class RequestBridge:
    """
    ASGI's two functions on a request of our own server.

    Args:
        transport: The request.
    """

    __slots__ = ("_is_end_told", "_is_read", "transport")

    def __init__(self, transport: EngineRequest) -> None:
        self.transport = transport
        # Whether the last part of the body was handed over, and the end after it.
        self._is_read = self._is_end_told = False

    @known_as("receive")
    async def receive(self) -> Message:
        """
        Wait for the next event.

        If an event is already there, this returns it once even in a cancelled scope. ASGI
        applications use that to find out whether the client has gone.
        """
        transport = self.transport
        if not self._is_read:
            try:
                body = await transport.receive()
            except ClientDisconnect:
                self._is_read = True
            else:
                self._is_read = not transport.has_more
                return {"type": "http.request", "body": body, "more_body": transport.has_more}
        await transport.wait_over()
        if self._is_end_told:
            await trio.lowlevel.checkpoint()
        else:
            self._is_end_told = True
            await trio.lowlevel.cancel_shielded_checkpoint()
        return {"type": "http.disconnect"}

    @known_as("send")
    async def send(self, event: Message) -> None:
        """Send a part of the response."""
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            await _SENDERS[event["type"]](self.transport, event)
        except KeyError as exc:
            await trio.lowlevel.cancel_shielded_checkpoint()
            if event.get("type") in _SENDERS:
                raise
            raise RuntimeError(
                f"{event.get('type')!r} isn't an event for an HTTP response"
            ) from exc
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise


async def _start(transport: EngineRequest, event: Message) -> None:
    transport.start(
        event["status"], event.get("headers") or (), trailers=event.get("trailers", False)
    )


async def _send_body(transport: EngineRequest, event: Message) -> None:
    await transport.send(event.get("body") or b"", more=event.get("more_body", False))


async def _send_file(transport: EngineRequest, event: Message) -> None:
    await transport.send_file(event["path"])


async def _send_trailers(transport: EngineRequest, event: Message) -> None:
    headers = event.get("headers") or ()
    await transport.send_trailers(headers, more=event.get("more_trailers", False))


_SENDERS: dict[str, Callable[[EngineRequest, Message], Awaitable[Any]]] = {
    "http.response.start": _start,
    "http.response.body": _send_body,
    "http.response.pathsend": _send_file,
    "http.response.trailers": _send_trailers,
}


def bridge_of(receive: Receive, send: Send) -> RequestBridge | None:
    """
    Return the bridge whose two functions these are.

    Middleware that only looks at the scope passes them on as it got them. If it has wrapped one of
    them, there is none.
    """
    owner = getattr(receive, "__self__", None)
    if isinstance(owner, RequestBridge) and getattr(send, "__self__", None) is owner:
        return owner
    return None
