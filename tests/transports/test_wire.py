from __future__ import annotations

import select
import socket
import sys
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from attrs import define
from trio.testing import wait_all_tasks_blocked

from tests.transports.sockets import (
    PATIENCE,
    MiB,
    Sink,
    narrow,
    reset,
    running,
    settled,
    socketpair,
    tcp,
    trio_socket,
)
from triows._transports.wire import CHUNK, NOTSENT_LOWAT, READS, ROOM, PlainWire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from triows._transports.wire import Wire

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")


@define
class Ends:
    """A wire, and its two ends."""

    wire: Wire
    sink: Sink
    #: The socket below the wire.
    sock: socket.socket
    #: The peer's socket, which is non-blocking, and its stream.
    theirs: socket.socket
    peer: trio.abc.Stream
    nursery: trio.Nursery


@asynccontextmanager
async def plain(make: Callable[[], Any] = socketpair) -> AsyncIterator[Ends]:
    ours, theirs = sockets = make()
    async with running(sockets) as (reactor, nursery):
        peer = trio.SocketStream(trio_socket(theirs))
        wire, sink = PlainWire(ours, reactor), Sink()
        wire.start(nursery, sink)
        try:
            yield Ends(wire, sink, ours, theirs, peer, nursery)
        finally:
            wire.close(abort=False)


async def read(ends: Ends, size: int) -> bytes:
    """Return that many bytes of what the peer gets."""
    got = bytearray()
    with trio.fail_after(PATIENCE):
        while len(got) < size and (more := await ends.peer.receive_some(MiB)):
            got += more
    return bytes(got)


async def send(ends: Ends, data: bytes) -> None:
    """Write all of *data*, as the transport does."""
    sent = ends.wire.send_nowait(data)
    outbox: deque[bytes | memoryview] = deque([memoryview(data)[sent:]] if sent < len(data) else [])
    while outbox:
        taken = await ends.wire.send_some(outbox)
        rest = outbox.popleft()[taken:]
        if rest:
            outbox.appendleft(rest)


def fill(ends: Ends) -> int:
    """Write to a plain wire until the system takes no more. Return how many bytes it took."""
    size = 0
    while taken := ends.wire.send_nowait(bytes(CHUNK)):
        size += taken
    return size


# Reading


async def test_what_comes_is_given_to_the_sink():
    async with plain() as ends:
        await ends.peer.send_all(b"abc")
        await ends.sink.wait_data(3)
        await ends.peer.send_all(b"def")
        await ends.sink.wait_data(6)
        assert (ends.sink.data, ends.sink.calls) == (b"abcdef", [])


async def test_much_is_read_in_chunks_that_grow():
    async with plain() as ends:
        data = bytes(range(256)) * 2048
        with trio.fail_after(PATIENCE):
            await ends.peer.send_all(data)
        await ends.sink.wait_data(len(data))
        assert ends.sink.data == data
        first, *further = ends.sink.chunks
        assert first == CHUNK
        assert max(further) <= READS * CHUNK


async def test_a_stream_that_fills_no_chunk_any_more_is_read_in_small_ones():
    async with plain() as ends:
        for size in (READS * CHUNK, 1, READS * CHUNK):
            ends.sink.chunks.clear()
            before = len(ends.sink.data)
            with trio.fail_after(PATIENCE):
                await ends.peer.send_all(bytes(size))
            await ends.sink.wait_data(before + size)
        assert ends.sink.chunks[0] <= CHUNK


async def test_the_end_is_told_once_behind_what_came():
    async with plain() as ends:
        await ends.peer.send_all(b"last")
        ends.theirs.shutdown(socket.SHUT_WR)
        await ends.sink.wait_call("eof")
        await wait_all_tasks_blocked()
        assert (ends.sink.data, ends.sink.calls) == (b"last", ["eof"])


async def test_while_it_is_paused_nothing_more_is_read_and_then_all():
    async with plain() as ends:
        ends.sink.then = ends.wire.pause
        await ends.peer.send_all(b"first")
        await ends.sink.wait_data(5)
        with trio.fail_after(PATIENCE):
            await ends.peer.send_all(b"second")
        await wait_all_tasks_blocked()
        assert ends.sink.data == b"first"
        ends.sink.then = lambda: None
        ends.wire.resume()
        await ends.sink.wait_data(11)
        assert ends.sink.data == b"firstsecond"


async def test_it_can_be_paused_again_and_again():
    async with plain() as ends:
        ends.sink.then = ends.wire.pause
        for number in range(1, 6):
            with trio.fail_after(PATIENCE):
                await ends.peer.send_all(b"x")
            await ends.sink.wait_data(number)
            await wait_all_tasks_blocked()
            assert len(ends.sink.data) == number
            ends.wire.resume()


async def test_a_pause_that_is_over_before_the_next_turn_is_none():
    async with plain() as ends:

        def pause_shortly() -> None:
            ends.wire.pause()
            ends.wire.resume()

        ends.sink.then = pause_shortly
        for number in range(1, 4):
            await ends.peer.send_all(b"x")
            await ends.sink.wait_data(number)


