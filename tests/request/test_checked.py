"""A response that can't be sent is found out while there may still be another one."""

import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import Response, StreamingResponse

from tests.request.asgi import body
from triows import AsyncResource, Route, Triows, use
from triows._headers import SteadyHeaders
from triows._request.checked import ResponseCheck, check_head, check_whole
from triows.testing import HTTPDisconnect, open_app


def start(status: Any = 200, *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def length(size: int) -> tuple[bytes, bytes]:
    return b"Content-Length", b"%d" % size


TRAILERS = {"type": "http.response.trailers", "headers": [(b"x", b"1")]}


# In an application


class Sending(Response):
    """A response that sends these events."""

    def __init__(self, *events: Any) -> None:
        super().__init__()
        self.events = events

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for event in self.events:
            await send(event)


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


MIDDLEWARES: dict[str, list[Any]] = {
    "none": [],
    "SessionMiddleware": [Middleware(SessionMiddleware, secret_key="key")],
    "CORSMiddleware": [Middleware(CORSMiddleware, allow_origins=["*"])],
    "BaseHTTPMiddleware": [Middleware(Passing)],
    "GZipMiddleware": [Middleware(GZipMiddleware)],
}
around_it = pytest.mark.parametrize("middlewares", MIDDLEWARES.values(), ids=MIDDLEWARES)
FOLDER = str(Path(__file__).parent)


async def parts(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"x" * size


def streamed(size: int, *sizes: int) -> Callable[[], Response]:
    return lambda: StreamingResponse(parts(*sizes), headers={"content-length": str(size)})


def file(path: str, *headers: tuple[bytes, bytes]) -> Callable[[], Response]:
    return lambda: Sending(start(200, *headers), {"type": "http.response.pathsend", "path": path})


# Nothing of these is sent.
UNSENDABLE: dict[str, Callable[[], Response]] = {
    "longer": lambda: Response(b"x" * 200, headers={"content-length": "44"}),
    "shorter": lambda: Response(b"x", headers={"content-length": "44"}),
    "no length": lambda: Response(b"x", headers={"content-length": "many"}),
    "line break": lambda: Response("x", headers={"x-name": "a\nb"}),
    "name": lambda: Response("x", headers={"x name": "a"}),
    "media type": lambda: Response("x", media_type="a\r\nb"),
    "status 99": lambda: Response("x", status_code=99),
    "status 103": lambda: Response("x", status_code=103),
    "status 1000": lambda: Response("x", status_code=1000),
    "nothing": Sending,
    "no end": lambda: Sending(start()),
    "no start": lambda: Sending(body(b"x")),
    "two starts": lambda: Sending(start(), start(), body(b"x")),
    "text": lambda: Sending(start(), {"type": "http.response.body", "body": "x"}),
    "longer stream": streamed(2, 3),
    "shorter empty stream": streamed(2),
    "longer after the last byte": streamed(2, 2, 1),
    "no file": file("/nowhere/at/all"),
    "a folder": file(FOLDER),
    "longer file": file(__file__, length(10)),
}

# Of these, a part is sent.
CUT: dict[str, Callable[[], Response]] = {
    "longer stream": streamed(5, 2, 2, 2),
    "shorter stream": streamed(5, 2, 2),
    "no end": lambda: Sending(start(), body(b"x", more=True)),
    "two ends": lambda: Sending(start(), body(b"x" * 1000, more=True), body(b""), body(b"")),
    "trailers": lambda: Sending(
        start(trailers=True),
        body(b"x" * 1000, more=True),
        body(b""),
        {**TRAILERS, "headers": [(b"x", b"a\nb")]},
    ),
}


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


def serving(made: Callable[[], Response], middlewares: list[Any], seen: list[str]) -> Triows:
    async def transaction() -> AsyncResource[None]:
        try:
            yield
        except Exception:
            seen.append("rolled back")
            raise
        seen.append("committed")

    route = Route("r")

    @route.post
    async def handler(_: Annotated[None, use(transaction)]) -> Response:
        return made()

    return Triows(route, middlewares=middlewares)


def noted(log: pytest.LogCaptureFixture) -> tuple[list[str], int]:
    """Return how the log says that the requests have ended, and how many errors there are."""
    ends = [
        one.getMessage().partition("' ")[2].partition(" after ")[0]
        for one in log.records
        if one.levelno == logging.INFO
    ]
    return ends, sum(one.levelno >= logging.ERROR for one in log.records)


# Files are looked at in threads, so these take the real clock.
@around_it
@pytest.mark.parametrize("made", UNSENDABLE.values(), ids=UNSENDABLE)
async def test_a_response_that_can_not_be_sent_is_a_500_and_nothing_is_committed(
    log, middlewares, made
):
    seen: list[str] = []
    app = serving(made, middlewares, seen)
    async with open_app(app, raise_app_exceptions=False) as client:
        response = await client.post("/r")
    assert (response.status_code, seen) == (500, ["rolled back"])
    assert noted(log) == (["answered 500"], 1)


@around_it
@pytest.mark.parametrize("made", CUT.values(), ids=CUT)
async def test_a_stream_that_can_not_be_sent_to_its_end_is_cut_and_nothing_is_committed(
    log, middlewares, made
):
    seen: list[str] = []
    app = serving(made, middlewares, seen)
    async with (
        open_app(app, raise_app_exceptions=False) as client,
        client.stream("POST", "/r") as response,
    ):
        with pytest.raises(HTTPDisconnect):
            await response.read()
    assert (response.status_code, seen) == (200, ["rolled back"])
    assert noted(log) == (["answered 200 (the response is incomplete)"], 1)


@pytest.mark.parametrize(
    ("made", "ending"),
    [
        (UNSENDABLE["nothing"], "Sending has returned before it had sent a response"),
        (UNSENDABLE["no end"], "Sending has returned before it had sent the end of its response"),
    ],
)
async def test_a_response_that_sends_too_little_is_an_error_without_resources_too(made, ending):
    route = Route("r")

    @route.get
    async def handler() -> Response:
        return made()

    async with open_app(Triows(route)) as client:
        with pytest.raises(RuntimeError, match=ending):
            await client.get("/r")


class Refusing:
    """A middleware that fails when it has let a part of the response through."""

    def __init__(self, app: Any, kind: str) -> None:
        self.app = app
        self.kind = kind

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def refuse(event: Any) -> None:
            if event["type"] == self.kind:
                raise LookupError
            await send(event)

        await self.app(scope, receive, refuse)


@pytest.mark.parametrize("kind", ["http.response.start", "http.response.body"])
async def test_if_a_middleware_fails_in_sending_the_client_is_told(log, kind):
    seen: list[str] = []
    app = serving(lambda: Response("x"), [Middleware(Refusing, kind=kind)], seen)
    async with open_app(app, raise_app_exceptions=False) as client:
        assert (await client.post("/r")).status_code == 500
    ends, errors = noted(log)
    refused = "refused 500 (the application has not answered)"
    assert (sorted(ends), errors) == (["not answered", refused], 1)


async def test_trailers_are_sent_after_the_exits():
    seen: list[str] = []
    made = lambda: Sending(start(trailers=True), body(b"x"), TRAILERS)  # noqa: E731
    async with open_app(serving(made, [], seen)) as client:
        assert (await client.post("/r")).content == b"x"
    assert seen == ["committed"]


# The check itself


@pytest.mark.parametrize(
    ("method", "events"),
    [
        ("GET", [start(), body(b"x")]),
        ("GET", [start(), body(b"x", more=True), body(b"")]),
        ("GET", [start(200, length(2)), body(b"x", more=True), body(b"x")]),
        ("GET", [start(trailers=True), body(b""), {**TRAILERS, "more_trailers": True}, TRAILERS]),
        ("GET", [{"type": "http.response.debug"}, start(), body(b"")]),
        ("HEAD", [start(200, length(2)), body(b"")]),
        ("HEAD", [start(200, length(2)), body(b"xxx")]),
        ("GET", [start(304, length(2)), body(b"")]),
        ("GET", [start(204), body(b"x")]),
        ("GET", [start(205, length(0)), body(b"x")]),
    ],
)
def test_a_response_that_can_be_sent_ends_with_its_last_event(method, events):
    check = ResponseCheck(method)
    for event in events:
        assert not check.is_ended
        check.follow(event)
    assert check.is_ended


@pytest.mark.parametrize(
    "events",
    [
        [body(b"x")],
        [start(), start()],
        [start(), body(b""), body(b"")],
        [start(), TRAILERS],
        [start(), body(b""), TRAILERS],
        [start(trailers=True), TRAILERS],
        [start(trailers=True), body(b""), {**TRAILERS, "headers": [(b"a b", b"")]}],
        [start(trailers=True), body(b""), TRAILERS, TRAILERS],
        [start(200, length(1)), body(b"xx", more=True)],
        [start(200, length(1)), body(b"")],
    ],
)
def test_only_the_last_of_these_events_is_refused(events):
    check = ResponseCheck("GET")
    for event in events[:-1]:
        check.follow(event)
    with pytest.raises(ValueError, match=r"."):
        check.follow(events[-1])


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (199, [], ValueError),
        (1000, [], ValueError),
        ("200", [], TypeError),
        (200, [(b"a b", b"")], ValueError),
        (200, [(b"a", b"\0")], ValueError),
        (200, [(b"content-length", b"-1")], ValueError),
        (200, [(b"content-length", b"1"), (b"Content-Length", b"1")], ValueError),
        (200, [(b"content-length", b"1" * 20)], ValueError),
        (200, [(b"a", 1)], TypeError),
    ],
)
def test_a_head_that_can_not_be_sent_is_refused(status, headers, error):
    with pytest.raises(error):
        check_head(status, headers)


def test_a_head_tells_how_long_the_body_is():
    assert check_head(200, [(b"a", b"b"), length(3)]) == 3
    assert check_head(299, SteadyHeaders([(b"a", b"b")])) == check_head(999, []) == float("inf")


@pytest.mark.parametrize(("size", "status", "method"), [(1, 200, "HEAD"), (9, 304, "GET")])
def test_only_a_body_that_is_sent_has_to_have_its_length(size, status, method):
    check_whole(status, [length(size)], b"xx", method=method)
    with pytest.raises(ValueError, match="content-length"):
        check_whole(200, [length(size)], b"xx", method="GET")
