"""Plain requests to mounted applications: their end, their line in the log, and a shutdown."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import trio
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from trio.testing import wait_all_tasks_blocked

from tests.connecting import opened
from tests.server.harness.engine import asked, opened_engine
from tests.transports.scripted_wire import ScriptedWire
from triows import (
    ClientDisconnect,
    HTTPException,
    Limits,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketRoute,
)
from triows.inspect import tree
from triows.testing import AppClient, HTTPDisconnect, open_app

START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
END = {"type": "http.response.body", "body": b"end"}

TIMEOUTS = Timeouts(shutdown_grace=10, disconnect_grace=1, close=5, teardown=5)


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "triows")
    return caplog


def mounting(app: Any, **settings: Any) -> Triows:
    outer = Triows(**{"timeouts": TIMEOUTS, **settings})
    outer.mount("/files", app)
    return outer


def ends(log: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log's lines say about how requests ended."""
    return [
        one.getMessage().partition("' ")[2].partition(" after ")[0]
        for one in log.records
        if hasattr(one, "duration")
    ]


def errors(log: pytest.LogCaptureFixture) -> list[type[BaseException]]:
    return [type(one.exc_info[1]) for one in log.records if one.levelno >= logging.ERROR]


# The line in the log


async def test_each_request_gets_one_line_in_the_log(autojump_clock, log):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await trio.sleep(1.5)
        await send(START)
        await send(PART)
        await send(END)

    async with open_app(mounting(app)) as client:
        await client.http.post("/files/a%0Ab?token=secret", content=b"12345")
    (record,) = log.records
    peer = "testclient:50000"
    assert (record.name, record.levelname) == ("triows", "INFO")
    assert record.getMessage() == (
        f"{peer} POST '/files/a\\nb' answered 200 after 1.500 s, received 5 bytes, sent 7 bytes"
    )
    wanted = {
        "route": "/files",
        "peer": peer,
        "method": "POST",
        "status": 200,
        "duration": 1.5,
        "bytes_received": 5,
        "bytes_sent": 7,
    }
    assert {name: vars(record)[name] for name in wanted} == wanted


async def test_without_a_logger_that_takes_it_no_line_is_made(autojump_clock, caplog):
    caplog.set_level(logging.WARNING, "triows")
    async with open_app(mounting(answers)) as client:
        await client.get("/files")
    assert caplog.records == []


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(END)


