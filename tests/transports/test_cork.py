"""When what is held back in a turn is flushed, and what becomes of errors."""

from __future__ import annotations

import pytest
import trio
from attrs import define, field
from trio.testing import wait_all_tasks_blocked

from triows._transports.cork import Cork
from triows._transports.turn import Turn


@define
class Corked:
    """Notes what is called."""

    error: Exception | None = None
    calls: list[str] = field(factory=list)

    def flush(self) -> None:
        self.calls.append("flush")
        if self.error is not None:
            raise self.error

    def give_up(self) -> None:
        self.calls.append("give up")


@pytest.fixture
async def cork(nursery):
    cork = Cork(Turn())
    nursery.start_soon(cork.run)
    await wait_all_tasks_blocked()
    return cork


async def test_everything_is_flushed_once_at_the_end_of_the_turn(cork):
    first, second = Corked(), Corked()
    cork.add(first)
    cork.add(second)
    assert first.calls == []
    await wait_all_tasks_blocked()
    assert first.calls == second.calls == ["flush"]


async def test_each_flush_is_the_end_of_a_turn():
    turn = Turn()
    cork = Cork(turn)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cork.run)
        await wait_all_tasks_blocked()
        number = turn.number
        cork.add(Corked())
        await wait_all_tasks_blocked()
        assert turn.number != number
        nursery.cancel_scope.cancel()


async def test_it_is_open_only_while_it_runs():
    cork = Cork(Turn())
    assert not cork.is_open
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cork.run)
        await wait_all_tasks_blocked()
        assert cork.is_open
        nursery.cancel_scope.cancel()
        assert not cork.is_open


async def test_what_was_added_before_a_cancellation_is_flushed():
    cork, corked = Cork(Turn()), Corked()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cork.run)
        await wait_all_tasks_blocked()
        cork.add(corked)
        nursery.cancel_scope.cancel()
    assert corked.calls == ["flush"]


async def test_a_mistake_of_ours_ends_one_connection_and_not_the_others(cork, caplog):
    bad, good = Corked(ValueError("a bug")), Corked()
    cork.add(bad)
    cork.add(good)
    await wait_all_tasks_blocked()
    assert bad.calls == ["flush", "give up"]
    assert good.calls == ["flush"]
    (record,) = caplog.records
    assert record.getMessage() == "unhandled error in writing to a connection"
    cork.add(good)
    await wait_all_tasks_blocked()
    assert good.calls == ["flush"] * 2
