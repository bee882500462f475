"""
The typed routes in a process, with routes for large bodies and for mistakes of the application.

A handler with a ``key`` reports how its resource ended.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import trio
from attacked import TIMEOUTS, census_route, echo_route, reports
from attrs import evolve
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from typed import Account, routes

from triows import (
    AsyncResource,
    EventStream,
    HTTPException,
    Limits,
    Param,
    ResponseHeaders,
    Route,
    ServerSentEvent,
    Triows,
    Upload,
    use,
)

BLOCK = bytes(2**16)

#: It is there as long as the process.
FOLDER = tempfile.TemporaryDirectory()


async def tracked(key: str) -> AsyncResource[dict[str, int]]:
    """Report that it begins, how it ended, and how many bytes the handler has counted."""
    counted = {"bytes": 0}
    error = None
    reports.make(f"begin of {key}")
    try:
        yield counted
    except BaseException as exc:
        error = type(exc).__name__
        raise
    finally:
        reports.make(key, error=error, **counted)


Tracked = Annotated[dict[str, int], use(tracked)]

big = Route("big", limits=Limits(body=2**31))
parts, upload, stream, response, file, events, silent = (
    big / name for name in ("parts", "upload", "stream", "response", "file", "events", "silent")
)


@parts.put
async def take_parts(body: AsyncIterator[bytes], counted: Tracked) -> int:
    async for part in body:
        counted["bytes"] += len(part)
    return counted["bytes"]


@upload.post
async def take_upload(form: Upload, counted: Tracked) -> int:
    async for part in form:
        async for chunk in part:
            counted["bytes"] += len(chunk)
    return counted["bytes"]


def blocks(size: int) -> list[bytes]:
    return [BLOCK] * (size // len(BLOCK))


@stream.get
async def send_parts(size: int, counted: Tracked) -> AsyncIterator[bytes]:
    for block in blocks(size):
        counted["bytes"] += len(block)
        yield block


@response.get
async def send_response(size: int, counted: Tracked) -> StreamingResponse:
    async def content() -> AsyncIterator[bytes]:
        for block in blocks(size):
            counted["bytes"] += len(block)
            yield block

    return StreamingResponse(content())


def sparse(size: int) -> Path:
    """Return a file of this size, which takes no room."""
    path = Path(FOLDER.name, f"sparse-{size}")
    with path.open("ab") as opened:
        opened.truncate(size)
    return path


@file.get
async def send_file(size: int, counted: Tracked) -> FileResponse:
    counted["bytes"] = size
    return FileResponse(sparse(size))


@events.get
async def send_events(counted: Tracked) -> EventStream:
    while True:
        yield ServerSentEvent("x" * 1000)
        counted["bytes"] += 1000


@silent.get
async def wait(counted: Tracked) -> None:
    await trio.sleep_forever()


threads = Route("threads")


# In memory, time would pass while a thread works.
@threads.post
def add(account: Account) -> Account:
    return account


mistaken = Route("mistaken/{how}")


@mistaken.get
async def answer_as_told(how: str, text: str, headers: ResponseHeaders) -> Response:
    """Put what the client has sent where it may not be."""
    if how == "added":
        headers["x-text"] = text
    if how == "path":
        headers.set_cookie("text", path=text)
    if how == "refusal":
        raise HTTPException(400, headers={"x-text": text})
    if how == "redirect":
        return RedirectResponse(text)
    if how == "cookie":
        response = Response()
        response.set_cookie("text", text)
        return response
    if how == "type":
        return Response(media_type=text)
    return Response(headers={"x-text": text})


@(mistaken / "events").get
async def send_event(
    how: str, text: str, last: Annotated[str | None, Param("header")] = None
) -> EventStream:
    fields: dict[str, Any] = {how: text}
    yield ServerSentEvent(**fields)


app = Triows(
    echo_route,
    census_route,
    big,
    threads,
    mistaken,
    *routes,
    timeouts=evolve(TIMEOUTS, receive=1),
)
app.static("/static", Path(__file__).parent)
