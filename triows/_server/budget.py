"""How long the end of a served application may take."""

from __future__ import annotations

import math
import signal
from typing import TYPE_CHECKING, Self

from attrs import frozen
from hypercorn.config import Config

from triows._settings import Timeouts

from .newcomers import LINGER

if TYPE_CHECKING:
    from triows._app import Triows

    from .drain import Drain

__all__ = ["AIR", "INTERRUPT_GRACE", "Budget", "at_most"]

#: Spare seconds for the scheduler and the event loop, on a machine under load.
AIR = 1.0

#: Seconds that handlers have after SIGINT. Somebody who presses Ctrl-C, or waits for a reload,
#: would notice more than a second. A program that stops a service sends SIGTERM.
INTERRUPT_GRACE = 1.0


def at_most(seconds: float) -> str:
    """Say how long something may take."""
    return (
        "for as long as it takes" if seconds == math.inf else f"for {round(seconds, 1):g} s at most"
    )


@frozen
class Budget:
    """
    How many seconds a process that serves may take to end.

    Args:
        graceful: Seconds after SIGTERM.
        interrupted: Seconds after SIGINT, when handlers have :data:`INTERRUPT_GRACE`.
        idle: Seconds after either signal, if there is no connection.
        at_once: Seconds after a second signal, or after a signal during the start-up.
    """

    graceful: float
    interrupted: float
    idle: float
    at_once: float

    @classmethod
    def of(cls, app: Triows, drain: Drain) -> Self:
        """
        Add up the settings of *app* and *drain*.

        Plain HTTP requests end, and idle connections too, while the application drains. The
        listeners end within :data:`LINGER`.
        """
        idle = LINGER + app.timeouts.teardown + AIR
        http = Config.graceful_timeout
        graceful = drain.delay + max(app.drain_budget, http, drain.idle)
        interrupted = max(app.drain_seconds(INTERRUPT_GRACE), min(http, INTERRUPT_GRACE))
        return cls(idle + graceful, idle + interrupted, idle, cls._at_once(app.timeouts))

    @classmethod
    def unknown(cls) -> Self:
        """Return a budget for an application that isn't imported yet, from the default settings."""
        at_once = cls._at_once(Timeouts())
        return cls(at_once, at_once, at_once, at_once)

    def after(self, number: int) -> float:
        """Return the seconds after a first signal."""
        return self.interrupted if number == signal.SIGINT else self.graceful

    @staticmethod
    def _at_once(timeouts: Timeouts) -> float:
        return timeouts.close + 2 * timeouts.teardown + AIR
