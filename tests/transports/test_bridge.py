from __future__ import annotations

import math
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.transports.messages import MemoryPeer, MemoryTransport, memory_connection
from triows import Limits, Timeouts, WebSocketStateError
from triows._reply import Reply
from triows._settings import Settings
from triows._transports.asgi import ASGITransport
from triows._transports.bridge import Bridge
from triows._transports.connection import open_transport
from triows._transports.interface import Ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Without pings, because those would use the real clock.
LIMITS, TIMEOUTS = Limits(), Timeouts(ping_interval=math.inf)


@asynccontextmanager
async def bridged() -> AsyncIterator[tuple[Bridge, MemoryPeer]]:
    peer = MemoryPeer(16, 1000)

    def make(settings: Settings) -> MemoryTransport:
        return memory_connection(peer, limits=settings.limits, timeouts=settings.timeouts)

    async with trio.open_nursery() as nursery:
        bridge = Bridge(make, nursery, Settings(TIMEOUTS, LIMITS))
        yield bridge, peer
        await bridge.aclose()


async def connected(bridge: Bridge) -> None:
    assert (await bridge.receive())["type"] == "websocket.connect"
    await bridge.send({"type": "websocket.accept"})


def opened(receive: Any, send: Any, limits: Limits = LIMITS) -> Any:
    return open_transport({"type": "websocket"}, receive, send, Settings(TIMEOUTS, limits))


# Taken back


async def test_behind_middleware_that_only_looks_the_own_transport_is_used():
    async with bridged() as (bridge, peer):
        limits = Limits(inbox=1)
        transport = opened(bridge.receive, bridge.send, limits)
        await peer.send("a")
        assert isinstance(transport, MemoryTransport)
        assert peer.server is transport
        assert peer.server.reading_paused  # by the route's limits, not the bridge's


async def test_behind_middleware_that_wraps_send_it_is_an_asgi_connection():
    async with bridged() as (bridge, _):

        async def send(event: Any) -> None:
            await bridge.send(event)

        assert isinstance(opened(bridge.receive, send), ASGITransport)


async def test_behind_middleware_that_wraps_receive_it_is_an_asgi_connection():
    async with bridged() as (bridge, _):

        async def receive() -> Any:
            return await bridge.receive()

        assert isinstance(opened(receive, bridge.send), ASGITransport)


async def test_two_bridges_are_never_mixed():
    async with bridged() as (one, _), bridged() as (other, _):
        assert isinstance(opened(one.receive, other.send), ASGITransport)


async def test_any_other_server_is_an_asgi_connection():
    async def receive() -> Any: ...
    async def send(event: Any) -> None: ...

    assert isinstance(opened(receive, send), ASGITransport)


async def test_nothing_is_made_that_nobody_needs():
    async with bridged() as (bridge, peer):
        assert await bridge.receive() == {"type": "websocket.connect"}
        await bridge.aclose()
        assert peer.server is None


# As ASGI


async def test_the_first_event_is_connect():
    async with bridged() as (bridge, _):
        assert await bridge.receive() == {"type": "websocket.connect"}


async def test_accept_passes_subprotocol_and_headers():
    async with bridged() as (bridge, peer):
        headers = [(b"x-a", b"1")]
        await bridge.receive()
        await bridge.send({"type": "websocket.accept", "subprotocol": "chat", "headers": headers})
        assert (peer.accepted, peer.subprotocol, peer.headers) == (True, "chat", headers)


async def test_messages_are_events():
    async with bridged() as (bridge, peer):
        await connected(bridge)
        await peer.send("a")
        await peer.send(b"b")
        assert [await bridge.receive(), await bridge.receive()] == [
            {"type": "websocket.receive", "text": "a"},
            {"type": "websocket.receive", "bytes": b"b"},
        ]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"text": "a"}, "a"),
        ({"text": "", "bytes": None}, ""),
        ({"bytes": b"b", "text": None}, b"b"),
        ({"bytes": b""}, b""),
    ],
)
async def test_events_are_messages(event, message):
    async with bridged() as (bridge, peer):
        await connected(bridge)
        await bridge.send({"type": "websocket.send", **event})
        assert await peer.inbox.receive() == message


