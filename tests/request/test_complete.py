"""
No client takes a response for complete before the resources have exited.

Many responses end with their head: those to HEAD, those without a body, empty files. So it is tried
for every kind of response, behind all kinds of middlewares, on our server and on another one.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings, strategies as st
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, Response, StreamingResponse
from trio.testing import wait_all_tasks_blocked

from tests.request.asgi import SERVERS
from tests.server.harness.engine import read_responses
from triows import EventStream, Route, ServerSentEvent, Triows, use

# The middlewares


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


def changing(scope_of: Callable[[Any], Any], event_of: Callable[[Any], Any]) -> Any:
    """Make a middleware that changes scopes and what is sent."""

    def around(app: Any) -> Any:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            async def own_send(event: Any) -> None:
                await send(event_of(event))

            await app(scope_of(scope), receive, own_send)

        return middleware

    return around


def same(one: Any) -> Any:
    return one


def as_get(scope: Any) -> Any:
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def without_body(event: Any) -> Any:
    if event["type"] == "http.response.start" and event["status"] == 200:
        return {**event, "status": 204}
    return event


MIDDLEWARES: dict[str, list[Any]] = {
    "none": [],
    "wrapping": [changing(same, same)],
    "BaseHTTPMiddleware": [Passing],
    "GZipMiddleware": [GZipMiddleware],
    "HEAD as GET": [changing(as_get, same)],
    "no body": [changing(same, without_body)],
    "several": [changing(same, same), Passing, GZipMiddleware],
}

# The responses


class Own(Response):
    """A response that sends itself, and doesn't say how long it is."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": []})
        await send({"type": "http.response.body", "body": b"own"})


class Template(Response):
    """A response that sends itself, as Starlette's templates do."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def stream(*parts: bytes, is_declared: bool) -> Callable[[Path, int], Response]:
    headers = {"content-length": str(sum(map(len, parts)))} if is_declared else {}
    return lambda _, status: StreamingResponse(pieces(*parts), status, headers)


def file(name: str) -> Callable[[Path, int], Response]:
    return lambda folder, status: FileResponse(folder / name, status)


RESPONSES: dict[str, Callable[[Path, int], Response]] = {
    "whole": lambda _, status: Response(b"whole", status),
    "own": lambda _, status: Own(status_code=status),
    "template": lambda _, status: Template(b"template", status),
    "stream": stream(b"abc", b"def", is_declared=False),
    "declared stream": stream(b"abc", b"def", is_declared=True),
    "empty stream": stream(is_declared=False),
    "declared empty stream": stream(b"", is_declared=True),
    "file": file("file"),
    "large file": file("large"),
    "empty file": file("empty"),
}
TYPED = ["str", "empty str", "None", "parts", "events"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, size in (("file", 5), ("large", 200_000), ("empty", 0)):
            (folder / file).write_bytes(b"x" * size)
        yield folder


class Exit:
    """The exit of a resource, which waits for the test."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.begun, self.go = trio.Event(), trio.Event()

    async def resource(self) -> AsyncIterator[None]:
        yield
        self.begun.set()
        await self.go.wait()
        if self.fails:
            raise LookupError


def serving(kind: str, status: int, folder: Path, exit_: Exit, **options: Any) -> Triows:
    """Make an application whose only route has responses of one kind."""
    held = use(exit_.resource)

    async def text(_: Annotated[None, held]) -> str:
        return "" if kind == "empty str" else "text"

    async def nothing(_: Annotated[None, held]) -> None: ...

    async def parts(_: Annotated[None, held]) -> AsyncIterator[bytes]:
        yield b"part"

    async def events(_: Annotated[None, held]) -> EventStream:
        yield ServerSentEvent("event")

    async def response(_: Annotated[None, held]) -> Response:
        return RESPONSES[kind](folder, status)

    typed = {"str": text, "empty str": text, "None": nothing, "parts": parts, "events": events}
    route = Route("r")
    for method in ("get", "post", "delete"):
        getattr(route, method)(typed.get(kind, response))
    return Triows(route, **options)


async def check(
    server: str, middlewares: str, method: str, kind: str, status: int, folder: Path, *, fails: bool
) -> None:
    exit_ = Exit(fails=fails)
    app = serving(kind, status, folder, exit_, middlewares=MIDDLEWARES[middlewares])
    over = trio.Event()

    async def served(*asgi: Any) -> None:
        await app(*asgi)
        over.set()

    with trio.fail_after(20):
        async with app.running(), SERVERS[server](served, method) as sent:
            await exit_.begun.wait()
            await wait_all_tasks_blocked()
            early = read_responses(sent(), method)[0]
            exit_.go.set()
            await over.wait()
    assert early == []
    whole, begun = read_responses(sent(), method)
    if fails:
        assert whole == [] or whole[0][0] == 500
        return
    assert begun == []
    if kind in TYPED:
        status = 204 if kind == "None" else 200
    if middlewares == "no body" and status == 200:
        status = 204
    assert [one[0] for one in whole] == [status]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    server=st.sampled_from(list(SERVERS)),
    middlewares=st.sampled_from(list(MIDDLEWARES)),
    method=st.sampled_from(["HEAD", "GET", "POST", "DELETE"]),
    kind=st.sampled_from([*RESPONSES, *TYPED]),
    status=st.sampled_from([200, 204, 205, 304]),
    fails=st.booleans(),
)
def test_no_client_has_a_complete_response_before_the_exits(
    server, middlewares, method, kind, status, fails, folder
):
    trio.run(lambda: check(server, middlewares, method, kind, status, folder, fails=fails))
