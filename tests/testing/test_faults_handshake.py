"""
What a peer can do before the application has accepted it. See ``test_faults``.

A client has no session before that, so these tests use the parts below it.
"""

from contextlib import asynccontextmanager

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
    sit,
    told,
    watched,
)
from triows import HTTPException, WebSocket
from triows.testing import AppClient, WebSocketDenialResponse, frame
from triows.testing._calls import Call
from triows.testing._client import _request
from triows.testing._peer import Peer


@asynccontextmanager
async def reached(client: AppClient):
    """Make a peer that has sent nothing yet, its request, and an event for the end."""
    call = Call("/ws", secure=False)
    with client._stage.calls.calling(call):
        end = await client._stage.backend.connect(call, 2**16)
        async with trio.open_nursery() as nursery:
            peer = Peer(end, nursery, subprotocols=(), messages=16, size=2**16)
            nursery.start_soon(peer.run)
            yield peer, _request("/ws", client.base_url, peer.handshake, []), call.over
            peer.abandon()


async def over(event: trio.Event) -> None:
    with trio.fail_after(3):
        await event.wait()


def seen_by(peer: Peer) -> tuple[int | None, object]:
    """Return the status that the peer got, and how the connection ended for it."""
    status = None if peer.response is None else peer.response.status_code
    ended = peer.inbox.ended
    return status, None if ended is None else (ended.code, ended.reason)


async def accept_late(ws: WebSocket, seen: Seen) -> None:
    await trio.sleep(0.05)
    await ws.accept()
    await listen(ws, seen)


# While the handler has not accepted


async def test_a_reset_before_the_handler_accepts_is_what_it_receives(opening, clock):
    app, seen = watched(accept_late, accepts=False)
    async with opening(app) as client, reached(client) as (peer, request, end):
        await peer.write(request)
        await seen.begun.wait()
        peer.reset()
        await over(end)
        assert seen_by(peer) == (None, (1006, ""))
    assert seen.end == told(1006)


async def test_a_reset_cancels_a_handler_that_never_accepts(opening, clock):
    app, seen = watched(sit, accepts=False)
    async with opening(app) as client, reached(client) as (peer, request, end):
        await peer.write(request)
        await seen.begun.wait()
        peer.reset()
        await over(end)
        assert seen_by(peer) == (None, (1006, ""))
    assert seen.end == ("Cancelled", "peer gone", 1)


async def test_a_test_that_gives_up_its_handshake_has_reset_the_connection(opening, clock):
    app, seen = watched(sit, accepts=False)
    async with opening(app) as client:
        with trio.move_on_after(0.05) as scope:
            async with client.websocket_connect("/ws"):
                pytest.fail("nobody accepts")
        assert scope.cancelled_caught
        assert seen.end == ("Cancelled", "peer gone", 1)


async def test_a_peer_that_vanishes_before_the_handler_accepts_is_missed_later(opening, clock):
    app, seen = watched(accept_late, accepts=False, timeouts=evolve(HEARTBEAT, ping_interval=0.1))
    async with opening(app) as client, reached(client) as (peer, request, end):
        await peer.write(request)
        await seen.begun.wait()
        peer.vanish()
        await over(end)
        assert seen_by(peer) == (None, None)
    assert seen.end == told(1011, "ping timeout")


@in_memory
async def test_a_handler_that_never_accepts_a_peer_that_has_vanished_is_timed_out(opening, clock):
    app, seen = watched(sit, accepts=False, timeouts=evolve(TIMEOUTS, accept=0.15))
    async with opening(app) as client, reached(client) as (peer, request, end):
        await peer.write(request)
        await seen.begun.wait()
        peer.vanish()
        await over(end)
        assert seen_by(peer) == (None, None)
    assert seen.end == ("Cancelled", "timeout", 1)


async def test_a_handler_that_never_accepts_is_a_500_for_its_peer(opening, clock):
    app, seen = watched(sit, accepts=False, timeouts=evolve(TIMEOUTS, accept=0.15))
    async with opening(app) as client, reached(client) as (peer, request, end):
        await peer.write(request)
        await over(end)
        assert seen_by(peer) == (500, (1006, ""))
    assert seen.end == ("Cancelled", "timeout", 1)


