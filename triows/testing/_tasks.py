"""Functions that walk through Trio's tasks and nurseries, and take shields away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "all_tasks",
    "scope_of",
    "tasks_below",
    "tasks_in",
    "top_tasks",
    "unshield",
    "waits_for_thread",
]


def all_tasks() -> Iterator[trio.lowlevel.Task]:
    """Yield all tasks of the loop, each before the tasks in its nurseries."""
    root = trio.lowlevel.current_root_task()
    return iter(()) if root is None else tasks_below(root)


def tasks_in(nursery: trio.Nursery) -> Iterator[trio.lowlevel.Task]:
    """Yield all tasks of a nursery, and the tasks in their nurseries."""
    for child in nursery.child_tasks:
        yield child
        yield from tasks_below(child)


def tasks_below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """Yield all tasks in the nurseries of a task, and the tasks in their nurseries."""
    for nursery in task.child_nurseries:
        yield from tasks_in(nursery)


def top_tasks() -> Iterator[trio.lowlevel.Task]:
    """
    Yield the tasks directly below Trio's root task.

    One is the program's main task. The others belong to Trio, or were started with
    ``trio.lowlevel.spawn_system_task``.
    """
    root = trio.lowlevel.current_root_task()
    for nursery in root.child_nurseries if root is not None else ():
        yield from nursery.child_tasks


def scope_of(task: trio.lowlevel.Task) -> trio.CancelScope | None:
    """
    Return the innermost cancel scope in which a task is.

    Trio has no public function for this. If a release of Trio had other names inside, there would
    be none.
    """
    scope: trio.CancelScope | None = getattr(getattr(task, "_cancel_status", None), "_scope", None)
    return scope


def unshield(task: trio.lowlevel.Task, top: trio.CancelScope) -> None:
    """
    Take all shields away from a task, up to the scope *top*.

    Trio has no public function for this, for good reasons. Here the alternative is a test that
    hangs. If a release of Trio had other names inside, nothing would be taken away.
    """
    status = getattr(task, "_cancel_status", None)
    while (scope := getattr(status, "_scope", top)) is not top:
        scope.shield = False
        status = getattr(status, "_parent", None)


def waits_for_thread(task: trio.lowlevel.Task) -> bool:
    """Say whether it waits for a thread, because nothing can cancel that."""
    return any(
        frame.f_globals.get("__name__") == "trio._threads" for frame, _ in task.iter_await_frames()
    )
