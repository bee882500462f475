"""
A connection is cancelled, disconnected and shut down at each of its steps, and always ends well.

A usual run tries a few steps of each story. ``make thorough`` tries all.
"""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Annotated, Any

import pytest
import trio
from hypercorn.config import Config

from _triows_schedules.seeds import derived
from tests.scale import SCALE
from triows import (
    HTTPException,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    serve,
    use,
)
from triows.testing import Interruption, WebSocketDenialResponse, explore_cancellation, open_app

Handler = Callable[..., Awaitable[None]]

#: What was entered and has not exited.
held: list[str] = []


@contextmanager
def holding(name: str) -> Iterator[str]:
    held.append(name)
    try:
        yield name
    finally:
        held.remove(name)


# What handlers await.


async def accepts(ws: WebSocket) -> None:
    with holding("handler"):
        await ws.accept(headers=[(b"x-from", b"here")])


async def receives(ws: WebSocket) -> None:
    await ws.accept()
    with holding("handler"):
        while await ws.receive_text() != "enough":
            pass


async def iterates(ws: WebSocket) -> None:
    await ws.accept()
    with holding("handler"):
        async for _ in ws:
            pass


async def sends(ws: WebSocket) -> None:
    await ws.accept()
    with holding("handler"):
        await ws.send_text("small")
        await ws.send_bytes(bytes(3 << 20))
        await ws.send_json({"last": True})


async def closes(ws: WebSocket) -> None:
    await ws.accept()
    with holding("handler"):
        await ws.close(4000, "enough")


async def pings(ws: WebSocket) -> None:
    await ws.accept()
    with holding("handler"):
        await ws.ping()


async def rejects(ws: WebSocket) -> None:
    with holding("handler"):
        await ws.reject(401, {"code": 1})


async def raises(ws: WebSocket) -> None:
    with holding("handler"):
        await trio.lowlevel.checkpoint()
        raise HTTPException(403)


async def closes_before_accepting(ws: WebSocket) -> None:
    with holding("handler"):
        await ws.close()


async def starts_tasks(ws: WebSocket, nursery: trio.Nursery) -> None:
    async def tick() -> None:
        with holding("task"):
            while True:
                await trio.sleep(1)
                await ws.send("tick")

    await ws.accept()
    nursery.start_soon(tick)
    with holding("handler"):
        await ws.receive()


HANDLERS: list[Handler] = [
    accepts,
    receives,
    iterates,
    sends,
    closes,
    pings,
    rejects,
    raises,
    closes_before_accepting,
    starts_tasks,
]


# What makes their arguments.


async def generated() -> AsyncIterator[str]:
    await trio.lowlevel.checkpoint()
    with holding("generated"):
        try:
            yield "generated"
        finally:
            await trio.sleep(0.1)


def generated_at_once() -> Iterator[str]:
    with holding("generated at once"):
        yield "generated at once"


class Session:
    async def __aenter__(self) -> "Session":
        await trio.lowlevel.checkpoint()
        held.append("session")
        return self

    async def __aexit__(self, *_: object) -> None:
        held.remove("session")
        await trio.lowlevel.checkpoint()


class Connection:
    def __enter__(self) -> "Connection":
        held.append("connection")
        return self

    def __exit__(self, *_: object) -> None:
        held.remove("connection")


def session() -> AbstractAsyncContextManager[Session]:
    return Session()


async def working() -> AsyncIterator[trio.Nursery]:
    async def work() -> None:
        with holding("work"):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        yield nursery
        nursery.cancel_scope.cancel()


async def nested(
    outer: Annotated[str, use(generated)], _session: Annotated[Session, use(session)]
) -> AsyncIterator[str]:
    async with Session():
        yield f"{outer} and nested"


async def made(outer: Annotated[str, use(generated)]) -> str:
    await trio.lowlevel.checkpoint()
    return outer


async def shared() -> AsyncIterator[str]:
    await trio.lowlevel.checkpoint()
    with holding("shared"):
        yield "shared"
        await trio.lowlevel.checkpoint()


