"""
Starlette's middlewares around handlers of requests, on the application and on a route.

So are those of others that many people use. What they do: tests/users/test_middlewares.py.
"""

import gzip
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import httpx2
import msgspec
import pytest
import trio
from asgi_correlation_id import CorrelationIdMiddleware
from hypercorn.middleware import ProxyFixMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from trio.testing import wait_all_tasks_blocked
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tests.server.harness.engine import asked, opened_engine
from triows import (
    EventStream,
    HTTPException,
    Limits,
    Request,
    Route,
    ServerSentEvent,
    Timeouts,
    Triows,
    Upload,
    use,
)
from triows.inspect import tree
from triows.testing import HTTPDisconnect, open_app

TIMEOUTS = Timeouts(receive=3, disconnect_grace=1, shutdown_grace=10, teardown=5)
CHUNK = FileResponse.chunk_size
PLAIN = {"accept-encoding": "identity"}


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


def looking(app: Any) -> Any:
    """Change nothing, and pass the server's own functions on."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return middleware


def wrapping(app: Any) -> Any:
    """Change nothing, but pass other functions on."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def own_receive() -> Any:
            return await receive()

        async def own_send(event: Any) -> None:
            await send(event)

        await app(scope, own_receive, own_send)

    return middleware


MIDDLEWARES: dict[str, list[Any]] = {
    "none": [],
    "looking": [looking],
    "wrapping": [wrapping],
    "BaseHTTPMiddleware": [Middleware(Passing)],
    "GZipMiddleware": [Middleware(GZipMiddleware)],
    "CORSMiddleware": [Middleware(CORSMiddleware, allow_origins=["https://page.example"])],
    "SessionMiddleware": [Middleware(SessionMiddleware, secret_key="key")],
    "TrustedHostMiddleware": [Middleware(TrustedHostMiddleware, allowed_hosts=["testserver"])],
    "SentryAsgiMiddleware": [SentryAsgiMiddleware],
    "OpenTelemetryMiddleware": [OpenTelemetryMiddleware],
    "CorrelationIdMiddleware": [CorrelationIdMiddleware],
    "ProxyHeadersMiddleware": [Middleware(ProxyHeadersMiddleware, trusted_hosts="*")],
    "ProxyFixMiddleware": [ProxyFixMiddleware],
}
MIDDLEWARES["all"] = [one for name in MIDDLEWARES for one in MIDDLEWARES[name]]

WHERE = ["application", "route"]

# What every one of these has to do as if it weren't there.
around_it = pytest.mark.parametrize("middlewares", MIDDLEWARES.values(), ids=MIDDLEWARES)
at_both = pytest.mark.parametrize("where", WHERE)


def serving(where: str, middlewares: list[Any], *register: Any, **settings: Any) -> Triows:
    """Make an application with one route, at "/r"."""
    route = Route("r", **({"middlewares": middlewares} if where == "route" else {}))
    for method, handler in register:
        getattr(route, method)(handler)
    settings = {"timeouts": TIMEOUTS, **settings}
    if where == "application":
        settings["middlewares"] = middlewares
    return Triows(route, **settings)


