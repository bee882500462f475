"""What a type checker makes of the test clients and of serving."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, assert_type

import msgspec
import trio
from hypercorn.config import Config
from starlette.datastructures import Headers

import triows
from triows import Triows
from triows.testing import (
    ReceiveTimeout,
    TestClient,
    WebSocketDenialResponse,
    WebSocketSession,
    WebSocketTestSession,
    connect,
)

app = Triows()


class Point(msgspec.Struct):
    x: int


async def natively() -> None:
    opened: AbstractAsyncContextManager[WebSocketSession] = connect(app, "/")
    assert_type(await opened.__aenter__(), WebSocketSession)
    async with connect(app, "/", headers={"a": "b"}, subprotocols=["a"], timeout=5) as ws:
        assert_type(ws, WebSocketSession)
        assert_type(await ws.receive(), str | bytes)
        assert_type(await ws.receive(timeout=3), str | bytes)
        assert_type(await ws.receive_text(), str)
        assert_type(await ws.receive_bytes(), bytes)
        assert_type(await ws.receive_json(), Any)
        assert_type(await ws.receive_json(timeout=3), Any)
        assert_type(await ws.receive_json(Point), Point)
        assert_type(await ws.receive_json(list[Point], 3), list[Point])
        assert_type(await ws.receive_json(Point | int), Any)
        assert_type(ws.accepted_subprotocol, str | None)
        assert_type(ws.extra_headers, Sequence[tuple[bytes, bytes]])
        assert_type(ws.close_code, int | None)
        assert_type(ws.close_reason, str | None)
        await ws.send(5)  # type: ignore[arg-type]
    connect(app, "/", headers=[("a", "b"), ("a", "c")])
    connect(app, "/", headers="a: b")  # type: ignore[arg-type]


def synchronously() -> None:
    with TestClient(app, headers={"a": "b"}, timeout=5) as client:
        assert_type(client, TestClient)
        assert_type(client.app, Triows)
        with client.websocket_connect("/", ["a"], {"b": "c"}) as ws:
            assert_type(ws, WebSocketTestSession)
            assert_type(ws.receive_text(), str)
            assert_type(ws.receive_bytes(), bytes)
            assert_type(ws.receive_json(mode="binary"), Any)
            assert_type(ws.accepted_subprotocol, str | None)
            ws.send_json([1], mode="bytes")  # type: ignore[arg-type]


def look(refusal: WebSocketDenialResponse, late: ReceiveTimeout) -> None:
    assert_type(refusal.status_code, int)
    assert_type(refusal.headers, Headers)
    assert_type(refusal.content, bytes)
    assert_type(refusal.text, str)
    assert_type(refusal.json(), Any)
    disconnect: triows.WebSocketDisconnect = refusal
    failure: AssertionError = late
    raise disconnect from failure


async def serving() -> None:
    config = Config()
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        # Nursery.start can't tell the type of what it is given back.
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
