"""A test that waits for code of the application that hangs fails, and names that code."""

import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
import trio
from trio.testing import MockClock

from triows import Timeouts, Triows, WebSocket, WebSocketRoute, use
from triows.testing import TestClient, open_app

TIMEOUTS = Timeouts(close=0.1, teardown=0.1, shutdown_grace=0.1, disconnect_grace=0.1, accept=0.2)


async def shielded() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()  # in the shield


async def unshielded() -> None:
    await trio.sleep_forever()  # without a shield


# Handlers


async def handler(ws: WebSocket) -> None:
    await ws.accept()
    await shielded()


async def task(ws: WebSocket, nursery: trio.Nursery) -> None:
    await ws.accept()
    nursery.start_soon(shielded)


async def own_task(ws: WebSocket) -> None:
    await ws.accept()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shielded)


async def before_accept(ws: WebSocket) -> None:
    await unshielded()


# Factories


async def function() -> None:
    await shielded()


async def function_that_can_be_cancelled() -> None:
    await unshielded()


async def entry() -> AsyncIterator[None]:
    await shielded()
    yield


async def leaving() -> AsyncIterator[None]:
    yield
    await shielded()


async def leaving_that_can_be_cancelled() -> AsyncIterator[None]:
    yield
    await unshielded()


HANDLERS = [handler, task, own_task, before_accept]
FACTORIES = [
    function,
    function_that_can_be_cancelled,
    entry,
    leaving,
    leaving_that_can_be_cancelled,
]


def serving(handler: Any, **settings: Any) -> Triows:
    route = WebSocketRoute("")
    route.endpoint(handler)
    return Triows(route, timeouts=TIMEOUTS, **settings)


def needing(factory: Any, scope: Any) -> Triows:
    async def accepts(ws: WebSocket, value: Annotated[None, use(factory, scope=scope)]) -> None:
        await ws.accept()

    return serving(accepts)


@asynccontextmanager
async def lifespan_that_starts_never(app: Triows) -> AsyncIterator[None]:
    await shielded()
    yield


@asynccontextmanager
async def lifespan_that_ends_never(app: Triows) -> AsyncIterator[None]:
    yield
    await shielded()


APPS = {
    **{one.__name__: serving(one) for one in HANDLERS},
    **{f"{one.__name__} of a connection": needing(one, "connection") for one in FACTORIES},
    **{f"{one.__name__} of the application": needing(one, "app") for one in FACTORIES},
    **{
        one.__name__: Triows(lifespan=one, timeouts=TIMEOUTS)
        for one in (lifespan_that_starts_never, lifespan_that_ends_never)
    },
}

all_apps = pytest.mark.parametrize("app", APPS.values(), ids=APPS)


def names_the_line(error: BaseException) -> bool:
    text = "".join(traceback.format_exception(error))
    return "# in the shield" in text or "# without a shield" in text


@all_apps
async def test_an_async_test_fails_with_the_line_that_hangs(autojump_clock, app):
    with pytest.raises((Exception, BaseExceptionGroup)) as caught:
        async with open_app(app, startup_timeout=1) as client, client.websocket_connect("/"):
            pass
    assert names_the_line(caught.value)


@all_apps
def test_a_synchronous_test_fails_with_the_line_that_hangs(app):
    options = {"clock": MockClock(autojump_threshold=0)}
    with (
        pytest.raises((Exception, BaseExceptionGroup)) as caught,
        TestClient(app, backend_options=options, startup_timeout=1) as client,
        client.websocket_connect("/"),
    ):
        pass
    assert names_the_line(caught.value)


@pytest.mark.parametrize(
    "app", [serving(handler), serving(task), serving(own_task), needing(leaving, "app")]
)
async def test_a_shutdown_in_a_test_fails_with_the_line_that_hangs(autojump_clock, app):
    with pytest.raises(AssertionError) as caught:
        async with open_app(app) as client, client.websocket_connect("/"):
            await client.shutdown()
    assert names_the_line(caught.value)