def ends(log: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log's lines say about how requests ended."""
    return [
        one.getMessage().partition("' ")[2].partition(" after ")[0]
        for one in log.records
        if hasattr(one, "duration")
    ]


def errors(log: pytest.LogCaptureFixture) -> list[type[BaseException]]:
    return [type(one.exc_info[1]) for one in log.records if one.levelno >= logging.ERROR]


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


@pytest.fixture
def seen() -> list[Any]:
    return []


class Item(msgspec.Struct):
    number: int
    text: str = ""


def held(seen: list[Any], *, seconds: float = 0) -> Callable[[], AsyncIterator[str]]:
    """Make a factory of a resource that notes what it sees, and takes a while to exit."""

    async def resource() -> AsyncIterator[str]:
        try:
            yield "value"
            seen.append("committed")
        except BaseException as exc:
            seen.append(type(exc).__name__)
            raise
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(seconds)
            seen.append("exited")

    return resource


# What works as without them


@at_both
@around_it
async def test_bodies_results_and_errors_are_those_of_the_handler(
    autojump_clock, log, where, middlewares
):
    async def double(item: Item) -> Item:
        if item.number == 13:
            raise ValueError
        if item.number == 12:
            raise HTTPException(409, "no dozens")
        return Item(2 * item.number, item.text)

    app = serving(where, middlewares, ("post", double), limits=Limits(body=5000))
    async with open_app(app, raise_app_exceptions=False) as client:
        response = await client.post("/r", json={"number": 4, "text": "x" * 1000})
        assert (response.status_code, response.json()["number"]) == (200, 8)
        assert (await client.post("/r", json={"number": "4"})).status_code == 422
        assert (await client.post("/r", json={"number": 13})).status_code == 500
        assert (await client.post("/r", json={"number": 12})).json()["detail"] == "no dozens"

        async def large() -> AsyncIterator[bytes]:
            for _ in range(6):
                yield b"x" * 1000

        assert (await client.post("/r", json={"text": "x" * 6000})).status_code == 413
        headers = {"content-type": "application/json"}
        assert (await client.post("/r", content=large(), headers=headers)).status_code == 413
        assert (await client.get("/r")).headers["allow"] == "OPTIONS, POST"
    statuses = [200, 422, 500, 409, 413, 413]
    assert [one.split()[1] for one in ends(log)] == [str(one) for one in statuses]
    assert errors(log) == [ValueError]


@at_both
@around_it
async def test_a_resource_exits_before_the_response(autojump_clock, seen, where, middlewares):
    async def read(value: Annotated[str, use(held(seen, seconds=1))]) -> str:
        return value

    app = serving(where, middlewares, ("get", read))
    async with open_app(app) as client:
        began = trio.current_time()
        assert (await client.get("/r")).text == "value"
        assert (seen, trio.current_time() - began) == (["committed", "exited"], 1)


async def fails() -> AsyncIterator[str]:
    yield "value"
    raise ValueError


@at_both
@around_it
async def test_an_exit_that_fails_is_a_500(autojump_clock, log, where, middlewares):
    async def read(value: Annotated[str, use(fails)]) -> str:
        return value

    app = serving(where, middlewares, ("get", read))
    async with open_app(app, raise_app_exceptions=False) as client:
        assert (await client.get("/r")).status_code == 500
    assert (ends(log), errors(log)) == (["answered 500"], [ValueError])


@at_both
@around_it
async def test_events_come_one_by_one_and_their_resources_stay(
    autojump_clock, seen, where, middlewares
):
    async def tell(value: Annotated[str, use(held(seen))]) -> EventStream:
        for number in range(3):
            yield ServerSentEvent(number)
            await trio.sleep(1)

    app = serving(where, middlewares, ("get", tell))
    times: list[float] = []
    headers = {"accept-encoding": "gzip"}
    async with open_app(app) as client, client.stream("GET", "/r", headers=headers) as response:
        began = trio.current_time()
        for number in range(3):
            assert await response.receive() == b"data: %d\n\n" % number
            times.append(trio.current_time() - began)
            assert seen == []
        assert await response.receive() == b""
    assert (times, seen) == ([0, 1, 2], ["committed", "exited"])


@at_both
@around_it
async def test_an_error_in_the_middle_of_a_stream_cuts_the_response_and_is_logged_once(
    autojump_clock, log, seen, where, middlewares
):
    async def tell(value: Annotated[str, use(held(seen))]) -> EventStream:
        yield ServerSentEvent(1)
        raise ValueError

    app = serving(where, middlewares, ("get", tell))
    async with (
        open_app(app, raise_app_exceptions=False) as client,
        client.stream("GET", "/r") as response,
    ):
        assert await response.receive() == b"data: 1\n\n"
        with pytest.raises(HTTPDisconnect):
            await response.receive()
    assert seen == ["ValueError", "exited"]
    assert (ends(log), errors(log)) == (["answered 200 (the response is incomplete)"], [ValueError])


@at_both
@around_it
async def test_a_stream_whose_resource_fails_to_exit_has_no_end(
    autojump_clock, log, where, middlewares
):
    async def tell(value: Annotated[str, use(fails)]) -> EventStream:
        yield ServerSentEvent(1)

    app = serving(where, middlewares, ("get", tell))
    async with (
        open_app(app, raise_app_exceptions=False) as client,
        client.stream("GET", "/r") as response,
    ):
        assert await response.receive() == b"data: 1\n\n"
        with pytest.raises(HTTPDisconnect):
            await response.receive()
    assert errors(log) == [ValueError]


@at_both
@around_it
async def test_a_client_that_leaves_ends_the_handler_after_the_disconnect_grace(
    autojump_clock, log, seen, where, middlewares
):
    async def wait(value: Annotated[str, use(held(seen))]) -> str:
        try:
            await trio.sleep(50)
        finally:
            seen.append(trio.current_time() - began)
        return value

    app = serving(where, middlewares, ("get", wait))
    async with app.running(), opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked("/r"))
        await trio.sleep(5)
        began = trio.current_time()
        wire.leaves()
        await trio.sleep(5)
        assert seen == [1, "HandlerCancelled", "exited"]
        assert wire.sent == b""
    assert errors(log) == []
    (end,) = ends(log)
    assert end.startswith("not answered (the client has left; the handler did not end within")


