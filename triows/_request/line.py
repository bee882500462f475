"""The line of a plain request: it counts what passes, and answers if the application doesn't."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio
from attrs import evolve

from triows._errors import add_note, is_a, leaves, text_of
from triows._exchange.ends import source_of
from triows._exchange.line import Conclusion
from triows._exchange.refusals import agreed
from triows._reasons import Reason
from triows._reply import problem, respond, try_later
from triows._where import known_as
from triows.exceptions import ClientDisconnect, HandlerCancelled

if TYPE_CHECKING:
    from triows._reply import Reply
    from triows.types import Message, Receive, Send

__all__ = ["RequestLine"]


class RequestLine:
    """
    Tells the client of one request how it ends. It is a :class:`.Line`.

    The application gets :meth:`receive` and :meth:`send` in place of the server's. If it ends
    before it has begun a response, this answers. Nobody else can complete a response that has
    begun, so the server cuts the connection.

    Args:
        receive: The server's function.
        send: The server's function.
        patience: How many seconds the server may take for an answer of ours.
    """

    noun = "request"
    who = "the application"
    #: The server reads and writes.
    needs_nursery = False

    __slots__ = (
        "_changed",
        "_over",
        "_patience",
        "_receive",
        "_send",
        "gone",
        "is_complete",
        "received",
        "sent",
        "status",
    )

    def __init__(self, receive: Receive, send: Send, *, patience: float) -> None:
        self._receive = receive
        self._send = send
        self._patience = patience
        #: The status of the response, once it has begun.
        self.status: int | None = None
        #: Whether the whole response was handed over. The lifetime then has nothing left to do.
        self.is_complete = False
        #: Whether the client is known to have left before it had the whole response.
        self.gone = False
        #: Bytes of the bodies.
        self.received = self.sent = 0
        self._over = False
        # Set when the client has left or the request is over. A shutdown waits for that, and makes
        # it.
        self._changed: trio.Event | None = None

    # What the application calls.

    @known_as("receive")
    async def receive(self) -> Message:
        """Wait for the next event of the request."""
        event = await self._receive()
        if event["type"] == "http.disconnect":
            self._note_gone()
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
            self.is_complete = not event.get("more_body", False)

    def _note_disconnect(self, exc: ClientDisconnect) -> None:
        if exc.source is None:
            exc.source = self
        self._note_gone()

    def _note_gone(self) -> None:
        # Servers also send http.disconnect after a whole response. The client hasn't left early
        # then, so the application keeps its whole grace.
        if not self.is_complete:
            self.gone = True
            self._change()

    def _change(self) -> None:
        if self._changed is not None:
            self._changed.set()

    # What the lifetime calls.

    @property
    def ended(self) -> bool:
        return self.is_complete or self.gone

    def start(self, tasks: trio.Nursery | None) -> None:
        """Do nothing: the server reads and writes."""

    def is_end(self, error: BaseException) -> bool:
        if is_a(error, ClientDisconnect):
            # If the client of this request is there, that of another one may have gone.
            return self.gone or source_of(error) in (None, self)
        return is_a(error, HandlerCancelled)

    def explain(self, error: BaseException) -> None:
        """Add nothing."""

    async def conclude(self, errors: list[BaseException], reason: Reason | None) -> Conclusion:
        found = [leaf for error in errors for leaf in leaves(error) if not self.is_end(leaf)]
        if self.status is not None:
            return Conclusion(self._missing, failed=bool(found))
        refusal = _refusal(found)
        failed = bool(found) and refusal is None
        # Whoever has cancelled it from outside may answer, for example a middleware with a timeout.
        # Or it is the server, which sends nothing more.
        if self.gone or reason is Reason.CANCELLED:
            return Conclusion(self._missing, failed=failed)
        reply = refusal or (_FAILED if found else _QUIET[reason])
        told = await self._respond(reply)
        why = reply.why if told else ""
        return Conclusion(why or self._missing, failed=failed, told=told)

    async def _respond(self, reply: Reply) -> bool:
        """Answer, and return whether the client hasn't left."""
        with trio.move_on_after(self._patience, shield=True), suppress(ClientDisconnect):
            await respond(self.send, reply)
        return not self.gone

    @property
    def is_incomplete(self) -> bool:
        """Whether a response has begun, and its end is missing."""
        return self.status is not None and not self.is_complete

    @property
    def _missing(self) -> str:
        """Say why there is no whole response, for the log."""
        if self.gone:
            return "the client has left"
        return "the response is incomplete" if self.is_incomplete else ""

    async def shut_down(self) -> bool:
        """
        Wait until the request is over, or its client has left.

        There is nothing to tell the client: it waits for its response.
        """
        while not self._over and not self.gone:
            if self._changed is None:
                self._changed = trio.Event()
            await self._changed.wait()
        return not self.gone

    def note_over(self) -> None:
        self._over = True
        self._change()

    @property
    def delivered(self) -> bool:
        return True

    async def wait_delivered(self) -> None:
        """Return at once: what was handed over is the server's matter."""
        await trio.lowlevel.checkpoint()

    async def aclose(self, *, cancelled: bool, from_outside: bool) -> None:
        """Do nothing: the server closes the connection, or keeps it for the next request."""


def _refusal(found: list[BaseException]) -> Reply | None:
    """Return the reply that the errors ask for, if they do and it can be sent."""
    try:
        return agreed(found)
    except Exception as unusable:  # noqa: BLE001 - it is reported with the others
        for exc in found:
            add_note(exc, f"it can't answer the request: {text_of(unusable)}")
        return None


# Made once, because they are the same for all requests.
_FAILED = problem(500)
_UNANSWERED = evolve(_FAILED, why="the application returned without a response")
_GOING = try_later("the server is shutting down")

# The answer if the application has left the request without one, and raised nothing: it returned,
# or was cancelled for a reason.
_QUIET = {
    None: _UNANSWERED,
    Reason.APPLICATION_FAILED: _GOING,
    Reason.SHUTDOWN: _GOING,
    Reason.PEER_GONE: _GOING,
    Reason.TIMEOUT: _FAILED,
    Reason.TASK_FAILED: _FAILED,
    Reason.RESOURCE_FAILED: _FAILED,
}
