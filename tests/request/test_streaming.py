"""What an async generator handler yields is sent as it comes."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import trio

from triows import EventStream, Route, ServerSentEvent, Timeouts, Triows
from triows.testing import HTTPDisconnect, open_app

TIMEOUTS = Timeouts(ping_interval=20, disconnect_grace=1, shutdown_grace=10)


def app_of(handler: Any) -> Triows:
    route = Route("")
    route.get(handler)
    return Triows(route, timeouts=TIMEOUTS)


async def test_the_head_comes_before_the_first_part(autojump_clock):
    async def handler() -> AsyncIterator[bytes]:
        await trio.sleep(3)
        yield b"late"

    async with open_app(app_of(handler)) as client, client.stream("GET", "/") as response:
        assert (response.status_code, trio.current_time()) == (200, 0)
        assert (await response.receive(), trio.current_time()) == (b"late", 3)
        assert await response.receive() == b""


async def test_parts_come_one_by_one_and_empty_ones_are_not_sent(autojump_clock):
    async def handler() -> AsyncIterator[str]:
        yield "one"
        yield ""
        await trio.sleep(1)
        yield "two"

    async with open_app(app_of(handler)) as client, client.stream("GET", "/") as response:
        assert [part async for part in response] == [b"one", b"two"]


async def test_of_a_head_request_no_part_of_the_generator_runs():
    async def handler() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    async with open_app(app_of(handler)) as client:
        response = await client.head("/")
    assert (response.status_code, response.content) == (200, b"")


async def test_a_head_request_for_events_has_their_headers():
    async def handler() -> EventStream:
        raise AssertionError
        yield ServerSentEvent()

    async with open_app(app_of(handler)) as client:
        response = await client.head("/")
    assert response.headers["content-type"].startswith("text/event-stream")


async def test_the_generator_is_closed_when_the_client_leaves(autojump_clock):
    closed = []

    async def handler() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"part"
                await trio.sleep(0.1)
        finally:
            closed.append(trio.current_time())

    async with open_app(app_of(handler)) as client, client.stream("GET", "/") as response:
        await response.receive()
    assert len(closed) == 1


async def test_a_stream_that_fails_is_cut_and_its_error_is_raised(autojump_clock):
    async def handler() -> AsyncIterator[bytes]:
        yield b"part"
        raise LookupError("no more")

    async def read() -> None:
        async with open_app(app_of(handler)) as client, client.stream("GET", "/") as response:
            assert await response.receive() == b"part"
            with pytest.raises(HTTPDisconnect):
                await response.receive()

    with pytest.raises(LookupError, match="no more"):
        await read()


async def test_a_part_that_can_not_be_sent_is_an_error_that_says_so():
    async def handler() -> AsyncIterator[bytes]:
        yield 7  # type: ignore[misc]

    async with open_app(app_of(handler)) as client:
        with pytest.raises(TypeError):
            await client.get("/")


async def test_a_client_that_does_not_read_holds_the_generator_back(autojump_clock):
    made = 0

    async def handler() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(100):
            made += 1
            yield bytes(10_000)

    async with (
        open_app(app_of(handler)) as client,
        client.stream("GET", "/", buffer=1000, inbox_size=1000) as response,
    ):
        await trio.sleep(1)
        assert made < 20
        assert len(await response.read()) == 1_000_000
    assert made == 100


# Events


async def ticks() -> EventStream:
    yield ServerSentEvent("one", event="tick", id="1")
    await trio.sleep(50)
    yield ServerSentEvent("two")


async def test_comments_fill_the_time_without_events(autojump_clock):
    app = app_of(ticks)
    async with open_app(app, timeout=100) as client, client.stream("GET", "/") as response:
        times = [(trio.current_time(), part[:1] == b":") async for part in response]
    assert times == [(0, False), (20, True), (40, True), (50, False)]


async def test_no_comment_is_sent_as_long_as_events_come(autojump_clock):
    async def handler() -> EventStream:
        for number in range(5):
            yield ServerSentEvent(number)
            await trio.sleep(19)

    async with open_app(app_of(handler), timeout=200) as client:
        body = (await client.get("/")).text
    assert body.count("data:") == 5
    assert not any(line.startswith(":") for line in body.splitlines())


async def test_an_error_of_the_generator_comes_out_as_it_is(autojump_clock):
    async def handler() -> EventStream:
        yield ServerSentEvent("one")
        raise LookupError("no more")

    async with open_app(app_of(handler)) as client:
        with pytest.raises(LookupError, match="no more"):
            await client.get("/")


async def stopped_after(handler: Any) -> float:
    """Shut down after a second, and return how long the handler goes on after that."""
    ended: list[float] = []

    async def noting() -> AsyncGenerator[Any, None]:
        try:
            async for one in handler():
                yield one
        finally:
            ended.append(trio.current_time())

    noting.__annotations__ = dict(handler.__annotations__)
    async with open_app(app_of(noting), timeout=100) as client:

        async def read() -> None:
            with suppress(HTTPDisconnect):
                async with client.stream("GET", "/") as response:
                    await response.read()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(1)
            await client.shutdown()
    return ended[0] - 1


async def forever() -> AsyncIterator[bytes]:
    yield b"part"
    await trio.sleep(1000)


async def events_forever() -> EventStream:
    yield ServerSentEvent("one")
    await trio.sleep(1000)


async def test_at_a_shutdown_a_stream_has_the_time_of_any_request(autojump_clock):
    assert await stopped_after(forever) == TIMEOUTS.shutdown_grace


async def test_at_a_shutdown_a_stream_of_events_has_the_time_after_a_disconnect(autojump_clock):
    assert await stopped_after(events_forever) == TIMEOUTS.disconnect_grace
