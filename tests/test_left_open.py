"""What a handler opens in its task and leaves open ends its own exchange, and no other."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
import trio

from triows import Route, Triows, WebSocket, WebSocketDisconnect, WebSocketRoute
from triows._left_open import close_left_open, refuse_left_open, scopes_of
from triows.testing import open_app

log: list[str] = []


@pytest.fixture(autouse=True)
def empty_log():
    log.clear()


async def linger() -> None:
    try:
        await trio.sleep_forever()
    finally:
        log.append("cancelled")


async def fail() -> None:
    raise ValueError("in a task")


async def leave_nursery(task: Callable = linger) -> None:
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(task)
    await trio.lowlevel.checkpoint()


async def leave_scope() -> None:
    trio.CancelScope().__enter__()


async def leave_cancelled_scope() -> None:
    trio.CancelScope().__enter__().cancel()


async def leave_several() -> None:
    await leave_scope()
    await leave_nursery()
    await leave_scope()
    await leave_nursery()
    await leave_cancelled_scope()


HOW = {
    "nothing": trio.lowlevel.checkpoint,
    "nursery": leave_nursery,
    "scope": leave_scope,
    "cancelled": leave_cancelled_scope,
    "several": leave_several,
}


@pytest.mark.parametrize("leave", HOW.values())
async def test_what_was_left_open_is_closed_and_its_tasks_have_ended(leave):
    task = trio.lowlevel.current_task()
    scopes, nurseries = scopes_of(task), list(task.child_nurseries)
    await leave()
    assert await close_left_open(scopes) is None
    assert scopes_of(task) is scopes
    assert task.child_nurseries == nurseries
    assert log == ["cancelled"] * {leave_nursery: 1, leave_several: 2}.get(leave, 0)


async def test_an_error_of_a_task_that_was_left_is_returned():
    scopes = scopes_of(trio.lowlevel.current_task())
    await leave_nursery(fail)
    error = await close_left_open(scopes)
    assert isinstance(error, ExceptionGroup)
    assert [repr(one) for one in error.exceptions] == ["ValueError('in a task')"]


async def test_the_error_says_what_to_write_and_what_a_task_has_raised():
    scopes = scopes_of(trio.lowlevel.current_task())
    await leave_nursery(fail)
    with pytest.raises(RuntimeError, match="opened and not closed") as caught:
        await refuse_left_open(scopes)
    assert "in a task" in repr(caught.value.__cause__)


app_routes = [Route(f"{kind}/{{how}}") for kind in ("returns", "nursery", "raises", "streams")]
returning, within_nursery, raising, streaming = app_routes
sockets = WebSocketRoute("socket/{how}")


@returning.get
async def returns(how: str) -> str:
    await HOW[how]()
    return "done"


@within_nursery.get
async def returns_beside_its_nursery(how: str, nursery: trio.Nursery) -> str:
    nursery.start_soon(trio.sleep_forever)
    return await returns(how)


@raising.get
async def raises(how: str) -> str:
    await HOW[how]()
    raise LookupError("mine")


@streaming.get
async def streams(how: str) -> AsyncIterator[str]:
    yield "begun"
    await HOW[how]()


@sockets.endpoint
async def talk(ws: WebSocket, how: str) -> None:
    await ws.accept()
    await HOW[how]()


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage() + repr(record.exc_info[1])
        for record in caplog.records
        if record.levelno >= logging.ERROR
    ]


@pytest.fixture
async def client():
    async with open_app(Triows(*app_routes, sockets), raise_app_exceptions=False) as client:
        yield client
        assert (await client.get("/returns/nothing")).text == "done"  # the server goes on


@pytest.mark.parametrize("how", [name for name in HOW if name != "nothing"])
@pytest.mark.parametrize("kind", ["returns", "nursery"])
async def test_a_handler_that_leaves_something_open_is_a_500_that_names_it(
    client, caplog, kind, how
):
    assert (await client.get(f"/{kind}/{how}")).status_code == 500
    (error,) = errors_in(caplog)
    assert "test_left_open.py" in error
    assert "opened and not closed" in error


@pytest.mark.parametrize("how", HOW)
async def test_the_error_of_a_handler_that_leaves_something_open_is_reported(client, caplog, how):
    assert (await client.get(f"/raises/{how}")).status_code == 500
    (error,) = errors_in(caplog)
    assert "LookupError('mine')" in error


@pytest.mark.parametrize("how", [name for name in HOW if name != "nothing"])
async def test_a_stream_that_leaves_something_open_is_cut(client, caplog, how):
    with pytest.raises(httpx2.RemoteProtocolError, match="stopped"):
        await client.get(f"/streams/{how}")
    (error,) = errors_in(caplog)
    assert "opened and not closed" in error


@pytest.mark.parametrize("how", [name for name in HOW if name != "nothing"])
async def test_a_connection_that_leaves_something_open_is_closed_with_1011(client, caplog, how):
    async with client.websocket_connect(f"/socket/{how}") as ws:
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
    assert caught.value.code == 1011
    (error,) = errors_in(caplog)
    assert "opened and not closed" in error


async def test_a_mounted_application_that_leaves_something_open_ends_no_other(caplog):
    async def mounted(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"sent"})
        await leave_several()

    app = Triows(returning)
    app.mount("/mounted", mounted)
    async with open_app(app, raise_app_exceptions=False) as client:
        for _ in range(2):
            assert (await client.get("/mounted")).text == "sent"
        assert (await client.get("/returns/nothing")).text == "done"
    assert "opened and not closed" in caplog.text
