"""A request to our own server, shown to ASGI middleware and mounted applications as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from triows._where import known_as
from triows.exceptions import ClientDisconnect

if TYPE_CHECKING:
    from triows.types import Message, Receive, Send

    from .transport import EngineRequest

__all__ = ["RequestBridge", "bridge_of"]


class RequestBridge:
    """
    ASGI's two functions on a request to our own server.

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
        try:
            kind = event["type"]
            if kind == "http.response.body":
                body = event.get("body", b"")
                await self.transport.send(body, more=event.get("more_body", False))
            elif kind == "http.response.start":
                await trio.lowlevel.checkpoint_if_cancelled()
                headers, trailers = event.get("headers", ()), event.get("trailers", False)
                self.transport.start(event["status"], headers, trailers=trailers)
            else:
                await self._send_other(kind, event)
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise

    async def _send_other(self, kind: str, event: Message) -> None:
        """Send what few applications send."""
        if kind == "http.response.pathsend":
            await self.transport.send_file(event["path"])
        elif kind == "http.response.trailers":
            headers = event.get("headers", ())
            await self.transport.send_trailers(headers, more=event.get("more_trailers", False))
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
            raise ValueError(f"{kind!r} isn't an event of an HTTP response")


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
