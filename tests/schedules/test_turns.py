"""Calls that need not give others a turn do so by the seed."""

import trio
from trio.testing import MockClock

from _triows_schedules.schedule import Schedule
from tests.connecting import opened
from triows import Triows
from triows._transports.inbox import Inbox
from triows._transports.turn import STRETCH, Turn, current_turn
from triows.testing import _turns
from triows.testing._turns import ScheduledTurn, follow_schedule


async def turns_of_others(messages):
    """How many turns another task has while messages are received that are there already."""
    turns = 0
    follow_schedule()
    inbox = Inbox(1000, 10**6)
    for _ in range(messages):
        inbox.put_nowait("hello", 5)

    async def other():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(messages):
            await inbox.receive()
        nursery.cancel_scope.cancel()
    return turns


async def test_without_a_schedule_others_have_a_turn_once_in_many_calls(monkeypatch):
    monkeypatch.setattr(_turns, "current_loop", lambda: None)
    follow_schedule()
    turn = current_turn()
    assert type(turn) is Turn
    for _ in range(STRETCH - 1):
        turn.calls += 1
        assert turn.calls < STRETCH


def test_under_some_schedules_no_call_yields_under_others_all_do_or_some():
    seen = set()
    for seed in range(40):
        with Schedule(seed).installed():
            seen.add(trio.run(turns_of_others, 30, clock=MockClock(autojump_threshold=0)))
    assert min(seen) <= 1
    assert max(seen) >= 29
    assert len(seen) > 4


def test_others_have_a_turn_at_least_as_often_as_without_a_schedule():
    for seed in range(20):
        with Schedule(seed).installed():
            assert trio.run(turns_of_others, 5 * STRETCH, clock=MockClock(0, 0)) >= 3


def test_in_a_test_a_server_has_such_a_turn():
    async def made():
        async with opened(Triows()):
            return current_turn()

    with Schedule(1).installed():
        assert type(trio.run(made)) is ScheduledTurn
