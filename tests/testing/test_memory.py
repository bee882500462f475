"""Connections in memory, which behave as a system's sockets do."""

from collections import deque

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows.testing._memory import MemoryLink, MemoryReactor, MemoryWire


class Sink:
    """Keeps what a wire reports."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> None:
        self.told.append("end")

    def hung_up(self) -> None:
        self.told.append("hung up")

    def on_turn(self) -> None:
        self.told.append("turn")


@pytest.fixture
async def reactor(nursery):
    reactor = MemoryReactor()
    await nursery.start(reactor.run)
    return reactor


@pytest.fixture
def link(reactor):
    return MemoryLink(10, reactor)


@pytest.fixture
def sink(link, nursery):
    sink = Sink()
    link.wire.start(nursery, sink)
    return sink


async def told(sink: Sink) -> list[object]:
    await wait_all_tasks_blocked()
    return sink.told


async def test_what_the_client_sends_reaches_the_server(link, sink):
    await link.client.send_all(b"hello")
    assert await told(sink) == [b"hello"]


async def test_what_came_before_the_wire_was_started_is_read(link, nursery):
    await link.client.send_all(b"early")
    sink = Sink()
    link.wire.start(nursery, sink)
    assert await told(sink) == [b"early"]


async def test_each_direction_holds_so_many_bytes(link, nursery):
    assert link.wire.send_nowait(b"0123456789abc") == 10
    assert link.wire.send_nowait(b"more") == 0
    assert await link.client.receive_some(4) == b"0123"
    assert link.wire.send_pieces_nowait([b"ab", b"cdef"]) == 4
    assert await link.client.receive_some() == b"456789abcd"


async def test_a_client_waits_for_room(link, nursery):
    nursery.start_soon(link.client.send_all, b"0123456789abc")
    await wait_all_tasks_blocked()
    sink = Sink()
    link.wire.start(nursery, sink)
    assert b"".join(await told(sink)) == b"0123456789abc"


async def test_a_server_waits_for_room_and_is_told_how_much_was_taken(link, nursery):
    link.wire.send_nowait(bytes(10))
    taken = []

    async def send() -> None:
        taken.append(await link.wire.send_some(deque([b"abc", b"defghijklmno"])))

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert taken == []
    await link.client.receive_some()
    await wait_all_tasks_blocked()
    assert taken == [10]


async def test_what_was_dropped_meanwhile_is_not_sent(link, nursery):
    link.wire.send_nowait(bytes(10))
    outbox = deque([b"abc"])
    taken = []

    async def send() -> None:
        taken.append(await link.wire.send_some(outbox))

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    outbox.clear()
    await link.client.receive_some()
    await wait_all_tasks_blocked()
    assert taken == [0]


async def test_a_wire_that_is_paused_reads_nothing(link, sink):
    link.wire.pause()
    await link.client.send_all(b"waits")
    assert await told(sink) == []
    link.wire.resume()
    assert await told(sink) == [b"waits"]


async def test_a_wire_that_is_paused_notices_a_client_that_leaves(link, sink):
    link.wire.pause()
    await link.client.send_all(b"waits")
    link.client.close()
    assert await told(sink) == ["hung up"]
    link.wire.resume()
    assert await told(sink) == ["hung up", b"waits", "end"]


class PausingSink(Sink):
    """A sink that pauses the wire as soon as something has arrived."""

    wire: MemoryWire

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.wire.pause()


@pytest.mark.parametrize("end", ["close", "reset", "send_eof"])
async def test_a_client_that_leaves_is_noticed_though_its_last_bytes_pause_the_wire(
    link, nursery, end
):
    sink = PausingSink()
    sink.wire = link.wire
    link.wire.start(nursery, sink)
    await link.client.send_all(b"last")
    getattr(link.client, end)()
    assert await told(sink) == [b"last", "hung up"]


async def test_a_reset_comes_behind_what_was_sent(link, sink):
    await link.client.send_all(b"last")
    link.client.reset()
    assert await told(sink) == [b"last", "end"]
    with pytest.raises(OSError):  # noqa: PT011 - any of them
        link.wire.send_nowait(b"too late")


async def test_after_a_reset_the_client_hears_nothing_any_more(link, sink):
    link.wire.send_nowait(b"unread")
    link.client.reset()
    with pytest.raises(trio.BrokenResourceError):
        await link.client.receive_some()


async def test_the_others_have_a_turn_first(link, sink):
    order = sink.told

    async def other() -> None:
        order.append("other")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        link.wire.yield_turn()
    await wait_all_tasks_blocked()
    assert order == ["other", "turn"]


async def test_a_closed_wire_is_read_to_its_end_by_the_client(link, sink):
    link.wire.send_nowait(b"last")
    link.wire.close(abort=False)
    assert await link.client.receive_some() == b"last"
    assert await link.client.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await link.client.send_all(b"too late")


async def test_an_aborted_wire_is_a_reset_for_the_client(link, sink):
    link.wire.close(abort=True)
    link.wire.close(abort=False)  # this has no effect
    with pytest.raises(trio.BrokenResourceError):
        await link.client.receive_some()


async def test_a_mistake_of_one_reader_does_not_concern_the_others(reactor, nursery, caplog):
    class Broken(Sink):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError

    broken, whole = Broken(), Sink()
    for sink in (broken, whole):
        link = MemoryLink(10, reactor)
        link.wire.start(nursery, sink)
        await link.client.send_all(b"hello")
    assert await told(whole) == [b"hello"]
    assert broken.told == ["end"]
    assert [record.getMessage() for record in caplog.records] == [
        "unhandled error in reading from a connection"
    ]
