"""A story is cancelled at each of its steps."""

import re
import threading
from contextlib import suppress
from functools import partial
from typing import Annotated

import pytest
import trio

from _triows_schedules.schedule import Schedule
from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute, use
from triows.testing import (
    Interruption,
    LeakError,
    TestClient,
    _cancelling as cancelling,
    explore_cancellation,
    open_app,
)

pytest_plugins = ["pytester"]


def test_a_cleanup_that_awaits_is_found_with_the_step_that_repeats_it():
    rooms: set[str] = set()

    async def story():
        rooms.discard("ada")
        await trio.lowlevel.checkpoint()
        rooms.add("ada")
        try:
            await trio.sleep(1)
        finally:
            await trio.lowlevel.checkpoint()  # tells the others
            rooms.remove("ada")

    def check():
        assert "ada" not in rooms

    with Schedule(5).installed(), pytest.raises(AssertionError) as told:
        explore_cancellation(story, check=check)
    note = told.value.__notes__[-1]
    assert "the story was interrupted\n  after step 2: <story>, test_cancelling.py:" in note
    assert note.endswith("repeat it with at=(2,) and --triows-schedule 5")
    for at in ((2,), 2, [2]):
        with pytest.raises(AssertionError):
            explore_cancellation(story, check=check, at=at)
    assert explore_cancellation(story, check=check, at=(1,)) == 3


@pytest.mark.parametrize("seed", range(12))
def test_a_story_that_ends_well_is_run_once_for_each_of_its_own_steps(seed):
    runs = []

    async def story():
        runs.append(1)
        await trio.sleep(1)
        await trio.lowlevel.checkpoint()

    with Schedule(seed).installed():
        steps = explore_cancellation(story, pairs=5)
    assert steps == 2
    assert len(runs) == 1 + steps + 5


def test_a_story_that_fails_without_being_interrupted_says_so():
    async def story():
        await trio.lowlevel.checkpoint()
        raise ArithmeticError

    with pytest.raises(ArithmeticError) as told:
        explore_cancellation(story)
    first = "failed in the first run, in which nothing was interrupted"
    assert told.value.__notes__ == [f"the story {first}"]
    with pytest.raises(ZeroDivisionError) as told:
        explore_cancellation(trio.lowlevel.checkpoint, check=lambda: 1 / 0)
    assert told.value.__notes__ == [f"check {first}"]


# Stories that don't end.


async def waits_in_a_shield():
    try:
        await trio.sleep(1)
    except trio.Cancelled:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()
        raise


async def waits_in_one_shield_after_another():
    while True:
        with suppress(BaseException), trio.CancelScope(shield=True):
            await trio.sleep_forever()


async def swallows_its_cancellation():
    while True:
        with suppress(BaseException):
            await trio.sleep(1)
            return


async def swallows_it_in_two_tasks():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(swallows_its_cancellation)
        nursery.start_soon(swallows_its_cancellation)


async def swallows_it_in_a_shield_and_sleeps():
    while True:
        try:
            with trio.CancelScope() as scope:
                await trio.sleep(1)
                return
        except trio.Cancelled:
            scope.shield = True
            with trio.CancelScope(shield=True):
                await trio.sleep(1)


async def starts_itself_again():
    async with trio.open_nursery() as nursery:

        async def again():
            nursery.start_soon(again)

        try:
            await trio.sleep(1)
        except trio.Cancelled:
            nursery.start_soon(again)
            raise


async def starts_what_goes_on_after_it():
    trio.lowlevel.spawn_system_task(swallows_its_cancellation)
    await trio.lowlevel.checkpoint()


async def starts_many():
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(waits_in_a_shield)


def test_only_some_tasks_of_a_story_that_does_not_end_are_shown():
    with pytest.raises(AssertionError, match=r"waits_in_a_shield, (?s:.*)and 6 other tasks"):
        explore_cancellation(starts_many)


@pytest.mark.parametrize(
    "story",
    [
        waits_in_a_shield,
        swallows_its_cancellation,
        swallows_it_in_two_tasks,
        swallows_it_in_a_shield_and_sleeps,
        starts_itself_again,
    ],
)
def test_a_story_that_does_not_end_when_it_is_cancelled_ends_and_says_where_it_is(story):
    with pytest.raises(AssertionError, match="the story does not end: ") as told:
        explore_cancellation(story)
    assert re.search(r"Its tasks:\n  \S.*, test_cancelling\.py:", str(told.value))
    assert "Code that catches trio.Cancelled has to raise it again." in str(told.value)
    assert re.search(r"after step 1: .*\nrepeat it with at=\(1,\)", told.value.__notes__[-1])


