"""How long the end of a served application takes at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from attrs import frozen
from hypercorn.config import Config

from triows._settings import Timeouts

from .server import LINGER

if TYPE_CHECKING:
    from triows._app import Triows

__all__ = ["Budget"]

# For the scheduler and the event loop, on a machine that is loaded. Seconds.
AIR = 1.0


@frozen
class Budget:
    """
    Seconds until a process that serves has ended.

    Args:
        graceful: After the first signal.
        at_once: After the second one, or after one that came during the start-up.
    """

    graceful: float
    at_once: float

    @classmethod
    def of(cls, app: Triows) -> Self:
        """As the settings of *app* have it; plain HTTP has its time while it is drained."""
        drain = max(app.drain_budget, Config.graceful_timeout)
        graceful = LINGER + drain + app.timeouts.teardown + AIR
        return cls(graceful, cls._at_once(app.timeouts))

    @classmethod
    def unknown(cls) -> Self:
        """For an application that has not been seen: as the default settings have it."""
        at_once = cls._at_once(Timeouts())
        return cls(at_once, at_once)

    @staticmethod
    def _at_once(timeouts: Timeouts) -> float:
        return timeouts.close + 2 * timeouts.teardown + AIR
