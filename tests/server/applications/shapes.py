"""Routes for plain requests of all shapes. They print what happens to their resources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import msgspec
import trio
from starlette.responses import FileResponse

from triows import (
    EventStream,
    HTTPException,
    Limits,
    Param,
    Route,
    ServerSentEvent,
    Timeouts,
    Triows,
    Upload,
    UploadFile,
    use,
)


class Item(msgspec.Struct):
    name: str
    count: int = 0


async def noted() -> AsyncIterator[str]:
    """Print how it ends."""
    try:
        yield "resource"
        print("committed", flush=True)
    except BaseException as exc:
        print(f"rolled back: {type(exc).__name__}", flush=True)
        raise


async def broken() -> AsyncIterator[str]:
    yield "resource"
    raise ValueError("the exit has failed")


Noted = Annotated[str, use(noted)]

items = Route("items/{number}")


@items.get(etag=True)
async def read(number: int, q: str = "") -> Item:
    if number == 0:
        raise HTTPException(409, "there is no item 0")
    if number < 0:
        raise ValueError("a mistake")
    return Item(q, number)


@items.post
async def write(number: int, item: Item, resource: Noted) -> Item:
    return Item(item.name, item.count + number)


form = Route("form")


@form.post
async def take_form(photo: UploadFile, title: Annotated[str, Param("form")]) -> dict[str, object]:
    return {"title": title, "size": len(await photo.read())}


uploads = Route("upload")


@uploads.post
async def take_upload(upload: Upload, resource: Noted) -> int:
    size = 0
    async for part in upload:
        async for data in part:
            size += len(data)
    return size


threads = Route("thread")


@threads.get
def compute() -> int:
    return 6 * 7


files = Route("file")


@files.get
async def send_file(resource: Noted) -> FileResponse:
    return FileResponse(__file__)


parts = Route("parts")


@parts.get
async def send_parts(
    resource: Noted, how: Literal["whole", "fails"] = "whole"
) -> AsyncIterator[Item]:
    yield Item("first", 1)
    if how == "fails":
        raise ValueError("in the middle")
    yield Item("second", 2)


events = Route("events")


@events.get
async def send_events(resource: Noted) -> EventStream:
    yield ServerSentEvent(1, event="count", id="1")
    await trio.sleep_forever()


waiting = Route("waiting")


@waiting.get
async def wait(resource: Noted) -> None:
    print("waiting", flush=True)
    await trio.sleep_forever()


@waiting.post
async def wait_after(item: Item, resource: Noted) -> None:
    print("waiting", flush=True)
    await trio.sleep_forever()


breaking = Route("broken")


@breaking.get
async def break_whole(resource: Annotated[str, use(broken)]) -> str:
    return "done"


@(breaking / "parts").get
async def break_parts(resource: Annotated[str, use(broken)]) -> AsyncIterator[str]:
    yield "part"


timeouts = Timeouts(disconnect_grace=0.1, shutdown_grace=0.5, receive=0.5)
app = Triows(
    items,
    form,
    uploads,
    threads,
    files,
    parts,
    events,
    waiting,
    breaking,
    timeouts=timeouts,
    limits=Limits(body=100_000),
)
