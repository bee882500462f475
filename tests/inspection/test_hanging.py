"""Code that goes on although it should have ended is named in the log, once."""

import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import pytest
import trio
from trio.testing import MockClock

from tests.connecting import opened
from tests.inspection.looking import connected, place_of, serving
from triows import Timeouts, Triows, WebSocket, use
from triows._inspection.hanging import starting
from triows._stacks import relative
from triows.testing import WebSocketDenialResponse, open_app


@pytest.fixture
def warned(caplog):
    """Give the warnings so far."""
    caplog.set_level(logging.INFO, logger="triows")
    return lambda: [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]


async def hold(seconds: float) -> None:
    """Wait, whatever is cancelled."""
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)


def place(function: Any) -> str:
    """Say where a function is defined, as a warning does."""
    return relative(f"{inspect.getfile(function)}:{function.__code__.co_firstlineno}")


async def left(handler, path: str = "", **settings) -> None:
    """Connect to a handler, leave, and wait for as long as its end takes."""
    app = serving(handler, path, **settings)
    async with open_app(app, patience=1000, raise_app_exceptions=False) as client:
        url = path.replace("{key}", "secret")
        async with client.websocket_connect(f"/{url}?token=hidden") as ws:
            await ws.close()


# Handlers


async def shielded(ws: WebSocket) -> None:
    await ws.accept()
    await hold(60)  # it waits here


async def test_a_handler_that_goes_on_after_its_cancellation_is_named_once(autojump_clock, warned):
    await left(shielded)
    (text,) = warned()
    start = "the connection to / from testclient:50000 has not ended: the handler "
    assert text.startswith(start)
    assert " goes on 5 s after it was cancelled (peer gone), and waits at\n" in text
    assert f"{place(shielded)} (shielded)" in text
    assert f"{relative(place_of(shielded, 'it waits here'))} in shielded" in text


async def test_a_handler_that_catches_the_cancellation_is_named(autojump_clock, warned):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        for _ in range(100):
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                await hold(0.7)

    await left(handler)
    (text,) = warned()
    assert "await hold(0.7)" in text


async def test_the_line_shows_tasks_that_the_handler_waits_for(autojump_clock, warned):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold, 60, name="writes the report")

    await left(handler)
    (text,) = warned()
    assert "writes the report" in text
    assert "await trio.sleep(seconds)" in text


async def test_a_task_in_the_connections_nursery_that_goes_on_is_named(autojump_clock, warned):
    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(hold, 60, name="writes the report")
        await ws.receive()

    await left(handler)
    (text,) = warned()
    assert "tasks in the nursery of " in text
    assert "writes the report" in text


@pytest.mark.parametrize("seconds", [0.0, 4.0])
async def test_a_handler_that_ends_within_the_teardown_is_not_named(
    autojump_clock, warned, seconds
):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            await hold(seconds)

    await left(handler)
    assert warned() == []


async def test_a_handler_that_may_go_on_is_not_named(autojump_clock, warned):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close()
        await trio.sleep(600)

    await left(handler, timeouts=Timeouts(disconnect_grace=900))
    assert warned() == []


async def test_a_handler_that_was_cancelled_from_outside_is_named(autojump_clock, warned):
    def impatient(app):
        async def middleware(scope, receive, send):
            with trio.move_on_after(1):
                await app(scope, receive, send)

        return middleware

    await left(shielded, middlewares=[impatient], timeouts=Timeouts(disconnect_grace=100))
    (text,) = warned()
    assert " goes on 5 s after it was cancelled, and waits at\n" in text


async def test_nothing_that_a_peer_has_sent_is_in_the_line(autojump_clock, warned):
    async def handler(ws: WebSocket, key: str, token: str) -> None:
        await ws.accept()
        await hold(60)

    await left(handler, "{key}")
    (text,) = warned()
    assert "the connection to /{key} from" in text
    assert "secret" not in text
    assert "hidden" not in text


async def test_many_connections_that_hang_alike_are_one_warning(autojump_clock, warned):
    app = serving(shielded)
    async with opened(app, patience=1000) as client, trio.open_nursery() as nursery:

        async def leave() -> None:
            async with client.websocket_connect("/"):
                pass

        for _ in range(50):
            nursery.start_soon(leave)
    (text,) = warned()
    assert "(49 more connections hang like this)" in text


async def test_a_connection_of_a_mounted_application_is_named_with_its_path(autojump_clock, warned):
    app = Triows()
    app.mount("/api", serving(shielded, "room"))
    async with opened(app, patience=1000), connected(app, "/api/room"):
        pass
    (text,) = warned()
    assert text.startswith("the connection to /api/room from ")


