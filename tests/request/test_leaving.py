"""A client that leaves in the middle: the handler is cancelled, and its resources are closed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest
import trio
from starlette.responses import StreamingResponse

from triows import (
    AsyncResource,
    ClientDisconnect,
    EventStream,
    Limits,
    Param,
    Request,
    Route,
    ServerSentEvent,
    Timeouts,
    Triows,
    Upload,
    UploadFile,
    use,
)
from triows.testing import open_app

GRACE = 1.0
BLOCK = bytes(2**16)


class Story:
    """What the handler and its resource went through."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.over = trio.Event()

    def note(self, what: str, error: BaseException | None) -> None:
        self.seen.append(f"{what}: {type(error).__name__ if error else 'fine'}")


story = Story()


async def tracked() -> AsyncResource[None]:
    error: BaseException | None = None
    try:
        yield
    except BaseException as exc:
        error = exc
        raise
    finally:
        await trio.lowlevel.checkpoint()  # cleaning up may wait
        story.note("resource", error)
        story.over.set()


Tracked = Annotated[None, use(tracked)]


class noted:  # noqa: N801 - it is used as a function
    """Note how a block of the handler ends."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        story.note("handler", error)


class Item(msgspec.Struct):
    name: str


class Form(msgspec.Struct):
    name: str


async def takes_parts(body: AsyncIterator[bytes], tracked: Tracked) -> None:
    with noted():
        async for _ in body:
            pass


async def takes_upload(upload: Upload, tracked: Tracked) -> None:
    with noted():
        async for part in upload:
            async for _ in part:
                pass


async def takes_request(request: Request, tracked: Tracked) -> None:
    with noted():
        await request.body()


async def takes_json(item: Item, tracked: Tracked) -> None:
    story.note("handler", None)


async def takes_file(file: UploadFile, tracked: Tracked) -> None:
    story.note("handler", None)


async def takes_form(name: Annotated[str, Param("form")], tracked: Tracked) -> None:
    story.note("handler", None)


async def sends_parts(tracked: Tracked) -> AsyncIterator[bytes]:
    with noted():
        while True:
            yield BLOCK


async def sends_a_part(tracked: Tracked) -> AsyncIterator[bytes]:
    with noted():
        yield BLOCK
        await trio.sleep_forever()


async def sends_events(tracked: Tracked) -> EventStream:
    with noted():
        yield ServerSentEvent("one")
        await trio.sleep_forever()


async def sends_response(tracked: Tracked) -> StreamingResponse:
    async def content() -> AsyncIterator[bytes]:
        with noted():
            while True:
                yield BLOCK

    return StreamingResponse(content())


async def waits(tracked: Tracked) -> None:
    with noted():
        await trio.sleep_forever()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Story:
    monkeypatch.setitem(globals(), "story", Story())
    return story


def serving(handler: Any, method: str = "POST") -> Triows:
    route = Route("a", limits=Limits(body=2**30))
    getattr(route, method.lower())(handler)
    return Triows(route, timeouts=Timeouts(disconnect_grace=GRACE))


@pytest.fixture
def errors(caplog: pytest.LogCaptureFixture) -> Any:
    """Return what was logged that isn't only information."""
    caplog.set_level(logging.INFO, "triows")
    return lambda: [one.getMessage() for one in caplog.records if one.levelno > logging.INFO]


CHUNKS = {"transfer-encoding": "chunked"}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
PARTS = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

# The handler, the headers and the beginning of the body.
READING = {
    "parts": (takes_parts, {}, b"abc"),
    "upload": (takes_upload, PARTS, PART),
    "request": (takes_request, {}, b"abc"),
}
TAKING_IN = {
    "json": (takes_json, JSON, b'{"name":'),
    "file": (takes_file, PARTS, PART),
    "form": (takes_form, FORM, b"na"),
}


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("length", [{"content-length": "1000"}, CHUNKS], ids=["length", "chunks"])
async def test_a_handler_that_reads_a_body_learns_that_the_client_has_left(
    autojump_clock, errors, name, length
):
    handler, headers, begun = READING[name]
    headers = {**headers, **length}
    async with open_app(serving(handler)) as client:
        async with client.stream("POST", "/a", sending=True, headers=headers) as request:
            await request.send(begun)
            await trio.testing.wait_all_tasks_blocked()
            request.close()
        with trio.fail_after(GRACE + 1):
            await story.over.wait()
        assert story.seen == ["handler: ClientDisconnect", "resource: ClientDisconnect"]
    assert errors() == []


@pytest.mark.parametrize("name", TAKING_IN)
async def test_no_handler_and_no_factory_is_called_if_the_body_does_not_come(
    autojump_clock, errors, name
):
    handler, headers, begun = TAKING_IN[name]
    headers = {**headers, "content-length": "1000"}
    async with open_app(serving(handler)) as client:
        async with client.stream("POST", "/a", sending=True, headers=headers) as request:
            await request.send(begun)
            await trio.testing.wait_all_tasks_blocked()
            request.close()
        await trio.testing.wait_all_tasks_blocked()
    assert story.seen == []
    assert errors() == []


async def sends_response_without_resources() -> StreamingResponse:
    async def content() -> AsyncIterator[bytes]:
        try:
            with noted():
                while True:
                    yield BLOCK
        finally:
            story.note("resource", ClientDisconnect())  # the response itself is all there is
            story.over.set()

    return StreamingResponse(content())


SENDING = [
    sends_parts,
    sends_a_part,
    sends_events,
    sends_response,
    sends_response_without_resources,
]


@pytest.mark.parametrize("handler", SENDING)
async def test_a_stream_ends_when_its_client_leaves(autojump_clock, errors, handler):
    async with open_app(serving(handler, "GET")) as client:
        async with client.stream("GET", "/a") as response:
            await response.receive()
            response.close()
        with trio.fail_after(GRACE + 1):
            await story.over.wait()
    handlers, resources = story.seen
    # A send fails, or the handler is cancelled when its time is over. A generator that waits at its
    # `yield` is closed.
    assert handlers.partition(": ")[2] in {"ClientDisconnect", "Cancelled", "GeneratorExit"}
    assert resources.partition(": ")[2] in {"ClientDisconnect", "HandlerCancelled"}
    assert errors() == []


async def test_a_handler_that_waits_for_something_else_is_cancelled_after_its_grace(
    autojump_clock, errors
):
    async with open_app(serving(waits, "GET")) as client:
        async with client.stream("GET", "/a", sending=True) as request:
            await request.send_end()
            await trio.testing.wait_all_tasks_blocked()
            left = trio.current_time()
            request.close()
        await story.over.wait()
        assert trio.current_time() - left == pytest.approx(GRACE)
    assert story.seen == ["handler: Cancelled", "resource: HandlerCancelled"]
    assert errors() == []
