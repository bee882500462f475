from __future__ import annotations

import gc
import weakref

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._transports.pinger import Pinger


class Pinged:
    """Notes when it was called, and adds itself again if it has an interval."""

    def __init__(self, pinger: Pinger, log: list[Pinged], again: float | None = None) -> None:
        self.pinger = pinger
        self.log = log
        self.again = again
        self.times: list[float] = []

    def on_due(self) -> None:
        self.times.append(trio.current_time())
        self.log.append(self)
        if self.again is not None:
            self.pinger.add(self, self.again)


@pytest.fixture
async def pinger(autojump_clock, nursery):
    made = Pinger()
    nursery.start_soon(made.run)
    await wait_all_tasks_blocked()
    return made


@pytest.fixture
def log() -> list[Pinged]:
    """The objects that were called, in order."""
    return []


async def test_who_is_added_is_called_once_and_in_time(autojump_clock, pinger, log):
    pinged = Pinged(pinger, log)
    pinger.add(pinged, 20)
    await trio.sleep(100)
    assert pinged.times == [20]
    assert len(pinger) == 0


async def test_those_who_wait_equally_long_are_called_in_the_order_in_which_they_came(
    autojump_clock, pinger, log
):
    everybody = [Pinged(pinger, log) for _ in range(5)]
    for pinged in everybody:
        pinger.add(pinged, 20)
        await trio.sleep(1)
    await trio.sleep(30)
    assert log == everybody
    assert [pinged.times for pinged in everybody] == [[20], [21], [22], [23], [24]]


async def test_whoever_waits_least_is_called_first(autojump_clock, pinger, log):
    slow, quick, medium = (Pinged(pinger, log) for _ in range(3))
    for pinged, seconds in ((slow, 30), (quick, 10), (medium, 20)):
        pinger.add(pinged, seconds)
    await trio.sleep(100)
    assert log == [quick, medium, slow]
    assert (quick.times, medium.times, slow.times) == ([10], [20], [30])


async def test_one_that_comes_later_and_is_due_earlier_wakes_the_sleeper(
    autojump_clock, pinger, log
):
    slow, quick = Pinged(pinger, log), Pinged(pinger, log)
    pinger.add(slow, 100)
    await trio.sleep(10)
    pinger.add(quick, 5)
    await trio.sleep(10)
    assert (quick.times, slow.times) == ([15], [])


async def test_who_is_added_again_is_called_at_the_new_time_only(autojump_clock, pinger, log):
    pinged = Pinged(pinger, log)
    pinger.add(pinged, 20)
    await trio.sleep(15)
    pinger.add(pinged, 20)
    await trio.sleep(100)
    assert pinged.times == [35]


async def test_who_is_added_again_with_other_seconds_is_called_at_the_new_time_only(
    autojump_clock, pinger, log
):
    pinged = Pinged(pinger, log)
    pinger.add(pinged, 20)
    pinger.add(pinged, 5)
    assert len(pinger) == 1
    await trio.sleep(100)
    pinger.add(pinged, 5)
    pinger.add(pinged, 20)
    await trio.sleep(100)
    assert pinged.times == [5, 120]


async def test_who_is_called_may_add_itself_again(autojump_clock, pinger, log):
    pinged = Pinged(pinger, log, again=7)
    pinger.add(pinged, 20)
    await trio.sleep(36)
    assert pinged.times == [20, 27, 34]


async def test_who_is_discarded_is_not_called(autojump_clock, pinger, log):
    gone, kept = Pinged(pinger, log), Pinged(pinger, log)
    pinger.add(gone, 20)
    pinger.add(kept, 20)
    await trio.sleep(10)
    pinger.discard(gone)
    await trio.sleep(100)
    assert (gone.times, kept.times) == ([], [20])


async def test_discarding_somebody_unknown_has_no_effect(autojump_clock, pinger, log):
    pinged = Pinged(pinger, log)
    pinger.discard(pinged)
    pinger.add(pinged, 20)
    await trio.sleep(20.5)
    pinger.discard(pinged)
    assert (pinged.times, len(pinger)) == ([20], 0)


async def test_one_who_is_called_may_discard_or_move_others_that_are_due(
    autojump_clock, pinger, log
):
    class Selfish(Pinged):
        def on_due(self) -> None:
            super().on_due()
            pinger.discard(discarded)
            pinger.add(moved, 5)

    first, discarded, moved = Selfish(pinger, log), Pinged(pinger, log), Pinged(pinger, log)
    for one in (first, discarded, moved):
        pinger.add(one, 20)
    await trio.sleep(100)
    assert (first.times, discarded.times, moved.times) == ([20], [], [25])


async def test_an_error_in_a_call_is_logged_and_harms_nobody_else(
    autojump_clock, pinger, log, caplog
):
    class Bad(Pinged):
        def on_due(self) -> None:
            raise ZeroDivisionError

    bad, good = Bad(pinger, log), Pinged(pinger, log, again=20)
    pinger.add(bad, 20)
    pinger.add(good, 20)
    await trio.sleep(50)
    assert (good.times, len(pinger)) == ([20, 40], 1)
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


async def test_who_was_added_before_it_runs_is_called(autojump_clock, nursery, log):
    pinger = Pinger()
    pinged = Pinged(pinger, log)
    pinger.add(pinged, 20)
    await trio.sleep(5)
    nursery.start_soon(pinger.run)
    await trio.sleep(100)
    assert pinged.times == [20]


async def test_thousands_are_called_in_time_however_often_they_move(autojump_clock, pinger, log):
    everybody = [Pinged(pinger, log, again=20) for _ in range(3000)]
    for pinged in everybody:
        pinger.add(pinged, 20)
    for pinged in everybody[::2]:
        pinger.add(pinged, 10)
    await trio.sleep(45)
    assert [pinged.times for pinged in everybody[:2]] == [[10, 30], [20, 40]]
    assert {tuple(pinged.times) for pinged in everybody[::2]} == {(10, 30)}
    assert {tuple(pinged.times) for pinged in everybody[1::2]} == {(20, 40)}
    assert len(pinger) == 3000


async def test_other_tasks_get_a_turn_while_thousands_are_due(autojump_clock, pinger, log):
    called: list[int] = []
    for _ in range(3000):
        pinger.add(Pinged(pinger, log), 20)
    await trio.sleep(20)
    while len(log) < 3000:
        called.append(len(log))
        await trio.lowlevel.checkpoint()
    assert trio.current_time() == 20
    assert len(called) > 10


async def test_nothing_is_kept_of_who_was_discarded_or_called(autojump_clock, pinger, log):
    discarded, called = Pinged(pinger, []), Pinged(pinger, [])
    kept = [weakref.ref(discarded), weakref.ref(called)]
    pinger.add(discarded, 20)
    pinger.add(called, 7.5)
    pinger.discard(discarded)
    await trio.sleep(100)
    called.log.clear()
    del discarded, called
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


async def test_many_different_times_leave_nothing_behind(autojump_clock, pinger, log):
    pinged = Pinged(pinger, log)
    for seconds in range(1, 1000):
        pinger.add(pinged, seconds)
    pinger.discard(pinged)
    assert (len(pinger), pinger._queues) == (0, {})
