"""A server between its start and its end."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
import trio
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.raw import handshake
from tests.scale import SCALE
from triows import Drain, Request, Route, Timeouts, Triows, WebSocket, WebSocketRoute
from triows._server.arrival import Addresses, Arrival
from triows._server.budget import AIR, Budget
from triows._server.config import Config
from triows._server.server import open_server
from triows.testing._memory import MemoryLink, MemoryReactor

REQUEST = b"GET / HTTP/1.1\r\nhost: testserver\r\n\r\n"

where = ContextVar("where", default="nowhere")


async def site(scope, receive, send):
    """Say where the request is served."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": where.get().encode()})


def application():
    app = Triows()
    app.mount("/site", site)
    return app


class Reached:
    """A connection to a server, in memory."""

    def __init__(self, server, reactor):
        self.link = MemoryLink(2**16, reactor)
        self.closed = trio.Event()
        addresses = Addresses(("peer", 50_000), ("testserver", 80), secure=False)
        self._arrival = Arrival(self.link.wire, addresses)
        server.start(self._opening, self._close)

    def _opening(self):
        return self._arrival

    def _close(self):
        self.link.wire.close(abort=False)
        self.closed.set()

    async def say(self, path):
        await self.link.client.send_all(REQUEST.replace(b"GET /", b"GET " + path.encode()))

    async def ask(self, path="/site"):
        await self.say(path)
        answer, length = b"", None
        while length is None or len(answer.partition(b"\r\n\r\n")[2]) < length:
            answer += await self.link.client.receive_some()
            found = re.search(rb"content-length: (\d+)\r\n.*\r\n\r\n", answer, re.DOTALL)
            length = found and int(found[1])
        return answer


@pytest.fixture
def reactor():
    return MemoryReactor()


async def test_a_server_serves_from_the_beginning_of_its_block(autojump_clock, reactor):
    app = application()
    async with app.running(), open_server(app, Config(), reactor=reactor) as server:
        assert b"200" in await Reached(server, reactor).ask()
        assert server.connections == 1
        await server.shut_down(Drain())
    assert server.connections == 0


async def test_its_block_ends_when_it_was_shut_down_and_all_have_ended(autojump_clock, reactor):
    app = application()
    async with app.running():
        async with open_server(app, Config(), reactor=reactor) as server, trio.open_nursery() as n:
            silent = Reached(server, reactor)
            n.start_soon(server.wait_ended)
            await wait_all_tasks_blocked()
            assert len(n.child_tasks) == 1
            await server.shut_down(Drain())
        assert silent.closed.is_set()


async def test_a_cancelled_block_ends_all_connections(autojump_clock, reactor):
    app = application()
    async with app.running():
        with trio.move_on_after(1):
            async with open_server(app, Config(), reactor=reactor) as server:
                silent = Reached(server, reactor)
                await trio.sleep_forever()
        assert silent.closed.is_set()


async def test_an_error_in_the_block_goes_on_after_the_end(autojump_clock, reactor):
    app = application()
    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        async with app.running(), open_server(app, Config(), reactor=reactor) as server:
            silent = Reached(server, reactor)
            raise ValueError("mine")
    assert silent.closed.is_set()


async def test_a_server_that_has_ended_takes_no_connection(autojump_clock, reactor):
    app = application()
    async with app.running():
        async with open_server(app, Config(), reactor=reactor) as server:
            await server.shut_down(Drain())
        with pytest.raises(RuntimeError):
            Reached(server, reactor)
    assert server.connections == 0


async def test_a_connection_has_the_variables_of_the_server_and_not_those_of_its_caller(
    autojump_clock, reactor
):
    app = application()
    where.set("the server")
    async with app.running(), open_server(app, Config(), reactor=reactor) as server:
        where.set("the caller")
        assert b"the server" in await Reached(server, reactor).ask()
        await server.shut_down(Drain())


