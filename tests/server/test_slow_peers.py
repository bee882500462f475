"""Peers that read slowly get everything. Those that don't read are given up and logged."""

import logging
import math
import random
import re
from contextlib import suppress
from typing import Annotated, Any

import pytest
import trio
from attrs import evolve

from tests.raw import DEFLATE
from tests.server.harness.slow_peers import serving
from triows import (
    AsyncResource,
    Compression,
    HTTPException,
    Limits,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)

MiB = 2**20

#: Without pings, for tests that aren't about them.
QUIET = Timeouts(ping_interval=math.inf)


def serve(handler: Any, **settings: Any) -> Triows:
    route = WebSocketRoute("ws")
    route.endpoint(handler)
    return Triows(route, **{"timeouts": QUIET, **settings})


def sending(*sizes: int) -> Any:
    async def send(ws: WebSocket) -> None:
        await ws.accept()
        for size in sizes:
            await ws.send_bytes(bytes(size))

    return send


@pytest.fixture
def ends(caplog):
    """Read the codes and reasons of connections that are over, as the log has them."""
    caplog.set_level(logging.INFO, "triows")

    def read() -> list[tuple[int, str]]:
        return [
            (record.code, record.reason) for record in caplog.records if hasattr(record, "code")
        ]

    return read


# A peer that reads slowly gets everything


@pytest.mark.parametrize(
    ("size", "rate", "buffer"),
    [
        (6 * MiB, 500_000, 2**16),
        (6 * MiB, 500_000, 2**22),
        (2 * MiB, 10_000, 2**20),  # the socket is unwritable for half a minute at a time
        (20_000, 300, 2**12),
    ],
)
async def test_the_last_message_and_the_close_reach_a_peer_that_reads_slowly(
    autojump_clock, ends, size, rate, buffer
):
    async with serving(serve(sending(size))) as site:
        peer = site.connect(buffer)
        await peer.ask("/ws")
        await peer.read(rate)
        assert (peer.messages, peer.close_code) == ([size], 1000)
    assert ends() == [(1000, "")]
    assert trio.current_time() >= size / rate


@pytest.mark.parametrize("outbox", [1, 2**20, 2**24])
async def test_messages_of_several_senders_reach_a_peer_that_reads_slowly(
    autojump_clock, ends, outbox
):
    async def send(ws: WebSocket) -> None:
        await ws.accept()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ws.send_bytes, bytes(900_000))

    timeouts = evolve(QUIET, send=1)
    app = serve(send, timeouts=timeouts, limits=Limits(outbox=outbox))
    async with serving(app) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await peer.read(600_000)
        assert (peer.messages, peer.close_code) == ([900_000] * 5, 1000)
    assert ends() == [(1000, "")]


async def test_what_is_compressed_counts_as_it_is_sent(autojump_clock, ends):
    app = serve(sending(*[200_000] * 50), compression=Compression(), limits=Limits(outbox=1))
    async with serving(app) as site:
        peer = site.connect(300)
        await peer.ask("/ws", DEFLATE)
        await peer.read(300)
        assert (len(peer.messages), peer.close_code) == (50, 1000)
    assert ends() == [(1000, "")]


@pytest.mark.parametrize("seconds", [0.001, 0.5, math.inf])
async def test_any_limit_leaves_a_steady_peer_alone(autojump_clock, ends, seconds):
    app = serve(sending(*[100_000] * 10), timeouts=evolve(QUIET, send=seconds))
    async with serving(app) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await peer.read(10_000_000, step=0.001)
        assert (peer.messages, peer.close_code) == ([100_000] * 10, 1000)


async def test_a_peer_that_reads_in_bursts_gets_everything(autojump_clock, ends):
    async with serving(serve(sending(10 * 2**16))) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await peer.read(2**16 / 25, step=25)
        assert (peer.messages, peer.close_code) == ([10 * 2**16], 1000)
    assert ends() == [(1000, "")]


async def test_the_time_for_the_closing_handshake_begins_when_the_close_is_out(
    autojump_clock, ends
):
    async with serving(serve(sending(100_000))) as site:
        peer = site.connect(1000)
        peer.answers_closes = False
        await peer.ask("/ws")
        await peer.read(10_000)
        assert (peer.close_code, peer.over) == (1000, "end")  # the server has closed its side
        await trio.sleep(3)
        assert ends() == []
        await trio.sleep(3)
    assert ends() == [(1000, "")]


# A peer that doesn't read is given up, and the log says so


