"""Trio's tasks below one another, and what holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["all_tasks", "tasks_in", "top_tasks", "unshield", "waits_for_thread"]


def all_tasks() -> Iterator[trio.lowlevel.Task]:
    """All tasks of the loop, those further out before those in their nurseries."""
    root = trio.lowlevel.current_root_task()
    return iter(()) if root is None else _below(root)


def tasks_in(nursery: trio.Nursery) -> Iterator[trio.lowlevel.Task]:
    """All tasks of a nursery, and those in nurseries of theirs."""
    for child in nursery.child_tasks:
        yield child
        yield from _below(child)


def _below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    for nursery in task.child_nurseries:
        yield from tasks_in(nursery)


def top_tasks() -> Iterator[trio.lowlevel.Task]:
    """
    Tasks that no task but the root waits for.

    One is the program's main task, others are Trio's, or ``trio.lowlevel.spawn_system_task``'s.
    """
    root = trio.lowlevel.current_root_task()
    for nursery in root.child_nurseries if root is not None else ():
        yield from nursery.child_tasks


def unshield(task: trio.lowlevel.Task, top: trio.CancelScope) -> None:
    """
    Take all shields from a task, up to a scope that is *top*.

    Trio has no public way to it, for good reasons; here the alternative is a test that hangs.
    """
    status = getattr(task, "_cancel_status", None)
    while status is not None and status._scope is not top:
        status._scope.shield = False
        status = status._parent


def waits_for_thread(task: trio.lowlevel.Task) -> bool:
    """Whether it waits for a thread, which no cancellation reaches."""
    return any(
        frame.f_globals.get("__name__") == "trio._threads" for frame, _ in task.iter_await_frames()
    )
