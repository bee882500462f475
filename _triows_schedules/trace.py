"""
A record of task switches, for a test that is run again because it failed.

It names tasks, files and lines, and times of the virtual clock, but no addresses. So the same
schedule of the same test has the same record in any process.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import trio
from trio.testing import MockClock

from .failures import frames_of, leaves
from .internals import BYSTANDERS, between_steps
from .places import Owner, Place, owner_of, place_in
from .schedule import current_loop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, FrameType

    from .schedule import Schedule

__all__ = ["Story", "Switch", "Trace", "before_failure", "place_of"]

#: How many switches are kept, the last ones.
_KEPT = 20_000

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class _Named:
    """
    A task, as people are told of it: with a number if others have the same name.

    Args:
        name: The name.
        namesakes: All tasks of that name so far, in the order in which they were started.
    """

    __slots__ = ("_name", "_namesakes", "_number")

    def __init__(self, name: str, namesakes: list[None]) -> None:
        namesakes.append(None)
        self._name = name
        self._namesakes = namesakes
        self._number = len(namesakes)

    def __str__(self) -> str:
        return self._name if len(self._namesakes) == 1 else f"{self._name} #{self._number}"


class Switch(NamedTuple):
    """One step of a task: it goes on where it stood, until it waits again."""

    #: By a virtual clock.
    time: float | None
    task: object
    #: Whether the user's code has started the task.
    is_started_by_user: bool
    #: Where it stood.
    place: Place
    #: What made it ready. ``None`` if the task only let others run.
    woken_by: object
    #: Which choice of the schedule put the tasks of its round in order; 0 if there was only one.
    order: int
    #: Which choices were made in this step: whether a call gives others a turn.
    own: range
    #: The frames that it stood in, the outermost first: where they are in memory, their lines, and
    #: the names of their functions.
    frames: tuple[tuple[int, int, str], ...]

    def __str__(self) -> str:
        time = "" if self.time is None else f"{self.time:9.3f}  "
        return f"{time}{self.place}  {self.task}, woken by {self.woken_by or 'itself'}"

    @property
    def is_users(self) -> bool:
        """Whether it is a step of the user's: in their code, or in a task that they started."""
        return self.is_started_by_user or self.place.owner is Owner.USER

    def is_chosen_by(self, choices: range) -> bool:
        """Whether one of these choices decided when it came, or something in it."""
        first, last = choices[0], choices[-1]
        own = self.own
        return self.order in choices or (bool(own) and own[0] <= last and first <= own[-1])


class Story(NamedTuple):
    """What happened until an error was raised."""

    #: In which loop of the test it was raised, and in which of its switches.
    loop: int
    number: int
    #: The last switches, until that one.
    switches: list[Switch]


