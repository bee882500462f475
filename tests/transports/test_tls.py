from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
from attrs import define
from hypothesis import given, strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.raw import BINARY, close_frame, frame
from tests.transports.scripted_wire import QUIET, read_frames
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
)
from tests.transports.tls_client import Certificates, Client
from triows import Limits
from triows._protocol.upgrade import Upgrade
from triows._settings import Settings
from triows._transports.cork import Cork
from triows._transports.pinger import Pinger
from triows._transports.reactor import EpollReactor, TaskReactor
from triows._transports.stream import StreamTransport
from triows._transports.tls import TLS, TLSWire
from triows._transports.turn import Turn
from triows._transports.wire import CHUNK, unacknowledged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from triows._transports.reactor import Reactor

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")

versions = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)

#: What TLS adds to a chunk at most: 22 bytes for each of four records, and some to spare.
OVERHEAD = 200

#: A close frame with 1000.
CLOSE_FRAME = b"\x88\x02\x03\xe8"

#: What OpenSSL says last, in the tests that play it.
GOODBYE = b"goodbye"

CERTIFICATES = Certificates.make()
SERVER = TLS(CERTIFICATES.server())
CLIENT = CERTIFICATES.client()


@define
class Ends:
    """A wire, and its two ends."""

    wire: TLSWire
    sink: Sink
    sock: socket.socket
    theirs: socket.socket
    client: Client
    nursery: trio.Nursery


@asynccontextmanager
async def begun(
    make: Callable[[], Any] = socketpair,
    *,
    server: ssl.SSLContext | None = None,
    client: ssl.SSLContext | None = None,
    make_reactor: Callable[[], Reactor] = EpollReactor,
) -> AsyncIterator[Ends]:
    """Start a wire. The client hasn't sent anything."""
    ours, theirs = sockets = make()
    async with running(sockets, make_reactor) as (reactor, nursery):
        wire, sink = TLSWire(ours, reactor, TLS(server or CERTIFICATES.server())), Sink()
        wire.start(nursery, sink)
        try:
            peer = Client(theirs, client or CERTIFICATES.client())
            yield Ends(wire, sink, ours, theirs, peer, nursery)
        finally:
            wire.close(abort=False)


@asynccontextmanager
async def opened(make: Callable[[], Any] = socketpair, **settings: Any) -> AsyncIterator[Ends]:
    """Start a wire, and shake hands."""
    async with begun(make, **settings) as ends:
        await ends.client.shake_hands()
        await wait_all_tasks_blocked()
        yield ends


async def send(ends: Ends, data: bytes) -> None:
    """Write all of *data*, as the outbox does."""
    sent = ends.wire.send_nowait(data)
    outbox: deque[bytes | memoryview] = deque([memoryview(data)[sent:]] if sent < len(data) else [])
    while outbox:
        note_sent(outbox, await ends.wire.send_some(outbox))


def note_sent(outbox: deque[bytes | memoryview], sent: int) -> None:
    while sent:
        first = outbox.popleft()
        if sent < len(first):
            outbox.appendleft(memoryview(first)[sent:])
        sent -= min(sent, len(first))


def fill(wire: TLSWire) -> int:
    """Write until the wire takes no more. Return how many bytes it took."""
    size = 0
    while taken := wire.send_nowait(bytes(CHUNK)):
        size += taken
    return size


# The handshake


@versions
@pytest.mark.parametrize("make_reactor", [EpollReactor, TaskReactor])
@pytest.mark.parametrize("slice_size", [1, MiB])
async def test_a_handshake_makes_it_secure_however_its_bytes_are_cut(
    version, make_reactor, slice_size
):
    client = CERTIFICATES.client(version)
    async with begun(client=client, make_reactor=make_reactor) as ends:
        ends.client.slice_size = slice_size
        assert not ends.wire.secured
        await ends.client.shake_hands()
        await ends.client.send(b"hello")
        await ends.sink.wait_data(5)
        assert (ends.wire.secured, ends.sink.data, ends.sink.calls) == (True, b"hello", [])
        await send(ends, b"welcome")
        assert await ends.client.receive() == b"welcome"
        assert ends.client.tls.version() == ends.wire.ssl_object.version()


async def test_a_handshake_and_an_idle_connection_need_no_task():
    async with opened() as ends:
        assert ends.wire.secured
        assert ends.nursery.child_tasks == frozenset()


async def test_what_comes_together_with_the_end_of_the_handshake_is_read():
    async with begun() as ends:
        await ends.client.shake_hands(keep_last=True)
        await ends.client.send(b"early")
        await ends.sink.wait_data(5)
        assert ends.sink.chunks == [5]


async def test_it_tells_the_protocol_and_the_clients_certificate():
    server = CERTIFICATES.server(asks=True, alpn="http/1.1")
    client = CERTIFICATES.client(by=CERTIFICATES.ours)
    async with opened(server=server, client=client) as ends:
        tls = ends.wire.ssl_object
        assert tls.selected_alpn_protocol() == "http/1.1"
        certificate = tls.getpeercert()
        assert ("email", "client@example.org") in certificate["subjectAltName"]


