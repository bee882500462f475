"""What passes through functions of others is counted, and passed on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from triows import ClientDisconnect
from triows._reasons import Reason
from triows._request.foreign import ForeignRequest
from triows._request.line import RequestLine

START = {"type": "http.response.start", "status": 201, "headers": []}


class Server:
    """ASGI's two functions. The test plays the client."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.client_is_gone = False
        #: If there is one, sends wait for it.
        self.gate: trio.Event | None = None
        self._into, self._events = trio.open_memory_channel[Any](math.inf)

    async def receive(self) -> Any:
        return await self._events.receive()

    async def send(self, event: Any) -> None:
        await trio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.client_is_gone:
            raise ClientDisconnect
        self.sent.append(event)

    def put(self, event: Any) -> None:
        self._into.send_nowait(event)

    def leave(self) -> None:
        self.put({"type": "http.disconnect"})

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def transport(server) -> ForeignRequest:
    return ForeignRequest(server.receive, server.send)


@pytest.fixture
def line(transport) -> RequestLine:
    return RequestLine(transport, patience=5)


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


# What the application sends and receives


async def test_events_pass_through_unchanged(transport, line, server):
    event = {"type": "http.request", "body": b"abc", "more_body": False}
    server.put(event)
    assert await transport.receive() is event
    await transport.send(START)
    await transport.send(body(b"de"))
    assert server.sent == [START, body(b"de")]


async def test_the_bytes_of_both_bodies_are_counted(transport, line, server):
    server.put({"type": "http.request", "body": b"abc", "more_body": True})
    server.put({"type": "http.request"})
    await transport.receive()
    await transport.receive()
    await transport.send(START)
    await transport.send(body(b"de", more=True))
    await transport.send({"type": "http.response.body"})
    assert (transport.received, transport.sent) == (3, 2)


async def test_a_response_is_complete_with_its_last_part(transport, line):
    seen = [(transport.status, line.is_complete)]
    for event in (START, body(b"a", more=True), body(b"")):
        await transport.send(event)
        seen.append((transport.status, line.is_complete))
    assert seen == [(None, False), (201, False), (201, False), (201, True)]
    assert line.ended


async def test_a_response_has_begun_even_if_its_beginning_was_cancelled(
    transport, autojump_clock, line, server
):
    server.gate = trio.Event()
    with trio.move_on_after(1):
        await transport.send(START)
    assert transport.status == 201
    await line.conclude([], Reason.CANCELLED)
    assert server.sent == []


@pytest.mark.parametrize("notice", ["receive", "send"])
async def test_a_client_has_left_when_the_application_was_told(transport, line, server, notice):
    server.leave()
    server.client_is_gone = True
    assert not line.ended
    if notice == "receive":
        assert await transport.receive() == {"type": "http.disconnect"}
    else:
        with pytest.raises(ClientDisconnect):
            await transport.send(START)
    assert (transport.left, line.ended, line.is_complete) == (True, True, False)
