"""Handlers that are plain functions. Their tests use the real clock, which waits for threads."""

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows import (
    EndpointInfo,
    HandlerCancelled,
    HTTPException,
    Limits,
    Route,
    Timeouts,
    Triows,
    use,
)
from triows._request.threads import in_thread
from triows._where import where
from triows.testing import TestClient, open_app

SECONDS = 5


def app_of(handler: Any, **options: Any) -> Triows:
    route = Route("{name}")
    route.get(handler)
    return Triows(route, **options)


async def test_a_plain_function_runs_in_another_thread_and_its_value_is_the_answer():
    loop = threading.get_ident()

    def handler(name: str, number: int = 1) -> dict[str, Any]:
        return {"name": name, "number": number, "here": threading.get_ident() == loop}

    async with open_app(app_of(handler)) as client:
        answer = (await client.get("/ada?number=2")).json()
    assert answer == {"name": "ada", "number": 2, "here": False}


def test_the_synchronous_client_gets_its_answer_too():
    def handler(name: str) -> str:
        return name

    with TestClient(app_of(handler)) as client:
        assert client.get("/ada").text == "ada"


async def test_what_it_raises_is_what_the_request_raises():
    def handler(name: str) -> str:
        if name == "tea":
            raise HTTPException(418)
        raise LookupError(name)

    async with open_app(app_of(handler)) as client:
        assert (await client.get("/tea")).status_code == 418
        with pytest.raises(LookupError, match="ada"):
            await client.get("/ada")


async def test_a_coroutine_that_it_returns_is_named_with_what_to_do():
    async def other() -> str:
        return "never"

    def handler(name: str) -> Any:
        return other()

    message = (
        f"the handler returned the coroutine of {other.__qualname__}(): make the handler `async "
        f"def`, and `await` that\n  at {where(handler)}"
    )
    async with open_app(app_of(handler)) as client:
        with pytest.raises(TypeError) as caught:
            await client.get("/ada")
    assert str(caught.value) == message


async def test_it_may_call_functions_in_the_loop():
    def handler(name: str) -> int:
        trio.from_thread.check_cancelled()
        return trio.from_thread.run_sync(trio.lowlevel.current_task) is not None

    async with open_app(app_of(handler)) as client:
        assert (await client.get("/ada")).status_code == 200


async def test_so_many_run_at_a_time_as_the_application_says():
    running = most = 0
    lock, two_run = threading.Lock(), threading.Event()

    def handler(name: str) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 2:
                two_run.set()
        assert two_run.wait(SECONDS)
        with lock:
            running -= 1

    app = app_of(handler, limits=Limits(threads=2))
    async with open_app(app) as client, trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(client.get, f"/{number}")
    assert most == 2


def test_applications_do_not_share_their_limits():
    def handler(name: str) -> None: ...

    one, other = (app_of(handler)._compiler.limiter for _ in range(2))
    assert one is not other


class Held:
    """A handler whose thread goes on until the test lets it, and the end of its resource."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.ended = (threading.Event() for _ in range(3))
        self.seen: list[str] = []

    def __call__(self, name: str) -> str:
        self.begun.set()
        assert self.go_on.wait(SECONDS)
        self.seen.append("the thread ends")
        self.ended.set()
        raise LookupError("nobody hears this")

    def transaction(self) -> Iterator[None]:
        try:
            yield
        except HandlerCancelled:
            self.seen.append("rolled back")
            raise

    def app(self, handler: Any = None, **timeouts: float) -> Triows:
        handler = self if handler is None else handler
        route = Route("{name}")

        @route.get
        def held(name: str, _: Annotated[None, use(self.transaction)]) -> str:
            return handler(name)

        return Triows(route, timeouts=Timeouts(disconnect_grace=0, **timeouts))

    @asynccontextmanager
    async def left(self, app: Triows) -> AsyncIterator[None]:
        """Let a client leave when the thread has begun, and wait until its request is over."""
        async with open_app(app) as client, client.stream("GET", "/ada", sending=True) as request:
            await request.send_end()
            assert await trio.to_thread.run_sync(self.begun.wait, SECONDS)
            request.close()
            yield
            await request.wait_over()


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.go_on.set()
    assert not held.begun.is_set() or held.ended.wait(SECONDS)


async def test_resources_wait_for_the_thread_of_a_handler_that_was_cancelled(held, caplog):
    app = held.app()
    async with held.left(app):
        await wait_all_tasks_blocked(0.05)
        assert held.seen == []
        held.go_on.set()
    assert held.seen == ["the thread ends", "rolled back"]
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_thread_that_does_not_end_in_time_is_abandoned_with_an_error(held, caplog):
    async with held.left(held.app(teardown=0.1)):
        pass
    assert held.seen == ["rolled back"]
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert record.levelname == "ERROR"
    assert "its thread goes on. Its resources exit now" in record.getMessage()
    assert f"{__file__}:" in record.getMessage()
    assert "check_cancelled" in record.getMessage()


async def test_a_thread_that_asks_whether_it_was_cancelled_ends_in_time(held, caplog):
    def asks(name: str) -> str:
        held.begun.set()
        try:
            while not held.go_on.wait(0.001):
                trio.from_thread.check_cancelled()
        finally:
            held.seen.append("the thread ends")
            held.ended.set()
        return name

    async with held.left(held.app(asks)):
        pass
    assert held.seen == ["the thread ends", "rolled back"]
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_resources_wait_for_a_thread_that_a_plugin_has_given_up(held):
    def impatient(info: EndpointInfo) -> Any:
        async def call(**arguments: Any) -> Any:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(info.func, **arguments))
                assert await trio.to_thread.run_sync(held.begun.wait, SECONDS)
                nursery.cancel_scope.cancel()
            held.seen.append("given up")
            held.go_on.set()
            return "too slow"

        return call

    route = Route("{name}")

    @route.get(plugins=[impatient])
    def handler(name: str, _: Annotated[None, use(held.transaction)]) -> str:
        return held(name)

    async with open_app(Triows(route)) as client:
        assert (await client.get("/ada")).text == "too slow"
    assert held.seen == ["given up", "the thread ends"]


async def test_one_that_got_no_thread_in_time_is_never_called():
    called: list[None] = []
    limiter = trio.CapacityLimiter(1)
    call = in_thread(lambda: called.append(None), limiter)
    async with limiter:
        with trio.move_on_after(0.01):
            await call()
    async with limiter:
        assert called == []


async def test_the_thread_of_one_that_was_cancelled_counts_until_it_ends():
    limiter, go_on = trio.CapacityLimiter(1), threading.Event()
    call = in_thread(go_on.wait, limiter)
    try:
        with trio.move_on_after(0.01) as scope:
            await call(timeout=SECONDS)
        assert scope.cancelled_caught
        assert limiter.borrowed_tokens == 1
    finally:
        go_on.set()
    async with limiter:
        assert limiter.borrowed_tokens == 1


async def test_one_that_waits_for_a_thread_is_not_said_to_have_one(caplog):
    limiter = trio.CapacityLimiter(1)
    call = in_thread(threading.get_ident, limiter)
    async with limiter:
        with trio.CancelScope() as scope:
            scope.cancel()
            await call()
    assert scope.cancelled_caught
    assert caplog.records == []
