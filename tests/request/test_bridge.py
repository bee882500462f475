"""A request to our own server, as ASGI's events."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
import trio

from triows import ClientDisconnect
from triows._request.bridge import RequestBridge, request_of
from triows._request.transport import nobody


class Scripted(RequestBridge):
    """A request whose client is the test."""

    def __init__(self, *parts: bytes) -> None:
        self._is_read = self._is_end_told = False
        self.parts = list(parts)
        self.calls: list[Any] = []
        self.on_left = nobody
        self.over = trio.Event()
        self.is_cut_off = False

    @property
    def has_more(self) -> bool:
        return bool(self.parts) or self.is_cut_off

    async def receive(self) -> bytes:
        if self.parts:
            return self.parts.pop(0)
        if self.is_cut_off:
            await trio.lowlevel.checkpoint()
            raise ClientDisconnect("the client has left")
        return b""

    async def wait_over(self) -> None:
        if not self.over.is_set():
            await self.over.wait()

    def start(self, status: int, headers: Any, *, trailers: bool = False) -> None:
        self.calls.append(("start", status, headers, trailers))

    def send_nowait(self, body: bytes, *, more: bool) -> Awaitable[None] | None:
        self.calls.append(("send", body, more))
        return self.wait() if more else None

    async def wait(self) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append("waited")

    async def send_file(self, path: str) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(("send_file", path))

    async def send_trailers(self, headers: Any, *, more: bool) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(("send_trailers", headers, more))


async def test_a_request_without_a_body_is_one_event():
    request = Scripted()
    assert await request.asgi_receive() == {"type": "http.request", "body": b"", "more_body": False}


async def test_each_part_says_whether_another_one_follows():
    request = Scripted(b"a", b"b")
    events = [await request.asgi_receive() for _ in range(2)]
    assert [(one["body"], one["more_body"]) for one in events] == [(b"a", True), (b"b", False)]


async def test_the_end_follows_the_body_when_there_is_one(autojump_clock):
    request = Scripted(b"a")
    await request.asgi_receive()
    with trio.move_on_after(1) as waiting:
        await request.asgi_receive()
    assert waiting.cancelled_caught
    request.over.set()
    assert await request.asgi_receive() == {"type": "http.disconnect"}
    assert await request.asgi_receive() == {"type": "http.disconnect"}


async def test_a_body_that_is_cut_off_ends_with_a_disconnect():
    request = Scripted(b"a")
    request.is_cut_off = True
    request.over.set()
    assert (await request.asgi_receive())["more_body"] is True
    assert await request.asgi_receive() == {"type": "http.disconnect"}


async def test_an_event_that_waits_is_handed_over_in_a_cancelled_scope_once():
    request = Scripted(b"a")
    request.over.set()
    seen = []
    for _ in range(3):
        with trio.CancelScope() as scope:
            scope.cancel()
            seen.append((await request.asgi_receive())["type"])
    assert seen == ["http.request", "http.disconnect"]


async def test_events_become_calls():
    request = Scripted()
    await request.asgi_send({"type": "http.response.start", "status": 204})
    await request.asgi_send(
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")], "trailers": True}
    )
    await request.asgi_send({"type": "http.response.body"})
    await request.asgi_send({"type": "http.response.body", "body": b"x", "more_body": True})
    await request.asgi_send({"type": "http.response.pathsend", "path": "/file"})
    await request.asgi_send({"type": "http.response.trailers", "headers": [(b"c", b"d")]})
    await request.asgi_send({"type": "http.response.trailers", "more_trailers": True})
    assert request.calls == [
        ("start", 204, (), False),
        ("start", 200, [(b"a", b"b")], True),
        ("send", b"", False),
        ("send", b"x", True),
        "waited",
        ("send_file", "/file"),
        ("send_trailers", [(b"c", b"d")], False),
        ("send_trailers", (), True),
    ]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "http.response.early"}, ValueError),
        ({"type": "http.response.start"}, KeyError),
    ],
)
async def test_a_wrong_event_is_refused_after_a_checkpoint(event, error):
    request = Scripted()
    with trio.testing.assert_checkpoints(), pytest.raises(error):
        await request.asgi_send(event)


async def test_starting_a_response_can_be_cancelled():
    request = Scripted()
    with trio.CancelScope() as scope:
        scope.cancel()
        await request.asgi_send({"type": "http.response.start", "status": 200})
    assert scope.cancelled_caught
    assert request.calls == []


async def test_the_request_is_found_if_both_functions_are_its_own():
    request, other = Scripted(), Scripted()

    async def wrapped(event: Any) -> None: ...

    assert request_of(request.asgi_receive, request.asgi_send) is request
    assert request_of(request.asgi_receive, wrapped) is None
    assert request_of(request.asgi_receive, other.asgi_send) is None
    assert request_of(wrapped, wrapped) is None  # type: ignore[arg-type]