async def never_rests():
    while True:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    "story",
    [
        never_rests,
        trio.sleep_forever,
        waits_in_one_shield_after_another,
        starts_what_goes_on_after_it,
    ],
)
def test_a_story_that_does_not_end_by_itself_is_told_after_its_first_run(story, monkeypatch):
    monkeypatch.setattr(cancelling, "_MOST", 1000)
    with pytest.raises(AssertionError, match="the story does not end: ") as told:
        explore_cancellation(story)
    assert "first run" in told.value.__notes__[-1]


def test_the_limit_of_steps_leaves_time_to_end():
    ended = []

    async def story():
        try:
            await trio.sleep(1)
        finally:
            with trio.CancelScope(shield=True):
                for _ in range(5_000):
                    await trio.lowlevel.checkpoint()
            ended.append(1)

    explore_cancellation(story, at=(1,))
    assert len(ended) == 2


# Stories that can't be repeated.


def test_a_story_that_differs_each_time_is_refused():
    runs = []

    async def story():
        runs.append(1)
        for _ in range(10 - len(runs)):
            await trio.lowlevel.checkpoint()

    with pytest.raises(RuntimeError, match="something besides the schedule decides"):
        explore_cancellation(story)


def uses_the_sync_client():
    with TestClient(Triows(route)) as client, client.websocket_connect("/ws") as ws:
        ws.send_text("hello")


@pytest.mark.real_socket  # the thread needs some time
@pytest.mark.parametrize("work", [int, uses_the_sync_client])
def test_a_story_that_uses_threads_is_refused(work):
    async def story():
        await trio.to_thread.run_sync(work)

    with pytest.raises(RuntimeError, match="the story uses threads") as told:
        explore_cancellation(story)
    assert "does not end" not in str(told.value)


@pytest.mark.real_socket
def test_a_story_that_fails_because_a_thread_takes_its_time_says_so():
    async def story():
        token = trio.lowlevel.current_trio_token()
        reported, over = threading.Event(), threading.Event()

        def work():
            token.run_sync_soon(int)
            reported.set()
            over.wait(10)

        with trio.fail_after(1):
            try:
                await trio.to_thread.run_sync(work, abandon_on_cancel=True)
            finally:
                # The loop has to wait itself. If a task waited, the clock would jump on.
                reported.wait(10)
                over.set()

    with pytest.raises(trio.TooSlowError) as told:
        explore_cancellation(story)
    assert "the story uses threads" in told.value.__notes__[0]


@pytest.mark.real_socket
def test_a_story_that_waits_for_a_socket_says_what_to_use_instead():
    async def story():
        one, other = trio.socket.socketpair()
        with one, other:
            await one.recv(1)

    with pytest.raises(AssertionError, match="doesn't wait for sockets: use open_app"):
        explore_cancellation(story)


# Mistakes in the call.


async def story():
    await trio.lowlevel.checkpoint()


async def happens():
    raise AssertionError


def starts():
    return happens()


@pytest.mark.parametrize("check", [happens, starts, partial(happens)])
def test_a_check_that_is_async_is_refused(check):
    with pytest.raises(TypeError, match="check is a plain function"):
        explore_cancellation(story, check=check)


def test_a_check_that_returns_false_fails():
    with pytest.raises(AssertionError, match="check returned False"):
        explore_cancellation(story, check=lambda: False)
    assert explore_cancellation(story, check=lambda: None) == 1


def test_a_check_that_is_no_function_is_refused():
    for check in (happens(), "free"):
        with pytest.raises(TypeError, match="check is a function that is called after each run"):
            explore_cancellation(story, check=check)


