"""Each plain request has an exchange of its own, until its line in the log."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from tests.request.asgi import Server
from triows import Route, Timeouts, Triows
from triows.inspect import tree
from triows.testing import open_app


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


def app_of(handler: Any, **options: Any) -> Triows:
    route = Route("")
    route.get(handler)
    return Triows(route, **options)


def scope(method: str = "GET") -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [],
        "client": ("peer", 1),
    }


async def test_a_request_is_alive_until_its_response_and_then_it_is_not(autojump_clock):
    seen = []

    async def handler(app: Triows) -> None:
        seen.append(len(tree(app).requests))

    app = app_of(handler)
    async with open_app(app) as client:
        await client.get("/")
        assert tree(app).requests == ()
    assert seen == [1]


async def test_a_request_to_another_server_is_answered_through_its_functions():
    async def handler() -> str:
        return "hello"

    app, server = app_of(handler), Server()
    async with app.running():
        await app.handle(scope(), server.receive, server.send)
    assert [event["type"] for event in server.sent] == ["http.response.start", "http.response.body"]
    assert (server.status, server.sent[-1]["body"]) == (200, b"hello")


async def test_what_went_wrong_is_raised_to_another_server_after_the_answer():
    async def handler() -> str:
        raise LookupError("nothing there")

    app, server = app_of(handler), Server()
    async with app.running():
        with pytest.raises(LookupError, match="nothing there"):
            await app.handle(scope(), server.receive, server.send)
    assert server.status == 500


async def test_a_request_during_a_shutdown_has_what_is_left_of_the_grace(autojump_clock):
    ended: list[float] = []

    async def handler() -> None:
        try:
            await trio.sleep(1000)
        finally:
            ended.append(trio.current_time())

    app = app_of(handler, timeouts=Timeouts(shutdown_grace=10))
    first, second = Server(), Server()
    async with app.running(), trio.open_nursery() as nursery:
        nursery.start_soon(app.handle, scope(), first.receive, first.send)
        await trio.sleep(1)
        nursery.start_soon(app.drain)
        await trio.sleep(4)
        nursery.start_soon(app.handle, scope(), second.receive, second.send)
        await trio.sleep(6.5)
        assert ended == [11, 11]
        assert (first.status, second.status) == (503, 503)


async def test_a_request_after_the_grace_is_refused_and_calls_nobody(autojump_clock, log):
    async def handler() -> None:
        raise AssertionError

    app, server = app_of(handler, timeouts=Timeouts(shutdown_grace=0)), Server()
    async with app.running():
        await app.drain()
        await app.handle(scope(), server.receive, server.send)
    assert server.status == 503
    assert [one.getMessage() for one in log.records] == [
        "peer:1 GET / refused 503 (the server is shutting down)"
    ]


async def test_a_request_that_was_cancelled_in_its_response_is_not_ended_by_a_middleware(
    autojump_clock,
):
    """The function that the middleware got raises from then on."""
    raised: list[type[BaseException]] = []

    async def handler() -> AsyncIterator[bytes]:
        yield b"part"
        await trio.sleep(1000)

    def ending(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except Exception as exc:
                raised.append(type(exc))
                with pytest.raises(Exception, match="was cut"):
                    await send({"type": "http.response.body", "body": b""})
                raise

        return wrapped

    app = app_of(handler, middlewares=[ending], timeouts=Timeouts(shutdown_grace=1))
    async with open_app(app, raise_app_exceptions=False) as client:

        async def read() -> None:
            with pytest.raises(Exception, match="before its response was complete"):
                await read_all()

        async def read_all() -> None:
            async with client.stream("GET", "/") as response:
                await response.read()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(1)
            await client.shutdown()
    assert len(raised) == 1
