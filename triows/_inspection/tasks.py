"""Describes Trio's tasks, and the lines at which they wait."""

from __future__ import annotations

import functools
import linecache
import os
import sys
import sysconfig
from typing import TYPE_CHECKING, Literal, TypeAlias

import trio
from attrs import frozen

from triows._printable import printable

from .text import Line, Outlined, Part, relative

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from types import CodeType, FrameType

__all__ = [
    "Frame",
    "NurseryNode",
    "RawFrame",
    "TaskNode",
    "await_frames",
    "describe",
    "frame_at",
    "innermost",
    "look_at",
    "look_at_nurseries",
    "look_at_task",
    "outline_of_nurseries",
]

#: Whose code a frame runs. ``"system"`` is Trio and the standard library.
Owner: TypeAlias = Literal["application", "library", "triows", "system"]

#: A frame, and the line that it has reached.
RawFrame: TypeAlias = "tuple[FrameType, int]"

# How deep to look into nurseries inside nurseries. Nobody writes a deeper tree on purpose, but a
# program that recurses may make one, and looking at it must not fail.
_DEEPEST = 50


@frozen
class Frame:
    """A function that is running, and the line that it has reached."""

    #: The path of the file. It is absolute if there is a file.
    file: str
    line: int
    #: The function's name, with the classes or functions that it is defined in.
    function: str
    #: Whose code it is: ``"application"``, ``"library"`` (an installed package), ``"triows"`` or
    #: ``"system"`` (Trio, the standard library).
    owner: Owner

    @property
    def where(self) -> str:
        """The place, as ``file:line in function``."""
        return f"{self.file}:{self.line} in {self.function}"

    @property
    def source(self) -> str:
        """The line's text, or ``""`` if the file can't be read."""
        return printable(linecache.getline(self.file, self.line).strip())


@frozen
class NurseryNode:
    """An open nursery, and its tasks."""

    #: Whether it has been cancelled, so that its tasks are about to end.
    cancelled: bool
    #: The tasks, sorted by name and place, because Trio has no other order.
    tasks: tuple[TaskNode, ...]


@frozen
class TaskNode(Outlined):
    """A task of Trio, and the tasks in its nurseries."""

    name: str
    #: ``file:line in function`` of the innermost frame in the application's own code. If there is
    #: none, the innermost frame in an installed package or in triows, or else the outermost frame.
    where: str
    #: The text of that line, or ``""`` if the file can't be read.
    source: str
    #: The frames, from the function that the task runs to the one in which it waits.
    frames: tuple[Frame, ...]
    #: The nurseries that it holds open, the outermost first.
    nurseries: tuple[NurseryNode, ...]

    def outline(self) -> Line:
        """See :class:`Outlined`."""
        return Line.of(
            (self.name, "name"), *_place(self), below=outline_of_nurseries(self.nurseries)
        )


# Looking at tasks.


def look_at_task(task: trio.lowlevel.Task) -> TaskNode:
    """
    Describe a task, and all tasks in its nurseries, as they are at this moment.

    Call it in Trio's thread. It doesn't wait, and it keeps no reference to what it has seen.

    Args:
        task: A task of the running loop. One that has ended has no frames.
    """
    return look_at(task, await_frames(task), task.child_nurseries)


def look_at(
    task: trio.lowlevel.Task,
    frames: Iterable[RawFrame],
    nurseries: Sequence[trio.Nursery],
    *,
    name: str | None = None,
    depth: int = _DEEPEST,
) -> TaskNode:
    """
    Describe a task, or a part of it.

    Args:
        task: The task.
        frames: The frames to show.
        nurseries: The nurseries to show.
        name: What to call it, instead of its own name.
        depth: How deep to look into nurseries inside nurseries.
    """
    described = describe(frames)
    frame = innermost(described)
    return TaskNode(
        name=printable(str(task.name) if name is None else name),
        where=frame.where if frame else "?",
        source=frame.source if frame else "",
        frames=described,
        nurseries=look_at_nurseries(nurseries, depth=depth),
    )


def look_at_nurseries(
    nurseries: Iterable[trio.Nursery],
    *,
    but: Collection[trio.lowlevel.Task | None] = (),
    depth: int = _DEEPEST,
) -> tuple[NurseryNode, ...]:
    """
    Describe nurseries and everything inside them.

    Args:
        nurseries: The nurseries, the outermost first.
        but: Tasks to leave out.
        depth: How deep to look into nurseries inside nurseries.
    """
    if not depth:
        return ()
    return tuple(
        NurseryNode(
            nursery.cancel_scope.cancel_called,
            tuple(
                sorted(
                    (
                        look_at(task, await_frames(task), task.child_nurseries, depth=depth - 1)
                        for task in nursery.child_tasks
                        if task not in but
                    ),
                    key=lambda node: (node.name, node.where),
                )
            ),
        )
        for nursery in nurseries
    )


