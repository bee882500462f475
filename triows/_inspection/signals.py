"""The tree on a signal, for a process that is only reached by its number."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import trio

from .tree import tree

if TYPE_CHECKING:
    from .tree import Inspected, Tree

__all__ = ["print_on_signal"]

logger = logging.getLogger("triows")


async def print_on_signal(
    app: Inspected,
    signum: int | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """
    Print the :func:`~triows.inspect.tree` to the standard error each time a signal comes.

    It goes on until it is cancelled; start it in a nursery, by ``start`` to be sure that it
    listens. Text and output are a thread's work: the loop does not wait for them.

    Args:
        app: The application.
        signum: The signal, ``SIGUSR1`` by default.
        task_status: Told when it listens.

    Raises:
        ValueError: no *signum*, and the system has no ``SIGUSR1``: Windows.
        RuntimeError: not in the main thread, where Python takes signals.
    """
    if signum is None:
        signum = getattr(signal, "SIGUSR1", None)
    if signum is None:
        raise ValueError("this system has no SIGUSR1: give a signal that it has")
    with trio.open_signal_receiver(signum) as signals:
        task_status.started()
        async for _ in signals:
            # A standard error that nobody reads may hold the thread for good.
            await trio.to_thread.run_sync(_print, tree(app), abandon_on_cancel=True)
    raise AssertionError("signals have no end")


def _print(seen: Tree) -> None:
    try:
        # At once, so that what others write comes before or behind it.
        sys.stderr.write(f"{seen}\n")
        sys.stderr.flush()
    except (OSError, ValueError) as exc:  # it is closed, or nobody is at its other end
        logger.warning("the tree can't be printed: %s", exc)