async def test_a_peer_far_away_is_accepted_later(opening, clock):
    app, seen = watched(accept_late, accepts=False)
    async with opening(app) as client, reached(client) as (peer, request, end):
        peer.delay(0.05)
        started = trio.current_time()
        await peer.write(request)
        await peer.answered.wait()
        # The way there, the handler's own wait, and the way back.
        took = trio.current_time() - started
        assert took >= 0.14
        if clock is not None:
            assert took == pytest.approx(0.15)
        await peer.close(4001, "enough")
        await over(end)
        assert seen_by(peer) == (101, (4001, "enough"))
    assert seen.end == told(4001, "enough")


async def test_what_is_sent_before_the_handler_accepts_is_not_lost(opening, clock):
    app, seen = watched(accept_late, accepts=False)
    async with opening(app) as client, reached(client) as (peer, request, end):
        early = frame(1, b"early"), frame(8, b"\x0f\xa1enough")
        await peer.write(request + b"".join(early))
        await over(end)
        assert seen_by(peer) == (101, (4001, "enough"))
    assert seen.messages == ["early"]
    assert seen.end == told(4001, "enough")


@in_memory
async def test_what_breaks_the_protocol_before_the_handler_accepts_is_told_after(opening, clock):
    app, seen = watched(accept_late, accepts=False)
    async with opening(app) as client, reached(client) as (peer, request, end):
        await peer.write(request + frame(3))
        await over(end)
        assert seen_by(peer) == (101, (1002, "invalid opcode"))
    assert seen.end == told(1002, "invalid opcode")


@in_memory
async def test_a_refusal_is_an_error_for_the_resource_and_a_status_for_the_peer(opening, clock):
    async def refuse(ws: WebSocket, seen: Seen) -> None:
        raise HTTPException(409, "taken")

    app, seen = watched(refuse, accepts=False)
    async with opening(app) as client:
        with pytest.raises(WebSocketDenialResponse) as caught:
            async with client.websocket_connect("/ws"):
                pytest.fail("it was refused")
        assert (caught.value.status_code, caught.value.json()["detail"]) == (409, "taken")
    assert seen.end == ("HTTPException", "HTTPException", 1)


# Half a handshake


async def test_half_a_handshake_reaches_no_handler_before_a_reset(opening, clock):
    app, seen = watched(listen)
    async with opening(app) as client, reached(client) as (peer, request, _):
        await peer.write(request[:50])
        await trio.sleep(0.02)
        peer.reset()
        await trio.sleep(0.02)
        assert seen_by(peer) == (None, (1006, ""))
        # The next client is served.
        async with client.websocket_connect("/ws") as ws:
            await ws.close(4001, "enough")
            await ws.wait_over()
            assert closed(ws) == (4001, "enough")
    assert seen.end == told(4001, "enough")


async def test_half_a_handshake_is_given_up_in_time(opening, clock):
    app, seen = watched(listen, timeouts=evolve(TIMEOUTS, handshake=0.15))
    async with opening(app) as client, reached(client) as (peer, request, _):
        await peer.write(request[:50])
        started = trio.current_time()
        await over(peer.over)
        took = trio.current_time() - started
        assert took >= 0.1
        if clock is not None:
            assert took == pytest.approx(0.15)
        assert seen_by(peer) == (None, (1006, ""))
    assert not seen.begun.is_set()
    assert seen.end == (None, None, 0)


async def test_a_handshake_may_come_in_pieces(opening, clock):
    app, seen = watched(listen)
    async with opening(app) as client, reached(client) as (peer, request, end):
        for start in range(0, len(request), 10):
            await peer.write(request[start : start + 10])
            await trio.sleep(0.001)
        await peer.answered.wait()
        await peer.close(4001, "enough")
        await over(end)
        assert seen_by(peer) == (101, (4001, "enough"))
    assert seen.end == told(4001, "enough")
