"""Peers that are slow, far away or full, and what each side sees. See ``test_faults``."""

from contextlib import suppress

import pytest
import trio
from attrs import evolve

from tests.testing.watching import (
    HEARTBEAT,
    TIMEOUTS,
    Seen,
    closed,
    echo,
    exited,
    in_memory,
    listen,
    listen_late,
    push,
    pushed,
    sit,
    told,
    watched,
)
from triows import WebSocket, WebSocketClose, WebSocketDisconnect

# A peer that does not read


async def test_a_peer_that_does_not_read_is_given_up_when_send_times_out(opening, clock):
    app, seen = watched(push, outbox=2**18)
    async with opening(app) as client, client.websocket_connect("/ws", buffer=2**16) as ws:
        ws.stop_reading()
        await exited(seen)
        assert closed(ws) == (None, None)
        # A client that reads again gets what was on its way, and the close.
        ws.resume_reading()
        for _ in seen.messages:
            assert await ws.receive() == bytes(2**18)
        with suppress(AssertionError):  # the system may have taken a part of one more message
            await ws.expect_close(1008)
        await ws.expect_close(1008, "send timed out")
    assert seen.end == told(1008, "send timed out")


async def test_a_peer_that_reads_no_pings_is_given_up_and_told_when_it_reads_again(opening, clock):
    app, seen = watched(listen, timeouts=evolve(HEARTBEAT, close=1))
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.stop_reading()
        await exited(seen)
        assert closed(ws) == (None, None)
        ws.resume_reading()
        await ws.expect_close(1011, "ping timeout")
        await ws.wait_over()
    assert seen.end == told(1011, "ping timeout")


async def test_a_peer_that_does_not_read_but_sends_is_given_up_for_its_pongs(opening, clock):
    app, seen = watched(listen, timeouts=evolve(HEARTBEAT, ping_interval=0.1, ping_timeout=0.15))
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.stop_reading()
        with suppress(WebSocketDisconnect):  # the system may have learned that nobody reads it
            while not seen.exits:
                await ws.send("here")
                await trio.sleep(0.04)
        # The client has not read the close itself.
        assert closed(ws) == (None, None)
        await ws.wait_over()
    assert seen.messages[:3] == ["here"] * 3
    assert seen.end == told(1011, "ping timeout")


async def test_a_peer_that_reads_again_in_time_misses_nothing(opening, clock):
    async def count(ws: WebSocket, seen: Seen) -> None:
        for number in range(40):
            await ws.send(f"{number} ".ljust(2**16))
            seen.messages.append(str(number))

    app, seen = watched(count, outbox=2**16)
    async with opening(app) as client, client.websocket_connect("/ws", buffer=2**14) as ws:
        ws.stop_reading()
        await trio.sleep(0.1)
        ws.resume_reading()
        received = [(await ws.receive_text()).strip() for _ in range(40)]
        await ws.expect_close(1000, "")
    assert received == seen.messages == [str(number) for number in range(40)]
    assert seen.end == ("returned", None, 1)


async def test_a_small_buffer_holds_less_than_a_large_one(opening, clock):
    async def held(buffer: int) -> int:
        app, seen = watched(push, timeouts=evolve(TIMEOUTS, send=5), outbox=1)
        async with (
            opening(app) as client,
            client.websocket_connect("/ws", buffer=buffer) as ws,
        ):
            ws.stop_reading()
            await pushed(seen)
            ws.reset()
            await ws.wait_over()
            assert closed(ws) == (1006, "")
        assert seen.end == told(1006)
        return len(seen.messages)

    # The server's system has a buffer of its own, whose size doesn't depend on the client.
    small, large = await held(2**14), await held(2**23)
    assert large - small >= 8


# A peer far away


async def test_a_peer_far_away_gets_everything_later_and_in_order(opening, clock):
    async def measure(ws: WebSocket, seen: Seen) -> None:
        assert await ws.receive() == "ready"
        seen.latency = await ws.ping()
        await echo(ws, seen)

    app, seen = watched(measure)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.delay(0.05)
        await ws.send("ready")
        started = trio.current_time()
        for number in range(5):
            await ws.send(str(number))
        assert [await ws.receive() for _ in range(5)] == ["0", "1", "2", "3", "4"]
        took = trio.current_time() - started
        assert took >= 0.09
        if clock is not None:
            # The handler's ping goes there and back first, and then all messages together.
            assert took == pytest.approx(0.2)
        assert await ws.ping() >= 0.09
        await ws.close(4001, "enough")
        await ws.wait_over()
        assert closed(ws) == (4001, "enough")
    assert seen.messages == ["0", "1", "2", "3", "4"]
    assert seen.latency is not None
    assert seen.latency >= 0.09
    assert seen.end == told(4001, "enough")


