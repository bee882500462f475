"""A connection whose request asks for a WebSocket, on a wire for tests."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from attrs import evolve, frozen

from tests.transports.scripted_wire import QUIET, ScriptedWire, close
from triows import Triows, WebSocket, WebSocketRoute
from triows._protocol.heads import read_head
from triows._server.arrival import Addresses
from triows._server.config import Config
from triows._server.guarded import GuardedTasks
from triows._server.scopes import ScopeSettings
from triows._server.upgraded import Services, Upgraded
from triows._transports.cork import Cork
from triows._transports.pinger import Pinger
from triows._transports.turn import Turn

ADDRESSES = Addresses(("peer", 50_000), ("testserver", 80), secure=False)
HEADERS = [
    b"host: testserver",
    b"connection: upgrade",
    b"upgrade: websocket",
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-version: 13",
]


class Connection:
    """What is needed of the connection that has read the request."""

    def __init__(self, wire, addresses, early):
        self.wire, self.addresses, self._early = wire, addresses, early

    def take_rest(self):
        return self._early

    def take_over(self, sink):
        """Do nothing: the wire gives all that comes to whoever starts it last."""


class Log:
    """Hypercorn's logger, as far as it is asked for the access log."""

    def __init__(self):
        self.lines = []

    async def access(self, request, response, seconds):
        self.lines.append((request["path"], response["status"], seconds))


@pytest.fixture
def scopes():
    """The scopes that the application gets."""
    return []


@pytest.fixture
def app(scopes):
    route = WebSocketRoute("/{rest:path}")

    @route.endpoint
    async def echo(ws: WebSocket, rest: str) -> None:
        scopes.append(ws.scope)
        await ws.accept()
        async for message in ws:
            await ws.send(message)

    return Triows(route, timeouts=QUIET)


@pytest.fixture
def config():
    made = Config()
    made.accesslog, made._log = "-", Log()
    return made


@pytest.fixture
def wire():
    return ScriptedWire()


@pytest.fixture
def around():
    """The scope around the task."""
    return trio.CancelScope()


@pytest.fixture
def serve(app, config, wire, nursery, around):
    async def serve(target="/", headers=HEADERS, early=b"", addresses=ADDRESSES, app=app):
        head = read_head(b"\r\n".join([b"GET %s HTTP/1.1" % target.encode(), *headers]))
        tasks = GuardedTasks(nursery)
        turn = Turn()
        own, scopes = (lambda: b"server: scripted\r\n"), ScopeSettings("", has_raw_headers=False)
        pinger = Pinger()
        nursery.start_soon(pinger.run)
        services = Services(pinger, turn, Cork(turn), tasks, {}, own, scopes)
        connection = Connection(wire, addresses, early)
        async with app.running():
            with around:
                await Upgraded(app, config, connection, head, services, around).serve()

    return serve


async def test_a_handshake_is_answered_and_the_connection_served_to_its_end(
    autojump_clock, serve, wire
):
    wire.says(b"\x81\x82\0\0\0\0hi" + close(1000))
    await serve()
    assert wire.head.startswith(b"HTTP/1.1 101 ")
    assert b"server: scripted" in wire.head
    assert wire.messages == [b"hi"]
    assert wire.close_code == 1000
    assert wire.end is not None


async def test_bytes_that_came_with_the_request_are_the_first_ones(autojump_clock, serve, wire):
    wire.says(close(1000))
    await serve(early=b"\x81\x82\0\0\0\0hi")
    assert wire.messages == [b"hi"]


async def test_the_scope_is_that_of_the_request(autojump_clock, serve, wire, scopes):
    wire.says(close(1000))
    secure = Addresses(None, ("testserver", 443), secure=True)
    await serve("/a%20b?c=d", addresses=secure)
    (scope,) = scopes
    assert scope["path"] == "/a b"
    assert scope["raw_path"] == b"/a%20b"
    assert scope["query_string"] == b"c=d"
    assert scope["scheme"] == "wss"
    assert scope["client"] is None
    assert scope["server"] == ("testserver", 443)


