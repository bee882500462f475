import asyncio
import copy
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Annotated, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.connecting import connect, opened
from tests.transports.scripted import CONNECT, ScriptedServer
from triows import (
    AsyncResource,
    HandlerCancelled,
    ResourceExpired,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows._errors import leaves
from triows._running import ConnectionState


class Boom(Exception):
    pass


def serving(handler: Any, **settings: Any) -> Triows:
    route = WebSocketRoute("")
    route.endpoint(handler)
    return Triows(route, **settings)


async def idle(ws: WebSocket) -> None:
    await ws.accept()
    await ws.receive()


class Journal:
    """Makes resources that note when they enter and exit."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def resource(self, name: str, needs: Any = None) -> Any:
        async def plain() -> AsyncResource[str]:
            self.lines.append(f"+{name}")
            try:
                yield name
            finally:
                self.lines.append(f"-{name}")

        async def needing(other: Annotated[str, needs]) -> AsyncResource[str]:
            self.lines.append(f"+{name} of {other}")
            yield name
            self.lines.append(f"-{name}")

        return use(plain if needs is None else needing, scope="app")

    @asynccontextmanager
    async def lifespan(self, app: Triows) -> AsyncIterator[dict[str, Any]]:
        self.lines.append("+lifespan")
        try:
            yield {"greeting": "hello"}
        finally:
            self.lines.append("-lifespan")


def wanting(*marks: Any, **settings: Any) -> Triows:
    """An application with a route for each of the resources."""
    routes = []
    for number, mark in enumerate(marks):

        async def handler(ws: WebSocket, value: Annotated[str, mark]) -> None:
            await ws.accept()
            await ws.send(value)
            await ws.receive()

        route = WebSocketRoute(str(number))
        route.endpoint(handler)
        routes.append(route)
    return Triows(*routes, **settings)


# Start-up and shutdown


async def test_the_lifespan_comes_first_and_goes_last():
    journal = Journal()
    app = wanting(journal.resource("a"), journal.resource("b"), lifespan=journal.lifespan)
    async with app.running():
        assert journal.lines == ["+lifespan", "+a", "+b"]
    assert journal.lines[3:] == ["-b", "-a", "-lifespan"]


async def test_a_resource_comes_after_those_it_needs():
    journal = Journal()
    pool = journal.resource("pool")
    app = wanting(journal.resource("cache", needs=pool), pool)
    async with app.running():
        pass
    assert journal.lines == ["+pool", "+cache of pool", "-cache", "-pool"]


async def test_a_resource_of_the_application_is_one_for_all_connections():
    journal = Journal()
    app = wanting(journal.resource("pool"))
    async with opened(app):
        for _ in range(3):
            async with connect(app, "/0") as client:
                assert await client.receive() == "pool"
    assert journal.lines == ["+pool", "-pool"]


async def test_what_the_lifespan_yields_is_in_the_state_of_each_connection():
    seen = []

    async def handler(ws: WebSocket) -> None:
        seen.append((ws.state.greeting, getattr(ws.state, "mine", None)))
        ws.state.mine = "changed"
        ws.state.greeting = "changed"
        await ws.accept()
        await ws.close()

    app = serving(handler, lifespan=Journal().lifespan)
    async with opened(app):
        for _ in range(2):
            async with connect(app, "/") as client:
                with pytest.raises(WebSocketDisconnect):
                    await client.receive()
    assert seen == [("hello", None)] * 2


async def test_a_lifespan_may_be_a_plain_async_generator_that_yields_nothing():
    notes = []

    async def lifespan(app: Triows) -> AsyncIterator[None]:
        notes.append(app)
        yield
        notes.append("end")

    app = serving(idle, lifespan=lifespan)
    async with connect(app, "/"):
        pass
    assert notes == [app, "end"]


async def test_a_failing_start_exits_what_was_entered_and_is_raised():
    journal = Journal()

    async def broken(pool: Annotated[str, journal.resource("pool")]) -> AsyncResource[str]:
        raise Boom
        yield ""

    app = wanting(use(broken, scope="app"), lifespan=journal.lifespan)
    with pytest.raises(Boom):
        async with app.running():
            raise AssertionError
    assert journal.lines == ["+lifespan", "+pool", "-pool", "-lifespan"]
    assert not app.is_running


async def test_after_a_failed_start_it_can_be_started_again():
    failures = [Boom()]

    async def flaky() -> str:
        if failures:
            raise failures.pop()
        return "up"

    app = wanting(use(flaky, scope="app"))
    with pytest.raises(Boom):
        async with app.running():
            raise AssertionError
    async with connect(app, "/0") as client:
        assert await client.receive() == "up"


class Around:
    def __init__(self, app: Triows) -> None:
        self.state = {"greeting": "hello"}

    async def __aenter__(self) -> dict[str, str]:
        return self.state

    async def __aexit__(self, *_: object) -> None: ...


async def as_generator(app: Triows) -> AsyncIterator[dict[str, str]]:
    yield {"greeting": "hello"}


def as_sync_generator(app: Triows) -> Iterator[dict[str, str]]:
    yield {"greeting": "hello"}


class Callable:
    async def __call__(self, app: Triows) -> AsyncIterator[dict[str, str]]:
        yield {"greeting": "hello"}


async def with_more(database: str, app: Triows) -> AsyncIterator[dict[str, str]]:
    yield {"greeting": database}


@pytest.mark.parametrize(
    "lifespan",
    [
        as_generator,
        as_sync_generator,
        asynccontextmanager(as_generator),
        contextmanager(as_sync_generator),
        Around,
        Callable(),
        partial(with_more, "hello"),
        partial(asynccontextmanager(with_more), "hello"),
    ],
)
async def test_a_lifespan_may_be_anything_that_is_around_the_application(lifespan):
    seen = []

    async def handler(ws: WebSocket) -> None:
        seen.append(ws.state.greeting)
        await ws.accept()

    async with connect(serving(handler, lifespan=lifespan), "/"):
        pass
    assert seen == ["hello"]


async def test_a_lifespan_that_yields_no_state_is_told_what_to_yield():
    async def lifespan(app: Triows) -> AsyncIterator[str]:
        yield "database"

    with pytest.raises(TypeError, match="yielded a str: yield a dict") as caught:
        async with Triows(lifespan=lifespan).running():
            pass
    assert f"{__file__}:{lifespan.__code__.co_firstlineno}" in str(caught.value)


async def test_after_the_end_it_serves_clients_without_its_lifespan_and_no_state_is_left():
    seen = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()

    def looking(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["state"])
            await app(scope, receive, send)

        return wrapped

    app = serving(handler, lifespan=Journal().lifespan, middlewares=[looking])
    async with app.running():
        pass
    server = ScriptedServer()
    await server.put(CONNECT)
    await server.put({"type": "websocket.disconnect", "code": 1000})
    scope = {**server.scope, "path": "/", "headers": [], "query_string": b"", "state": {}}
    await app.handle(scope, server.receive, server.send)
    assert server.sent[0]["type"] == "websocket.accept"
    assert seen == [{}]


async def test_an_application_that_was_drained_by_hand_stays_closed_until_it_runs_again():
    app = serving(idle)
    await app.drain()
    server = ScriptedServer()
    await server.put(CONNECT)
    scope = {**server.scope, "path": "/", "headers": [], "query_string": b"", "state": {}}
    await app.handle(scope, server.receive, server.send)
    assert server.sent[0]["status"] == 503


async def test_an_application_runs_once_at_a_time():
    app = serving(idle)
    async with app.running():
        with pytest.raises(RuntimeError, match="running already: serve it once"):
            async with app.running():
                raise AssertionError
        assert app.is_running
    assert not app.is_running


async def test_connections_that_are_left_are_closed_before_the_resources_exit(autojump_clock):
    journal = Journal()
    ended = []

    async def handler(ws: WebSocket, pool: Annotated[str, journal.resource("pool")]) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            ended.append((trio.current_time(), list(journal.lines)))

    app = serving(handler, timeouts=Timeouts(shutdown_grace=3))
    async with opened(app) as client, client.websocket_connect("/") as ws:
        await trio.sleep(5)
        await client.shutdown()
        await ws.expect_close(1001)
    assert ended == [(8, ["+pool"])]
    assert journal.lines == ["+pool", "-pool"]


async def test_nobody_gets_in_while_the_resources_exit(autojump_clock):
    refused = []

    async def slow() -> AsyncResource[str]:
        yield "slow"
        await trio.sleep(2)

    app = wanting(use(slow, scope="app"))

    async def run() -> None:
        async with app.running():
            await trio.sleep(1)

    async def late() -> None:
        await trio.sleep(2)
        server = ScriptedServer()
        await server.put(CONNECT)
        scope = {**server.scope, "path": "/0", "headers": [], "query_string": b"", "state": {}}
        await app.handle(scope, server.receive, server.send)
        refused.append(server.sent[0]["status"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        nursery.start_soon(late)
    assert refused == [503]


async def test_when_it_is_cancelled_the_resources_exit_all_the_same(autojump_clock):
    seen = []

    async def guarded() -> AsyncResource[str]:
        try:
            yield "pool"
        except HandlerCancelled as exc:
            await trio.sleep(1)
            seen.append((exc.reason, str(exc), trio.current_time()))
            raise

    app = wanting(use(guarded, scope="app"))
    with trio.move_on_after(5) as scope:
        async with app.running(), trio.open_nursery():
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert seen == [("cancelled", "the application was cancelled", 6)]


async def test_a_lifespan_that_is_cancelled_resumes_unless_it_is_a_context_manager(autojump_clock):
    lines = []

    async def generator(app: Triows) -> AsyncIterator[None]:
        yield
        lines.append("generator")

    @asynccontextmanager
    async def manager(app: Triows) -> AsyncIterator[None]:
        yield
        lines.append("manager")

    @asynccontextmanager
    async def finishing(app: Triows) -> AsyncIterator[None]:
        try:
            yield
        finally:
            lines.append("finishing")

    for lifespan in (generator, manager, finishing):
        with trio.move_on_after(5):
            async with Triows(lifespan=lifespan).running():
                await trio.sleep_forever()
    assert lines == ["generator", "finishing"]


async def test_an_error_of_the_block_is_raised_at_the_yield_and_once():
    seen = []

    async def guarded() -> AsyncResource[str]:
        try:
            yield "pool"
        except Boom as exc:
            seen.append(exc)
            raise

    app = wanting(use(guarded, scope="app"))
    error = Boom()
    with pytest.raises(Boom) as caught:
        async with app.running():
            raise error
    assert caught.value is error
    assert seen == [error]


async def test_an_exit_that_fails_is_raised_and_the_others_exit():
    journal = Journal()

    async def bad(pool: Annotated[str, journal.resource("pool")]) -> AsyncResource[str]:
        yield "bad"
        raise Boom

    app = wanting(use(bad, scope="app"))
    with pytest.raises(Boom):
        async with app.running():
            pass
    assert journal.lines == ["+pool", "-pool"]


# A resource fails while the application runs


async def dying() -> AsyncResource[str]:
    async def die() -> None:
        await trio.sleep(5)
        raise Boom

    async with trio.open_nursery() as nursery:
        nursery.start_soon(die)
        yield "dying"


async def test_a_resource_that_dies_ends_the_application_with_its_error(autojump_clock):
    app = wanting(use(dying, scope="app"))
    with pytest.RaisesGroup(Boom, allow_unwrapped=True, flatten_subgroups=True):
        async with app.running():
            await trio.sleep_forever()
    assert trio.current_time() == 5
    assert not app.is_running


async def test_the_other_resources_are_told_that_one_died(autojump_clock):
    seen = []

    async def guarded() -> AsyncResource[str]:
        try:
            yield "guarded"
        except HandlerCancelled as exc:
            seen.append(str(exc))
            raise

    app = wanting(use(guarded, scope="app"), use(dying, scope="app"))
    with pytest.RaisesGroup(Boom, allow_unwrapped=True, flatten_subgroups=True):
        async with app.running():
            await trio.sleep_forever()
    assert seen == ["the application was cancelled: resource failed"]


async def test_peers_of_an_application_that_dies_are_told_1001(autojump_clock, caplog):
    caplog.set_level("INFO", "triows")
    app = wanting(use(dying, scope="app"))
    codes = []

    async def listen() -> None:
        async with opened(app), connect(app, "/0") as client:
            await client.receive()
            try:
                await client.receive(timeout=100)
            except WebSocketDisconnect as exc:
                codes.append(exc.code)
            await trio.sleep_forever()

    with pytest.raises(Boom):
        await listen()
    assert codes == [1001]
    assert "dying failed, so the application ends now" in caplog.messages
    assert "(a resource of the application failed, and the handler was cancelled)" in caplog.text


async def test_a_resource_whose_scope_expires_ends_the_application(autojump_clock):
    async def limited() -> AsyncResource[str]:
        with trio.move_on_after(5):
            yield "limited"

    app = wanting(use(limited, scope="app"))
    with pytest.raises(ResourceExpired, match="limited"):
        async with app.running():
            await trio.sleep_forever()


# For ASGI servers


class LifespanServer:
    """A server that runs an application's lifespan. The test says when to stop."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.stop = trio.Event()
        self._events = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive(self) -> Any:
        kind = next(self._events)
        if kind == "lifespan.shutdown":
            await self.stop.wait()
        return {"type": kind}

    async def send(self, event: Any) -> None:
        self.sent.append(event)

    async def run(self, app: Triows) -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, self.receive, self.send)


