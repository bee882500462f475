from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import pytest
import trio
import trio_websocket
from trio.testing import wait_all_tasks_blocked

from examples import embedded
from tests.connecting import connect, opened
from triows import Triows


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    """A client of the countdown. We close its stream ourselves, in any case."""
    address = urlsplit(url)
    stream = await trio.open_tcp_stream(address.hostname, address.port)
    async with stream, trio.open_nursery() as nursery:
        yield await trio_websocket.wrap_client_stream(nursery, stream, address.netloc, "/countdown")
        nursery.cancel_scope.cancel()


async def told(client: trio_websocket.WebSocketConnection) -> tuple[list[str], int]:
    """Return everything that a watcher is told, and the close code."""
    texts = []
    while True:
        try:
            texts.append(await client.get_message())
        except trio_websocket.ConnectionClosed as closed:
            return texts, closed.reason.code


@pytest.mark.real_socket
async def test_the_program_tells_those_who_watch_and_ends_its_server(capsys):
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            main = partial(embedded.main, "127.0.0.1:0", start=3, tick=0)
            (url,) = await nursery.start(main)
            async with watching(url) as client:
                texts, code = await told(client)
            # The nursery ends when the program, and the server in it, have ended.
    assert texts == ["3...", "2...", "1...", "lift-off"]
    assert code == 1001
    assert f"{url}/countdown" in capsys.readouterr().out


@pytest.mark.real_socket
async def test_the_program_can_be_cancelled_like_any_other():
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            (url,) = await nursery.start(embedded.main, "127.0.0.1:0")
            async with watching(url) as client:
                assert await client.get_message() == "10..."
                nursery.cancel_scope.cancel()


@pytest.fixture
async def app() -> AsyncIterator[Triows]:
    app = Triows(embedded.countdown)
    app.state.audience = embedded.Audience()
    async with opened(app):
        yield app


async def test_a_watcher_who_leaves_is_not_told_any_more(app, autojump_clock):
    audience = app.state.audience
    async with connect(app, "/countdown") as stays:
        async with connect(app, "/countdown"):
            await wait_all_tasks_blocked()
            assert len(audience.watchers) == 2
        assert len(audience.watchers) == 1
        await audience.tell("2...")
        assert await stays.receive() == "2..."


async def test_a_watcher_whose_connection_breaks_meanwhile_is_no_error(app, autojump_clock):
    async with connect(app, "/countdown") as stays, connect(app, "/countdown") as breaks:
        await wait_all_tasks_blocked()
        breaks.reset()
        await app.state.audience.tell("2...")
        assert await stays.receive() == "2..."


async def test_a_watcher_who_does_not_read_misses_something_and_stops_nobody(app, autojump_clock):
    async with (
        connect(app, "/countdown") as reads,
        connect(app, "/countdown") as sleeps,
    ):
        sleeps.stop_reading()
        await wait_all_tasks_blocked()
        # The first message is as long as what may wait for a peer.
        long = "3".ljust(app.limits.outbox + 64 * 2**10, ".")
        for text in (long, "2...", "1..."):
            await app.state.audience.tell(text)
            assert await reads.receive() == text
        sleeps.resume_reading()
        assert await sleeps.receive() == long
        await app.state.audience.tell("lift-off")
        assert await sleeps.receive() == "lift-off"