async def test_a_mounted_application_that_is_started_with_the_outer_one_is_named_once(
    autojump_clock, warned
):
    inner = serving(shielded, "room")

    @asynccontextmanager
    async def lifespan(app: Triows) -> AsyncIterator[None]:
        async with inner.running():
            yield

    app = Triows(lifespan=lifespan)
    app.mount("/api", inner)
    async with opened(app, patience=1000), connected(app, "/api/room"):
        pass
    assert len(warned()) == 1


# Factories and resources


async def coroutine() -> int:
    await hold(60)
    return 1


async def entering() -> AsyncIterator[int]:
    await hold(60)
    yield 1


async def exiting() -> AsyncIterator[int]:
    yield 1
    await hold(60)


@pytest.mark.parametrize(
    ("factory", "what"),
    [
        (coroutine, "goes on 5 s after it was cancelled (timeout), and waits at\n"),
        (entering, "still starts 10 s after it had to end, and waits at\n"),
        (exiting, "has not exited 10 s after it had to end, and waits at\n"),
    ],
)
async def test_a_factory_or_exit_that_goes_on_is_named_once(autojump_clock, warned, factory, what):
    async def handler(ws: WebSocket, value: Annotated[int, use(factory)]) -> None:
        await ws.accept()

    with suppress(WebSocketDenialResponse):
        await left(handler)
    (text,) = warned()
    assert f"{place(factory)} ({factory.__name__}) {what}" in text
    assert "await hold(60)" in text


async def test_an_exit_that_ends_when_its_time_is_over_is_not_named(autojump_clock, warned):
    async def slow() -> AsyncIterator[int]:
        yield 1
        await trio.sleep(60)

    async def handler(ws: WebSocket, value: Annotated[int, use(slow)]) -> None:
        await ws.accept()

    await left(handler)
    assert warned() == []


# The application


def needing(factory, **settings: Any) -> Triows:
    async def handler(ws: WebSocket, value: Annotated[int, use(factory, scope="app")]) -> None:
        await ws.accept()

    return serving(handler, **settings)


async def slow_coroutine() -> int:
    await trio.sleep(60)
    return 1


async def slow_generator() -> AsyncIterator[int]:
    await trio.sleep(60)
    yield 1


@asynccontextmanager
async def slow_lifespan(app: Triows) -> AsyncIterator[None]:
    await trio.sleep(60)
    yield


@pytest.mark.parametrize(
    ("app", "name"),
    [
        (needing(slow_coroutine), "slow_coroutine"),
        (needing(slow_generator), "slow_generator"),
        (Triows(lifespan=slow_lifespan), "slow_lifespan"),
    ],
)
async def test_a_long_start_up_names_what_it_waits_for_once(autojump_clock, warned, app, name):
    async with open_app(app, startup_timeout=100):
        assert trio.current_time() == 60
        assert starting(app) is None
    (text,) = warned()
    assert text.startswith("the start-up takes more than 10 s: ")
    assert f"({name}) has not started, and waits at\n" in text
    assert f"in {name}  await trio.sleep(60)" in text


def test_a_second_start_up_that_takes_long_at_the_same_time_of_its_clock_is_named_too(warned):
    app = Triows(lifespan=slow_lifespan)

    async def start() -> None:
        async with open_app(app, startup_timeout=100):
            pass

    for _ in range(2):
        trio.run(start, clock=MockClock(autojump_threshold=0))
    assert len(warned()) == 2


async def test_the_start_up_of_a_mounted_application_is_named(autojump_clock, warned):
    inner = Triows(lifespan=slow_lifespan)

    @asynccontextmanager
    async def outer(app: Triows) -> AsyncIterator[None]:
        async with inner.running():
            yield

    app = Triows(lifespan=outer)
    app.mount("/api", inner)
    async with open_app(app, startup_timeout=100):
        pass
    first, second = warned()
    assert "(slow_lifespan) has not started" in first + second
    assert "in slow_lifespan  await trio.sleep(60)" in first + second


async def test_each_part_of_a_start_up_has_its_own_time(autojump_clock, warned):
    async def nine_seconds() -> int:
        await trio.sleep(9)
        return 1

    @asynccontextmanager
    async def lifespan(app: Triows) -> AsyncIterator[None]:
        await trio.sleep(9)
        yield

    async with open_app(needing(nine_seconds, lifespan=lifespan), startup_timeout=100):
        assert trio.current_time() == 18
    assert warned() == []


async def test_an_exit_of_the_application_that_goes_on_is_named(autojump_clock, warned):
    @asynccontextmanager
    async def lifespan(app: Triows) -> AsyncIterator[None]:
        yield
        await hold(60)

    async with open_app(Triows(lifespan=lifespan), patience=1000):
        pass
    (text,) = warned()
    assert text.startswith("the application has not ended: the resource ")
    assert "lifespan) has not exited 10 s after it had to end, and waits at\n" in text
    assert "await hold(60)" in text