async def raises(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError


async def raises_later(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(PART)
    raise ValueError


async def raises_behind(scope: Any, receive: Any, send: Any) -> None:
    await answers(scope, receive, send)
    raise ValueError


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    raise HTTPException(418, "tea")


async def refuses_later(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(PART)
    raise HTTPException(418, "tea")


async def refuses_alike(scope: Any, receive: Any, send: Any) -> None:
    raise ExceptionGroup("", [HTTPException(418, "tea"), HTTPException(418, "tea")])


async def refuses_in_two_ways(scope: Any, receive: Any, send: Any) -> None:
    raise ExceptionGroup("", [HTTPException(418), HTTPException(401)])


async def returns(scope: Any, receive: Any, send: Any) -> None: ...


async def returns_too_early(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(PART)


@pytest.mark.parametrize(
    ("app", "status", "line", "reported"),
    [
        (answers, 200, "answered 200", []),
        (raises, 500, "answered 500", [ValueError]),
        (raises_behind, 200, "answered 200", [ValueError]),
        (refuses, 418, "answered 418 (tea)", []),
        (refuses_alike, 418, "answered 418 (tea)", []),
        (refuses_in_two_ways, 500, "answered 500", [ExceptionGroup]),
        (returns, 500, "answered 500 (the application returned without a response)", []),
    ],
)
async def test_every_request_is_answered(autojump_clock, log, app, status, line, reported):
    async with open_app(mounting(app), raise_app_exceptions=False) as client:
        response = await client.get("/files")
    assert response.status_code == status
    if app in {raises, refuses, refuses_alike, refuses_in_two_ways, returns}:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
    assert (ends(log), errors(log)) == ([line], reported)


@pytest.mark.parametrize(
    ("app", "reported"),
    [(raises_later, [ValueError]), (refuses_later, [HTTPException]), (returns_too_early, [])],
)
async def test_a_response_that_is_left_in_the_middle_is_cut(autojump_clock, log, app, reported):
    async with (
        open_app(mounting(app), raise_app_exceptions=False) as client,
        client.stream("GET", "/files") as response,
    ):
        assert await response.receive() == b"part"
        with pytest.raises(HTTPDisconnect):
            await response.receive()
    assert ends(log) == ["answered 200 (the response is incomplete)"]
    assert errors(log) == reported


# A client that leaves


async def waits_for_the_end(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def streams(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    while True:
        await send(PART)
        await trio.sleep(0.1)


async def test_a_client_that_leaves_before_the_response_is_no_error(autojump_clock, log):
    async with (
        open_app(mounting(waits_for_the_end)) as client,
        client.stream("POST", "/files", sending=True) as request,
    ):
        request.close()
    assert (ends(log), errors(log)) == (["not answered (the client has left)"], [])


async def test_a_client_that_leaves_during_the_response_is_no_error(autojump_clock, log):
    """`send` raises ClientDisconnect, and the application lets it out."""
    async with open_app(mounting(streams)) as client, client.stream("GET", "/files") as response:
        assert await response.receive() == b"part"
        response.reset()
    assert (ends(log), errors(log)) == (["answered 200 (the client has left)"], [])


async def test_a_request_that_the_server_refuses_says_so(autojump_clock, log):
    """The client is there. It has sent a body that breaks a rule."""
    outer = mounting(waits_for_the_end)
    async with outer.running(), opened_engine(outer) as engine:
        wire = engine.connect()
        head = asked("/files", "transfer-encoding: chunked", method="POST")
        wire.says(head, b"x\r\n")
        await trio.sleep(1)
        assert wire.sent.startswith(b"HTTP/1.1 400 ")
    assert (ends(log), errors(log)) == (
        ["answered 400 (the line before a chunk isn't its size, or is too long)"],
        [],
    )


async def test_a_response_that_the_server_cuts_is_incomplete(autojump_clock, log):
    """The client is there. It reads too slowly for the rest of the grace."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({**PART, "body": bytes(10**6)})

    outer = mounting(app)
    async with outer.running(), opened_engine(outer) as engine:
        wire = engine.connect(ScriptedWire(room=1000))
        wire.says(asked("/files"))
        await trio.sleep(1)
        await outer.drain(grace=1)
    assert ends(log) == [
        "answered 200 (the response is incomplete; the application did not end in the time that it "
        "has at a shutdown, and was cancelled)"
    ]


class PassesOn:
    """A middleware that changes nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Parts:
    """What never ends. It isn't a generator, because Starlette would not close that."""

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> bytes:
        await trio.sleep(0.1)
        return b"part"


async def streamed(request: Request) -> StreamingResponse:
    return StreamingResponse(Parts())


async def read_all(request: Request) -> Response:
    return Response(await request.body())


STARLETTES = Starlette(routes=[Route("/down", streamed), Route("/up", read_all, methods=["POST"])])


@pytest.mark.parametrize("settings", [{}, {"middlewares": [PassesOn]}])
@pytest.mark.parametrize("ours", [False, True])
async def test_a_client_that_leaves_a_starlette_application_is_no_error(
    autojump_clock, log, settings, ours
):
    inner = mounting(STARLETTES) if ours else STARLETTES
    outer, path = mounting(inner, **settings), "/files/files" if ours else "/files"
    async with outer.running(), opened_engine(outer) as engine:
        down, up = engine.connect(), engine.connect()
        down.says(asked(f"{path}/down"))
        up.says(asked(f"{path}/up", "content-length: 100", method="POST"))
        await trio.sleep(1)
        assert down.sent
        down.break_off()
        up.leaves()
        await trio.sleep(1)
    assert errors(log) == []
    assert ends(log) == ["answered 500", "answered 200 (the client has left)"]  # 500: Starlette


async def test_a_disconnect_that_is_let_out_is_not_raised_to_the_outer_application():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ClientDisconnect

    served, answer = mounting(app), Answer()
    async with served.running():
        await served.handle(scope(), answer.receive, answer.send)


# A shutdown


async def goes_on(scope: Any, receive: Any, send: Any) -> None:
    await trio.sleep_forever()


async def begins_and_goes_on(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(PART)
    await trio.sleep_forever()


@pytest.fixture
def seen() -> list[Any]:
    return []


async def ask(client: AppClient, seen: list[Any]) -> None:
    """Make a request, and note the answer and when it came."""
    try:
        async with client.stream("GET", "/files", timeout=1000) as response:
            await response.read()
            seen.append((response.status_code, trio.current_time()))
    except HTTPDisconnect:
        seen.append(("cut", trio.current_time()))


async def test_an_application_that_finishes_in_its_grace_is_not_cut_short(
    autojump_clock, log, seen
):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(9)
        await answers(scope, receive, send)

    async with open_app(mounting(app)) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client, seen)
        await trio.sleep(1)
        await client.shutdown()
    assert (seen, ends(log)) == ([(200, 9)], ["answered 200"])


@pytest.mark.parametrize(
    ("app", "answer", "line"),
    [
        (goes_on, 503, "answered 503 (the server is shutting down; the application did not end"),
        (begins_and_goes_on, "cut", "answered 200 (the response is incomplete; the application"),
    ],
)
async def test_an_application_that_goes_on_is_cancelled_after_the_shutdown_grace(
    autojump_clock, log, seen, app, answer, line
):
    async with open_app(mounting(app)) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client, seen)
        await trio.sleep(1)
        await client.shutdown()
    assert seen == [(answer, 1 + 10)]
    (end,) = ends(log)
    assert end.startswith(line)
    assert end.endswith("did not end in the time that it has at a shutdown, and was cancelled)")
    assert errors(log) == []


async def test_a_client_that_leaves_during_the_shutdown_leaves_the_disconnect_grace(
    autojump_clock, log
):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await waits_for_the_end(scope, receive, send)
        began.append(trio.current_time())
        try:
            await trio.sleep_forever()
        finally:
            began.append(trio.current_time())

    began: list[float] = []
    async with (
        open_app(mounting(app)) as client,
        trio.open_nursery() as nursery,
        client.stream("POST", "/files", sending=True, timeout=1000) as request,
    ):
        await trio.sleep(1)
        nursery.start_soon(client.shutdown)
        await trio.sleep(3)
        request.close()
    assert began == [4, 5]
    (end,) = ends(log)
    assert end.startswith("not answered (the client has left; the application did not end within")


class Answer:
    """ASGI's two functions, for one request. The test sees the response's status and its time."""

    def __init__(self) -> None:
        self.statuses: list[tuple[int, float]] = []

    async def receive(self) -> Any:
        await trio.sleep_forever()

    async def send(self, event: Any) -> None:
        await trio.lowlevel.checkpoint()
        if event["type"] == "http.response.start":
            self.statuses.append((event["status"], trio.current_time()))


def scope(path: str = "/files") -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": [],
        "query_string": b"",
        "client": ("10.0.0.1", 1234),
    }


async def test_a_request_during_a_drain_has_what_is_left_of_the_grace(autojump_clock, log):
    """A server that is not ours may pass on requests all the time."""
    app, first, late, too_late = mounting(goes_on), Answer(), Answer(), Answer()
    async with app.running(), trio.open_nursery() as nursery:
        nursery.start_soon(app, scope(), first.receive, first.send)
        await wait_all_tasks_blocked()
        nursery.start_soon(app.drain)
        await trio.sleep(7)
        nursery.start_soon(app, scope(), late.receive, late.send)
        await trio.sleep(5)
        await app(scope(), too_late.receive, too_late.send)
    assert (first.statuses, late.statuses) == ([(503, 10)], [(503, 10)])
    assert too_late.statuses == [(503, 12)]
    assert log.messages[-1] == "10.0.0.1:1234 GET /files refused 503 (the server is shutting down)"


async def test_requests_are_answered_again_when_the_application_has_been_restarted():
    app, answer = mounting(answers), Answer()
    for _ in range(2):
        async with app.running():
            await app(scope(), answer.receive, answer.send)
            await app.drain()
    assert [status for status, _ in answer.statuses] == [200, 200]


async def test_ctrl_c_makes_the_grace_of_requests_shorter(autojump_clock):
    app, answer = mounting(goes_on), Answer()
    async with app.running(), trio.open_nursery() as nursery:
        nursery.start_soon(app, scope(), answer.receive, answer.send)
        await wait_all_tasks_blocked()
        assert await app.drain(grace=2)
    assert answer.statuses == [(503, 2)]


async def test_an_application_that_hangs_is_named_in_a_warning(autojump_clock, log):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    served, answer = mounting(app), Answer()
    async with served.running(), trio.open_nursery() as nursery:
        nursery.start_soon(served, scope("/files/a\n"), answer.receive, answer.send)
        await wait_all_tasks_blocked()
        assert not await served.drain()
    (warning,) = [one.getMessage() for one in log.records if one.levelname == "WARNING"]
    start = "the request for /files/a\\n from 10.0.0.1:1234 has not ended: the application "
    assert warning.startswith(start)
    assert " (shutdown), and waits at\n" in warning
    assert "await trio.sleep(60)" in warning


async def test_a_resource_of_the_application_that_fails_ends_its_requests(autojump_clock, log):
    async def die() -> None:
        await trio.sleep(3)
        raise ValueError

    @asynccontextmanager
    async def lifespan(_app: Triows) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(die)
            yield

    async def serve() -> None:
        async with app.running():
            await app(scope(), answer.receive, answer.send)

    app, answer = mounting(goes_on, lifespan=lifespan), Answer()
    with pytest.raises(ExceptionGroup):
        await serve()
    assert answer.statuses == [(503, 3)]
    assert ends(log) == [
        "answered 503 (the server is shutting down; a resource of the application failed, and the "
        "application was cancelled)"
    ]


# What it is beside


async def test_requests_do_not_count_for_the_limit_of_connections(autojump_clock):
    route = WebSocketRoute("ws")

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()

    app = Triows(route, limits=Limits(connections=1))
    app.mount("/files", begins_and_goes_on)
    async with (
        open_app(app) as client,
        client.stream("GET", "/files") as one,
        client.stream("GET", "/files") as two,
        client.websocket_connect("/ws"),
    ):
        assert len(tree(app).requests) == 2
        one.cancel_handler()
        two.cancel_handler()


async def test_requests_to_a_mounted_triows_are_its_own_exchanges_and_logged_once(
    autojump_clock, log
):
    inner = mounting(goes_on)
    app = Triows()
    app.mount("/in", inner)
    async with opened(app) as client, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def visit() -> None:
            await client.stream("GET", "/in/files", timeout=1000).__aenter__()

        await trio.sleep(1)
        assert (app._exchanges.requests, inner._exchanges.requests) == (0, 1)
        assert [one.route for one in tree(app).requests] == ["/in/files"]
        nursery.cancel_scope.cancel()
    assert len([one for one in log.records if hasattr(one, "duration")]) == 1


async def test_a_cancelled_request_is_cancelled_at_once_and_left_open(autojump_clock, log):
    app, answer = mounting(goes_on), Answer()
    async with app.running():
        with trio.move_on_after(3) as cancelled:
            await app(scope(), answer.receive, answer.send)
    assert cancelled.cancelled_caught
    assert answer.statuses == []
    assert ends(log) == ["not answered (the application was cancelled from outside)"]


class TimingOut:
    """A middleware that answers by itself if that takes too long."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with trio.move_on_after(1) as limit:
            await self.app(scope, receive, send)
        if limit.cancelled_caught:
            await PlainTextResponse("too slow", 504)(scope, receive, send)


async def test_a_middleware_that_cancels_the_application_answers_in_its_place(autojump_clock):
    async with open_app(mounting(goes_on, middlewares=[TimingOut])) as client:
        response = await client.get("/files")
    assert (response.status_code, response.text) == (504, "too slow")


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


@pytest.mark.parametrize("middlewares", [[], [Passing]])
async def test_a_response_that_a_shutdown_cuts_is_not_ended_properly(autojump_clock, middlewares):
    async def streams(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        while True:
            await send(PART)
            await trio.sleep(1)

    async def read(client: AppClient) -> None:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/files", timeout=100)

    app = mounting(streams, middlewares=middlewares)
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(read, client)
        await trio.sleep(2)
        await app.drain()


async def test_a_middleware_of_a_mounted_application_of_ours_may_refuse():
    class Refusing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise HTTPException(401, "who are you?")

    async with open_app(mounting(Triows(middlewares=[Refusing]))) as client:
        response = await client.get("/files/x")
    assert (response.status_code, response.json()["detail"]) == (401, "who are you?")


@pytest.mark.parametrize(
    "change", [lambda scope: scope.pop("path"), lambda scope: scope.update(path="/x", client=None)]
)
async def test_the_line_tells_the_request_as_it_came(log, change):
    async def changing(scope: Any, receive: Any, send: Any) -> None:
        change(scope)
        await send(START)
        await send(END)

    async with open_app(mounting(changing)) as client:
        assert (await client.get("/files/a")).text == "end"
    (line,) = (one.getMessage() for one in log.records if hasattr(one, "duration"))
    assert " GET '/files/a' answered 200 after " in line
    assert not line.startswith("?")


async def test_what_the_server_refuses_to_send_is_not_taken_for_a_response(log):
    async def mistaken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [("a", "b")]})

    async with open_app(mounting(mistaken), raise_app_exceptions=False) as client:
        assert (await client.get("/files")).status_code == 500
    assert ends(log) == ["answered 500"]


async def test_nothing_is_left_of_a_request_that_is_over():
    app, answer = mounting(raises), Answer()
    async with app.running():
        with pytest.raises(ValueError):  # noqa: PT011
            await app.handle(scope(), answer.receive, answer.send)
        assert (list(app._exchanges), app._exchanges.requests) == ([], 0)


@pytest.mark.parametrize("who", ["requests", "server"])
async def test_a_request_that_its_server_cancels_is_not_answered(autojump_clock, log, who):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(50)

    outer = mounting(app)
    async with outer.running(), opened_engine(outer) as engine:
        wire = engine.connect()
        wire.says(asked("/files/a"))
        await trio.sleep(1)
        with trio.CancelScope(shield=True):
            if who == "requests":
                engine.services.jobs.end_at(trio.current_time() + 1)
            else:
                engine.services.tasks.cancel_scope.cancel()
            await trio.sleep(2)
        assert (bytes(wire.sent), wire.eofs) == (b"", 1)
    assert ends(log) == ["not answered (the application was cancelled from outside)"]
