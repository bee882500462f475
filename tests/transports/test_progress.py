"""The rule by which a peer is too slow, with a clock of the test."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._transports.pinger import Pinger
from triows._transports.progress import SLOW, STALLED, Monitor, Progress


def given_up(takes, *, patience: float = 30, seconds: float = 200, step: float = 1):
    """When and why a peer is given up. By any time, it has taken ``takes(now)`` bytes."""
    progress = Progress(patience, 0, 0)
    for number in range(1, int(seconds / step) + 1):
        now = number * step
        if (why := progress.look(now, int(takes(now)))) is not None:
            return now, why
    return None


def steadily(rate: float):
    return lambda now: rate * now


def in_bursts(size: int, every: float):
    return lambda now: size * (now // every)


@pytest.mark.parametrize("patience", [1, 7, 30, 100])
def test_a_peer_that_takes_nothing_is_given_up_after_the_patience(patience):
    assert given_up(steadily(0), patience=patience, step=0.0625) == (patience, STALLED)


def test_a_peer_that_stops_is_given_up_so_long_after_its_last_byte():
    assert given_up(lambda now: min(now, 50) * 1e6) == (80, STALLED)


@pytest.mark.parametrize("rate", [241, 300, 10_000, 10**9])
def test_a_peer_that_takes_more_than_240_bytes_a_second_is_never_given_up(rate):
    assert given_up(steadily(rate), seconds=10_000) is None


@pytest.mark.parametrize("rate", [1, 100, 239])
def test_a_peer_that_takes_less_is_given_up_after_a_grace(rate):
    now, why = given_up(steadily(rate)) or (0, "")
    assert (5 <= now <= 7, why) == (True, SLOW)


@pytest.mark.parametrize(("size", "every"), [(10_000, 20), (7300, 29), (65_483, 7), (250, 1)])
def test_a_peer_that_reads_in_bursts_is_judged_by_its_average(size, every):
    assert given_up(in_bursts(size, every), seconds=10_000) is None


@pytest.mark.parametrize(("size", "every"), [(1, 6), (1, 20), (100, 10), (6000, 29)])
def test_bursts_that_are_too_small_are_noticed(size, every):
    _, why = given_up(in_bursts(size, every), seconds=10_000) or (0, "")
    assert why == SLOW


@pytest.mark.parametrize("before", [0, 1, 100, 2000])
@pytest.mark.parametrize("rate", [1000, 10_000])
def test_a_peer_behind_a_hole_in_the_network_goes_on(before, rate):
    def takes(now: float) -> float:
        return before + max(0, now - 25) * rate

    assert given_up(takes, seconds=1000) is None


def test_a_peer_that_has_read_much_can_not_trickle_for_long():
    now, why = given_up(lambda now: 10**9 + now) or (0, "")
    assert (now <= 45, why) == (True, SLOW)


@pytest.mark.parametrize("rate", [0, 1])
def test_without_a_limit_nobody_is_given_up(rate):
    assert given_up(steadily(rate), patience=math.inf, seconds=10_000) is None


@pytest.mark.parametrize("patience", [1e-9, 0.01, 0.3])
def test_a_short_patience_is_looked_after_in_time(patience):
    progress = Progress(patience, 0, 0)
    assert progress.interval == 0.05
    now, why = given_up(steadily(0), patience=patience, step=progress.interval) or (0, "")
    assert (patience <= now <= patience + 0.05, why) == (True, STALLED)
    assert given_up(steadily(10_000), patience=patience, step=progress.interval) is None


def test_a_peer_does_not_pay_for_a_process_that_is_late():
    progress = Progress(30, 0, 0)
    assert progress.look(1, 0) is None
    assert progress.look(1000, 0) is None
    assert progress.look(1001, 1000) is None


def test_a_count_that_goes_back_is_no_progress():
    """On a Unix socket, the system also counts its own bookkeeping."""
    progress = Progress(30, 0, 1000)
    for now in range(1, 30):
        assert progress.look(now, 900) is None
    assert progress.look(30, 1000) == STALLED


# Looking


@pytest.fixture
async def timer(autojump_clock, nursery):
    made = Pinger()
    nursery.start_soon(made.run)
    await wait_all_tasks_blocked()
    return made


async def test_a_monitor_looks_once_a_second_while_something_waits(autojump_clock, timer):
    looks = []
    monitor = Monitor(
        lambda: 10_000, timer, 30, lambda why: looks.append((trio.current_time(), why))
    )
    await trio.sleep(10)
    monitor.start()
    monitor.start()
    await trio.sleep(3.5)
    monitor.stop()
    await trio.sleep(100)
    assert looks == [(11, None), (12, None), (13, None)]
    assert len(timer) == 0


async def test_a_monitor_says_why_and_looks_no_more(autojump_clock, timer):
    looks = []
    monitor = Monitor(lambda: 0, timer, 3, looks.append)
    monitor.start()
    await trio.sleep(100)
    assert looks[-1] == STALLED
    assert len(looks) == 16
    assert len(timer) == 0


async def test_waits_that_follow_one_another_need_the_timer_once(autojump_clock, timer):
    monitor = Monitor(lambda: 0, timer, 30, lambda _: None)
    for _ in range(100):
        monitor.start()
        monitor.stop()
    assert len(timer) == 1
    monitor.close()
    assert len(timer) == 0