@versions
@pytest.mark.real_socket
@pytest.mark.parametrize("by", [None, CERTIFICATES.foreign], ids=["none", "foreign"])
async def test_a_client_whose_certificate_is_refused_sees_the_alert_and_no_reset(version, by):
    server, client = CERTIFICATES.server(asks=True), CERTIFICATES.client(version, by)
    async with begun(tcp, server=server, client=client) as ends:
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            await shake_hands_and_send(ends.client, bytes(MiB))
        ends.theirs.shutdown(socket.SHUT_WR)
        await ends.sink.wait_call("eof")
        assert not ends.wire.secured
        assert (ends.sink.data, ends.sink.calls) == (b"", ["eof"])
        assert ends.theirs.recv(1) == b""


async def shake_hands_and_send(client: Client, data: bytes) -> None:
    """Send data before the server can refuse. With TLS 1.3, the handshake is over by then."""
    await client.shake_hands()
    await client.send(data)
    while await client.receive():
        pass


@pytest.mark.real_socket
@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", bytes(MiB), b"\x16\x03\x01\xff\xff" * 20_000],
    ids=["http", "nuls", "record"],
)
async def test_what_is_no_tls_is_ended_without_a_reset_or_a_traceback(garbage, caplog):
    async with begun(tcp) as ends, trio.open_nursery() as nursery:
        nursery.start_soon(ends.client.below.send, garbage)
        with trio.fail_after(PATIENCE):
            while await ends.client.below.recv(MiB):
                pass
        ends.theirs.close()
        await ends.sink.wait_call("eof")
        assert (ends.sink.data, ends.sink.calls, ends.wire.secured) == (b"", ["eof"], False)
    assert caplog.records == []


async def test_an_unknown_version_is_answered_with_an_alert():
    server = CERTIFICATES.server()
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    client = CERTIFICATES.client(ssl.TLSVersion.TLSv1_2)
    async with begun(server=server, client=client) as ends:
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await ends.client.shake_hands()


@pytest.mark.parametrize("part", [0, 1, 5, 50])
async def test_a_peer_that_leaves_in_the_handshake_is_an_end(part):
    async with begun() as ends:
        with pytest.raises(ssl.SSLWantReadError):
            ends.client.tls.do_handshake()
        await ends.client.below.send(ends.client.outgoing.read()[:part])
        ends.theirs.close()
        await ends.sink.wait_call("eof")
        assert (ends.sink.data, ends.sink.calls) == (b"", ["eof"])


async def test_nothing_can_be_sent_before_the_handshake():
    async with begun() as ends:
        with pytest.raises(OSError, match="did not complete"):
            ends.wire.send_nowait(b"a")
        assert ends.wire.taken == 0


@versions
async def test_a_handshake_goes_on_when_the_system_did_not_take_it_at_once(version):
    async with begun(client=CERTIFICATES.client(version)) as ends:
        before = fill_below(ends.sock)
        with pytest.raises(ssl.SSLWantReadError):
            ends.client.tls.do_handshake()
        await ends.client.flush()
        await wait_all_tasks_blocked()
        await drop(ends.client, before)
        await ends.client.shake_hands()
        await wait_all_tasks_blocked()
        await send(ends, b"welcome")
        assert await ends.client.receive() == b"welcome"
        await wait_all_tasks_blocked()
        assert ends.nursery.child_tasks == frozenset()


async def test_a_message_waits_for_the_rest_of_the_handshake():
    # With TLS 1.3, the server's last words come after the client's, and may wait.
    async with begun() as ends:
        await ends.client.shake_hands(keep_last=True)
        before = fill_below(ends.sock)
        await ends.client.flush()
        await wait_all_tasks_blocked()
        assert len(ends.nursery.child_tasks) == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, ends, b"welcome")
            await wait_all_tasks_blocked()
            await drop(ends.client, before)
        assert await ends.client.receive() == b"welcome"


async def test_a_sender_that_waits_for_the_handshake_is_told_that_the_wire_was_closed():
    async with begun() as ends, trio.open_nursery() as nursery:
        await ends.client.shake_hands(keep_last=True)
        fill_below(ends.sock)
        await ends.client.flush()
        await wait_all_tasks_blocked()

        async def write() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ends.wire.send_some(deque([b"ab"]))

        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        ends.wire.close(abort=True)


async def test_a_wire_that_is_closed_at_the_end_of_a_handshake_that_waits_leaves_nothing():
    async with begun() as ends:
        ends.sink.then = lambda: ends.wire.close(abort=False)
        await ends.client.shake_hands(keep_last=True)
        fill_below(ends.sock)
        await ends.client.send(b"a")
        await ends.sink.wait_data(1)
        await wait_all_tasks_blocked()
        assert ends.nursery.child_tasks == frozenset()