def await_frames(task: trio.lowlevel.Task) -> list[RawFrame]:
    """Return a task's frames, the outermost first. It may be the task that calls this."""
    if task is _current_task():
        return _running_frames(task)
    if getattr(task.coro, "cr_frame", task) is None:
        return []  # it has ended; the oldest Trio that we allow would raise an error
    return list(task.iter_await_frames())


def _current_task() -> trio.lowlevel.Task | None:
    try:
        return trio.lowlevel.current_task()
    except RuntimeError:  # a callback of the loop, which is between two tasks
        return None


def _running_frames(task: trio.lowlevel.Task) -> list[RawFrame]:
    """
    Return the frames of the task that is running now.

    The task isn't waiting for anything, so Trio knows only its outermost frame.
    """
    first = getattr(task.coro, "cr_frame", None)
    frames: list[RawFrame] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.append((frame, frame.f_lineno))
        if frame is first:
            break
        frame = frame.f_back
    own = os.path.dirname(__file__) + os.sep
    return [one for one in reversed(frames) if not one[0].f_code.co_filename.startswith(own)]


# Looking at frames.


def describe(frames: Iterable[RawFrame]) -> tuple[Frame, ...]:
    """Describe frames, in their order."""
    return tuple(frame_at(frame.f_code, line) for frame, line in frames)


def frame_at(code: CodeType, line: int) -> Frame:
    """Describe a frame by its *code* and the *line* that it has reached."""
    file, owner = _file(code.co_filename)
    return Frame(file, line, printable(code.co_qualname), owner)


def innermost(frames: Sequence[Frame]) -> Frame | None:
    """Return the frame that says most: the innermost of the application, if there is one."""
    for owner in ("application", "library", "triows"):
        for frame in reversed(frames):
            if frame.owner == owner:
                return frame
    return frames[0] if frames else None


_TRIOWS = os.path.dirname(os.path.dirname(__file__)) + os.sep
_SYSTEM = tuple(
    path + os.sep
    for path in (
        os.path.dirname(trio.__file__),
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
    )
)
# Where packages are installed, which is inside the standard library's folder.
_INSTALLED = tuple(os.sep + name + os.sep for name in ("site-packages", "dist-packages"))


@functools.lru_cache(maxsize=4096)
def _file(name: str) -> tuple[str, Owner]:
    """Return the absolute name of a source file, and whose it is."""
    if name.startswith("<"):
        # The input of a prompt, or a text that was compiled, is the application's. Other names
        # like this come from Python and attrs.
        own = not name.startswith(("<frozen", "<attrs"))
        return printable(name), "application" if own else "system"
    file = os.path.abspath(name)
    return printable(file), _owner(file)


def _owner(file: str) -> Owner:
    # From the inner folders to the outer ones.
    if file.startswith(_TRIOWS):
        return "triows"
    if file.startswith(_SYSTEM[0]):
        return "system"
    if any(part in file for part in _INSTALLED):
        return "library"
    return "system" if file.startswith(_SYSTEM) else "application"


# As text.


def outline_of_nurseries(nurseries: Sequence[NurseryNode]) -> list[Line]:
    """Describe nurseries in lines. A nursery has a line of its own only if there is need for it."""
    full = [nursery for nursery in nurseries if nursery.tasks]
    lines: list[Line] = []
    for number, nursery in enumerate(full, 1):
        tasks = [one.outline() for one in nursery.tasks]
        if len(full) > 1 or nursery.cancelled:
            state = "cancelled" if nursery.cancelled else ""
            title = f"nursery {number}" if len(full) > 1 else "nursery"
            lines.append(Line.of((title, "aside"), (state, "busy"), below=tasks))
        else:
            lines += tasks
    return lines


def _place(task: TaskNode) -> Iterator[Part]:
    """Say where a task waits. If it isn't in the application's code, it is shown less clearly."""
    ours = all(frame.owner in ("triows", "system") for frame in task.frames)
    yield relative(task.where), "aside" if ours else "place"
    if not ours:
        yield task.source, "source"