@pytest.mark.parametrize("reads", [0, 50_000])
async def test_a_peer_that_stops_reading_is_given_up_and_the_log_says_that_it_was_cut(
    autojump_clock, ends, reads
):
    async with serving(serve(sending(MiB))) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await peer.read(10_000, seconds=reads / 10_000)
        # Timeouts.send, and then Timeouts.close, in which the peer can take the close frame.
        await trio.sleep(34)
        assert ends() == []
        await trio.sleep(3)
    assert ends() == [(1006, "undelivered: 1008 send timed out")]


async def test_a_peer_that_trickles_is_given_up_soon(autojump_clock, ends):
    async with serving(serve(sending(MiB))) as site:
        peer = site.connect(1000)
        await peer.ask("/ws")
        await peer.read(100)
        assert trio.current_time() < 20
    assert ends() == [(1006, "undelivered: 1008 read too slowly")]


async def test_a_peer_that_was_given_up_and_reads_again_is_told_1008(autojump_clock, ends):
    async with serving(serve(sending(100_000, 100_000))) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await trio.sleep(31)
        await peer.read(1_000_000)
        assert (peer.messages, peer.close_code) == ([100_000], 1008)
    assert ends() == [(1008, "send timed out")]


async def test_a_peer_that_resets_before_the_close_got_through_is_1006(autojump_clock, ends):
    async with serving(serve(sending(MiB))) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await trio.sleep(1)
        peer.end.reset()
        await trio.sleep(1)
    assert ends() == [(1006, "undelivered: 1000")]


@pytest.mark.unmeasured
async def test_without_a_limit_a_peer_may_read_nothing_for_as_long_as_it_likes(
    autojump_clock, ends
):
    async with serving(serve(sending(MiB), timeouts=evolve(QUIET, send=math.inf))) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await trio.sleep(10_000)
        assert ends() == []
        await peer.read(MiB)
        assert (peer.messages, peer.close_code) == ([MiB], 1000)


# Keeping alive


