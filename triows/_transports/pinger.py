"""One task that watches many connections, and knows when to look at each of them."""

from __future__ import annotations

import logging
import math
from itertools import islice
from typing import Protocol

import trio

__all__ = ["Pinged", "Pinger"]

logger = logging.getLogger("triows")

#: Connections to look at before other tasks get a turn: about 15 us each.
_CALLS = 128


class Pinged(Protocol):
    """Something to look at: a connection that pings keep alive, or a peer's progress."""

    def on_due(self) -> None:
        """Called when its time is over. To be called again, it has to add itself again."""


class Pinger:
    """
    Calls everything that was added when its time is over, in one task.

    Most connections wait for the same number of seconds. Those share a queue, whose first entry is
    always the next, so joining and leaving take the same time however many there are. (A task for
    each connection would take some kilobytes, and time to start.)
    """

    def __init__(self) -> None:
        # By the number of seconds. Each queue says when the time is over, and the next is first.
        self._queues: dict[float, dict[Pinged, float]] = {}
        self._waiting: dict[Pinged, float] = {}
        # Asking the clock is faster than trio.current_time().
        self._now = trio.lowlevel.current_clock().current_time
        self._until = math.inf
        self._sleep = trio.CancelScope()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, pinged: Pinged, seconds: float) -> None:
        """Call it after so many seconds. This replaces an earlier time."""
        if pinged in self._waiting:
            self.discard(pinged)
        due = self._now() + seconds
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = {}
        queue[pinged] = due
        self._waiting[pinged] = seconds
        if due < self._until:
            self._sleep.cancel()

    def discard(self, pinged: Pinged) -> None:
        """Do not call it."""
        seconds = self._waiting.pop(pinged, None)
        if seconds is not None:
            queue = self._queues[seconds]
            del queue[pinged]
            if not queue:
                del self._queues[seconds]

    async def run(self) -> None:
        """Call until cancelled."""
        while True:
            self._until = min((_first(queue) for queue in self._queues.values()), default=math.inf)
            with trio.CancelScope(deadline=self._until) as self._sleep:
                await trio.sleep_forever()
            self._call_due()

    def _call_due(self) -> None:
        now = self._now()
        for queue in tuple(self._queues.values()):
            for pinged, due in list(islice(queue.items(), _CALLS)):
                if due > now:
                    break
                if queue.get(pinged) != due:
                    continue  # one of those before it has moved it
                self.discard(pinged)
                _call(pinged)


def _call(pinged: Pinged) -> None:
    """Call it, so that a mistake of ours there doesn't end the other connections."""
    try:
        pinged.on_due()
    except Exception:
        logger.exception("unhandled error in looking after a connection")


def _first(queue: dict[Pinged, float]) -> float:
    return next(iter(queue.values()))
