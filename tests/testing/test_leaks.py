"""If an application leaves something behind, its test fails and shows it."""

import io
import sys
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
import trio
from trio.testing import MockClock

from tests.testing.watching import line_of
from triows import Route, Timeouts, Triows, WebSocket, WebSocketRoute, use
from triows.testing import LeakError, TestClient, open_app, open_server


def serving(handler, **options: Any) -> Triows:
    route = WebSocketRoute("ws")
    route.endpoint(handler)
    return Triows(route, **options)


async def visit(app: Triows, opening=open_app, **options: Any) -> None:
    """Connect, and leave."""
    async with opening(app, **options) as client, client.websocket_connect("/ws"):
        await trio.sleep(0.01)


async def leak_of(app: Triows, opening=open_app, **options: Any) -> str:
    with pytest.raises(LeakError) as caught:
        await visit(app, opening, **options)
    return str(caught.value)


# The four kinds


async def stubborn(ws: WebSocket) -> None:
    await ws.accept()
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()  # the handler


async def test_a_handler_that_does_not_end_is_a_leak(autojump_clock):
    leak = await leak_of(serving(stubborn))
    assert "the connection to /ws has not ended 12 s after its client left" in leak
    assert line_of(stubborn, "the handler") in leak
    assert "await trio.sleep_forever()" in leak


async def holding():
    yield
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()  # the resource


async def holds(ws: WebSocket, _held: Annotated[None, use(holding)]) -> None:
    await ws.accept()


async def test_a_resource_that_does_not_exit_is_a_leak(autojump_clock):
    leak = await leak_of(serving(holds))
    assert "has not ended" in leak
    assert "holding  exiting" in leak
    assert line_of(holding, "the resource") in leak


async def background() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()  # the task


async def starts(ws: WebSocket, nursery: trio.Nursery) -> None:
    await ws.accept()
    nursery.start_soon(background)


async def test_a_task_of_the_connections_nursery_that_does_not_end_is_a_leak(autojump_clock):
    leak = await leak_of(serving(starts))
    assert "has not ended" in leak
    assert line_of(background, "the task") in leak


async def test_a_task_in_a_nursery_that_nobody_of_the_application_waits_for_is_a_leak(
    autojump_clock,
):
    async def stray() -> None:
        await trio.sleep_forever()  # the stray

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        nursery.start_soon(stray)

    async with trio.open_nursery() as nursery:
        leak = await leak_of(serving(handler))
        nursery.cancel_scope.cancel()
    assert "1 task of the application outlived it" in leak
    test = test_a_task_in_a_nursery_that_nobody_of_the_application_waits_for_is_a_leak
    assert line_of(test, "the stray") in leak


async def test_a_system_task_of_the_application_is_a_leak(autojump_clock):
    async def stray() -> None:
        await done.wait()  # the stray

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        trio.lowlevel.spawn_system_task(stray)

    done = trio.Event()
    leak = await leak_of(serving(handler))
    done.set()
    assert "1 task of the application outlived it" in leak
    assert line_of(test_a_system_task_of_the_application_is_a_leak, "the stray") in leak


