"""A request that comes through functions of others: another server's, or a middleware's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from triows._errors import is_a
from triows._reply import respond
from triows._where import known_as
from triows.exceptions import ClientDisconnect

from .transport import CLIENT_LEFT, nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._reply import Reply
    from triows.types import Message, Receive, Send

__all__ = ["ForeignRequest"]


class ForeignRequest:
    """
    Counts what passes. It is a :class:`~triows._request.transport.RequestTransport`.

    The application gets :meth:`receive` and :meth:`send` in place of the two functions. Events are
    passed on as they are.

    Args:
        receive: ASGI's function.
        send: ASGI's function.
    """

    __slots__ = (
        "_receive",
        "_send",
        "complete",
        "left",
        "on_left",
        "received",
        "sent",
        "status",
        "why_left",
    )

    def __init__(self, receive: Receive, send: Send) -> None:
        self.on_left: Callable[[], None] = nobody
        self.status: int | None = None
        self.complete = self.left = False
        self.why_left = CLIENT_LEFT
        self.received = self.sent = 0
        self._receive = receive
        self._send = send

    @property
    def begun(self) -> bool:
        return self.status is not None

    @known_as("receive")
    async def receive(self) -> Message:
        """Wait for the next event of the request."""
        event = await self._receive()
        if event["type"] == "http.disconnect":
            self._note_left()
        else:
            self.received += len(event.get("body") or b"")
        return event

    @known_as("send")
    async def send(self, event: Message) -> None:
        """Send a part of the response."""
        # As checkpointed() does it, without another coroutine for each call.
        await trio.lowlevel.checkpoint_if_cancelled()
        status = self.status
        try:
            kind = event["type"]
            if kind == "http.response.start":
                status = event.get("status")
            await self._send(event)
        except Exception as exc:
            await trio.lowlevel.cancel_shielded_checkpoint()
            if is_a(exc, ClientDisconnect):
                self._note_disconnect(exc)
            else:
                status = self.status  # the server has refused it
            raise
        finally:
            # If it was cancelled, some of it may have been sent.
            self.status = status
        if kind == "http.response.body":
            self.sent += len(event.get("body") or b"")
            self.complete = not event.get("more_body", False)
        elif kind == "http.response.pathsend":
            self.complete = True

    def _note_disconnect(self, exc: ClientDisconnect) -> None:
        if exc.source is None:
            exc.source = self
        self._note_left()

    def _note_left(self) -> None:
        # Servers also send http.disconnect after a whole response. The client hasn't left early
        # then, so the application keeps its whole grace.
        if not self.complete:
            self.left = True
            self.on_left()

    def lend_scope(self) -> trio.CancelScope | None:
        return None

    async def respond(self, reply: Reply) -> None:
        await respond(self.send, reply)
