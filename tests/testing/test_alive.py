"""What a test sees of an application that runs, and how it ends that."""

import threading
from contextlib import suppress

import httpx2
import pytest
import trio

from triows import Route, Timeouts, Triows, WebSocket, WebSocketRoute
from triows.testing import HTTPDisconnect, ReceiveTimeout, open_app
from triows.testing._calls import Call

ROUTE = WebSocketRoute("ws")


@ROUTE.endpoint
async def wait(ws: WebSocket) -> None:
    await ws.accept()
    async for _ in ws:
        pass


async def page(scope, receive, send):
    await trio.sleep_forever()


async def stubborn(scope, receive, send):
    with trio.CancelScope(shield=True):
        await trio.sleep(3)


def made():
    inner = Triows(ROUTE, timeouts=Timeouts(disconnect_grace=0.2, teardown=0.2))
    app = Triows(ROUTE, timeouts=Timeouts(disconnect_grace=0.2, teardown=0.2))
    app.mount("/inner", inner)
    app.mount("/page", page)
    app.mount("/stubborn", stubborn)
    return app


@pytest.fixture
async def client():
    async with open_app(made()) as client:
        yield client


async def test_connections_of_mounted_applications_are_there(client, autojump_clock):
    alive = client._stage.alive
    async with client.websocket_connect("/ws"), client.websocket_connect("/inner/ws"):
        assert len(alive.lifetimes()) == alive.open() == 2
        assert not await alive.wait_no_connections(1)
    assert await alive.wait_no_connections(0)
    assert (alive.lifetimes(), alive.open()) == ([], 0)


async def test_a_picture_shows_the_connection_that_it_is_about(client, autojump_clock):
    async with client.websocket_connect("/ws"):
        (call,) = client._stage.calls.connections
        text = client._stage.alive.picture(call)
        assert text.startswith("what is alive in the application:\n")
        assert "testclient:50000" in text
        client._stage.alive.cancel(call)
        await call.over.wait()


async def asked(client, nursery, path):
    async def ask():
        with suppress(HTTPDisconnect):
            async with client.stream("GET", path):
                pass

    nursery.start_soon(ask)
    await trio.sleep(1)
    (call,) = client._stage.calls.requests
    return call


async def test_a_request_is_shown_and_cancelled(client, autojump_clock):
    async with trio.open_nursery() as nursery:
        call = await asked(client, nursery, "/page")
        assert "in page  await trio.sleep_forever()" in client._stage.alive.picture(call)
        await client._stage.alive.cancel_requests(call)
        assert call.over.is_set()
    assert client._stage.alive.stuck == {}


async def test_a_request_that_shields_itself_is_stuck(client, autojump_clock):
    alive = client._stage.alive
    async with trio.open_nursery() as nursery:
        call = await asked(client, nursery, "/stubborn")
        await alive.end_requests(call)
        assert "in stubborn  await trio.sleep(3)" in alive.stuck.pop(call)


async def test_what_the_application_was_not_called_for_can_not_be_cancelled(client, autojump_clock):
    with pytest.raises(RuntimeError, match="an application of another framework"):
        client._stage.alive.cancel(Call("ws://testserver/", secure=False))


# Threads


@pytest.fixture
def working():
    """An application whose handlers work in threads until the test is over."""
    done = threading.Event()
    route, sockets = Route("work"), WebSocketRoute("work")

    @route.get
    def work() -> None:
        done.wait()

    @route.post
    async def wait_for_nothing() -> None:
        await trio.sleep_forever()

    @sockets.endpoint
    async def work_behind(ws: WebSocket) -> None:
        await ws.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_in_thread)

    async def wait_in_thread() -> None:
        await trio.to_thread.run_sync(done.wait, abandon_on_cancel=True)

    yield Triows(route, sockets)
    done.set()


THREADS = "the virtual clock doesn't wait for threads: leave autojump_clock out of this test"


async def test_a_late_answer_says_that_the_virtual_clock_does_not_wait_for_a_thread(
    working, autojump_clock
):
    async with open_app(working) as client:
        with pytest.raises(httpx2.ReadTimeout, match=THREADS):
            await client.get("/work")
        with pytest.raises(httpx2.ReadTimeout) as caught:
            await client.post("/work")
    assert "thread" not in str(caught.value)


async def test_a_late_message_says_that_the_virtual_clock_does_not_wait_for_a_thread(
    working, autojump_clock
):
    async with open_app(working) as client, client.websocket_connect("/work") as session:
        with pytest.raises(ReceiveTimeout, match=THREADS):
            await session.receive()


async def test_on_the_real_clock_nothing_is_said_of_threads(working):
    async with open_app(working) as client:
        with pytest.raises(httpx2.ReadTimeout) as caught:
            await client.get("/work", timeout=0.01)
    assert "thread" not in str(caught.value)
