"""What happened to the clients."""

from __future__ import annotations

import threading
import time
from collections import Counter

from attrs import define, field, frozen

__all__ = ["Mishap", "Tally"]


@frozen
class Mishap:
    """
    Something that no client should see.

    Args:
        column: Where it is counted.
        sentence: What happened.
        after: What was done to a server before.
        seconds: How long before that was.
    """

    column: str
    sentence: str
    after: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.sentence}, {self.seconds * 1000:.0f} ms after {self.after}"


@define
class Tally:
    """Counts for all clients. They call it from their threads."""

    counts: Counter[str] = field(factory=Counter)
    mishaps: list[Mishap] = field(factory=list)
    #: The numbers of the POSTs that were answered.
    answered: list[int] = field(factory=list)
    #: The processes that have answered requests.
    processes: set[int] = field(factory=set)
    _last: tuple[str, float] = field(factory=lambda: ("the start", time.monotonic()))
    _lock: threading.Lock = field(factory=threading.Lock)

    def count(self, column: str) -> None:
        with self._lock:
            self.counts[column] += 1

    def mishap(self, column: str, sentence: str) -> None:
        """Count something that shouldn't happen, and remember the circumstances."""
        with self._lock:
            self.counts[column] += 1
            what, when = self._last
            self.mishaps.append(Mishap(column, sentence, what, time.monotonic() - when))

    def mark(self, what: str) -> None:
        """Remember what is done to a server now."""
        self._last = what, time.monotonic()

    def compare(self, done: Counter[int]) -> None:
        """Compare the answers to POSTs with what the servers have carried out."""
        for number, times in done.items():
            if times > 1:
                self.mishap("twice", f"POST {number} was carried out {times} times")
        for number in self.answered:
            if number not in done:
                self.mishap("twice", f"POST {number} was answered, and not carried out")
