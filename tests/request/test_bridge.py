"""A request to our own server, as ASGI's events."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from triows import ClientDisconnect
from triows._request.bridge import RequestBridge, bridge_of
from triows._request.transport import nobody


class Scripted:
    """A request whose client is the test."""

    def __init__(self, *parts: bytes) -> None:
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

    async def send(self, body: bytes, *, more: bool) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(("send", body, more))

    async def send_file(self, path: str) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(("send_file", path))

    async def send_trailers(self, headers: Any, *, more: bool) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(("send_trailers", headers, more))


def bridge_to(request: Scripted) -> RequestBridge:
    return RequestBridge(request)  # type: ignore[arg-type]


async def test_a_request_without_a_body_is_one_event():
    bridge = bridge_to(Scripted())
    assert await bridge.receive() == {"type": "http.request", "body": b"", "more_body": False}


async def test_each_part_says_whether_another_one_follows():
    bridge = bridge_to(Scripted(b"a", b"b"))
    events = [await bridge.receive() for _ in range(2)]
    assert [(one["body"], one["more_body"]) for one in events] == [(b"a", True), (b"b", False)]


async def test_the_end_follows_the_body_when_there_is_one(autojump_clock):
    request = Scripted(b"a")
    bridge = bridge_to(request)
    await bridge.receive()
    with trio.move_on_after(1) as waiting:
        await bridge.receive()
    assert waiting.cancelled_caught
    request.over.set()
    assert await bridge.receive() == {"type": "http.disconnect"}
    assert await bridge.receive() == {"type": "http.disconnect"}


async def test_a_body_that_is_cut_off_ends_with_a_disconnect():
    request = Scripted(b"a")
    request.is_cut_off = True
    request.over.set()
    bridge = bridge_to(request)
    assert (await bridge.receive())["more_body"] is True
    assert await bridge.receive() == {"type": "http.disconnect"}


async def test_an_event_that_waits_is_handed_over_in_a_cancelled_scope_once():
    request = Scripted(b"a")
    request.over.set()
    bridge = bridge_to(request)
    seen = []
    for _ in range(3):
        with trio.CancelScope() as scope:
            scope.cancel()
            seen.append((await bridge.receive())["type"])
    assert seen == ["http.request", "http.disconnect"]


async def test_events_become_calls():
    request = Scripted()
    bridge = bridge_to(request)
    await bridge.send({"type": "http.response.start", "status": 204})
    await bridge.send(
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")], "trailers": True}
    )
    await bridge.send({"type": "http.response.body"})
    await bridge.send({"type": "http.response.body", "body": b"x", "more_body": True})
    await bridge.send({"type": "http.response.pathsend", "path": "/file"})
    await bridge.send({"type": "http.response.trailers", "headers": [(b"c", b"d")]})
    await bridge.send({"type": "http.response.trailers", "more_trailers": True})
    assert request.calls == [
        ("start", 204, (), False),
        ("start", 200, [(b"a", b"b")], True),
        ("send", b"", False),
        ("send", b"x", True),
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
    bridge = bridge_to(Scripted())
    with trio.testing.assert_checkpoints(), pytest.raises(error):
        await bridge.send(event)


async def test_starting_a_response_can_be_cancelled():
    request = Scripted()
    with trio.CancelScope() as scope:
        scope.cancel()
        await bridge_to(request).send({"type": "http.response.start", "status": 200})
    assert scope.cancelled_caught
    assert request.calls == []


async def test_the_bridge_is_found_if_both_functions_are_its_own():
    bridge, other = bridge_to(Scripted()), bridge_to(Scripted())

    async def wrapped(event: Any) -> None: ...

    assert bridge_of(bridge.receive, bridge.send) is bridge
    assert bridge_of(bridge.receive, wrapped) is None
    assert bridge_of(bridge.receive, other.send) is None
    assert bridge_of(wrapped, wrapped) is None  # type: ignore[arg-type]
