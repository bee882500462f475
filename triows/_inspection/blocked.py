"""
Says what blocks a Trio loop: the task that runs at this moment, and the lines at which it is.

Another thread asks for this while the loop's own thread goes on. So what it sees may change at any
time, and it must not call anything that Trio only allows in the loop's thread.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from triows._log import peer_of
from triows._printable import printable
from triows._stacks import Frame, describe, frame_at, lines, shown

from .inside import described, with_mounted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    from triows._stacks import RawFrame
    from triows.types import Scope

    from .inside import Inspected

__all__ = ["Blocker", "LoopView", "Sample", "blocker_of", "waiting_at"]

#: Debuggers and prompts that wait for a person: the first part of their modules' names.
_DEBUGGERS = {
    *("bdb", "pdb", "ipdb", "pudb"),
    *("debugpy", "pydevd", "_pydevd_bundle"),
    *("code", "IPython"),
}


@frozen(eq=False)
class Sample:
    """What a loop's thread was doing."""

    #: The task that ran. ``None`` between two tasks, or in a callback of the loop.
    task: trio.lowlevel.Task | None
    #: The frames of the task, or of the loop if there is no task. The outermost comes first.
    frames: list[RawFrame]

    @property
    def is_debugged(self) -> bool:
        """Whether a debugger or a prompt waits for a person."""
        modules = (frame.f_globals.get("__name__") or "" for frame, _ in self.frames)
        return any(str(name).partition(".")[0] in _DEBUGGERS for name in modules)

    @property
    def scopes(self) -> Iterator[Any]:
        """The ASGI scopes in the frames of triows, the outermost first."""
        for frame, _ in self.frames:
            if "scope" in frame.f_code.co_varnames and frame_at(frame.f_code, 0).owner == "triows":
                scope = frame.f_locals.get("scope")
                if isinstance(scope, dict) and "type" in scope:
                    yield scope


class LoopView:
    """
    A Trio loop, as other threads see it.

    Make it in the loop's own thread.
    """

    def __init__(self) -> None:
        root = trio.lowlevel.current_root_task()
        assert root is not None
        self._root = root
        #: The loop's thread.
        self.ident = threading.get_ident()

    def sample(self) -> Sample:
        """
        Look at what the loop's thread is doing.

        Raises:
            RuntimeError: Tasks came or went meanwhile, so the loop isn't blocked.
        """
        frames: list[FrameType] = []
        frame = sys._current_frames().get(self.ident)
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        frames.reverse()
        # The running task is the one whose outermost frame is on the stack. Trio says which one
        # runs, but only in that thread.
        places = {frame: number for number, frame in enumerate(frames)}
        for task in _all_tasks(self._root):
            number = places.get(getattr(task.coro, "cr_frame", None))  # type: ignore[arg-type]
            if number is not None:
                return Sample(task, _with_lines(frames[number:]))
        inner = [n for n, one in enumerate(frames) if one.f_globals.get("__name__") == _RUN]
        return Sample(None, _with_lines(frames[inner[-1] + 1 if inner else 0 :]))


_RUN = "trio._core._run"


def _with_lines(frames: Iterable[FrameType]) -> list[RawFrame]:
    return [(frame, frame.f_lineno) for frame in frames]


def _all_tasks(root: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    waiting = [root]
    while waiting:
        task = waiting.pop()
        yield task
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)


@frozen
class Blocker:
    """A description, for people, of what blocks a loop."""

    #: A connection with its route and peer, a request, or a task.
    who: str
    #: Where it is: from the application's first function to the innermost one.
    frames: tuple[Frame, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.who}, at", *lines(self.frames)])


def blocker_of(sample: Sample, apps: Iterable[Inspected]) -> Blocker:
    """
    Describe what runs in a loop.

    Args:
        sample: What was seen.
        apps: The applications that have connections in this loop.

    Raises:
        RuntimeError: Connections came or went meanwhile, so the loop isn't blocked.
    """
    return Blocker(_who(sample, apps), shown(describe(sample.frames)))


def waiting_at(task: trio.lowlevel.Task, apps: Iterable[Inspected]) -> Blocker:
    """
    Describe a task that waits, or will run next. Call this in the loop's thread.

    Args:
        task: The task, but not the one that calls this.
        apps: As in :func:`blocker_of`.
    """
    return blocker_of(Sample(task, list(task.iter_await_frames())), apps)


def _who(sample: Sample, apps: Iterable[Inspected]) -> str:
    if sample.task is None:
        return "a callback of the loop, or Trio itself"
    ancestors = {*_ancestors(sample.task)}
    for app in apps:
        for prefix, inside in with_mounted("", app._inside()):
            for exchange in inside.exchanges:
                if exchange.lifetime.task in ancestors:
                    return described(prefix, exchange)
    for scope in sample.scopes:
        kind = "handshake" if scope["type"] == "websocket" else "request"
        path = printable(str(scope.get("path", "")))
        return f"the {kind} for {path} from {_peer(scope)}"
    return f"the task {printable(str(sample.task.name))}"


def _peer(scope: Scope) -> str:
    return printable(peer_of(scope))


def _ancestors(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    one: trio.lowlevel.Task | None = task
    while one is not None:
        yield one
        one = None if one.parent_nursery is None else one.parent_nursery.parent_task