async def guard() -> None:
    await trio.lowlevel.checkpoint()


FACTORIES: dict[str, Any] = {
    "an async generator": use(generated),
    "a generator": use(generated_at_once),
    "an async context manager": use(Session),
    "a context manager": use(Connection),
    "a function that returns a context manager": use(session),
    "a factory with a nursery": use(working),
    "nested factories": use(nested),
    "an async function": use(made),
    "a factory of the application": use(shared, scope="app"),
}


def using(factory: Any) -> Handler:
    async def handler(ws: WebSocket, value: Any) -> None:
        await ws.accept()
        await ws.send("ready")
        await ws.receive()

    handler.__annotations__["value"] = Annotated[Any, factory]
    return handler


def application(handler: Handler, **options: Any) -> Triows:
    @asynccontextmanager
    async def lifespan(_app: Triows) -> AsyncIterator[None]:
        await trio.lowlevel.checkpoint()
        with holding("lifespan"):
            yield
            await trio.lowlevel.checkpoint()

    route = WebSocketRoute("ws", deps=[guard])
    route.endpoint(handler)
    return Triows(route, lifespan=lifespan, **options)


async def visit(client: Any, wait: float = 3) -> None:
    """Do what a client does, as far as the handler takes part in it."""
    with suppress(WebSocketDenialResponse, WebSocketDisconnect):
        async with client.websocket_connect("/ws") as ws:
            await ws.send("hello")
            await ws.send("enough")
            with trio.move_on_after(wait):
                while True:
                    await ws.receive()


@pytest.fixture
def explore(request: pytest.FixtureRequest, check: Callable[[], None]) -> Callable[..., None]:
    """Interrupt a story at its steps, and judge each run."""

    def explored(
        story: Callable[..., Awaitable[None]], *, pairs: int = 0, samples: int = 2
    ) -> None:
        if SCALE >= 10:
            explore_cancellation(story, check=check, pairs=pairs)
            return
        steps = explore_cancellation(story, check=check, at=1)
        for n in range(samples):
            explore_cancellation(story, check=check, at=1 + derived(request.node.nodeid, n) % steps)

    return explored


@pytest.fixture
def check(caplog: pytest.LogCaptureFixture) -> Callable[[], None]:
    """Fail if something has not exited, or an error was logged."""
    held.clear()
    caplog.set_level(logging.WARNING)

    def judge() -> None:
        left = held[:]
        held.clear()
        assert not left
        assert [record.getMessage() for record in caplog.records] == []

    return judge


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_connection_ends_well_wherever_its_test_is_cancelled(handler, explore):
    async def story() -> None:
        async with open_app(application(handler)) as client:
            await visit(client)

    explore(story, pairs=20)


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_a_resource_exits_wherever_its_test_is_cancelled(factory, explore):
    async def story() -> None:
        async with open_app(application(using(factory))) as client:
            await visit(client)

    explore(story, pairs=20)


EVENTS = ["reset", "vanish", "close", "shutdown", "cancel_handler"]


def happens(event: str, client: Any, ws: Any, nursery: trio.Nursery) -> Callable[[], object]:
    if event == "shutdown":
        return lambda: nursery.start_soon(client.shutdown)
    if event == "close":
        return lambda: nursery.start_soon(ws.close)
    return getattr(ws, event)


async def interrupted(handler: Handler, event: str, interruption: Interruption) -> None:
    app = application(handler)
    async with open_app(app) as client, trio.open_nursery() as nursery:
        with suppress(WebSocketDenialResponse, WebSocketDisconnect):
            async with client.websocket_connect("/ws") as ws:
                interruption.by(happens(event, client, ws, nursery))
                await ws.send("hello")
                await ws.send("enough")
                with trio.move_on_after(3):
                    while True:
                        await ws.receive()
        interruption.by(None)


