"""How long a test waits for its application, and what it says of a network that is too slow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from triows import Timeouts, Triows

__all__ = ["ENDING", "Patience"]

#: How many seconds a task gets that was cancelled, or is just ending.
ENDING = 0.5

#: The timeouts of the application that wait for bytes of a peer that was accepted.
_SLOW = ("ping_timeout", "send", "close")

#: Spare seconds in addition to those of the settings, because everything takes some time.
_SLACK = 1.0

#: How many seconds to wait if the settings have no limit.
_UNLIMITED = 60.0


def _limited(seconds: float) -> float:
    return seconds if seconds < math.inf else _UNLIMITED


@frozen
class Patience:
    """How many seconds each thing may take, on the test's clock."""

    #: The end of a connection that the client has left.
    connection: float
    #: The handshake of a connection.
    handshake: float
    #: The time until the application notices by itself that a peer is gone.
    notice: float
    #: A shutdown.
    shutdown: float
    #: The end of the application's resources, with the end of connections that were left.
    ending: float
    #: An answer is on its way for as long at most.
    round_trip: float
    #: Why the server may cut a connection: its network is slow. Empty if it is fast enough.
    slowness: str
    #: Why a request may never have arrived. Empty if the network takes no time.
    lateness: str

    @classmethod
    def of(
        cls, app: Triows, round_trip: float, connection: float | None, delay: float = 0.0
    ) -> Self:
        """
        Add up what the settings of an application allow.

        Args:
            app: The application.
            round_trip: How many seconds an answer is on its way at most.
            connection: How many seconds the end of a connection may take, if that is known.
            delay: How many seconds the server goes on when a shutdown has begun.
        """
        timeouts = list(app._inside().timeouts())
        if connection is None:
            # First the handler's grace, and then a teardown each for its nursery and its resources.
            ends = max(one.disconnect_grace + 2 * one.teardown for one in timeouts)
            connection = _limited(ends) + round_trip + _SLACK
        return cls(
            connection=connection,
            handshake=max(one.accept for one in timeouts) + round_trip + connection,
            notice=max(
                _limited(max(one.ping_interval + one.ping_timeout, one.send)) for one in timeouts
            ),
            shutdown=delay + _limited(app.drain_budget + app.timeouts.teardown) + connection,
            ending=connection + _limited(app.timeouts.teardown),
            round_trip=round_trip,
            slowness=_slowness(timeouts, round_trip),
            lateness=_lateness(app.timeouts, round_trip),
        )


def _slowness(timeouts: Sequence[Timeouts], round_trip: float) -> str:
    least = {name: min(getattr(one, name) for one in timeouts) for name in _SLOW}
    shorter = [
        f"Timeouts.{name} ({seconds:g} s)"
        for name, seconds in least.items()
        if seconds < round_trip
    ]
    if not shorter:
        return ""
    return (
        "the server cut the connection, maybe because a timeout had passed: a round trip of "
        f"the test's network takes up to {round_trip:g} s, which is longer than "
        f"{', '.join(shorter)}"
    )


def _lateness(timeouts: Timeouts, round_trip: float) -> str:
    if not round_trip:
        return ""
    return (
        f"the server waits {timeouts.handshake:g} s for a request (Timeouts.handshake), and the "
        f"test's network takes up to {round_trip / 2:g} s"
    )