async def test_a_server_is_told_when_start_up_and_shutdown_are_complete():
    journal = Journal()
    app = wanting(journal.resource("pool"), lifespan=journal.lifespan)
    server = LifespanServer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, app)
        await wait_all_tasks_blocked()
        assert server.sent == [{"type": "lifespan.startup.complete"}]
        assert journal.lines == ["+lifespan", "+pool"]
        server.stop.set()
    assert server.sent[1:] == [{"type": "lifespan.shutdown.complete"}]
    assert journal.lines[2:] == ["-pool", "-lifespan"]


async def test_a_server_is_told_that_the_start_up_failed(caplog):
    async def broken() -> str:
        raise Boom("no database")

    server = LifespanServer()
    await server.run(wanting(use(broken, scope="app")))
    assert server.sent == [{"type": "lifespan.startup.failed", "message": "Boom: no database"}]
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.CRITICAL,
        "the application failed to start",
    )
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], Boom)


async def test_a_server_is_told_that_the_shutdown_failed(caplog):
    async def broken() -> AsyncResource[str]:
        yield ""
        raise Boom("can't flush")

    server = LifespanServer()
    server.stop.set()
    await server.run(wanting(use(broken, scope="app")))
    assert [event["type"] for event in server.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.failed",
    ]
    assert len(caplog.records) == 1


