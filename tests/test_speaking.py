"""Middleware that speaks to the peer itself, in memory. See :mod:`tests.server.test_speaking`."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.speaking import CASES, WRAPPED, Case, Seen, application, check, wrapping
from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute, WebSocketStateError
from triows.testing import WebSocketDenialResponse, open_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows.testing import AppClient


async def seen_by(client: AppClient) -> Seen:
    """Connect, send a command, and return what comes."""
    messages: list[str] = []
    try:
        async with client.websocket_connect("/x") as session:
            with suppress(WebSocketDisconnect):
                await session.send_text("command")
            try:
                while True:
                    messages.append(await session.receive_text())
            except WebSocketDisconnect as exc:
                return Seen(101, tuple(messages), exc.code)
    except WebSocketDenialResponse as exc:
        return Seen(exc.status_code)


async def run(case: Case, caplog: pytest.LogCaptureFixture, *inside: object) -> None:
    app, story = application(case, *inside)
    with caplog.at_level(logging.INFO, "triows"):
        async with open_app(app, raise_app_exceptions=False) as client:
            seen = await seen_by(client)
    check(case, story, seen, caplog)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_middleware_and_the_application_share_one_state(case, caplog, autojump_clock):
    await run(case, caplog)


@pytest.mark.parametrize("case", WRAPPED, ids=lambda case: case.name)
async def test_they_do_so_behind_a_middleware_that_wraps_the_events(case, caplog, autojump_clock):
    await run(case, caplog, wrapping)


def echoing(*middlewares: Any) -> Triows:
    route = WebSocketRoute("x", middlewares=middlewares)

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text(await ws.receive_text())

    return Triows(route)


def middleware(function: Callable[..., Any]) -> Any:
    """Make a middleware of a function that takes the application and what it is called with."""

    def around(app: Any) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            await function(app, scope, receive, send)

        return call

    return around


async def silent(app: Any, scope: Any, receive: Any, send: Any) -> None:
    pass


async def accepting(app: Any, scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})


async def failing(app: Any, scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("mine")


async def swallowing(app: Any, scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.close"})
    with suppress(Exception):
        await app(scope, receive, send)


@pytest.mark.parametrize(
    ("function", "line", "error"),
    [
        (silent, r"\S+ '/x' refused 500 \(nobody has answered.*test_speaking", "nobody has"),
        (accepting, r"\S+ '/x' closed 1011 \(this connection was accepted", "was accepted"),
        (failing, r"\S+ '/x' refused 500$", "mine"),
        (
            swallowing,
            r"\S+ '/x' refused 403 \(the middleware .* has",
            "has refused this connection",
        ),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
async def test_what_is_left_open_is_one_line_and_one_error(
    function, line, error, nested, caplog, autojump_clock
):
    app = echoing(middleware(function))
    if nested:
        outer = Triows(middlewares=[wrapping])
        outer.mount("/", app)
        app = outer
    with caplog.at_level(logging.INFO, "triows"):
        async with open_app(app, raise_app_exceptions=False) as client:
            await seen_by(client)
    texts = [one.getMessage() for one in caplog.records if not one.exc_info]
    lines = [text for text in texts if "'/x'" in text]
    assert len(lines) == 1
    assert re.match(line, lines[0])
    (reported,) = [one.exc_info[1] for one in caplog.records if one.exc_info]
    assert error in str(reported)


@pytest.mark.parametrize("wraps", [False, True])
async def test_a_middleware_may_look_whether_there_is_an_event_before_it_calls(
    wraps, autojump_clock
):
    async def looking(app: Any, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        with trio.CancelScope() as scope_:
            scope_.cancel()
            await receive()
        await app(scope, receive, send)

    app = echoing(middleware(looking), *([sending] if wraps else []))
    async with open_app(app) as client:
        assert await seen_by(client) == Seen(101, ("command",), 1000)


def sending(app: Any) -> Any:
    """Middleware that wraps only ``send``."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        async def sent(event: Any) -> None:
            await send(event)

        await app(scope, receive, sent)

    return call


async def test_a_middleware_that_receives_all_the_time_is_told_to_wrap_receive(autojump_clock):
    async def watching(app: Any, scope: Any, receive: Any, send: Any) -> None:
        async def watch() -> None:
            while True:
                await receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked()
            await app(scope, receive, send)

    app = echoing(middleware(watching))
    with pytest.RaisesGroup(pytest.RaisesExc(WebSocketStateError, match="of your own, which")):
        async with open_app(app) as client:
            await seen_by(client)


async def test_a_mounted_application_that_does_not_answer_is_named(autojump_clock):
    async def mute(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    app = Triows()
    app.mount("/", mute)
    with pytest.raises(WebSocketStateError, match=r"the mounted application .*mute\) returned"):
        async with open_app(app) as client:
            await seen_by(client)