async def test_a_peer_too_far_away_for_the_heartbeat_is_given_up(opening, clock):
    app, seen = watched(listen, timeouts=evolve(HEARTBEAT, ping_interval=0.1, ping_timeout=0.15))
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.delay(0.12)
        await ws.expect_close(1011, "ping timeout")
        assert closed(ws) == (1011, "ping timeout")
    assert seen.end == told(1011, "ping timeout")


# A peer that sends more than is taken


async def test_a_flood_is_held_back_and_what_was_read_is_delivered(opening, clock, soon):
    app, seen = watched(listen_late, inbox=8)
    async with (
        opening(app) as client,
        client.websocket_connect("/ws", buffer=2**16, timeout=soon) as ws,
    ):
        taken = await ws.flood(bytes(2**17), 1000)
        assert 8 <= taken < 1000
        assert closed(ws) == (1006, "")  # it was cut in the middle of a message
        seen.go.set()
        await ws.wait_over()
    assert seen.messages == [bytes(2**17)] * len(seen.messages)
    assert 8 <= len(seen.messages) <= taken
    assert seen.end == told(1006)


async def test_a_flood_ends_a_handler_that_does_not_listen_and_its_peer_sees_a_cut(
    opening, clock, soon
):
    app, seen = watched(sit, inbox=8)
    async with (
        opening(app) as client,
        client.websocket_connect("/ws", buffer=2**16, timeout=soon) as ws,
    ):
        assert 8 <= await ws.flood(bytes(2**17), 1000) < 1000
        assert closed(ws) == (1006, "")
        await ws.wait_over()
    assert seen.end == ("Cancelled", "peer gone", 1)


async def test_what_is_on_its_way_to_a_peer_that_stops_reading_comes_when_it_reads_again(
    opening, clock
):
    async def send_two(ws: WebSocket, seen: Seen) -> None:
        await ws.send("one")
        await seen.go.wait()
        await ws.send("two")
        await sit(ws, seen)

    app, seen = watched(send_two)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        assert await ws.receive() == "one"
        ws.delay(0.05)
        seen.go.set()
        await trio.sleep(0.02)
        ws.stop_reading()
        await ws.expect_nothing(0.1)
        assert closed(ws) == (None, None)
        ws.resume_reading()
        assert await ws.receive() == "two"
        ws.cancel_handler()
        await ws.expect_close(1001, "")
    assert seen.end == ("Cancelled", "cancelled", 1)


@in_memory
async def test_what_is_on_its_way_when_a_peer_vanishes_never_arrives(opening, clock):
    async def send_one(ws: WebSocket, seen: Seen) -> None:
        await seen.go.wait()
        await ws.send("to the client")
        await listen(ws, seen)

    app, seen = watched(send_one, timeouts=HEARTBEAT)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.delay(0.05)
        seen.go.set()
        await ws.send("to the application")
        await trio.sleep(0.01)
        ws.vanish()
        await ws.expect_nothing(0.1)
        await ws.wait_over()
        assert closed(ws) == (None, None)
    assert seen.messages == []
    assert seen.end == told(1011, "ping timeout")


# Pings of the client


@in_memory
@pytest.mark.parametrize("seconds", [0, 0.05])
async def test_a_ping_that_the_end_overtakes_is_told_of_it(opening, clock, seconds):
    async def close(ws: WebSocket, seen: Seen) -> None:
        await seen.go.wait()

    async def cut() -> None:
        await trio.sleep(0.02)
        ws.reset()

    app, seen = watched(close)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        if seconds:
            ws.delay(seconds)
        else:
            ws.stop_reading()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut)
            with pytest.raises(WebSocketDisconnect, match="1006"):
                await ws.ping()
        assert closed(ws) == (1006, "")
        await ws.wait_over()
    assert seen.end == ("Cancelled", "peer gone", 1)


@in_memory
async def test_a_ping_that_is_never_read_is_told_of_the_close(opening, clock):
    async def close(ws: WebSocket, seen: Seen) -> None:
        await trio.sleep(0.02)
        raise WebSocketClose(4001, "enough")

    app, seen = watched(close, timeouts=evolve(TIMEOUTS, close=1))
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.delay(0.05)
        with pytest.raises(WebSocketDisconnect, match="4001 enough"):
            await ws.ping()
        await ws.wait_over()
        assert closed(ws) == (4001, "enough")
    assert seen.end == ("WebSocketClose", "WebSocketClose", 1)
