"""The moment by which a client has to do something."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from triows._server.deadline import NEVER, Deadline
from triows._transports.pinger import Pinger


class CountingPinger(Pinger):
    """Counts how often it is told something."""

    told = 0

    def add(self, pinged, seconds):
        self.told += 1
        super().add(pinged, seconds)


@asynccontextmanager
async def opened(passed: Callable[[], None]) -> AsyncIterator[tuple[Deadline, CountingPinger]]:
    pinger = CountingPinger()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pinger.run)
        deadline = Deadline(pinger, trio.current_time, passed)
        yield deadline, pinger
        deadline.close()
        assert len(pinger) == 0
        nursery.cancel_scope.cancel()


@pytest.fixture
def passed() -> list[float]:
    """The times at which a deadline has passed."""
    return []


async def test_the_owner_is_called_once_when_it_has_passed(autojump_clock, passed):
    async with opened(lambda: passed.append(trio.current_time())) as (deadline, _):
        deadline.move(10)
        await trio.sleep(100)
    assert passed == [pytest.approx(10)]


async def test_one_that_nobody_has_set_does_not_pass(autojump_clock, passed):
    async with opened(lambda: passed.append(0)) as (deadline, pinger):
        await trio.sleep(100)
        assert (deadline.at, pinger.told) == (NEVER, 0)
    assert passed == []


async def test_it_can_be_moved_to_a_later_moment(autojump_clock, passed):
    async with opened(lambda: passed.append(trio.current_time())) as (deadline, _):
        for _ in range(30):
            deadline.move(10)
            await trio.sleep(1)
        await trio.sleep(100)
    assert len(passed) == 1
    assert 39 <= passed[0] <= 39.25  # it is looked at in steps


async def test_it_can_be_moved_to_an_earlier_moment(autojump_clock, passed):
    async with opened(lambda: passed.append(trio.current_time())) as (deadline, _):
        deadline.move(10)
        deadline.move(1)
        await trio.sleep(100)
    assert passed == [pytest.approx(1)]


async def test_one_that_is_not_waited_for_any_more_does_not_pass(autojump_clock, passed, caplog):
    async with opened(lambda: passed.append(0)) as (deadline, pinger):
        deadline.move(10)
        deadline.at = NEVER
        await trio.sleep(100)
        assert len(pinger) == 0
    assert passed == []
    assert caplog.messages == []


async def test_one_that_is_set_again_passes(autojump_clock, passed):
    async with opened(lambda: passed.append(trio.current_time())) as (deadline, _):
        deadline.move(10)
        deadline.at = NEVER
        await trio.sleep(50)
        deadline.move(10)
        await trio.sleep(100)
    assert passed == [pytest.approx(60)]


async def test_the_timer_is_not_told_of_each_move_to_a_later_moment(autojump_clock, passed):
    async with opened(lambda: passed.append(0)) as (deadline, pinger):
        for _ in range(1000):
            await trio.sleep(0.001)
            deadline.move(10)
        assert pinger.told == 1


async def test_after_its_end_nobody_is_called_or_kept(autojump_clock):
    class Owner:
        def __init__(self) -> None:
            self.deadline = Deadline(pinger, trio.current_time, self.end)

        def end(self) -> None:
            raise AssertionError("it was called")

    async with opened(lambda: None) as (_, pinger):
        owner = Owner()
        owner.deadline.move(1)
        owner.deadline.close()
        owner.deadline.close()
        await trio.sleep(10)
        kept = weakref.ref(owner)
        gc.disable()
        try:
            del owner
            assert kept() is None
        finally:
            gc.enable()
