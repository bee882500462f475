"""What every client in a test does, whatever it speaks: reading, writing and faults."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows.testing._client_side import ClientSide
from triows.testing._memory import MemoryLink, MemoryReactor


class Listener(ClientSide):
    """Stores what comes, up to a number of chunks."""

    room = 10

    def __init__(self, end, tasks):
        super().__init__(end, tasks)
        self.chunks = []
        self.end = None
        self.made_room = trio.Event()

    async def _take(self, data):
        self.chunks.append(data)

    @property
    def _is_full(self):
        return len(self.chunks) >= self.room

    async def _wait_room(self):
        await self.made_room.wait()

    def _ended(self, *, cut):
        self.end = "cut" if cut else "ended"

    async def write(self, data):
        await self._write(partial(bytes, data))


@asynccontextmanager
async def listening():
    link = MemoryLink(1000, MemoryReactor())
    async with trio.open_nursery() as nursery:
        side = Listener(link.client, nursery)
        nursery.start_soon(side.run)
        yield side, link.stream
        side.abandon()


async def test_what_the_server_sends_is_taken_up_to_its_end():
    async with listening() as (side, server):
        await server.send_all(b"one")
        await wait_all_tasks_blocked()
        await server.aclose()
        await side.over.wait()
    assert (side.chunks, side.end) == ([b"one", b""], "cut")
    assert "the server closed the connection" in str(side.events)


async def test_a_side_without_room_does_not_read():
    async with listening() as (side, server):
        side.room = 1
        for data in (b"one", b"two", b"three"):
            await server.send_all(data)
            await wait_all_tasks_blocked()
        assert side.chunks == [b"one"]
        side.room = 10
        side.made_room.set()
        await wait_all_tasks_blocked()
        assert b"".join(side.chunks) == b"onetwothree"


async def test_a_side_that_stops_reading_goes_on_where_it_was():
    async with listening() as (side, server):
        side.stop_reading()
        assert side.is_silent
        await server.send_all(b"one")
        await wait_all_tasks_blocked()
        assert side.chunks == []
        side.resume_reading()
        await wait_all_tasks_blocked()
        assert side.chunks == [b"one"]


async def test_a_side_that_has_vanished_sends_and_reads_nothing():
    async with listening() as (side, server):
        side.vanish()
        side.resume_reading()  # that is over
        await side.write(b"lost")
        side.send_eof()
        await server.send_all(b"lost, too")
        with trio.move_on_after(0.01) as limit:
            await server.receive_some()
        assert limit.cancelled_caught
        assert side.chunks == []


async def test_a_reset_ends_both_sides():
    async with listening() as (side, server):
        await side.write(b"before")
        side.reset()
        assert side.end == "ended"
        assert await server.receive_some() == b"before"
        with pytest.raises(trio.BrokenResourceError):
            await server.receive_some()


async def test_everything_takes_as_long_as_the_delay_and_stays_in_order(autojump_clock):
    async with listening() as (side, server):
        side.delay(5)
        await side.write(b"one")
        await side.write(b"two")
        assert await server.receive_some() == b"one"
        assert trio.current_time() == 5
        await server.send_all(b"three")
        await trio.sleep(4.5)
        assert side.chunks == []
        await trio.sleep(1)
        assert side.chunks == [b"three"]


async def test_a_write_that_is_cancelled_halfway_cuts_the_connection():
    async with listening() as (side, _):
        with trio.move_on_after(0.01) as limit:
            await side.write(bytes(2000))
        assert limit.cancelled_caught
        assert side.over.is_set()
        assert "reset the connection" in str(side.events)
