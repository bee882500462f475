"""A server between its start and its end."""

from __future__ import annotations

import re
from contextvars import ContextVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.raw import handshake
from triows import Drain, Triows, WebSocket, WebSocketRoute
from triows._server.arrival import Addresses, Arrival
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

    async def ask(self, path="/site"):
        await self.link.client.send_all(REQUEST.replace(b"GET /", b"GET " + path.encode()))
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
