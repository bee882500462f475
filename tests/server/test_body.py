"""Whether a client sends the body that the application waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from triows._server.body import BodyWatch
from triows._transports.pinger import Pinger
from triows._transports.progress import RATE


@asynccontextmanager
async def watched(too_slow: Callable[[], None]) -> AsyncIterator[BodyWatch]:
    pinger = Pinger()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pinger.run)
        watch = BodyWatch(pinger, 10, too_slow)
        yield watch
        watch.close()
        assert len(pinger) == 0
        nursery.cancel_scope.cancel()


@pytest.fixture
def slow() -> list[float]:
    return []


async def test_a_client_that_sends_nothing_is_too_slow_after_a_while(autojump_clock, slow):
    async with watched(lambda: slow.append(trio.current_time())) as watch:
        watch.is_waiting = True
        await trio.sleep(30)
    assert len(slow) == 1
    assert 10 <= slow[0] < 11


async def test_a_client_that_trickles_is_too_slow(autojump_clock, slow):
    async with watched(lambda: slow.append(trio.current_time())) as watch:
        watch.is_waiting = True
        for _ in range(30):
            await trio.sleep(1)
            watch.received += RATE // 10
    assert len(slow) == 1


async def test_a_client_that_sends_steadily_is_not_too_slow(autojump_clock, slow):
    async with watched(lambda: slow.append(0)) as watch:
        watch.is_waiting = True
        for _ in range(100):
            await trio.sleep(1)
            watch.received += 2 * RATE
    assert slow == []


async def test_the_time_in_which_nobody_waits_does_not_count(autojump_clock, slow):
    async with watched(lambda: slow.append(0)) as watch:
        for _ in range(10):
            await trio.sleep(30)
            watch.is_waiting = True
            await trio.sleep(1)
            watch.is_waiting = False
    assert slow == []