@at_both
@around_it
async def test_a_handler_that_ends_within_its_grace_is_not_cancelled(
    autojump_clock, log, seen, where, middlewares
):
    """It can't be known whether the client still reads, so it gets its answer."""

    async def wait(value: Annotated[str, use(held(seen))]) -> str:
        await trio.sleep(5.5)
        return value

    app = serving(where, middlewares, ("get", wait))
    async with app.running(), opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked("/r"))
        await trio.sleep(5)
        wire.leaves()
        await trio.sleep(5)
        assert seen == ["committed", "exited"]
        assert wire.sent.endswith(b"\r\n\r\nvalue")
    assert errors(log) == []


@at_both
@around_it
async def test_a_client_that_leaves_ends_an_event_stream(
    autojump_clock, log, seen, where, middlewares
):
    async def tell(value: Annotated[str, use(held(seen))]) -> EventStream:
        yield ServerSentEvent(1)
        await trio.sleep(50)

    app = serving(where, middlewares, ("get", tell))
    async with open_app(app) as client:
        async with client.stream("GET", "/r") as response:
            assert await response.receive() == b"data: 1\n\n"
            response.reset()
        await trio.sleep(5)
        assert tree(app).requests == ()
    assert seen == ["HandlerCancelled", "exited"]
    assert errors(log) == []
    (end,) = ends(log)
    assert end.startswith("answered 200 (the client has left; the handler did not end within")


@at_both
@around_it
async def test_an_upload_is_read_as_it_comes(autojump_clock, where, middlewares, seen):
    async def take(upload: Upload) -> int:
        async for part in upload:
            async for data in part:
                seen.append(len(data))
        return sum(seen)

    app = serving(where, middlewares, ("post", take))
    head = b'--b\r\ncontent-disposition: form-data; name="a"; filename="a"\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with (
        open_app(app) as client,
        client.stream("POST", "/r", sending=True, headers=headers) as request,
    ):
        await request.send(head + b"x" * 1000)
        await trio.sleep(1)
        assert sum(seen) > 900
        await request.send(b"x" * 1000 + b"\r\n--b--\r\n")
        await request.send_end()
        assert await request.read() == b"2000"


@at_both
@around_it
async def test_a_body_that_comes_too_slowly_is_408(autojump_clock, log, where, middlewares):
    async def take(item: Item) -> Item:
        raise AssertionError

    app = serving(where, middlewares, ("post", take))
    headers = {"content-type": "application/json"}
    async with (
        open_app(app) as client,
        client.stream("POST", "/r", sending=True, headers=headers) as request,
    ):
        await request.send(b"{")
        await request.receive_head(timeout=10)
        assert request.status_code == 408
        assert trio.current_time() == pytest.approx(3, abs=0.5)
    assert (ends(log), errors(log)) == (["answered 408 (the body comes too slowly)"], [])


@at_both
@around_it
async def test_a_route_has_its_own_limit_for_a_slow_body(autojump_clock, where, middlewares):
    route = Route("r", timeouts=Timeouts(receive=7), middlewares=middlewares)

    @route.post
    async def take(item: Item) -> Item:
        raise AssertionError

    app = Triows(route, timeouts=TIMEOUTS)
    headers = {"content-type": "application/json"}
    async with (
        open_app(app) as client,
        client.stream("POST", "/r", sending=True, headers=headers) as request,
    ):
        await request.receive_head(timeout=10)
        assert request.status_code == 408
        assert trio.current_time() == pytest.approx(7, abs=0.5)


