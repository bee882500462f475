"""Virtual time: what takes an hour for a connection takes a moment for its test."""

from typing import Annotated, Any

import trio

from tests.connecting import connect, opened
from triows import Limits, Timeouts, Triows, WebSocket, WebSocketDisconnect, WebSocketRoute, use


def serving(handler, **options: Any) -> Triows:
    route = WebSocketRoute("")
    route.endpoint(handler)
    return Triows(route, **options)


async def test_an_hour_of_heartbeats_passes_at_once(autojump_clock):
    async def idle(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()

    async with connect(serving(idle, timeouts=Timeouts(ping_interval=20)), "/") as ws:
        await ws.expect_nothing(3601)
        # The events are the handshake, and a ping every 20 s.
        assert f"({1 + 3600 // 20 - 10} earlier events)" in ws.events


async def test_every_limit_of_a_life_is_met_to_the_second(autojump_clock):
    times: dict[str, float] = {}

    async def resource(ws: WebSocket):
        await ws.accept()
        yield
        try:
            await trio.sleep_forever()
        finally:
            times["teardown"] = trio.current_time()

    async def handler(ws: WebSocket, _held: Annotated[None, use(resource)]) -> None:
        try:
            while True:
                await ws.send(bytes(1000))
        except WebSocketDisconnect:
            times["send"] = trio.current_time()
        try:
            await trio.sleep_forever()
        finally:
            times["disconnect_grace"] = trio.current_time()

    timeouts = Timeouts(send=100, disconnect_grace=20, teardown=30, close=7, ping_interval=1000)
    app = serving(handler, timeouts=timeouts, limits=Limits(outbox=1))
    try:
        async with opened(app) as client, client.websocket_connect("/", buffer=1000) as ws:
            ws.stop_reading()
            await ws.wait_over(timeout=1000)
            times["over"] = trio.current_time()
    except Exception as exc:  # noqa: BLE001 - checked below
        error = exc
    assert type(error).__name__ == "TeardownTimeout"
    assert times == {
        "send": 100,
        "disconnect_grace": 120,
        "teardown": 150,
        # Before that, the closing handshake had its time.
        "over": 150,
    }


async def test_a_shutdown_of_minutes_passes_at_once(autojump_clock):
    async def stubborn(ws: WebSocket) -> None:
        await ws.accept()
        await trio.sleep_forever()

    app = serving(stubborn, timeouts=Timeouts(shutdown_grace=300))
    async with opened(app) as client, client.websocket_connect("/") as ws:
        await client.shutdown()
        assert trio.current_time() == 300
        await ws.expect_close(1001)
