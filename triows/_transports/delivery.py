"""Whether a peer gets what was handed over, or is too slow for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import trio

from .progress import Monitor

if TYPE_CHECKING:
    from .pinger import Pinger

__all__ = ["Delivery", "Sender"]


class Sender(Protocol):
    """Whoever has handed something over. None of this waits."""

    @property
    def delivered(self) -> bool:
        """Whether nothing is left to deliver, or nobody gets it."""

    @property
    def has_sent(self) -> bool:
        """Whether our system has taken everything."""

    def acknowledged(self) -> int:
        """Return how many bytes the peer's system has acknowledged."""

    def give_up(self, why: str) -> None:
        """End the connection, because the peer is too slow."""


class _Nobody:
    """The sender after the end."""

    delivered = has_sent = True

    def acknowledged(self) -> int:
        return 0

    def give_up(self, why: str) -> None: ...


_NOBODY: Final = _Nobody()


class Delivery:
    """
    Watches the peer's progress while something waits for it, or somebody waits for that.

    Args:
        sender: The connection. It is called only while this watches.
        timer: Says when to look.
        patience: As in :class:`~triows._transports.progress.Progress`.
    """

    __slots__ = ("_arrived", "_monitor", "_patience", "_sender", "_timer")

    def __init__(self, sender: Sender, timer: Pinger, patience: float) -> None:
        self._sender: Sender = sender
        self._timer = timer
        self._patience = patience
        # Made when something waits for the first time.
        self._monitor: Monitor | None = None
        # Set when there is nothing left to deliver. Whoever waits for that makes it.
        self._arrived: trio.Event | None = None

    def watch(self) -> None:
        """Watch from now on. It has no effect if it watches already."""
        if self._monitor is None:
            acknowledged = self._sender.acknowledged
            self._monitor = Monitor(acknowledged, self._timer, self._patience, self._note_look)
        self._monitor.start()

    def _note_look(self, why: str | None) -> None:
        """Take the monitor's finding: *why* the peer is too slow, or ``None`` if it isn't."""
        if why is not None:
            self._sender.give_up(why)
        self.note_change()

    def note_written(self) -> None:
        """Note that our system has taken everything."""
        if self._arrived is not None:
            self.note_change()
        elif self._monitor is not None:
            self._monitor.stop()

    def note_change(self) -> None:
        """Wake whoever waits, if there is nothing left to deliver."""
        if self._arrived is not None and self._sender.delivered:
            self._arrived.set()

    async def wait(self) -> None:
        """
        Wait until there is nothing left to deliver, or the peer was found too slow.

        Only one task at a time may wait, and only if there is something to wait for.
        """
        self._arrived = trio.Event()
        self.watch()
        try:
            await self._arrived.wait()
        finally:
            self._arrived = None
            if self._monitor is not None and self._sender.has_sent:
                self._monitor.stop()

    def close(self) -> None:
        """Watch no longer. A second call has no effect."""
        if self._monitor is not None:
            self._monitor.close()
        self._monitor, self._sender = None, _NOBODY  # they refer to each other
