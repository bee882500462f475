"""
The cancel scopes and nurseries that a function has opened in its task, and left open.

Trio ends the whole run if a task ends within a nursery that it has opened. So a handler that leaves
one open would end the server, with all other connections. Its own exchange has to pay for it.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from ._errors import combined, exc_info

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["close_left_open", "refuse_left_open", "scopes_of"]

_LEFT_OPEN = (
    "a nursery or a cancel scope was opened and not closed: use `async with trio.open_nursery()` "
    "or `with trio.CancelScope()`, and let the function leave the block"
)

#: Returns what changes when a cancel scope, or a nursery, is opened or closed in a task. Trio has
#: no public name for this. Without it, nothing is found.
scopes_of: Callable[[trio.lowlevel.Task], object] = (
    attrgetter("_cancel_status")
    if hasattr(trio.lowlevel.Task, "_cancel_status")
    else lambda _task: None
)


async def close_left_open(scopes: object) -> BaseException | None:
    """
    Close what was opened in the calling task, and wait for its tasks, which are cancelled.

    As at the end of any nursery, a cancellation has no effect on this wait.

    Args:
        scopes: What :func:`scopes_of` returned before.

    Returns:
        What its tasks have raised, as one exception.
    """
    task = trio.lowlevel.current_task()
    errors = []
    while (status := scopes_of(task)) is not scopes and hasattr(status, "_scope"):
        error = await _close(task, status)
        if error is not None:
            errors.append(error)
    return combined("errors in what was left open", errors)


async def refuse_left_open(scopes: object) -> NoReturn:
    """
    Close what was left open, as :func:`close_left_open` does, and report that.

    Raises:
        RuntimeError: Always. Its cause is what the tasks of a nursery have raised.
    """
    raise RuntimeError(_LEFT_OPEN) from await close_left_open(scopes)


async def _close(task: trio.lowlevel.Task, status: Any) -> BaseException | None:
    """Close the innermost scope, as the end of its block would."""
    scope: trio.CancelScope = status._scope
    error: BaseException | None = None
    nursery: Any = task.child_nurseries[-1] if task.child_nurseries else None
    is_nursery = nursery is not None and nursery.cancel_scope is scope
    if is_nursery and hasattr(nursery, "_nested_child_finished"):
        scope.cancel()
        # The object whose method does this is lost.
        error = await nursery._nested_child_finished(None)
    try:
        is_settled = scope.__exit__(*((None, None, None) if error is None else exc_info(error)))
    except BaseException as exc:  # noqa: BLE001 - returned
        return exc
    return None if is_settled else error
