"""Prints the tree when a signal comes, for a process that you can reach only by its id."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import trio

from .tree import tree

if TYPE_CHECKING:
    from .inside import Inspected
    from .tree import Tree

__all__ = ["print_on_signal"]

logger = logging.getLogger("triows")


async def print_on_signal(
    app: Inspected,
    signum: int | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """
    Print the :func:`~triows.inspect.tree` to standard error each time a signal comes.

    It runs until it is cancelled. Start it with ``await nursery.start(...)``: then you know that
    it listens. A thread makes and prints the text, so the loop doesn't wait for it.

    Args:
        app: The application.
        signum: The signal. By default, ``SIGUSR1``.
        task_status: Started when it listens.

    Raises:
        ValueError: You gave no *signum*, and the system has no ``SIGUSR1``, as on Windows.
        RuntimeError: It doesn't run in the main thread, where Python receives signals.
    """
    if signum is None:
        signum = getattr(signal, "SIGUSR1", None)
    if signum is None:
        raise ValueError("this system has no SIGUSR1: give a signal that it has")
    with trio.open_signal_receiver(signum) as signals:
        task_status.started()
        async for _ in signals:
            # If nobody reads standard error, the thread may wait forever.
            await trio.to_thread.run_sync(_print, tree(app), abandon_on_cancel=True)
    raise AssertionError("signals have no end")


def _print(seen: Tree) -> None:
    try:
        # Write all of it at once, so that no other output gets into the middle of it.
        sys.stderr.write(f"{seen}\n")
        sys.stderr.flush()
    except (OSError, ValueError) as exc:  # standard error is closed, or nobody reads it
        logger.warning("the tree can't be printed: %s", exc)
