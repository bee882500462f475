"""
A record of task switches, for a test that is run again because it failed.

It names tasks, files and lines, and times of the virtual clock, but no addresses. So the same
schedule of the same test has the same record in any process.
"""

from __future__ import annotations

import ast
import inspect
import re
import sysconfig
import textwrap
from collections import deque
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import trio
from trio.testing import MockClock

from .internals import BYSTANDERS
from .schedule import current_loop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, TracebackType

__all__ = ["Story", "Switch", "Trace", "before_failure", "place_of"]

#: Code below these folders waits on behalf of the code that calls it.
_CARRIERS = (
    str(Path(trio.__file__).parent),
    sysconfig.get_path("stdlib"),
    str(Path(__file__).parent),
)

_TRIOWS = str(Path(__file__).parent.parent / "triows")

#: What of a program's own stands below one of them.
_PACKAGES = "site-packages"

#: How many switches are kept, the last ones.
_KEPT = 20_000

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Switch(NamedTuple):
    """One step of a task: it goes on where it stood, until it waits again."""

    #: By a virtual clock.
    time: float | None
    task: str
    #: Where it stood.
    place: str
    #: What made it ready.
    woken_by: str
    #: The frames that it stood in, the outermost first: where they are in memory, their lines, and
    #: the names of their functions.
    frames: tuple[tuple[int, int, str], ...]

    def __str__(self) -> str:
        time = "" if self.time is None else f"{self.time:9.3f}  "
        return f"{time}{self.place:25}  {self.task}, woken by {self.woken_by}"


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
        look_at: The number of a switch at which to take a :attr:`picture`.
    """

    def __init__(self, look_at: int | None = None) -> None:
        #: How many switches there were.
        self.count = 0
        #: What the loop served at that switch.
        self.picture = ""
        self._look_at = look_at
        self.switches: deque[Switch] = deque(maxlen=_KEPT)
        #: Set when nothing more is to be recorded, in a loop that goes on.
        self.is_over = False
        clock = trio.lowlevel.current_clock()
        self._clock = clock if isinstance(clock, MockClock) else None
        self._start = clock.current_time()
        self._wakers: dict[trio.lowlevel.Task, str] = {}

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Note who woke a task."""
        try:
            waker = trio.lowlevel.current_task()
        except RuntimeError:
            self._wakers[task] = "a deadline, or I/O"
        else:
            self._wakers[task] = "itself" if waker is task else _name(waker)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note a switch."""
        if self.is_over:
            trio.lowlevel.remove_instrument(self)
        elif task.name not in BYSTANDERS:
            time = None if self._clock is None else self._clock.current_time() - self._start
            woken_by = self._wakers.pop(task, "Trio")
            self.count += 1
            if self.count == self._look_at:
                loop = current_loop()
                self.picture = "" if loop is None else loop.picture()
            frames = tuple(
                (id(frame), line, frame.f_code.co_name) for frame, line in task.iter_await_frames()
            )
            self.switches.append(Switch(time, _name(task), place_of(task), woken_by, frames))

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Forget a task."""
        self._wakers.pop(task, None)


def place_of(task: trio.lowlevel.Task) -> str:
    """
    Tell where a task waits: in the innermost function that isn't Trio's or the library's.

    If the application has one, that is the place, and not the function of triows that it called.
    """
    place, is_triows = "its start", True
    for frame, line in task.iter_await_frames():
        name = _file(frame.f_code)
        inside = frame.f_code.co_filename.startswith(_TRIOWS)
        if name is not None and (is_triows or not inside):
            place, is_triows = f"{name}:{line}", inside
    return place


@lru_cache(maxsize=1000)
def _file(code: CodeType) -> str | None:
    """Name the file of a function, if it isn't one that waits on behalf of others."""
    path = Path(code.co_filename)
    carries = _PACKAGES not in path.parts and code.co_filename.startswith(_CARRIERS)
    if carries or code.co_filename.startswith((_CARRIERS[0], "<")):
        return None
    folder = f"{path.parent.name}/" if (path.parent / "__init__.py").exists() else ""
    return f"{folder}{path.name}"


def _name(task: trio.lowlevel.Task) -> str:
    return _ADDRESS.sub("", task.name).rpartition("<locals>.")[2]


def before_failure(traces: Sequence[Trace], error: BaseException) -> Story:
    """
    Give the switches until an error was raised.

    What comes after it is only how the test ends: others are cancelled, and the application shuts
    down. If it isn't found, all switches are given.
    """
    for leaf in _leaves(error):
        frames = [(tb.tb_frame, tb.tb_lineno) for tb in _tracebacks(leaf)]
        for frame, line in reversed(frames):
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


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    elif not isinstance(error, trio.Cancelled):
        yield error


def _tracebacks(error: BaseException) -> Iterator[TracebackType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


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
