"""Each exchange has an id in all of its lines, if somebody asks for that."""

from __future__ import annotations

import json
import logging
import re
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.raw import handshake
from tests.server.harness.slow_peers import serving
from triows import JsonFormatter, Request, RequestIds, Route, Triows, WebSocket, WebSocketRoute
from triows._request_ids import current, id_in

MADE = re.compile(r"[0-9a-f]{32}")


def of(*values: bytes, header: str | None = "X-Request-ID") -> str:
    return RequestIds(header).of([(b"host", b"a"), *((b"x-request-id", one) for one in values)])


# Which id it is


@pytest.mark.parametrize("value", [b"7b9f", b"a-b_c.d~e:f@g/h+i=j", b"x" * 128])
def test_the_id_of_a_proxy_counts(value):
    assert of(value) == value.decode()


@pytest.mark.parametrize(
    "values", [(), (b"",), (b"a b",), (b'"a"',), (b"x" * 129,), (b"\xff",), (b"a", b"b")]
)
def test_an_id_that_can_not_be_used_is_replaced(values):
    assert MADE.fullmatch(of(*values))


def test_by_default_nobody_else_chooses_it():
    assert MADE.fullmatch(of(b"mine", header=None))
    assert RequestIds() == RequestIds(None)


def test_no_two_are_the_same():
    assert len({RequestIds().of([]) for _ in range(100)}) == 100


@pytest.mark.parametrize("header", ["", "x request", "x:", b"x-request-id", 7])
def test_a_header_that_can_not_be_is_refused(header):
    with pytest.raises(ValueError, match="must be the name of a header such as 'x-request-id'"):
        RequestIds(header)


@pytest.mark.parametrize(
    "scope", [{}, {"state": None}, {"state": {}}, {"state": {"request_id": 7}}]
)
def test_a_scope_without_one_has_none(scope):
    assert id_in(scope) is None


# Where it is


def app(seen: list[Any]) -> Triows:
    room, chat = Route("room"), WebSocketRoute("chat")
    log = logging.getLogger("room")

    @room.get
    async def enter(request: Request) -> str:
        log.info("entered")
        await trio.to_thread.run_sync(log.info, "in a thread")
        seen.append(request.state.request_id)
        return "hello"

    @room.post
    async def fail() -> str:
        raise ValueError("no such room")

    @chat.endpoint
    async def talk(ws: WebSocket, nursery: trio.Nursery) -> None:
        nursery.start_soon(say)
        await ws.accept()
        seen.append(ws.state.request_id)

    async def say() -> None:
        log.info("in a task")

    return Triows(room, chat)


def asked(method: str, path: str, request_id: str) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\nX-Request-ID: {request_id}\r\n\r\n".encode()


async def ids_after(sent: bytes, caplog: Any, ids: RequestIds | None) -> tuple[list[Any], Any]:
    """Return what handlers have seen, and the id of each record, by its message's first words."""
    caplog.set_level(logging.INFO)
    seen: list[Any] = []
    formatted: list[Any] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            formatted.append(json.loads(JsonFormatter().format(record)))

    handler = Keeping()
    logging.getLogger().addHandler(handler)
    try:
        async with serving(app(seen), request_ids=ids) as site:
            end = site.connect().end
            await end.send_all(sent)
            with trio.move_on_after(1), suppress(trio.BrokenResourceError):
                while await end.receive_some(2**16):
                    pass
            await wait_all_tasks_blocked()
    finally:
        logging.getLogger().removeHandler(handler)
    return seen, [(one["message"], one.get("request_id")) for one in formatted]


async def test_all_lines_of_a_request_have_it(caplog):
    sent = asked("GET", "/room", "one") + asked("GET", "/nowhere", "two")
    seen, lines = await ids_after(sent, caplog, RequestIds("x-request-id"))
    assert seen == ["one"]
    own = [(message, found) for message, found in lines if "refused" not in message]
    assert [found for _, found in own if found] == ["one"] * 3
    assert [found for message, found in lines if "refused 404" in message] == ["two"]


async def test_an_error_has_it(caplog):
    _, lines = await ids_after(asked("POST", "/room", "one"), caplog, RequestIds("x-request-id"))
    assert [found for message, found in lines if message.startswith("unhandled")] == ["one"]
    assert [found for message, found in lines if "answered 500" in message] == ["one"]


async def test_all_lines_of_a_websocket_have_it(caplog):
    sent = handshake("/chat", b"X-Request-ID: one", host="a")
    seen, lines = await ids_after(sent, caplog, RequestIds("x-request-id"))
    assert seen == ["one"]
    assert [found for message, found in lines if message == "in a task"] == ["one"]
    assert [found for message, found in lines if "/chat closed" in message] == ["one"]


async def test_unless_somebody_asks_for_it_there_is_none(caplog):
    sent = asked("GET", "/nowhere", "one")
    _, lines = await ids_after(sent, caplog, None)
    assert [found for _, found in lines if found] == []
    assert current.get() is None
