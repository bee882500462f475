"""
Whether a peer takes what it is sent, and fast enough.

This counts what the peer's *system* has acknowledged. How much our own system has taken says
little: a socket whose buffer is full may stay unwritable for minutes while a slow peer reads
steadily, and a buffer of some megabytes takes a lot for a peer that reads nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from .pinger import Pinger

__all__ = ["GRACE", "RATE", "SLOW", "STALLED", "Monitor", "Progress"]

#: Bytes a second that a peer has to take, and the seconds for which it may take less. The numbers
#: are Kestrel's (``MinResponseDataRate``: 240 bytes a second after a grace period of 5 seconds).
#: Kestrel computes a deadline from the bytes that were written
#: (``TimeoutControl.BytesWrittenToBuffer``), so a large write earns a client hours. We count what
#: was acknowledged instead.
RATE = 240
GRACE = 5.0

#: Why a peer is given up. The close frame and the log have this as the reason.
STALLED = "send timed out"
SLOW = "read too slowly"

#: The longest time between two looks, in seconds, like Kestrel's heartbeat; and the shortest,
#: because looking more often costs more than it tells.
_LONGEST, _SHORTEST = 1.0, 0.05

#: Seconds by which two clocks may differ without an effect.
_TOLERANCE = 1e-6


class Progress:
    """
    The rule by which a peer is too slow, without a clock and without a connection.

    A peer is too slow when

    - it acknowledges nothing for *patience* seconds, or
    - it does acknowledge something, but less than :data:`RATE` for :data:`GRACE` seconds, and
      less than that on average, too, or
    - its average has left it more than *patience* seconds behind :data:`RATE`.

    So a peer that reads in bursts, or after a gap in a mobile network, is judged by its average,
    and a peer that trickles is noticed soon. Being ahead counts for *patience* seconds at most, so
    a peer that has read a lot at once can't trickle for hours.

    Args:
        patience: ``Timeouts.send``, or whatever else bounds the waiting; ``math.inf`` bounds
            nothing.
        now: When it begins.
        acknowledged: Bytes that the peer's system has acknowledged by then. Only differences
            count.
    """

    __slots__ = (
        "_acknowledged",
        "_ahead",
        "_looked",
        "_mark",
        "_patience",
        "_quiet",
        "_slow",
        "interval",
    )

    def __init__(self, patience: float, now: float, acknowledged: int) -> None:
        #: Seconds after which to look again.
        self.interval = min(max(patience / 16, _SHORTEST), _LONGEST)
        self._patience = patience
        self._looked = now
        self._acknowledged = acknowledged
        # Seconds since something was acknowledged.
        self._quiet = 0.0
        # Bytes more than it had to take so far. Less than none while it is behind.
        self._ahead = 0.0
        # For how many seconds it has been behind, but moving; and how far behind it was before.
        self._slow: float | None = None
        self._mark = 0.0

    def look(self, now: float, acknowledged: int) -> str | None:
        """Note what was acknowledged by now. Return why the peer is too slow, if it is."""
        # A long gap means that this process was late. That must not count against the peer.
        seconds = min(now - self._looked, 2 * self.interval)
        taken = max(acknowledged - self._acknowledged, 0)
        self._looked = now
        self._acknowledged += taken
        self._quiet = 0.0 if taken else self._quiet + seconds
        most = RATE * max(self._patience, GRACE)
        self._ahead = min(self._ahead + taken - RATE * seconds, most)
        if self._patience == math.inf:
            return None
        if not taken and self._quiet > self._patience - _TOLERANCE:
            return STALLED
        return SLOW if self._trickles(seconds) or self._ahead < -most else None

    def _trickles(self, seconds: float) -> bool:
        """Say whether it moves, is behind, and has not caught up in the last seconds."""
        if self._ahead >= 0 or self._quiet > GRACE - _TOLERANCE:
            self._slow = None
        elif self._slow is not None:
            self._slow += seconds
            if self._slow > GRACE - _TOLERANCE:
                if self._ahead < self._mark:
                    return True
                self._slow, self._mark = 0.0, self._ahead
        elif not self._quiet:
            self._slow, self._mark = 0.0, self._ahead
        return False


class Monitor:
    """
    Looks at a peer's progress from time to time, as long as something waits for the peer.

    It is not a task: the server's :class:`~triows._transports.pinger.Pinger` calls it.

    Args:
        acknowledged: Returns how many bytes the peer's system has acknowledged so far.
        timer: Calls the monitor.
        patience: As in :class:`Progress`.
        looked: Called after each look with the reason if the peer is too slow, or with ``None``.
            After a reason, it looks no more.
    """

    __slots__ = ("_acknowledged", "_is_due", "_looked", "_patience", "_progress", "_timer")

    def __init__(
        self,
        acknowledged: Callable[[], int],
        timer: Pinger,
        patience: float,
        looked: Callable[[str | None], None],
    ) -> None:
        self._acknowledged = acknowledged
        self._timer = timer
        self._patience = patience
        self._looked = looked
        self._progress: Progress | None = None
        # Whether the timer will call. stop() doesn't change that: most waits are short, and there
        # may be thousands in a second.
        self._is_due = False

    def start(self) -> None:
        """Look from now on. It has no effect if it looks already."""
        if self._progress is None:
            now = trio.current_time()
            self._progress = Progress(self._patience, now, self._acknowledged())
            self._come_back(self._progress)

    def _come_back(self, progress: Progress) -> None:
        if not self._is_due:
            self._is_due = True
            self._timer.add(self, progress.interval)

    def stop(self) -> None:
        """Stop looking. It has no effect if it doesn't look."""
        self._progress = None

    def close(self) -> None:
        """Stop looking for good, and let the timer forget it."""
        self._progress = None
        self._timer.discard(self)

    def on_due(self) -> None:
        """Look. The timer calls this."""
        self._is_due = False
        if self._progress is None:
            return
        why = self._progress.look(trio.current_time(), self._acknowledged())
        if why is None:
            self._come_back(self._progress)
        else:
            self._progress = None
        self._looked(why)