async def generator():
    yield


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (lambda: None, "the story <lambda> isn't one: it returned None"),
        (
            type,
            "the story type isn't one: calling it raised a TypeError: type() takes 1 or 3",
        ),
        (
            max,
            "the story max isn't one: calling it raised a TypeError: max expected at least 1",
        ),
        ("story", "it takes an async function, as in"),
        (generator, "the story is an async generator"),
        (lambda a, b: None, "this one requires a, b"),
        (lambda *, a: None, "this one requires a"),
    ],
)
def test_a_story_of_another_kind_is_refused(told, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        explore_cancellation(told)


def test_a_story_that_was_called_already_is_refused():
    with pytest.raises(TypeError, match="takes an async function without calling it"):
        explore_cancellation(story())


def test_an_argument_with_a_default_is_the_storys_own():
    seen = []

    async def story(x=1, *args, y=2, **options):
        seen.append((x, args, y, options))
        await trio.lowlevel.checkpoint()

    assert explore_cancellation(story) == 1
    assert seen == [(1, (), 2, {})] * 2


def test_an_error_of_the_storys_own_stays_as_it_is():
    def story():
        return int(None)

    with pytest.raises(TypeError, match="int") as told:
        explore_cancellation(story)
    assert "explore_cancellation" not in str(told.value)


@pytest.mark.parametrize("options", [{}, {"pairs": 3}, {"at": 1}])
def test_a_story_that_never_waits_is_refused(options):
    async def story():
        pass

    with pytest.raises(ValueError, match="the story never waits, so there is no step"):
        explore_cancellation(story, **options)


@pytest.mark.parametrize("at", ["3", 1.5, True, (1, "2"), {3: 1}])
def test_steps_that_are_no_numbers_are_refused(at):
    with pytest.raises(TypeError, match=r"at has the numbers of steps, such as at=\(3,\)"):
        explore_cancellation(story, at=at)


def test_a_step_that_the_story_does_not_have_is_refused():
    with pytest.raises(ValueError, match="steps are counted from 1"):
        explore_cancellation(story, at=(0,))
    text = "the story has 1 step under the schedule 5, so it can't be interrupted after step 999"
    with Schedule(5).installed(), pytest.raises(ValueError, match=text):
        explore_cancellation(story, at=(999,))


@pytest.mark.parametrize("at", [(), []])
def test_steps_that_are_none_at_all_are_refused(at):
    with pytest.raises(ValueError, match="at is empty, so the story would not be interrupted"):
        explore_cancellation(story, at=at)


def test_a_second_step_that_the_run_does_not_reach_is_refused():
    async def story():
        try:
            await trio.sleep(1)
        finally:
            await trio.lowlevel.cancel_shielded_checkpoint()

    text = (
        "the story that is interrupted after step 1 has 2 steps under the schedule 5, so it can't "
        "be interrupted after step 99"
    )
    with Schedule(5).installed():
        with pytest.raises(ValueError, match=text):
            explore_cancellation(story, at=(1, 99))
        assert explore_cancellation(story, at=(1, 2), pairs=50) == 2
        assert explore_cancellation(story, pairs=50) == 2  # some of them are not reached


def test_pairs_are_a_number():
    with pytest.raises(ValueError, match="0 or more, not -1"):
        explore_cancellation(story, pairs=-1)
    with pytest.raises(TypeError, match="not '3'"):
        explore_cancellation(story, pairs="3")


async def test_it_is_not_called_in_a_loop():
    with pytest.raises(RuntimeError, match="call it in a plain `def` test"):
        explore_cancellation(story)


def test_without_a_name_of_trios_it_says_which(monkeypatch):
    monkeypatch.setattr("trio._core._run.Task.__attrs_attrs__", ())
    with pytest.raises(RuntimeError, match=r"it does not find trio\._core\._run\.Task\._counter"):
        explore_cancellation(story)


def test_a_story_that_does_not_say_what_happens_is_refused():
    async def story(interruption):
        await trio.lowlevel.checkpoint()

    with pytest.raises(RuntimeError, match=r"never called by\(\)"):
        explore_cancellation(story)


@pytest.mark.parametrize("make", [lambda: happens, lambda: starts, starts, int])
def test_an_interruption_by_something_that_has_to_be_awaited_is_refused(make):
    async def story(interruption: Interruption):
        interruption.by(make())
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()

    with pytest.raises(TypeError, match=r"Interruption\.by\(\) takes a"):
        explore_cancellation(story)


# Under the test's own schedule.

#: The cleanup has a gap in some orders only.
GAP = """
import pytest
import trio

from triows.testing import explore_cancellation

@pytest.mark.schedules(50)
def test_gap():
    print("run")
    held = []

    async def story():
        order = []

        async def work(n):
            await trio.lowlevel.checkpoint()
            order.append(n)
            if order == [2, 0]:
                held.append(n)
                await trio.lowlevel.checkpoint()
                held.remove(n)

        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(work, n)

    def check():
        assert not held

    explore_cancellation(story, check=check)
"""


@pytest.mark.timeout(60)
def test_an_exploration_runs_under_each_schedule_of_its_test(suite):
    fixed = GAP.replace("[2, 0]", "[4]")
    result = suite(test_gap=fixed)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines("triows: 1 test ran under 50 schedules")


@pytest.mark.usefixtures("measured_processes")
@pytest.mark.timeout(60)
def test_a_failing_exploration_prints_a_seed_that_repeats_it_at_the_same_step(suite):
    result = suite(test_gap=GAP)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*triows schedule*", "This test failed under the schedule *", "*before the failure*"]
    )
    at, seed = re.search(
        r"repeat it with at=(\S+) and --triows-schedule (\S+)", result.stdout.str()
    ).groups()
    result.stdout.fnmatch_lines(f"*test_gap.py::test_gap* --triows-schedule {seed}")
    for text in (GAP, GAP.replace("check=check", f"check=check, at={at}")):
        again = suite("--triows-schedule", seed, test_gap=text)
        again.assert_outcomes(failed=1)
        again.stdout.fnmatch_lines(f"*repeat it with at={at} and --triows-schedule {seed}*")