@pytest.mark.parametrize("how", ["close", "leave"])
async def test_a_handshake_that_waits_ends_with_the_connection(how):
    async with begun() as ends:
        fill_below(ends.sock)
        with pytest.raises(ssl.SSLWantReadError):
            ends.client.tls.do_handshake()
        await ends.client.flush()
        await wait_all_tasks_blocked()
        assert len(ends.nursery.child_tasks) == 1
        if how == "close":
            ends.wire.close(abort=True)
        else:
            ends.theirs.close()
        await wait_all_tasks_blocked()
        assert ends.nursery.child_tasks == frozenset()


def fill_below(sock: socket.socket) -> int:
    """Fill the system's buffer below TLS. Return how many bytes that took."""
    size = 0
    for piece in (bytes(CHUNK), b"\0"):
        with suppress(BlockingIOError):
            while True:
                size += sock.send(piece)
    return size


async def drop(client: Client, size: int) -> None:
    """Let a client forget what came below TLS."""
    with trio.fail_after(PATIENCE):
        while size:
            size -= len(await client.below.recv(size))


# Clients that aren't ours


async def test_trios_own_client_meets_no_ragged_end():
    async with begun() as ends:
        below = trio.SocketStream(ends.client.below)
        stream = trio.SSLStream(below, CLIENT, server_hostname="localhost")
        with trio.fail_after(PATIENCE):
            await stream.send_all(b"hello")
            await ends.sink.wait_data(5)
            await send(ends, b"welcome")
            assert await stream.receive_some() == b"welcome"
            ends.wire.close(abort=False)
            # Without close_notify, this would raise BrokenResourceError.
            assert await stream.receive_some() == b""


async def test_the_standard_librarys_client_meets_no_ragged_end():
    async with begun() as ends:
        ends.theirs.settimeout(PATIENCE)

        def speak() -> list[bytes]:
            options = {"server_hostname": "localhost", "suppress_ragged_eofs": False}
            with CLIENT.wrap_socket(ends.theirs, **options) as client:
                client.sendall(b"hello")
                return [client.recv(100), client.recv(100)]

        async def answer() -> None:
            await ends.sink.wait_data(5)
            await send(ends, b"welcome")
            ends.wire.close(abort=False)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            assert await trio.to_thread.run_sync(speak) == [b"welcome", b""]


# Reading


async def test_much_is_read_in_chunks():
    async with opened() as ends:
        data = bytes(range(256)) * 2048
        await ends.client.send(data)
        await ends.sink.wait_data(len(data))
        assert ends.sink.data == data
        assert max(ends.sink.chunks) <= CHUNK


