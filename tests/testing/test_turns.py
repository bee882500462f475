"""In a test, its schedule decides which calls give others a turn."""

from __future__ import annotations

import trio

from _triows_schedules.schedule import Schedule
from triows._transports.turn import STRETCH, Turn, current_turn
from triows.testing import _turns
from triows.testing._turns import ScheduledTurn, follow_schedule


def calls_before_a_turn(turn: Turn) -> int:
    """Say how many messages may be handled in a row."""
    turn.calls = 0
    for number in range(1, STRETCH + 1):
        turn.calls += 1
        if turn.calls == STRETCH:
            return number
    raise AssertionError("it never gives others a turn")


async def test_without_a_test_there_are_as_many_calls_as_a_stretch_has():
    assert calls_before_a_turn(Turn()) == STRETCH


def turns_under(seed: int) -> list[int]:
    async def main() -> None:
        follow_schedule()
        turn = current_turn()
        assert isinstance(turn, ScheduledTurn)
        found.extend(calls_before_a_turn(turn) for _ in range(20))

    found: list[int] = []
    with Schedule(seed, examples="ignored").installed():
        trio.run(main)
    return found


def test_under_a_schedule_a_turn_may_come_at_any_call():
    found = turns_under(1)
    assert len(set(found)) > 1
    assert min(found) < STRETCH


def test_the_same_schedule_gives_the_same_turns():
    assert turns_under(1) == turns_under(1)


async def test_a_message_that_was_not_counted_gives_no_turn():
    turn = ScheduledTurn()
    turn.calls = 0
    assert turn.calls == 0


async def test_where_no_schedule_decides_nothing_is_replaced(monkeypatch):
    monkeypatch.setattr(_turns, "current_loop", lambda: None)
    before = current_turn()
    follow_schedule()
    assert current_turn() is before
    assert calls_before_a_turn(ScheduledTurn()) == STRETCH
