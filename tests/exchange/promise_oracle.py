"""
Checks what must be true in a story, derived from the promise alone.

The handler itself says how it ended. From that, and from the rules in the documentation, it
follows when it had to end, what its resources had to see, what the peer had to be told, and which
errors have to be reported. If two things happen at the same time, either may be the first.
"""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import ClassVar, Generic, TypeVar

import trio

from tests.exchange.promise_cases import TIMEOUTS, Kind, What
from tests.exchange.promise_story import STUBBORN, Instance, Story, leaves
from triows import (
    HandlerCancelled,
    HTTPException,
    ResourceExpired,
    TeardownTimeout,
    WebSocketClose,
)
from triows.exceptions import Disconnected

__all__ = ["CODES", "NEAR", "Judge", "check", "is_disconnect", "same"]

NEAR = 1e-6


S = TypeVar("S", bound=Story)


def check(judge_type: "type[Judge[S]]", story: S) -> None:
    """
    Compare a story with the promise.

    Args:
        judge_type: Knows what is true of its line.
        story: What happened.

    Raises:
        AssertionError: The promise is broken. A note has the whole story.
    """
    try:
        judge_type(story).check()
    except AssertionError as exc:
        exc.add_note(story.tell())
        raise


def same(a: float, b: float) -> bool:
    """Whether two times are the same, apart from rounding."""
    return a == b or abs(a - b) < NEAR


# Why a handler was cancelled, and the correct close code and status for that.
CODES = {
    "cancelled": (1001, 503),
    "shutdown": (1001, 503),
    "peer gone": (1001, 503),  # nobody sees it
    "timeout": (1011, 500),
    "task failed": (1011, 500),
    "resource failed": (1011, 500),
}


