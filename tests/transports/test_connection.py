"""Whose functions an endpoint gets, and which transport it gets for them."""

from __future__ import annotations

import math

import pytest
from trio.testing import wait_all_tasks_blocked

from tests.transports.messages import MemoryPeer, memory_connection
from triows import Limits, Timeouts, WebSocketStateError
from triows._settings import Settings
from triows._transports.asgi import ASGITransport
from triows._transports.bridge import Bridge
from triows._transports.connection import connection_of, current, message_in, open_transport

# Without pings, because those would use the real clock.
SETTINGS = Settings(Timeouts(ping_interval=math.inf), Limits())
SCOPE = {"type": "websocket"}


def make_transport(settings):
    return memory_connection(
        MemoryPeer(16, 1000), limits=settings.limits, timeouts=settings.timeouts
    )


@pytest.fixture
async def bridge(nursery):
    made = Bridge(make_transport, nursery, SETTINGS)
    yield made
    await made.aclose()


def wrapped(function):
    """Wrap a function, as a middleware does that looks at each event."""

    async def wrap(*args):
        return await function(*args)

    return wrap


async def test_a_connection_is_known_by_its_own_methods_only(bridge):
    assert connection_of(bridge.receive) is bridge
    assert connection_of(bridge.send) is bridge
    assert connection_of(wrapped(bridge.receive)) is None
    assert connection_of([].append) is None


async def test_with_both_of_its_functions_an_endpoint_gets_the_connection_itself(bridge):
    transport = open_transport(SCOPE, bridge.receive, bridge.send, SETTINGS)
    assert not isinstance(transport, ASGITransport)
    assert bridge.endpoint is transport
    assert bridge.has_line


@pytest.mark.parametrize("which", ["receive", "send", "both"])
async def test_if_one_of_them_is_wrapped_it_gets_a_transport_on_the_two(bridge, which):
    receive = bridge.receive if which == "send" else wrapped(bridge.receive)
    send = bridge.send if which == "receive" else wrapped(bridge.send)
    assert isinstance(open_transport(SCOPE, receive, send, SETTINGS), ASGITransport)
    assert bridge.endpoint is None


async def test_functions_of_two_connections_belong_to_neither(bridge, nursery):
    other = Bridge(make_transport, nursery, SETTINGS)
    transport = open_transport(SCOPE, bridge.receive, other.send, SETTINGS)
    assert isinstance(transport, ASGITransport)


async def test_behind_middleware_that_has_refused_there_is_no_transport(bridge):
    current.set(bridge)
    bridge.order.note(bridge.order.after({"type": "websocket.close"}))
    with pytest.raises(WebSocketStateError, match="has refused"):
        open_transport(SCOPE, wrapped(bridge.receive), wrapped(bridge.send), SETTINGS)
    assert bridge.misuse is not None


async def test_an_application_is_called_once_for_a_connection(bridge):
    open_transport(SCOPE, bridge.receive, bridge.send, SETTINGS)
    with pytest.raises(WebSocketStateError, match="twice"):
        open_transport(SCOPE, bridge.receive, bridge.send, SETTINGS)


async def test_an_application_does_not_receive_beside_a_middleware(bridge, nursery):
    await bridge.receive()  # websocket.connect
    nursery.start_soon(bridge.receive)
    await wait_all_tasks_blocked()
    with pytest.raises(WebSocketStateError, match="receives from this connection"):
        open_transport(SCOPE, bridge.receive, bridge.send, SETTINGS)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"text": "a"}, "a"),
        ({"text": ""}, ""),
        ({"bytes": b"a"}, b"a"),
        ({"text": None, "bytes": b""}, b""),
        ({"text": "a", "bytes": None}, "a"),
    ],
)
def test_a_message_is_the_text_or_else_the_bytes(event, message):
    assert message_in({"type": "websocket.send", **event}) == message


def test_an_event_without_a_message_is_an_error():
    with pytest.raises(ValueError, match="neither text nor bytes"):
        message_in({"type": "websocket.send"})
