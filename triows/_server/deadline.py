"""The moment by which a client has to do something."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._transports.pinger import Pinger

__all__ = ["NEVER", "Deadline"]

#: The moment of a deadline that nobody has set.
NEVER: Final = math.inf

#: A deadline that was moved is looked at in steps of so many seconds, so that many connections
#: share a queue.
_STEP: Final = 0.25

#: Seconds by which two clocks may differ without an effect.
_TOLERANCE: Final = 1e-6


class Deadline:
    """
    A deadline that is moved for each request.

    The timer isn't told that it was moved to a later moment. It looks too early then, and comes
    back. So most requests cost it nothing.

    Args:
        timer: Says when to look.
        now: Returns Trio's time.
        passed: Called when the deadline has passed.
    """

    __slots__ = ("_due_at", "_now", "_passed", "_timer", "at")

    def __init__(self, timer: Pinger, now: Callable[[], float], passed: Callable[[], None]) -> None:
        #: The moment on Trio's clock. Whoever doesn't wait any more sets it to :data:`NEVER`.
        self.at = NEVER
        # When the timer will look.
        self._due_at = NEVER
        self._timer = timer
        self._now = now
        self._passed = passed

    def move(self, seconds: float) -> None:
        """Let it be so many seconds from now."""
        self.at = self._now() + seconds
        if self.at < self._due_at:
            self._due_at = self.at
            self._timer.add(self, seconds)

    def on_due(self) -> None:
        """Look whether it has passed. The timer calls this."""
        self._due_at = NEVER
        now = self._now()
        left = self.at - now
        if left <= _TOLERANCE:
            self._passed()
        elif left < NEVER:
            seconds = math.ceil(left / _STEP) * _STEP
            self._due_at = now + seconds
            self._timer.add(self, seconds)

    def close(self) -> None:
        """Never call anybody. A second call has no effect."""
        self._timer.discard(self)
        self._passed = _nobody  # they refer to each other


def _nobody() -> None:
    """Do nothing. It is called in place of the owner after the end."""