@at_both
@around_it
async def test_a_shutdown_ends_a_handler_and_a_stream_after_their_grace(
    autojump_clock, log, seen, where, middlewares
):
    async def wait(value: Annotated[str, use(held(seen))]) -> str:
        await trio.sleep(50)
        return value

    async def tell(value: Annotated[str, use(held(seen))]) -> EventStream:
        yield ServerSentEvent(1)
        await trio.sleep(50)

    app = serving(where, middlewares, ("get", tell), ("post", wait))
    async with app.running(), opened_engine(app) as engine:
        waiting, telling = engine.connect(), engine.connect()
        waiting.says(asked("/r", method="POST"))
        telling.says(asked("/r"))
        await trio.sleep(1)
        began = trio.current_time()
        assert await app.drain()
        assert trio.current_time() - began == 10
        await trio.sleep(1)
        assert waiting.sent.startswith(b"HTTP/1.1 503 ")
        assert telling.sent.endswith(b"data: 1\n\n\r\n")  # without the last chunk
        assert telling.eofs == 1
    assert sorted(seen) == ["HandlerCancelled"] * 2 + ["exited"] * 2
    assert errors(log) == []
    assert all("did not end in the time that it has at a shutdown" in one for one in ends(log))


@at_both
@around_it
async def test_a_client_that_leaves_during_a_shutdown_leaves_the_disconnect_grace(
    autojump_clock, log, seen, where, middlewares
):
    async def wait(value: Annotated[str, use(held(seen))]) -> None:
        await trio.sleep(50)

    app = serving(where, middlewares, ("get", wait))
    async with app.running(), opened_engine(app) as engine, trio.open_nursery() as nursery:
        wire = engine.connect()
        wire.says(asked("/r"))
        await trio.sleep(1)
        nursery.start_soon(app.drain)
        await trio.sleep(3)
        wire.leaves()
        await trio.sleep(0.9)
        assert seen == []
        await trio.sleep(0.2)
        assert seen == ["HandlerCancelled", "exited"]
    assert errors(log) == []


@at_both
@around_it
async def test_an_event_stream_has_the_disconnect_grace_at_a_shutdown(
    autojump_clock, seen, where, middlewares
):
    """It would never end, and its client connects again."""

    async def tell(value: Annotated[str, use(held(seen))]) -> EventStream:
        yield ServerSentEvent(1)
        await trio.sleep(50)

    app = serving(where, middlewares, ("get", tell))
    async with app.running(), opened_engine(app) as engine:
        engine.connect().says(asked("/r"))
        await trio.sleep(1)
        assert await app.drain()
        assert trio.current_time() == pytest.approx(2)
    assert seen == ["HandlerCancelled", "exited"]


@at_both
@around_it
async def test_an_upload_may_end_within_the_grace_of_a_shutdown(
    autojump_clock, seen, where, middlewares
):
    async def take(upload: Upload, value: Annotated[str, use(held(seen))]) -> int:
        return sum([len(data) async for part in upload async for data in part])

    app = serving(where, middlewares, ("post", take))
    head = b'--b\r\ncontent-disposition: form-data; name="a"; filename="a"\r\n\r\n'
    form, length = "content-type: multipart/form-data; boundary=b", len(head) + 2000 + 9
    async with app.running(), opened_engine(app) as engine, trio.open_nursery() as nursery:
        whole, part = engine.connect(), engine.connect()
        for wire in (whole, part):
            wire.says(asked("/r", form, f"content-length: {length}", method="POST") + head)
        await trio.sleep(1)
        nursery.start_soon(app.drain)
        await trio.sleep(1)
        whole.says(b"x" * 2000 + b"\r\n--b--\r\n")
        await trio.sleep(1)
        assert whole.sent.startswith(b"HTTP/1.1 200 ")
        assert whole.sent.endswith(b"2000")
        await trio.sleep(10)
        assert part.sent.startswith(b"HTTP/1.1 408 ")  # Timeouts.receive is shorter
    assert (seen[:2], seen[-1]) == (["committed", "exited"], "exited")
    assert "HandlerCancelled" not in seen


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * 1024)  # a whole number of Starlette's chunks
    return path


