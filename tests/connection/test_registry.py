from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from triows._connection.registry import Connections


class FakeLifetime:
    """Ends some seconds after it is told to."""

    def __init__(self, connections: Connections, seconds: float = 0) -> None:
        self.codes: list[int] = []
        self.told_at: float | None = None
        self._connections = connections
        self._seconds = seconds
        connections.add(self, None, {})

    async def shut_down(self, code: int, grace: float) -> None:
        self.codes.append(code)
        self.told_at = trio.current_time()
        await trio.sleep(self._seconds)
        self._connections.discard(self)


def test_connections_are_counted():
    connections = Connections(None)
    first, second = FakeLifetime(connections), FakeLifetime(connections)
    assert (len(connections), set(connections)) == (2, {first, second})
    connections.discard(first)
    assert (len(connections), list(connections)) == (1, [second])


def test_a_limit_makes_it_full():
    connections = Connections(2)
    FakeLifetime(connections)
    assert not connections.full
    last = FakeLifetime(connections)
    assert connections.full
    connections.discard(last)
    assert not connections.full


def test_without_a_limit_it_is_never_full():
    connections = Connections(None)
    for _ in range(1000):
        FakeLifetime(connections)
    assert not connections.full


async def test_waiting_for_none_to_be_left_ends_at_once_if_there_is_none():
    await Connections(None).wait_empty()


async def test_waiting_for_none_to_be_left_waits_for_those_that_came_later(autojump_clock):
    connections = Connections(None)
    first = FakeLifetime(connections)
    left_at = []

    async def wait() -> None:
        await connections.wait_empty()
        left_at.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        second = FakeLifetime(connections)
        connections.discard(first)
        await trio.sleep(1)
        connections.discard(second)
    assert left_at == [2]


async def test_draining_tells_every_connection_and_waits(autojump_clock):
    connections = Connections(None)
    lifetimes = [FakeLifetime(connections, seconds) for seconds in (1, 5, 3)]
    assert await connections.drain(code=1012, seconds=100)
    assert [lifetime.codes for lifetime in lifetimes] == [[1012]] * 3
    assert [lifetime.told_at for lifetime in lifetimes] == [0, 0, 0]
    assert trio.current_time() == 5


async def test_draining_lets_nobody_in():
    connections = Connections(None)
    assert not connections.draining
    await connections.drain(code=1001, seconds=1)
    assert connections.draining


async def test_draining_gives_up_when_the_time_is_over(autojump_clock):
    connections = Connections(None)
    FakeLifetime(connections, 1)
    FakeLifetime(connections, 1000)
    assert not await connections.drain(code=1001, seconds=10)
    assert trio.current_time() == 10
    assert len(connections) == 1


async def test_draining_waits_for_connections_that_were_told_and_are_not_over(autojump_clock):
    connections = Connections(None)

    class Lingering(FakeLifetime):
        async def shut_down(self, code: int, grace: float) -> None:
            """Return at once, as if the system had taken the close frame."""

    lifetime = Lingering(connections)

    async def end_later() -> None:
        await trio.sleep(7)
        connections.discard(lifetime)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_later)
        assert await connections.drain(code=1001, seconds=100)
        assert trio.current_time() == 7


async def test_draining_many_lets_others_run_in_between():
    connections = Connections(None)
    lifetimes = [FakeLifetime(connections) for _ in range(500)]
    told = []

    async def look() -> None:
        while len(connections):
            told.append(sum(bool(lifetime.codes) for lifetime in lifetimes))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        assert await connections.drain(code=1001, seconds=100)
    assert max(later - earlier for earlier, later in pairwise(told)) <= 3


@pytest.mark.parametrize("seconds", [0, 1])
async def test_draining_none_takes_no_time(autojump_clock, seconds):
    assert await Connections(None).drain(code=1001, seconds=seconds)
    assert trio.current_time() == 0
