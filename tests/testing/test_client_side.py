"""What the client's side of every protocol does: it reads, writes, and misbehaves on request."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from tests.testing.scripted_end import ScriptedEnd
from triows.testing._client_side import ClientSide


class Chunks(ClientSide):
    """A protocol without rules: it keeps chunks, up to a limit."""

    def __init__(self, end, tasks, limit=100) -> None:
        super().__init__(end, tasks)
        self.chunks: list[bytes] = []
        self.limit = limit
        self.taken = trio.Event()
        #: Whether the connection was cut.
        self.was_cut: bool | None = None

    async def _take(self, data: bytes) -> None:
        self.chunks.append(data)

    @property
    def _is_full(self) -> bool:
        return len(self.chunks) >= self.limit

    async def _wait_room(self) -> None:
        await self.taken.wait()

    def _ended(self, *, cut: bool) -> None:
        self.was_cut = cut

    async def write(self, data: bytes) -> None:
        await self._write(lambda: data)


@asynccontextmanager
async def reading(**options):
    end = ScriptedEnd()
    async with trio.open_nursery() as nursery:
        client = Chunks(end, nursery, **options)
        nursery.start_soon(client.run)
        yield end, client
        client.abandon()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_it_reads_until_the_end_and_closes(autojump_clock):
    async with reading() as (end, client):
        end.says(b"a")
        end.says(b"b")
        end.says(b"")
        await client.over.wait()
    assert client.chunks == [b"a", b"b", b""]
    assert client.was_cut
    assert end.ends == ["closed"]


async def test_a_reset_is_an_end_without_a_last_read(autojump_clock):
    async with reading() as (end, client):
        end.says(b"a")
        end.says(b"RST")
        await client.over.wait()
        assert "the connection was reset" in str(client.events)
    assert client.chunks == [b"a"]
    assert client.was_cut


async def test_without_room_it_does_not_read(autojump_clock):
    async with reading(limit=1) as (end, client):
        end.says(b"a")
        end.says(b"b")
        await settle()
        assert client.chunks == [b"a"]
        client.limit = 10
        client.taken.set()
        await settle()
        assert client.chunks == [b"a", b"b"]


async def test_a_client_that_stopped_reading_reads_again(autojump_clock):
    async with reading() as (end, client):
        client.stop_reading()
        assert client.is_silent
        end.says(b"waits")
        await settle()
        assert client.chunks == []
        client.resume_reading()
        await settle()
        assert client.chunks == [b"waits"]
        assert not client.is_silent


async def test_a_client_that_has_vanished_never_reads_or_sends_again(autojump_clock):
    async with reading() as (end, client):
        client.vanish()
        client.resume_reading()
        end.says(b"nobody reads this")
        await client.write(b"nobody gets this")
        client.send_eof()
        await settle()
        assert client.is_silent
        assert (client.chunks, end.sent, end.ends) == ([], b"", [])


async def test_a_delay_holds_both_directions_and_keeps_the_order(autojump_clock):
    async with reading() as (end, client):
        client.delay(2)
        end.says(b"a")
        await client.write(b"1")
        await trio.sleep(1)
        end.says(b"b")
        await client.write(b"2")
        assert (client.chunks, end.sent) == ([], b"")
        await trio.sleep(1.5)
        assert (client.chunks, end.sent) == ([b"a"], b"1")
        await trio.sleep(1)
        assert (client.chunks, end.sent) == ([b"a", b"b"], b"12")


async def test_behind_a_delay_the_end_comes_last(autojump_clock):
    async with reading() as (end, client):
        client.delay(2)
        end.says(b"a")
        end.says(b"")
        await trio.sleep(1.9)
        assert not client.over.is_set()
        await client.over.wait()
        assert client.chunks == [b"a", b""]


async def test_writes_come_one_after_another(autojump_clock):
    async with reading() as (end, client), trio.open_nursery() as nursery:
        end.takes = trio.Event()
        nursery.start_soon(client.write, b"1")
        await settle()
        nursery.start_soon(client.write, b"2")
        await settle()
        end.takes.set()
        await settle()
        assert end.sent == b"12"


async def cancelled(client: Chunks) -> None:
    with trio.move_on_after(1) as scope:
        await client.write(b"half")
    assert scope.cancelled_caught


async def test_a_write_that_is_cancelled_in_the_middle_cuts_the_connection(autojump_clock):
    async with reading() as (end, client):
        end.takes = trio.Event()
        await cancelled(client)
        assert end.ends == ["reset"]
        assert client.was_cut is False


async def test_a_write_that_is_cancelled_before_its_turn_sends_nothing(autojump_clock):
    async with reading() as (end, client), trio.open_nursery() as nursery:
        end.takes = trio.Event()
        nursery.start_soon(client.write, b"first")
        await settle()
        await cancelled(client)
        assert end.ends == []
        end.takes.set()
        await settle()
        assert end.sent == b"first"


async def test_who_abandons_a_connection_has_reset_it_unless_it_was_over(autojump_clock):
    async with reading() as (end, client):
        client.abandon()
    assert end.ends[0] == "reset"
    async with reading() as (end, client):
        end.says(b"")
        await client.over.wait()
        client.abandon()
    assert end.ends == ["closed"]


async def test_a_fault_of_the_network_is_told_with_the_end(autojump_clock):
    async with reading() as (end, client):
        end.fault = "the link was cut"
        end.says(b"RST")
        await client.over.wait()
        assert client.fault == "the link was cut"
        assert "the connection was reset (the link was cut)" in str(client.events)


@pytest.mark.parametrize("seconds", [0.5, 3])
async def test_faults_are_events(autojump_clock, seconds):
    async with reading() as (_, client):
        client.delay(seconds)
        client.stop_reading()
        client.resume_reading()
        client.vanish()
        told = str(client.events)
    assert f"everything takes {seconds:g} s from now on" in told
    assert told.index("stopped reading") < told.index("reads again") < told.index("vanished")
