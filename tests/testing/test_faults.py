"""
How connections end, and what each side sees of it.

Each test states what the handler, a resource and the client see. It runs twice: in memory on a
virtual clock, and on sockets of this machine in real time. The results have to be the same.
"""

import pytest
import trio
from attrs import evolve

from tests.testing.watching import (
    HEARTBEAT,
    TIMEOUTS,
    Seen,
    closed,
    in_memory,
    listen,
    listen_late,
    push,
    pushed,
    sit,
    told,
    watched,
)
from triows import WebSocket, WebSocketDisconnect
from triows.testing import ReceiveTimeout

# A peer that vanishes


async def test_a_peer_that_vanishes_is_missed_by_the_heartbeat(opening, clock):
    app, seen = watched(listen, timeouts=HEARTBEAT)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send("before")
        await ws.ping()
        ws.vanish()
        await ws.send("after")
        await ws.wait_over()
        # The application's close frame, and everything before it, never arrived.
        assert closed(ws) == (None, None)
        with pytest.raises(ReceiveTimeout):
            await ws.receive(timeout=0.01)
    assert seen.messages == ["before"]
    assert seen.end == told(1011, "ping timeout")


async def test_a_peer_that_vanishes_ends_a_handler_that_does_not_listen(opening, clock):
    app, seen = watched(sit, timeouts=evolve(HEARTBEAT, ping_interval=0.1, close=0.05))
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.vanish()
        await ws.wait_over()
        assert closed(ws) == (None, None)
    assert seen.end == ("Cancelled", "peer gone", 1)


async def test_a_peer_that_vanishes_with_an_inbox_full_of_its_messages_is_missed(opening, clock):
    app, seen = watched(listen_late, timeouts=HEARTBEAT, inbox=2)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        for number in range(5):
            await ws.send(str(number))
        ws.vanish()
        await trio.sleep(0.1)
        seen.go.set()
        await ws.wait_over()
        assert closed(ws) == (None, None)
    assert seen.messages == ["0", "1", "2", "3", "4"]
    assert seen.end == told(1011, "ping timeout")


async def test_behind_an_inbox_that_stays_full_a_peer_that_vanishes_is_missed_when_it_is_cut(
    opening, clock
):
    async def tick(ws: WebSocket, seen: Seen) -> None:
        for _ in range(3):
            await ws.send("its system takes that")
        await sit(ws, seen)

    timeouts = evolve(HEARTBEAT, ping_interval=0.05, ping_timeout=0.05, disconnect_grace=0.05)
    app, seen = watched(tick, timeouts=timeouts, inbox=2)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        for number in range(5):
            await ws.send(str(number))
        ws.vanish()
        # A pong would wait behind unread messages, so the server doesn't expect one.
        with pytest.raises(ReceiveTimeout, match="has not ended"):
            await ws.wait_over(timeout=0.3)
        assert seen.handler is None
        assert closed(ws) == (None, None)
    assert seen.end == ("Cancelled", "peer gone", 1)


async def test_a_peer_that_vanishes_is_missed_by_a_handler_that_sends(opening, clock):
    async def tick(ws: WebSocket, seen: Seen) -> None:
        while True:
            await ws.send("tick")
            await trio.sleep(0.05)

    app, seen = watched(tick, timeouts=HEARTBEAT)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        assert await ws.receive() == "tick"
        ws.vanish()
        await ws.wait_over()
        assert closed(ws) == (None, None)
    assert seen.end == told(1011, "ping timeout")


async def test_a_peer_that_vanishes_is_missed_by_a_send_that_finds_no_room(opening, clock):
    app, seen = watched(push, outbox=2**17)
    async with opening(app) as client, client.websocket_connect("/ws", buffer=2**14) as ws:
        ws.vanish()
        await ws.wait_over()
        assert closed(ws) == (None, None)
    assert seen.end == told(1008, "send timed out")


@in_memory
async def test_a_handler_that_returns_to_a_peer_that_has_vanished_has_returned(opening, clock):
    async def one(ws: WebSocket, seen: Seen) -> None:
        seen.messages.append(await ws.receive())

    app, seen = watched(one)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send("last words")
        ws.vanish()
        await ws.wait_over()
        assert closed(ws) == (None, None)
    assert seen.messages == ["last words"]
    assert seen.end == ("returned", None, 1)


# A connection that is cut


async def test_a_reset_is_seen_at_once_behind_what_was_sent(opening, clock):
    app, seen = watched(listen)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send("before")
        await ws.ping()
        ws.reset()
        assert closed(ws) == (1006, "")
        with pytest.raises(WebSocketDisconnect, match="1006"):
            await ws.send("after")
        await ws.wait_over()
    assert seen.messages == ["before"]
    assert seen.end == told(1006)


