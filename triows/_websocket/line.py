"""The line of a WebSocket: the handshake, the close frame, and the closing handshake."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import trio

from triows._errors import combined, leaves
from triows._exchange.ends import is_end
from triows._exchange.line import Conclusion
from triows._where import where

from .verdict import as_close, explain, failed, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._exchange.catchers import Replaced
    from triows._injection.factories import Factory
    from triows._reasons import Reason
    from triows._settings import Timeouts
    from triows._transports.interface import Transport

    from .verdict import Verdict

__all__ = ["WebSocketLine"]


class WebSocketLine:
    """
    Tells the peer of one connection how it ends. It is a :class:`.Line`.

    Args:
        transport: The transport, which isn't started yet.
        timeouts: The timeouts of the route.
        handler: The handler, for messages.
        could_accept: Whether the handler or a factory takes the WebSocket.
        shutdown_code: The close code if the server shuts down.
        replaced: Returns what counts in place of errors, because the application catches some.
    """

    noun = "connection"
    who = "the handler"
    #: The close frame doesn't wait for the resources.
    tells_last = False
    #: There is always a closing handshake.
    is_complete = False

    def __init__(
        self,
        transport: Transport,
        timeouts: Timeouts,
        *,
        handler: Callable[..., object],
        could_accept: bool,
        shutdown_code: int,
        replaced: Replaced | None = None,
    ) -> None:
        self.transport = transport
        self._timeouts = timeouts
        self._handler = handler
        self._could_accept = could_accept
        self._shutdown_code = shutdown_code
        self._replaced = replaced
        # When the peer was told how the connection ends, and when it had got everything. Both are
        # known from conclude() on.
        self._told_at = self._delivered_at = -math.inf
        # Once the server is shutting down: when the peer must have got everything.
        self._deliver_by = math.inf
        # The scope around the wait until the peer has got everything.
        self._delivering: trio.CancelScope | None = None
        # Whether the handshake is over, or will not be finished. Whoever waits makes the event.
        self._answered = False
        self._wants_answered: trio.Event | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the handshake was refused, maybe by a guard or another factory."""
        ended = self.transport.ended
        return ended is not None and ended.status is not None

    @property
    def own(self) -> object:
        return self.transport

    @property
    def ended(self) -> bool:
        return self.transport.ended is not None

    @property
    def needs_nursery(self) -> bool:
        return self.transport.needs_nursery

    def start(self, tasks: trio.Nursery | None) -> None:
        if self.transport.needs_nursery:
            assert tasks is not None
            self.transport.start(tasks)

    def is_end(self, error: BaseException) -> bool:
        return is_end(error, self.transport)

    def explain(self, error: BaseException) -> None:
        explain(error, self.transport, accepted=self.transport.accepted)

    # The handshake.

    def note_answered(self) -> None:
        """Note that the connection was accepted or refused."""
        self._answered = True
        if self._wants_answered is not None:
            self._wants_answered.set()

    note_over = note_answered

    def too_slow(self, making: Factory | None) -> trio.TooSlowError:
        """Make the error for a handshake that takes longer than ``Timeouts.accept``."""
        waited = (
            f"its handler, {where(self._handler)}, had not called accept() or reject()"
            if making is None
            else f"it waited for the factory {where(making.call)}"
        )
        return trio.TooSlowError(
            "the connection was neither accepted nor refused within "
            f"{self._timeouts.accept:g} s (Timeouts.accept): {waited}"
        )

    # The end.

    async def shut_down(self) -> bool:
        """
        Send the close frame of a shutdown.

        If the handshake isn't over yet, this waits for it. It returns ``False`` if the peer leaves
        without an answer to the close frame, or doesn't answer within ``Timeouts.close``.
        """
        self._deliver_by = trio.current_time() + self._timeouts.close
        if self._delivering is not None:
            self._delivering.deadline = self._deliver_by
        if not self._answered:
            if self._wants_answered is None:
                self._wants_answered = trio.Event()
            await self._wants_answered.wait()
        if not self.transport.accepted:
            return True  # it was refused, or will be
        with trio.move_on_after(self._timeouts.close):
            if self.transport.ended is None:
                await self.transport.close(self._shutdown_code, "")
            await self.transport.wait_over()
        return self.transport.answered

    async def conclude(self, errors: list[BaseException], reason: Reason | None) -> Conclusion:
        self._told_at = self._delivered_at = trio.current_time()
        if not errors and reason is None and self.transport.ended is not None:
            return _ENDED_BEFORE
        verdict = self._decide(errors, reason)
        told = self.transport.ended is None
        if told:
            await self._tell_peer(verdict)
        return Conclusion(verdict.why, failed=verdict.error is not None, told=told)

    def _decide(self, errors: list[BaseException], reason: Reason | None) -> Verdict:
        """Judge what was raised. If that raises as well, its error is added to *errors*."""
        try:
            counting = errors if self._replaced is None else self._answers(errors)
            return judge(
                combined("errors in one connection", counting),
                reason,
                accepted=self.transport.accepted,
                own=self.transport,
                could_accept=self._could_accept,
            )
        except Exception as exc:  # noqa: BLE001 - the peer has to be told, and the error reported
            errors.append(exc)
            return failed(exc)

    def _answers(self, errors: list[BaseException]) -> list[BaseException]:
        """Return what counts in place of *errors*. A refusal that comes too late is a close."""
        assert self._replaced is not None
        counting = self._replaced(errors, self.is_end)
        if self.transport.accepted:
            raised = {id(leaf) for error in errors for leaf in leaves(error)} | set(map(id, errors))
            counting = [one if id(one) in raised else as_close(one) for one in counting]
        return counting

    async def _tell_peer(self, verdict: Verdict) -> None:
        """Hand over the close frame, or the refusal. This does not wait for the peer."""
        if self._deliver_by < math.inf:  # the server is shutting down
            self._deliver_by = self._told_at + self._timeouts.close
        if self.transport.accepted:
            await self.transport.close(verdict.code, verdict.reason)
        else:
            await self.transport.reject(verdict.refusal)

    @property
    def delivered(self) -> bool:
        return self.transport.delivered

    async def wait_delivered(self) -> None:
        try:
            with trio.CancelScope(deadline=self._deliver_by) as self._delivering:
                await self.transport.wait_delivered()
        finally:
            self._delivered_at = trio.current_time()

    async def aclose(self, *, cancelled: bool, from_outside: bool) -> None:
        """
        Finish the closing handshake, until ``Timeouts.close`` after the peer had got everything.

        If the handler was cancelled from outside, the time begins when the peer was told.
        """
        began = self._told_at if from_outside else self._delivered_at
        until = min(began + self._timeouts.close, self._deliver_by)
        if (cancelled or from_outside) and not self.transport.outlives_cancellation:
            # The server below may have been cancelled, too. Then it no longer reads, and the
            # peer's answer to our close frame does not come.
            with trio.CancelScope(deadline=until, shield=True):
                await self.transport.wait_delivered()
            until = -math.inf
        await self.transport.aclose(linger=max(0.0, until - trio.current_time()))


#: How a connection ends that had ended before, when all went well.
_ENDED_BEFORE: Final = Conclusion()
