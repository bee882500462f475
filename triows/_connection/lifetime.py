"""
The life of one connection: its factories, its handler, and its end.

One task runs the handler, and the factories that need no exit. It runs them inside a cancel scope,
*the body*. Everything that may end a connection cancels the body, at once or after a grace, and
says why. After that, the steps are always these, in this order. Each has a deadline and is
shielded from cancellation:

1. the connection's nursery is cancelled and waited for;
2. the peer is told: a close frame with the correct code, or a refusal, is handed over. This does
   not wait for the peer;
3. the resources exit, the last entered first;
4. what was handed over is delivered, as fast as the peer takes it; then the transport finishes the
   closing handshake and stops. A shutdown or a cancellation cuts this short.

Then the log line is written, and what went wrong is raised.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from triows._errors import behind, combined, is_a, leaves, without_cancelled
from triows._injection.call import make_arguments
from triows._injection.hosts import Host, ResourceStack
from triows._stacks import add_stack, frames_of
from triows._where import where
from triows.exceptions import HandlerCancelled, WebSocketDisconnect

from .verdict import Verdict, explain, failed, is_end, judge, why_cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from triows._injection.factories import Factory
    from triows._injection.plan import Plan
    from triows._settings import Timeouts
    from triows._transports.interface import Transport

__all__ = ["Lifetime"]

# Why a handler is cancelled if the server may end at once, too.
_FROM_OUTSIDE = ("cancelled", "application failed")

# Exceptions that a resource may see at its yield, or raise, although nothing has gone wrong.
_NORMAL = (WebSocketDisconnect, HandlerCancelled, trio.Cancelled)


@frozen
class _Outcome:
    """How the handler ended, or the factories before it: returned, raised or was cancelled."""

    error: BaseException | None = None
    #: Why it was cancelled, if it was and raised nothing.
    cancelled: str | None = None


def _is_cancelled_within(nursery: trio.Nursery) -> bool:
    """
    Say whether a task of a nursery has failed, or somebody has cancelled the nursery.

    A nursery also cancels itself when a cancellation from outside has ended one of its tasks
    before the others. Trio shows the difference only in what it will raise.
    """
    pending = getattr(nursery, "_pending_excs", ())
    by_outside = bool(pending) and all(without_cancelled(exc) is None for exc in pending)
    return nursery.cancel_scope.cancel_called and not by_outside


def _is_cancelled(scope: trio.CancelScope) -> bool:
    """Say whether a scope is cancelled, also from outside, which Trio tells only tasks in it."""
    status = getattr(scope, "_cancel_status", None)
    return scope.cancel_called or bool(getattr(status, "effectively_cancelled", False))


class Lifetime:
    """
    Runs one connection's handler, after its parameters were found valid.

    Args:
        transport: The transport, which isn't started yet.
        timeouts: The timeouts of the route.
        could_accept: Whether the handler or a factory takes the WebSocket.
    """

    def __init__(
        self, transport: Transport, timeouts: Timeouts, *, could_accept: bool = True
    ) -> None:
        self.transport = transport
        self.started = trio.current_time()
        self.error: BaseException | None = None
        #: What the handler has returned.
        self.returned: object = None
        #: What the log says about the end in addition to the code and the reason.
        self.why = ""
        #: The task that runs it, and the nursery there with everything that belongs to it. ``None``
        #: before and after, because both would keep alive what the handler held.
        self.task: trio.lowlevel.Task | None = None
        self.tasks: trio.Nursery | None = None
        self._timeouts = timeouts
        self._could_accept = could_accept
        self._body = trio.CancelScope(deadline=self.started + timeouts.accept)
        self._stack: ResourceStack | None = None
        self._nursery: trio.Nursery | None = None
        self._nursery_error: BaseException | None = None
        # Whether the peer was told that something failed, although the error isn't known yet.
        self._unexplained = False
        # Whether the peer is gone, or the server shuts down. The handler may go on for its grace.
        self._ending = False
        # Why the body is cancelled, and why it will be at its deadline.
        self._cancelled: str | None = None
        self._at_deadline = "timeout"
        # When the peer was told how the connection ends.
        self._told_at = self.started
        # Once the server is shutting down: when the peer must have got everything.
        self._deliver_by = math.inf
        # The scope around the wait until the peer has got everything.
        self._delivering: trio.CancelScope | None = None
        #: Whether the transport is closed.
        self._closed = False
        # When a grace is over, and why there is one. The deadline of the handshake may be earlier.
        self._grace_over = (math.inf, "")
        # When the body was cancelled, and when the end has to be over once it has begun.
        self._cancelled_at = math.inf
        self._ends_by: float | None = None
        #: The value of :meth:`due` of which a warning was written.
        self.told = math.inf
        # What to report if the handshake takes too long.
        self._too_slow: trio.TooSlowError | None = None
        # Whether the handshake is over, or will not be finished. Whoever waits makes the event.
        self._answered = False
        self._wants_answered: trio.Event | None = None

    # What may end a connection. All of these are synchronous and may come at any time.

    def note_answered(self) -> None:
        """Note that the connection was accepted or refused. From now on, only a grace ends it."""
        self._expect_grace()
        self._note_answered()

    def _note_answered(self) -> None:
        self._answered = True
        if self._wants_answered is not None:
            self._wants_answered.set()

    def note_gone(self) -> None:
        """Note that the peer is gone. Stop the connection's nursery, and let the handler finish."""
        self._end_after(self._timeouts.disconnect_grace, "peer gone")
        # Timeouts.accept doesn't matter any more.
        self._expect_grace()

    def _expect_grace(self) -> None:
        """Let the body's deadline be the end of a grace, and nothing else."""
        deadline, self._at_deadline = self._grace_over
        if deadline != self._body.deadline:  # setting it takes time
            self._body.deadline = deadline

    async def shut_down(self, code: int, grace: float = math.inf) -> None:
        """
        End the connection with a close frame, because the server shuts down.

        The handler has ``shutdown_grace`` to finish, or *grace* if that is shorter. If the peer
        leaves without an answer to the close frame, or doesn't answer within ``Timeouts.close``,
        the handler has ``disconnect_grace`` from then on. A handshake that isn't over yet may be
        finished in that time, and the close frame follows. Otherwise it is refused.
        """
        self._end_after(min(grace, self._timeouts.shutdown_grace), "shutdown")
        self._deliver_by = trio.current_time() + self._timeouts.close
        if self._delivering is not None:
            self._delivering.deadline = self._deliver_by
        if not self._answered:
            if self._wants_answered is None:
                self._wants_answered = trio.Event()
            await self._wants_answered.wait()
        if not self.transport.accepted:
            return
        with trio.move_on_after(self._timeouts.close):
            if self.transport.ended is None:
                await self.transport.close(code, "")
            await self.transport.wait_over()
        if not self.transport.answered:
            self._end_after(self._timeouts.disconnect_grace, "peer gone")

    def _end_after(self, grace: float, why: str) -> None:
        self._ending = True
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        over = trio.current_time() + grace
        if over < self._grace_over[0]:
            self._grace_over = (over, why)
        if over < self._body.deadline:
            self._body.deadline, self._at_deadline = over, why

    def cancel(self, why: str) -> None:
        """Cancel the handler at once."""
        if self._cancelled is None:
            # If the body's deadline has passed, that came first. The body is only slow to end.
            self._cancelled = self._at_deadline if self._body.cancel_called else why
            self._cancelled_at = min(trio.current_time(), self._body.deadline)
        self._body.cancel()

    def _note_expired(self, host: Host) -> None:
        self.cancel("resource failed")

    # What inspection can see of it. The code that runs it doesn't use this.

    @property
    def hosts(self) -> Sequence[Host]:
        """Its resources, in the order of entry."""
        return () if self._stack is None else tuple(self._stack.hosts)

    @property
    def cancelled(self) -> str | None:
        """Why the handler was cancelled, if it was."""
        if self._cancelled is None and self.task is not None and _is_cancelled(self._body):
            return self._at_deadline if self._body.cancel_called else "cancelled"
        return self._cancelled

    @property
    def making(self) -> Factory | None:
        """The factory that makes an argument at the moment."""
        return None if self._stack is None else self._stack.making

    @property
    def is_ending(self) -> bool:
        """Whether its handler, or the factories before it, are over."""
        return self._ends_by is not None

    def due(self, now: float) -> float:
        """
        Return by when what it does now has to be over, on Trio's clock; ``inf`` if it may go on.

        A handler that was cancelled has ``Timeouts.teardown`` for its own cleanup. The end has the
        same time twice, because a resource that takes longer than it may is cancelled in between.

        Args:
            now: The time. A cancellation from outside is known only from the first call after it.
        """
        if self._ends_by is not None:
            return self._ends_by
        if self._cancelled_at == math.inf and _is_cancelled(self._body):
            self._cancelled_at = min(now, self._body.deadline)
        if self.making is not None and self.making.kind.hosted:
            return math.inf  # the end waits for it, and comes in time
        return self._cancelled_at + self._timeouts.teardown

    @property
    def grace(self) -> tuple[float, str] | None:
        """When the handler's grace is over, on Trio's clock, and why it ends, if there is one."""
        return self._grace_over if self._ending else None

    # The life.

    async def run(
        self,
        handler: Callable[..., Awaitable[object]],
        plan: Plan,
        values: Callable[[trio.Nursery | None], list[Any]],
        *,
        wants_nursery: bool,
    ) -> None:
        """
        Make the arguments, call the handler, and end the connection, whatever happens.

        Args:
            handler: The user's, with its plugins around it.
            plan: What it needs.
            values: Makes the plan's first values, given the connection's nursery.
            wants_nursery: Whether anything in the plan asks for that nursery.

        Raises:
            BaseException: All that went wrong, as one exception. It is :attr:`error`, too.
            trio.Cancelled: It was cancelled from outside, and nothing went wrong.

        In either case everything is closed by then.
        """
        errors: list[BaseException] = []
        cancelled: BaseException | None = None
        try:
            async with trio.open_nursery() as tasks:
                self.task, self.tasks = trio.lowlevel.current_task(), tasks
                self.transport.start(tasks)
                self._stack = ResourceStack(tasks, self._note_expired)
                # Don't give the outcome a name. The traceback of its error refers to this frame,
                # so both would stay until the next garbage collection.
                errors += await self._finish(
                    await self._run_body(tasks, handler, plan, values, wants_nursery=wants_nursery)
                )
                if not self._closed:
                    await self._let_go(errors)
                # The transport's tasks are all that is left.
                tasks.cancel_scope.cancel()
        except BaseException as exc:  # noqa: BLE001 - raised below
            cancelled = exc
            # Our own tasks raise nothing. If one does, its error is not lost.
            if (rest := without_cancelled(exc)) is not None:
                errors.append(rest)
        finally:
            self._note_answered()
            self._stack = None  # it refers to this object
            self.task = self.tasks = None
        errors += self._take_nursery_error()
        self.error = combined("errors in one connection", errors)
        # An error takes precedence over a cancellation. The next checkpoint of whoever was
        # cancelled raises that again; the error would be lost.
        if self.error is not None:
            explain(self.error, self.transport, accepted=self.transport.accepted)
            raise self.error
        if cancelled is not None:
            raise cancelled
        # A cancellation from outside was held back until everything was closed, whatever else
        # cancelled the handler first. Now it goes on.
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _run_body(
        self,
        tasks: trio.Nursery,
        handler: Callable[..., Awaitable[object]],
        plan: Plan,
        values: Callable[[trio.Nursery | None], list[Any]],
        *,
        wants_nursery: bool,
    ) -> _Outcome:
        """Make the arguments and call the handler, until it ends or is cancelled."""
        assert self._stack is not None
        error: BaseException | None = None
        outside = False
        try:
            with self._body:
                try:
                    if wants_nursery:
                        await self._start_nursery(tasks)
                    arguments = await make_arguments(
                        plan.body,
                        values(self._nursery),
                        self._stack,
                        patience=self._timeouts.teardown,
                        is_over=self._is_refused,
                    )
                    if arguments is not None:
                        self.returned = await handler(**arguments)
                except BaseException as exc:
                    if (self._cancelled or self._at_deadline) == "timeout":
                        self._note_too_slow(handler, exc)
                    raise
        except BaseException as exc:  # noqa: BLE001 - raised when all is closed
            error = without_cancelled(exc)
            outside = error is not exc
        try:
            if not outside and not self._body.cancelled_caught:
                return _Outcome(error)
            if self._cancelled is None:
                passed = self._body.cancel_called
                self._cancelled = self._at_deadline if passed else "cancelled"
            return _Outcome(error, self._cancelled if error is None else None)
        finally:
            del error  # its traceback refers to this frame

    def _note_too_slow(self, handler: object, error: BaseException) -> None:
        """Find out what the handshake has waited for, while that can be seen."""
        if not self._body.cancel_called:
            return
        assert self._stack is not None
        making = self._stack.making
        waited = (
            f"its handler, {where(handler)}, had not called accept() or reject()"
            if making is None
            else f"it waited for the factory {where(making.call)}"
        )
        self._too_slow = trio.TooSlowError(
            "the connection was neither accepted nor refused within "
            f"{self._timeouts.accept:g} s (Timeouts.accept): {waited}"
        )
        add_stack(self._too_slow, self._stack.interrupted or frames_of(error))

    def _is_refused(self) -> bool:
        """Say whether a guard or another factory has refused the handshake by itself."""
        ended = self.transport.ended
        return ended is not None and ended.status is not None

    async def _start_nursery(self, tasks: trio.Nursery) -> None:
        self._handler_left, self._nursery_left = trio.Event(), trio.Event()
        self._nursery = await tasks.start(self._hold_nursery, name="<connection nursery>")
        # A start() that was cancelled may still return, with a nursery that has been
        # closed. The handler must not get to see it.
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._ending:  # while it was starting
            self._nursery.cancel_scope.cancel()

    async def _hold_nursery(self, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """
        Keep the nursery for which the handler may ask.

        It is not around the handler, so it can be cancelled at once when the peer leaves, while
        the handler gets its grace.
        """
        try:
            async with trio.open_nursery() as nursery:
                task_status.started(nursery)
                try:
                    await trio.sleep_forever()
                except trio.Cancelled:
                    # A handler in its grace, or one that was cancelled from outside and does
                    # not know yet, may start further tasks. They end at once, as those before
                    # them did; a nursery that is closed would raise instead.
                    crashed = _is_cancelled_within(nursery) and not self._ending
                    if self._nursery is nursery and not crashed:
                        # This always ends, because _leave_nursery() is called on every path.
                        with trio.CancelScope(shield=True):
                            await self._handler_left.wait()
                    raise
        except BaseException as exc:  # noqa: BLE001 - it is the connection's error
            error = without_cancelled(exc)
            # Here, too, it isn't an error that the peer has left.
            if error is not None and not self._is_end(error):
                self._nursery_error = error
                self.cancel("task failed")
        finally:
            self._nursery_left.set()

    # The end.

    async def _finish(self, outcome: _Outcome) -> list[BaseException]:
        """Tell the peer, exit the resources, and return all that has to be reported."""
        timeouts = self._timeouts
        # Each of the awaits below is bounded by a deadline of its own.
        with trio.CancelScope(shield=True):
            last = trio.current_time() + timeouts.teardown
            self._ends_by = last + timeouts.teardown
            await self._leave_nursery()
            errors = await self._conclude(outcome.error)
            seconds = max(last - trio.current_time(), timeouts.teardown / 2)
            errors += await self._exit_resources(outcome, seconds, errors)
            self._ends_by = math.inf  # each step from here on has its own limit
            if self.transport.delivered:
                await self._close_transport(self._told_at, errors)
        return errors

    async def _let_go(self, errors: list[BaseException]) -> None:
        """
        Let the peer take what was handed over, then finish the closing handshake and stop.

        A slow peer may take minutes, so nothing shields that wait. When it is cancelled, or over
        because the server shuts down, what is left has ``Timeouts.close``.

        Args:
            errors: What goes wrong is added.
        """
        cancelled = True
        try:
            with trio.CancelScope(deadline=self._deliver_by) as self._delivering:
                await self.transport.wait_delivered()
            cancelled = False
        finally:
            with trio.CancelScope(shield=True):  # _close_transport() has a deadline
                await self._close_transport(trio.current_time(), errors, cancelled=cancelled)

    async def _close_transport(
        self, began: float, errors: list[BaseException], *, cancelled: bool = False
    ) -> None:
        """
        Finish the closing handshake, until ``Timeouts.close`` after *began*, and stop.

        Args:
            began: When the peer had got everything.
            errors: What goes wrong is added.
            cancelled: Whether the wait for the peer was cancelled.
        """
        from_outside = self._cancelled in _FROM_OUTSIDE
        if from_outside:
            began = self._told_at
        until = min(began + self._timeouts.close, self._deliver_by)
        try:
            if (cancelled or from_outside) and not self.transport.outlives_cancellation:
                # The server below may have been cancelled, too. Then it no longer reads, and the
                # peer's answer to our close frame does not come.
                with trio.move_on_at(until):
                    await self.transport.wait_delivered()
                until = -math.inf
            await self.transport.aclose(linger=max(0.0, until - trio.current_time()))
        except Exception as exc:  # noqa: BLE001 - the other errors must not be lost
            errors.append(exc)
        self._closed = True
        # Tasks of the connection's nursery are left, if they take longer than they may.
        self._ends_by = trio.current_time() + self._timeouts.teardown

    async def _exit_resources(
        self, outcome: _Outcome, seconds: float, known: Iterable[BaseException]
    ) -> list[BaseException]:
        """Exit all resources, and return what went wrong in addition to what is *known*."""
        if self._stack is None or not self._stack.hosts:
            return []
        failed = await self._stack.aclose(
            seconds=seconds, error=outcome.error, cancelled=outcome.cancelled
        )
        errors: list[BaseException] = []
        handlers = [] if outcome.error is None else [outcome.error]
        for exc in failed:
            if not self._came_too_late(exc, [*known, *handlers, *errors]):
                errors.append(exc)
        return errors

    def _came_too_late(self, exc: BaseException, known: Iterable[BaseException]) -> bool:
        """
        Say whether an exit only had something to say to a peer that was gone.

        As in a handler, that is a normal end. It isn't one if the peer was told of an error,
        because nobody else would learn of that error.
        """
        if self._unexplained:
            return False
        reported = {id(leaf) for error in known for leaf in leaves(error)}
        return self._is_end(exc) and all(
            is_a(one, *_NORMAL) or id(one) in reported for one in behind(exc)
        )

    def _is_end(self, error: BaseException) -> bool:
        return all(is_end(leaf, self.transport) for leaf in leaves(error))

    async def _leave_nursery(self) -> None:
        """End the connection's nursery; its tasks may clean up within the teardown's time."""
        if self._nursery is not None:
            self._handler_left.set()
            self._nursery.cancel_scope.cancel()
            with trio.move_on_after(self._timeouts.teardown / 2):
                await self._nursery_left.wait()

    async def _conclude(self, error: BaseException | None) -> list[BaseException]:
        """Decide how the connection ends, tell the peer, and return what has to be reported."""
        self._told_at = trio.current_time()
        found = [*([] if error is None else [error]), *self._take_nursery_error()]
        if not found and self._cancelled == "timeout" and self._too_slow is not None:
            found.append(self._too_slow)
        try:
            verdict = self._decide(found)
            # A resource failed. Its error comes when it exits.
            quiet = verdict.error is None and self.transport.ended is None
            self._unexplained = quiet and self._cancelled == "resource failed"
            if self.transport.ended is None:
                await self._tell_peer(verdict)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the resources have to exit
            return [*found, exc]
        cancelled = self._cancelled or (self._at_deadline if self._body.cancel_called else None)
        self.why = "; ".join(filter(None, (verdict.why, why_cancelled(cancelled))))
        return [] if verdict.error is None else found

    def _decide(self, found: list[BaseException]) -> Verdict:
        """Judge what was raised. If that raises as well, its error is added to *found*."""
        try:
            return judge(
                combined("errors in one connection", found),
                self._cancelled,
                accepted=self.transport.accepted,
                own=self.transport,
                could_accept=self._could_accept,
            )
        except Exception as exc:  # noqa: BLE001 - the peer has to be told, and the error reported
            found.append(exc)
            return failed(exc)

    def _take_nursery_error(self) -> list[BaseException]:
        """Return the error of the connection's nursery, but only once."""
        error, self._nursery_error = self._nursery_error, None
        return [] if error is None else [error]

    async def _tell_peer(self, verdict: Verdict) -> None:
        """Hand over the close frame, or the refusal. This does not wait for the peer."""
        if self._deliver_by < math.inf:  # the server is shutting down
            self._deliver_by = self._told_at + self._timeouts.close
        if self.transport.accepted:
            await self.transport.close(verdict.code, verdict.reason)
        else:
            await self.transport.reject(verdict.refusal)