async def test_a_server_that_cannot_end_says_what_has_not_ended(autojump_clock, reactor, caplog):
    class Stubborn:
        async def __call__(self, scope, receive, send):
            with trio.CancelScope(shield=True):
                await trio.sleep(100)

    app = Triows()
    app.mount("/", Stubborn())
    async with app.running(), open_server(app, Config(), reactor=reactor) as server:
        connection = Reached(server, reactor)
        await connection.link.client.send_all(REQUEST)
        await wait_all_tasks_blocked()
        await server.shut_down(Drain(), grace=1)
        await server.warn_of_rest()
        assert "the server can't end" in caplog.text
        assert "Stubborn" in caplog.text


async def test_a_handshake_that_came_before_the_shutdown_is_not_refused(autojump_clock, reactor):
    app = application()

    async def greet(ws: WebSocket) -> None:
        await ws.accept()

    route = WebSocketRoute("/greet")
    route.endpoint(greet)
    app.include_routes(route)
    async with app.running(), open_server(app, Config(), reactor=reactor) as server:
        connection = Reached(server, reactor)
        await connection.link.client.send_all(handshake("/greet"))
        await server.shut_down(Drain())
        assert (await connection.link.client.receive_some()).startswith(b"HTTP/1.1 101")


# What a drain does with newcomers and with idle connections


def inquiring() -> Triows:
    """An application that says whether it is ready, and that serves WebSockets."""
    return Triows(*inquiring_routes())


def inquiring_routes() -> list[Route | WebSocketRoute]:
    ready, chat, slow = Route("ready"), WebSocketRoute("chat"), Route("slow/{seconds}")

    @ready.get
    async def is_ready(request: Request) -> str:
        return "ready" if request.app.ready else "not ready"

    @chat.endpoint
    async def talk(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()

    @slow.get
    async def wait(seconds: float) -> str:
        await trio.sleep(seconds)
        return "done"

    return [ready, chat, slow]


@asynccontextmanager
async def draining(drain, reactor, app=None):
    """Open a server, and give a function that begins to shut it down."""
    app = app or inquiring()
    async with (
        app.running(),
        open_server(app, Config(), reactor=reactor) as server,
        trio.open_nursery() as nursery,
    ):

        async def begin() -> None:
            nursery.start_soon(server.shut_down, drain)
            await wait_all_tasks_blocked()

        yield server, begin


async def test_an_application_is_ready_between_its_start_up_and_the_first_moment_of_a_drain(
    autojump_clock, reactor
):
    inner, seen = inquiring(), []

    @asynccontextmanager
    async def lifespan(app):
        seen.append(app.ready)
        yield

    app = Triows(lifespan=lifespan)
    app.mount("/inner", inner)
    async with draining(Drain(delay=5), reactor, app) as (_, begin):
        later = inquiring()
        app.mount("/later", later)
        seen.append((app.ready, inner.ready, later.ready))
        await begin()
        seen.append((app.ready, inner.ready, later.ready))
    assert seen == [False, (True,) * 3, (False,) * 3]
    assert not app.ready
    async with app.running():
        assert app.ready


async def test_a_cancelled_server_is_not_ready_while_its_connections_end(autojump_clock, reactor):
    seen = []
    route = Route("last")

    @route.get
    async def last(request: Request) -> str:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)
            seen.append(request.app.ready)

    app = Triows(route)
    async with app.running():
        with trio.move_on_after(1):
            async with open_server(app, Config(), reactor=reactor) as server:
                await Reached(server, reactor).say("/last")
                await trio.sleep_forever()
    assert seen == [False]


async def test_during_the_delay_everybody_is_served_and_each_response_is_the_last(
    autojump_clock, reactor
):
    async with draining(Drain(delay=5), reactor) as (server, begin):
        before = Reached(server, reactor)
        assert b"connection: close" not in (await before.ask("/ready")).lower()
        await begin()
        await trio.sleep(4)
        for one in (before, Reached(server, reactor)):
            answer = await one.ask("/ready")
            assert b"not ready" in answer
            assert b"connection: close" in answer.lower()
        chat = Reached(server, reactor)
        await chat.link.client.send_all(handshake("/chat"))
        assert (await chat.link.client.receive_some()).startswith(b"HTTP/1.1 101")
        assert server.is_listening
        await trio.sleep(1.1)
        assert not server.is_listening


