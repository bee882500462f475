"""The line of a plain request: it answers if the application doesn't."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio
from attrs import evolve

from triows._errors import add_note, is_a, leaves, text_of
from triows._exchange.ends import explain_cancellations, is_own_cancellation, source_of
from triows._exchange.line import Conclusion
from triows._exchange.refusals import agreed, if_all
from triows._reasons import Reason
from triows._reply import problem, try_later
from triows.exceptions import ClientDisconnect, InvalidRequest

from .body import BodyTooLarge, UnsupportedCoding
from .media import UnsupportedMedia
from .transport import DISCONNECTS, INCOMPLETE, nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._exchange.catchers import Replaced
    from triows._reply import Reply

    from .transport import RequestTransport

__all__ = ["RequestLine"]


class RequestLine:
    """
    Tells the client of one request how it ends. It is a :class:`.Line`.

    If the application ends before it has begun a response, this answers. Nobody else can complete
    a response that has begun, so the server cuts the connection.

    Args:
        transport: The request.
        patience: How many seconds the server may take for one of triows' answers.
        replaced: Returns what counts in place of errors, because the application catches some.
    """

    noun = "request"
    who = "the application"
    tells_last = False

    __slots__ = ("_changed", "_is_over", "_patience", "_replaced", "on_gone", "transport")

    def __init__(
        self,
        transport: RequestTransport,
        *,
        patience: float,
        replaced: Replaced | None = None,
    ) -> None:
        self.transport = transport
        #: Called when the client has left. Mounted applications are told by their ``receive``.
        self.on_gone: Callable[[], None] = nobody
        self._patience = patience
        self._replaced = replaced
        self._is_over = False
        # Set when the client has left or the request is over. A shutdown waits for that, and makes
        # it.
        self._changed: trio.Event | None = None
        transport.on_left = self._change

    def _change(self) -> None:
        if self._changed is not None:
            self._changed.set()

    @property
    def instance(self) -> str | None:
        """The path of the request as it was sent, for problems that tell it."""
        return None

    # What the lifetime calls.

    @property
    def is_complete(self) -> bool:
        """Whether the whole response was handed over. The lifetime then has nothing left to do."""
        return self.transport.complete

    @property
    def own(self) -> object:
        return self.transport

    @property
    def ended(self) -> bool:
        return self.transport.complete or self.transport.left

    @property
    def needs_nursery(self) -> bool:
        """The server reads and writes."""
        return False

    def start(self, tasks: trio.Nursery | None) -> None:
        """Do nothing: the server reads and writes."""

    def is_end(self, error: BaseException) -> bool:
        if is_a(error, *DISCONNECTS):
            # If the client of this request is there, that of another one may have gone.
            return self.transport.left or source_of(error) in (None, self.transport)
        return is_own_cancellation(error, self.transport)

    def explain(self, error: BaseException) -> None:
        explain_cancellations(error, self.transport)

    async def conclude(self, errors: list[BaseException], reason: Reason | None) -> Conclusion:
        if self._replaced is not None and errors and not self.transport.begun:
            errors = self._replaced(errors, self.is_end)
        found = [leaf for error in errors for leaf in leaves(error) if not self.is_end(leaf)]
        if self.transport.begun:
            faults = if_all(found, *_FAULTS_OF_THE_CLIENT)
            why = "; ".join(filter(None, (self._missing, *(text_of(one) for one in faults))))
            return Conclusion(why, failed=bool(found) and not faults)
        refusal = _refusal(found, self.instance)
        failed = bool(found) and refusal is None
        # Whoever has cancelled it from outside may answer, for example a middleware with a timeout.
        # Or it is the server, which sends nothing more.
        if self.transport.left or reason is Reason.CANCELLED:
            return Conclusion(self._missing, failed=failed)
        reply = refusal or (_failure(found) if found else _QUIET[reason])
        told = await self._respond(reply)
        why = reply.why if told else ""
        return Conclusion(why or self._missing, failed=failed, told=told)

    async def _respond(self, reply: Reply) -> bool:
        """Answer, and return whether the client hasn't left."""
        with trio.move_on_after(self._patience, shield=True), suppress(ClientDisconnect):
            await self.transport.respond(reply)
        return not self.transport.left

    @property
    def is_incomplete(self) -> bool:
        """Whether a response has begun, and its end is missing."""
        return self.transport.begun and not self.transport.complete

    @property
    def _missing(self) -> str:
        """Say why there is no whole response, for the log."""
        if self.transport.complete:
            return ""
        if self.transport.left:
            return self.transport.why_left
        return INCOMPLETE if self.is_incomplete else ""

    async def shut_down(self) -> bool:
        """
        Wait until the request is over, or its client has left.

        There is nothing to tell the client: it waits for its response.
        """
        while not (self._is_over or self.transport.left):
            if self._changed is None:
                self._changed = trio.Event()
            await self._changed.wait()
        return not self.transport.left

    def note_over(self) -> None:
        self._is_over = True
        self.transport.on_left = self.on_gone = nobody
        self._change()

    @property
    def delivered(self) -> bool:
        return True

    async def wait_delivered(self) -> None:
        """Return at once: what was handed over is the server's matter."""
        await trio.lowlevel.checkpoint()

    async def aclose(self, *, cancelled: bool, from_outside: bool) -> None:
        """Do nothing: the server closes the connection, or keeps it for the next request."""


def _refusal(found: list[BaseException], instance: str | None) -> Reply | None:
    """Return the reply that the errors ask for, if they do and it can be sent."""
    try:
        return agreed(found, instance)
    except Exception as unusable:  # noqa: BLE001 - it is reported with the others
        for exc in found:
            add_note(exc, f"it can't answer the request: {text_of(unusable)}")
        return None


def _failure(found: list[BaseException]) -> Reply:
    """Make the answer for errors. Those that say that a client has left are in no other log."""
    return _ABOUT_OTHERS if all(is_a(one, *DISCONNECTS) for one in found) else _FAILED


# What a client has got wrong in a body that is read while the response is sent. It is too late to
# say so, and nothing that anybody has to mend.
_FAULTS_OF_THE_CLIENT = (InvalidRequest, BodyTooLarge, UnsupportedCoding, UnsupportedMedia)

# Made once, because they are the same for all requests.
_FAILED = problem(500)
_ABOUT_OTHERS = evolve(_FAILED, why="a ClientDisconnect was raised, and this client is there")
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