class Judge(ABC, Generic[S]):
    """
    What is true of every line.

    Args:
        story: What happened.
    """

    #: The close code and the status, if nothing went wrong and the handler has told neither.
    quiet: ClassVar[tuple[int, int]]

    def __init__(self, story: S) -> None:
        self.story = story
        self.case = story.case
        self.timeouts = TIMEOUTS
        self.entered = [
            one for one in story.instances if one.entered is not None and one.kind.hosted
        ]
        self.strikes = list(self._strikes())
        #: When the handler must be cancelled at the latest, and the reasons that are possible.
        self.first_strike = min((at for at, _, sure in self.strikes if sure), default=math.inf)
        self.reasons = {why for at, why, _ in self.strikes if at <= self.first_strike + NEAR}
        self.body_end, self.outcomes = self._body()
        if "cancelled" in self.reasons:
            # A cancellation from outside is noticed only when the handler has ended. If that takes
            # time, another reason may have come later.
            self.reasons |= {why for at, why, _ in self.strikes if at <= self.body_end + NEAR}

    # How the handler ended, or the factories before it.

    def _strikes(self) -> Iterator[tuple[float, str, bool]]:
        """When and why the handler is cancelled, and whether that is certain."""
        story = self.story
        drained = story.when(What.DRAIN)
        ending = min(self.gone_at, drained.time if drained else math.inf)
        yield from self._strikes_of_the_peer()
        cancelled = story.when(What.CANCEL)
        if cancelled is not None and (story.done is None or cancelled <= story.done):
            yield cancelled.time, "cancelled", True
        if drained is not None:
            yield drained.time + self.timeouts.shutdown_grace, "shutdown", True
        for one in story.instances:
            if one.kind.hosted and (at := self.expires(one)) is not None:
                yield at, "resource failed", True
        for failed in story.task_failed:
            # If the exchange was already ending, a task that fails in its cleanup isn't the reason.
            yield failed.time, "task failed", failed.time < ending - NEAR

    @abstractmethod
    def _strikes_of_the_peer(self) -> Iterator[tuple[float, str, bool]]:
        """The same for what the peer does, or doesn't do."""

    @property
    @abstractmethod
    def gone_at(self) -> float:
        """When the exchange's nursery was cancelled because the peer is gone."""

    def expires(self, one: Instance) -> float | None:
        """When a resource fails by itself while it is in use."""
        at: float | None = None
        if one.entered is None:
            return None
        if one.kind in (Kind.EXPIRING, Kind.EXPIRING_WHOLE):
            at = one.entered.time + one.resource.after
        elif one.kind is Kind.BACKGROUND and one.child_failed:
            assert one.child_ended is not None
            at = one.child_ended.time
        if at is None or (one.began is not None and at > one.began.time + NEAR):
            return None
        # Its task may have failed before the factory reached its yield.
        return max(at, one.entered.time)

    def _body(self) -> tuple[float, set[str]]:
        """When it ended, and how: returned, raised or cancelled. Several if it is a tie."""
        story = self.story
        if story.ended is not None:
            assert story.outcome is not None
            return story.ended.time, {story.outcome}
        assert story.began is None, "the handler began and never ended"
        times = [
            moment.time
            for one in story.instances
            for moment in (one.entered, one.failed, one.entry_cancelled)
            if moment is not None
        ]
        end = max(times, default=0.0)
        if self.entry_errors:
            tie = end >= min((at for at, *_ in self.strikes), default=math.inf) - NEAR
            return end, {"raised", "cancelled"} if tie else {"raised"}
        # It was cancelled between two factories, or while one entered.
        exits = [one.began.time for one in self.entered if one.began is not None]
        return min([*exits, *self.answered], default=self.first_strike), {"cancelled"}

    @property
    def entry_errors(self) -> list[BaseException]:
        """The errors that factories raised instead of making a value."""
        return [error for one in self.story.instances if not one.entered for error in one.errors]

    @property
    def body_errors(self) -> list[BaseException]:
        """The errors of the handler, or of the factory that failed before it."""
        if self.story.ended is not None:
            found = leaves(self.story.error) if self.story.outcome == "raised" else ()
            return [leaf for leaf in found if not isinstance(leaf, trio.Cancelled)]
        return [leaf for error in self.entry_errors for leaf in leaves(error)]

    # The checks.

    def check(self) -> None:
        """Make all checks."""
        self.check_everything_is_over()
        self.check_resources_exit_once_in_reverse()
        self.check_handler_ends_in_time()
        self.check_handler_is_used_well()
        self.check_what_resources_see()
        self.check_cleanups_work()
        self.check_own_tasks_outlive_the_handler()
        self.check_own_task()
        self.check_budget()
        self.check_errors()
        self.check_normal_ends_are_quiet()
        self.check_the_peer_is_told_before_the_exits()
        self.check_what_the_peer_is_told()

    def check_everything_is_over(self) -> None:
        story = self.story
        assert story.done is not None
        assert story.exchanges_left == 0
        assert story.tasks_left == []
        is_struck = self.first_strike <= story.done.time + NEAR  # it may have been refused before
        if is_struck and self.outcomes == {"cancelled"} and self.reasons == {"cancelled"}:
            assert story.cancelled_outside or story.raised is not None, "a cancellation is lost"

    def check_resources_exit_once_in_reverse(self) -> None:
        """Each resource that was entered exits once. The last entered is the first to exit."""
        for one in self.story.instances:
            if one.entered is None or not one.kind.hosted:
                assert one.begun == [], f"exited, but never entered: {one}"
            else:
                assert len(one.begun) <= 1, f"exited twice: {one}"
                assert one.began is not None, f"not exited: {one}"
        for later, earlier in zip(self.entered[1:], self.entered[:-1], strict=True):
            over = later.cleaned or later.gone
            assert over is not None, f"its cleanup did not run: {later}"
            assert earlier.began is not None
            assert over < earlier.began, f"exited too early: {earlier}"

    def check_handler_ends_in_time(self) -> None:
        slow = self.case.handler.dies == "slowly"
        slow |= any(one.resource.stubborn for one in self.story.instances)
        slack = STUBBORN if slow else 0
        assert self.body_end <= self.first_strike + slack + NEAR, (
            f"ran until {self.body_end}, had to end at {self.first_strike} by {self.reasons}"
        )
        if self.outcomes == {"cancelled"}:
            earliest = min((at for at, *_ in self.strikes), default=math.inf)
            assert self.body_end >= earliest - NEAR, "cancelled for no reason"

    def check_handler_is_used_well(self) -> None:
        """The handler sees no exceptions but those that the documentation names."""
        for exc in self.body_errors:
            expected = isinstance(exc, Disconnected) or _holds(self.story.made, exc)
            assert expected, f"the handler had to suffer {exc!r}"

    def check_what_resources_see(self) -> None:
        for one in self.entered:
            if one.kind.gives_way and isinstance(one.saw, trio.Cancelled):
                assert self.expires(one) is not None, f"cancelled for no reason: {one}"
                continue
            at = self.expires(one)
            told = at is None or one.began is None or same(at, one.began.time)
            # If its entry was cancelled when it began, Trio can't tell who cancelled its scopes.
            assert told or self.never_used(one), f"not told that it has given way: {one}"
            reasons, sure = self.failed_meanwhile
            outcomes = self.outcomes - {"returned"} if sure else self.outcomes
            is_told = "returned" in self.outcomes and self._sees_one_of(one, reasons)
            assert is_told or any(self._sees(one, outcome) for outcome in outcomes), (
                f"the handler {outcomes} by {self.reasons}, then {reasons}, and this saw "
                f"{one.saw!r}: {one}"
            )

    @property
    def failed_meanwhile(self) -> tuple[set[str], bool]:
        """What failed before the first exit, and whether that is certain."""
        story = self.story
        exits = [one.began for one in self.entered if one.began is not None]
        if not exits:
            return set(), False
        first = min(exits)
        found: list[tuple[str, bool]] = [
            ("task failed", True) for moment in story.task_failed if moment < first
        ]
        ended = math.inf if story.task_ended is None else story.task_ended.time
        if (
            story.task_cancelled is not None
            and ended >= first.time - NEAR
            and self.may_blame_a_task
        ):
            found.append(("task failed", ended > first.time + NEAR))
        for one in self.entered:
            at = self.expires(one)
            if at is not None and at <= first.time + NEAR:
                found.append(("resource failed", at < first.time - NEAR))
        return {why for why, _ in found}, any(sure for _, sure in found)

    def _sees_one_of(self, one: Instance, reasons: set[str]) -> bool:
        """Whether a resource has seen that the exchange has failed for one of these reasons."""
        if one.kind.bare:
            return bool(reasons) and one.saw is None and bool(one.begun)
        return isinstance(one.saw, HandlerCancelled) and one.saw.reason in reasons

    def _sees(self, one: Instance, outcome: str) -> bool:
        """Whether a resource has seen at its yield what it had to see."""
        if outcome == "returned" or (outcome == "cancelled" and one.kind.bare):
            return one.saw is None and bool(one.begun)
        if outcome == "cancelled":
            return self._sees_one_of(one, self.reasons)
        if not one.kind.bare:
            return set(leaves(one.saw)) == set(self.body_errors)
        return bool(one.begun) == is_disconnect(*self.body_errors)

    @property
    def told_by(self) -> float:
        """When the peer has to be told at the latest. By then, the exchange's nursery is over."""
        ended = self.story.task_ended
        if ended is None:
            return self.body_end
        return max(self.body_end, min(ended.time, self.body_end + self.case.teardown / 2))

    @property
    def closing_begins(self) -> float:
        """When the first resource has to exit. That is at once, if the peer takes the answer."""
        return self.told_by

    def check_cleanups_work(self) -> None:
        """Cleanups work, unless one takes more than its share, or its own scope has failed."""
        begins = self.closing_begins
        end = begins + max(self.body_end + self.case.teardown - begins, self.case.teardown / 2)
        for number, one in enumerate(self.entered):
            if not one.begun:
                continue  # its yield is bare, and an exception was raised there
            began = one.begun[0].time
            share = (end - began) / (number + 1)
            allowed = share
            if one.kind is Kind.EXPIRING_WHOLE:
                assert one.entered is not None
                allowed = min(share, max(0, one.entered.time + one.resource.after - began))
            if one.resource.exit < allowed - NEAR:
                assert one.cleanup == "worked", f"it had {allowed} s: {one}"
            elif one.resource.exit > allowed + NEAR:
                assert one.cleanup == "cut", f"it had {allowed} s: {one}"
                assert one.cleaned is not None
                assert same(one.cleaned.time, began + allowed), f"it had {allowed} s: {one}"

    def timed_out(self, one: Instance) -> bool | None:
        """Whether its exit was cancelled at its deadline. ``None`` if that isn't certain."""
        if one.cleanup != "cut":
            return False
        if one.kind is Kind.EXPIRING_WHOLE:
            assert one.entered is not None
            assert one.cleaned is not None
            own = one.entered.time + one.resource.after
            if own <= one.cleaned.time + NEAR:
                return None if same(own, one.cleaned.time) else False
        return True

    def never_used(self, one: Instance) -> bool:
        """Whether it may have been entered in the same tick in which the entry was cancelled."""
        assert one.entered is not None
        last = self.story.began is None and one is self.entered[-1]
        return last and same(one.entered.time, self.first_strike)

    def check_own_tasks_outlive_the_handler(self) -> None:
        for one in self.entered:
            if one.kind is Kind.NURSERY and one.child_ended and one.cleanup == "worked":
                assert one.cleaned is not None
                assert one.child_ended > one.cleaned, f"its task did not live on: {one}"

    def check_own_task(self) -> None:
        """A task of the exchange's nursery lives exactly as long as the exchange."""
        story = self.story
        if self.case.task is None or story.task_cancelled is None:
            return
        drained = story.when(What.DRAIN)
        outside = story.when(What.CANCEL)
        due = min(
            self.body_end,
            self.gone_at,
            drained.time if drained else math.inf,
            outside.time if outside else math.inf,
        )
        began = story.began.time if story.began else 0
        assert same(story.task_cancelled.time, max(due, began))

    def check_budget(self) -> None:
        """The whole end takes ``teardown``, and exits have half of it, however late they begin."""
        assert self.story.done is not None
        last = self.body_end + self.case.teardown
        last = max(last, self.closing_begins + self.case.teardown / 2)
        if self.story.task_ended is not None:
            last = max(last, self.story.task_ended.time)
        assert self.story.done.time <= last + NEAR

    # Errors.

    def check_errors(self) -> None:
        """Every error is raised, each only once, and nothing else is raised."""
        story = self.story
        found = list(leaves(story.raised))
        shown = list(_shown(story.raised))
        twice = [exc for exc, number in Counter(map(id, found)).items() if number > 1]
        assert not twice, "raised twice"
        required, optional = self._reported()
        missing = [exc for exc in required if not _holds(shown, exc)]
        assert missing == [], f"lost: {missing}"
        rest = [exc for exc in found if not _holds([*required, *optional], exc)]
        self._check_ours(rest)

    def check_normal_ends_are_quiet(self) -> None:
        """An exit that sends something to a peer that has left isn't an error."""
        if any(self.expires(one) is not None for one in self.entered):
            return  # it may be the only report of the error that the peer was told of
        found = list(leaves(self.story.raised))
        for one in self.entered:
            for error in filter(is_disconnect, one.errors):
                assert not any(_holds(found, leaf) for leaf in leaves(error)), "reported"

    def _reported(self) -> tuple[list[BaseException], list[BaseException]]:
        """The errors of the user's code that have to be reported, and those that may be."""
        required: list[BaseException] = []
        optional: list[BaseException] = []
        # Errors that come after the peer was told don't change what it was told.
        answers = [self._answer([*self.body_errors, *known]) for known in self.known_tasks]
        for exc in [*self.body_errors, *self.story.task_errors]:
            quiet = isinstance(exc, Disconnected) or exc in answers
            quiet |= len(self.outcomes) > 1 and isinstance(exc, HTTPException | WebSocketClose)
            (optional if quiet else required).append(exc)
        for one in self.story.instances:
            for error in one.errors if one.entered else ():
                found = list(leaves(error))
                (optional if is_disconnect(error) else required).extend(found)
        if len(self.outcomes) == 1 and answers[0] is answers[1] is not None:
            found = list(leaves(self.story.raised))
            assert answers[0] not in found, "reported what only says how to end"
        return required, optional

    @property
    def known_tasks(self) -> tuple[list[BaseException], list[BaseException]]:
        """
        The errors of the exchange's nursery that were known when the peer was told.

        The first list is without those that came in the same tick. The second list has them, too.
        """
        last = self.told_by
        tasks = list(zip(self.story.task_failed, self.story.task_errors, strict=True))
        before = [error for moment, error in tasks if moment.time <= last - NEAR]
        return before, [error for moment, error in tasks if moment.time <= last + NEAR]

    def _answer(self, errors: Iterable[BaseException]) -> BaseException | None:
        """The exception that asks for a close or a refusal, if nothing else was raised."""
        real = [exc for exc in errors if not isinstance(exc, Disconnected)]
        return real[0] if len(real) == 1 and self._asks_for_an_end(real[0]) else None

    @property
    def may_blame_a_task(self) -> bool:
        """Whether a task of the exchange may have taken more than its share of the time."""
        task = self.case.task
        return task is not None and task.cleanup >= self.case.teardown / 2 - NEAR

    @property
    def answered(self) -> Iterable[float]:
        """When the framework has answered, if only it can have done so."""
        return ()

    @abstractmethod
    def _asks_for_an_end(self, error: BaseException) -> bool:
        """Whether an exception only says how to end."""

    def _check_ours(self, rest: list[BaseException]) -> None:
        """Check the errors that the framework adds. Each must have a reason."""
        kinds = Counter(type(exc) for exc in rest)
        assert set(kinds) <= {ResourceExpired, TeardownTimeout, trio.TooSlowError}, rest
        expired = [
            one
            for one in self.entered
            if one.kind in (Kind.EXPIRING, Kind.EXPIRING_WHOLE)
            and isinstance(one.saw, trio.Cancelled)
            and is_disconnect(*one.errors)
        ]
        timed_out = [self.timed_out(one) for one in self.entered]
        sure, unsure = timed_out.count(True), timed_out.count(None)
        unsure_too = [one for one in expired if self.timed_out(one) or self.never_used(one)]
        assert len(expired) - len(unsure_too) <= kinds[ResourceExpired] <= len(expired), rest
        unsure += self.may_blame_a_task
        assert sure <= kinds[TeardownTimeout] <= sure + unsure, rest
        quiet = not self.body_errors and not self.story.task_errors
        late = "cancelled" in self.outcomes and "timeout" in self.reasons
        assert kinds[trio.TooSlowError] <= late, rest
        if late and quiet and len(self.reasons) == len(self.outcomes) == 1:
            assert kinds[trio.TooSlowError], rest

    # How it ends.

    def check_the_peer_is_told_before_the_exits(self) -> None:
        exits = [one.began for one in self.entered if one.began is not None]
        if self.story.told is not None and exits:
            assert self.story.told < min(exits), "told too late"

    @abstractmethod
    def check_what_the_peer_is_told(self) -> None:
        """Whatever the peer is told is true, and it is told if it is there."""

    def _verdicts(self) -> Iterator[tuple[int, int]]:
        """The close codes and statuses for the way in which the handler ended."""
        for known in self.known_tasks:
            for outcome in self.outcomes:
                if outcome == "cancelled" and not known:
                    yield from (CODES[reason] for reason in self.reasons)
                else:
                    yield from self._verdict(
                        [*(self.body_errors if outcome == "raised" else ()), *known]
                    )
                    yield from self._ties()
                    if self.may_blame_a_task:
                        yield CODES["task failed"]

    def _ties(self) -> Iterator[tuple[int, int]]:
        """The same for a resource that fails when the handler ends, or soon after."""
        for one in self.entered:
            at = self.expires(one)
            if at is not None and self.body_end - NEAR <= at <= self.told_by + NEAR:
                yield CODES["resource failed"]

    def _verdict(self, errors: list[BaseException]) -> Iterator[tuple[int, int]]:
        answer = self._answer(errors)
        real = [exc for exc in errors if not isinstance(exc, Disconnected)]
        if isinstance(answer, WebSocketClose):
            yield answer.code, 403
        elif isinstance(answer, HTTPException):
            yield 1011, answer.status_code
        elif real:
            yield 1011, 500
        else:
            yield self.quiet


def _shown(error: BaseException | None) -> Iterator[BaseException]:
    """
    Yield all exceptions that a traceback shows.

    In Python, the error of a cleanup replaces the error before it. The traceback has both.
    """
    if error is not None:
        yield error
        yield from _shown(error.__context__)
        for one in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
            yield from _shown(one)


def is_disconnect(*errors: BaseException) -> bool:
    """Say whether these only mean that somebody has left."""
    return all(isinstance(leaf, Disconnected) for error in errors for leaf in leaves(error))


def _holds(exceptions: Iterable[BaseException], wanted: BaseException) -> bool:
    return any(exc is wanted for exc in exceptions)
