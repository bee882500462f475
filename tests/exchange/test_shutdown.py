"""How long a shutdown waits for a handler, depending on what its peer does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute as StarletteRoute

from triows import (
    EventStream,
    Route,
    ServerSentEvent,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketRoute,
)
from triows.testing import HTTPDisconnect, WebSocketSession, open_app

#: When a handler is cancelled, in seconds after the shutdown has begun.
GRACE, SHUTDOWN, CLOSE = 1, 10, 5

TIMEOUTS = Timeouts(disconnect_grace=GRACE, shutdown_grace=SHUTDOWN, close=CLOSE)


def wrapping(app: Any) -> Any:
    """Middleware that makes the endpoint use a transport on ASGI."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def wrapped_receive() -> Any:
            return await receive()

        await app(scope, wrapped_receive, send)

    return wrapped


def app_with(handler: Any, lane: str) -> Triows:
    route = WebSocketRoute("")
    route.endpoint(handler)
    if lane == "mounted":
        outer = Triows(timeouts=TIMEOUTS)
        outer.mount("/", Triows(route, timeouts=TIMEOUTS))
        return outer
    return Triows(route, timeouts=TIMEOUTS, middlewares=[wrapping] if lane == "ASGI" else [])


class Report:
    """A handler that doesn't look at its peer any more. It notes when it was cancelled."""

    def __init__(self) -> None:
        self.began = trio.Event()
        self.ended: float | None = None

    async def handler(self, ws: WebSocket) -> None:
        await ws.accept()
        await self.write()

    async def write(self) -> None:
        self.began.set()
        try:
            await trio.sleep(1000)
        finally:
            self.ended = trio.current_time()


async def seconds_left(
    app: Triows,
    report: Report,
    *,
    before: Callable[[WebSocketSession], Any] = lambda session: None,
    after: Callable[[WebSocketSession], Any] = lambda session: None,
) -> float:
    """
    Shut an application down, and return how long its handler goes on.

    Args:
        app: The application. It has one route, with the handler of *report*.
        report: The handler.
        before: What the peer does 0.25 s before the shutdown.
        after: What the peer does 2 s after the shutdown has begun.
    """
    async with open_app(app) as client, client.websocket_connect("/") as session:
        await report.began.wait()
        before(session)
        await trio.sleep(0.25)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.shutdown)
            await trio.sleep(2)
            after(session)
        session.reset()
    assert report.ended is not None
    return report.ended - began


lanes = pytest.mark.parametrize("lane", ["stream", "ASGI", "mounted"])


@lanes
async def test_an_answer_to_1001_leaves_the_handler_all_of_its_grace(autojump_clock, lane):
    report = Report()
    assert await seconds_left(app_with(report.handler, lane), report) == SHUTDOWN


@lanes
async def test_a_peer_that_answered_and_then_leaves_changes_nothing(autojump_clock, lane):
    report = Report()
    app = app_with(report.handler, lane)
    left = await seconds_left(app, report, after=lambda session: session.reset())
    assert left == SHUTDOWN


@lanes
async def test_a_peer_that_left_before_leaves_what_is_left_of_its_grace(autojump_clock, lane):
    report = Report()
    app = app_with(report.handler, lane)
    left = await seconds_left(app, report, before=lambda session: session.reset())
    assert left == GRACE - 0.25


@lanes
async def test_a_peer_that_leaves_without_an_answer_leaves_the_handler_its_grace(
    autojump_clock, lane
):
    report = Report()
    left = await seconds_left(
        app_with(report.handler, lane),
        report,
        before=lambda session: session.stop_reading(),
        after=lambda session: session.reset(),
    )
    assert left == 2 + GRACE


@lanes
async def test_a_peer_whose_link_is_cut_has_the_time_of_a_closing_handshake(autojump_clock, lane):
    report = Report()
    app = app_with(report.handler, lane)
    left = await seconds_left(app, report, before=lambda session: session.vanish())
    assert left == CLOSE + GRACE


@lanes
async def test_a_handler_that_closed_itself_is_not_cut_short_by_a_peer_that_answered(
    autojump_clock, lane
):
    report = Report()

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close()
        await report.write()

    assert await seconds_left(app_with(handler, lane), report) == SHUTDOWN