@pytest.mark.parametrize("make_reactor", [EpollReactor, TaskReactor])
async def test_ten_megabytes_pass_both_ways_at_once(make_reactor):
    data = os.urandom(10 * MiB)
    got: list[bytes] = []
    async with opened(make_reactor=make_reactor) as ends:

        async def receive() -> None:
            got.append(await ends.client.receive_exactly(len(data)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            nursery.start_soon(ends.client.send, data)
            nursery.start_soon(send, ends, data)
        await ends.sink.wait_data(len(data))
        assert got == [data]
        assert ends.sink.data == data


@pytest.mark.parametrize("end", ["close_notify", "close", "half a record"])
async def test_the_end_is_told_once_behind_what_came(end):
    async with opened() as ends:
        await ends.client.send(b"last")
        if end == "close_notify":
            await ends.client.say_goodbye()
        else:
            if end == "half a record":
                await ends.client.below.send(b"\x17\x03\x03\x00\x20half")
            ends.theirs.shutdown(socket.SHUT_WR)
        await ends.sink.wait_call("eof")
        await wait_all_tasks_blocked()
        assert (ends.sink.data, ends.sink.calls) == (b"last", ["eof"])


async def test_a_peer_that_said_its_last_can_still_be_written_to():
    async with opened() as ends:
        await ends.client.say_goodbye()
        await ends.sink.wait_call("eof")
        await send(ends, b"so long")
        assert await ends.client.receive() == b"so long"


@pytest.mark.real_socket
async def test_a_reset_is_an_end():
    async with opened(tcp) as ends:
        reset(ends.theirs)
        await ends.sink.wait_call("eof")
        assert ends.sink.calls == ["eof"]


async def test_garbage_behind_a_message_is_an_end_and_answered_with_an_alert(caplog):
    async with opened() as ends:
        ends.client.tls.write(b"fine")
        await ends.client.below.send(
            ends.client.outgoing.read() + b"\x17\x03\x03\x00\x20" + bytes(32)
        )
        await ends.sink.wait_call("eof")
        assert (ends.sink.data, ends.sink.calls) == (b"fine", ["eof"])
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            await ends.client.receive()
    assert caplog.records == []


async def test_a_record_that_came_in_part_makes_no_chunk_larger():
    async with opened() as ends:
        ends.client.tls.write(bytes(2**14))
        for _ in range(4):
            ends.client.tls.write(bytes(16_000))
        records = ends.client.outgoing.read()
        ends.theirs.send(records[: 2**14])
        await wait_all_tasks_blocked()
        assert ends.sink.data == b""
        ends.theirs.send(records[2**14 :])
        await ends.sink.wait_data(2**14 + 64_000)
        assert max(ends.sink.chunks) <= CHUNK


async def test_a_pause_in_the_middle_of_much_takes_effect_at_once():
    async with opened() as ends:
        ends.sink.then = ends.wire.pause
        ends.client.tls.write(bytes(2 * CHUNK))
        ends.theirs.send(ends.client.outgoing.read())
        await ends.sink.wait_data(1)
        await wait_all_tasks_blocked()
        assert len(ends.sink.chunks) == 1


async def test_while_it_is_paused_nothing_is_delivered_and_then_all():
    async with opened() as ends:
        ends.sink.then = ends.wire.pause
        await ends.client.send(b"first")
        await ends.sink.wait_data(5)
        await ends.client.send(b"second")
        await wait_all_tasks_blocked()
        assert ends.sink.data == b"first"
        ends.wire.resume()
        await ends.sink.wait_data(11)
        assert ends.sink.data == b"firstsecond"


async def test_a_pause_that_comes_with_the_peers_last_words_holds_back_the_end():
    async with opened() as ends:
        ends.sink.then = ends.wire.pause
        ends.client.tls.write(b"last")
        await ends.client.say_goodbye()
        await ends.sink.wait_data(4)
        await wait_all_tasks_blocked()
        assert ends.sink.calls == []
        ends.wire.resume()
        ends.wire.pause()
        await wait_all_tasks_blocked()
        assert ends.sink.calls == []
        ends.wire.resume()
        ends.wire.pause()
        ends.wire.resume()
        await ends.sink.wait_call("eof")
        await wait_all_tasks_blocked()
        assert ends.sink.calls == ["eof"]


async def test_who_takes_a_wire_over_is_told_of_the_end_as_well():
    async with opened() as ends:
        await ends.client.say_goodbye()
        await ends.sink.wait_call("eof")
        second = Sink()
        ends.wire.start(ends.nursery, second)
        assert second.calls == []
        await second.wait_call("eof")
        await wait_all_tasks_blocked()
        assert (ends.sink.calls, second.calls) == (["eof"], ["eof"])


@linux_only
async def test_a_peer_that_leaves_is_noticed_while_reading_is_paused():
    async with opened() as ends:
        ends.sink.then = ends.wire.pause
        await ends.client.send(b"first")
        await ends.sink.wait_data(5)
        await ends.client.send(b"last")
        ends.theirs.close()
        await ends.sink.wait_call("hangup")
        assert (ends.sink.data, ends.sink.calls) == (b"first", ["hangup"])
        ends.sink.then = lambda: None
        ends.wire.resume()
        await ends.sink.wait_call("eof")
        assert (ends.sink.data, ends.sink.calls) == (b"firstlast", ["hangup", "eof"])


@pytest.mark.real_socket
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
async def test_a_peer_that_asks_for_new_keys_gets_them():
    listener = socket.create_server(("127.0.0.1", 0))
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}"]
    with listener, trio.fail_after(PATIENCE):
        peer = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        ours, _ = await trio.to_thread.run_sync(listener.accept)
        async with running((ours, listener)) as (reactor, nursery):
            wire, sink = TLSWire(ours, reactor, TLS(CERTIFICATES.server())), Sink()
            wire.start(nursery, sink)
            await peer.stdin.send_all(b"hello\n")
            await sink.wait_data(6)
            # s_client asks for new keys when a line is K.
            await peer.stdin.send_all(b"K\n")
            await read_until(peer.stdout, b"KEYUPDATE\n")
            wire.send_nowait(b"welcome\n")
            await read_until(peer.stdout, b"welcome\n")
            await peer.stdin.send_all(b"again\n")
            await sink.wait_data(12)
            assert (sink.data, sink.calls) == (b"hello\nagain\n", [])
            wire.close(abort=False)
        assert await peer.wait() == 0


async def read_until(stream: trio.abc.ReceiveStream, end: bytes) -> None:
    got = b""
    while end not in got:
        more = await stream.receive_some()
        assert more, got
        got += more


class Chatty:
    """A TLS context whose connections answer every chunk that comes, as if it were a request."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **_: Any) -> Chatty:
        self.incoming, self.outgoing = incoming, outgoing
        return self

    def do_handshake(self) -> None: ...

    def read(self, size: int) -> bytes:
        self.incoming.read()
        self.outgoing.write(bytes(1000))
        raise ssl.SSLWantReadError

    def unwrap(self) -> None:
        self.outgoing.write(GOODBYE)


async def test_a_peer_that_makes_openssl_answer_on_and_on_and_does_not_read_is_given_up():
    ours, theirs = sockets = socketpair()
    async with running(sockets) as (reactor, nursery):
        wire, sink = TLSWire(ours, reactor, TLS(Chatty())), Sink()  # type: ignore[arg-type]
        wire.start(nursery, sink)
        theirs.send(b"?")
        await wait_all_tasks_blocked()
        fill_below(ours)
        while not sink.calls:
            theirs.send(b"?")
            await wait_all_tasks_blocked()
            assert wire.unacknowledged() - unacknowledged(ours.fileno()) <= 2 * CHUNK + 1000
        assert sink.calls == ["eof"]
        wire.close(abort=True)


@pytest.mark.parametrize("waits", [False, True], ids=["taken", "waited"])
async def test_an_answer_that_waits_needs_no_task_after_the_handshake(waits):
    # If there were one, it would get into the way of whoever waits until something can be sent.
    ours, theirs = sockets = socketpair()
    async with running(sockets) as (reactor, nursery):
        wire, sink = TLSWire(ours, reactor, TLS(Chatty())), Sink()  # type: ignore[arg-type]
        wire.start(nursery, sink)
        for number in range(3):
            size = fill_below(ours) if number or waits else 0
            theirs.send(b"?")
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == (waits and not number)
            while size > 0:
                size -= len(theirs.recv(MiB))
            await wait_all_tasks_blocked()
        wire.close(abort=True)


async def test_an_answer_that_cannot_be_sent_is_an_end():
    ours, theirs = sockets = socketpair()
    async with running(sockets) as (reactor, nursery):
        wire, sink = TLSWire(ours, reactor, TLS(Chatty())), Sink()  # type: ignore[arg-type]
        theirs.send(b"?")
        theirs.shutdown(socket.SHUT_RD)
        wire.start(nursery, sink)
        await sink.wait_call("eof")
        await wait_all_tasks_blocked()
        assert sink.calls == ["eof"]
        wire.close(abort=True)


async def test_a_wire_that_its_sink_closes_reads_nothing_more():
    async with opened() as ends:
        ends.sink.then = lambda: ends.wire.close(abort=False)
        ends.client.tls.write(b"a")
        await ends.client.say_goodbye()
        await ends.sink.wait_data(1)
        await wait_all_tasks_blocked()
        assert (ends.sink.data, ends.sink.calls) == (b"a", [])


async def test_a_turn_comes_when_the_others_have_had_theirs():
    async with opened() as ends:
        ends.wire.yield_turn()
        assert ends.sink.calls == []
        await ends.sink.wait_call("turn")
        ends.wire.yield_turn()
        ends.wire.close(abort=False)
        await wait_all_tasks_blocked()
        assert ends.sink.calls == ["turn"]


async def test_connections_that_share_their_memory_do_not_get_each_others_bytes():
    # Each sends half a record, one is broken in the middle, and the others go on.
    server, contexts = TLS(CERTIFICATES.server()), CERTIFICATES.client()
    pairs = [socketpair() for _ in range(3)]
    async with trio.open_nursery() as nursery:
        reactor = EpollReactor()
        await nursery.start(reactor.run)
        sinks, wires, clients = [], [], []
        for ours, theirs in pairs:
            ours.setblocking(False)
            theirs.setblocking(False)
            sinks.append(Sink())
            wires.append(TLSWire(ours, reactor, server))
            wires[-1].start(nursery, sinks[-1])
            clients.append(Client(theirs, contexts))
            await clients[-1].shake_hands()
        records = []
        for number, client in enumerate(clients):
            client.tls.write(b"%d" % number * 100)
            records.append(client.outgoing.read())
            await client.below.send(records[-1][:50])
            await wait_all_tasks_blocked()
        await clients[1].below.send(bytes(80) + records[1])
        await sinks[1].wait_call("eof")
        for number in (2, 0):
            await clients[number].below.send(records[number][50:])
            await sinks[number].wait_data(100)
            wires[number].send_nowait(b"answer")
            assert await clients[number].receive() == b"answer"
        assert [bytes(sink.data) for sink in sinks] == [b"0" * 100, b"", b"2" * 100]
        for wire, (_, theirs) in zip(wires, pairs, strict=True):
            wire.close(abort=False)
            theirs.close()
        nursery.cancel_scope.cancel()


# Writing


async def test_bytes_go_to_the_system_at_once():
    async with opened() as ends:
        assert ends.wire.send_nowait(b"abc") == 3
        assert ends.wire.send_pieces_nowait((b"de", b"", memoryview(b"f"))) == 3
        assert ends.wire.send_nowait(b"") == 0
        assert ends.wire.taken == 6
        assert await ends.client.receive_exactly(6) == b"abcdef"


async def test_what_a_call_takes_is_limited_so_that_others_get_their_turn():
    async with opened() as ends:
        ends.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MiB)
        taken = ends.wire.send_nowait(bytes(100 * MiB))
        assert 0 < taken <= 4 * CHUNK


async def test_what_the_system_does_not_take_is_kept_within_bounds():
    async with opened() as ends:
        size = fill(ends.wire)
        kept = ends.wire.unacknowledged() - unacknowledged(ends.sock.fileno())
        assert 0 < kept <= CHUNK + OVERHEAD
        assert ends.wire.send_nowait(bytes(MiB)) == 0
        assert ends.wire.send_pieces_nowait((b"a", b"b")) == 0
        assert ends.wire.taken == size


async def test_it_waits_until_the_system_takes_what_is_kept():
    async with opened() as ends:
        size = fill(ends.wire)
        rest = bytes(CHUNK - size % CHUNK) + b"last"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, ends, rest)
            await wait_all_tasks_blocked()
            assert ends.wire.taken == size
            got = await ends.client.receive_exactly(size + len(rest))
        assert got == bytes(size) + rest
        assert ends.wire.taken == size + len(rest)


async def test_what_waits_goes_out_in_several_pieces_at_a_time():
    async with opened() as ends:
        pieces: deque[bytes | memoryview] = deque([b"ab", memoryview(b"cd"), b"e"])
        assert await ends.wire.send_some(pieces) == 5
        assert await ends.client.receive() == b"abcde"
        assert len(pieces) == 3


async def test_what_waits_may_be_emptied_meanwhile_but_then_there_is_no_goodbye():
    async with opened() as ends:
        fill(ends.wire)
        outbox: deque[bytes | memoryview] = deque([bytes(CHUNK)])

        async def write() -> None:
            assert await ends.wire.send_some(outbox) == 0

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await wait_all_tasks_blocked()
            outbox.clear()
            ends.theirs.recv(16 * MiB)
        ends.theirs.recv(16 * MiB)
        ends.wire.close(abort=False)
        assert ends.theirs.recv(16 * MiB) == b""


async def test_no_bytes_make_no_record():
    async with opened() as ends:
        ends.theirs.recv(MiB)
        assert ends.wire.send_nowait(b"") == 0
        with pytest.raises(BlockingIOError):
            ends.theirs.recv(MiB)


async def test_a_byte_alone_waits_as_well():
    async with opened() as ends:
        # Have the client read what TLS itself sends after the handshake.
        assert ends.wire.send_nowait(b".") == len(await ends.client.receive())
        before = fill_below(ends.sock)
        assert ends.wire.send_nowait(b"a") == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_rest, ends, deque([b"a", b"b"]))
            await wait_all_tasks_blocked()
            await drop(ends.client, before)
        assert await ends.client.receive_exactly(2) == b"ab"
        assert ends.wire.taken == 3


async def test_cancelling_loses_and_repeats_nothing():
    data = os.urandom(4 * MiB)
    outbox: deque[bytes | memoryview] = deque([data])
    got = bytearray()
    async with opened() as ends:
        while outbox:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def write() -> None:
                        note_sent(outbox, await ends.wire.send_some(outbox))

                    nursery.start_soon(write)
                    await wait_all_tasks_blocked()
                    scope.cancel()
            got += await ends.client.receive()
        got += await ends.client.receive_exactly(len(data) - len(got))
    assert got == data


async def send_rest(ends: Ends, outbox: deque[bytes | memoryview]) -> None:
    while outbox:
        note_sent(outbox, await ends.wire.send_some(outbox))


async def test_another_thread_sends_nothing_because_openssl_could_crash():
    async with opened() as ends:
        assert await trio.to_thread.run_sync(ends.wire.send_nowait, b"abc") == 0
        assert ends.wire.send_nowait(b"def") == 3
        assert await ends.client.receive() == b"def"


async def test_sending_to_a_peer_that_has_left_fails():
    async with opened() as ends:
        ends.theirs.close()
        with pytest.raises(OSError, match="pipe"):
            ends.wire.send_nowait(b"a")
        with pytest.raises(OSError, match="pipe"):
            await ends.wire.send_some(deque([b"a"]))


async def test_who_waits_for_the_system_is_told_that_the_wire_was_closed():
    async with opened() as ends, trio.open_nursery() as nursery:
        fill(ends.wire)

        async def write() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ends.wire.send_some(deque([b"ab"]))

        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        ends.wire.close(abort=True)


@linux_only
@pytest.mark.real_socket
async def test_a_peer_that_reads_is_seen_by_what_its_system_acknowledges():
    async with opened(narrow) as ends:
        wire = ends.wire
        size = fill(wire)

        def acknowledged() -> int:
            return wire.taken - wire.unacknowledged()

        before = await settled(acknowledged)
        assert before < size
        got = len(await ends.client.receive_exactly(2**15))
        with trio.fail_after(PATIENCE):
            while acknowledged() <= before:
                await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, ends, bytes(CHUNK))
            await ends.client.receive_exactly(size + CHUNK - got)
        with trio.fail_after(PATIENCE):
            while acknowledged() < size + CHUNK:
                await trio.lowlevel.checkpoint()
        assert acknowledged() == size + CHUNK


class Room:
    """
    A socket that takes as many bytes as a test allows, and has what the test gives it.

    Args:
        below: The system's socket, which nobody uses.
    """

    def __init__(self, below: socket.socket) -> None:
        self.fileno = below.fileno
        self.room = 0
        self.sent = bytearray()
        self.coming: list[bytes] = []

    def recv(self, size: int) -> bytes:
        if not self.coming:
            raise BlockingIOError
        data = self.coming.pop(0)
        if len(data) > size:
            self.coming.insert(0, data[size:])
        return data[:size]

    def send(self, data: bytes) -> int:
        if not (taken := min(self.room, len(data))):
            raise BlockingIOError
        self.room -= taken
        self.sent += data[:taken]
        return taken


class NoReactor:
    """Reads for nobody: the test calls the wire."""

    def add(self, fd: int, reader: object) -> None: ...


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut data into slices of these sizes, and the rest."""
    slices = []
    for size in sizes:
        slices.append(data[:size])
        data = data[size:]
    return [one for one in (*slices, data) if one]


SIZES = st.lists(st.integers(1, 3000), max_size=20)
CHUNKS = st.lists(st.integers(1, 2**15), max_size=4)
# The first ones are drawn most often, so that it doesn't take long.
ROOMS = st.sampled_from([2**17, 2**16, 2**15, 2**14, 1000, 20, 1])


@pytest.mark.unmeasured
@given(st.data(), CHUNKS, CHUNKS)
def test_every_byte_passes_both_ways_once_however_the_system_cuts_them(
    data: st.DataObject, incoming: list[int], outgoing: list[int]
) -> None:
    idle, other = socketpair()
    with idle, other:
        pass_both_ways(Room(idle), data, incoming, outgoing)


def pass_both_ways(
    sock: Room, data: st.DataObject, incoming: list[int], outgoing: list[int]
) -> None:
    sink, below = Quiet(), bytearray()
    wire = TLSWire(sock, NoReactor(), SERVER)  # type: ignore[arg-type]
    client = CLIENT.wrap_bio(
        into := ssl.MemoryBIO(), out := ssl.MemoryBIO(), server_hostname="localhost"
    )
    wire.start(None, sink)  # type: ignore[arg-type]

    def carry() -> None:
        """Let the wire read and the client get what each has sent."""
        sock.coming += cut(out.read(), data.draw(SIZES))
        while sock.coming:
            wire.on_readable()
        into.write(bytes(sock.sent))
        below.extend(sock.sent)
        sock.sent.clear()

    sock.room = MiB
    for _ in range(3):
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        carry()
    assert wire.secured
    before, sock.room = len(below), 0
    wanted = [bytes([number % 256]) * size for number, size in enumerate(incoming)]
    answers = b"".join(bytes([number % 256]) * size for number, size in enumerate(outgoing))
    rest, got = memoryview(answers), b""
    while rest or wanted or wire.unacknowledged():
        if wanted:
            client.write(sink.expects(wanted.pop()))
        sock.room = data.draw(ROOMS)
        rest = rest[wire.send_nowait(rest[: data.draw(ROOMS)]) :]
        carry()
        assert wire.taken == len(answers) - len(rest)
        assert wire.taken - wire.unacknowledged() <= len(below) - before
        assert wire.unacknowledged() <= CHUNK + OVERHEAD
        with suppress(ssl.SSLWantReadError):
            while True:
                got += client.read(MiB)
    assert got == answers
    assert sink.data == sink.wanted


class Quiet(Sink):
    """A sink outside of Trio."""

    def __init__(self) -> None:
        self.data, self.wanted = bytearray(), bytearray()

    def expects(self, data: bytes) -> bytes:
        self.wanted += data
        return data

    def data_received(self, data: bytes) -> None:
        self.data += data


# The end


async def test_a_close_says_goodbye_and_an_abort_does_not():
    async with opened() as ends:
        ends.wire.send_nowait(b"last")
        ends.wire.close(abort=False)
        ends.wire.close(abort=True)
        assert [await ends.client.receive(), await ends.client.receive()] == [b"last", b""]
        assert ends.sock.fileno() == -1
    async with opened() as ends:
        ends.wire.close(abort=True)
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            await ends.client.receive()


async def test_a_close_before_the_handshake_is_only_an_end():
    async with begun() as ends:
        ends.wire.close(abort=False)
        assert await ends.client.below.recv(10) == b""


async def test_a_close_while_bytes_wait_says_no_goodbye_in_their_place():
    async with opened() as ends:
        fill(ends.wire)
        # There is room again, but the rest of the last record is missing.
        ends.theirs.recv(16 * MiB)
        ends.wire.close(abort=False)
        assert ends.theirs.recv(16 * MiB) == b""


async def test_an_answer_that_waits_goes_out_before_the_goodbye():
    ours, theirs = sockets = socketpair()
    async with running(sockets) as (reactor, nursery):
        wire, sink = TLSWire(ours, reactor, TLS(Chatty())), Sink()  # type: ignore[arg-type]
        wire.start(nursery, sink)
        theirs.send(b"?")
        await wait_all_tasks_blocked()
        fill_below(ours)
        theirs.send(b"?")
        await wait_all_tasks_blocked()
        theirs.recv(16 * MiB)
        wire.close(abort=False)
        assert theirs.recv(16 * MiB) == bytes(1000) + GOODBYE


async def test_after_our_last_nothing_waits_for_the_system():
    async with opened() as ends:
        fill(ends.wire)
        ends.wire.send_eof()
        ends.theirs.recv(16 * MiB)
        assert ends.wire.unacknowledged() == 0


async def test_after_we_have_said_our_last_the_peer_is_still_heard():
    async with opened() as ends:
        assert ends.wire.send_nowait(b"last") == 4
        ends.wire.send_eof()
        ends.wire.send_eof()
        assert [await ends.client.receive(), await ends.client.receive()] == [b"last", b""]
        assert ends.theirs.recv(10) == b""
        await ends.client.send(b"still here")
        await ends.sink.wait_data(10)
        with pytest.raises(OSError, match="shutdown"):
            ends.wire.send_nowait(b"more")
        await ends.client.say_goodbye()
        await ends.sink.wait_call("eof")
        assert (ends.sink.data, ends.sink.calls) == (b"still here", ["eof"])


async def test_saying_our_last_inside_a_record_of_the_peer_loses_nothing():
    async with opened() as ends:
        ends.client.tls.write(b"whole")
        record = ends.client.outgoing.read()
        await ends.client.below.send(record[:10])
        await wait_all_tasks_blocked()
        ends.wire.send_eof()
        await ends.client.below.send(record[10:])
        await ends.sink.wait_data(5)
        assert ends.sink.data == b"whole"


async def test_saying_our_last_on_a_wire_that_broke_has_no_effect():
    async with opened() as ends:
        ends.theirs.close()
        await ends.sink.wait_call("eof")
        ends.wire.send_eof()
        ends.wire.close(abort=False)
        ends.wire.send_eof()


# A transport on it


@asynccontextmanager
async def connected(
    make_reactor: Callable[[], Reactor] = EpollReactor,
) -> AsyncIterator[tuple[Ends, StreamTransport]]:
    """Let a transport use a wire, and accept its WebSocket."""
    ours, theirs = sockets = socketpair()
    async with running(sockets, make_reactor) as (reactor, nursery):
        wire, client = TLSWire(ours, reactor, SERVER), Client(theirs, CLIENT)
        turn = Turn()
        transport = StreamTransport(
            wire,
            Upgrade("key", [], []),
            early=b"",
            settings=Settings(QUIET, Limits(message_size=16 * MiB), None),
            own_lines=bytes,
            pinger=Pinger(),
            turn=turn,
            cork=Cork(turn),
        )
        transport.start(nursery)
        try:
            await client.shake_hands()
            await wait_all_tasks_blocked()
            await transport.accept(None, [])
            assert (await client.receive()).endswith(b"\r\n\r\n")
            yield Ends(wire, Sink(), ours, theirs, client, nursery), transport
        finally:
            with trio.CancelScope(shield=True):
                await transport.aclose(linger=0)


@pytest.mark.parametrize("make_reactor", [EpollReactor, TaskReactor])
async def test_a_large_message_is_echoed_whole(make_reactor):
    message = os.urandom(10 * MiB)
    async with connected(make_reactor=make_reactor) as (ends, transport):
        got: list[bytes] = []

        async def read() -> None:
            got.append(await ends.client.receive_exactly(len(message) + 10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends.client.send, frame(BINARY, message))
            nursery.start_soon(read)
            received = await transport.receive()
            await transport.send(received)
        assert received == message
        assert [one.data for one in read_frames(got[0])] == [message]


async def test_messages_stay_whole_and_in_order_when_senders_are_cancelled():
    async with connected() as (ends, transport):
        handed_over: list[bytes] = []
        cancelled = 0

        async def send_one(message: bytes) -> None:
            await transport.send(message)
            handed_over.append(message)

        for number in range(100):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send_one, b"%d" % (number % 10) * 50_000)
                    await wait_all_tasks_blocked()
                    scope.cancel()
            cancelled += scope.cancelled_caught
        await transport.close(1000, "")
        got = bytearray()
        while not got.endswith(CLOSE_FRAME):
            got += await ends.client.receive()
        assert cancelled
        assert [one.data for one in read_frames(bytes(got))[:-1]] == handed_over


async def test_a_closing_handshake_ends_with_close_notify():
    async with connected() as (ends, transport):
        await transport.close(1000, "")
        assert await ends.client.receive() == CLOSE_FRAME
        await ends.client.send(close_frame(1000))
        assert await ends.client.receive() == b""
        await transport.aclose(linger=PATIENCE)
        assert transport.answered


async def test_a_peer_that_reads_nothing_makes_a_sender_wait_within_bounds():
    async with connected() as (ends, transport), trio.open_nursery() as nursery:
        sent = 0

        async def pour() -> None:
            nonlocal sent
            while True:
                await transport.send(bytes(CHUNK))
                sent += 1

        nursery.start_soon(pour)
        await wait_all_tasks_blocked()
        first = sent
        kept = ends.wire.unacknowledged() - unacknowledged(ends.sock.fileno())
        assert kept <= CHUNK + OVERHEAD
        assert transport.backlog()[2] <= Limits().outbox
        await ends.client.receive_exactly(4 * CHUNK)
        await wait_all_tasks_blocked()
        assert sent > first
        nursery.cancel_scope.cancel()
