"""
Knows what the promise means for a request to a route: a complete 2xx means that it is done.

What the client may take for a response is read from the bytes that the server has handed over, and
compared with what the factories and the handler have noted.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from itertools import chain

import h11
import trio
from attrs import frozen

from tests.exchange.promise_cases import Kind, What
from tests.exchange.promise_oracle import CODES, NEAR, Judge, is_disconnect, same
from tests.exchange.promise_route import RouteStory
from tests.exchange.promise_route_cases import Body, Call, Result
from tests.exchange.promise_story import STUBBORN, Instance, Moment, leaves
from triows import HandlerCancelled, HTTPException
from triows.exceptions import Disconnected

__all__ = ["Answer", "RouteJudge", "answer_in"]


@frozen
class Answer:
    """What was handed over of a response."""

    #: Its status, when its head was handed over, and when all of it was.
    status: int
    begun: Moment
    complete: Moment | None

    @property
    def is_promise(self) -> bool:
        """Whether the client may take it for a whole 2xx."""
        return self.status // 100 == 2 and self.complete is not None


def answer_in(wire: Sequence[tuple[Moment, bytes]], method: str) -> Answer | None:
    """
    Read the response to one request.

    Raises:
        AssertionError: There is more than one, or something that isn't a response.
    """
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "testserver")]))
    client.send(h11.EndOfMessage())
    head: tuple[int, Moment] | None = None
    complete: Moment | None = None
    for moment, data in wire:
        assert complete is None, "something was sent after the end"
        client.receive_data(data)
        while (event := client.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            match event:
                case h11.Response():
                    head = event.status_code, moment
                case h11.EndOfMessage():
                    complete = moment
        assert client.trailing_data[0] == b"", "a second response"
    assert head is not None or not wire, "something that isn't a response"
    return None if head is None else Answer(*head, complete)


class RouteJudge(Judge[RouteStory]):
    """
    Knows the responses of routes.

    The handler is cancelled if its client is gone for longer than its grace. If it is a stream, it
    may also end because a part can't be sent.
    """

    quiet = (0, 200)

    def __init__(self, story: RouteStory) -> None:
        assert isinstance(story.case, Call)
        self.call = story.case
        method = "GET" if self.call.body is Body.NONE else "POST"
        self.answer = answer_in(story.wire, method)
        super().__init__(story)
        self.inner = [one for one in self.entered if not one.resource.outlasts]
        self.outer = [one for one in self.entered if one.resource.outlasts]
        self.outcomes |= self._further_outcomes()

    @property
    def _may_fail_late(self) -> bool:
        """Whether a resource that outlasts the response may fail while the others exit."""
        kinds = (Kind.EXPIRING, Kind.EXPIRING_WHOLE, Kind.BACKGROUND)
        return any(one.kind in kinds for one in self.outer)

    def check(self) -> None:
        self.check_everything_is_over()
        self.check_resources_exit_once_in_order()
        self.check_a_2xx_means_that_it_is_done()
        self.check_streams_hold_their_resources()
        self.check_what_outlasts_the_response()
        if not self.story.served:
            return
        self.check_handler_ends_in_time()
        self.check_handler_is_used_well()
        self.check_what_resources_see()
        self.check_cleanups_work()
        self.check_own_tasks_outlive_the_handler()
        self.check_budget()
        self.check_errors()
        self.check_normal_ends_are_quiet()
        self.check_what_the_peer_is_told()
        self.check_log_line()

    # Why it ends.

    @property
    def _left(self) -> Moment | None:
        """When the client has left, if the server noticed at once."""
        story = self.story
        closed, reset = story.when(What.PEER_CLOSES), story.when(What.PEER_RESETS)
        return min(filter(None, (closed, reset)), default=None)

    @property
    def gone_at(self) -> float:
        return math.inf if self._left is None else self._left.time

    def _strikes_of_the_peer(self) -> Iterator[tuple[float, str, bool]]:
        story, closed = self.story, self.story.closed
        if self._left is not None:
            yield self._left.time + self.case.grace, "peer gone", self._is_incomplete_at(self._left)
        if closed is not None and self._is_incomplete_at(closed):
            # The server has given up a client that takes nothing, or has cut the response.
            yield closed.time + self.case.grace, "peer gone", False
        if (stalled := self._stalls_at) is not None:
            yield stalled + self.case.grace, "peer gone", False
        if story.instances:
            limit = story.instances[0].called.time + self.timeouts.accept
            late = story.began is None or same(story.began.time, limit)
            # The factories of a client that has left have its grace, and no other limit.
            if late and self.gone_at >= limit - NEAR:
                yield limit, "timeout", not same(self.gone_at, limit)

    def _is_incomplete_at(self, moment: Moment) -> bool:
        complete = None if self.answer is None else self.answer.complete
        return complete is None or moment <= complete

    @property
    def _stalls_at(self) -> float | None:
        """When the server stops waiting for the rest of a body, if it may have to."""
        if self.call.body is Body.NONE:
            return None
        stops = any(event is What.PEER_VANISHES for _, event in self.story.events)
        return self.timeouts.receive if stops or self.call.pause == math.inf else None

    @property
    def is_disturbed(self) -> bool:
        """Whether something from outside has happened before the end, or the client is slow."""
        return (
            (bool(self.story.events) and min(self.story.events)[0] < self._done)
            or self.call.is_slow
            or not self.case.reads
            or (self.call.body is not Body.NONE and self.call.pause > 1)
        )

    @property
    def _done(self) -> Moment:
        assert self.story.done is not None
        return self.story.done

    def _body(self) -> tuple[float, set[str]]:
        end, outcomes = super()._body()
        if self._may_end_later and self.is_disturbed:
            ends = [one.began.time for one in self.entered if one.began is not None]
            if self.story.task_cancelled is not None:
                ends.append(self.story.task_cancelled.time)
            end = max(end, min(ends, default=end))
        return end, outcomes

    @property
    def _may_end_later(self) -> bool:
        """Whether a response is sent when the handler, and what it streams, are over."""
        return self.story.ended is not None and self.call.result not in (
            Result.VALUE,
            Result.NOTHING,
            Result.RESPONSE,
        )

    def _further_outcomes(self) -> set[str]:
        """Return what may be true as well if the response was being sent, or was not read."""
        found: set[str] = set()
        reasons = {why for at, why, _ in self.strikes if at <= self.body_end + NEAR}
        if self.outcomes == {"closed"} or self._may_end_later:
            found |= {"left"} if self.is_disturbed else set()
            found |= {"cancelled"} if reasons else set()
            self.reasons |= reasons
        if self.story.began is None and not self.entry_errors:
            found |= {"left"} if self.is_disturbed else set()
        return found

    def _sees(self, one: Instance, outcome: str) -> bool:
        match outcome:
            case "closed":
                return False  # the body has ended in another way, which is among the outcomes
            case "left":
                if one.kind.bare:
                    return one.saw is None and bool(one.begun)
                return isinstance(one.saw, Disconnected | HandlerCancelled)
            case "raised" if one.kind.bare and is_disconnect(*self.body_errors):
                # It only means that the client has left, if the client has left.
                return self.is_disturbed or not one.begun
        return super()._sees(one, outcome)

    # The checks.

    def check_handler_is_used_well(self) -> None:
        if self.call.body is Body.STREAMED_LARGE:
            self.story.made += [
                exc
                for exc in self.body_errors
                if isinstance(exc, HTTPException) and exc.status_code == 413
            ]
        super().check_handler_is_used_well()

    def check_resources_exit_once_in_order(self) -> None:
        """Each exits once, the last entered first. Those that outlast the response come last."""
        for one in self.story.instances:
            if one.entered is None or not one.kind.hosted:
                assert one.begun == [], f"exited, but never entered: {one}"
            else:
                assert len(one.begun) <= 1, f"exited twice: {one}"
                assert one.began is not None, f"not exited: {one}"
        order = [*reversed(self.inner), *reversed(self.outer)]
        for first, second in itertools.pairwise(order):
            over = first.cleaned or first.gone
            assert over is not None, f"its cleanup did not run: {first}"
            assert second.began is not None
            assert over < second.began, f"exited too early: {second}"

    def check_a_2xx_means_that_it_is_done(self) -> None:
        answer = self.answer
        if answer is None or not answer.is_promise:
            return
        assert answer.complete is not None
        told = answer.complete
        assert self.story.outcome == "returned", f"a 2xx, and the handler {self.story.outcome}"
        assert self.story.ended is not None
        assert self.story.ended < told
        for one in self.inner:
            assert one.cleaned is not None, f"a 2xx before its exit: {one}"
            assert one.cleaned < told, f"a 2xx before its exit: {one}"
            own = one.kind is Kind.EXPIRING_WHOLE  # it has cut its cleanup itself
            assert one.cleanup == "worked" or own, f"a 2xx, and it was cut: {one}"
            assert not one.errors, f"a 2xx, and it failed: {one}"
            assert self.call.result.is_streamed or one.cleaned < answer.begun or self._is_file
            assert self.expires(one) is None or self._tied(one), f"a 2xx, and it gave way: {one}"
        for moment, error in zip(self.story.task_failed, self.story.task_errors, strict=True):
            # It may fail when the time is over that tasks have.
            late = moment.time >= self.body_end + self.case.teardown / 2 - NEAR
            assert late or told < moment, f"a 2xx, and a task has failed: {error!r}"

    @property
    def _is_file(self) -> bool:
        return self.call.result is Result.FILE

    def _tied(self, one: Instance) -> bool:
        """Whether it gave way in the tick in which it had to exit."""
        at = self.expires(one)
        return at is not None and one.began is not None and same(at, one.began.time)

    def check_streams_hold_their_resources(self) -> None:
        last = max(self.story.produced, default=None)
        if last is None:
            return
        for one in self.entered:
            assert one.began is not None
            assert last < one.began, f"a part was made without it: {one}"
            assert self.story.ended is not None
            assert self.story.ended < one.began, f"the stream has outlived it: {one}"

    def check_what_outlasts_the_response(self) -> None:
        """It stays until the last byte is handed over, or there is nobody to hand it to."""
        answer = self.answer
        for one in self.outer:
            assert one.began is not None
            if answer is not None and answer.complete is not None and not self._is_left_open:
                # The server may keep a whole response until the end of its turn.
                early = f"exited before the response was sent: {one}"
                assert answer.complete.time <= one.began.time + NEAR, early
                streams = self.call.result.is_streamed and answer.is_promise
                assert answer.complete < one.began or not streams, early
            for background in self.story.in_background:
                assert background < one.began, f"exited before the background ran: {one}"
        runs = self.call.background and self.call.result.has_background
        if runs and answer is not None and answer.is_promise:
            ran = len(self.story.in_background)
            assert ran <= 1
            assert ran == 1 or self.is_disturbed, "what comes after the response did not run"

    def check_cleanups_work(self) -> None:
        """Cleanups work, unless one takes more than its share, or its own scope has failed."""
        for ones, seconds in (
            (self.inner, self.case.teardown),
            (self.outer, self.case.teardown / 2),
        ):
            exits = [one.began.time for one in ones if one.began is not None]
            if not exits:
                continue
            begins = min(exits)
            end = begins + seconds
            if ones is self.inner and begins > self.body_end + NEAR:
                assert self.case.task is not None or self._may_end_later or self.is_disturbed
                end = max(self.body_end + seconds, begins + seconds / 2)
            self._check_shares(ones, end, sure=not self._may_end_later)

    def _check_shares(self, ones: list[Instance], end: float, *, sure: bool) -> None:
        for number, one in enumerate(ones):
            if not one.begun:
                continue  # its yield is bare, and an exception was raised there
            began = one.begun[0].time
            share = (end - began) / (number + 1)
            if one.kind is Kind.EXPIRING_WHOLE:
                assert one.entered is not None
                share = min(share, max(0, one.entered.time + one.resource.after - began))
            if one.resource.exit < share - NEAR:
                assert one.cleanup == "worked", f"it had {share} s: {one}"
            elif one.resource.exit > share + NEAR and sure:
                assert one.cleanup == "cut", f"it had {share} s: {one}"

    def check_budget(self) -> None:
        """All exits have their time, and a client that is slow has its own."""
        exits = [one.began.time for one in self.inner if one.began is not None]
        last = max([self.body_end, *exits]) + self.case.teardown
        if self.story.task_ended is not None:
            last = max(last, self.story.task_ended.time + self.case.teardown)
        last += self.timeouts.close
        if self.is_disturbed and self.story.wire:
            # As long as it takes something, it gets all of it.
            last = max(last, max(self.story.wire)[0].time) + self.timeouts.send
        if self.call.background:
            last += STUBBORN
        last += self.case.teardown / 2
        assert self._done.time <= last + NEAR, f"took until {self._done}, had to end at {last}"

    # Errors.

    @property
    def _failures(self) -> list[BaseException]:
        """The errors of everything that comes before the end of the response."""
        found = [*self.body_errors, *self.story.task_errors]
        for one in self.inner:
            for error in one.errors:
                found += leaves(error)
        return found

    def _asks_for_an_end(self, error: BaseException) -> bool:
        return isinstance(error, HTTPException)

    def _reported(self) -> tuple[list[BaseException], list[BaseException]]:
        required: list[BaseException] = []
        optional: list[BaseException] = []
        exits = [list(leaves(error)) for one in self.entered for error in one.errors]
        found = [
            *self.body_errors,
            *self.story.task_errors,
            *chain.from_iterable(exits),
        ]
        for exc in found:
            is_quiet = isinstance(exc, Disconnected | HTTPException) or self._is_replaced(exc)
            (optional if is_quiet else required).append(exc)
        if found and self.answer is not None and not any(one for one in required):
            shown = list(leaves(self.story.raised))
            refused = self.answer.status == TEAPOT and len(found) == 1
            assert not refused or found[0] not in shown, "reported what only says how to end"
        return required, optional

    def _is_replaced(self, error: BaseException) -> bool:
        """Whether the cleanup of a resource has made its own error into an answer."""
        return any(
            one.errors[0] is error and all(map(self._asks_for_an_end, leaves(one.errors[1])))
            for one in self.entered
            if len(one.errors) == 2
        )

    def check_normal_ends_are_quiet(self) -> None:
        exits = [one.began for one in self.entered if one.began is not None]
        if self._left is not None and exits and self._left < min(exits):
            super().check_normal_ends_are_quiet()

    def check_errors(self) -> None:
        assert len(self.story.reported) <= 1, f"reported several times: {self.story.reported}"
        super().check_errors()

    # What the client is told.

    def check_what_the_peer_is_told(self) -> None:
        story, answer = self.story, self.answer
        if answer is None:
            assert self._is_unanswered, "nobody has answered"
            return
        if self._is_left_open:
            assert answer.status in self._statuses() | {500}
            return
        may_fail = self.may_blame_a_task or self._may_fail_late
        statuses = self._statuses() | ({500} if may_fail else set())
        assert answer.status in statuses, f"answered {answer.status}, not {statuses}"
        reported = story.raised is not None
        assert answer.status != 500 or reported or self._is_silent, "only the peer is told"
        if (
            self.is_disturbed
            or self.story.task_errors
            or may_fail
            or any(one.kind is Kind.EXPIRING_WHOLE for one in self.inner)
        ):
            return
        if self._is_done:
            assert answer.is_promise, "it is done, and the client isn't told"
        elif answer.status // 100 == 2:
            assert answer.complete is None
            assert story.closed is not None, "the client can't see that the rest is missing"
        else:
            assert answer.complete is not None, "cut"

    @property
    def _is_unanswered(self) -> bool:
        """Whether there may be nobody to answer, or whoever has cancelled the request may do it."""
        cancelled = self.story.when(What.CANCEL)
        vanished = self.story.when(What.PEER_VANISHES)
        return self._left is not None or cancelled is not None or vanished is not None

    @property
    def _is_left_open(self) -> bool:
        """Whether the server answers, because the application was cancelled from outside."""
        return bool(self.story.lines) and self.story.lines[0][0] is None

    @property
    def _is_done(self) -> bool:
        """Whether all that is before the end of the response has worked."""
        works = all(
            one.cleanup == "worked" and not one.errors and self.expires(one) is None
            for one in self.inner
        )
        return works and self.outcomes == {"returned"} and not self.story.task_errors

    def _statuses(self) -> set[int]:
        call, failures = self.call, self._failures
        found: set[int] = set()
        begun = call.result.is_streamed or self._is_file
        if self.story.outcome == "returned" or (begun and self.story.began is not None):
            found.add(204 if call.result is Result.NOTHING else 200)
        found |= {exc.status_code for exc in failures if isinstance(exc, HTTPException)}
        found |= {CODES[reason][1] for reason in self.reasons}
        works = all(one.cleanup == "worked" for one in self.inner)
        if failures or not works or any(self.expires(one) is not None for one in self.inner):
            found.add(500)
        if self.story.outcome == "raised":
            found.add(500)
        found |= self._refusals()
        if self._is_done and not self.is_disturbed:
            return {204 if call.result is Result.NOTHING else 200}
        return found

    def _refusals(self) -> set[int]:
        """The statuses for what may be wrong with the body."""
        found = {Body.WRONG: {422}, Body.LARGE: {413}, Body.STREAMED_LARGE: {413}}
        refused = found.get(self.call.body, set())
        if self.call.body is not Body.NONE and (self.is_disturbed or self.call.pause > 1):
            refused |= {408, 503}
        return refused

    @property
    def _is_silent(self) -> bool:
        """Whether the handler has only raised that a client has left. A log line says so."""
        return bool(self._failures) and all(map(_is_gone, self._failures))

    def check_log_line(self) -> None:
        lines = self.story.lines
        assert len(lines) == 1, lines
        if self._is_left_open:
            is_late = "refused with 408" in lines[0][1]
            assert self.story.when(What.CANCEL) or self._left or is_late, lines
        elif self.answer is not None:
            assert lines[0][0] == self.answer.status, lines


#: The status of the users' HTTPException.
TEAPOT = 418


def _is_gone(error: BaseException) -> bool:
    return isinstance(error, Disconnected | trio.Cancelled)
