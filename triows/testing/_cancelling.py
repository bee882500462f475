"""Interrupts a story at each of its steps, to see whether it ends well wherever it is."""

from __future__ import annotations

import inspect
from random import Random
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock

from _triows_schedules.internals import BYSTANDERS
from _triows_schedules.schedule import Schedule, installed_seed
from _triows_schedules.seeds import derived
from _triows_schedules.trace import place_of
from triows._errors import add_note

from ._tasks import tasks_in, unshield

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Interruption", "explore_cancellation"]

#: Seconds of the virtual clock that a story may take. A day is longer than any timeout.
_LONGEST = 86_400.0

#: How many tasks are shown of a story that does not end.
_SHOWN = 5


class Interruption:
    """
    What happens to a story at one of its steps, if it is not a cancellation.

    A story of :func:`explore_cancellation` that takes an argument gets one.
    """

    def __init__(self) -> None:
        self._call: Callable[[], object] | None = None

    def by(self, call: Callable[[], object] | None) -> None:
        """
        Have something called at the step. At the steps before you say so, nothing happens.

        Args:
            call: A plain function, called between two steps. It can't await. Let it start a task,
                or set an event. ``None``: from now on, nothing happens at a step.
        """
        self._call = call


class _Steps(trio.abc.Instrument):
    """
    Counts the steps of all tasks, and interrupts after some of them.

    Args:
        at: After which steps, the first first.
        interrupt: Called with the position of the step in *at*.
    """

    def __init__(self, at: tuple[int, ...], interrupt: Callable[[int], None]) -> None:
        self.count = 0
        self.places: list[str] = []
        #: What *interrupt* has raised. Trio would only log it.
        self.error: BaseException | None = None
        self._at = at
        self._interrupt = interrupt

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count it."""
        if task.name in BYSTANDERS:
            return
        self.count += 1
        if self.count in self._at:
            self.places.append(f"after step {self.count}: {task.name}, {place_of(task)}")
            try:
                self._interrupt(self._at.index(self.count))
            except BaseException as exc:  # noqa: BLE001 - raised in the test
                self.error = exc


class _Run:
    """
    One run of a story.

    Args:
        story: The story.
        at: After which steps it is interrupted.
    """

    def __init__(self, story: Callable[..., Awaitable[object]], at: tuple[int, ...]) -> None:
        self.steps = _Steps(at, self._interrupt)
        #: How the story went wrong.
        self.error: BaseException | None = None
        self._story = story
        self._at = at
        self._interruption = Interruption() if inspect.signature(story).parameters else None
        self._scope = trio.CancelScope()

    def _interrupt(self, position: int) -> None:
        # The second of two is always a cancellation.
        if self._interruption is None or position > 0:
            self._scope.cancel("explore_cancellation")
        elif self._interruption._call is not None:
            self._interruption._call()

    async def main(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell, nursery.cancel_scope, name="<story>")
            nursery.start_soon(self._end_late, nursery)

    async def _tell(self, all_of_it: trio.CancelScope) -> None:
        trio.lowlevel.add_instrument(self.steps)
        try:
            with self._scope:
                await self._story(*[one for one in [self._interruption] if one is not None])
        except BaseException as exc:  # noqa: BLE001 - raised by whoever runs it
            self.error = self.error or exc
        finally:
            trio.lowlevel.remove_instrument(self.steps)
            all_of_it.cancel()

    async def _end_late(self, nursery: trio.Nursery) -> None:
        """End a story that doesn't end by itself, so that the test fails and does not hang."""
        await trio.sleep(_LONGEST)
        tasks = [task for task in tasks_in(nursery) if task is not trio.lowlevel.current_task()]
        shown = "\n".join(f"  {task.name}, {place_of(task)}" for task in tasks[:_SHOWN])
        self.error = AssertionError(f"the story does not end. What is left of it:\n{shown}")
        for task in tasks:
            unshield(task, nursery.cancel_scope)
        nursery.cancel_scope.cancel()


def explore_cancellation(
    story: Callable[..., Awaitable[object]],
    *,
    check: Callable[[], object] | None = None,
    pairs: int = 0,
    at: tuple[int, ...] | None = None,
) -> int:
    """
    Run a story once for each of its steps, and cancel it there.

        def test_a_cart_is_given_back_wherever_its_owner_is_cancelled():
            carts = []

            async def story():
                async with cart_from(carts):
                    await checkpoint()

            def check():
                assert not carts

            explore_cancellation(story, check=check)

    A step is what a task does between two waits. The steps of all tasks count. Every run has the
    same schedule, so each of them goes like the first until it is interrupted. Time is virtual.
    Call it in a plain ``def`` test. The story makes its own application, with :func:`open_app`,
    whose leak check also judges.

    Args:
        story: An async function. If it takes an argument, that is an :class:`Interruption`: the
            story says with ``by()`` what happens at the step instead, such as a disconnect or a
            shutdown.
        check: Called after each run, with nothing. It raises if something is not as it should be.
        pairs: How many pairs of steps to try as well, at random. The story is interrupted at the
            first, and cancelled at the second.
        at: Interrupt it after these steps only: a failure says which they were.

    Returns:
        How many steps the story has.

    Raises:
        BaseException: What the story or *check* raised, with a note that says at which step it was
            interrupted.
    """
    seed = installed_seed()
    steps = _run(story, check, (), seed)
    if at is not None:
        _run(story, check, at, seed)
        return steps
    for step in range(1, steps + 1):
        _run(story, check, (step,), seed)
    random = Random(derived("pairs", seed))
    for _ in range(pairs):
        first = 1 + int(random.random() * steps)
        _run(story, check, (first, first + 1 + int(random.random() * steps)), seed)
    return steps


def _run(
    story: Callable[..., Awaitable[object]],
    check: Callable[[], object] | None,
    at: tuple[int, ...],
    seed: int,
) -> int:
    """Run a story once, and return how many steps it had."""
    run = _Run(story, at)
    error: BaseException | None = None
    with Schedule(seed).installed():
        try:
            trio.run(run.main, clock=MockClock(autojump_threshold=0))
            error = run.steps.error or run.error
            if error is None and check is not None:
                check()
        except BaseException as exc:  # noqa: BLE001 - raised below
            error = exc
    if error is not None:
        _explain(error, run.steps.places, at)
        raise error
    if at and not run.steps.places:
        raise RuntimeError(
            f"the story ended before its step {at[0]}: something besides the schedule decides how "
            "it goes, such as threads, sockets, or what an earlier run has left"
        )
    return run.steps.count


def _explain(error: BaseException, places: list[str], at: tuple[int, ...]) -> None:
    if not at:
        add_note(error, "it was not interrupted: this was the first run")
        return
    lines = "".join(f"\n  {place}" for place in places)
    add_note(error, f"the story was interrupted{lines}\nrepeat it with at={at}")
