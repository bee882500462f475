"""
Holding frames back until the end of a turn of the loop, so that they leave in one system call.

A system call costs more than all that is done in Python for a small message. A handler that finds
eight messages sends eight answers before it waits, and several tasks may send on one connection in
the same turn. So from the second frame of a turn on, a connection's outbox keeps its frames. One
task for all outboxes writes them when the tasks that were ready have run, and before the loop waits
for the system. uvloop does the same with every write.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

import trio

from triows._errors import exc_info

if TYPE_CHECKING:
    from .turn import Turn

__all__ = ["Cork", "Corked"]

logger = logging.getLogger("triows")


class Corked(Protocol):
    """Something that keeps frames until the end of the turn."""

    def flush(self) -> None:
        """Write the frames."""

    def give_up(self) -> None:
        """End the connection, because another method has raised, which is a bug in triows."""


class Cork:
    """
    Flushes, at the end of each turn, what has kept frames in it.

    Args:
        turn: The turn of the loop in which this runs.
    """

    __slots__ = ("_corked", "_is_awake", "_task", "_turn", "began", "is_open")

    def __init__(self, turn: Turn) -> None:
        #: Whether frames may be kept. If not, nobody would flush them.
        self.is_open = False
        #: When the first of those was kept that are kept now, on Trio's clock.
        self.began = 0.0
        self._turn = turn
        self._task: trio.lowlevel.Task | None = None
        self._corked: list[Corked] = []
        # Whether the task is running, or on its way.
        self._is_awake = False

    def add(self, corked: Corked) -> None:
        """
        Flush *corked* at the end of this turn, or of the next one if this is called by its flush.

        Call this only in the loop, while open.
        """
        if not self._corked:
            self.began = trio.lowlevel.current_clock().current_time()
        if not self._is_awake:
            assert self._task is not None
            self._is_awake = True
            trio.lowlevel.reschedule(self._task)
        self._corked.append(corked)

    async def run(self) -> None:
        """Flush until cancelled. From then on, nothing may be kept."""
        self._task = trio.lowlevel.current_task()
        self.is_open = True
        while True:
            # If this is cancelled after it was woken, it still returns.
            await trio.lowlevel.wait_task_rescheduled(self._close)
            self._turn.begin()
            self.flush()
            while self._corked:
                await trio.lowlevel.cancel_shielded_checkpoint()
                self._turn.begin()
                self.flush()
            self._is_awake = False

    def _close(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self.is_open = False
        return trio.lowlevel.Abort.SUCCEEDED

    def flush(self) -> None:
        """Flush everything now, because the end of the turn is far."""
        flushed, self._corked = self._corked, []
        for corked in flushed:
            try:
                corked.flush()
            except Exception as exc:  # noqa: BLE001 - logged
                _give_up(corked, exc)


def _give_up(corked: Corked, exc: Exception) -> None:
    """Give up one connection, so that a mistake of ours doesn't end the others."""
    logger.error("unhandled error in writing to a connection", exc_info=exc_info(exc))
    corked.give_up()
