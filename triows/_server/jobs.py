"""The plain requests that are being served."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pool import Worker

__all__ = ["Jobs"]


class Jobs:
    """The workers that serve requests, so that a shutdown can end them."""

    __slots__ = ("deadline", "workers")

    def __init__(self) -> None:
        #: The workers. Whoever begins a request adds its worker, lets it end at the deadline if
        #: there is one, and removes it afterwards. It is a dict, not a set, so that the order is
        #: always the same.
        self.workers: dict[Worker, None] = {}
        self.deadline = math.inf

    def end_at(self, deadline: float) -> None:
        """Cancel all requests that go on at this time, on Trio's clock, and those that begin."""
        self.deadline = deadline
        for worker in self.workers:
            worker.end_at(deadline)
