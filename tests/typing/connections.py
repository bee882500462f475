"""What a type checker makes of a connection, its messages and its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, assert_type

import msgspec
from starlette.datastructures import URL, Headers, QueryParams

from triows import (
    HTTPException,
    InvalidMessage,
    TriowsError,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketState,
    WebSocketStatistics,
    WrongDataType,
)


class Point(msgspec.Struct):
    x: int


async def receive(ws: WebSocket) -> None:
    assert_type(await ws.receive(), str | bytes)
    assert_type(await ws.receive_text(), str)
    assert_type(await ws.receive_bytes(), bytes)
    assert_type(await ws.receive_json(), Any)
    assert_type(await ws.receive_json(Point), Point)
    assert_type(await ws.receive_json(type=Point), Point)
    assert_type(await ws.receive_json(list[int]), list[int])
    assert_type(await ws.receive_json(Point | int), Any)
    coming: Coroutine[Any, Any, str | bytes] = ws.receive()
    message = await coming
    message.bit_length()  # type: ignore[union-attr]


async def iterate(ws: WebSocket) -> None:
    async for message in ws:
        assert_type(message, str | bytes)
    async for text in ws.iter_text():
        assert_type(text, str)
    async for data in ws.iter_bytes():
        assert_type(data, bytes)
    async for anything in ws.iter_json():
        assert_type(anything, Any)
    async for point in ws.iter_json(Point):
        assert_type(point, Point)
    assert_type(ws.iter_json(dict[str, int]), AsyncIterator[dict[str, int]])


async def send(ws: WebSocket) -> None:
    assert_type(await ws.accept("wamp", {"x-room": "7"}), None)
    await ws.accept(subprotocol=None, headers=[("a", "b")])
    await ws.accept(headers=[(b"a", b"b")])
    for message in ("text", b"bytes", bytearray(), memoryview(b"")):
        await ws.send(message)
    await ws.send_text("text")
    await ws.send_bytes(b"bytes")
    await ws.send_json({"a": [Point(5)]}, mode="binary")
    await ws.close(4000, "enough")
    await ws.reject(403, "no", {"a": "b"})
    assert_type(await ws.ping(), float)
    going: Coroutine[Any, Any, None] = ws.send("text")
    assert_type(await going, None)
    await ws.send(5)  # type: ignore[arg-type]
    await ws.send_text(b"bytes")  # type: ignore[arg-type]
    await ws.send_bytes("text")  # type: ignore[arg-type]
    await ws.send_json(5, mode="bytes")  # type: ignore[arg-type]


def look(ws: WebSocket) -> None:
    assert_type(ws.latency, float | None)
    assert_type(ws.client_state, WebSocketState)
    assert_type(ws.close_code, int | None)
    assert_type(ws.close_reason, str | None)
    assert_type(ws.subprotocol, str | None)
    assert_type(ws.statistics(), WebSocketStatistics)
    assert_type(ws.statistics().inbox_bytes, int)
    assert_type(ws.url, URL)
    assert_type(ws.headers, Headers)
    assert_type(ws.query_params, QueryParams)
    assert_type(ws.cookies, dict[str, str])
    assert_type(ws.path_params, dict[str, Any])


def end(exc: TriowsError) -> None:
    if isinstance(exc, WebSocketDisconnect):
        assert_type((exc.code, exc.reason), tuple[int, str])
    if isinstance(exc, InvalidMessage):
        assert_type(exc.detail, str)
    refusal = HTTPException(401, "who are you?", {"www-authenticate": "Bearer"})
    assert_type(refusal.headers, Mapping[str, str] | None)
    error: WebSocketClose = WrongDataType("no text")
    raise error
