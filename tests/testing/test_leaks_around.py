"""Leaks around an application: in mounted applications, middleware, and foreign clients."""

from typing import Annotated, Any

import httpx2
import pytest
import starlette.routing
import trio
import websockets.sync.client
from starlette.applications import Starlette

from tests.testing.watching import line_of
from triows import Triows, WebSocket, WebSocketRoute, use
from triows.testing import LeakError, open_app, open_server


def serving(handler, **options: Any) -> Triows:
    route = WebSocketRoute("ws")
    route.endpoint(handler)
    return Triows(route, **options)


# Applications of other frameworks


def mounting(*routes: Any) -> Triows:
    app = Triows()
    app.mount("/other", Starlette(routes=routes))
    return app


async def test_a_mounted_handler_that_hangs_is_a_leak_and_is_shown(autojump_clock):
    async def hanging(websocket: Any) -> None:
        await websocket.accept()
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()  # the handler

    app = mounting(starlette.routing.WebSocketRoute("/ws", hanging))
    with pytest.raises(LeakError) as caught:
        async with open_app(app) as client, client.websocket_connect("/other/ws"):
            pass
    leak = str(caught.value)
    assert "the connection to /other/ws has not ended" in leak
    assert line_of(test_a_mounted_handler_that_hangs_is_a_leak_and_is_shown, "the handler") in leak


async def test_a_mounted_connection_that_nobody_left_is_a_leak(autojump_clock):
    async def idle(websocket: Any) -> None:
        await websocket.accept()
        await websocket.receive()

    async def stay(client: Any, task_status: trio.TaskStatus[None]) -> None:
        async with client.websocket_connect("/other/ws"):
            task_status.started()
            await trio.sleep_forever()

    app = mounting(starlette.routing.WebSocketRoute("/ws", idle))
    async with trio.open_nursery() as nursery:
        with pytest.raises(LeakError, match="1 connection is open at the end of the test"):
            async with open_app(app) as client:
                await nursery.start(stay, client)
        nursery.cancel_scope.cancel()


async def test_a_request_that_shields_itself_is_missed_shown_and_ended(autojump_clock):
    ended = []

    async def hanging(request: Any) -> None:
        try:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()  # the page
        finally:
            ended.append("ended")

    async def miss() -> None:
        async with open_app(app, timeout=1) as client:
            with pytest.raises(httpx2.ReadTimeout) as missed:
                await client.get("/other/page")
            assert trio.current_time() < 2
            notes.extend(missed.value.__notes__)

    notes: list[str] = []
    app = mounting(starlette.routing.Route("/page", hanging))
    with pytest.raises(LeakError, match="a request has not ended") as caught:
        await miss()
    where = line_of(test_a_request_that_shields_itself_is_missed_shown_and_ended, "the page")
    assert where in notes[0]
    assert where in str(caught.value)
    assert ended == ["ended"]


# Middleware


class Renaming:
    """Middleware that changes the peer's address, as behind a proxy."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["client"] = ("203.0.113.9", 443)
        await self.app(scope, receive, send)


async def test_a_connection_whose_address_middleware_has_replaced_is_known(opening, clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        assert ws.client == ("203.0.113.9", 443)
        await ws.receive()

    app = serving(handler, middlewares=[Renaming])
    async with opening(app, patience=0.3) as client:
        async with client.websocket_connect("/ws") as ws:
            await ws.send("hello")
            await ws.expect_close(1000)
        async with client.websocket_connect("/ws") as one, client.websocket_connect("/ws") as two:
            one.cancel_handler()
            await one.expect_close(1001)
            await two.expect_nothing(0.01)


@pytest.mark.real_socket
async def test_a_resource_that_still_works_when_a_foreign_client_has_left_is_no_leak():
    log = []

    async def transaction():
        yield
        await trio.sleep(0.05)
        log.append("committed")

    async def handler(ws: WebSocket, _held: Annotated[None, use(transaction)]) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message)

    def visit(url: str) -> None:
        with websockets.sync.client.connect(url) as ws:
            ws.send("hello")
            assert ws.recv() == "hello"

    async with open_server(serving(handler)) as client:
        url = client.base_url.replace("http", "ws")
        await trio.to_thread.run_sync(visit, f"{url}/ws")
    assert log == ["committed"]
