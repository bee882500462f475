"""
One run of a story of ``explore_cancellation``.

It counts the story's steps, interrupts it at some of them, and ends it whatever it does: a story
may catch its cancellation and go on, or shield itself and wait forever.
"""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock

from _triows_schedules.internals import BYSTANDERS
from _triows_schedules.trace import place_of
from triows._counted import counted
from triows._errors import add_note

from ._blocked import Interrupter, LoopBlocked
from ._tasks import tasks_in, unshield, waits_for_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from _triows_schedules.schedule import Schedule

    #: What a test explores.
    Story = Callable[..., Awaitable[object]]

__all__ = ["Interruption", "StoryRun", "UsesThreads", "close_coroutine"]

#: Seconds of the virtual clock that a story may take. A day is longer than any timeout.
_LONGEST = 86_400.0

#: How many tasks are shown of a story that does not end.
_SHOWN = 5

#: How many times a story that does not end is only cancelled, without its shields. Some code
#: handles one cancellation and ends with the next. After that, its tasks are interrupted.
_PLAIN = 2

#: How many times a story that waits forever is ended. Each time, its tasks are interrupted at
#: another line.
_ROUNDS = 200

#: How many steps a story that doesn't stop makes between two attempts to end it. It is odd, so that
#: of two tasks that take turns, each is interrupted.
_BETWEEN = 101

_SHORTER = "\nIt is run once for each of its steps, so make it shorter: a few hundred steps."

#: The task that ends a story. Its steps don't count.
_END = "<end of the story>"


class Interruption:
    """
    Says what happens to a story after one of its steps, in place of a cancellation.

    :func:`explore_cancellation` passes one to a story that has a required parameter.
    """

    def __init__(self) -> None:
        self._call: Callable[[], object] | None = None
        self._is_used = False

    def by(self, call: Callable[[], object] | None) -> None:
        """
        Let *call* be called after the step at which this run is interrupted.

        Nothing happens after a step that comes before your first call of this.

        Args:
            call: A plain function. It is called between two steps, so it can't ``await``. It can
                start a task or set an event. If you pass ``None``, nothing happens from now on.

        Raises:
            TypeError: *call* is an async function, or isn't a function.
        """
        if call is not None:
            _check_call(call)
        self._call = call
        self._is_used = True

    def _happen(self) -> None:
        if self._call is not None and inspect.isawaitable(result := self._call()):
            close_coroutine(result)
            raise _not_async(self._call)


def _check_call(call: object) -> None:
    if not callable(call):
        close_coroutine(call)
        raise TypeError(f"Interruption.by() takes a function to call, not {call!r}")
    if inspect.iscoroutinefunction(call):
        raise _not_async(call)


def _not_async(call: object) -> TypeError:
    name = getattr(call, "__name__", "it")
    return TypeError(
        "Interruption.by() takes a plain function, because nothing can be awaited between two "
        f"steps, and {name} is async: let a task do it, as in "
        f"interruption.by(lambda: nursery.start_soon({name}))"
    )


