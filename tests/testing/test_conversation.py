"""What a WebSocket and a plain request have in common in a test."""

import pytest
import trio

from triows import Triows, WebSocket, WebSocketRoute
from triows.testing import Network, ReceiveTimeout, open_app

ROUTE = WebSocketRoute("ws")


@ROUTE.endpoint
async def listen(ws: WebSocket) -> None:
    await ws.accept()
    async for _ in ws:
        pass


async def page(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


def made():
    app = Triows(ROUTE)
    app.mount("/page", page)
    return app


def conversation(kind, client, **options):
    if kind == "websocket":
        return client.websocket_connect("/ws", **options)
    return client.stream("GET", "/page", **options)


@pytest.fixture(params=["websocket", "request"])
def kind(request):
    return request.param


async def test_what_does_not_come_is_told_with_the_last_events_and_a_picture(kind, autojump_clock):
    async with open_app(made()) as client, conversation(kind, client, timeout=3) as session:
        with pytest.raises(ReceiveTimeout, match="for 3 s; the connection's last events:") as told:
            await session.receive()
        assert "3.000 s  now" in str(told.value)
        assert told.value.__notes__[0].startswith("what is alive in the application")


async def test_a_slow_network_is_named(kind, autojump_clock):
    network = Network(delay=1)
    async with (
        open_app(made(), network=network) as client,
        conversation(kind, client, timeout=5) as session,
    ):
        with pytest.raises(ReceiveTimeout) as told:
            await session.receive()
        assert told.value.__notes__[0] == "a round trip of the test's network takes up to 2 s"


async def test_a_reset_is_over_at_once(kind, autojump_clock):
    async with open_app(made()) as client, conversation(kind, client) as session:
        session.reset()
        await session.wait_over()
        assert trio.current_time() == 0
        assert "reset the connection" in session.events


async def test_what_is_not_over_is_told(kind, autojump_clock):
    async with open_app(made()) as client, conversation(kind, client) as session:
        with pytest.raises(ReceiveTimeout, match="has not ended the connection for 2 s"):
            await session.wait_over(2)


async def test_a_delay_is_not_less_than_nothing(kind, autojump_clock):
    async with open_app(made()) as client, conversation(kind, client) as session:
        with pytest.raises(ValueError, match="nothing arrives before it is sent"):
            session.delay(-1)


async def test_a_side_that_stops_reading_can_read_again(kind, autojump_clock):
    async with open_app(made()) as client, conversation(kind, client) as session:
        session.stop_reading()
        session.resume_reading()
        assert "stopped reading" in session.events
        assert "reads again" in session.events
