"""What a type checker makes of the test clients and of serving."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, assert_type

import httpx2
import msgspec
import trio
from hypercorn.config import Config
from starlette.datastructures import Headers

import triows
from triows import Triows
from triows.inspect import Tree
from triows.testing import (
    AppClient,
    HTTPSession,
    LeakError,
    ReceiveTimeout,
    SendTimeout,
    TestClient,
    WebSocketDenialResponse,
    WebSocketSession,
    WebSocketTestSession,
    frame,
    open_app,
    open_server,
)

app = Triows()


class Point(msgspec.Struct):
    x: int


async def natively() -> None:
    opened: AbstractAsyncContextManager[AppClient] = open_app(app)
    assert_type(await opened.__aenter__(), AppClient)
    async with open_app(
        app,
        timeout=5,
        base_url="https://example.org",
        root_path="/api",
        patience=3,
        raise_app_exceptions=False,
    ) as client:
        assert_type(client, AppClient)
        assert_type(client.app, Triows)
        assert_type(client.base_url, str)
        assert_type(client.tree(), Tree)
        assert_type(await client.shutdown(), None)
        async with client.websocket_connect("/") as ws:
            assert_type(ws, WebSocketSession)
            await receiving(ws)
            await misbehaving(ws)
        client.websocket_connect("/", headers={"a": "b"}, subprotocols=["a"], timeout=5)
        client.websocket_connect("/", headers=[("a", "b"), ("a", "c")], client=("10.0.0.1", 1))
        client.websocket_connect("/", buffer=1, inbox=1, inbox_size=1)
        client.websocket_connect("/", headers="a: b")  # type: ignore[arg-type]
    open_app(app, config=Config())  # type: ignore[call-arg]


async def receiving(ws: WebSocketSession) -> None:
    assert_type(await ws.receive(), str | bytes)
    assert_type(await ws.receive(timeout=3), str | bytes)
    assert_type(await ws.receive_text(), str)
    assert_type(await ws.receive_bytes(3), bytes)
    assert_type(await ws.receive_json(), Any)
    assert_type(await ws.receive_json(timeout=3), Any)
    assert_type(await ws.receive_json(Point), Point)
    assert_type(await ws.receive_json(list[Point], 3), list[Point])
    assert_type(await ws.receive_json(Point | int), Any)
    async for message in ws:
        assert_type(message, str | bytes)
    assert_type(await ws.expect_close(1000, "bye"), None)
    assert_type(await ws.expect_nothing(3), None)
    assert_type(await ws.wait_over(), None)
    assert_type(ws.accepted_subprotocol, str | None)
    assert_type(ws.headers, Headers)
    assert_type(ws.extra_headers, Sequence[tuple[bytes, bytes]])
    assert_type(ws.close_code, int | None)
    assert_type(ws.close_reason, str | None)
    assert_type(ws.events, str)


async def misbehaving(ws: WebSocketSession) -> None:
    await ws.send("text")
    await ws.send(b"bytes")
    await ws.send(5)  # type: ignore[arg-type]
    await ws.send_text(b"bytes")  # type: ignore[arg-type]
    await ws.send_json(Point(1))
    await ws.send_fragments(["a", "b"])
    await ws.send_frame(1, b"text", fin=False)
    await ws.send_raw(assert_type(frame(1, b"text", mask=None), bytes))
    assert_type(await ws.flood("text", 100), int)
    assert_type(await ws.ping(b"data"), float)
    assert_type(await ws.close(1001, "bye"), None)
    assert_type(ws.reset(), None)
    assert_type(ws.vanish(), None)
    assert_type(ws.stop_reading(), None)
    assert_type(ws.resume_reading(), None)
    assert_type(ws.delay(0.5), None)
    assert_type(ws.cancel_handler(), None)


async def on_sockets() -> None:
    async with open_server(app, Config(), timeout=5) as client:
        assert_type(client, AppClient)
    async with open_server(app, raise_app_exceptions=False) as client:
        assert_type(client.base_url, str)
    open_server(app, base_url="http://example.org")  # type: ignore[call-arg]


async def step_by_step(client: AppClient) -> None:
    async with client.stream("POST", "/", sending=True, headers={"a": "b"}) as session:
        assert_type(session, HTTPSession)
        assert_type(await session.send(b"a"), None)
        assert_type(await session.send_end(), None)
        assert_type(await session.receive_head(), int)
        assert_type(session.status_code, int)
        assert_type(session.headers, Headers)
        assert_type(await session.receive(timeout=1), bytes)
        assert_type([part async for part in session], list[bytes])
        assert_type(await session.read(), bytes)
        assert_type(session.events, str)
        assert_type(await session.wait_over(), None)
        assert_type(session.close(), None)
        assert_type(session.reset(), None)
        assert_type(session.send_eof(), None)
        await session.send("text")  # type: ignore[arg-type]


async def plainly(client: AppClient, sync: TestClient) -> None:
    assert_type(client.http, httpx2.AsyncClient)
    assert_type(await client.request("GET", "/", params={"a": "b"}), httpx2.Response)
    assert_type(await client.get("/"), httpx2.Response)
    assert_type(await client.post("/", json=[1]), httpx2.Response)
    assert_type(sync.request("GET", "/"), httpx2.Response)
    assert_type(sync.get("/"), httpx2.Response)
    assert_type(sync.post("/", data={"a": "b"}), httpx2.Response)
    with sync.stream("GET", "/") as response:
        assert_type(response, httpx2.Response)
    assert_type(sync.send(sync.build_request("GET", "/")), httpx2.Response)
    sync.cookies.set("a", "b")
    sync.headers["a"] = "b"


def synchronously() -> None:
    with TestClient(app, headers={"a": "b"}, timeout=5) as client:
        assert_type(client, TestClient)
        assert_type(client.app, Triows)
        with client.websocket_connect("/", ["a"], {"b": "c"}, params={"d": "e"}) as ws:
            assert_type(ws, WebSocketTestSession)
            assert_type(ws.receive(), dict[str, Any])
            assert_type(ws.receive_text(), str)
            assert_type(ws.receive_bytes(), bytes)
            assert_type(ws.receive_json(mode="binary"), Any)
            assert_type(ws.accepted_subprotocol, str | None)
            assert_type(ws.extra_headers, Sequence[tuple[bytes, bytes]])
            assert_type(ws.send({"type": "websocket.receive", "text": "a"}), None)
            assert_type(ws.close(1001, "bye"), None)
            ws.send_json([1], mode="bytes")  # type: ignore[arg-type]
    TestClient(app, "http://example.org", True, "", "trio", None, {"a": "b"}, {"c": "d"}, True)
    TestClient(app, headers=[("a", "b"), ("a", "c")], client=("10.0.0.1", 1))
    TestClient(app, backend="asyncio")  # type: ignore[arg-type]


def look(
    refusal: WebSocketDenialResponse, late: ReceiveTimeout, full: SendTimeout, leak: LeakError
) -> None:
    assert_type(refusal.status_code, int)
    assert_type(refusal.headers, Headers)
    assert_type(refusal.content, bytes)
    assert_type(refusal.text, str)
    assert_type(refusal.json(), Any)
    disconnect: triows.WebSocketDisconnect = refusal
    failures: list[AssertionError] = [late, full, leak]
    times: list[trio.TooSlowError] = [late, full]
    raise disconnect from [*failures, *times][0]


async def serving() -> None:
    config = Config()
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        # A type checker doesn't know what Nursery.start returns.
        urls: list[str] = await nursery.start(triows.serve, app, config)
        assert_type(urls, list[str])
        nursery.start_soon(triows.serve, app, config)
    assert_type(await triows.serve(app, config, shutdown_trigger=stop.wait), None)
    status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED
    await triows.serve(app, config, task_status=status)
    with socket.socket() as bound:
        await triows.serve(app, config, sockets=[bound])
        await triows.serve(app, config, sockets=(bound,), task_status=status)
        await triows.serve(app, config, sockets=bound)  # type: ignore[arg-type]
        await triows.serve(app, config, sockets=[5])  # type: ignore[list-item]
    wrong: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    await triows.serve(app, config, task_status=wrong)  # type: ignore[arg-type]
