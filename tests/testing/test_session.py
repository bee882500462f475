"""
A connection in a test: what it refuses, and what it says when something else comes.

``test_client`` and ``test_faults`` test what it does with applications of all kinds.
"""

from __future__ import annotations

from contextlib import asynccontextmanager

import msgspec
import pytest

from tests.connecting import connect
from triows import Triows, WebSocket, WebSocketDisconnect, WebSocketRoute
from triows.testing import ReceiveTimeout, SendTimeout, WebSocketDenialResponse, WebSocketSession


async def echo(ws: WebSocket) -> None:
    await ws.accept(headers={"x-a": "1"})
    async for message in ws:
        await ws.send(message)


async def deaf(ws: WebSocket) -> None:
    await ws.accept()
    await ws.ping()


async def refuse(ws: WebSocket) -> None:
    await ws.reject(401, "who are you?", {"x-a": "1"})


async def close_first(ws: WebSocket) -> None:
    await ws.close(4003, "go away")


@asynccontextmanager
async def session(handler=echo, **options):
    route = WebSocketRoute("ws")
    route.endpoint(handler)
    async with connect(Triows(route), "/ws", **options) as ws:
        yield ws


async def test_each_kind_of_message_comes_back(autojump_clock):
    async with session() as ws:
        await ws.send_text("a")
        await ws.send_bytes(bytearray(b"b"))
        await ws.send_json([1])
        await ws.send_json([2], mode="binary")
        assert await ws.receive_text() == "a"
        assert await ws.receive_bytes() == b"b"
        assert await ws.receive_json(list[int]) == [1]
        assert await ws.receive() == b"[2]"


async def test_pieces_are_one_message(autojump_clock):
    async with session() as ws:
        await ws.send_fragments(["h\xe9", "", "llo"])
        await ws.send_fragments([b"a", b"b"])
        await ws.send_fragments([])
        assert [await ws.receive() for _ in range(3)] == ["h\xe9llo", b"ab", ""]


@pytest.mark.parametrize(
    ("send", "wrong"), [("send", 1), ("send_text", b"a"), ("send_bytes", "a"), ("send", None)]
)
async def test_a_message_of_another_type_is_refused(autojump_clock, send, wrong):
    async with session() as ws:
        with pytest.raises(TypeError):
            await getattr(ws, send)(wrong)


@pytest.mark.parametrize(
    ("sent", "receive", "said"),
    [
        (b"a", "receive_text", "expected text, got b'a'"),
        ("a", "receive_bytes", "expected bytes, got 'a'"),
        ("{", "receive_json", "expected JSON, got '{'"),
    ],
)
async def test_a_message_of_another_kind_fails_with_the_last_events(
    autojump_clock, sent, receive, said
):
    async with session() as ws:
        await ws.send(sent)
        with pytest.raises(AssertionError) as caught:
            await getattr(ws, receive)()
        assert str(caught.value).startswith(said)
        assert "the connection's last events" in str(caught.value)


async def test_json_of_another_type_fails_with_the_type(autojump_clock):
    class User(msgspec.Struct):
        name: str

    async with session() as ws:
        await ws.send_json({"name": 1})
        with pytest.raises(AssertionError, match=r"expected JSON .*User.*Expected `str`"):
            await ws.receive_json(User)


async def test_nothing_in_time_is_a_timeout_and_a_failed_assertion(autojump_clock):
    async with session() as ws:
        with pytest.raises(ReceiveTimeout, match="sent nothing for 3 s"):
            await ws.receive(timeout=3)
    assert issubclass(ReceiveTimeout, AssertionError)
    assert issubclass(SendTimeout, AssertionError)


async def test_it_knows_how_it_ended(autojump_clock):
    async with session() as ws:
        assert (ws.close_code, ws.close_reason) == (None, None)
        await ws.close(4001, "enough")
        assert (ws.close_code, ws.close_reason) == (4001, "enough")
        with pytest.raises(WebSocketDisconnect, match="4001 enough"):
            await ws.receive()


async def test_a_ping_takes_the_round_trip(autojump_clock):
    async with session() as ws:
        assert await ws.ping(b"1") == 0
        assert "received pong bytes b'1'" in ws.events


async def test_it_has_the_headers_of_the_answer_and_which_of_them_are_extra(autojump_clock):
    async with session() as ws:
        assert ws.headers["x-a"] == "1"
        assert ws.headers["upgrade"] == "websocket"
        names = [name for name, _ in ws.extra_headers]
        assert b"x-a" in names
        assert b"upgrade" not in names


async def denial(handler) -> WebSocketDenialResponse:
    with pytest.raises(WebSocketDenialResponse) as caught:
        async with session(handler):
            pass
    return caught.value


async def test_a_refusal_has_the_status_the_headers_and_the_body(autojump_clock):
    refused = await denial(refuse)
    assert (refused.status_code, refused.headers["x-a"]) == (401, "1")
    assert refused.json()["detail"] == "who are you?"
    assert (refused.code, refused.reason[:16]) == (1006, "refused with 401")


async def test_a_close_before_the_acceptance_is_a_refusal_with_its_code(autojump_clock):
    refused = await denial(close_first)
    assert (refused.status_code, refused.code, refused.reason) == (403, 4003, "go away")


def test_a_loop_without_async_is_refused():
    with pytest.raises(TypeError, match="async for"):
        iter(WebSocketSession(None, None, None, 1))
