from __future__ import annotations

import math
from itertools import pairwise

import pytest
import trio
from attrs import define

from triows import Timeouts
from triows._exchange.registry import Exchanges
from triows._settings import Limits, Settings


class Route:
    """A route whose handlers have ten seconds at a shutdown."""

    settings = Settings(Timeouts(shutdown_grace=10), Limits(), None)


@define(eq=False)
class FakeExchange:
    lifetime: FakeLifetime
    is_connection: bool
    served = Route()


class FakeLifetime:
    """Ends some seconds after it is told to."""

    def __init__(
        self, exchanges: Exchanges, seconds: float = 0, *, is_connection: bool = True
    ) -> None:
        self.graces: list[float] = []
        self.told_at: float | None = None
        self._exchanges = exchanges
        self._seconds = seconds
        self.exchange = FakeExchange(self, is_connection)
        exchanges.add(self.exchange)

    def end(self) -> None:
        self._exchanges.discard(self.exchange)

    def note_shutdown(self, grace: float) -> None:
        self.graces.append(grace)

    async def shut_down(self, grace: float) -> None:
        self.graces.append(grace)
        self.told_at = trio.current_time()
        await trio.sleep(self._seconds)
        self.end()


def test_exchanges_are_counted():
    exchanges = Exchanges(None)
    first, second = FakeLifetime(exchanges), FakeLifetime(exchanges)
    assert (exchanges.connections, list(exchanges)) == (2, [first.exchange, second.exchange])
    first.end()
    assert (exchanges.connections, list(exchanges)) == (1, [second.exchange])


def test_plain_requests_do_not_count_for_the_limit():
    exchanges = Exchanges(1)
    request = FakeLifetime(exchanges, is_connection=False)
    assert (exchanges.requests, exchanges.connections, exchanges.full) == (1, 0, False)
    FakeLifetime(exchanges)
    assert (exchanges.requests, exchanges.connections, exchanges.full) == (1, 1, True)
    request.end()
    assert exchanges.requests == 0


def test_a_limit_makes_it_full():
    exchanges = Exchanges(2)
    FakeLifetime(exchanges)
    assert not exchanges.full
    last = FakeLifetime(exchanges)
    assert exchanges.full
    last.end()
    assert not exchanges.full


def test_without_a_limit_it_is_never_full():
    exchanges = Exchanges(None)
    for _ in range(1000):
        FakeLifetime(exchanges)
    assert not exchanges.full


async def test_waiting_for_none_to_be_left_ends_at_once_if_there_is_none():
    await Exchanges(None).wait_empty()


async def test_waiting_for_none_to_be_left_waits_for_those_that_came_later(autojump_clock):
    exchanges = Exchanges(None)
    first = FakeLifetime(exchanges)
    left_at = []

    async def wait() -> None:
        await exchanges.wait_empty()
        left_at.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        second = FakeLifetime(exchanges)
        first.end()
        await trio.sleep(1)
        second.end()
    assert left_at == [2]


async def test_draining_tells_every_connection_and_waits(autojump_clock):
    exchanges = Exchanges(None)
    lifetimes = [FakeLifetime(exchanges, seconds) for seconds in (1, 5, 3)]
    assert await exchanges.drain(seconds=100)
    assert [lifetime.graces for lifetime in lifetimes] == [[math.inf]] * 3
    assert [lifetime.told_at for lifetime in lifetimes] == [0, 0, 0]
    assert trio.current_time() == 5


async def test_draining_lets_nobody_in():
    exchanges = Exchanges(None)
    assert not exchanges.draining
    await exchanges.drain(seconds=1)
    assert exchanges.draining


async def test_draining_gives_up_when_the_time_is_over(autojump_clock):
    exchanges = Exchanges(None)
    FakeLifetime(exchanges, 1)
    FakeLifetime(exchanges, 1000)
    assert not await exchanges.drain(seconds=10)
    assert trio.current_time() == 10
    assert exchanges.connections == 1


async def test_draining_waits_for_exchanges_that_were_told_and_are_not_over(autojump_clock):
    exchanges = Exchanges(None)

    class Lingering(FakeLifetime):
        async def shut_down(self, grace: float) -> None:
            """Return at once, as if the system had taken the close frame."""

    lifetime = Lingering(exchanges)

    async def end_later() -> None:
        await trio.sleep(7)
        lifetime.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_later)
        assert await exchanges.drain(seconds=100)
        assert trio.current_time() == 7


async def test_draining_many_lets_others_run_in_between():
    exchanges = Exchanges(None)
    lifetimes = [FakeLifetime(exchanges) for _ in range(500)]
    told = []

    async def look() -> None:
        while exchanges.connections:
            told.append(sum(bool(lifetime.graces) for lifetime in lifetimes))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        assert await exchanges.drain(seconds=100)
    assert max(later - earlier for earlier, later in pairwise(told)) <= 3


@pytest.mark.parametrize("seconds", [0, 1])
async def test_draining_none_takes_no_time(autojump_clock, seconds):
    assert await Exchanges(None).drain(seconds=seconds)
    assert trio.current_time() == 0


async def test_what_begins_during_a_drain_has_what_is_left_of_the_grace(autojump_clock):
    exchanges = Exchanges(None)
    FakeLifetime(exchanges, 12)
    late = []

    async def come_late() -> None:
        await trio.sleep(3)
        late.append(FakeLifetime(exchanges, is_connection=False))
        await trio.sleep(8)
        late.append(FakeLifetime(exchanges, is_connection=False))
        for one in late:
            one.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come_late)
        await exchanges.drain(seconds=12)
    assert [one.graces for one in late] == [[7], [0]]


async def test_without_a_drain_the_grace_has_no_end():
    exchanges = Exchanges(None)
    assert exchanges.grace_left(Route.settings.timeouts) == math.inf
    await exchanges.drain(seconds=1, grace=0)
    assert exchanges.grace_left(Route.settings.timeouts) == 0
    exchanges.end_drain()
    assert (exchanges.grace_left(Route.settings.timeouts), exchanges.draining) == (math.inf, False)