async def test_pongs_that_wait_behind_data_are_waited_for(autojump_clock, ends):
    async def send(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_bytes(bytes(12 * MiB))
        with suppress(WebSocketDisconnect):
            await ws.receive()

    app = serve(send, timeouts=Timeouts(ping_interval=2, ping_timeout=2))
    async with serving(app) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await peer.read(1_000_000, seconds=20)
        assert (peer.messages, peer.close_code) == ([12 * MiB], None)
        assert peer.pings >= 3


async def send_from_many_tasks(ws: WebSocket) -> None:
    async def send() -> None:
        for _ in range(16):
            await ws.send_bytes(bytes(2**16))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(send)


async def send_one_large(ws: WebSocket) -> None:
    await ws.send_bytes(bytes(4 * MiB))


async def send_what_does_not_compress(ws: WebSocket) -> None:
    noise = random.Random(0)
    for _ in range(16):
        await ws.send_bytes(noise.randbytes(2**18))


async def send_many_small(ws: WebSocket) -> None:
    for _ in range(4000):
        await ws.send_bytes(bytes(1000))


async def send_in_bursts(ws: WebSocket) -> None:
    for _ in range(4):
        for _ in range(16):
            await ws.send_bytes(bytes(2**16))
        await trio.sleep(2.5)


several_kinds = pytest.mark.parametrize(
    "send",
    [
        send_from_many_tasks,
        send_one_large,
        send_what_does_not_compress,
        send_many_small,
        send_in_bursts,
    ],
)


def serve_and_wait(send: Any, told: list[float]) -> Triows:
    """Serve a handler that sends, and stays until it notices the end. Note when that is."""

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await send(ws)
            await ws.receive()
        finally:
            told.append(trio.current_time())

    timeouts = Timeouts(ping_interval=2, ping_timeout=2, send=math.inf)
    return serve(handler, timeouts=timeouts, compression=Compression())


def lines_for(send: Any) -> list[bytes]:
    """Offer compression for what doesn't compress."""
    return [DEFLATE] if send is send_what_does_not_compress else []


@pytest.mark.parametrize(("rate", "buffer"), [(300_000, 2**14), (300_000, 2**20), (500_000, 2**18)])
@several_kinds
async def test_a_steady_reader_that_answers_pings_is_kept(autojump_clock, ends, send, rate, buffer):
    async with serving(serve_and_wait(send, [])) as site:
        peer = site.connect(buffer)
        await peer.ask("/ws", *lines_for(send))
        await peer.read(rate, seconds=25)
        assert (peer.close_code, peer.over) == (None, None)
        assert len(peer.received) > 3.8 * MiB
        assert peer.pings >= 3


@several_kinds
async def test_a_steady_reader_that_does_not_answer_pings_is_1011(autojump_clock, ends, send):
    async with serving(serve_and_wait(send, [])) as site:
        peer = site.connect()
        peer.answers_pings = False
        await peer.ask("/ws", *lines_for(send))
        await peer.read(300_000, seconds=25)
        assert peer.close_code == 1011
    assert ends() == [(1011, "ping timeout")]


@several_kinds
async def test_a_reader_that_stops_is_found_after_interval_and_timeout(autojump_clock, ends, send):
    told: list[float] = []
    async with serving(serve_and_wait(send, told)) as site:
        peer = site.connect()
        await peer.ask("/ws", *lines_for(send))
        await peer.read(300_000, seconds=5)
        assert (peer.over, told) == (None, [])
        stopped = trio.current_time()
        await trio.sleep(30)
        assert told[0] - stopped < 2 + 2 + 0.2
    assert ends() == [(1006, "undelivered: 1011 ping timeout")]


async def test_a_peer_that_reads_and_does_not_answer_pings_is_1011(autojump_clock, ends):
    async def send(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_bytes(bytes(10_000))

    app = serve(send, timeouts=Timeouts(ping_interval=2, ping_timeout=2), limits=Limits(outbox=1))
    async with serving(app) as site:
        peer = site.connect()
        peer.answers_pings = False
        await peer.ask("/ws")
        await peer.read(100_000)
        assert peer.close_code == 1011
        assert trio.current_time() < 10
    assert ends() == [(1011, "ping timeout")]


async def test_a_ping_behind_data_that_nobody_takes_is_not_waited_for(autojump_clock, ends):
    async def send(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_bytes(bytes(MiB))
        with suppress(WebSocketDisconnect):
            await ws.receive()

    app = serve(send, timeouts=Timeouts(ping_interval=2, ping_timeout=2))
    async with serving(app) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await trio.sleep(10)
        assert ends() == [(1006, "undelivered: 1011 ping timeout")]


# A peer that reads nothing keeps no resource open


class Room:
    """Notes who is in the room, and when they left."""

    def __init__(self) -> None:
        self.left: list[float] = []


def room_app(end: Any, *, accepts: bool = True, **settings: Any) -> tuple[Triows, Room]:
    room = Room()

    async def join() -> AsyncResource[Room]:
        try:
            yield room
        finally:
            await trio.lowlevel.checkpoint()
            room.left.append(trio.current_time())

    async def handler(ws: WebSocket, member: Annotated[Room, use(join)]) -> None:
        if accepts:
            await ws.accept()
            await ws.send_bytes(bytes(MiB))
        await end(ws)

    return serve(handler, **settings), room


async def returns(ws: WebSocket) -> None:
    """Return at once."""


async def closes(ws: WebSocket) -> None:
    await ws.close(4008, "too slow")


async def raises_close(ws: WebSocket) -> None:
    raise WebSocketClose(4008, "too slow")


async def fails(ws: WebSocket) -> None:
    raise ZeroDivisionError


async def refuses(ws: WebSocket) -> None:
    raise HTTPException(403, "x" * MiB)


async def rejects(ws: WebSocket) -> None:
    await ws.reject(403, "x" * MiB)


@pytest.mark.parametrize("end", [returns, closes, raises_close, fails])
async def test_resources_exit_at_once_though_the_peer_reads_nothing(autojump_clock, end):
    app, room = room_app(end)
    async with serving(app) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await trio.sleep(100)
    assert room.left == [0]


@pytest.mark.parametrize("end", [refuses, rejects])
async def test_resources_exit_at_once_though_nobody_reads_the_refusal(autojump_clock, end):
    app, room = room_app(end, accepts=False)
    async with serving(app) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await trio.sleep(100)
    assert room.left == [0]


async def test_a_refusal_reaches_a_peer_that_reads_slowly(autojump_clock):
    app, _ = room_app(refuses, accepts=False)
    async with serving(app) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await peer.read(50_000)
        assert (len(peer.received) > MiB, peer.over) == (True, "end")


async def test_a_close_in_the_handler_does_not_wait_for_the_peer(autojump_clock):
    times = []

    async def close(ws: WebSocket) -> None:
        await ws.close()
        times.append(trio.current_time())
        assert ws.close_code == 1000

    app, _ = room_app(close)
    async with serving(app) as site:
        peer = site.connect()
        await peer.ask("/ws")
        await trio.sleep(10)
    assert times == [0]


# The server's shutdown has priority


async def test_a_shutdown_cuts_a_delivery_after_the_time_for_closing(autojump_clock, ends):
    async with serving(serve(sending(MiB))) as site, trio.open_nursery() as nursery:
        peer = site.connect()
        await peer.ask("/ws")
        nursery.start_soon(peer.read, 10_000)
        await trio.sleep(20)
        assert ends() == []
        site.stop.set()
        await site.over.wait()
        assert 25 <= trio.current_time() < 25.5
        assert ends() == [(1006, "undelivered: 1000")]


async def test_a_shutdown_cuts_a_close_that_has_not_gone_out_by_then(autojump_clock, ends):
    async def send(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_bytes(bytes(MiB))
        with suppress(WebSocketDisconnect):
            await ws.receive()

    async with serving(serve(send)) as site, trio.open_nursery() as nursery:
        peer = site.connect()
        await peer.ask("/ws")
        nursery.start_soon(peer.read, 10_000)
        await trio.sleep(2)
        site.stop.set()
        await site.over.wait()
        assert 7 <= trio.current_time() < 7.5
        assert ends() == [(1006, "undelivered: 1001")]


@pytest.mark.parametrize("after", [0.5, 20])
async def test_a_cancellation_cuts_what_has_not_gone_out_in_the_time_for_closing(
    autojump_clock, ends, after
):
    async def send(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_bytes(bytes(MiB))
        await trio.sleep(1)

    async with serving(serve(send)) as site, trio.open_nursery() as nursery:
        peer = site.connect()
        await peer.ask("/ws")
        nursery.start_soon(peer.read, 10_000)
        await trio.sleep(after)
        site.scope.cancel()
        await site.over.wait()
        assert after + 5 <= trio.current_time() < after + 5.5
        code = 1001 if after == 0.5 else 1000
        assert ends() == [(1006, f"undelivered: {code}")]


# Plain HTTP


def web(size: int, **settings: Any) -> Triows:
    async def respond(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(size)})

    app = Triows(**{"timeouts": QUIET, **settings})
    app.mount("/web", respond)
    return app


def cuts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return re.findall("response cut: [^)\n]*", "\n".join(caplog.messages))


@pytest.mark.parametrize(
    ("size", "rate", "buffer"),
    [(12_000_000, 3_000_000, 2**16), (MiB, 10_000, 2**19), (20_000, 300, 2**14)],
)
async def test_a_response_reaches_a_client_that_reads_slowly(
    autojump_clock, caplog, size, rate, buffer
):
    caplog.set_level(logging.INFO, "triows")
    # The larger buffer takes longer until it has room again.
    seconds = max(1, buffer / rate)
    async with serving(web(size, timeouts=evolve(QUIET, send=seconds))) as site:
        peer = site.connect(buffer)
        await peer.get("/web")
        await peer.read(rate)
        assert (len(peer.received), peer.over) == (size, "end")
    assert cuts(caplog) == []


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        (0, "the client took nothing for 30 s"),
        (100, "the client took less than 240 bytes a second"),
    ],
)
@pytest.mark.parametrize("size", [MiB, 60_000])  # it waits here, or the system has taken it
async def test_a_response_that_a_client_does_not_take_is_cut_and_logged_once(
    autojump_clock, caplog, rate, why, size
):
    caplog.set_level(logging.INFO, "triows")
    async with serving(web(size)) as site:
        peer = site.connect()
        await peer.get("/web")
        if rate:
            # What the client's system holds is already acknowledged.
            await peer.read(2**20, seconds=0.5, step=0.1)
            await peer.read(rate)
        else:
            await trio.sleep(100)
    expected = [f"response cut: {why}"]
    if rate and size < MiB:
        expected = []  # the client has taken everything
    assert cuts(caplog) == expected


async def test_a_shutdown_does_not_wait_for_a_client_that_reads_slowly(autojump_clock, caplog):
    caplog.set_level(logging.INFO, "triows")
    app = web(MiB, timeouts=evolve(QUIET, shutdown_grace=3))
    async with serving(app) as site, trio.open_nursery() as nursery:
        peer = site.connect()
        await peer.get("/web")
        nursery.start_soon(peer.read, 10_000)
        await trio.sleep(2)
        site.stop.set()
        await site.over.wait()
        assert 5 <= trio.current_time() <= 6
        assert cuts(caplog) == []
        assert "answered 200 (the response is incomplete; the application did not end in" in (
            caplog.text
        )
