"""The plain requests that are being served."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pool import Worker

__all__ = ["Jobs"]


class Jobs:
    """The workers that serve requests, so that a shutdown can end them."""

    def __init__(self) -> None:
        # A dict, not a set, so that the order is always the same.
        self._workers: dict[Worker, None] = {}
        self._deadline = math.inf

    def __len__(self) -> int:
        return len(self._workers)

    def add(self, worker: Worker) -> None:
        """Note that a worker begins a request."""
        self._workers[worker] = None
        if self._deadline < math.inf:
            worker.end_at(self._deadline)

    def discard(self, worker: Worker) -> None:
        """Note that its request is over."""
        del self._workers[worker]

    def end_at(self, deadline: float) -> None:
        """Cancel all requests that go on at this time, on Trio's clock, and those that begin."""
        self._deadline = deadline
        for worker in self._workers:
            worker.end_at(deadline)
