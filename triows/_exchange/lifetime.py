"""
The life of one exchange: its factories, its handler, and its end.

One task runs the handler, and the factories that need no exit. It runs them inside a cancel scope,
*the body*. Everything that may end an exchange cancels the body, at once or after a grace, and
says why. After that, the steps are always these, in this order. Whatever waits in them has a
deadline and a shield of its own, except for the wait for a slow peer in the last one. A step that
has nothing to wait for opens no scope, because most exchanges end like that:

1. the exchange's nursery is cancelled and waited for;
2. the line tells the peer the outcome, for example by a close frame with the correct code. This
   does not wait for the peer;
3. the resources exit, the last entered first;
4. what was handed over is delivered, as fast as the peer takes it; then the line lets go of the
   peer. A shutdown or a cancellation cuts this short;
5. the resources exit that were to stay until then.

Some lines tell the outcome last. Then the second step comes after the third, and what fails in an
exit is a part of the outcome.

Then the log line is written, and what went wrong is raised.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal, TypeAlias

import trio
from attrs import frozen
from msgspec import Struct

from triows._errors import behind, combined, is_a, leaves, without_cancelled, without_stray
from triows._injection.hosts import Host, ResourceStack
from triows._left_open import close_left_open, refuse_left_open, scopes_of
from triows._reasons import Reason
from triows._stacks import add_stack, frames_of
from triows.exceptions import Disconnected, TeardownTimeout

from .ends import is_own_cancellation, why_cancelled
from .nursery import OwnNursery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from triows._injection.factories import Factory
    from triows._injection.guests import Guest
    from triows._settings import Timeouts

    from .line import Line, Straggler, Timer

__all__ = ["Body", "Lifetime", "LifetimeStage", "Opening"]

#: What an exchange does: it makes the arguments, on the stack of resources, and calls the handler.
#: It gets the exchange's nursery if somebody wants it, and returns what the handler returned.
Body: TypeAlias = "Callable[[ResourceStack, trio.Nursery | None], Awaitable[object]]"

#: What an exchange is doing: it makes the arguments, runs the handler, or ends.
LifetimeStage: TypeAlias = Literal["arguments", "handler", "end"]

# Exceptions that a resource may see at its yield, or raise, although nothing has gone wrong.
_NO_ERRORS = (Disconnected, trio.Cancelled)


class Opening(Struct, frozen=True):
    """A limit for the beginning of an exchange, until :meth:`Lifetime.note_opened`."""

    #: How many seconds it may take.
    seconds: float
    #: Makes the error for one that takes longer. It gets the factory that is being made, if any.
    too_slow: Callable[[Factory | None], trio.TooSlowError]


@frozen
class _HandlerEnd:
    """How the handler ended, or the factories before it: returned, raised or was cancelled."""

    error: BaseException | None = None
    #: Why it was cancelled, if it was and raised nothing.
    cancelled: Reason | None = None


_RETURNED = _HandlerEnd()


def _is_cancelled(scope: trio.CancelScope) -> bool:
    """Say whether a scope is cancelled, also from outside, which Trio tells only tasks in it."""
    status = getattr(scope, "_cancel_status", None)
    return scope.cancel_called or bool(getattr(status, "effectively_cancelled", False))


class Lifetime:
    """
    Runs one exchange.

    Args:
        line: The way to the peer. It isn't started yet.
        timeouts: The timeouts of the route.
        opening: The limit for the beginning, if there is one.
        started: When it began, on Trio's clock. ``None`` for now.
        around: A scope around the whole task, if nothing but this exchange runs in it now. It saves
            the exchange a scope of its own. Who lends it doesn't use it again if it has a deadline,
            which this also sets if it cancels it.
        timer: Ends the body in time, in place of a deadline of the scope *around*. Without it,
            there must be no *opening* if there is such a scope.
    """

    # The class has what most exchanges never change, because there is one object for each request.

    #: What the handler has returned.
    returned: object = None
    #: What the log says about the end in addition to what the peer was told.
    why = ""
    #: The task that runs it, and the nursery there with its own tasks, if there is one. They are
    #: ``None`` before and after, because they would keep alive what the handler held.
    task: trio.lowlevel.Task | None = None
    tasks: trio.Nursery | None = None
    #: How many nurseries were open in that task before.
    outer_nurseries = 0
    #: The value of :meth:`due` of which a warning was written.
    told = math.inf
    #: What may still use the resources when the handler is over, apart from the nursery's tasks.
    stragglers: Sequence[Straggler] = ()
    _stack: ResourceStack | None = None
    _nursery: OwnNursery | None = None
    _nursery_error: BaseException | None = None
    # Whether the peer was told that something failed, although the error isn't known yet.
    _unexplained = False
    # Whether the peer is gone, or the server shuts down. The handler may go on for its grace.
    _ending = False
    # Why the body is cancelled, and why it will be at its deadline.
    _cancelled: Reason | None = None
    _at_deadline = Reason.TIMEOUT
    # What has failed beside the handler, if anything has. The handler may have returned before.
    _failed: Reason | None = None
    # Whether the line has let go of the peer.
    _closed = False
    # When a grace is over, and why there is one. The limit of the opening may be earlier.
    _grace_over = (math.inf, Reason.CANCELLED)
    # When the body was cancelled, and when the end has to be over once it has begun.
    _cancelled_at = math.inf
    _ends_by: float | None = None
    # What to report if the opening takes too long.
    _too_slow: trio.TooSlowError | None = None
    # When the timer ends the body, if there is one, and why.
    _timer: Timer | None = None
    _due: tuple[float, Reason] = _grace_over
    # Whether the body's scope is lent, and whether it has to be left alone because all is over.
    _is_lent = False
    _is_over = False

    def __init__(
        self,
        line: Line,
        timeouts: Timeouts,
        opening: Opening | None = None,
        *,
        started: float | None = None,
        around: trio.CancelScope | None = None,
        timer: Timer | None = None,
    ) -> None:
        self.line = line
        now = trio.lowlevel.current_clock().current_time() if started is None else started
        self.started = now
        self._timeouts = timeouts
        self._opening = opening
        if around is None:
            within = math.inf if opening is None else opening.seconds
            self._body = trio.CancelScope(deadline=now + within)
        else:
            self._body = around
            self._is_lent = True
            self._at_deadline = Reason.CANCELLED  # unless this sets one, it is the lender's
            self._timer = timer
            if opening is not None:
                self._end_at(now + opening.seconds, Reason.TIMEOUT, opening.seconds)

    def hold(self, stack: ResourceStack) -> None:
        """Take over the resources that are entered without it, before it runs."""
        self._stack = stack

    # What may end an exchange. All of these are synchronous and may come at any time.

    def note_opening(self, opening: Opening) -> None:
        """
        Begin to make the arguments now, which has its own limit, until :meth:`note_opened`.

        The body must have a scope of its own, or there must be a timer.
        """
        self._opening = opening
        limit = trio.current_time() + opening.seconds
        if limit >= self._grace_over[0]:
            return
        if self._timer is not None:
            self._end_at(limit, Reason.TIMEOUT, opening.seconds)
        else:
            self._body.deadline, self._at_deadline = limit, Reason.TIMEOUT

    def note_opened(self) -> None:
        """Note that the opening is over, or doesn't matter. From now on, only a grace ends it."""
        if self._timer is not None:
            over, why = self._grace_over
            if over != self._due[0]:
                self._end_at(
                    over, why, math.inf if over == math.inf else over - trio.current_time()
                )
            return
        if self._is_lent:
            return  # who has lent the scope may have set a deadline, and there is none for opening
        deadline, self._at_deadline = self._grace_over
        if deadline != self._body.deadline:  # setting it takes time
            self._body.deadline = deadline

    def _end_at(self, due: float, why: Reason, seconds: float) -> None:
        """Let the timer cancel the body in so many seconds, which is when it is *due*, and why."""
        if self._timer is None or self._is_over:
            return
        self._due = (due, why)
        if due == math.inf:
            self._timer.discard(self)
        else:
            self._timer.add(self, seconds)

    def on_due(self) -> None:
        """Cancel the body, because its time is over. The timer calls this."""
        self.cancel(self._due[1])

    def note_gone(self) -> None:
        """Note that the peer is gone. Stop the exchange's nursery, and let the handler finish."""
        self._end_after(self._timeouts.disconnect_grace, Reason.PEER_GONE)
        self.note_opened()

    def note_shutdown(self, grace: float) -> None:
        """Note that the server shuts down. The handler has *grace* seconds to finish."""
        self._end_after(grace, Reason.SHUTDOWN)

    async def shut_down(self, grace: float = math.inf) -> None:
        """
        Tell the peer that the server shuts down, and let the handler finish.

        The handler has ``shutdown_grace`` to finish, or *grace* if that is shorter. If the peer is
        gone, or leaves meanwhile, it has ``disconnect_grace`` from then on.
        """
        self.note_shutdown(min(grace, self._timeouts.shutdown_grace))
        if not await self.line.shut_down():
            self._end_after(self._timeouts.disconnect_grace, Reason.PEER_GONE)

    def _end_after(self, grace: float, why: Reason) -> None:
        if self._is_over:
            return
        self._ending = True
        if self._nursery is not None:
            self._nursery.cancel()
        over = trio.current_time() + grace
        if over < self._grace_over[0]:
            self._grace_over = (over, why)
        if self._timer is not None:
            if over < self._due[0]:
                self._end_at(over, why, grace)
        elif over < self._body.deadline:
            self._body.deadline, self._at_deadline = over, why

    def cancel(self, why: Reason) -> None:
        """Cancel the handler at once."""
        if self._is_over:
            return
        if self._failed is None and why.is_failure:
            self._failed = why
        if self._cancelled is None:
            # If the body's deadline has passed, that came first. The body is only slow to end.
            self._cancelled = self._at_deadline if self._body.cancel_called else why
            self._cancelled_at = min(trio.current_time(), self._body.deadline)
        self._body.cancel()
        if self._is_lent:
            self._body.deadline = -math.inf  # by which its owner sees that

    def _note_expired(self, host: Host) -> None:
        self.cancel(Reason.RESOURCE_FAILED)

    def _note_task_failed(self, error: BaseException) -> None:
        # Here, too, it isn't an error that the peer has left.
        if not self._is_end(error):
            self._nursery_error = error
            self.cancel(Reason.TASK_FAILED)

    # What inspection can see of it. The code that runs it doesn't use this.

    @property
    def hosts(self) -> Sequence[Host | Guest]:
        """Its resources, in the order of entry."""
        return () if self._stack is None else tuple(self._stack.hosts)

    @property
    def cancelled(self) -> Reason | None:
        """Why the handler was cancelled, if it was."""
        if self._cancelled is None and self.task is not None and _is_cancelled(self._body):
            return self._at_deadline if self._body.cancel_called else Reason.CANCELLED
        return self._cancelled

    @property
    def making(self) -> Factory | None:
        """The factory that makes an argument at the moment."""
        return None if self._stack is None else self._stack.making

    @property
    def is_ending(self) -> bool:
        """Whether its handler, or the factories before it, are over."""
        return self._ends_by is not None

    @property
    def stage(self) -> LifetimeStage:
        """What it is doing."""
        if self.is_ending:
            return "end"
        return "handler" if self.making is None else "arguments"

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
        if self.making is not None and self.making.hosted and self.making.holding.is_possible:
            return math.inf  # the end waits for it, and comes in time
        return self._cancelled_at + self._timeouts.teardown

    @property
    def grace(self) -> tuple[float, Reason] | None:
        """When the handler's grace is over, on Trio's clock, and why it ends, if there is one."""
        return self._grace_over if self._ending else None

    # The life.

    async def run(
        self, body: Body, *, wants_nursery: bool = False, enters_resources: bool = False
    ) -> None:
        """
        Make the arguments, call the handler, and end the exchange, whatever happens.

        Tasks of the exchange run in a nursery around all that. There is none if nobody needs it.

        Args:
            body: Makes the arguments and calls the handler.
            wants_nursery: Whether the body wants the exchange's nursery.
            enters_resources: Whether the body enters resources that need tasks of their own.

        Raises:
            BaseException: All that went wrong, as one exception.
            trio.Cancelled: It was cancelled from outside, and nothing went wrong.

        In either case everything is closed by then.
        """
        errors: list[BaseException] = []
        cancelled: BaseException | None = None
        self.task = trio.lowlevel.current_task()
        self.outer_nurseries = len(self.task.child_nurseries)
        try:
            if not (wants_nursery or enters_resources or self.line.needs_nursery):
                await self._live(body, None, errors)
            else:
                async with trio.open_nursery() as tasks:
                    self.tasks = tasks
                    await self._live(body, tasks, errors, wants_nursery=wants_nursery)
                    if self.line.needs_nursery:  # its tasks are all that is left
                        tasks.cancel_scope.cancel()
        except BaseException as exc:  # noqa: BLE001 - raised below
            cancelled = exc
            # Our own tasks raise nothing. If one does, its error is not lost.
            if (rest := without_cancelled(exc)) is not None:
                errors.append(rest)
        finally:
            self._is_over = self._is_lent
            self.line.note_over()
            self._stack = self._nursery = self._too_slow = None  # they refer to this object
            self.stragglers = ()
            self.task = self.tasks = None
        if errors or cancelled is not None or self._nursery_error is not None:
            errors += self._take_nursery_error()
            error = self._combined(errors)
            # An error takes precedence over a cancellation. The next checkpoint of whoever was
            # cancelled raises that again; the error would be lost.
            try:
                if error is not None:
                    self.line.explain(error)
                    raise error
                if cancelled is not None:
                    raise cancelled
            finally:
                del error, errors, cancelled  # as in _live(): their tracebacks refer to this frame
        # A cancellation from outside was held back until everything was closed, whatever else
        # cancelled the handler first. Now it goes on. (A lent scope may be cancelled from here.)
        if not self._is_lent or self._cancelled is Reason.CANCELLED:
            await trio.lowlevel.checkpoint_if_cancelled()

    async def _live(
        self,
        body: Body,
        tasks: trio.Nursery | None,
        errors: list[BaseException],
        *,
        wants_nursery: bool = False,
    ) -> None:
        """Run the body, and end the exchange. What has to be reported is added to *errors*."""
        self.line.start(tasks)
        stack = self._stack
        if stack is None:
            stack = self._stack = ResourceStack(tasks, self._note_expired, takes_guests=True)
        error: BaseException | None = None
        task = trio.lowlevel.current_task()
        scopes = scopes_of(task)
        try:
            if self._is_lent and not wants_nursery:
                # A cancellation goes on to whoever has lent the scope, when all is closed.
                self.returned = await body(stack, None)
                if scopes_of(task) is not scopes:
                    await refuse_left_open(scopes)
                is_plain = tasks is None and not stack.hosts
                if self.line.is_complete and is_plain and self._body.deadline == math.inf:
                    return  # the usual end of a request
            else:
                await self._live_in_scope(body, stack, tasks, wants_nursery=wants_nursery)
        except BaseException as exc:  # noqa: BLE001 - raised when all is closed
            error = exc
            if self._is_lent and self._cancelled is Reason.TIMEOUT:
                self._note_too_slow(exc)
            if scopes_of(task) is not scopes:
                await close_left_open(scopes)
        if self._timer is not None:
            # As a scope of its own would be, the lent one is left alone from here on.
            if self._due[0] < math.inf:
                self._timer.discard(self)
            self._is_over = True
        try:
            await self._end(self._outcome(error), errors)
        finally:
            # The traceback of the error refers to this frame, so it would stay until the next
            # garbage collection.
            del error, errors

    async def _end(self, outcome: _HandlerEnd, errors: list[BaseException]) -> None:
        """End the exchange. What has to be reported is added to *errors*."""
        assert self._stack is not None
        try:
            outcome = await self._finish(outcome, errors)
            if not self._closed:
                await self._let_go(errors)
        finally:
            if self._stack.hosts:
                seconds = self._timeouts.teardown / 2
                errors += await self._exit(outcome, errors, seconds=seconds, spares=False)
            del outcome, errors  # as in _live()

    async def _live_in_scope(
        self, body: Body, stack: ResourceStack, tasks: trio.Nursery | None, *, wants_nursery: bool
    ) -> None:
        with nullcontext() if self._is_lent else self._body:
            task = trio.lowlevel.current_task()
            scopes = scopes_of(task)
            try:
                nursery = await self._open_nursery(tasks) if wants_nursery else None
                self.returned = await body(stack, nursery)
                if scopes_of(task) is not scopes:
                    await refuse_left_open(scopes)
            except BaseException as exc:
                if (self._cancelled or self._at_deadline) is Reason.TIMEOUT:
                    self._note_too_slow(exc)
                if scopes_of(task) is not scopes:
                    await close_left_open(scopes)
                raise

    def _outcome(self, error: BaseException | None) -> _HandlerEnd:
        """Say how the handler, or a factory before it, has ended that raised *error*."""
        if error is None and not self._body.cancelled_caught:
            return _RETURNED
        error = None if error is None else without_stray(error)
        real = None if error is None else without_cancelled(error)
        if real is error and not self._body.cancelled_caught:
            return _HandlerEnd(real)
        if self._cancelled is None:
            passed = self._body.cancel_called
            self._cancelled = self._at_deadline if passed else Reason.CANCELLED
        return _HandlerEnd(real, self._cancelled if real is None else None)

    async def _open_nursery(self, tasks: trio.Nursery | None) -> trio.Nursery:
        assert tasks is not None
        self._nursery = OwnNursery(self._note_task_failed, self.line.noun)
        if self._ending:  # already
            self._nursery.cancel()
        return await self._nursery.open(tasks)

    def _note_too_slow(self, error: BaseException) -> None:
        """Find out what the opening has waited for, while that can be seen."""
        if self._opening is None or not self._body.cancel_called:
            return
        assert self._stack is not None
        self._too_slow = self._opening.too_slow(self._stack.making)
        add_stack(self._too_slow, self._stack.interrupted or frames_of(error))

    # The end.

    async def _finish(self, outcome: _HandlerEnd, errors: list[BaseException]) -> _HandlerEnd:
        """
        Tell the peer, and exit the resources. What has to be reported is added to *errors*.

        Returns:
            How the handler has ended, as resources see it.
        """
        if outcome is _RETURNED and self.line.is_complete and self._is_plain:
            self._closed = True
            return outcome
        timeouts = self._timeouts
        last = trio.current_time() + timeouts.teardown
        self._ends_by = last + timeouts.teardown
        late = await self._wait_for_others(last - timeouts.teardown / 2)
        assert self._stack is not None
        found = [] if outcome.error is None else [outcome.error]
        found += self._take_nursery_error()
        if late and outcome is _RETURNED:
            # Not everything is done, so nobody may be told that it is.
            self._failed = self._failed or Reason.TASK_FAILED
            found.append(
                TeardownTimeout(
                    f"{late[0]} did not end in time, which is half of Timeouts.teardown"
                )
            )
        if not found and self._cancelled is Reason.TIMEOUT and self._too_slow is not None:
            found.append(self._too_slow)
        failed: list[BaseException] = []
        if not self.line.tells_last:
            await self._conclude(found, errors)
        if self._stack.hosts:
            seconds = timeouts.teardown
            if self._nursery or self.stragglers or not self.line.tells_last:  # that took time
                seconds = max(last - trio.current_time(), seconds / 2)
            outcome = self._as_seen(outcome)
            failed = await self._exit(outcome, errors, seconds=seconds, spares=True)
            (found if self.line.tells_last else errors).extend(failed)
        if self.line.tells_last:
            await self._conclude(found, errors)
            # To the line, they are normal ends. But there may be an error behind one.
            errors += [one for one in failed if self._is_end(one) and self._has_news(one, errors)]
        self._ends_by = math.inf  # each step from here on has its own limit
        if self.line.delivered:
            await self._close_line(errors)
        return outcome

    async def _wait_for_others(self, until: float) -> list[str]:
        """Wait for all that may use the resources beside the handler. Return what has not ended."""
        late = []
        if self._nursery is not None:
            seconds = until - trio.current_time()
            if not await self._nursery.leave(seconds):
                late.append(f"a task in the {self.line.noun}'s nursery")
        late += [one.name for one in self.stragglers if not await one.wait_over(until)]
        return late

    def _as_seen(self, outcome: _HandlerEnd) -> _HandlerEnd:
        """
        Return how the handler has ended for a resource that exits now.

        What fails after the handler has returned, and before the first exit, fails the exchange. So
        nothing may be committed, as if the handler had been cancelled.
        """
        if outcome is _RETURNED and self._failed is not None:
            return _HandlerEnd(cancelled=self._failed)
        return outcome

    async def _let_go(self, errors: list[BaseException]) -> None:
        """
        Let the peer take what was handed over, then let go of it.

        A slow peer may take minutes, so nothing shields that wait. When it is cancelled, or over
        because the server shuts down, what is left has ``Timeouts.close``. What the application
        does after its response may also fail.

        Args:
            errors: What goes wrong is added.
        """
        cancelled = True
        try:
            await self.line.wait_delivered()
            cancelled = False
        except Exception as exc:  # noqa: BLE001 - the nursery would raise it as a group
            errors.append(exc)
            cancelled = False
        finally:
            await self._close_line(errors, cancelled=cancelled)

    async def _close_line(self, errors: list[BaseException], *, cancelled: bool = False) -> None:
        from_outside = self._cancelled is not None and self._cancelled.from_outside
        try:
            await self.line.aclose(cancelled=cancelled, from_outside=from_outside)
        except Exception as exc:  # noqa: BLE001 - the other errors must not be lost
            errors.append(exc)
        self._closed = True
        if self.tasks is not None:
            # Tasks of the exchange's nursery are left, if they take longer than they may.
            self._ends_by = trio.current_time() + self._timeouts.teardown

    async def _exit(
        self,
        outcome: _HandlerEnd,
        errors: list[BaseException],
        *,
        seconds: float,
        spares: bool,
    ) -> list[BaseException]:
        """
        Let the resources exit, and return what has failed in that, if somebody has to see it.

        Args:
            outcome: How the handler has ended.
            errors: What will be reported in any case.
            seconds: How long it may take.
            spares: Whether those stay that are to outlast the outcome.
        """
        assert self._stack is not None
        failed = await self._stack.aclose(
            seconds=seconds,
            error=outcome.error,
            cancelled=outcome.cancelled,
            own=self.line.own,
            is_end=outcome.error is not None and self._is_end(outcome.error),
            spares_outlasting=spares,
        )
        known = [*errors, *([] if outcome.error is None else [outcome.error])]
        told: list[BaseException] = []
        for exc in failed:
            if not self._came_too_late(exc, [*known, *told]):
                told.append(exc)
        return told

    def _came_too_late(self, exc: BaseException, known: Iterable[BaseException]) -> bool:
        """
        Say whether an exit only had something to say to a peer that was gone.

        As in a handler, that is a normal end. It isn't one if the peer was told of an error,
        because nobody else would learn of that error.
        """
        return not self._unexplained and self._is_end(exc) and not self._has_news(exc, known)

    def _is_end(self, error: BaseException) -> bool:
        return all(self.line.is_end(leaf) for leaf in leaves(error))

    def _has_news(self, exc: BaseException, known: Iterable[BaseException]) -> bool:
        """Say whether there is an error behind another one that nobody would learn of otherwise."""
        reported = {id(leaf) for error in known for leaf in leaves(error)}
        return any(
            not (is_a(one, *_NO_ERRORS) or is_own_cancellation(one, self.line.own))
            and id(one) not in reported
            for one in behind(exc)
        )

    async def _conclude(self, found: list[BaseException], errors: list[BaseException]) -> None:
        """
        Let the line tell the peer how the exchange ends.

        Args:
            found: What was raised. What else has failed is added.
            errors: What has to be reported is added.
        """
        found += self._take_nursery_error()
        # If a resource failed, its error comes when it exits.
        self._unexplained = expected = self._cancelled is Reason.RESOURCE_FAILED
        try:
            end = await self.line.conclude(found, self._cancelled)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the resources have to exit
            errors += [*found, exc]
            return
        self._unexplained = expected and end.told and not end.failed
        reason = self._cancelled or (self._at_deadline if self._is_body_over else None)
        if end.why or reason is not None:
            self.why = "; ".join(filter(None, (end.why, why_cancelled(reason, self.line.who))))
        if end.failed:
            # If something failed, nobody needs to hear that the peer has left, too.
            errors += [error for error in found if not self._is_end(error)] or found

    @property
    def _is_plain(self) -> bool:
        """Whether nothing was opened that has to be closed, and nothing has ended the body."""
        assert self._stack is not None
        return self.tasks is None and not self._stack.hosts and not self._is_body_over

    @property
    def _is_body_over(self) -> bool:
        """Whether the body is cancelled. Whoever cancels a lent scope sets a deadline."""
        if self._is_lent and self._body.deadline == math.inf:
            return False  # asking the scope takes longer, because it looks at the clock
        return self._body.cancel_called

    def _combined(self, errors: list[BaseException]) -> BaseException | None:
        return combined(f"errors in one {self.line.noun}", errors)

    def _take_nursery_error(self) -> list[BaseException]:
        """Return the error of the exchange's nursery, but only once."""
        error, self._nursery_error = self._nursery_error, None
        return [] if error is None else [error]