async def test_a_server_is_told_when_a_resource_dies(autojump_clock, caplog):
    server = LifespanServer()
    await server.run(wanting(use(dying, scope="app")))
    assert server.sent[1]["type"] == "lifespan.shutdown.failed"
    assert trio.current_time() == 5
    assert caplog.messages == [
        "dying failed, so the application ends now",
        "the application failed while it was served",
    ]


async def test_the_drain_of_a_server_that_just_stops_is_bounded(autojump_clock):
    """The server ends the lifespan while connections are open, as after its own grace."""

    async def stubborn(ws: WebSocket) -> None:
        await ws.accept()
        await trio.sleep_forever()

    app = serving(stubborn, timeouts=Timeouts(shutdown_grace=4))
    server = LifespanServer()
    peer = ScriptedServer()
    await peer.put(CONNECT)
    scope = {**peer.scope, "path": "/", "headers": [], "query_string": b"", "state": {}}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, app)
        await wait_all_tasks_blocked()
        nursery.start_soon(app, scope, peer.receive, peer.send)
        await wait_all_tasks_blocked()
        server.stop.set()
        await trio.sleep(app.drain_budget)
        assert server.sent[-1] == {"type": "lifespan.shutdown.complete"}


async def test_an_interrupt_in_the_shutdown_goes_on_at_once(autojump_clock, monkeypatch):
    async def interrupted(self, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Triows, "drain", interrupted)
    with pytest.RaisesGroup(KeyboardInterrupt):
        async with Triows().running():
            pass
    assert trio.current_time() == 0


