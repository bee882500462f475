"""
Calls that need not give others a turn: in a test, its schedule decides whether they do.

A ``send`` that fits, and a ``receive`` with a message waiting, give others a turn once in many
calls. In a test, they would do so rarely, or never. A race across such a call would stay hidden.
"""

from __future__ import annotations

from _triows_schedules.schedule import current_loop
from triows._transports.turn import STRETCH, Turn, use_turn

__all__ = ["ScheduledTurn", "follow_schedule"]


class ScheduledTurn(Turn):
    """Counts calls, and says earlier than others that it is time for a turn."""

    __slots__ = ("_calls",)

    # Whoever handles a message adds one, and looks whether that makes STRETCH.
    @property
    def calls(self) -> int:
        return self._calls

    @calls.setter
    def calls(self, calls: int) -> None:
        # An application may live on under the schedules of several tests.
        loop = current_loop()
        self._calls = STRETCH if calls and loop is not None and loop.yields() else calls


def follow_schedule() -> None:
    """Let the schedule of the running loop decide about turns from now on, if it has one."""
    if current_loop() is not None:
        use_turn(ScheduledTurn())