class Trace(trio.abc.Instrument):
    """
    Records the switches of one loop.

    Args:
        schedule: What decides in it.
        look_at: The number of a switch at which to take a :attr:`picture`.
    """

    def __init__(self, schedule: Schedule, look_at: int | None = None) -> None:
        #: How many switches there were.
        self.count = 0
        #: What the loop served at that switch.
        self.picture = ""
        self._schedule = schedule
        self._look_at = look_at
        self.switches: deque[Switch] = deque(maxlen=_KEPT)
        #: Set when nothing more is to be recorded, in a loop that goes on.
        self.is_over = False
        clock = trio.lowlevel.current_clock()
        self._clock = clock if isinstance(clock, MockClock) else None
        self._start = clock.current_time()
        self._wakers: dict[trio.lowlevel.Task, object] = {}
        self._names: dict[trio.lowlevel.Task, _Named] = {}
        self._namesakes: dict[str, list[None]] = {}
        # The tasks that the user's code has started.
        self._users: set[trio.lowlevel.Task] = set()
        # How many choices there were before this round, and before this step.
        self._before_round = self._before_step = schedule.decisions
        self._is_first = True
        self._order = 0

    def _name(self, task: trio.lowlevel.Task) -> _Named:
        if task not in self._names:
            name = _ADDRESS.sub("", task.name).rpartition("<locals>.")[2]
            self._names[task] = _Named(name, self._namesakes.setdefault(name, []))
        return self._names[task]

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Number a task, and note who has started it."""
        self._name(task)
        if _starter() is Owner.USER:
            self._users.add(task)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Note who woke a task."""
        try:
            waker = trio.lowlevel.current_task()
        except RuntimeError:
            self._wakers[task] = "a deadline, or I/O"
        else:
            self._wakers[task] = None if waker is task else self._name(waker)

    def after_io_wait(self, timeout: float) -> None:
        """Note that a round begins."""
        self._before_round = self._schedule.decisions
        self._is_first = True

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note a switch."""
        if self.is_over:
            trio.lowlevel.remove_instrument(self)
            return
        self._before_step = self._schedule.decisions
        if self._is_first:
            # Between the beginning of a round and its first step, only its order is chosen.
            self._is_first = False
            self._order = self._before_step if self._before_step > self._before_round else 0
        if task.name not in BYSTANDERS:
            self._note(task)

    def _note(self, task: trio.lowlevel.Task) -> None:
        time = None if self._clock is None else self._clock.current_time() - self._start
        woken_by = self._wakers.pop(task, "Trio")
        self.count += 1
        loop = current_loop()
        if self.count == self._look_at and loop is not None:
            with between_steps():
                self.picture = loop.picture()
        frames = tuple(
            (id(frame), line, frame.f_code.co_name) for frame, line in task.iter_await_frames()
        )
        self.switches.append(
            Switch(
                time,
                self._name(task),
                task in self._users,
                place_of(task),
                woken_by,
                self._order,
                range(0),
                frames,
            )
        )

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note which choices a step has made."""
        made = range(self._before_step + 1, self._schedule.decisions + 1)
        if made and not self.is_over and task.name not in BYSTANDERS:
            self.switches[-1] = self.switches[-1]._replace(own=made)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Forget a task."""
        self._wakers.pop(task, None)
        self._names.pop(task, None)
        self._users.discard(task)


def _starter() -> Owner:
    """Tell who has just started a task: the user, triows, or what runs the test."""
    try:
        outermost = getattr(trio.lowlevel.current_task().coro, "cr_frame", None)
    except RuntimeError:  # something outside of the loop
        return Owner.SYSTEM
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        owner = owner_of(frame.f_code)
        if owner > Owner.RUNNER or frame is outermost:
            return owner
        frame = frame.f_back
    return Owner.SYSTEM


def place_of(task: trio.lowlevel.Task) -> Place:
    """Tell where a task waits."""
    if getattr(task.coro, "cr_frame", task) is None:
        return place_in(())  # it has ended; the oldest Trio that we allow would raise an error
    return place_in(task.iter_await_frames())


def before_failure(traces: Sequence[Trace], error: BaseException) -> Story:
    """
    Give the switches until an error was raised.

    What comes after it is only how the test ends: others are cancelled, and the application shuts
    down. If it isn't found, all switches are given.
    """
    for leaf in leaves(error):
        for frame, line in reversed(frames_of(leaf)):
            leaving = _lines_of_leaving(frame.f_code, line)
            # An earlier loop may have had another frame at the same place in memory.
            for loop, trace in reversed(list(enumerate(traces))):
                switches = list(trace.switches)
                for i in range(len(switches) - 1, -1, -1):
                    if _stands_in(switches[i], id(frame), leaving):
                        return _until(loop, trace, i + 1)
    return _until(len(traces) - 1, traces[-1], len(traces[-1].switches))


def _stands_in(switch: Switch, frame: int, leaving: set[int]) -> bool:
    """Whether a task went on in a frame that it wasn't leaving."""
    for i, (one, line, _) in enumerate(switch.frames):
        if one == frame:
            inner = switch.frames[i + 1 :]
            enters = bool(inner) and inner[0][2] == "__aenter__"
            return enters or line not in leaving
    return False


def _until(loop: int, trace: Trace, kept: int) -> Story:
    forgotten = trace.count - len(trace.switches)
    return Story(loop, forgotten + kept, list(trace.switches)[:kept])


def _lines_of_leaving(code: CodeType, line: int) -> set[int]:
    """
    Find the lines at which a function may wait after an error at a line of it.

    These are the heads of the ``with`` blocks around that line, and what a ``try`` around it does
    about errors.
    """
    try:
        lines, start = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError):
        return set()
    found: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.With | ast.AsyncWith | ast.Try | ast.TryStar):
            continue
        first, last = node.body[0].lineno, node.body[-1].end_lineno or 0
        if not first <= line - start + 1 <= last:
            continue
        if isinstance(node, ast.With | ast.AsyncWith):
            found.update(range(node.lineno, first))
        else:
            parts: list[ast.ExceptHandler | ast.stmt] = [*node.handlers, *node.finalbody]
            for part in parts:
                found.update(range(part.lineno, (part.end_lineno or part.lineno) + 1))
    return {at + start - 1 for at in found}