async def test_a_handshake_that_cannot_be_read_is_refused(autojump_clock, serve, wire, scopes):
    await serve(headers=[one for one in HEADERS if not one.startswith(b"sec-websocket-key")])
    assert wire.head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in wire.head
    assert scopes == []
    assert wire.end is not None


async def test_the_access_log_has_a_line_when_it_is_over(autojump_clock, serve, wire, config):
    wire.says(close(1000))
    await serve("/here")
    assert [line[:2] for line in config.log.lines] == [("/here", 101)]


async def test_the_access_log_has_a_line_for_a_refusal(autojump_clock, serve, config):
    await serve(headers=HEADERS[:3])
    assert [line[:2] for line in config.log.lines] == [("/", 400)]


async def test_without_an_access_log_there_is_no_line(autojump_clock, serve, wire, config):
    config.accesslog = None
    wire.says(close(1000))
    await serve()
    assert config.log.lines == []


async def test_a_log_that_takes_long_is_waited_for_as_long_as_a_close(
    autojump_clock, serve, wire, config
):
    class Slow:
        async def access(self, request, response, seconds):
            await trio.sleep_forever()

    config._log = Slow()
    wire.says(close(1000))
    began = trio.current_time()
    await serve()
    assert trio.current_time() - began == pytest.approx(QUIET.close)


# Code around the endpoint that isn't ours


@frozen
class Middleware:
    """Goes on after what is inside."""

    app: Any
    notes: list[str]

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)
        await trio.lowlevel.checkpoint()
        self.notes.append("went on")


class Extended(Triows):
    """An application with code of its own around what it does."""

    notes: list[str]

    async def __call__(self, scope, receive, send):
        await super().__call__(scope, receive, send)
        if scope["type"] == "websocket":
            await trio.lowlevel.checkpoint()
            self.notes.append("went on")


def stubborn(cls=Triows, *, of_route=(), **options):
    """Make an application whose handler has to be cancelled."""
    route = WebSocketRoute("/room", middlewares=of_route)

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await trio.sleep_forever()

    return cls(route, timeouts=evolve(QUIET, disconnect_grace=3), **options)


def around_it(notes):
    return lambda app: Middleware(app, notes)


def mounted(inner):
    outer = Triows(timeouts=QUIET)
    outer.mount("/", inner)
    return outer


async def test_what_cancels_a_handler_is_the_scope_around_the_task(
    autojump_clock, serve, wire, around
):
    wire.says(close(1000))
    started = trio.current_time()
    await serve("/room", app=stubborn())
    assert trio.current_time() - started == 3
    assert around.cancel_called
    # Whoever has lent it sees by this that it can't be used again.
    assert around.deadline < math.inf


async def test_a_handshake_that_is_not_answered_in_time_is_refused(autojump_clock, serve, wire):
    route = WebSocketRoute("/room")

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        await trio.sleep_forever()

    app = Triows(route, timeouts=evolve(QUIET, accept=7))
    started = trio.current_time()
    await serve("/room", app=app)
    assert wire.head.startswith(b"HTTP/1.1 500 ")
    assert trio.current_time() - started >= 7


@pytest.mark.parametrize(
    "make",
    [
        lambda notes: stubborn(middlewares=[around_it(notes)]),
        lambda notes: stubborn(of_route=[around_it(notes)]),
        lambda notes: mounted(around_it(notes)(stubborn())),
        lambda notes: mounted(stubborn(middlewares=[around_it(notes)])),
        lambda notes: attributed(stubborn(Extended), notes),
    ],
    ids=["application", "route", "mount", "mounted", "subclass"],
)
async def test_the_end_of_a_grace_cancels_nothing_around_the_handler(
    autojump_clock, serve, wire, make
):
    notes: list[str] = []
    wire.says(close(1000))
    await serve("/room", app=make(notes))
    assert notes == ["went on"]


def attributed(app, notes):
    app.notes = notes
    return app
