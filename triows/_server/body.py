"""Whether a client sends the body that the application waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._transports.progress import RATE, Monitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._transports.pinger import Pinger

__all__ = ["BodyWatch"]


class BodyWatch:
    """
    Watches the progress of a body, by the same rule as that of a response.

    A client that sends nothing, or next to nothing, would hold a request for as long as it likes.
    While the application doesn't wait, the client may not be able to send, so that doesn't count.

    Args:
        timer: Says when to look.
        patience: As in :class:`~triows._transports.progress.Progress`.
        too_slow: Called if the client is too slow.
    """

    __slots__ = ("_allowed", "_monitor", "_too_slow", "is_waiting", "received")

    def __init__(self, timer: Pinger, patience: float, too_slow: Callable[[], None]) -> None:
        #: Whether the application waits for the body.
        self.is_waiting = False
        #: How many bytes have come.
        self.received = 0
        self._allowed = 0
        self._too_slow = too_slow
        self._monitor = Monitor(self._count, timer, patience, self._note_look)
        self._monitor.start()

    def _count(self) -> int:
        if not self.is_waiting:
            self._allowed += 2 * RATE
        return self.received + self._allowed

    def _note_look(self, why: str | None) -> None:
        if why is not None:
            self._too_slow()

    def close(self) -> None:
        """Watch no longer."""
        self._monitor.close()