@linux_only
async def test_a_peer_that_leaves_is_noticed_while_reading_is_paused():
    async with plain() as ends:
        ends.sink.then = ends.wire.pause
        await ends.peer.send_all(b"first")
        await ends.sink.wait_data(5)
        await ends.peer.send_all(b"last")
        await wait_all_tasks_blocked()
        assert ends.sink.calls == []
        ends.theirs.close()
        await ends.sink.wait_call("hangup")
        await wait_all_tasks_blocked()
        assert (ends.sink.data, ends.sink.calls) == (b"first", ["hangup"])
        ends.sink.then = lambda: None
        ends.wire.resume()
        await ends.sink.wait_call("eof")
        assert (ends.sink.data, ends.sink.calls) == (b"firstlast", ["hangup", "eof"])


@pytest.mark.real_socket
async def test_a_reset_is_an_end():
    async with plain(tcp) as ends:
        await ends.peer.send_all(b"a")
        await ends.sink.wait_data(1)
        reset(ends.theirs)
        await ends.sink.wait_call("eof")
        assert ends.sink.calls == ["eof"]


async def test_a_mistake_of_the_sink_ends_its_wire(caplog):
    async with plain() as ends:

        def fail() -> None:
            raise ZeroDivisionError

        ends.sink.then = fail
        await ends.peer.send_all(b"a")
        await ends.sink.wait_call("eof")
        await ends.peer.send_all(b"b")
        await wait_all_tasks_blocked()
        assert (ends.sink.data, ends.sink.calls) == (b"a", ["eof"])
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


async def test_a_turn_comes_when_the_others_have_had_theirs():
    async with plain() as ends:
        ends.wire.yield_turn()
        assert ends.sink.calls == []
        await ends.sink.wait_call("turn")
        await wait_all_tasks_blocked()
        assert ends.sink.calls == ["turn"]


async def test_no_turn_comes_after_the_end():
    async with plain() as ends:
        ends.wire.yield_turn()
        ends.wire.close(abort=False)
        await wait_all_tasks_blocked()
        assert "turn" not in ends.sink.calls


# Writing


async def test_a_plain_wire_gives_bytes_to_the_system_at_once():
    async with plain() as ends:
        assert ends.wire.send_nowait(b"abc") == 3
        assert ends.theirs.recv(10) == b"abc"


async def test_a_plain_wire_sends_a_part_and_then_none_when_the_system_is_full():
    async with plain() as ends:
        assert fill(ends) > 0
        assert ends.wire.send_nowait(b"a") == 0


