"""What a lifetime does, whatever the line: the steps of the end, graces, errors, cancellation."""

from __future__ import annotations

import gc
import math
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.exchange.noting import NotingLine, entered, lifetime_over
from triows._errors import leaves
from triows._exchange.lifetime import Lifetime, Opening
from triows._exchange.line import Conclusion
from triows._injection.call import make_value
from triows._injection.factories import Factory
from triows._reasons import Reason
from triows._settings import Timeouts
from triows.exceptions import Disconnected, ResourceExpired, TeardownTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from triows._injection.hosts import ResourceStack

Stack = Any


@pytest.fixture
def line() -> NotingLine:
    return NotingLine()


@pytest.fixture
async def lifetime(line) -> Lifetime:
    return lifetime_over(line)


async def nothing(stack: Stack, nursery: Any) -> None:
    await trio.lowlevel.checkpoint()


async def forever(stack: Stack, nursery: Any) -> None:
    await trio.sleep_forever()


class Boom(Exception):
    pass


async def fails(stack: Stack, nursery: Any) -> None:
    raise Boom


async def raised_by(lifetime: Lifetime, body: Any, **options: Any) -> list[BaseException]:
    """Run an exchange that fails, and return what it raised, without groups."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - returned
        await lifetime.run(body, **options)
    return list(leaves(caught.value))


# The steps, in order


async def test_the_peer_is_told_then_resources_exit_then_the_peer_is_let_go(line, lifetime):
    async def body(stack: ResourceStack, nursery: Any) -> str:
        line.calls.append("body")
        for name in ("first", "second"):
            await entered(stack, lambda seen, name=name: line.calls.append(f"{name} {seen}"))
        return "returned"

    line.delivered = False
    line.got_all.set()
    await lifetime.run(body)
    assert line.calls == [
        *("start", "body", "conclude", "second exit", "first exit", "wait_delivered", "aclose")
    ]
    assert line.outcome == ([], None)
    assert (lifetime.returned, line.is_over) == ("returned", True)


async def test_a_line_with_nothing_to_deliver_is_not_waited_for(line, lifetime):
    await lifetime.run(nothing)
    assert line.calls == ["start", "conclude", "aclose"]
    assert line.closing == {"cancelled": False, "from_outside": False}


async def test_the_tasks_of_the_line_run_until_it_is_closed(line, lifetime):
    async def body(stack: Stack, nursery: Any) -> None:
        await wait_all_tasks_blocked()
        assert not line.reader_ended

    await lifetime.run(body)
    assert line.reader_ended


async def test_a_slow_peer_may_take_its_time(autojump_clock, line, lifetime):
    async def take() -> None:
        await trio.sleep(1000)
        line.got_all.set()

    line.delivered = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await lifetime.run(nothing)
    assert trio.current_time() == 1000
    assert line.closing["cancelled"] is False


async def test_a_cancellation_cuts_the_delivery_short_and_goes_on(autojump_clock, line, lifetime):
    line.delivered = False
    with trio.move_on_after(5) as scope:
        await lifetime.run(nothing)
    assert scope.cancelled_caught
    assert line.calls[-2:] == ["wait_delivered", "aclose"]
    assert line.closing == {"cancelled": True, "from_outside": False}


async def test_a_cancellation_from_outside_waits_for_the_exits(autojump_clock, line, lifetime):
    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append, exits=2)
        await trio.sleep_forever()

    with trio.move_on_after(5) as scope:
        await lifetime.run(body)
    assert scope.cancelled_caught
    assert trio.current_time() == 7
    assert line.calls == ["start", "conclude", "exit after HandlerCancelled", "aclose"]
    assert line.outcome == ([], Reason.CANCELLED)
    assert line.closing == {"cancelled": False, "from_outside": True}
    assert lifetime.why == "the callee was cancelled from outside"


async def test_exits_have_the_teardown_together(autojump_clock, line, lifetime):
    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append, exits=100)
        await entered(stack, line.calls.append, exits=100)

    errors = await raised_by(lifetime, body)
    assert [type(error) for error in errors] == [TeardownTimeout] * 2
    assert trio.current_time() == 4
    assert line.calls[-1] == "aclose"


# Errors


async def test_what_a_body_raises_is_concluded_explained_and_raised(line, lifetime):
    (error,) = await raised_by(lifetime, fails)
    assert isinstance(error, Boom)
    assert line.outcome == ([error], None)
    assert line.explained == [error]


async def test_the_line_decides_whether_an_error_is_reported(line, lifetime):
    line.conclusion = Conclusion("refused", failed=False, told=True)
    await lifetime.run(fails)
    assert (lifetime.why, line.explained) == ("refused", [])


async def test_what_a_resource_raises_at_its_exit_is_reported_beside_the_error(line, lifetime):
    late = LookupError()

    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append, error=late)
        raise Boom

    first, second = await raised_by(lifetime, body)
    assert (type(first), second) == (Boom, late)
    assert str(line.explained[0]).startswith("errors in one call")


@pytest.mark.parametrize("body", [nothing, fails])
async def test_a_line_that_fails_to_tell_the_peer_does_not_keep_resources(line, lifetime, body):
    async def with_a_resource(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append)
        await body(stack, nursery)

    line.conclude_raises = LookupError()
    errors = await raised_by(lifetime, with_a_resource)
    assert [type(one) for one in errors] == [*([Boom] if body is fails else []), LookupError]
    assert line.calls[2].startswith("exit")
    assert line.calls[3] == "aclose"


@pytest.mark.parametrize("delivered", [True, False])
async def test_a_line_that_fails_to_let_go_loses_no_other_error(line, lifetime, delivered):
    line.delivered = delivered
    line.got_all.set()
    line.aclose_raises = LookupError()
    errors = await raised_by(lifetime, fails)
    assert [type(error) for error in errors] == [Boom, LookupError]
    assert line.calls.count("aclose") == 1


async def test_an_error_of_the_lines_own_task_is_not_lost(line, lifetime):
    async def body(stack: Stack, nursery: Any) -> None:
        await wait_all_tasks_blocked()
        raise Boom

    line.reader_raises = LookupError()
    errors = await raised_by(lifetime, body)
    assert [type(error) for error in errors] == [Boom, LookupError]


async def test_an_error_goes_before_a_cancellation(autojump_clock, line, lifetime):
    async def body(stack: Stack, nursery: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    with trio.move_on_after(5) as scope:
        (error,) = await raised_by(lifetime, body)
        assert isinstance(error, Boom)
        await trio.sleep_forever()
    assert scope.cancelled_caught
    # It has replaced the cancellation, so nobody can know of that.
    assert line.outcome == ([error], None)


async def test_a_cancellation_that_came_after_another_end_goes_on(autojump_clock, line, lifetime):
    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append, exits=3)
        lifetime.cancel(Reason.SHUTDOWN)
        await trio.sleep_forever()

    with trio.move_on_after(1) as scope:
        await lifetime.run(body)
    assert scope.cancelled_caught
    assert trio.current_time() == 3
    assert line.outcome == ([], Reason.SHUTDOWN)


async def test_an_exit_that_only_finds_the_peer_gone_is_a_normal_end(line, lifetime):
    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append, error=Disconnected())

    await lifetime.run(body)
    assert line.calls[-2:] == ["exit", "aclose"]


async def test_an_exit_that_finds_the_peer_gone_because_of_another_error_is_reported(
    line, lifetime
):
    async def body(stack: ResourceStack, nursery: Any) -> None:
        late = Disconnected()
        late.__context__ = Boom()
        await entered(stack, line.calls.append, error=late)

    (error,) = await raised_by(lifetime, body)
    assert isinstance(error, Disconnected)


async def test_a_resource_that_fails_cancels_the_body_and_its_error_comes_last(
    autojump_clock, line, lifetime
):
    def expiring() -> Any:
        with trio.move_on_after(3):
            yield

    async def body(stack: ResourceStack, nursery: Any) -> None:
        await make_value(Factory.of(expiring), {}, stack, patience=1)
        await trio.sleep_forever()

    (error,) = await raised_by(lifetime, body)
    assert isinstance(error, ResourceExpired)
    assert line.outcome == ([], Reason.RESOURCE_FAILED)
    assert lifetime.why == "a resource failed, and the callee was cancelled"


# The exchange's nursery


async def test_a_task_of_the_nursery_that_fails_cancels_the_body(line, lifetime):
    async def body(stack: Stack, nursery: Any) -> None:
        nursery.start_soon(fails, None, None)
        await trio.sleep_forever()

    (error,) = await raised_by(lifetime, body, wants_nursery=True)
    assert isinstance(error, Boom)
    assert line.outcome is not None
    (told,), reason = line.outcome
    assert (list(leaves(told)), reason) == ([error], Reason.TASK_FAILED)


async def test_a_task_that_finds_the_peer_gone_leaves_the_body_alone(autojump_clock, lifetime):
    async def finds() -> None:
        raise Disconnected

    async def body(stack: Stack, nursery: Any) -> str:
        nursery.start_soon(finds)
        await trio.sleep(1)
        return "finished"

    await lifetime.run(body, wants_nursery=True)
    assert lifetime.returned == "finished"


async def test_tasks_have_ended_before_the_peer_is_told(autojump_clock, line, lifetime):
    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            line.calls.append("task")

    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append)
        nursery.start_soon(task)
        await wait_all_tasks_blocked()

    await lifetime.run(body, wants_nursery=True)
    assert line.calls == ["start", "task", "conclude", "exit", "aclose"]


async def fails_when_cancelled() -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise Boom


async def fails_after_its_cleanup() -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
        raise Boom


async def does_not_end() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(20)


@pytest.mark.parametrize("tells_last", [False, True])
@pytest.mark.parametrize(
    ("task", "error"),
    [
        (fails_when_cancelled, Boom),
        (fails_after_its_cleanup, Boom),
        (does_not_end, TeardownTimeout),
    ],
)
@pytest.mark.parametrize("peer_leaves", [False, True])
async def test_nothing_is_committed_if_a_task_fails_after_the_body_has_returned(
    autojump_clock, line, lifetime, tells_last, task, error, peer_leaves
):
    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append)
        nursery.start_soon(task)
        await wait_all_tasks_blocked()
        if peer_leaves:
            lifetime.note_gone()

    line.tells_last = tells_last
    (raised,) = await raised_by(lifetime, body, wants_nursery=True)
    assert type(raised) is error
    assert "exit after HandlerCancelled" in line.calls


class Slow:
    """What goes on for some seconds when the body is over."""

    name = "the thread"

    def __init__(self, seconds: float) -> None:
        self.over_at = trio.current_time() + seconds

    async def wait_over(self, until: float) -> bool:
        with trio.CancelScope(shield=True):
            await trio.sleep_until(min(self.over_at, until))
        return trio.current_time() >= self.over_at


@pytest.mark.parametrize(("seconds", "exits_at"), [(1, 1), (100, 2)])
async def test_resources_wait_for_what_goes_on_within_the_teardown(
    autojump_clock, line, lifetime, seconds, exits_at
):
    async def resource() -> AsyncIterator[None]:
        try:
            yield
        finally:
            seen.append(trio.current_time())
            await trio.sleep(100)

    async def body(stack: ResourceStack, nursery: Any) -> None:
        await make_value(Factory.of(resource), {}, stack, patience=1)
        lifetime.stragglers = [Slow(seconds)]
        lifetime.cancel(Reason.SHUTDOWN)
        await trio.sleep_forever()

    seen: list[float] = []
    line.tells_last = True
    (error,) = await raised_by(lifetime, body, enters_resources=True)
    assert type(error) is TeardownTimeout  # of the resource
    assert (seen, trio.current_time()) == ([exits_at], 4)


async def test_a_body_that_leaves_something_behind_and_returns_is_not_done(
    autojump_clock, line, lifetime
):
    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append)
        lifetime.stragglers = [Slow(100)]

    (error,) = await raised_by(lifetime, body)
    assert str(error).startswith("the thread did not end in time")
    assert "exit after HandlerCancelled" in line.calls


@pytest.mark.parametrize("after", [0.5, 1])
async def test_nothing_is_committed_if_a_resource_fails_while_tasks_end(
    autojump_clock, line, lifetime, after
):
    async def other() -> AsyncIterator[None]:
        with trio.fail_after(after):
            yield

    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, line.calls.append)
        await make_value(Factory.of(other), {}, stack, patience=1)
        nursery.start_soon(cleans_up)
        await wait_all_tasks_blocked()

    async def cleans_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1.5)

    await raised_by(lifetime, body, wants_nursery=True)
    assert "exit after HandlerCancelled" in line.calls


async def test_a_nursery_that_is_opened_when_the_peer_is_gone_cancels_its_tasks(
    autojump_clock, lifetime
):
    async def body(stack: Stack, nursery: Any) -> None:
        nursery.start_soon(ended.wait)
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks

    ended = trio.Event()
    lifetime.note_gone()
    await lifetime.run(body, wants_nursery=True)


async def test_without_the_wish_there_is_no_nursery(lifetime):
    async def body(stack: Stack, nursery: Any) -> None:
        assert nursery is None

    await lifetime.run(body)


# The opening


def opening_of(seconds: float, seen: list[Any]) -> Opening:
    def too_slow(making: Any) -> trio.TooSlowError:
        seen.append(None if making is None else making.name)
        return trio.TooSlowError("too slow")

    return Opening(seconds, too_slow)


async def slow_factory() -> None:
    await trio.sleep_forever()


async def waits_for_a_factory(stack: ResourceStack, nursery: Any) -> None:
    await make_value(Factory.of(slow_factory), {}, stack, patience=1)


@pytest.mark.parametrize(
    ("body", "waited_for", "line_of_note"),
    [(forever, None, "in forever"), (waits_for_a_factory, "slow_factory", "in slow_factory")],
)
async def test_an_opening_that_takes_too_long_is_an_error_that_says_what_it_waited_for(
    autojump_clock, line, body, waited_for, line_of_note
):
    seen: list[Any] = []
    lifetime = Lifetime(line, Timeouts(), opening_of(3, seen))
    (error,) = await raised_by(lifetime, body)
    assert trio.current_time() == 3
    assert (seen, type(error)) == ([waited_for], trio.TooSlowError)
    assert error.__notes__[0] == "It waited at"
    assert any(line_of_note in note for note in error.__notes__)
    assert line.outcome == ([error], Reason.TIMEOUT)


async def test_what_has_opened_in_time_may_go_on(autojump_clock, line):
    async def body(stack: Stack, nursery: Any) -> None:
        await trio.sleep(2)
        lifetime.note_opened()
        await trio.sleep(100)

    seen: list[Any] = []
    lifetime = Lifetime(line, Timeouts(), opening_of(3, seen))
    await lifetime.run(body)
    assert (seen, line.outcome) == ([], ([], None))


async def test_a_grace_that_began_during_the_opening_counts_when_it_is_over(autojump_clock, line):
    async def body(stack: Stack, nursery: Any) -> None:
        lifetime.note_shutdown(5)
        lifetime.note_opened()
        await trio.sleep_forever()

    lifetime = Lifetime(line, Timeouts(), opening_of(3, []))
    await lifetime.run(body)
    assert (trio.current_time(), line.outcome) == (5, ([], Reason.SHUTDOWN))


async def test_a_peer_that_leaves_ends_the_opening(autojump_clock, line):
    async def body(stack: Stack, nursery: Any) -> None:
        lifetime.note_gone()
        await trio.sleep_forever()

    lifetime = Lifetime(line, Timeouts(disconnect_grace=5), opening_of(3, []))
    await lifetime.run(body)
    assert (trio.current_time(), line.outcome) == (5, ([], Reason.PEER_GONE))


# Graces


async def ends(lifetime: Lifetime, *, after: float, call: Any, seconds: float = math.inf) -> float:
    """Call something while a body runs for so many seconds. Return when the exchange is over."""

    async def body(stack: Stack, nursery: Any) -> None:
        await trio.sleep(seconds)

    async def later() -> None:
        await trio.sleep(after)
        if (waiting := call()) is not None:
            await waiting

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        await lifetime.run(body)
    return trio.current_time()


async def test_a_body_has_the_disconnect_grace_when_the_peer_is_gone(
    autojump_clock, line, lifetime
):
    assert await ends(lifetime, after=1, call=lifetime.note_gone) == 1 + 2
    assert line.outcome == ([], Reason.PEER_GONE)
    assert lifetime.why == "the callee did not end within its disconnect_grace, and was cancelled"


async def test_a_body_that_finishes_in_its_grace_is_not_cancelled(autojump_clock, line, lifetime):
    assert await ends(lifetime, after=1, call=lifetime.note_gone, seconds=2.5) == 2.5
    assert (line.outcome, lifetime.why) == (([], None), "")


@pytest.mark.parametrize(
    ("grace", "leaves_after", "over", "why"),
    [
        (math.inf, None, 11, Reason.SHUTDOWN),  # the route's own
        (4, None, 5, Reason.SHUTDOWN),
        (100, None, 11, Reason.SHUTDOWN),
        (0, None, 1, Reason.SHUTDOWN),
        (math.inf, 3, 6, Reason.PEER_GONE),
        (math.inf, 9, 11, Reason.SHUTDOWN),  # its disconnect_grace would end later
    ],
)
async def test_of_the_graces_at_a_shutdown_the_one_that_is_over_first_counts(
    autojump_clock, line, lifetime, grace, leaves_after, over, why
):
    line.leaves_after = leaves_after
    assert await ends(lifetime, after=1, call=partial(lifetime.shut_down, grace)) == over
    assert line.outcome == ([], why)


async def test_a_grace_cancels_the_tasks_of_the_nursery_at_once(autojump_clock, lifetime):
    ended: list[float] = []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async def body(stack: Stack, nursery: Any) -> None:
        nursery.start_soon(task)
        await trio.sleep(1)
        lifetime.note_gone()
        await trio.sleep(1)

    await lifetime.run(body, wants_nursery=True)
    assert ended == [1]


@pytest.mark.parametrize("first", [Reason.SHUTDOWN, Reason.APPLICATION_FAILED])
async def test_the_first_reason_counts(autojump_clock, line, lifetime, first):
    async def body(stack: Stack, nursery: Any) -> None:
        lifetime.cancel(first)
        lifetime.cancel(Reason.TASK_FAILED)
        await trio.sleep_forever()

    await lifetime.run(body)
    assert line.outcome == ([], first)


async def test_a_grace_that_was_over_came_before_what_cancels_later(autojump_clock, line, lifetime):
    async def body(stack: Stack, nursery: Any) -> None:
        lifetime.note_gone()
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        lifetime.cancel(Reason.APPLICATION_FAILED)
        await trio.sleep_forever()

    await lifetime.run(body)
    assert line.outcome == ([], Reason.PEER_GONE)


async def test_a_body_that_raises_in_its_cleanup_was_not_only_cancelled(line, lifetime):
    async def body(stack: Stack, nursery: Any) -> None:
        lifetime.cancel(Reason.SHUTDOWN)
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    (error,) = await raised_by(lifetime, body)
    assert isinstance(error, Boom)


# What can be seen of it


async def test_what_it_does_can_be_seen(autojump_clock, line, lifetime):
    seen: list[Any] = []

    def look() -> None:
        seen.append((lifetime.stage, lifetime.making and lifetime.making.name, lifetime.is_ending))

    async def looks() -> None:
        look()

    async def body(stack: ResourceStack, nursery: Any) -> None:
        assert lifetime.task is trio.lowlevel.current_task()
        await entered(stack, lambda _: look())
        await make_value(Factory.of(looks), {}, stack, patience=1)
        look()
        seen.append(len(lifetime.hosts))

    await lifetime.run(body)
    making, handling, resources, ending = seen
    assert (making[0], making[1].rpartition(".")[2], making[2]) == ("arguments", "looks", False)
    assert (handling, ending) == (("handler", None, False), ("end", None, True))
    assert resources == 1
    assert (lifetime.task, lifetime.tasks, lifetime.hosts) == (None, None, ())


async def test_why_it_is_about_to_end_can_be_seen(autojump_clock, lifetime):
    async def body(stack: Stack, nursery: Any) -> None:
        assert (lifetime.grace, lifetime.cancelled) == (None, None)
        lifetime.note_shutdown(3)
        assert (lifetime.grace, lifetime.cancelled) == ((3, Reason.SHUTDOWN), None)
        with trio.CancelScope(shield=True):
            await trio.sleep(4)
        assert lifetime.cancelled == Reason.SHUTDOWN

    await lifetime.run(body)


async def test_a_cancellation_from_outside_can_be_seen_before_it_arrives(autojump_clock, lifetime):
    async def body(stack: Stack, nursery: Any) -> None:
        scope.cancel()
        assert lifetime.cancelled == Reason.CANCELLED
        assert lifetime.due(trio.current_time()) == 4
        await trio.sleep_forever()

    with trio.CancelScope() as scope:
        await lifetime.run(body)


async def test_it_is_known_by_when_it_has_to_be_over(autojump_clock, line, lifetime):
    seen: list[float] = []

    async def body(stack: ResourceStack, nursery: Any) -> None:
        await entered(stack, lambda _: seen.append(lifetime.due(trio.current_time())))
        seen.append(lifetime.due(trio.current_time()))
        await trio.sleep(1)
        lifetime.cancel(Reason.SHUTDOWN)
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        seen.append(lifetime.due(trio.current_time()))

    await lifetime.run(body)
    # The body may go on, then has the teardown for its cleanup, and its end has that twice.
    assert seen == [math.inf, 1 + 4, 3 + 2 * 4]


async def test_tasks_that_are_left_when_the_peer_was_let_go_are_due_after_the_teardown(
    autojump_clock, line, lifetime
):
    async def task() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(20)

    async def body(stack: Stack, nursery: Any) -> None:
        nursery.start_soon(task)
        await wait_all_tasks_blocked()

    async def look() -> None:
        await trio.sleep(10)
        seen.append((line.calls[-1], lifetime.due(trio.current_time())))

    seen: list[Any] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        assert [type(one) for one in await raised_by(lifetime, body, wants_nursery=True)] == [
            TeardownTimeout
        ]
    # The nursery was left after half of the teardown.
    assert (seen, trio.current_time()) == ([("aclose", 2 + 4)], 20)


async def test_a_factory_that_is_being_entered_is_waited_for_by_the_end(autojump_clock, lifetime):
    seen: list[float] = []

    async def entering() -> Any:
        lifetime.cancel(Reason.SHUTDOWN)
        seen.append(lifetime.due(trio.current_time()))
        await trio.sleep_forever()
        yield

    async def body(stack: ResourceStack, nursery: Any) -> None:
        await make_value(Factory.of(entering), {}, stack, patience=1)

    await lifetime.run(body)
    assert seen == [math.inf]


# Memory


@pytest.mark.parametrize("way", ["returns", "raises", "is cancelled", "takes too long"])
async def test_nothing_of_an_exchange_waits_for_the_garbage_collection(autojump_clock, line, way):
    class Held:
        pass

    async def body(stack: ResourceStack, nursery: Any) -> None:
        held = Held()
        kept.append(ref(held))
        await entered(stack, line.calls.append)
        if way == "raises":
            raise Boom
        if way != "returns":
            await trio.sleep_forever()

    kept: list[Any] = []
    opening = opening_of(3, []) if way == "takes too long" else None
    lifetime = Lifetime(line, Timeouts(), opening)
    gc.collect()
    gc.disable()
    try:
        with trio.move_on_after(5):
            # From Python 3.12 on, suppress() makes a cycle of a group that it doesn't suppress.
            try:  # noqa: SIM105
                await lifetime.run(body, wants_nursery=True)
            except (Boom, trio.TooSlowError):
                pass
        line.outcome = None
        line.explained.clear()
        assert [held() for held in kept] == [None]
        kept.append(ref(lifetime))
        del lifetime
        assert kept[-1]() is None
    finally:
        gc.enable()


# What it opens


async def nurseries_within(lifetime: Lifetime, **options: bool) -> int:
    """Count the nurseries that are open in the task of an exchange, beside those around it."""
    task = trio.lowlevel.current_task()
    around, seen = len(task.child_nurseries), []

    async def body(stack: Stack, nursery: Any) -> None:
        await trio.lowlevel.checkpoint()
        seen.append(len(task.child_nurseries) - around)

    await lifetime.run(body, **options)
    return seen[0]


async def test_an_exchange_without_tasks_opens_no_nursery(line, lifetime):
    line.needs_nursery = False
    assert await nurseries_within(lifetime) == 0


@pytest.mark.parametrize("why", ["needs_nursery", "wants_nursery", "enters_resources"])
async def test_an_exchange_with_tasks_opens_one_nursery(line, lifetime, why):
    line.needs_nursery = why == "needs_nursery"
    assert await nurseries_within(lifetime, **({} if line.needs_nursery else {why: True})) == 1


async def test_an_exchange_that_opens_no_nursery_ends_in_the_same_steps(line, lifetime):
    line.needs_nursery = False

    async def body(stack: Stack, nursery: Any) -> None:
        assert (stack.hosts, nursery) == ([], None)
        line.calls.append("body")
        raise Boom

    assert [type(error) for error in await raised_by(lifetime, body)] == [Boom]
    assert line.calls == ["start", "body", "conclude", "aclose"]
    assert (lifetime.task, lifetime.tasks) == (None, None)


async def test_a_resource_exits_though_the_exchange_is_complete_and_has_the_scope_around(line):
    async def resource() -> AsyncIterator[None]:
        yield
        seen.append("exit")

    async def body(stack: ResourceStack, nursery: Any) -> None:
        await make_value(Factory.of(resource), {}, stack, patience=1)

    seen: list[str] = []
    line.needs_nursery, line.is_complete = False, True
    with trio.CancelScope() as around:
        await Lifetime(line, Timeouts(), around=around).run(body)
    assert seen == ["exit"]
