"""Plain HTTP in bare ASGI, and a file as Starlette sends it: what every ASGI server runs."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.responses import FileResponse

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TEXT, BINARY = b"text/plain; charset=utf-8", b"application/octet-stream"
JSON = b"application/json"

BODY = b"a" * 1_000_000


def large_file() -> Path:
    """Make the file, if no other server has done that. It stays in memory or in the page cache."""
    path = Path(tempfile.gettempdir(), "triows-benchmarks-10MB")
    if not path.exists() or path.stat().st_size != len(BODY) * 10:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(BODY * 10)
        Path(file.name).rename(path)
    return path


FILE = large_file()


async def answer(send: Send, body: bytes, content_type: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def small(_scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, b"Hello, world!", TEXT)


async def typed(scope: Scope, _receive: Receive, send: Send) -> None:
    query = parse_qs(scope["query_string"].decode())
    found = {"id": int(scope["path"].removeprefix("/u/")), "q": query["q"][0]}
    await answer(send, msgspec.json.encode(found), JSON)


async def upload(_scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        event = await receive()
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    await answer(send, str(size).encode(), TEXT)


async def download(_scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, BODY, BINARY)


async def file(scope: Scope, receive: Receive, send: Send) -> None:
    await FileResponse(FILE)(scope, receive, send)


HANDLERS = {
    "/small": small,
    "/u/7": typed,
    "/upload": upload,
    "/download": download,
    "/file": file,
}


async def lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await HANDLERS[scope["path"]](scope, receive, send)