@at_both
@around_it
@pytest.mark.parametrize("headers", [{}, {"range": f"bytes=0-{2 * CHUNK - 1}"}])
async def test_the_end_of_a_file_comes_when_the_resources_have_exited(
    file, seen, where, middlewares, headers
):
    """The client is told how long it is. So the last bytes are its end."""

    async def exits_slowly() -> AsyncIterator[None]:
        yield
        exiting.set()
        await go.wait()

    async def load(_: Annotated[None, use(exits_slowly)]) -> FileResponse:
        return FileResponse(file)

    exiting, go = trio.Event(), trio.Event()
    content = file.read_bytes()[: 2 * CHUNK] if headers else file.read_bytes()
    app = serving(where, middlewares, ("get", load))
    async with open_app(app) as client:

        async def read() -> None:
            async with client.stream("GET", "/r", headers=headers) as response:
                while part := await response.receive():
                    seen.append(part)
                seen.append(b"")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await exiting.wait()
            await wait_all_tasks_blocked()
            assert len(b"".join(seen)) < len(content)
            go.set()
    assert b"".join(seen) == content
    assert seen[-1] == b""


@at_both
@around_it
async def test_the_last_byte_of_an_announced_length_comes_when_the_resources_have_exited(
    autojump_clock, seen, where, middlewares
):
    """Starlette sends an end without bytes after it."""

    async def load(_: Annotated[str, use(held(seen, seconds=1))]) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"1234"
            yield b"5678"

        return StreamingResponse(parts(), headers={"content-length": "8"})

    app = serving(where, middlewares, ("get", load))
    async with open_app(app) as client, client.stream("GET", "/r", headers=PLAIN) as response:
        data = b""
        while part := await response.receive():
            data += part
            assert len(data) < 8 or seen == ["committed", "exited"]
    assert data == b"12345678"


@at_both
@around_it
async def test_what_runs_in_the_background_runs_after_the_response(
    autojump_clock, seen, where, middlewares
):
    async def answer() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"part"

        async def behind() -> None:
            await trio.sleep(1)
            seen.append("ran")

        response = StreamingResponse(parts())
        response.background = behind  # type: ignore[assignment]
        return response

    app = serving(where, middlewares, ("get", answer))
    async with open_app(app) as client:
        async with client.stream("GET", "/r", headers=PLAIN) as response:
            assert await response.read() == b"part"
            assert seen == []
        assert seen == ["ran"]


@at_both
@around_it
async def test_inspection_shows_the_request(autojump_clock, where, middlewares):
    async def wait() -> None:
        await trio.sleep(1)

    app = serving(where, middlewares, ("get", wait))
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.get, "/r")
        await trio.sleep(0.5)
        (request,) = tree(app).requests
    assert (request.route, request.state) == ("/r", "unanswered")
    assert request.tasks[0].source == "await trio.sleep(1)"


# What each of them does


@at_both
async def test_a_session_that_a_handler_changes_is_in_the_response(where):
    async def count(request: Request) -> int:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return request.session["visits"]

    async def tell(request: Request) -> EventStream:
        request.session["is_told"] = True
        yield ServerSentEvent(1)
        request.session["is_late"] = True

    async def forget(request: Request) -> None:
        request.session.clear()

    middlewares = MIDDLEWARES["SessionMiddleware"]
    handlers = [("get", count), ("post", tell), ("delete", forget)]
    app = serving(where, middlewares, *handlers)
    async with open_app(app) as client:
        assert [(await client.get("/r")).json() for _ in range(3)] == [1, 2, 3]
        # The head of a stream is sent before the handler begins.
        assert "set-cookie" not in (await client.post("/r")).headers
        assert (await client.delete("/r")).status_code == 204
        assert (await client.get("/r")).json() == 1


@at_both
async def test_a_session_that_a_resource_changes_at_its_exit_is_in_the_response(where):
    async def noting(request: Request) -> AsyncIterator[None]:
        yield
        request.session["noted"] = 1

    async def read(request: Request, _: Annotated[None, use(noting)]) -> bool:
        return "noted" in request.session

    app = serving(where, MIDDLEWARES["SessionMiddleware"], ("get", read))
    async with open_app(app) as client:
        assert [(await client.get("/r")).json() for _ in range(2)] == [False, True]