async def test_a_connection_that_nobody_left_is_a_leak(autojump_clock):
    async def idle(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()  # idle

    async def stay(client: Any, task_status: trio.TaskStatus[None]) -> None:
        async with client.websocket_connect("/ws"):
            task_status.started()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        with pytest.raises(LeakError) as caught:
            async with open_app(serving(idle)) as client:
                await nursery.start(stay, client)
        nursery.cancel_scope.cancel()
    assert "1 connection is open at the end of the test" in str(caught.value)
    assert line_of(test_a_connection_that_nobody_left_is_a_leak, "idle") in str(caught.value)


async def test_a_resource_of_the_application_that_does_not_exit_is_a_leak(autojump_clock):
    async def handler(ws: WebSocket, _held: Annotated[None, use(holding, scope="app")]) -> None:
        await ws.accept()

    leak = await leak_of(serving(handler))
    assert "the application has not ended" in leak
    assert line_of(holding, "the resource") in leak


async def test_a_shutdown_that_does_not_end_is_a_leak(autojump_clock):
    async def shut_down() -> None:
        async with open_app(serving(stubborn)) as client, client.websocket_connect("/ws"):
            await client.shutdown()

    with pytest.raises(LeakError, match="has not shut down") as caught:
        await shut_down()
    assert line_of(stubborn, "the handler") in str(caught.value)


@pytest.mark.real_socket
async def test_a_server_leaks_as_an_application_in_memory_does():
    app = serving(stubborn, timeouts=Timeouts(disconnect_grace=0.1, teardown=0.1))
    leak = await leak_of(app, open_server, patience=0.5)
    assert "has not ended 0.5 s after" in leak
    assert line_of(stubborn, "the handler") in leak


def test_the_synchronous_client_finds_leaks_too(monkeypatch):
    # Give the loop a virtual clock, which it doesn't have by itself.
    run = trio.run
    clock = MockClock(autojump_threshold=0)
    monkeypatch.setattr(trio, "run", lambda *args: run(*args, clock=clock))

    def leave() -> None:
        with TestClient(serving(stubborn)) as client, client.websocket_connect("/ws"):
            pass

    with pytest.raises(LeakError) as caught:
        leave()
    assert line_of(stubborn, "the handler") in str(caught.value)


async def test_a_system_task_whose_function_is_trios_own_is_a_leak_too(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        trio.lowlevel.spawn_system_task(trio.sleep_forever)

    leak = await leak_of(serving(handler))
    assert "1 task of the application outlived it" in leak
    assert "trio.sleep_forever" in leak


# Whatever keeps it alive


async def test_a_handler_that_shields_itself_again_when_it_is_forced_is_ended(autojump_clock):
    ended = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()  # first
        finally:
            with trio.CancelScope(shield=True):
                try:
                    await trio.sleep_forever()
                finally:
                    ended.append("ended")

    leak = await leak_of(serving(handler))
    test = test_a_handler_that_shields_itself_again_when_it_is_forced_is_ended
    assert line_of(test, "first") in leak
    assert ended == ["ended"]


class Releasing(io.StringIO):
    """A standard error that ends the thread when something about it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def write(self, text: str) -> int:
        self.release.set()
        return super().write(text)


async def test_a_handler_that_waits_for_a_thread_is_a_leak_and_its_test_is_told(
    opening, clock, monkeypatch
):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await trio.to_thread.run_sync(errors.release.wait)  # the thread

    errors = Releasing()
    monkeypatch.setattr(sys, "stderr", errors)
    timeouts = Timeouts(disconnect_grace=0.01, teardown=0.01, shutdown_grace=0.01, close=0.01)
    leak = await leak_of(serving(handler, timeouts=timeouts), opening, patience=0.1)
    virtual = ", and a virtual clock does not wait for threads" if clock else ", which can't be"
    assert f"it waits for a thread{virtual}" in leak
    found = test_a_handler_that_waits_for_a_thread_is_a_leak_and_its_test_is_told
    assert line_of(found, "the thread") in leak
    # This was printed before the wait.
    assert "it waits for a thread" in errors.getvalue()


# What isn't a leak


async def test_a_task_that_is_still_ending_is_no_leak(autojump_clock):
    async def ending() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)

    async def handler(ws: WebSocket, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(ending)
        await ws.receive()

    await visit(serving(handler))


async def test_tasks_of_the_applications_own_nursery_are_no_leak(autojump_clock):
    async def nursery_of_all():
        async with trio.open_nursery() as nursery:
            yield nursery
            nursery.cancel_scope.cancel()

    async def handler(
        ws: WebSocket, all_: Annotated[trio.Nursery, use(nursery_of_all, scope="app")]
    ) -> None:
        await ws.accept()
        all_.start_soon(trio.sleep_forever)

    await visit(serving(handler))


async def test_a_task_of_the_test_itself_is_no_leak(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()

    async with trio.open_nursery() as nursery:
        async with open_app(serving(handler)) as client:
            nursery.start_soon(trio.sleep_forever)
            async with client.websocket_connect("/ws"):
                pass
        nursery.cancel_scope.cancel()


# Beside other errors


async def test_an_error_of_the_test_is_raised_with_the_leak(autojump_clock):
    async def fail() -> None:
        async with open_app(serving(stubborn)) as client, client.websocket_connect("/ws"):
            raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError, LeakError):
        await fail()


async def test_after_a_leak_the_next_application_is_served(autojump_clock):
    await leak_of(serving(stubborn))

    async def handler(ws: WebSocket) -> None:
        await ws.accept()

    await visit(serving(handler))


async def test_the_patience_with_ends_can_be_chosen(autojump_clock):
    async def slow(ws: WebSocket) -> None:
        await ws.accept()
        with trio.CancelScope(shield=True):
            await trio.sleep(30)

    assert "has not ended 3 s after" in await leak_of(serving(slow), patience=3)
    await visit(serving(slow), patience=60)


async def test_a_request_has_the_time_of_the_settings_to_end_when_it_was_cancelled(autojump_clock):
    exited = trio.Event()

    async def slow() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await trio.sleep(4.5)
            exited.set()

    route = Route("x")

    @route.get
    async def hang(_: Annotated[None, use(slow)]) -> None:
        await trio.sleep_forever()

    async with open_app(Triows(route)) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get("/x", timeout=2)
    assert exited.is_set()


async def test_a_request_that_does_not_end_in_that_time_is_a_leak(autojump_clock):
    route = Route("x")

    @route.get
    async def hang() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    async def ask() -> None:
        settings = Timeouts(disconnect_grace=2, teardown=3)
        async with open_app(Triows(route, timeouts=settings)) as client:
            with pytest.raises(httpx2.ReadTimeout):
                await client.get("/x", timeout=2)

    with pytest.raises(LeakError, match="a request has not ended 9 s after it was cancelled: its"):
        await ask()