ACCEPTING = [one for one in HANDLERS if one not in (rejects, raises, closes_before_accepting)]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("handler", ACCEPTING)
def test_a_connection_ends_well_wherever_something_happens_to_it(handler, event, explore):
    async def story(interruption: Interruption) -> None:
        await interrupted(handler, event, interruption)

    explore(story)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_a_resource_exits_wherever_something_happens_to_its_connection(factory, event, explore):
    async def story(interruption: Interruption) -> None:
        await interrupted(using(factory), event, interruption)

    explore(story)


# The server, its end, and the clients.


def serving_one(handler: Handler) -> tuple[Triows, Config]:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    return application(handler), config


def sockets_of_this_process() -> set[str]:
    links = set()
    for one in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            links.add(os.readlink(f"/proc/self/fd/{one}"))
    return {link for link in links if link.startswith("socket:")}


@pytest.mark.real_socket
@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="this system has no /proc")
def test_a_server_gives_its_sockets_back_wherever_it_is_cancelled(explore):
    async def story() -> None:
        before = sockets_of_this_process()
        app, config = serving_one(receives)
        stop = trio.Event()
        try:
            async with trio.open_nursery() as nursery:
                start = partial(serve, app, config, shutdown_trigger=stop.wait)
                await nursery.start(start)
                stop.set()
        finally:
            assert sockets_of_this_process() == before

    explore(story, pairs=20)


@pytest.mark.parametrize("handler", [receives, sends, starts_tasks])
def test_a_drain_ends_well_wherever_it_is_cancelled(handler, explore):
    async def story() -> None:
        app = application(handler, timeouts=Timeouts(shutdown_grace=2, close=1))
        async with open_app(app) as client, trio.open_nursery() as nursery:
            nursery.start_soon(visit, client, 60)
            nursery.start_soon(visit, client, 60)
            await trio.sleep(0.5)
            await client.shutdown()

    explore(story, pairs=20)


@pytest.mark.parametrize("handler", [receives, sends, starts_tasks])
def test_a_drain_ends_well_wherever_a_peer_is_reset(handler, explore):
    async def story(interruption: Interruption) -> None:
        app = application(handler, timeouts=Timeouts(shutdown_grace=2, close=1))
        async with open_app(app) as client, trio.open_nursery() as nursery:
            with suppress(WebSocketDisconnect):
                async with client.websocket_connect("/ws") as ws:
                    nursery.start_soon(client.shutdown)
                    interruption.by(ws.reset)
                    while True:
                        await ws.receive()
            interruption.by(None)

    explore(story)


async def page(scope: Any, receive: Any, send: Any) -> None:
    with holding("page"):
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"x" * 2**16, "more_body": True})
            await trio.sleep(number)
        await send({"type": "http.response.body", "body": b""})


def test_a_request_ends_well_wherever_it_is_cancelled(explore):
    async def story() -> None:
        app = application(receives)
        app.mount("/page", page)
        async with open_app(app) as client:
            answer = await client.post("/page", content=b"y" * 2**16)
            assert len(answer.content) == 3 * 2**16

    explore(story, pairs=20)


def test_what_a_test_expects_may_be_cancelled_anywhere(explore):
    async def story() -> None:
        async with open_app(application(closes)) as client, client.websocket_connect("/ws") as ws:
            await ws.expect_close(4000, "enough")

    explore(story, pairs=20)


@pytest.mark.unmeasured
def test_two_clients_of_which_one_vanishes_end_well_wherever_their_test_is_cancelled(explore):
    async def tick(ws: WebSocket) -> None:
        while True:
            await trio.sleep(1)
            await ws.send("tick")

    async def echoes(
        ws: WebSocket, nursery: trio.Nursery, _resource: Annotated[str, use(generated)]
    ) -> None:
        await ws.accept()
        nursery.start_soon(tick, ws)
        async for message in ws:
            await ws.send(message)

    async def story() -> None:
        app = application(echoes)
        async with open_app(app) as client, client.websocket_connect("/ws") as near:
            await near.send("hello")
            assert await near.receive() == "hello"
            async with client.websocket_connect("/ws") as far:
                far.delay(0.5)
                await far.send("hello")
                await far.receive()
                far.vanish()
            await client.shutdown()

    explore(story, samples=30)
