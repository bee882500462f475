"""Interrupts a story at each of its steps, to see whether it ends well wherever it is."""

from __future__ import annotations

import inspect
from random import Random
from typing import TYPE_CHECKING

import trio

from _triows_schedules.internals import missing
from _triows_schedules.schedule import Schedule, installed_schedule
from _triows_schedules.seeds import derived
from triows._counted import counted
from triows._errors import add_note

from ._stories import Interruption, StoryRun, close_coroutine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ._stories import Story

__all__ = ["Interruption", "explore_cancellation"]

#: How many steps a story may make in its first run. One that has more would take hours to explore,
#: because it is run once for each of them.
_MOST = 100_000

#: How many times the steps of the first run, and how many more, an interrupted story may make. To
#: end may take longer than to go on: a shutdown has time limits, and looks again and again.
_TIMES, _MORE = 10, 10_000


def explore_cancellation(
    story: Callable[..., Awaitable[object]],
    *,
    check: Callable[[], object] | None = None,
    pairs: int = 0,
    at: int | Sequence[int] | None = None,
) -> int:
    """
    Run a story once for each of its steps, and cancel it after that step.

        def test_a_cart_is_given_back_wherever_its_owner_is_cancelled():
            carts = []

            async def story():
                async with cart_from(carts):
                    await checkpoint()

            def check():
                assert not carts

            explore_cancellation(story, check=check)

    A *story* is an async function that does what you want to test. A *step* is what one task does
    between two waits. The steps of all tasks of the story count, including those of the
    application.

    Call this in a plain ``def`` test: it runs a Trio loop of its own, on a virtual clock, for each
    run of the story. The story opens its application itself, with :func:`open_app`. The leak check
    of ``open_app`` then makes the test fail if a run leaves something behind. The story can't use
    threads, because no schedule decides when a thread is done.

    All runs have the schedule of the test. So each run goes like the first one until it is
    interrupted. With ``@pytest.mark.schedules(50)``, the story is explored under 50 schedules.

    Args:
        story: An async function. If it has a required parameter, it gets an :class:`Interruption`.
            With :meth:`Interruption.by`, the story says what happens after the step in place of the
            cancellation, such as a disconnect or a shutdown.
        check: A plain function without parameters. It is called after each run. It raises, or
            returns ``False``, if something is not as it should be.
        pairs: How many pairs of steps to try in addition. They are chosen at random. The story is
            interrupted after the first step of a pair, and cancelled after the second.
        at: Interrupt the story in one run only, after these steps. The note of a failure gives
            their numbers and the schedule. Under another schedule, the same numbers mean other
            steps.

    Returns:
        How many steps the story has if it isn't interrupted.

    Raises:
        AssertionError: A run does not end, or *check* returned ``False``.
        BaseException: What the story or *check* raised, with a note that says after which step the
            story was interrupted.
        RuntimeError: The story can't be repeated, for example because it uses threads. Or a Trio
            loop is running already. Or triows doesn't support schedules with this release of Trio.
        TypeError: An argument is of the wrong type.
        ValueError: *pairs* is negative, *at* is empty, or a run ends before a step that *at* names.
            Or the story never waits, so it has no step.
    """
    _check_place()
    _check_functions(story, check)
    _check_pairs(pairs)
    only = _steps_in(at)
    exploration = _Exploration(story, check)
    steps = exploration.first()
    if only is not None:
        exploration.only(only)
        return steps
    for step in range(1, steps + 1):
        exploration.again((step,))
    random = Random(derived("pairs", exploration.seed))
    for _ in range(pairs):
        first = 1 + int(random.random() * steps)
        exploration.again((first, first + 1 + int(random.random() * steps)))
    return steps


