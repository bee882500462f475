"""
A record of task switches, for a test that is run again because it failed.

It names tasks, files and lines, and times of the virtual clock, but no addresses. So the same
schedule of the same test has the same record in any process.
"""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import trio
from trio.testing import MockClock

from .internals import BYSTANDERS

if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ["Switch", "Trace"]

#: Code below these folders waits on behalf of the code that calls it.
_CARRIERS = (
    str(Path(trio.__file__).parent),
    sysconfig.get_path("stdlib"),
    str(Path(__file__).parent),
)

#: What of a program's own stands below one of them.
_PACKAGES = "site-packages"

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

    def __str__(self) -> str:
        time = "" if self.time is None else f"{self.time:9.3f}  "
        return f"{time}{self.task}  at {self.place}, woken by {self.woken_by}"


class Trace(trio.abc.Instrument):
    """Records the switches of one loop."""

    def __init__(self) -> None:
        self.switches: list[Switch] = []
        clock = trio.lowlevel.current_clock()
        self._clock = clock if isinstance(clock, MockClock) else None
        self._start = clock.current_time()
        self._wakers: dict[trio.lowlevel.Task, str] = {}
        self._names: dict[CodeType, str | None] = {}

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Note who woke a task."""
        try:
            waker = trio.lowlevel.current_task()
        except RuntimeError:
            self._wakers[task] = "the clock, or from outside"
        else:
            self._wakers[task] = "itself" if waker is task else _name(waker)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note a switch."""
        if task.name in BYSTANDERS:
            return
        time = None if self._clock is None else self._clock.current_time() - self._start
        woken_by = self._wakers.pop(task, "Trio")
        self.switches.append(Switch(time, _name(task), self._place(task), woken_by))

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Forget a task."""
        self._wakers.pop(task, None)

    def _place(self, task: trio.lowlevel.Task) -> str:
        place = "its start"
        for frame, line in task.iter_await_frames():
            if (name := self._file(frame)) is not None:
                place = f"{name}:{line}"
        return place

    def _file(self, frame: FrameType) -> str | None:
        """Name the file of a frame, if it isn't one that waits on behalf of others."""
        code = frame.f_code
        if code not in self._names:
            path = Path(code.co_filename)
            carries = _PACKAGES not in path.parts and code.co_filename.startswith(_CARRIERS)
            carries |= code.co_filename.startswith((_CARRIERS[0], "<"))
            self._names[code] = None if carries else f"{path.parent.name}/{path.name}"
        return self._names[code]


def _name(task: trio.lowlevel.Task) -> str:
    return _ADDRESS.sub("", task.name)
