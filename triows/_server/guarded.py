"""The tasks of a server, in which an error doesn't end the others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from triows._errors import (
    exc_info,
    is_a,
    leaves,
    without,
    without_cancelled,
    without_stray,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    import trio

__all__ = ["GuardedTasks"]

logger = logging.getLogger("triows")


class GuardedTasks:
    """
    Starts tasks and logs their errors, so that an error in one doesn't end the others.

    Args:
        nursery: The nursery in which the tasks run.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start_soon(
        self, function: Callable[..., Awaitable[object]], /, *args: object, name: object = None
    ) -> None:
        """Start a task, like the nursery's method."""
        self._nursery.start_soon(self._run, function, args, name=name)

    @property
    def live(self) -> Collection[trio.lowlevel.Task]:
        """The tasks that have not ended."""
        return self._nursery.child_tasks

    def end_at(self, deadline: float) -> None:
        """Cancel all tasks that are left at this time."""
        self._nursery.cancel_scope.deadline = deadline

    @staticmethod
    async def _run(function: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        try:
            await function(*args)
        except BaseException as raised:
            exc = without_stray(raised)
            error = without_cancelled(exc)
            if error is None or _interrupts(exc):
                raise
            logger.exception("unhandled error in a connection", exc_info=exc_info(error))
            # The error ends here. A cancellation that came with it belongs to whoever cancelled.
            cancelled = without(exc, error)
            if cancelled is not None:
                raise cancelled from None


def _interrupts(exc: BaseException) -> bool:
    """Say whether somebody wants the process to end."""
    return any(is_a(leaf, KeyboardInterrupt) for leaf in leaves(exc))
