"""What still runs when an application should have ended, as text for its log."""

from __future__ import annotations

import os
import sys
import threading
from itertools import islice
from typing import TYPE_CHECKING

import trio

from triows._printable import printable
from triows._stacks import describe, innermost, lines, shown

from .blocked import LoopView, blocker_of
from .inside import with_mounted
from .tasks import await_frames
from .text import bounded, indented
from .tree import glance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .inside import Inspected

__all__ = ["Remains", "alive", "everything"]

#: How many connections are shown, how many other tasks, and how many lines at all. Whoever reads
#: the log wants to know which code hangs, and that is seldom more than one place.
_CONNECTIONS, _TASKS, _LINES = 10, 10, 100

#: The server, of which a part may wait for the application.
_HYPERCORN = f"{os.sep}hypercorn{os.sep}"


def alive(app: Inspected, tasks: Iterable[trio.lowlevel.Task]) -> str:
    """
    Describe what is alive, without anything that a peer has sent. Call this in the loop's thread.

    Args:
        app: The application. Its connections and resources come first.
        tasks: Where else to look for code of the application: these tasks, and all below them.
    """
    text = [*indented(glance(app, _CONNECTIONS))]
    others = (_task(task) for task in _below(tasks, _known(app)))
    for block in islice(filter(None, others), _TASKS):
        text += (f"  {line}" for line in block)
    return "\n".join(bounded(text, _LINES))


def _task(task: trio.lowlevel.Task) -> list[str]:
    """Describe a task, if it is in code that may be the application's."""
    frames = describe(await_frames(task))
    frame = innermost(frames)
    if frame is None or frame.owner not in ("application", "library") or _HYPERCORN in frame.file:
        return []
    return [f"task {printable(str(task.name))}, at", *lines(shown(frames))]


def everything() -> tuple[trio.lowlevel.Task, ...]:
    """Return the task that all others of the loop are below."""
    root = trio.lowlevel.current_root_task()
    return () if root is None else (root,)


def _known(app: Inspected) -> set[trio.lowlevel.Task | None]:
    """The tasks that the tree of the application shows."""
    known: set[trio.lowlevel.Task | None] = set()
    for _, inside in with_mounted("", app._inside()):
        stack = inside.resources.stack
        known |= {host.task for host in (() if stack is None else stack.hosts)}
        known |= {exchange.lifetime.task for exchange in inside.exchanges}
    return known


def _below(
    tasks: Iterable[trio.lowlevel.Task], known: set[trio.lowlevel.Task | None]
) -> Iterator[trio.lowlevel.Task]:
    waiting = list(tasks)
    while waiting:
        task = waiting.pop()
        if task not in known:
            yield task
            for nursery in task.child_nurseries:
                waiting.extend(nursery.child_tasks)


class Remains:
    """
    What keeps a process from ending, as another thread sees it. Make it in the loop's thread.

    Args:
        app: The application that the process serves.
    """

    def __init__(self, app: Inspected) -> None:
        self._app = app
        self._view = LoopView()

    def alive(self) -> str:
        """Describe everything in the loop. Call this in the loop's thread."""
        return alive(self._app, everything())

    def blocking(self) -> str:
        """Describe what blocks the loop. Call this in another thread."""
        return str(blocker_of(self._view.sample(), [self._app]))

    def threads(self) -> str:
        """Describe the threads that keep the process alive when the loop is over."""
        frames = sys._current_frames()
        text: list[str] = []
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            if thread.daemon or frame is None:
                continue
            stack = []
            while frame is not None:
                stack.append((frame, frame.f_lineno))
                frame = frame.f_back
            described = describe(reversed(stack))
            # The main thread usually waits for the others.
            theirs = any(one.owner in ("application", "library") for one in described)
            if theirs or thread is not threading.main_thread():
                text += [f"the thread {printable(thread.name)}, at", *lines(shown(described))]
        return "\n".join(bounded(text, _LINES))