async def test_the_peers_close_is_a_disconnect_event():
    async with bridged() as (bridge, peer):
        await connected(bridge)
        peer.close(4001, "bye")
        assert await bridge.receive() == {
            "type": "websocket.disconnect",
            "code": 4001,
            "reason": "bye",
        }


async def peeked(bridge: Bridge) -> Any:
    """Return what ``receive`` returns in a cancelled scope."""
    with trio.CancelScope() as scope:
        scope.cancel()
        return (await bridge.receive())["type"]
    return "cancelled"


async def test_an_event_that_waits_is_handed_over_once_in_a_cancelled_scope_too():
    async with bridged() as (bridge, peer):
        assert await peeked(bridge) == "websocket.connect"
        await bridge.send({"type": "websocket.accept"})
        assert await peeked(bridge) == "cancelled"
        await peer.send("a")
        assert await peeked(bridge) == "websocket.receive"
        assert await peeked(bridge) == "cancelled"
        peer.close(1000, "")
        assert await peeked(bridge) == "websocket.disconnect"
        assert await peeked(bridge) == "cancelled"
        with assert_checkpoints():
            assert (await bridge.receive())["type"] == "websocket.disconnect"


async def test_an_application_that_closes_is_told_when_its_peer_has_left_without_an_answer(
    autojump_clock,
):
    async with bridged() as (bridge, peer):
        await connected(bridge)
        peer.vanish()
        await bridge.send({"type": "websocket.close", "code": 4000})
        assert (await bridge.receive())["code"] == 1006
        assert trio.current_time() == TIMEOUTS.close


async def test_an_application_that_closes_is_told_its_own_code_when_its_peer_answers():
    async with bridged() as (bridge, _):
        await connected(bridge)
        await bridge.send({"type": "websocket.close", "code": 4000})
        assert (await bridge.receive())["code"] == 4000


async def test_another_task_that_receives_is_busy_behind_a_checkpoint():
    async with bridged() as (bridge, _), trio.open_nursery() as nursery:
        await connected(bridge)
        nursery.start_soon(bridge.receive)
        await wait_all_tasks_blocked()
        with assert_checkpoints(), pytest.raises(trio.BusyResourceError):
            await bridge.receive()
        nursery.cancel_scope.cancel()


CLOSE = {"type": "websocket.close"}
START = {"type": "websocket.http.response.start", "status": 400}
BODY = {"type": "websocket.http.response.body", "more_body": True}


@pytest.mark.parametrize(
    ("accepted", "event"),
    [
        (True, CLOSE),
        (False, CLOSE),
        (False, START),
        (False, BODY),
        (False, {"type": "websocket.http.response.body"}),
    ],
)
@pytest.mark.parametrize("left", [False, True])
async def test_each_control_event_that_is_sent_gives_the_others_their_turn(accepted, event, left):
    async with bridged() as (bridge, peer):
        if accepted:
            await connected(bridge)
        else:
            await bridge.receive()
            await bridge.send(START)
        if left:
            peer.reset()
        for _ in range(3):  # only a body can be sent more than once
            with assert_checkpoints(), suppress(WebSocketStateError):
                await bridge.send(event)


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("event", [None, {}, {"type": "websocket.accept"}, {"type": "unknown"}])
async def test_each_event_that_can_not_be_sent_gives_the_others_their_turn(accepted, event):
    async with bridged() as (bridge, _):
        if accepted:
            await connected(bridge)
        else:
            await bridge.receive()
            await bridge.send(CLOSE)
        for _ in range(3):
            with assert_checkpoints(), suppress(Exception):
                await bridge.send(event)


async def test_a_receiver_that_is_never_out_of_messages_gives_the_others_their_turn():
    async with bridged() as (bridge, peer):
        await connected(bridge)
        steps = 0

        class Steps(trio.abc.Instrument):
            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                nonlocal steps
                steps += 1

        assert peer.server is not None
        trio.lowlevel.add_instrument(instrument := Steps())
        for _ in range(200):
            peer.server.deliver("a", 1)
            await bridge.receive()
        trio.lowlevel.remove_instrument(instrument)
        assert steps >= 200 // 64  # a schedule may give them more