@pytest.mark.timeout(60)
def test_each_run_of_a_story_has_the_same_schedule_within_an_example_of_hypothesis(suite):
    given = """
    from hypothesis import given, settings, strategies as st
    import trio

    from triows.testing import explore_cancellation

    orders = {}

    @settings(max_examples=20, database=None, deadline=None)
    @given(st.integers())
    def test_orders(example):
        found = []

        async def story():
            order = []
            found.append(order)

            async def work(n):
                order.append(n)
                await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as nursery:
                for n in range(4):
                    nursery.start_soon(work, n)

        explore_cancellation(story)
        whole = {tuple(order) for order in found if len(order) == 4}
        assert len(whole) == 1
        orders[whole.pop()] = example

    def test_they_differ():
        assert len(orders) > 3
    """
    suite(test_given=given).assert_outcomes(passed=2)


def test_what_runs_under_an_inner_schedule_counts_for_the_outer():
    async def work():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            nursery.start_soon(trio.lowlevel.checkpoint)

    with Schedule(1).installed() as outer:
        for _ in range(3):
            with suppress(ArithmeticError), Schedule(2).installed() as inner:
                trio.run(work)
                inner.outside.add("a thread")
                raise ArithmeticError
    assert (outer.loops, outer.decisions) == (3, inner.decisions)
    assert inner.decisions > 0
    assert outer.outside == {"a thread"}


route = WebSocketRoute("ws")
held: list[str] = []


async def resource(ws: WebSocket):
    await ws.accept()
    held.append("resource")
    try:
        yield
    finally:
        await trio.sleep(0.1)
        held.remove("resource")


@route.endpoint
async def echo(ws: WebSocket, _held: Annotated[None, use(resource)]) -> None:
    async for message in ws:
        await ws.send(message)


def nothing_is_held():
    assert not held


@pytest.mark.unmeasured
def test_a_connection_that_is_cancelled_at_any_step_gives_back_its_resources():
    async def story():
        async with open_app(Triows(route)) as client, client.websocket_connect("/ws") as ws:
            await ws.send("hello")
            assert await ws.receive() == "hello"

    assert explore_cancellation(story, check=nothing_is_held, pairs=20) > 50


def test_a_handler_that_ignores_its_end_is_found_by_the_leak_check():
    route = WebSocketRoute("ws")

    @route.endpoint
    async def stubborn(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

    async def story(interruption: Interruption):
        async with open_app(Triows(route)) as client, client.websocket_connect("/ws") as ws:
            interruption.by(ws.reset)
            await trio.sleep(1)

    with pytest.raises(LeakError):
        explore_cancellation(story)


@pytest.mark.unmeasured
@pytest.mark.parametrize("event", ["disconnect", "shutdown"])
def test_a_connection_is_interrupted_at_any_step_by_something_else(event):
    async def story(interruption: Interruption):
        async with (
            open_app(Triows(route)) as client,
            trio.open_nursery() as nursery,
            client.websocket_connect("/ws") as ws,
        ):
            if event == "disconnect":
                interruption.by(ws.reset)
            else:
                interruption.by(lambda: nursery.start_soon(client.shutdown))
            with suppress(WebSocketDisconnect):
                await ws.send("hello")
                await ws.receive()
            interruption.by(None)

    assert explore_cancellation(story, check=nothing_is_held) > 50