@at_both
async def test_state_that_a_middleware_sets_reaches_the_handler(where):
    class Naming(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            request.state.user = "ann"
            response = await call_next(request)
            response.headers["x-handler"] = request.state.handler
            return response

    async def read(request: Request) -> str:
        request.state.handler = "read"
        return request.state.user

    async with open_app(serving(where, [Naming], ("get", read))) as client:
        response = await client.get("/r")
    assert (response.text, response.headers["x-handler"]) == ("ann", "read")


@at_both
async def test_cors_answers_preflights_and_marks_responses_and_errors(where):
    async def read() -> str:
        raise HTTPException(418)

    app = serving(where, MIDDLEWARES["CORSMiddleware"], ("get", read))
    origin = {"origin": "https://page.example"}
    async with open_app(app) as client:
        preflight = await client.options(
            "/r", headers={**origin, "access-control-request-method": "GET"}
        )
        response = await client.get("/r", headers=origin)
        other = await client.get("/nowhere", headers=origin)
    allowed = "access-control-allow-origin"
    assert (preflight.status_code, preflight.headers[allowed]) == (200, origin["origin"])
    assert (response.status_code, response.headers[allowed]) == (418, origin["origin"])
    assert (allowed in other.headers) == (where == "application")


@at_both
async def test_cors_marks_a_500(where):
    async def read() -> str:
        raise ValueError

    app = serving(where, MIDDLEWARES["CORSMiddleware"], ("get", read))
    async with open_app(app, raise_app_exceptions=False) as client:
        response = await client.get("/r", headers={"origin": "https://page.example"})
    assert response.status_code == 500
    assert response.headers["access-control-allow-origin"] == "https://page.example"


@at_both
async def test_another_host_is_refused_before_the_handler(where):
    async def read() -> str:
        raise AssertionError

    app = serving(where, MIDDLEWARES["TrustedHostMiddleware"], ("get", read))
    async with open_app(app) as client:
        response = await client.get("/r", headers={"host": "evil.example"})
    assert response.status_code == 400


@at_both
async def test_gzip_makes_whole_results_and_parts_smaller_but_no_events(autojump_clock, where):
    async def read() -> str:
        return "x" * 1000

    async def tell() -> AsyncIterator[str]:
        for _ in range(2):
            yield "x" * 1000
            await trio.sleep(1)

    app = serving(where, MIDDLEWARES["GZipMiddleware"], ("get", read), ("post", tell))
    headers = {"accept-encoding": "gzip"}
    async with open_app(app) as client:
        async with client.stream("GET", "/r", headers=headers) as response:
            data = await response.read()
            assert response.headers["content-length"] == str(len(data))
        assert gzip.decompress(data) == b"x" * 1000
        async with client.stream("POST", "/r", headers=headers) as response:
            assert response.headers["content-encoding"] == "gzip"
            parts = []
            began = trio.current_time()
            while part := await response.receive():
                parts.append((trio.current_time() - began, part))
    assert max(when for when, _ in parts) >= 1
    assert len(b"".join(part for when, part in parts if when == 0)) > 20
    assert gzip.decompress(b"".join(part for _, part in parts)).count(b"x") == 2000


@at_both
async def test_gzip_does_not_compress_files(file, where):
    async def load() -> FileResponse:
        return FileResponse(file)

    app = serving(where, MIDDLEWARES["GZipMiddleware"], ("get", load))
    async with open_app(app) as client:
        response = await client.get("/r", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in response.headers
    assert response.content == file.read_bytes()


async def test_gzip_leaves_the_etag_of_what_it_compresses():
    """The client may revalidate with it, and gets 304."""
    route = Route("r", middlewares=MIDDLEWARES["GZipMiddleware"])

    @route.get(etag=True)
    async def read() -> str:
        return "x" * 1000

    async with open_app(Triows(route)) as client:
        response = await client.get("/r", headers={"accept-encoding": "gzip"})
        assert response.headers["content-encoding"] == "gzip"
        headers = {"accept-encoding": "gzip", "if-none-match": response.headers["etag"]}
        again = await client.get("/r", headers=headers)
    assert (again.status_code, again.content) == (304, b"")


# What a middleware may do itself


@at_both
async def test_a_middleware_that_cancels_the_handler_answers_in_its_place(
    autojump_clock, seen, where
):
    class TimingOut:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            with trio.move_on_after(1) as limit:
                await self.app(scope, receive, send)
            if limit.cancelled_caught:
                await PlainTextResponse("too slow", 504)(scope, receive, send)

    async def wait(_: Annotated[str, use(held(seen))]) -> None:
        await trio.sleep(50)

    async with open_app(serving(where, [TimingOut], ("get", wait))) as client:
        response = await client.get("/r")
    assert (response.status_code, response.text) == (504, "too slow")
    assert seen == ["HandlerCancelled", "exited"]


@at_both
async def test_only_the_handler_is_cancelled_and_not_what_is_around_it(autojump_clock, seen, where):
    class CleaningUp:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            try:
                await self.app(scope, receive, send)
            finally:
                await trio.sleep(3)
                seen.append("cleaned up")

    async def wait() -> None:
        await trio.sleep(50)

    app = serving(where, [CleaningUp], ("get", wait))
    async with app.running(), opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked("/r"))
        await trio.sleep(1)
        wire.leaves()
        await trio.sleep(10)
    assert seen == ["cleaned up"]


@at_both
async def test_a_middleware_may_call_the_application_again(autojump_clock, seen, where):
    class Retrying:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            for _ in range(3):
                sent: list[Any] = []

                async def keep(event: Any, sent: list[Any] = sent) -> None:
                    await trio.lowlevel.checkpoint()
                    sent.append(event)

                await self.app(dict(scope), receive, keep)
                if sent[0]["status"] != 503:
                    break
            for event in sent:
                await send(event)

    async def read() -> str:
        seen.append("called")
        if len(seen) < 3:
            raise HTTPException(503)
        return "done"

    async with open_app(serving(where, [Retrying], ("get", read))) as client:
        assert (await client.get("/r")).text == "done"
    assert seen == ["called"] * 3


@at_both
async def test_a_client_that_leaves_ends_all_handlers_that_a_middleware_has_called(
    autojump_clock, seen, where
):
    class Forking:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def drop(event: Any) -> None:
                await trio.lowlevel.checkpoint()

            async def call() -> None:
                with pytest.raises(OSError, match="left"):
                    await self.app(dict(scope), receive, drop)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                nursery.start_soon(call)

    async def wait(_: Annotated[str, use(held(seen))]) -> None:
        await trio.sleep(50)

    app = serving(where, [Forking], ("get", wait))
    async with app.running(), opened_engine(app) as engine:
        wire = engine.connect()
        wire.says(asked("/r"))
        await trio.sleep(1)
        wire.leaves()
        await trio.sleep(5)
        assert sorted(seen) == ["HandlerCancelled"] * 2 + ["exited"] * 2


# BaseHTTPMiddleware leaves its own generator open.
@pytest.mark.filterwarnings("ignore:.*body_stream:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("middleware", [Passing, looking, wrapping])
async def test_a_client_that_leaves_a_stream_behind_a_middleware_ends_no_other(
    autojump_clock, caplog, middleware
):
    async def endless() -> AsyncIterator[str]:
        while True:
            yield "x" * 1000
            await trio.sleep(0.05)

    async def healthy() -> str:
        return "well"

    stream, health = Route("stream"), Route("health")
    stream.get(endless)
    health.get(healthy)
    async with open_app(Triows(stream, health, middlewares=[middleware])) as client:
        for _ in range(3):
            async with client.stream("GET", "/stream") as response:
                await anext(aiter(response))
            await trio.sleep(5)
            assert (await client.get("/health")).text == "well"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_middleware_that_gives_up_a_stream_ends_no_other(autojump_clock):
    def impatient(app: Any) -> Any:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            with trio.move_on_after(0.5) as waiting:
                await app(scope, receive, send)
            if waiting.cancelled_caught:
                await send({"type": "http.response.body", "body": b"..."})

        return middleware

    async def endless() -> AsyncIterator[str]:
        while True:
            yield "x"
            await trio.sleep(0.2)

    async def healthy() -> str:
        return "well"

    stream, health = Route("stream"), Route("health")
    stream.get(endless)
    health.get(healthy)
    async with open_app(Triows(stream, health, middlewares=[impatient])) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/stream")
        assert (await client.get("/health")).text == "well"
