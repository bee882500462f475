"""Handlers that are plain functions. Their tests use the real clock, which waits for threads."""

import logging
import threading
from typing import Any

import pytest
import trio

from triows import HTTPException, Limits, Route, Timeouts, Triows
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


async def test_one_that_is_cancelled_leaves_its_thread_and_its_result(caplog):
    begun, go_on, ended = (threading.Event() for _ in range(3))

    def handler(name: str) -> str:
        begun.set()
        assert go_on.wait(SECONDS)
        ended.set()
        raise LookupError("nobody hears this")

    app = app_of(handler, timeouts=Timeouts(disconnect_grace=0))
    try:
        async with open_app(app) as client, client.stream("GET", "/ada", sending=True) as request:
            await request.send_end()
            assert await trio.to_thread.run_sync(begun.wait, SECONDS)
            request.close()
            await request.wait_over()
        assert not ended.is_set()
    finally:
        go_on.set()
    assert await trio.to_thread.run_sync(ended.wait, SECONDS)
    warnings = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one.levelname for one in warnings] == ["WARNING"]
    assert "was cancelled, and its thread goes on" in warnings[0].getMessage()
    assert f"{__file__}:" in warnings[0].getMessage()


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