@in_memory
async def test_a_reset_ends_a_handler_that_does_not_listen_after_its_grace(opening, clock):
    app, seen = watched(sit)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.reset()
        await ws.wait_over()
        assert closed(ws) == (1006, "")
    assert seen.end == ("Cancelled", "peer gone", 1)


async def test_a_reset_wakes_a_handler_that_waits_in_send(opening, clock):
    app, seen = watched(push, timeouts=evolve(TIMEOUTS, send=5), outbox=2**17)
    async with opening(app) as client, client.websocket_connect("/ws", buffer=2**14) as ws:
        ws.stop_reading()
        await pushed(seen)
        ws.reset()
        await ws.wait_over(timeout=1)
        assert closed(ws) == (1006, "")
    assert seen.end == told(1006)


async def test_a_reset_loses_none_of_the_messages_that_wait_to_be_received(opening, clock):
    app, seen = watched(listen_late, inbox=2)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        for number in range(6):
            await ws.send(str(number))
        ws.reset()
        await trio.sleep(0.05)
        seen.go.set()
        await ws.wait_over()
        assert closed(ws) == (1006, "")
    assert seen.messages == ["0", "1", "2", "3", "4", "5"]
    assert seen.end == told(1006)


async def test_a_peer_that_leaves_inside_a_message_leaves_none(opening, clock):
    app, seen = watched(listen)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send_frame(1, b"half a mess", fin=False)
        await ws.ping()
        ws.reset()
        await ws.wait_over()
        assert closed(ws) == (1006, "")
    assert seen.messages == []
    assert seen.end == told(1006)


# A close


async def test_a_close_is_answered_with_its_own_code(opening, clock):
    app, seen = watched(listen)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.send("before")
        await ws.close(4001, "enough")
        await ws.wait_over()
        assert closed(ws) == (4001, "enough")
    assert seen.messages == ["before"]
    assert seen.end == told(4001, "enough")


async def test_a_close_ends_a_handler_that_does_not_listen_after_its_grace(opening, clock):
    app, seen = watched(sit)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        await ws.close(4001, "enough")
        await ws.wait_over()
        assert closed(ws) == (4001, "enough")
    assert seen.end == ("Cancelled", "peer gone", 1)


async def test_a_close_stands_behind_the_messages_that_wait_to_be_received(opening, clock):
    app, seen = watched(listen_late, inbox=2)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        for number in range(6):
            await ws.send(str(number))
        await ws.close(4004, "done")
        await trio.sleep(0.05)
        seen.go.set()
        await ws.wait_over()
        assert closed(ws) == (4004, "done")
    assert seen.messages == ["0", "1", "2", "3", "4", "5"]
    assert seen.end == told(4004, "done")


async def test_of_two_closes_that_cross_each_side_keeps_its_own(opening, clock):
    async def answer(ws: WebSocket, seen: Seen) -> None:
        await ws.receive()
        await ws.close(4001, "the application's")
        has_closed.set()
        with pytest.raises(WebSocketDisconnect, match="4001"):
            await ws.receive()

    has_closed = trio.Event()
    app, seen = watched(answer)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        ws.delay(0.3)
        await ws.send("close")
        await has_closed.wait()  # its close frame is on its way
        await ws.close(4002, "the client's")
        await ws.wait_over()
        assert closed(ws) == (4002, "the client's")
    assert seen.end == ("returned", None, 1)


async def test_a_handler_that_returns_closes_with_1000(opening, clock):
    async def greet(ws: WebSocket, seen: Seen) -> None:
        await ws.send("hello")

    app, seen = watched(greet)
    async with opening(app) as client, client.websocket_connect("/ws") as ws:
        assert await ws.receive() == "hello"
        await ws.expect_close(1000, "")
        await ws.wait_over()
        with pytest.raises(WebSocketDisconnect, match="1000"):
            await ws.send("after")
    assert seen.end == ("returned", None, 1)


async def test_an_error_of_the_handler_is_1011_for_the_peer_and_raised_in_the_test(opening, clock):
    class Boom(Exception):
        pass

    async def fail(ws: WebSocket, seen: Seen) -> None:
        raise Boom("a secret")

    app, seen = watched(fail)

    async def connect() -> None:
        async with opening(app) as client, client.websocket_connect("/ws") as ws:
            await ws.expect_close(1011, "")
            assert "secret" not in ws.events

    with pytest.raises(Boom):
        await connect()
    assert seen.end == ("Boom", "Boom", 1)
