"""A request to our own server, shown to ASGI middleware and mounted applications as events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import trio
from trio.lowlevel import checkpoint_if_cancelled

from triows._where import known_as
from triows.exceptions import ClientDisconnect

from .transport import EngineRequest

if TYPE_CHECKING:
    from triows.types import Message, Receive, Send

__all__ = ["RequestBridge", "request_of"]


class _Bridged(EngineRequest, Protocol):
    """The class that extends :class:`RequestBridge`."""

    _is_read: bool
    _is_end_told: bool

    async def _send_other(self, kind: str, event: Message) -> None: ...


class RequestBridge:
    """
    ASGI's two functions of a request to our own server.

    The class of the request extends this one, and is an
    :class:`~triows._request.transport.EngineRequest`. An object more for each request, and a call
    more for each event, would take a tenth of the time of a small response.
    """

    __slots__ = ("_is_end_told", "_is_read")

    # Whether the last part of the body was handed over, and the end after it. They begin as False.
    _is_read: bool
    _is_end_told: bool

    @known_as("receive")
    async def asgi_receive(self: _Bridged) -> Message:
        """
        Wait for the next event.

        If an event is already there, this returns it once even in a cancelled scope. ASGI
        applications use that to find out whether the client has gone.
        """
        if not self._is_read:
            try:
                body = await self.receive()
            except ClientDisconnect:
                self._is_read = True
            else:
                self._is_read = not self.has_more
                return {"type": "http.request", "body": body, "more_body": self.has_more}
        await self.wait_over()
        if self._is_end_told:
            await trio.lowlevel.checkpoint()
        else:
            self._is_end_told = True
            await trio.lowlevel.cancel_shielded_checkpoint()
        return {"type": "http.disconnect"}

    @known_as("send")
    async def asgi_send(self: _Bridged, event: Message) -> None:
        """Send a part of the response."""
        try:
            await checkpoint_if_cancelled()
            kind = event["type"]
            if kind == "http.response.body":
                body = event.get("body", b"")
                rest = self.send_nowait(body, more=event.get("more_body", False))
                if rest is not None:
                    await rest
            elif kind == "http.response.start":
                headers, trailers = event.get("headers", ()), event.get("trailers", False)
                self.start(event["status"], headers, trailers=trailers)
            else:
                await self._send_other(kind, event)
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise

    async def _send_other(self: _Bridged, kind: str, event: Message) -> None:
        """Send what few applications send."""
        if kind == "http.response.pathsend":
            await self.send_file(event["path"])
        elif kind == "http.response.trailers":
            headers = event.get("headers", ())
            await self.send_trailers(headers, more=event.get("more_trailers", False))
        else:
            raise ValueError(f"{kind!r} isn't an event of an HTTP response")


def request_of(receive: Receive, send: Send) -> EngineRequest | None:
    """
    Return the request to our own server whose two functions these are.

    Middleware that only looks at the scope passes them on as it got them. If it has wrapped one of
    them, there is none.
    """
    owner: Any = getattr(receive, "__self__", None)
    if isinstance(owner, RequestBridge) and getattr(send, "__self__", None) is owner:
        request: Any = owner
        return request  # type: ignore[no-any-return]  # the class that extends the bridge is one
    return None
