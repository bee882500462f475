from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
import trio

from examples.ticker import Quote, app
from tests.connecting import connect, opened
from triows.testing import WebSocketDenialResponse


async def test_a_client_that_reads_gets_every_quote(autojump_clock):
    async with connect(app, "/prices/ACME") as client:
        numbers = [(await client.receive_json(Quote)).number for _ in range(20)]
    assert numbers == list(range(numbers[0], numbers[0] + 20))


async def test_a_slow_client_gets_the_newest_quote_and_not_those_it_was_too_slow_for(
    autojump_clock,
):
    async with (
        connect(app, "/prices/ACME") as quick,
        connect(app, "/prices/ACME", buffer=1, inbox=1) as slow,
    ):
        slow.stop_reading()
        newest = 0
        with trio.move_on_after(10):
            while True:
                newest = (await quick.receive_json(Quote)).number
        assert newest > 90
        slow.resume_reading()
        # One was on its way, and one was in send(). After these, the quotes are new.
        old = [(await slow.receive_json(Quote)).number for _ in range(2)]
        assert old == [1, 2]
        assert (await slow.receive_json(Quote)).number >= newest


async def test_only_one_quote_waits_where_it_can_not_be_skipped_any_more(autojump_clock):
    """The server takes five seconds for each message, as with a slow peer."""
    numbers = []

    async def receive():
        await received.acquire()
        return {"type": "websocket.connect"}

    async def send(event):
        if event["type"] == "websocket.send":
            numbers.append(msgspec.json.decode(event["text"], type=Quote).number)
            await trio.sleep(5)

    received = trio.Semaphore(1)
    scope = {"type": "websocket", "path": "/prices/ACME", "query_string": b"", "headers": []}
    async with opened(app):
        with trio.move_on_after(31):
            await app(scope, receive, send)
    assert numbers[:2] == [1, 2]
    gaps = [later - number for number, later in pairwise(numbers[1:])]
    assert len(gaps) == 5
    assert min(gaps) > 40


async def test_a_client_that_reads_nothing_is_disconnected_when_send_times_out(autojump_clock):
    async with connect(app, "/prices/HOOLI", buffer=1) as client:
        client.stop_reading()
        await trio.sleep(app.timeouts.send + 1)
        client.resume_reading()
        await client.receive()  # this message had already begun
        await client.expect_close(1008)


async def test_clients_see_the_same_market(autojump_clock):
    async with (
        connect(app, "/prices/ACME") as one,
        connect(app, "/prices/ACME") as other,
    ):
        assert await one.receive_json(Quote) == await other.receive_json(Quote)
        assert await one.receive_json(Quote) == await other.receive_json(Quote)


async def test_an_unknown_symbol_is_refused(autojump_clock):
    with pytest.raises(WebSocketDenialResponse) as refused:
        async with connect(app, "/prices/EVIL"):
            pass
    assert refused.value.status_code == 422