class _Exploration:
    """
    The runs of one story.

    Args:
        story: The story.
        check: Called after each run.
    """

    def __init__(self, story: Story, check: Callable[[], object] | None) -> None:
        self._story = story
        self._check = check
        self._outer = installed_schedule()
        # How many steps the first run had.
        self._steps = 0

    @property
    def seed(self) -> int:
        """What decides in each run."""
        return self._schedule().source_seed.number

    def _schedule(self) -> Schedule:
        return Schedule(0, examples="ignored") if self._outer is None else self._outer.again()

    def first(self) -> int:
        """
        Run the story without an interruption.

        Returns:
            How many steps it had.
        """
        run = StoryRun(self._story, (), self._schedule(), _MOST)
        error, what = run.outcome(), "the story"
        if error is None:
            error, what = self._judged(), "check"
        if error is not None:
            add_note(error, f"{what} failed in the first run, in which nothing was interrupted")
            raise error
        if not run.has_said_what_happens:
            raise RuntimeError(
                "the story takes an Interruption, but it never called by(), so nothing would "
                "happen at any step. If the parameter is something else, give it a default"
            )
        if not run.steps:
            raise ValueError(
                "the story never waits, so there is no step after which it could be interrupted: "
                "is an `await` missing?"
            )
        self._steps = run.steps
        return run.steps

    def only(self, at: tuple[int, ...]) -> None:
        """
        Run the story, and interrupt it after steps that the user names.

        Raises:
            ValueError: It has ended before one of them.
        """
        if at[0] > self._steps:
            raise self._too_late("the story", self._steps, at[0])
        run = self.again(at)
        if (reached := len(run.places)) < len(at):
            earlier = " and ".join(map(str, at[:reached]))
            raise self._too_late(
                f"the story that is interrupted after step {earlier}", run.steps, at[reached]
            )

    def _too_late(self, story: str, steps: int, step: int) -> ValueError:
        has = counted(steps, "step") + self._under(" under the schedule ")
        return ValueError(f"{story} has {has}, so it can't be interrupted after step {step}")

    def again(self, at: tuple[int, ...]) -> StoryRun:
        """
        Run the story, and interrupt it after some steps.

        If it ends after the first of them, it is not interrupted at the others.
        """
        limit = _TIMES * self._steps + _MORE
        run = StoryRun(self._story, at, self._schedule(), limit, self._steps)
        error = run.outcome() or self._judged()
        if error is not None:
            places = "".join(f"\n  {place}" for place in run.places)
            add_note(
                error,
                f"the story was interrupted{places}\n"
                f"repeat it with at={at}{self._under(' and --triows-schedule ')}",
            )
            raise error
        if not run.places:
            raise RuntimeError(
                f"the story ended before its step {at[0]}, but it had {self._steps} steps in its "
                f"first run: something besides the schedule decides how it goes, such as "
                f"{run.outside or 'something that an earlier run left behind'}"
            )
        return run

    def _under(self, words: str) -> str:
        """Name the schedule, after some words, if there is one that can be repeated."""
        return "" if self._outer is None else f"{words}{self._schedule().source_seed}"

    def _judged(self) -> BaseException | None:
        """Return what *check* says of a run that has ended."""
        if self._check is None:
            return None
        try:
            told = self._check()
        except BaseException as exc:  # noqa: BLE001 - raised by whoever runs it
            return exc
        if inspect.isawaitable(told):
            close_coroutine(told)
            return _async_check()
        return AssertionError("check returned False") if told is False else None


# What is asked for.


def _check_place() -> None:
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "explore_cancellation runs Trio loops of its own, so it can't be called inside a "
            "loop: call it in a plain `def` test"
        )
    if names := missing():
        raise RuntimeError(
            "explore_cancellation needs schedules, and triows does not support them with this "
            f"release of Trio: it does not find {', '.join(names)}. Use another release of Trio, "
            "or a newer triows"
        )


def _check_functions(story: object, check: object) -> None:
    if not callable(story):
        called = " without calling it" if inspect.iscoroutine(story) else ""
        close_coroutine(story)
        raise TypeError(
            f"explore_cancellation runs the story many times, so it takes an async function"
            f"{called}, as in explore_cancellation(story); not {story!r}"
        )
    if inspect.isasyncgenfunction(story):
        raise TypeError("the story is an async generator: write an async function without `yield`")
    if check is not None and not callable(check):
        close_coroutine(check)
        raise TypeError(f"check is a function that is called after each run, not {check!r}")
    if inspect.iscoroutinefunction(check):
        raise _async_check()


def _async_check() -> TypeError:
    return TypeError(
        "check is a plain function, because it is called after the loop has ended: write it with "
        "`def`, and do what needs `await` at the end of the story"
    )


def _check_pairs(pairs: int) -> None:
    if not _is_whole(pairs):
        raise TypeError(f"pairs is a number of pairs, such as 20, not {pairs!r}")
    if pairs < 0:
        raise ValueError(f"pairs is a number of pairs, 0 or more, not {pairs}")


def _steps_in(at: object) -> tuple[int, ...] | None:
    """Read the numbers of steps."""
    if at is None:
        return None
    steps = (at,) if _is_whole(at) else at
    if not isinstance(steps, (tuple, list, range)) or not all(map(_is_whole, steps)):
        raise TypeError(f"at has the numbers of steps, such as at=(3,) or at=(3, 8), not {at!r}")
    if not steps:
        raise ValueError(
            "at is empty, so the story would not be interrupted: pass the numbers of steps, such "
            "as at=(3,), or leave it out to explore all of them"
        )
    if any(step < 1 for step in steps):
        raise ValueError(f"steps are counted from 1, and at has {at!r}")
    return tuple(sorted(set(steps)))


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)
