"""A connection that middleware or a mounted application leaves open is answered all the same."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio

from tests.transports.scripted import CONNECT, ScriptedServer
from triows import WebSocketStateError
from triows._transports.connection import current
from triows._websocket.answering import answered

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close", "code": 4001, "reason": "enough"}


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer()


OPTIONS: Any = {
    "who": "the middleware",
    "is_wrapped": True,
    "shutdown_code": 4000,
    "patience": 5,
}


async def answer(app: Any, server: ScriptedServer) -> None:
    await server.put(CONNECT)
    scope = {**server.scope, "path": "/room", "client": ("10.0.0.1", 1234)}
    ways = server.receive, server.send
    await answered(app, scope, *ways, **OPTIONS)


def told(server: ScriptedServer) -> list[Any]:
    """What the peer was told: statuses and codes."""
    return [event.get("status") or event.get("code") for event in server.sent if len(event) > 2]


async def closes(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPT)
    await send(CLOSE)


async def test_an_application_that_answers_is_left_alone(server, log):
    await answer(closes, server)
    assert (server.sent, log.messages) == ([ACCEPT, CLOSE], [])


async def returns(scope: Any, receive: Any, send: Any) -> None: ...


async def accepts(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPT)


@pytest.mark.parametrize(
    ("app", "end", "line"),
    [
        (returns, 500, "'/room' refused 500 (nobody has answered this connection: the middleware"),
        (accepts, 1011, "'/room' closed 1011 (this connection was accepted ("),
    ],
)
async def test_what_is_left_open_is_an_error_an_answer_and_a_line(server, log, app, end, line):
    with pytest.raises(WebSocketStateError):
        await answer(app, server)
    assert told(server) == [end]
    (message,) = log.messages
    assert message.startswith(f"10.0.0.1:1234 {line}")


@pytest.mark.parametrize(("accepted", "end"), [(False, 500), (True, 1011)])
async def test_an_error_of_the_application_is_raised_when_the_peer_was_told(server, accepted, end):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if accepted:
            await accepts(scope, receive, send)
        raise LookupError

    with pytest.raises(LookupError):
        await answer(app, server)
    assert told(server) == [end]


@pytest.mark.parametrize(("accepted", "end"), [(False, 503), (True, 4000)])
async def test_when_it_is_cancelled_the_peer_is_told_of_a_shutdown(
    autojump_clock, server, accepted, end
):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if accepted:
            await accepts(scope, receive, send)
        await trio.sleep_forever()

    with trio.move_on_after(1) as scope:
        await answer(app, server)
    assert scope.cancelled_caught
    assert told(server) == [end]


async def test_the_connection_is_known_to_what_it_calls_and_to_nobody_else(server):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        connection = current.get()
        assert connection is not None
        seen.append((connection.who, receive.__self__ is connection))
        await closes(scope, receive, send)

    seen: list[Any] = []
    await answer(app, server)
    assert seen == [("the middleware", True)]
    assert current.get() is None


async def test_one_in_another_uses_the_connection_of_the_outer_one(server, log):
    async def outer(scope: Any, receive: Any, send: Any) -> None:
        ways = receive, send
        await answered(returns, scope, *ways, **{**OPTIONS, "who": "nobody"})

    with pytest.raises(WebSocketStateError, match="the middleware"):
        await answer(outer, server)
    assert told(server) == [500]
    assert len(log.messages) == 1
