"""
Strategies: ways to put a batch of tasks in order.

Trio runs in rounds: all tasks that are ready are one batch, each of them makes one step, and what
becomes ready meanwhile is in the next batch. So tasks go in lockstep, and all that a schedule can
choose is the order within each batch. A race shows in some of those orders only. No strategy finds
every race soon, so a seed first picks a strategy:

- *Shuffled*: each batch in an order of its own. It finds what depends on one or two batches.
- *Ranked*: each task has a random rank, and those of higher rank always run first, as in
  probabilistic concurrency testing (Burckhardt et al. 2010). It finds what needs the same order in
  many batches. Now and then, at a *change point*, a task gets another rank, so what needs one order
  first and then the other is found, too.
- *Redrawn*: the same, but all ranks are drawn anew at a change point.
- *Forwards*, *backwards* and *alternating*: in the order in which the tasks were started, or the
  reverse of that, or now the one and now the other, as Trio does it in production.

Each of them takes the batch as Trio does: what is last in the list runs first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

__all__ = ["Alternating", "Fixed", "Order", "Ranked", "Shuffled", "Task"]


class Task(Protocol):
    """What is known of a task of Trio's: they are numbered in the order in which they start."""

    @property
    def _counter(self) -> int: ...


class Order(Protocol):
    """A strategy, for one loop."""

    def __call__(self, batch: list[Task]) -> None:
        """Put a batch in order. It comes in the order in which its tasks were started."""


class Shuffled:
    """Each batch in an order of its own, and each order is as likely as any other."""

    __slots__ = ("_random",)

    def __init__(self, random: Random) -> None:
        self._random = random.random

    def __call__(self, batch: list[Task]) -> None:
        random = self._random
        # Random.shuffle() may change with Python's version, and random() may not.
        for i in range(len(batch) - 1, 0, -1):
            j = int(random() * (i + 1))
            batch[i], batch[j] = batch[j], batch[i]


class Fixed:
    """Always forwards, or always backwards."""

    __slots__ = ("_backwards",)

    def __init__(self, *, backwards: bool) -> None:
        self._backwards = backwards

    def __call__(self, batch: list[Task]) -> None:
        if not self._backwards:
            batch.reverse()


class Alternating:
    """Forwards or backwards, as a coin falls."""

    __slots__ = ("_random",)

    def __init__(self, random: Random) -> None:
        self._random = random.random

    def __call__(self, batch: list[Task]) -> None:
        if self._random() < 0.5:
            batch.reverse()


class Ranked:
    """
    Tasks of higher rank always run first.

    Args:
        random: Draws the ranks.
        every: How many batches there are on average between two change points; 0 if there is none.
        redraws: Whether all tasks get another rank at a change point, or one.
    """

    __slots__ = ("_changes", "_random", "_rank", "_ranks", "_rate", "_redraws")

    def __init__(self, random: Random, every: int, *, redraws: bool = False) -> None:
        self._random = random.random
        self._rate = 1 / every if every else 0.0
        self._redraws = redraws
        # A test may start any number of tasks, so nothing is kept of those that have ended.
        self._ranks: WeakKeyDictionary[Task, float] = WeakKeyDictionary()
        self._changes = 0
        self._rank: Callable[[Task], float] = self._rank_of

    def _rank_of(self, task: Task) -> float:
        rank = self._ranks.get(task)
        if rank is None:
            rank = self._ranks[task] = self._random()
        return rank

    def __call__(self, batch: list[Task]) -> None:
        if self._rate and self._random() < self._rate:
            self._change(batch)
        batch.sort(key=self._rank)

    def _change(self, batch: Sequence[Task]) -> None:
        self._changes += 1
        if self._redraws:
            self._ranks.clear()
            return
        task = batch[int(self._random() * len(batch))]
        # Above all others, or below them. A later one goes beyond an earlier one.
        extreme = 1.0 + self._changes
        self._ranks[task] = extreme if self._random() < 0.5 else -extreme
