"""One run of a story: its steps are counted, it is interrupted, and it ends whatever it does."""

from __future__ import annotations

import pytest
import trio

from _triows_schedules.schedule import Schedule
from triows.testing._stories import Interruption, StoryRun, close_coroutine

LIMIT = 1000


def run(story, *at: int, limit: int = LIMIT) -> tuple[StoryRun, BaseException | None]:
    it = StoryRun(story, at, Schedule(0, examples="ignored"), limit)
    return it, it.outcome()


async def two_steps() -> None:
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()


def test_what_is_done_before_each_wait_is_a_step():
    it, error = run(two_steps)
    assert (it.steps, it.places, error) == (2, [], None)


def test_the_steps_of_all_tasks_count():
    async def story() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(two_steps)
            nursery.start_soon(two_steps)

    it, error = run(story)
    assert error is None
    assert it.steps >= 4


def test_it_is_cancelled_after_a_step_and_says_where():
    reached = []

    async def story() -> None:
        for number in range(3):
            reached.append(number)
            await trio.lowlevel.checkpoint()

    it, error = run(story, 2)
    assert error is None
    assert reached == [0, 1]
    assert it.places[0].startswith("after step 2: <story>, test_stories.py:")


def test_it_takes_no_time():
    async def story() -> None:
        await trio.sleep(3600)

    it, error = run(story)
    assert (it.steps, error) == (1, None)


def test_what_it_raises_is_its_outcome():
    async def story() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("a mistake")

    _, error = run(story)
    assert isinstance(error, ValueError)


def test_something_else_than_a_cancellation_may_happen():
    happened = []

    async def story(interruption: Interruption) -> None:
        interruption.by(lambda: happened.append("now"))
        await two_steps()

    it, error = run(story, 2)
    assert (it.has_said_what_happens, happened, error) == (True, ["now"], None)


def test_it_is_noticed_if_nobody_says_what_happens():
    async def story(interruption: Interruption) -> None:
        await two_steps()

    it, _ = run(story, 2)
    assert not it.has_said_what_happens


def test_a_story_that_waits_forever_is_ended_after_a_day():
    _, error = run(trio.sleep_forever)
    assert isinstance(error, AssertionError)
    assert "the story does not end: a day of the virtual clock has passed" in str(error)


def test_a_story_that_shields_itself_is_ended_too():
    async def story() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    _, error = run(story, 1)
    assert "Code that catches trio.Cancelled has to raise it again" in str(error)


def test_a_story_that_never_stops_is_ended_after_its_steps():
    async def story() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    _, error = run(story, limit=50)
    assert "it has made 50 steps" in str(error)


@pytest.mark.parametrize("story", [lambda: None, lambda: 1])
def test_a_function_that_is_not_async_is_refused(story):
    _, error = run(story)
    assert isinstance(error, TypeError)
    assert "takes an async function" in str(error)


def test_what_happens_is_a_plain_function():
    with pytest.raises(TypeError, match="takes a plain function"):
        Interruption().by(two_steps)
    with pytest.raises(TypeError, match="takes a function to call, not 1"):
        Interruption().by(1)


def test_a_coroutine_that_nobody_awaits_is_closed():
    coroutine = two_steps()
    close_coroutine(coroutine)
    assert coroutine.cr_frame is None
    close_coroutine("something else")