@pytest.mark.parametrize(("idle", "open_after"), [(1, True), (0, False)])
async def test_an_idle_connection_stays_for_another_request(
    autojump_clock, reactor, idle, open_after
):
    async with draining(Drain(idle=idle), reactor) as (server, begin):
        busy, left = Reached(server, reactor), Reached(server, reactor)
        for one in (busy, left):
            await one.ask("/ready")
        await begin()
        await trio.sleep(0.9)
        assert [one.closed.is_set() for one in (busy, left)] == [not open_after] * 2
        if open_after:
            answer = await busy.ask("/ready")
            assert b"not ready" in answer
            assert b"connection: close" in answer.lower()
            await trio.sleep(0.2)
            assert left.closed.is_set()


async def test_a_request_on_an_idle_connection_has_what_is_left_of_the_grace(
    autojump_clock, reactor
):
    async with draining(Drain(), reactor) as (server, begin):
        one = Reached(server, reactor)
        await one.ask("/ready")
        await begin()
        await trio.sleep(0.9)
        # This is more than graceful_timeout, and there was no request when the drain began.
        assert b"done" in await one.ask("/slow/8")


async def test_a_websocket_on_an_idle_connection_is_left_to_whoever_keeps_it(
    autojump_clock, reactor
):
    async with draining(Drain(), reactor) as (server, begin):
        one = Reached(server, reactor)
        await one.ask("/ready")
        await begin()
        await one.link.client.send_all(handshake("/chat"))
        # A proxy repeats it at another server. It would pass a 503 on.
        assert await one.link.client.receive_some() == b""


async def test_a_part_of_a_head_gives_an_idle_connection_no_more_time(autojump_clock, reactor):
    async with draining(Drain(), reactor) as (server, begin):
        one = Reached(server, reactor)
        await one.ask("/ready")
        await begin()
        await trio.sleep(0.9)
        await one.link.client.send_all(b"\r\nGET / HT")
        await trio.sleep(0.2)
        assert one.closed.is_set()


#: What a peer sends, or the last of it. It reads nothing.
FIRST = {
    "silent": b"",
    "idle": b"",
    "partial": REQUEST[:-1],
    "chat": handshake("/chat"),
    "slow": REQUEST.replace(b"GET /", b"GET /slow/1"),
    "endless": REQUEST.replace(b"GET /", b"GET /slow/1000"),
}

seconds = st.sampled_from([0, 0.2, 1, 3])


@pytest.mark.unmeasured
@settings(max_examples=40 * SCALE, deadline=None)
@given(
    drain=st.builds(Drain, delay=seconds, idle=seconds, listen=st.booleans()),
    timeouts=st.builds(
        Timeouts,
        shutdown_grace=seconds,
        disconnect_grace=seconds,
        close=st.sampled_from([0.1, 0.5]),
        teardown=st.sampled_from([0.1, 0.5]),
    ),
    peers=st.lists(
        st.tuples(st.sampled_from(sorted(FIRST)), st.sampled_from([-1, 0.1, 0.9, 2.5, 5]))
    ),
    order=st.random_module(),
)
def test_a_drain_takes_no_longer_than_its_budget(drain, timeouts, peers, order):
    """Peers never close their side. They come before the drain, or so many seconds after it."""
    app = Triows(*inquiring_routes(), timeouts=timeouts)
    budget = Budget.of(app, drain)

    async def come(server, reactor, kind, at) -> None:
        await trio.sleep(1 + at)
        if not server.is_listening:
            return
        one = Reached(server, reactor)
        if kind in {"idle", "partial"}:
            await one.say("/ready")
            await wait_all_tasks_blocked()
        await one.link.client.send_all(FIRST[kind])

    async def run() -> float:
        reactor = MemoryReactor()
        async with app.running(), trio.open_nursery() as nursery:
            async with open_server(app, Config(), reactor=reactor) as server:
                for kind, at in peers:
                    nursery.start_soon(come, server, reactor, kind, at)
                await trio.sleep(1)
                await server.shut_down(drain)
            nursery.cancel_scope.cancel()
            return trio.current_time() - 1

    took = trio.run(run, clock=MockClock(autojump_threshold=0))
    # The resources of the application exit after that, and a busy machine needs some air.
    most = budget.graceful - timeouts.teardown - AIR
    assert drain.delay - 1e-6 <= took <= most + 1e-6
