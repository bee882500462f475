"""
The pings of one connection: those that show whether the peer is still there, and those of ping().

A pong answers its ping and all pings before (RFC 6455 section 5.5.3). So each ping has a number,
which its pong repeats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import trio

from .progress import Progress

if TYPE_CHECKING:
    from triows._settings import Timeouts

    from .interface import Ended
    from .pinger import Pinger

__all__ = ["Carrier", "Keepalive"]


class Carrier(Protocol):
    """The connection, as far as its pings need it. None of this waits."""

    ended: Ended | None

    @property
    def holds_back(self) -> bool:
        """Whether a pong may wait, unread, behind messages for which there is no room."""

    def send_ping(self, payload: bytes) -> bytes:
        """Send a ping, ahead of all frames that have not begun, and return its frame."""

    def withdraw_ping(self, frame: bytes) -> None:
        """Do not send a ping that still waits."""

    def all_taken(self) -> int | None:
        """Return how many bytes our system has taken, or ``None`` if others still wait for it."""

    def acknowledged(self) -> int:
        """Return how many bytes the peer's system has acknowledged."""

    def give_up_unanswered(self) -> None:
        """End the connection, because the peer doesn't answer pings."""


class _Probe:
    """
    A ping that is sent to find out whether the peer is still there.

    Args:
        number: The ping's number. Its pong repeats it.
        frame: The frame that is sent.
    """

    __slots__ = ("end", "frame", "number", "progress", "sent_at")

    def __init__(self, number: int, frame: bytes) -> None:
        self.number = number
        self.frame = frame
        self.sent_at = trio.current_time()
        #: The number of bytes sent on the connection up to the end of this ping. It is known
        #: once the system has taken the ping.
        self.end: int | None = None
        #: The peer's progress, until its system has acknowledged the ping.
        self.progress: Progress | None = None


class Keepalive:
    """
    Sends pings, and takes their pongs.

    It is not a task: the server's :class:`~triows._transports.pinger.Pinger` calls it.

    Args:
        carrier: The connection.
        timer: Says when it is time for a ping.
        timeouts: The settings of the route.
    """

    __slots__ = ("_carrier", "_last", "_probe", "_timeouts", "_timer", "_waiting", "latency")

    def __init__(self, carrier: Carrier, timer: Pinger, timeouts: Timeouts) -> None:
        #: Seconds between the last ping that was answered and its pong.
        self.latency: float | None = None
        # Removed by close(), because the carrier refers to this object, too.
        self._carrier: Carrier | None = carrier
        self._timer = timer
        self._timeouts = timeouts
        # The number of the last ping.
        self._last = 0
        # The ping that waits for its pong to show that the peer is there.
        self._probe: _Probe | None = None
        # An event for each call of ping() that waits, by the number of the ping.
        self._waiting: dict[int, trio.Event] | None = None

    def start(self) -> None:
        """Send pings from now on, if the settings want any."""
        if self._timeouts.ping_interval < math.inf:
            self._timer.add(self, self._timeouts.ping_interval)

    def close(self) -> None:
        """Send no more pings, and forget the connection."""
        self._timer.discard(self)
        self._carrier = None

    def wake(self) -> None:
        """Wake those that wait for a pong, because none will come."""
        for event in (self._waiting or {}).values():
            event.set()

    async def ping(self) -> float:
        """Send a ping. Return the seconds until its pong came, or until :meth:`wake` was called."""
        carrier = self._carrier
        assert carrier is not None
        started = trio.current_time()
        if self._waiting is None:
            self._waiting = {}
        number = self._last + 1
        answered = self._waiting[number] = trio.Event()
        frame = self._send(carrier)
        try:
            await answered.wait()
        finally:
            self._waiting.pop(number, None)
            carrier.withdraw_ping(frame)
        return trio.current_time() - started

    def _send(self, carrier: Carrier) -> bytes:
        self._last += 1
        return carrier.send_ping(self._last.to_bytes(4, "big"))

    def note_pong(self, payload: bytes) -> None:
        """Take a pong."""
        number = int.from_bytes(payload, "big")
        if len(payload) != 4 or not number <= self._last:
            return  # it doesn't answer our pings
        if self._probe is not None and self._probe.number <= number:
            self.latency = trio.current_time() - self._probe.sent_at
            self._probe = None
            self._timer.add(self, self._timeouts.ping_interval)
        for earlier in [one for one in self._waiting or () if one <= number]:
            self._waiting.pop(earlier).set()  # type: ignore[union-attr]  # it has entries

    def note_taken(self, frame: object, end: int) -> None:
        """
        Note that the system has taken all of a frame that waited.

        Args:
            frame: The frame, which may be a ping.
            end: How many bytes the system had taken with the last one of the frame.
        """
        if self._probe is not None and self._probe.frame is frame:
            self._probe.end = end

    def on_due(self) -> None:
        """Send the next ping, or see what became of the last one. The pinger calls this."""
        carrier, probe = self._carrier, self._probe
        if carrier is None or carrier.ended is not None:
            return
        if probe is not None and probe.progress is not None:
            self._wait_for_arrival(carrier, probe, probe.progress)
        elif probe is None or carrier.holds_back:
            # If reading is held back, the peer's system has taken the last ping, and its pong may
            # be there. To show that it is still there, it has to take another.
            self._send_probe(carrier)
        else:
            carrier.give_up_unanswered()

    def _send_probe(self, carrier: Carrier) -> None:
        """
        Send a ping, and wait for its pong.

        The peer can't answer before the ping has arrived. That may take a while, because other
        frames wait before it, in the outbox and in our system. So the time for the pong begins
        when the peer's system has acknowledged the ping. Until then the peer only has to make
        progress.
        """
        frame = self._send(carrier)
        probe = self._probe = _Probe(self._last, frame)
        probe.end = carrier.all_taken()
        seconds = self._timeouts.ping_timeout
        acknowledged = carrier.acknowledged()
        if probe.end is None or acknowledged < probe.end:
            probe.progress = Progress(seconds, probe.sent_at, acknowledged)
            seconds = probe.progress.interval
        self._timer.add(self, seconds)

    def _wait_for_arrival(self, carrier: Carrier, probe: _Probe, progress: Progress) -> None:
        """Check that the ping has arrived, or that the peer still takes what is before it."""
        acknowledged = carrier.acknowledged()
        if probe.end is not None and acknowledged >= probe.end:
            probe.progress = None
            self._timer.add(self, self._timeouts.ping_timeout)
        elif progress.look(trio.current_time(), acknowledged) is None:
            self._timer.add(self, progress.interval)
        else:
            carrier.give_up_unanswered()