async def test_much_arrives_whole_and_in_order():
    async with plain() as ends:
        data = bytes(range(256)) * 8192
        got: list[bytes] = []

        async def receive() -> None:
            got.append(await read(ends, len(data)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await send(ends, data)
        assert got == [data]


async def test_what_waits_goes_out_in_several_pieces_at_a_time():
    async with plain() as ends:
        pieces: deque[bytes | memoryview] = deque([b"ab", memoryview(b"cd"), b"e"])
        assert await ends.wire.send_some(pieces) == 5
        assert ends.theirs.recv(10) == b"abcde"
        assert len(pieces) == 3


async def test_more_pieces_than_the_system_takes_at_a_time_are_no_error():
    async with plain() as ends:
        pieces: deque[bytes | memoryview] = deque([b"a"] * 5000)
        taken = await ends.wire.send_some(pieces)
        assert 0 < taken <= 5000
        assert ends.theirs.recv(5000) == b"a" * taken


async def test_it_waits_until_the_system_takes_something():
    async with plain() as ends:
        size = fill(ends)
        taken: list[int] = []

        async def write() -> None:
            taken.append(await ends.wire.send_some(deque([b"last"])))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await wait_all_tasks_blocked()
            assert taken == []
            assert len(await read(ends, size)) == size
        assert taken == [4]


async def test_what_waits_may_change_meanwhile():
    async with plain() as ends:
        size = fill(ends)
        outbox: deque[bytes | memoryview] = deque([b"first", b"dropped"])
        taken: list[int] = []

        async def write() -> None:
            taken.append(await ends.wire.send_some(outbox))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await wait_all_tasks_blocked()
            outbox.pop()
            outbox.append(b"close")
            await read(ends, size)
        assert taken == [10]
        assert await read(ends, 10) == b"firstclose"


async def test_a_plain_wire_that_is_cancelled_has_sent_nothing_and_goes_on():
    async with plain() as ends:
        size = fill(ends)
        with trio.move_on_after(0) as scope:
            await ends.wire.send_some(deque([b"lost"]))
        assert scope.cancelled_caught
        await read(ends, size)
        await send(ends, b"kept")
        assert await read(ends, 4) == b"kept"


async def test_sending_to_a_peer_that_has_left_fails():
    async with plain() as ends:
        ends.theirs.close()
        with pytest.raises(OSError, match="pipe"):
            ends.wire.send_nowait(b"a")
        with pytest.raises(OSError, match="pipe"):
            await ends.wire.send_some(deque([b"a"]))


async def test_after_we_have_said_our_last_the_peer_is_still_heard():
    async with plain() as ends:
        await send(ends, b"last")
        ends.wire.send_eof()
        ends.wire.send_eof()
        assert await read(ends, 4) == b"last"
        await ends.peer.send_all(b"still here")
        await ends.sink.wait_data(10)
        assert ends.theirs.recv(10) == b""


async def test_saying_our_last_on_a_wire_that_broke_has_no_effect():
    async with plain() as ends:
        ends.theirs.close()
        await ends.sink.wait_call("eof")
        ends.wire.send_eof()
        ends.wire.close(abort=False)
        ends.wire.send_eof()


@linux_only
async def test_what_the_peer_has_not_taken_is_unacknowledged_on_a_socketpair():
    async with plain() as ends:
        assert not ends.wire.unacknowledged()
        ends.wire.send_nowait(b"a")
        assert ends.wire.unacknowledged()
        ends.theirs.recv(10)
        assert not ends.wire.unacknowledged()


@linux_only
@pytest.mark.real_socket
async def test_what_the_peers_system_has_taken_is_acknowledged_though_nobody_reads_it():
    async with plain(tcp) as ends:
        ends.wire.send_nowait(b"a")
        with trio.fail_after(PATIENCE):
            while ends.wire.unacknowledged():
                await trio.lowlevel.checkpoint()
        fill(ends)
        assert ends.wire.unacknowledged()


@linux_only
@pytest.mark.real_socket
async def test_a_peer_that_reads_is_seen_though_the_system_takes_nothing_more():
    async with plain(narrow) as ends:
        size = fill(ends)
        before = await settled(ends.wire.unacknowledged)
        assert (before > 0, ends.wire.taken) == (True, size)
        assert len(await read(ends, 2**14)) >= 2**14
        with trio.fail_after(PATIENCE):
            while ends.wire.unacknowledged() >= before:
                await trio.lowlevel.checkpoint()
        assert select.select([], [ends.sock], [], 0)[1] == []  # it is not writable yet


# The end


class NoReactor:
    def discard(self, fd: int) -> None: ...


async def test_after_closing_nothing_is_read_and_the_peer_sees_an_end():
    async with plain() as ends:
        await send(ends, b"last")
        ends.wire.close(abort=False)
        ends.wire.close(abort=True)
        assert await read(ends, 5) == b"last"
        await wait_all_tasks_blocked()
        assert (ends.sink.data, ends.sock.fileno()) == (b"", -1)
        assert ends.nursery.child_tasks == frozenset()


@pytest.mark.parametrize("abort", [False, True])
def test_it_can_be_closed_before_it_was_started(abort):
    ours, theirs = socketpair()
    with ours, theirs:
        PlainWire(ours, NoReactor()).close(abort=abort)
        assert theirs.recv(1) == b""


async def test_closing_ends_it_while_it_is_paused():
    async with plain() as ends:
        ends.sink.then = ends.wire.pause
        await ends.peer.send_all(b"a")
        await ends.sink.wait_data(1)
        await wait_all_tasks_blocked()
        ends.wire.close(abort=False)
        await wait_all_tasks_blocked()
        assert ends.nursery.child_tasks == frozenset()
        assert ends.sink.data == b"a"


async def test_who_waits_for_the_system_is_told_that_the_wire_was_closed():
    async with plain() as ends, trio.open_nursery() as nursery:
        fill(ends)

        async def write() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ends.wire.send_some(deque([b"a"]))

        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        ends.wire.close(abort=True)


@pytest.mark.real_socket
async def test_an_abort_resets_the_connection():
    async with plain(tcp) as ends:
        ends.wire.close(abort=True)
        ends.theirs.settimeout(PATIENCE)
        with pytest.raises(ConnectionResetError):
            ends.theirs.recv(10)


@pytest.mark.real_socket
async def test_a_close_without_abort_lets_arrive_what_was_sent():
    async with plain(tcp) as ends:
        size = fill(ends)
        ends.wire.close(abort=False)
        assert len(await read(ends, size + 1)) == size


async def test_a_wire_reads_on_while_its_owner_is_cancelled():
    async with plain() as ends:
        with trio.CancelScope() as scope:
            scope.cancel()
            with trio.CancelScope(shield=True):
                await ends.peer.send_all(b"a")
                await ends.sink.wait_data(1)
        ends.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await ends.peer.send_all(b"b")
            await ends.sink.wait_data(2)


@linux_only
@pytest.mark.real_socket
async def test_the_system_takes_more_when_there_is_room():
    async with plain(tcp) as ends:
        ends.sock.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, 2**14)
        ends.wire.make_room()
        assert ends.sock.getsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT) == ROOM


@pytest.mark.real_socket
async def test_making_room_where_there_is_none_to_make_does_nothing():
    async with plain() as ends:
        ends.wire.make_room()
        assert ends.wire.send_nowait(b"a") == 1
