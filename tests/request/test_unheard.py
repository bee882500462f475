"""A middleware lets nobody have the response of the application, which must not run on for that."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated, Any

import pytest
import trio
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse

from tests.request.asgi import SERVERS
from tests.server.harness.engine import read_responses
from triows import EventStream, Request, Route, ServerSentEvent, Timeouts, Triows, use
from triows.inspect import tree

WHY = "a middleware has ended the request without this response"
OTHER = PlainTextResponse("something else")
GRACE = 1


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


SEEN: list[str] = []


@pytest.fixture(autouse=True)
def seen() -> list[str]:
    """What a resource has seen, and how many parts were made."""
    SEEN.clear()
    return SEEN


async def noting() -> AsyncIterator[None]:
    try:
        yield
        SEEN.append("committed")
    except Exception as exc:
        SEEN.append(type(exc).__name__)
        raise


Held = Annotated[None, use(noting)]

# The handlers


async def parts(_: Held) -> AsyncIterator[bytes]:
    while True:
        yield b"part"
        SEEN.append("part")
        await trio.sleep(0.1)


async def fast(_: Held) -> AsyncIterator[bytes]:
    while True:
        yield b"part"
        SEEN.append("part")


async def events(_: Held) -> EventStream:
    while True:
        yield ServerSentEvent("event")
        await trio.sleep(0.1)


async def pieces() -> AsyncIterator[bytes]:
    while True:
        yield b"part"
        await trio.sleep(0.1)


async def starlettes(_: Held) -> StreamingResponse:
    return StreamingResponse(pieces())


async def rare(_: Held) -> AsyncIterator[bytes]:
    yield b"part"
    await trio.sleep(50)


async def waits(_: Held) -> str:
    await trio.sleep(50)
    return "too late"


async def reads(_: Held, request: Request) -> str:
    async with request.form():
        return "too late"


STREAMS = [parts, fast, events, starlettes, rare]
WAITING = [waits, reads]

# The middlewares


class Dropping(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        await call_next(request)
        return OTHER


class TakingOnePart(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        async with aclosing((await call_next(request)).body_iterator) as taken:
            await anext(taken)
        return OTHER


class GivingUp(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        with trio.move_on_after(0.2):
            await call_next(request)
        return OTHER


async def drop(_event: Any) -> None:
    await trio.lowlevel.checkpoint()


async def answer_beside(app: Any, functions: Any, scope: Any, receive: Any, send: Any) -> None:
    """Answer while the application runs with these functions."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, scope, *functions)
        await trio.sleep(0.2)
        await OTHER(scope, receive, send)


def answering(app: Any) -> Any:
    """Answer while the application runs, and drop what it sends."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await answer_beside(app, (receive, drop), scope, receive, send)

    return middleware


def deaf(app: Any) -> Any:
    """Do so, and tell the application nothing either."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await answer_beside(app, (trio.sleep_forever, drop), scope, receive, send)

    return middleware


def answering_before(app: Any) -> Any:
    """Call the application when the client has its response."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await OTHER(scope, receive, send)
        await app(scope, receive, drop)

    return middleware


def with_the_same_functions(app: Any) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await answer_beside(app, (receive, send), scope, receive, send)

    return middleware


def leaving(app: Any) -> Any:
    """Return, and leave the application in a task of somebody else."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def run() -> None:
            try:
                await app(scope, trio.sleep_forever, drop)
            except OSError:
                SEEN.append("raised")

        scope["app"].state.nursery.start_soon(run)
        await trio.sleep(0.2)
        await OTHER(scope, receive, send)

    return middleware


OWN_TASKS = [answering, deaf, leaving, answering_before]
CASES = [
    *[(one, handler) for one in (Dropping, TakingOnePart) for handler in STREAMS],
    *[(GivingUp, handler) for handler in WAITING],
    *[(one, handler) for one in OWN_TASKS for handler in (*STREAMS, *WAITING) if handler != fast],
    (answering_before, fast),
    *[(with_the_same_functions, handler) for handler in WAITING],
]


def name_of(one: Any) -> str:
    return one.__name__


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize(("middleware", "handler"), CASES, ids=name_of)
async def test_a_handler_whose_response_nobody_gets_has_the_disconnect_grace(
    autojump_clock, nursery, log, server, middleware, handler
):
    route = Route("r")
    route.post(handler)
    app = Triows(route, middlewares=[middleware], timeouts=Timeouts(disconnect_grace=GRACE))
    app.state.nursery = nursery
    # The rest of the body never comes.
    body = ["content-type: application/x-www-form-urlencoded", "content-length: 5"]
    async with app.running(), server(app, "POST", *(body if handler is reads else ())) as sent:
        await trio.sleep(0.2 + GRACE + 0.3)
        assert tree(app).requests == ()
        (response,), _ = read_responses(sent(), "POST")
    assert response[2] == b"something else"
    assert len(SEEN) < 20
    assert "HandlerCancelled" in SEEN or "ClientDisconnect" in SEEN
    (end,) = [one.getMessage() for one in log.records if hasattr(one, "duration")]
    assert f"({WHY}" in end
    assert [one for one in log.records if one.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
async def test_a_handler_is_told_if_the_middlewares_have_returned_without_an_answer(
    autojump_clock, nursery, log, server, seen
):
    def leaving(app: Any) -> Any:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            async def run() -> None:
                with suppress(OSError):
                    await app(scope, trio.sleep_forever, drop)

            nursery.start_soon(run)
            await trio.sleep(0.2)

        return middleware

    route = Route("r")
    route.post(waits)
    app = Triows(route, middlewares=[leaving], timeouts=Timeouts(disconnect_grace=GRACE))
    async with app.running(), server(app, "POST"):
        await trio.sleep(0.2 + GRACE + 0.3)
        assert tree(app).requests == ()
    assert seen == ["HandlerCancelled"]
    (end,) = [one.getMessage() for one in log.records if hasattr(one, "duration")]
    assert f"not answered ({WHY}; the handler did not end within its disconnect_grace" in end


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
async def test_a_handler_that_ends_within_its_grace_is_not_cancelled(
    autojump_clock, log, server, seen
):
    async def handler(_: Held) -> str:
        await trio.sleep(1)
        return "in time"

    route = Route("r")
    route.post(handler)
    app = Triows(route, middlewares=[answering], timeouts=Timeouts(disconnect_grace=GRACE))
    async with app.running(), server(app, "POST"):
        await trio.sleep(3)
    assert seen == ["committed"]
    assert [one for one in log.records if one.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
async def test_a_response_that_the_middleware_has_taken_whole_is_a_usual_one(
    autojump_clock, log, server, seen
):
    class Rewriting(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            taken = [part async for part in (await call_next(request)).body_iterator]
            return PlainTextResponse(b"".join(taken).upper())

    async def handler(_: Held) -> AsyncIterator[bytes]:
        yield b"one"
        await trio.sleep(1)
        yield b"two"

    route = Route("r")
    route.post(handler)
    app = Triows(route, middlewares=[Rewriting])
    async with app.running(), server(app, "POST") as sent:
        await trio.sleep(3)
        (response,), _ = read_responses(sent(), "POST")
    assert response[2] == b"ONETWO"
    assert seen == ["committed"]
    (end,) = [one.getMessage() for one in log.records if hasattr(one, "duration")]
    assert "answered 200 after" in end