# Code that needs asyncio's loop.


async def sleep_in_asyncio() -> None:
    await asyncio.sleep(1)


async def event_of_asyncio() -> None:
    await asyncio.Event().wait()


async def run_in_executor() -> None:
    await asyncio.to_thread(print)


@pytest.mark.parametrize("wait", [sleep_in_asyncio, event_of_asyncio, run_in_executor])
@pytest.mark.parametrize("place", ["handler", "factory", "lifespan"])
async def test_an_error_of_code_that_needs_asyncio_says_what_to_use(wait: Any, place: str):
    async def resource() -> AsyncResource[str]:
        if place == "factory":
            await wait()
        yield ""

    @asynccontextmanager
    async def lifespan(app: Triows) -> AsyncIterator[None]:
        if place == "lifespan":
            await wait()
        yield

    async def handler(ws: WebSocket, made: Annotated[str, use(resource)]) -> None:
        await ws.accept()
        await wait()

    with pytest.raises((RuntimeError, AttributeError, ExceptionGroup)) as caught:
        async with connect(serving(handler, lifespan=lifespan), "/") as ws:
            await ws.receive()
    (leaf,) = leaves(caught.value)
    assert leaf.__notes__ == [note for note in leaf.__notes__ if "triows runs on Trio" in note]


async def test_other_errors_get_no_note_about_asyncio():
    async def handler(ws: WebSocket) -> None:
        raise RuntimeError("no running event")

    with pytest.raises(RuntimeError) as caught:
        async with connect(serving(handler), "/"):
            pass
    assert not [note for note in getattr(caught.value, "__notes__", ()) if "Trio" in note]


def test_a_copy_of_a_scope_has_the_objects_of_the_state_themselves():
    pool = threading.Lock()  # which can't be copied
    state = ConnectionState(pool=pool)
    copied = copy.deepcopy({"state": state})["state"]
    copied["user"] = "Ada"
    assert copied["pool"] is pool
    assert "user" not in state
