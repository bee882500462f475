"""Ctrl-C at any time ends a test with a plain KeyboardInterrupt."""

import signal
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from triows import Timeouts, Triows, WebSocket, WebSocketRoute, use
from triows.testing import open_app, open_server


def run(opening, main) -> None:
    """Run *main* in a loop of its own."""
    clock = MockClock(autojump_threshold=0) if opening is open_app else None
    trio.run(main, clock=clock)


async def press(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)
    await trio.sleep_forever()


async def raise_it(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("opening", "interrupt"),
    [
        (open_app, press),
        (open_app, raise_it),
        pytest.param(open_server, press, marks=pytest.mark.real_socket),
    ],
)
def test_in_a_handler_it_comes_out_as_itself_and_resources_exit(opening, interrupt):
    exits = []

    async def resource():
        try:
            yield
        finally:
            await trio.lowlevel.checkpoint()
            exits.append("exited")

    route = WebSocketRoute("ws")

    @route.endpoint
    async def handler(ws: WebSocket, _held: Annotated[None, use(resource)]) -> None:
        await ws.accept()
        await ws.receive()
        await interrupt()

    async def main() -> None:
        async with (
            opening(Triows(route, timeouts=Timeouts(disconnect_grace=0.05))) as client,
            client.websocket_connect("/ws") as ws,
        ):
            await ws.send("now")
            await ws.receive()

    with pytest.raises(KeyboardInterrupt) as caught:
        run(opening, main)
    assert type(caught.value) is KeyboardInterrupt
    assert exits == ["exited"]


@pytest.mark.parametrize("interrupt", [press, raise_it])
def test_in_the_test_itself_it_comes_out_as_itself(interrupt):
    route = WebSocketRoute("ws")
    seen = []

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await trio.sleep_forever()
        finally:
            seen.append("ended")

    async def main() -> None:
        async with open_app(Triows(route)) as client, client.websocket_connect("/ws"):
            await interrupt()

    with pytest.raises(KeyboardInterrupt) as caught:
        run(open_app, main)
    assert type(caught.value) is KeyboardInterrupt
    assert seen == ["ended"]


def test_before_the_application_starts_it_comes_out_as_itself(monkeypatch):
    @contextmanager
    def interrupted(*_: object) -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    async def main() -> None:
        async with open_app(Triows()):
            raise AssertionError("the block must not begin")

    monkeypatch.setattr("triows.testing._client.unblocked", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        run(open_app, main)
    assert type(caught.value) is KeyboardInterrupt


@pytest.mark.parametrize("where", ["a page", "start-up", "a resource", "its exit", "the nursery"])
def test_wherever_else_it_comes_out_as_itself(where):
    async def interrupt_in(place: str) -> None:
        if place == where:
            await press()

    @asynccontextmanager
    async def lifespan(app):
        await interrupt_in("start-up")
        yield

    async def resource():
        await interrupt_in("a resource")
        yield
        await interrupt_in("its exit")

    async def page(scope, receive, send):
        await interrupt_in("a page")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    route = WebSocketRoute("ws")

    @route.endpoint
    async def handler(
        ws: WebSocket, nursery: trio.Nursery, _held: Annotated[None, use(resource)]
    ) -> None:
        await ws.accept()
        nursery.start_soon(interrupt_in, "the nursery")
        await trio.sleep(0.1)

    app = Triows(route, lifespan=lifespan)
    app.mount("/page", page)

    async def main() -> None:
        async with open_app(app) as client:
            async with client.websocket_connect("/ws") as ws:
                await ws.expect_close(1000)
            await client.get("/page/")

    with pytest.raises(KeyboardInterrupt) as caught:
        run(open_app, main)
    assert type(caught.value) is KeyboardInterrupt