async def test_a_close_event_closes():
    async with bridged() as (bridge, peer):
        await connected(bridge)
        await bridge.send({"type": "websocket.close", "code": 4000, "reason": None})
        assert peer.inbox.ended == Ended(4000)


async def test_a_close_event_without_a_code_is_1000():
    async with bridged() as (bridge, peer):
        await connected(bridge)
        await bridge.send({"type": "websocket.close"})
        assert peer.inbox.ended == Ended(1000)


async def test_a_close_event_before_accept_is_403():
    async with bridged() as (bridge, peer):
        await bridge.receive()
        await bridge.send({"type": "websocket.close", "code": 1008})
        assert peer.refusal == Reply(403, (), b"")


async def test_a_response_before_accept_is_the_refusal():
    async with bridged() as (bridge, peer):
        headers = [(b"content-length", b"4")]
        start = {"type": "websocket.http.response.start", "status": 401, "headers": headers}
        await bridge.send(start)
        assert peer.refusal is None
        await bridge.send({"type": "websocket.http.response.body", "body": b"nope"})
        assert peer.refusal == Reply(401, headers, b"nope")


async def test_a_response_may_come_in_pieces():
    async with bridged() as (bridge, peer):
        await bridge.send({"type": "websocket.http.response.start", "status": 401})
        for piece in (b"no", b"pe"):
            await bridge.send(
                {"type": "websocket.http.response.body", "body": piece, "more_body": True}
            )
        assert peer.refusal is None
        await bridge.send({"type": "websocket.http.response.body"})
        assert peer.refusal == Reply(401, [], b"nope")


# The end


async def test_what_was_left_open_is_closed_with_1011():
    async with bridged() as (bridge, peer):
        await connected(bridge)
        await bridge.aclose()
        assert peer.inbox.ended == Ended(1011)


async def test_what_was_closed_keeps_its_code():
    async with bridged() as (bridge, peer):
        await connected(bridge)
        await bridge.send({"type": "websocket.close", "code": 4000})
        await bridge.aclose()
        assert peer.inbox.ended == Ended(4000)


async def test_what_was_never_answered_is_refused_with_500():
    async with bridged() as (bridge, peer):
        await bridge.send({"type": "websocket.http.response.start", "status": 401})
        await bridge.aclose()
        assert peer.refusal is not None
        assert (peer.refusal.status, peer.accepted) == (500, False)


# Mistakes


@pytest.mark.parametrize(
    "event",
    [
        {"type": "websocket.accept", "headers": [(b"x-user", b"a\r\nInjected: b")]},
        {"type": "websocket.accept", "subprotocol": "a\r\nSet-Cookie: evil=1"},
        {
            "type": "websocket.http.response.start",
            "status": 401,
            "headers": [(b"x-user\r\n", b"a")],
        },
    ],
)
async def test_nothing_that_ends_a_line_comes_into_a_response(event):
    async with bridged() as (bridge, peer):
        with pytest.raises(ValueError, match=r"header|token"):
            await bridge.send(event)
        assert (peer.accepted, peer.refusal) == (False, None)


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (70000, ""), (1000, "x" * 200)])
async def test_a_close_that_can_not_be_sent_is_an_error_and_the_peer_gets_1011(code, reason):
    async with bridged() as (bridge, peer):
        await connected(bridge)
        with pytest.raises(ValueError, match="close"):
            await bridge.send({"type": "websocket.close", "code": code, "reason": reason})
        await bridge.aclose()
        assert peer.inbox.ended == Ended(1011)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "websocket.accept"},
        {"type": "websocket.http.response.start", "status": 200},
        {"type": "websocket.nonsense"},
    ],
)
async def test_an_event_out_of_turn_is_an_error(event):
    async with bridged() as (bridge, _):
        await connected(bridge)
        with assert_checkpoints(), pytest.raises(WebSocketStateError):
            await bridge.send(event)


async def test_a_message_without_content_is_an_error():
    async with bridged() as (bridge, _):
        await connected(bridge)
        with assert_checkpoints(), pytest.raises(ValueError, match="neither text nor bytes"):
            await bridge.send({"type": "websocket.send"})
