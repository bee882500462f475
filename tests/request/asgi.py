"""ASGI servers of which the test plays the client."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import h11
import trio

from tests.server.harness.engine import asked, opened_engine
from triows import ClientDisconnect

__all__ = ["SERVERS", "START", "Server", "body"]

START = {"type": "http.response.start", "status": 201, "headers": []}


class Server:
    """ASGI's two functions."""

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


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


# The servers. What a client has of the response are its bytes.


ACCEPTED = ["accept-encoding: gzip"]


@asynccontextmanager
async def on_ours(app: Any, method: str, *lines: str) -> AsyncIterator[Callable[[], bytes]]:
    async with opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked("/r", *ACCEPTED, *lines, method=method))
        yield lambda: bytes(wire.sent)


@asynccontextmanager
async def on_another(app: Any, method: str, *lines: str) -> AsyncIterator[Callable[[], bytes]]:
    """As Hypercorn does it: h11 writes each event at once."""
    connection, sent, status = h11.Connection(h11.SERVER), bytearray(), 0
    connection.receive_data(asked("/r", *ACCEPTED, *lines, method=method))
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    # Without the rest of a body, there is no event.
    requests = []
    if connection.next_event() is not h11.NEED_DATA:
        requests.append({"type": "http.request", "body": b"", "more_body": False})
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/r",
        "raw_path": b"/r",
        "query_string": b"",
        "root_path": "",
        "headers": list(head.headers),
        "client": ("client", 1),
        "server": ("testserver", 80),
        "extensions": {},
    }

    async def receive() -> Any:
        await trio.lowlevel.checkpoint()
        return requests.pop() if requests else await trio.sleep_forever()

    async def send(event: Any) -> None:
        nonlocal status
        await trio.lowlevel.checkpoint()
        if event["type"] == "http.response.start":
            status = event["status"]
            sent.extend(connection.send(h11.Response(status_code=status, headers=event["headers"])))
            return
        assert event["type"] == "http.response.body"
        if event.get("body") and method != "HEAD" and status not in (204, 304):
            sent.extend(connection.send(h11.Data(data=bytes(event["body"]))))
        if not event.get("more_body", False):
            sent.extend(connection.send(h11.EndOfMessage()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, scope, receive, send)
        yield lambda: bytes(sent)


SERVERS = {"ours": on_ours, "another": on_another}
