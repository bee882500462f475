"""
Plain requests, for clients and proxies that aren't ours.

Each answer has the header ``x-port``: the port from which the connection came. So two answers with
the same port came on the same connection. ``/requests`` tells what was asked since it was asked.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs

import attrs
import trio
from attacked import census_route, echo_route

from triows import Timeouts, Triows
from triows.types import Receive, Scope, Send

#: Bodies consist of this, so that it is noticed if a part is lost, or comes twice.
PATTERN = bytes(range(256)) * 256

#: Every request, except those for ``/requests``.
asked: list[dict[str, Any]] = []

#: Set when a client has left, by the client's key.
left: defaultdict[str, trio.Event] = defaultdict(trio.Event)


def pattern(size: int) -> bytes:
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


@attrs.frozen
class Request:
    """A request, and the ways to answer it."""

    scope: Scope
    receive: Receive
    send: Send

    def header(self, name: bytes) -> str:
        values = [value for key, value in self.scope["headers"] if key == name]
        return b", ".join(values).decode("latin-1")

    def query(self, name: str) -> str:
        return parse_qs(self.scope["query_string"].decode())[name][0]

    async def body(self) -> bytes:
        body, more = b"", True
        while more:
            event = await self.receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
            if event["type"] == "http.disconnect":
                raise ConnectionError("the client has left")
        return body

    async def start(self, status: int = 200, **headers: str) -> None:
        lines = {"content-type": "text/plain", "x-port": str(self.scope["client"][1]), **headers}
        await self.send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(key.encode(), value.encode()) for key, value in lines.items()],
            }
        )

    async def part(self, data: bytes, *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, data: bytes, status: int = 200) -> None:
        await self.start(status, **{"content-length": str(len(data))})
        await self.part(data, more=False)


async def hello(request: Request) -> None:
    await request.answer(b"hello")


async def seen(request: Request) -> None:
    """Tell what came."""
    body = await request.body()
    facts = {
        "method": request.scope["method"],
        "size": len(body),
        "hash": sha256(body).hexdigest(),
        "length": request.header(b"content-length"),
        "coding": request.header(b"transfer-encoding"),
        "expect": request.header(b"expect"),
    }
    asked[-1].update(facts)
    await request.answer(json.dumps(facts).encode())


async def refused(request: Request) -> None:
    """Answer without a look at the body."""
    await request.answer(b"no", 403)


async def big(request: Request) -> None:
    """Answer with a length."""
    await request.answer(pattern(int(request.query("size"))))


async def streamed(request: Request) -> None:
    """Answer in chunks."""
    data = pattern(int(request.query("size")))
    await request.start()
    for begin, end in ((0, 1), (1, 100), (100, 70_000), (70_000, len(data))):
        await request.part(data[begin:end])
        await trio.lowlevel.checkpoint()
    await request.part(b"", more=False)


async def endless(request: Request) -> None:
    """Answer until the client has left."""
    try:
        await request.start()
        while True:
            await request.part(PATTERN)
    finally:
        left[request.query("key")].set()


async def wait_left(request: Request) -> None:
    """Answer when a client has left."""
    await left[request.query("key")].wait()
    await request.answer(b"it has left")


async def requests(request: Request) -> None:
    """Tell what was asked, and forget it."""
    told = json.dumps(asked).encode()
    asked.clear()
    await request.answer(told)


HANDLERS: dict[str, Callable[[Request], Awaitable[None]]] = {
    "/seen": seen,
    "/refused": refused,
    "/big": big,
    "/streamed": streamed,
    "/endless": endless,
    "/left": wait_left,
    "/requests": requests,
}


def target(scope: Scope) -> str:
    """The path and the query, as they were sent."""
    query = scope["query_string"]
    return (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})  # refuses it
        return
    request = Request(scope, receive, send)
    if scope["path"] != "/requests":
        asked.append(
            {
                "method": scope["method"],
                "target": target(scope),
                "host": request.header(b"host"),
            }
        )
    await HANDLERS.get(scope["path"], hello)(request)


app = Triows(echo_route, census_route, timeouts=Timeouts(ping_interval=math.inf))
app.mount("/", site)
