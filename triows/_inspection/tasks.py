"""Describes Trio's tasks, and the lines at which they wait."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from triows._printable import printable
from triows._stacks import Frame, RawFrame, describe, innermost, relative

from .text import Line, Outlined, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from types import FrameType

__all__ = [
    "NurseryNode",
    "TaskNode",
    "await_frames",
    "frames_in",
    "look_at",
    "look_at_nurseries",
    "look_at_task",
    "outline_of_nurseries",
]

# How deep to look into nurseries inside nurseries. Nobody writes a deeper tree on purpose, but a
# program that recurses may make one, and looking at it must not fail.
_DEEPEST = 50


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
        """Describe it in lines, as ``str()`` and ``rich.print`` show it."""
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


def frames_in(task: trio.lowlevel.Task, function: Callable[..., object]) -> list[RawFrame]:
    """
    The frames of a task from one of our functions on; all of them if it is in none such.

    The task may be anybody's. Only what is inside of that function is of interest.
    """
    frames = await_frames(task)
    codes = [frame.f_code for frame, _ in frames]
    code = getattr(function, "__code__", None)
    return frames[codes.index(code) :] if code in codes else frames


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