@lanes
async def test_a_peer_that_never_answered_the_handlers_own_close_does_not_hold_it_up(
    autojump_clock, lane
):
    report = Report()

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()
        await ws.close()
        await report.write()

    app = app_with(handler, lane)
    async with open_app(app) as client, client.websocket_connect("/") as session:
        await session.send("go on")
        session.stop_reading()
        await report.began.wait()
        session.reset()
        await trio.sleep(100)
        assert report.ended is None
        began = trio.current_time()
        await client.shutdown()
    assert report.ended is not None
    assert report.ended - began == GRACE


async def test_a_peer_that_left_before_accept_does_not_hold_up_a_shutdown(autojump_clock):
    report = Report()

    async def handler(ws: WebSocket) -> None:
        await report.write()

    route = WebSocketRoute("")
    route.endpoint(handler)
    app = Triows(route, timeouts=Timeouts(accept=100, disconnect_grace=GRACE))

    async def visit() -> None:
        with visiting:
            async with client.websocket_connect("/"):
                pass

    visiting = trio.CancelScope()
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(visit)
        await report.began.wait()
        visiting.cancel()
        await trio.sleep(0.25)
        began = trio.current_time()
        await client.shutdown()
    assert report.ended is not None
    assert report.ended - began == GRACE - 0.25


# Applications that aren't ours


def starlette_with(report: Report) -> Triows:
    async def handler(websocket: Any) -> None:
        await websocket.accept()
        await report.write()

    app = Triows(timeouts=TIMEOUTS)
    app.mount("/", Starlette(routes=[StarletteRoute("/", handler)]))
    return app


async def test_another_application_has_its_grace_where_the_peer_answers(autojump_clock):
    report = Report()
    assert await seconds_left(starlette_with(report), report) == SHUTDOWN


async def test_another_application_does_not_hold_up_a_shutdown_for_a_peer_that_left(
    autojump_clock,
):
    report = Report()
    app = starlette_with(report)
    left = await seconds_left(app, report, before=lambda session: session.reset())
    assert left == GRACE


async def test_another_application_does_not_hold_up_a_shutdown_for_a_peer_that_leaves(
    autojump_clock,
):
    report = Report()
    left = await seconds_left(
        starlette_with(report),
        report,
        before=lambda session: session.stop_reading(),
        after=lambda session: session.reset(),
    )
    assert left == 2 + GRACE


async def test_a_handler_behind_middleware_is_not_told_of_the_shutdown_as_of_its_peers_end(
    autojump_clock,
):
    """There are so many connections that the first peers answer before the last ones are told."""
    ended: list[float] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send("here")
        try:
            await trio.sleep(1000)
        finally:
            ended.append(trio.current_time())

    async def visit() -> None:
        async with client.websocket_connect("/") as session:
            assert await session.receive() == "here"
            ready.append(session)
            await session.expect_close(1001, timeout=1000)

    ready: list[WebSocketSession] = []
    async with open_app(app_with(handler, "ASGI")) as client, trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(visit)
        await trio.sleep(1)
        assert len(ready) == 50
        await client.shutdown()
    assert ended == [1 + SHUTDOWN] * 50


@pytest.mark.parametrize(("path", "grace"), [("/events", GRACE), ("/parts", SHUTDOWN)])
async def test_a_stream_of_events_has_only_the_disconnect_grace_since_it_never_ends(
    autojump_clock, path, grace
):
    events, parts = Route("events"), Route("parts")

    @events.get
    async def send_events() -> EventStream:
        yield ServerSentEvent("one")
        await trio.sleep_forever()

    @parts.get
    async def send_parts() -> AsyncIterator[bytes]:
        yield b"one"
        await trio.sleep_forever()

    async with (
        open_app(Triows(events, parts, timeouts=TIMEOUTS)) as client,
        client.stream("GET", path) as response,
    ):
        await response.receive()
        await client.shutdown()
        assert trio.current_time() == grace
        with pytest.raises(HTTPDisconnect):
            await response.receive()