def _takes_interruption(story: Story) -> bool:
    """
    Say whether a story has a required parameter.

    Raises:
        TypeError: It has several.
    """
    try:
        parameters = inspect.signature(story).parameters.values()
    except ValueError:  # a function written in C does not tell
        return False
    required = [
        one
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if len(required) > 1 or any(one.kind is one.KEYWORD_ONLY for one in required):
        names = ", ".join(one.name for one in required)
        raise TypeError(
            "a story takes no argument, or one, which is an Interruption, but this one requires "
            f"{names}: bind other arguments with functools.partial"
        )
    return bool(required)


def close_coroutine(given: object) -> None:
    """Close it if it is a coroutine, so that Python doesn't warn that nobody awaited it."""
    if inspect.iscoroutine(given):
        given.close()


class UsesThreads(RuntimeError):
    """A story can't be explored, because threads decide in it."""

    def __init__(self) -> None:
        super().__init__(
            "the story uses threads, so its runs can't be repeated: a schedule doesn't decide "
            "when a thread is done, and the virtual clock doesn't wait for threads. Leave them "
            "out of the story: use open_app() instead of TestClient, and replace a function that "
            "uses trio.to_thread by an async one"
        )


class _Steps(trio.abc.Instrument):
    """
    Counts the steps of all tasks, and interrupts after some of them.

    Args:
        at: After which steps, in ascending order.
        limit: How many steps there may be.
        interrupt: Called with the position of the step in *at*.
        stop: Called before a step beyond the limit, with the task that is to make it, and again
            from time to time.
    """

    def __init__(
        self,
        at: tuple[int, ...],
        limit: int,
        interrupt: Callable[[int], None],
        stop: Callable[[trio.lowlevel.Task], None],
    ) -> None:
        self.count = 0
        #: How many steps the story had, once it is over.
        self.length: int | None = None
        self.places: list[str] = []
        #: What *interrupt* has raised. Trio would only log it.
        self.error: BaseException | None = None
        self._at = at
        self._limit = limit
        self._interrupt = interrupt
        self._stop = stop

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Stop a task that goes on for too long."""
        beyond = self.count - self._limit
        if beyond >= 0 and not beyond % _BETWEEN and not _is_bystander(task):
            self._stop(task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count it."""
        if _is_bystander(task):
            return
        self.count += 1
        if self.length is None and self.count in self._at:
            try:
                self.places.append(f"after step {self.count}: {_place(task)}")
                self._interrupt(self._at.index(self.count))
            except BaseException as exc:  # noqa: BLE001 - raised in the test
                self.error = exc

    def end(self) -> None:
        """Note that the story is over, in its last step."""
        self.length = self.count


def _is_bystander(task: trio.lowlevel.Task) -> bool:
    return task.name == _END or task.name in BYSTANDERS


def _place(task: trio.lowlevel.Task) -> str:
    return f"{task.name}, {place_of(task)}"


class StoryRun:
    """
    One run of a story.

    Args:
        story: The story.
        at: After which steps it is interrupted, in ascending order.
        schedule: What decides in it.
        limit: How many steps it may make.
        usual: How many steps it makes if it isn't interrupted; 0 if that isn't known.
    """

    def __init__(
        self,
        story: Story,
        at: tuple[int, ...],
        schedule: Schedule,
        limit: int,
        usual: int = 0,
    ) -> None:
        self._interruption = Interruption() if _takes_interruption(story) else None
        self._story = story
        self._schedule = schedule
        self._usual = usual
        self._steps = _Steps(at, limit, self._interrupt, self._stop)
        # How the story went wrong.
        self._error: BaseException | None = None
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery
        self._interrupter = Interrupter(threading.get_ident())
        self._attempts = 0

    @property
    def steps(self) -> int:
        """How many steps the story had."""
        return self._steps.length or 0

    @property
    def places(self) -> list[str]:
        """Where it was interrupted."""
        return self._steps.places

    @property
    def outside(self) -> str:
        """What else than the schedule decided, as far as that was noticed."""
        return " and ".join(sorted(self._schedule.outside))

    @property
    def has_said_what_happens(self) -> bool:
        """Whether the story has said what happens at a step, if it has to."""
        return self._interruption is None or self._interruption._is_used

    def outcome(self) -> BaseException | None:
        """Run the story, and return what went wrong in it."""
        try:
            with self._schedule.installed():
                trio.run(self._main, clock=MockClock(autojump_threshold=0))
        except trio.TrioInternalError as exc:
            # To end a story by force may break the loop. That is not what went wrong first.
            self._error = self._error or exc
        finally:
            self._interrupter.remove()
        error = self._steps.error or self._error
        if "threads" not in self._schedule.outside or isinstance(error, UsesThreads):
            return error
        if error is None:
            return UsesThreads()
        add_note(error, str(UsesThreads()))
        return error

    def _interrupt(self, position: int) -> None:
        # The second of two is always a cancellation.
        if self._interruption is None or position > 0:
            self._scope.cancel("explore_cancellation")
        else:
            self._interruption._happen()

    async def _main(self) -> None:
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._tell, name="<story>")
            self._nursery.start_soon(self._end_late, name=_END)

    async def _tell(self) -> None:
        # It stays there when the story is over, for the tasks that go on.
        trio.lowlevel.add_instrument(self._steps)
        try:
            with self._scope:
                await self._awaitable()
        except BaseException as exc:  # noqa: BLE001 - raised by whoever runs it
            self._error = self._error or exc
        finally:
            self._steps.end()
            self._nursery.cancel_scope.cancel()

    def _awaitable(self) -> Awaitable[object]:
        try:
            told = self._story(*[one for one in [self._interruption] if one is not None])
        except TypeError as exc:
            if exc.__traceback__ is None or exc.__traceback__.tb_next is not None:
                raise  # it comes from the code of the story
            raise self._not_async(f"calling it raised a TypeError: {exc}") from None
        if not inspect.isawaitable(told):
            raise self._not_async(f"it returned {told!r}")
        return told

    def _not_async(self, why: str) -> TypeError:
        name = getattr(self._story, "__name__", self._story)
        return TypeError(
            f"explore_cancellation takes an async function, and the story {name} isn't one: {why}"
        )

    # A story that doesn't end.

    async def _end_late(self) -> None:
        """End a story that waits forever, so that the test fails and does not hang."""
        await trio.sleep(_LONGEST)
        self._note_unended(self._tasks(), "a day of the virtual clock has passed")
        for number in range(_ROUNDS):
            tasks = self._tasks()
            if not tasks:
                return
            self._end(tasks[number % len(tasks)])
            with trio.CancelScope(shield=True):
                await trio.sleep(1)

    def _stop(self, task: trio.lowlevel.Task) -> None:
        """End a story that makes one step after another."""
        why, remedy = f"it has made {self._steps.count} steps", _SHORTER
        if self._usual:
            why, remedy = f"{why}, and only {self._usual} if it is not interrupted", ""
        self._note_unended(self._tasks() or [task], why, remedy)
        self._end(task)

    def _note_unended(self, tasks: list[trio.lowlevel.Task], why: str, remedy: str = "") -> None:
        if self._error is not None:
            return
        if any(map(waits_for_thread, tasks)):
            self._error = UsesThreads()
            return
        lines = [f"the story does not end: {why}. Its tasks:", *map(_place, tasks[:_SHOWN])]
        if len(tasks) > _SHOWN:
            lines.append(f"and {counted(len(tasks) - _SHOWN, 'other task')}")
        if "sockets" in self._schedule.outside:
            remedy = (
                "\nThe virtual clock doesn't wait for sockets: use open_app(), which needs none."
            )
        elif self._scope.cancel_called:
            remedy = "\nCode that catches trio.Cancelled has to raise it again."
        self._error = AssertionError("\n  ".join(lines) + remedy)

    def _end(self, task: trio.lowlevel.Task) -> None:
        """Cancel all tasks, whatever they have tried, and interrupt one of them."""
        self._attempts += 1
        for one in self._tasks():
            unshield(one, self._nursery.cancel_scope)
        self._nursery.cancel_scope.cancel()
        if self._attempts > _PLAIN:
            error = LoopBlocked(str(self._error))
            self._interrupter.stop(task, error, self._attempts - _PLAIN)

    def _tasks(self) -> list[trio.lowlevel.Task]:
        return [task for task in tasks_in(self._nursery) if task.name != _END]
