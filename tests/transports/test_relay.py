"""What was said on another server's connection, and what triows answers there."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import assert_checkpoints

from triows import WebSocketStateError
from triows._reply import Reply
from triows._transports.interface import Ended
from triows._transports.order import BODY, CLOSE, START
from triows._transports.relay import Relay

FAILED = Reply(500, [(b"x-a", b"1")], b"failed")
EXTENDED = {"type": "websocket", "extensions": {"websocket.http.response": {}}}


class Server:
    """Another server. It notes what it is sent."""

    def __init__(self, *events: Any, scope: Any = EXTENDED, takes: bool = True) -> None:
        self.sent: list[Any] = []
        self._events = [*events]
        self._takes = takes
        self.relay = Relay(scope, self.receive, self.send, patience=5)

    async def receive(self) -> Any:
        if not self._events:
            await trio.sleep_forever()
        return self._events.pop(0)

    async def send(self, event: Any) -> None:
        if not self._takes:
            await trio.sleep_forever()
        self.sent.append(event)

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.sent]


async def test_what_nobody_has_answered_is_refused():
    server = Server()
    assert await server.relay.finish(1011, FAILED) == Ended(1006, "refused", 500)
    start, body = server.sent
    assert (start["status"], start["headers"], body["body"]) == (500, [(b"x-a", b"1")], b"failed")


async def test_where_a_server_sends_no_response_the_refusal_is_a_close():
    server = Server(scope={"type": "websocket"})
    assert await server.relay.finish(1011, FAILED) is not None
    assert server.kinds == [CLOSE]


async def test_half_a_response_is_replaced():
    server = Server()
    await server.relay.send({"type": START, "status": 401})
    assert server.sent == []
    await server.relay.finish(1011, FAILED)
    assert [event.get("status") for event in server.sent] == [500, None]


async def test_a_response_whose_body_has_begun_is_left_to_the_server():
    server = Server()
    await server.relay.send({"type": START, "status": 401})
    await server.relay.send({"type": BODY, "body": b"n", "more_body": True})
    with pytest.raises(WebSocketStateError, match=BODY):
        server.relay.check_answered()
    assert await server.relay.finish(1011, FAILED) is None
    assert server.kinds == [START, BODY]


async def test_what_nobody_has_closed_is_closed():
    server = Server()
    await server.relay.send({"type": "websocket.accept"})
    assert await server.relay.finish(1001, FAILED) == Ended(1001)
    assert server.sent[-1] == {"type": CLOSE, "code": 1001, "reason": ""}


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_peer_that_has_left_needs_no_answer(accepted):
    server = Server({"type": "websocket.connect"}, {"type": "websocket.disconnect"})
    if accepted:
        await server.relay.send({"type": "websocket.accept"})
    sent = [*server.sent]
    for _ in range(2):
        await server.relay.receive()
    server.relay.check_answered()
    assert await server.relay.finish(1011, FAILED) is None
    assert server.sent == sent


async def test_a_server_that_takes_nothing_is_given_up_in_time(autojump_clock):
    server = Server(takes=False)
    assert await server.relay.finish(1011, FAILED) is None
    assert trio.current_time() == 5


async def test_an_event_that_can_not_follow_is_not_passed_on():
    server = Server()
    await server.relay.send({"type": CLOSE})
    with assert_checkpoints(), pytest.raises(WebSocketStateError, match=r"test_relay\.py:"):
        await server.relay.send({"type": "websocket.accept"})
    assert server.kinds == [CLOSE]
