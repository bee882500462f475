"""
Which seeds are tried, if a test runs under many schedules.

Every seed stands for itself. But a strategy that changes something every 512 batches is not worth a
run of a test that has 40 of them. So after the first run, seeds are taken whose strategy fits the
length of the test.
"""

from __future__ import annotations

from itertools import count

from .schedule import MIX, kind_of
from .seeds import derived

__all__ = ["Exploration"]


class Exploration:
    """
    The seeds for one test, the first first.

    Args:
        seed: The first, which the others are derived from.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._numbers = count(1)
        self._is_first = True
        # The longest run so far.
        self._length = 0
        # The strategies that fit are taken in turn.
        self._turn = seed % len(MIX)

    def note(self, decisions: int) -> None:
        """Note how often there was something to choose in a run."""
        self._length = max(self._length, decisions)

    def next_seed(self) -> int:
        """Give the next seed."""
        if self._is_first:
            self._is_first = False
            return self._seed
        while True:
            self._turn = (self._turn + 1) % len(MIX)
            if MIX[self._turn].length <= self._length:
                break
        seed = derived("explored", self._seed, next(self._numbers))
        seed -= seed % len(MIX) - self._turn
        assert kind_of(seed) is MIX[self._turn]
        return seed
