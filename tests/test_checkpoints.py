"""
Every public awaitable can be cancelled, and never raises without a checkpoint.

The list of awaitables comes from the exports. If one has no case here, the first test fails.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import trio
from attrs import frozen
from hypercorn.config import Config
from trio.testing import assert_checkpoints

import triows
import triows.inspect
import triows.testing
from tests.connecting import connect
from triows import (
    ClientDisconnect,
    HTTPException,
    InvalidMessage,
    InvalidRequest,
    Limits,
    Request,
    Route,
    Timeouts,
    Triows,
    Upload,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    WebSocketState,
    WebSocketStateError,
    WrongDataType,
)
from triows._inspection.inside import live
from triows._reasons import Reason
from triows.testing import (
    AppClient,
    HTTPDisconnect,
    ReceiveTimeout,
    WebSocketSession,
    open_app,
    open_server,
)

MODULES = (triows, triows.testing, triows.inspect)

#: Special methods that are awaited, or that return something that is.
SPECIAL = {"__aiter__", "__anext__", "__aenter__", "__aexit__", "__await__", "__call__"}

#: Words in the return annotations of things that are awaited, iterated over or entered.
AWAITED = re.compile("Awaitable|Coroutine|Async")


def is_awaited(function: Any) -> bool:
    function = inspect.unwrap(function)
    returns = str(getattr(function, "__annotations__", {}).get("return", ""))
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or AWAITED.search(returns) is not None
    )


def methods(cls: type) -> list[str]:
    names = [name for name in dir(cls) if not name.startswith("_") or name in SPECIAL]
    found = {name: inspect.getattr_static(cls, name) for name in names}
    return [
        name
        for name, static in found.items()
        if callable(method := getattr(static, "__func__", static)) and is_awaited(method)
    ]


def public_awaitables() -> set[str]:
    found = set()
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                found |= {f"{name}.{method}" for method in methods(value)}
            elif callable(value) and is_awaited(value):
                found.add(name)
    return found


@frozen
class Case:
    """One path through one of the awaitables."""

    #: Its exported name.
    name: str
    #: The state of the object on which to call it.
    state: str
    call: Callable[[Any], Awaitable[object]]
    #: The error that it raises. ``None`` if it works, or waits.
    error: type[BaseException] | None = None

    def __str__(self) -> str:
        end = "works" if self.error is None else self.error.__name__
        return f"{self.name}-{self.state}-{end}"


async def probe(case: Case, thing: Any) -> None:
    """Check that it does nothing if cancelled, and that other tasks run before it raises."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await case.call(thing)
    assert scope.cancelled_caught
    if case.error is not None:
        with assert_checkpoints(), pytest.raises(case.error):
            await case.call(thing)


class Boom(Exception):
    pass


async def entered(manager: AbstractAsyncContextManager[Any]) -> None:
    async with manager:
        pass


# WebSocket


async def nothing(_: Any) -> None:
    pass


def after(*steps: Callable[[WebSocket], Awaitable[object]]) -> Callable[[WebSocket], Any]:
    async def prepare(ws: WebSocket) -> None:
        for step in steps:
            await step(ws)

    return prepare


def accept(ws: WebSocket) -> Awaitable[None]:
    return ws.accept()


async def settle(_: WebSocket) -> None:
    await trio.sleep(1)  # on the virtual clock; by then, the peer has acted


async def reset(client: WebSocketSession) -> None:
    client.reset()


#: What the handler and its peer do first.
STATES: dict[str, tuple[Callable[[WebSocket], Any], Callable[[WebSocketSession], Any]]] = {
    "new": (nothing, nothing),
    "refused": (lambda ws: ws.reject(), nothing),
    "open": (accept, nothing),
    "busy": (accept, nothing),
    "closed": (after(accept, lambda ws: ws.close()), nothing),
    "left": (after(accept, settle), lambda client: client.close()),
    "cut": (after(accept, settle), reset),
    "text": (after(accept, settle), lambda client: client.send("a text")),
    "bytes": (after(accept, settle), lambda client: client.send(b"\xff")),
}


def receiving(name: str, call: Callable[[WebSocket], Awaitable[object]]) -> list[Case]:
    """The cases of everything that receives. Iterating ends if the peer has closed with 1000."""
    over = StopAsyncIteration if "iter" in name else WebSocketDisconnect
    return [
        Case(name, "open", call),
        Case(name, "new", call, WebSocketStateError),
        Case(name, "refused", call, WebSocketStateError),
        Case(name, "closed", call, over),
        Case(name, "left", call, over),
        Case(name, "cut", call, WebSocketDisconnect),
        Case(name, "busy", call, trio.BusyResourceError),
    ]


def sending(name: str, call: Callable[[WebSocket], Awaitable[object]]) -> list[Case]:
    return [
        Case(name, "open", call),
        Case(name, "new", call, WebSocketStateError),
        Case(name, "refused", call, WebSocketStateError),
        Case(name, "closed", call, WebSocketDisconnect),
        Case(name, "left", call, WebSocketDisconnect),
        Case(name, "cut", call, WebSocketDisconnect),
    ]


wrong: Any = object()

ON_WEBSOCKETS = [
    Case("WebSocket.accept", "new", lambda ws: ws.accept()),
    Case("WebSocket.accept", "open", lambda ws: ws.accept(), WebSocketStateError),
    Case("WebSocket.accept", "refused", lambda ws: ws.accept(), WebSocketStateError),
    Case("WebSocket.accept", "new", lambda ws: ws.accept("not offered"), ValueError),
    Case("WebSocket.accept", "new", lambda ws: ws.accept(headers=wrong), TypeError),
    Case("WebSocket.reject", "new", lambda ws: ws.reject()),
    Case("WebSocket.reject", "open", lambda ws: ws.reject(), WebSocketStateError),
    Case("WebSocket.reject", "new", lambda ws: ws.reject(200), ValueError),
    Case("WebSocket.reject", "new", lambda ws: ws.reject(403, wrong), TypeError),
    *receiving("WebSocket.receive", lambda ws: ws.receive()),
    *receiving("WebSocket.receive_text", lambda ws: ws.receive_text()),
    *receiving("WebSocket.receive_bytes", lambda ws: ws.receive_bytes()),
    *receiving("WebSocket.receive_json", lambda ws: ws.receive_json()),
    *receiving("WebSocket.__aiter__", lambda ws: anext(aiter(ws))),
    *receiving("WebSocket.iter_text", lambda ws: anext(ws.iter_text())),
    *receiving("WebSocket.iter_bytes", lambda ws: anext(ws.iter_bytes())),
    *receiving("WebSocket.iter_json", lambda ws: anext(ws.iter_json())),
    Case("WebSocket.receive", "text", lambda ws: ws.receive()),
    Case("WebSocket.receive_text", "bytes", lambda ws: ws.receive_text(), WrongDataType),
    Case("WebSocket.receive_bytes", "text", lambda ws: ws.receive_bytes(), WrongDataType),
    Case("WebSocket.receive_json", "text", lambda ws: ws.receive_json(), InvalidMessage),
    Case("WebSocket.receive_json", "text", lambda ws: ws.receive_json(wrong), Exception),
    Case("WebSocket.iter_text", "bytes", lambda ws: anext(ws.iter_text()), WrongDataType),
    Case("WebSocket.iter_bytes", "text", lambda ws: anext(ws.iter_bytes()), WrongDataType),
    Case("WebSocket.iter_json", "text", lambda ws: anext(ws.iter_json()), InvalidMessage),
    *sending("WebSocket.send", lambda ws: ws.send("a")),
    *sending("WebSocket.send_text", lambda ws: ws.send_text("a")),
    *sending("WebSocket.send_bytes", lambda ws: ws.send_bytes(b"a")),
    *sending("WebSocket.send_json", lambda ws: ws.send_json({})),
    Case("WebSocket.send", "open", lambda ws: ws.send(wrong), TypeError),
    Case("WebSocket.send", "open", lambda ws: ws.send("\ud800"), UnicodeEncodeError),
    Case("WebSocket.send", "open", lambda ws: ws.send(bytearray(9)[::2])),
    Case("WebSocket.send_text", "open", lambda ws: ws.send_text(wrong), TypeError),
    Case("WebSocket.send_text", "open", lambda ws: ws.send_text("\ud800"), UnicodeEncodeError),
    Case("WebSocket.send_bytes", "open", lambda ws: ws.send_bytes(wrong), TypeError),
    Case("WebSocket.send_json", "open", lambda ws: ws.send_json(wrong), TypeError),
    Case("WebSocket.close", "new", lambda ws: ws.close()),
    Case("WebSocket.close", "refused", lambda ws: ws.close()),
    Case("WebSocket.close", "open", lambda ws: ws.close()),
    Case("WebSocket.close", "closed", lambda ws: ws.close()),
    Case("WebSocket.close", "left", lambda ws: ws.close()),
    Case("WebSocket.close", "open", lambda ws: ws.close(1006), ValueError),
    Case("WebSocket.close", "open", lambda ws: ws.close(wrong), TypeError),
    Case("WebSocket.close", "open", lambda ws: ws.close(reason=wrong), TypeError),
    Case("WebSocket.ping", "open", lambda ws: ws.ping()),
    Case("WebSocket.ping", "new", lambda ws: ws.ping(), WebSocketStateError),
    Case("WebSocket.ping", "refused", lambda ws: ws.ping(), WebSocketStateError),
    Case("WebSocket.ping", "left", lambda ws: ws.ping(), WebSocketDisconnect),
    Case("WebSocket.ping", "closed", lambda ws: ws.ping(), WebSocketDisconnect),
]


def wrapping(app: Any) -> Any:
    """Middleware that makes the endpoint use a transport on ASGI."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def wrapped_receive() -> Any:
            return await receive()

        await app(scope, wrapped_receive, send)

    return wrapped


LANES: dict[str, dict[str, Any]] = {"stream": {}, "ASGI": {"middlewares": [wrapping]}}


@asynccontextmanager
async def in_state(ws: WebSocket, state: str):
    prepare, _ = STATES[state]
    await prepare(ws)
    async with trio.open_nursery() as nursery:
        if state == "busy":
            nursery.start_soon(ws.receive)
            await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("case", ON_WEBSOCKETS, ids=str)
async def test_a_websocket_never_raises_without_a_checkpoint(autojump_clock, case, lane):
    if lane == "ASGI" and case.name == "WebSocket.ping":
        case = Case(case.name, case.state, case.call, WebSocketStateError)
    probed = trio.Event()

    async def handler(ws: WebSocket) -> None:
        async with in_state(ws, case.state):
            await probe(case, ws)
        probed.set()
        if ws.client_state is WebSocketState.CONNECTING:
            await ws.accept()

    route = WebSocketRoute("")
    route.endpoint(handler)
    app = Triows(route, timeouts=Timeouts(disconnect_grace=100), **LANES[lane])
    with suppress(triows.testing.WebSocketDenialResponse):
        async with connect(app, "/") as client:
            await STATES[case.state][1](client)
            await probed.wait()
    assert probed.is_set()


# The application, alone


def http_scope(path: str) -> dict[str, Any]:
    return {"type": "http", "path": path, "method": "GET", "headers": [], "query_string": b""}


async def no_event() -> Any:
    await trio.sleep_forever()


async def send_nowhere(event: Any) -> None:
    await trio.lowlevel.checkpoint()


async def fails_at_once(scope: Any, receive: Any, send: Any) -> None:
    raise Boom


def alone() -> Triows:
    app = Triows()
    app.mount("/fails", fails_at_once)
    return app


def no_certificate() -> Config:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.certfile = config.keyfile = "/nowhere"
    return config


async def twice(app: Triows, call: Callable[[], Awaitable[object]]) -> None:
    async with app.running():
        await call()


async def look(app: Triows) -> None:
    await triows.inspect.print_on_signal(app)


ALONE = [
    Case("Triows.running", "alone", lambda app: entered(app.running())),
    Case("Triows.running", "running", lambda app: entered(app.running()), RuntimeError),
    Case("Triows.drain", "alone", lambda app: app.drain()),
    Case("Triows.drain", "running", lambda app: app.drain()),
    Case("Triows.handle", "alone", lambda app: app.handle(http_scope("/"), no_event, send_nowhere)),
    Case("Triows.__call__", "alone", lambda app: app(http_scope("/"), no_event, send_nowhere)),
    Case("serve", "alone", lambda app: triows.serve(app, Config())),
    Case("serve", "alone", lambda app: triows.serve(app, no_certificate()), OSError),
    Case("serve", "running", lambda app: triows.serve(app, Config()), RuntimeError),
    Case("open_app", "alone", lambda app: entered(open_app(app))),
    Case("open_app", "alone", lambda app: entered(open_app(wrong)), TypeError),
    Case("open_app", "running", lambda app: entered(open_app(app)), RuntimeError),
    Case("open_server", "alone", lambda app: entered(open_server(app))),
    Case("open_server", "alone", lambda app: entered(open_server(wrong)), TypeError),
    Case("open_server", "alone", lambda app: entered(open_server(app)), RuntimeError),
    Case("print_on_signal", "alone", look),
]


@pytest.mark.parametrize("case", ALONE, ids=str)
async def test_an_application_never_raises_without_a_checkpoint(autojump_clock, case):
    app = alone()
    if case.state == "running":
        async with app.running():
            await probe(case, app)
    else:
        await probe(case, app)


async def test_what_a_mounted_application_raises_at_once_is_raised_behind_a_checkpoint():
    with assert_checkpoints(), pytest.raises(Boom):
        await alone().handle(http_scope("/fails"), no_event, send_nowhere)


# Test clients


def requesting(method: str, *args: Any) -> list[Case]:
    def call(client: AppClient) -> Awaitable[object]:
        send: Callable[..., Awaitable[object]] = getattr(client, method)
        return send(*args, "/")

    name = f"AppClient.{method}"
    return [Case(name, "open", call), Case(name, "shut down", call, Exception)]


CLIENTS = [
    *(
        case
        for method in ("get", "head", "options", "post", "put", "patch", "delete")
        for case in requesting(method)
    ),
    *requesting("request", "GET"),
    Case("AppClient.shutdown", "open", lambda client: client.shutdown()),
    Case("AppClient.shutdown", "shut down", lambda client: client.shutdown()),
    Case(
        "AppClient.websocket_connect",
        "open",
        lambda client: entered(client.websocket_connect("/", subprotocols="ab")),
        TypeError,
    ),
    Case(
        "AppClient.websocket_connect",
        "open",
        lambda client: entered(client.websocket_connect("/", buffer=0)),
        ValueError,
    ),
    Case(
        "AppClient.websocket_connect",
        "shut down",
        lambda client: entered(client.websocket_connect("/")),
        ConnectionRefusedError,
    ),
    Case("AppClient.stream", "open", lambda client: entered(client.stream("GET", "/"))),
    Case(
        "AppClient.stream",
        "shut down",
        lambda client: entered(client.stream("GET", "/")),
        ConnectionRefusedError,
    ),
]


@pytest.mark.parametrize("case", CLIENTS, ids=str)
async def test_a_test_client_never_raises_without_a_checkpoint(autojump_clock, case):
    async with open_app(alone()) as client:
        if case.state == "shut down":
            await client.shutdown()
        await probe(case, client)


def over(name: str, call: Callable[[WebSocketSession], Awaitable[object]]) -> list[Case]:
    return [
        Case(f"WebSocketSession.{name}", "open", call),
        Case(f"WebSocketSession.{name}", "closed", call, WebSocketDisconnect),
    ]


def late(name: str, call: Callable[[WebSocketSession], Awaitable[object]]) -> Case:
    return Case(f"WebSocketSession.{name}", "open", call, ReceiveTimeout)


SESSIONS = [
    *over("receive", lambda session: session.receive()),
    *over("receive_text", lambda session: session.receive_text()),
    *over("receive_bytes", lambda session: session.receive_bytes()),
    *over("receive_json", lambda session: session.receive_json()),
    *over("send", lambda session: session.send("a")),
    *over("send_text", lambda session: session.send_text("a")),
    *over("send_bytes", lambda session: session.send_bytes(b"a")),
    *over("send_json", lambda session: session.send_json({})),
    *over("ping", lambda session: session.ping()),
    late("receive", lambda session: session.receive(timeout=0)),
    late("expect_close", lambda session: session.expect_close(timeout=0)),
    late("wait_over", lambda session: session.wait_over(timeout=0)),
    Case("WebSocketSession.__anext__", "open", anext),
    Case("WebSocketSession.__anext__", "closed", anext, StopAsyncIteration),
    Case("WebSocketSession.receive_text", "bytes", lambda s: s.receive_text(), AssertionError),
    Case("WebSocketSession.receive_bytes", "text", lambda s: s.receive_bytes(), AssertionError),
    Case("WebSocketSession.receive_json", "text", lambda s: s.receive_json(), AssertionError),
    Case("WebSocketSession.expect_close", "text", lambda s: s.expect_close(), AssertionError),
    Case("WebSocketSession.expect_close", "closed", lambda s: s.expect_close(4000), AssertionError),
    Case("WebSocketSession.expect_nothing", "open", lambda s: s.expect_nothing(1)),
    Case("WebSocketSession.expect_nothing", "text", lambda s: s.expect_nothing(1), AssertionError),
    Case("WebSocketSession.send_text", "open", lambda s: s.send_text(wrong), TypeError),
    Case("WebSocketSession.send_bytes", "open", lambda s: s.send_bytes(wrong), TypeError),
    Case("WebSocketSession.send_json", "open", lambda s: s.send_json(wrong), TypeError),
    Case("WebSocketSession.send", "open", lambda s: s.send("\ud800"), UnicodeEncodeError),
    Case("WebSocketSession.send_fragments", "open", lambda s: s.send_fragments(["a", "b"])),
    Case("WebSocketSession.send_fragments", "open", lambda s: s.send_fragments(wrong), TypeError),
    Case("WebSocketSession.send_frame", "open", lambda s: s.send_frame(1, b"a")),
    Case("WebSocketSession.send_frame", "open", lambda s: s.send_frame(wrong), TypeError),
    Case("WebSocketSession.send_raw", "open", lambda s: s.send_raw(b"a")),
    Case("WebSocketSession.flood", "open", lambda s: s.flood("a", 3)),
    Case("WebSocketSession.flood", "closed", lambda s: s.flood("a", 0)),
    Case("WebSocketSession.close", "open", lambda s: s.close()),
    Case("WebSocketSession.close", "closed", lambda s: s.close()),
    Case("WebSocketSession.close", "open", lambda s: s.close(1006), ValueError),
    Case("WebSocketSession.wait_over", "closed", lambda s: s.wait_over()),
]


@pytest.mark.parametrize("case", SESSIONS, ids=str)
async def test_a_test_session_never_raises_without_a_checkpoint(autojump_clock, case):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        if case.state == "text":
            await ws.send("a text")
        elif case.state == "bytes":
            await ws.send(b"\xff")
        elif case.state == "closed":
            await ws.close()
        with suppress(WebSocketDisconnect):
            while True:
                await ws.receive()

    route = WebSocketRoute("")
    route.endpoint(handler)
    async with connect(Triows(route), "/") as session:
        await trio.sleep(1)
        await probe(case, session)


REQUESTS = [
    Case("HTTPSession.send", "open", lambda s: s.send(b"a")),
    Case("HTTPSession.send", "open", lambda s: s.send(wrong), TypeError),
    Case("HTTPSession.send", "closed", lambda s: s.send(b"a"), HTTPDisconnect),
    Case("HTTPSession.send_end", "open", lambda s: s.send_end()),
    Case("HTTPSession.send_end", "closed", lambda s: s.send_end(), HTTPDisconnect),
    Case("HTTPSession.send_raw", "open", lambda s: s.send_raw(b"a")),
    Case("HTTPSession.receive_head", "open", lambda s: s.receive_head()),
    Case("HTTPSession.receive_head", "silent", lambda s: s.receive_head(0), ReceiveTimeout),
    Case("HTTPSession.receive_head", "closed", lambda s: s.receive_head()),
    Case("HTTPSession.receive", "open", lambda s: s.receive()),
    Case("HTTPSession.receive", "silent", lambda s: s.receive(0), ReceiveTimeout),
    Case("HTTPSession.read", "silent", lambda s: s.read(0), ReceiveTimeout),
    Case("HTTPSession.__anext__", "open", anext),
    Case("HTTPSession.expect_nothing", "silent", lambda s: s.expect_nothing(1)),
    Case("HTTPSession.expect_nothing", "open", lambda s: s.expect_nothing(1), AssertionError),
    Case("HTTPSession.wait_over", "open", lambda s: s.wait_over(0), ReceiveTimeout),
    Case("HTTPSession.wait_over", "closed", lambda s: s.wait_over()),
]


@pytest.mark.parametrize("case", REQUESTS, ids=str)
async def test_a_request_made_step_by_step_never_raises_without_a_checkpoint(autojump_clock, case):
    async def app(scope, receive, send) -> None:
        if case.state != "silent":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a part", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    mounting = Triows()
    mounting.mount("/", app)
    async with open_app(mounting) as client, client.stream("POST", "/", sending=True) as session:
        await trio.sleep(1)
        if case.state == "closed":
            session.reset()
            await trio.sleep(1)
        await probe(case, session)


# What a handler of plain requests is given


@frozen
class Sent:
    """What the client sends before the handler looks at it."""

    content: bytes = b"12345"
    type: str = "application/json"
    #: Whether it sends the end, too.
    is_whole: bool = True
    leaves: bool = False
    #: What it sends when the handler has begun to read.
    later: bytes = b""


async def take_one(request: Request) -> None:
    await anext(request.stream())


async def read_whole(request: Request) -> None:
    await request.body()


async def read_form(request: Request) -> None:
    await request.form()


FORM = (
    b"--b\r\ncontent-disposition: form-data; name=f; filename=a\r\n\r\n%s\r\n"
    b"--b\r\ncontent-disposition: form-data; name=t\r\n\r\n12\r\n--b--\r\n"
)
FORM_TYPE = "multipart/form-data; boundary=b"

#: What the client sends, and what the handler does first.
BODIES: dict[str, tuple[Sent, Callable[[Request], Awaitable[None]]]] = {
    "whole": (Sent(), nothing),
    "empty": (Sent(b""), nothing),
    "read": (Sent(), read_whole),
    "begun": (Sent(is_whole=False), take_one),
    "large": (Sent(b"1" * 2000, is_whole=False), nothing),
    "text": (Sent(b"text"), nothing),
    "left": (Sent(is_whole=False, leaves=True), nothing),
    "busy": (Sent(b"", is_whole=False), nothing),
    "form": (Sent(FORM % b"123", FORM_TYPE), nothing),
    "form read": (Sent(FORM % b"123", FORM_TYPE), read_form),
    "fields read": (Sent(b"a=1", "application/x-www-form-urlencoded"), read_form),
    "large form": (Sent(FORM % (b"1" * 2000), FORM_TYPE, is_whole=False), nothing),
    "large part": (
        Sent(FORM.partition(b"%s")[0], FORM_TYPE, is_whole=False, later=b"1" * 2000),
        nothing,
    ),
    "cut form": (Sent((FORM % b"123")[:-5], FORM_TYPE), nothing),
    "stale": (Sent(FORM % b"123", FORM_TYPE), nothing),
    "malformed form": (Sent(b"--b\r\na\r\n\r\n", FORM_TYPE, is_whole=False), nothing),
    "left form": (Sent((FORM % b"123")[:-5], FORM_TYPE, is_whole=False, leaves=True), nothing),
}


def reading(name: str, call: Callable[[Any], Awaitable[object]]) -> list[Case]:
    """The cases of everything that needs the whole body."""
    return [
        Case(name, "large", call, HTTPException),
        Case(name, "left", call, ClientDisconnect),
        Case(name, "busy", call, trio.BusyResourceError),
        Case(name, "begun", call, RuntimeError),
    ]


async def exhausted(request: Request) -> None:
    stream = request.stream()
    with suppress(StopAsyncIteration):
        while True:
            await anext(stream)
    await anext(stream)


async def ended(thing: Any) -> None:
    async for _ in thing:
        pass
    await anext(thing)


async def closed(file: UploadFile, call: Callable[[], Awaitable[object]]) -> None:
    await file.close()
    await call()


async def in_block(request: Request) -> None:
    async with request.form():
        pass


ON_REQUESTS = [
    Case("Request.stream", "whole", lambda r: anext(r.stream())),
    Case("Request.stream", "empty", lambda r: anext(r.stream())),
    Case("Request.stream", "read", lambda r: anext(r.stream())),
    Case("Request.stream", "whole", exhausted, StopAsyncIteration),
    Case("Request.stream", "large", lambda r: anext(r.stream()), HTTPException),
    Case("Request.stream", "busy", lambda r: anext(r.stream()), trio.BusyResourceError),
    Case("Request.stream", "left", lambda r: ended(r.stream()), ClientDisconnect),
    Case("Request.stream", "whole", lambda r: r.stream().athrow(Boom), Boom),
    *(Case("Request.body", state, lambda r: r.body()) for state in ("whole", "empty", "read")),
    *reading("Request.body", lambda r: r.body()),
    Case("Request.json", "whole", lambda r: r.json()),
    Case("Request.json", "read", lambda r: r.json()),
    Case("Request.json", "text", lambda r: r.json(), InvalidRequest),
    Case("Request.json", "empty", lambda r: r.json(), InvalidRequest),
    *reading("Request.json", lambda r: r.json()),
    *(
        Case("Request.form", state, call)
        for state in ("form", "form read", "fields read")
        for call in (lambda r: r.form(), in_block)
    ),
    Case("Request.form", "whole", lambda r: r.form(), HTTPException),
    Case("Request.form", "form", lambda r: r.form(max_files=0), HTTPException),
    Case("Request.form", "form", lambda r: r.form(max_files=wrong), TypeError),
    Case("Request.form", "large form", lambda r: r.form(), HTTPException),
    Case("Request.form", "cut form", lambda r: r.form(), InvalidRequest),
    Case("Request.form", "malformed form", in_block, InvalidRequest),
    Case("Request.form", "left form", lambda r: r.form(), ClientDisconnect),
    *(
        Case(f"Request.{name}", state, call)
        for state in ("whole", "left", "form read", "fields read")
        for name, call in {
            "close": lambda r: r.close(),
            "is_disconnected": lambda r: r.is_disconnected(),
            "send_push_promise": lambda r: r.send_push_promise("/a.css"),
            "send_early_hints": lambda r: r.send_early_hints("</a.css>"),
        }.items()
    ),
    Case("Upload.__anext__", "form", anext),
    Case("Upload.__anext__", "form", ended, StopAsyncIteration),
    Case("Upload.__anext__", "large form", ended, HTTPException),
    Case("Upload.__anext__", "cut form", ended, InvalidRequest),
    Case("Upload.__anext__", "malformed form", anext, InvalidRequest),
    Case("Upload.__anext__", "left form", ended, ClientDisconnect),
    Case("Part.__anext__", "form", anext),
    Case("Part.__anext__", "form", ended, StopAsyncIteration),
    Case("Part.__anext__", "large part", ended, HTTPException),
    Case("Part.read", "form", lambda part: part.read(3)),
    Case("Part.read", "form", lambda part: part.read(2), HTTPException),
    Case("Part.read", "form", lambda part: part.read(wrong), TypeError),
    Case("Part.read", "large part", lambda part: part.read(5000), HTTPException),
    Case("Part.read", "stale", lambda part: part.read(3), RuntimeError),
    Case("Part.__anext__", "stale", anext, RuntimeError),
    Case("UploadFile.read", "form", lambda file: file.read()),
    Case("UploadFile.read", "form", lambda file: file.read(wrong), TypeError),
    Case("UploadFile.read", "form", lambda file: closed(file, file.read), ValueError),
    Case("UploadFile.write", "form", lambda file: file.write(b"a")),
    Case("UploadFile.write", "form", lambda file: file.write(wrong), TypeError),
    Case("UploadFile.seek", "form", lambda file: file.seek(0)),
    Case("UploadFile.seek", "form", lambda file: file.seek(-1), ValueError),
    Case("UploadFile.close", "form", lambda file: file.close()),
    Case("UploadFile.close", "form", lambda file: closed(file, file.close)),
]


async def probe_of_request(case: Case, request: Request) -> None:
    async with trio.open_nursery() as nursery:
        if case.state == "busy":
            nursery.start_soon(anext, request.stream())
            await trio.testing.wait_all_tasks_blocked()
        await BODIES[case.state][1](request)
        if case.name.startswith("UploadFile"):
            form = await request.form()
            await probe(case, form["f"])
        else:
            await probe(case, request)
        nursery.cancel_scope.cancel()


async def probe_of_upload(case: Case, upload: Upload) -> None:
    if case.name.startswith("Upload."):
        await probe(case, upload)
        return
    part = await anext(upload)
    await trio.sleep(2)
    if case.state == "stale":
        await anext(upload)
    await probe(case, part)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("case", ON_REQUESTS, ids=str)
async def test_what_a_request_gives_never_raises_without_a_checkpoint(autojump_clock, case, lane):
    sent, _ = BODIES[case.state]
    probed = trio.Event()
    is_upload = case.name.startswith(("Upload.", "Part."))

    async def handler(thing: Any) -> None:
        await settle(thing)  # all is there, so that nothing waits
        await (probe_of_upload if is_upload else probe_of_request)(case, thing)
        probed.set()

    handler.__annotations__["thing"] = Upload if is_upload else Request
    route = Route("")
    route.post(handler)
    limits, timeouts = Limits(body=1000), Timeouts(disconnect_grace=100)
    app = Triows(route, limits=limits, timeouts=timeouts, **LANES[lane])
    headers = {"content-type": sent.type}
    async with (
        open_app(app) as client,
        client.stream("POST", "/", sending=True, headers=headers) as session,
    ):
        if sent.content:
            await session.send(sent.content)
        if sent.later:
            await trio.sleep(2)
            await session.send(sent.later)
        if sent.leaves:
            session.close()
        elif sent.is_whole:
            await session.send_end()
        await trio.sleep(5)
    assert probed.is_set()


# A loop that catches everything


async def until_cancelled(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        with suppress(Exception):
            await call()


ENDLESS: dict[str, Callable[[WebSocket], Awaitable[object]]] = {
    "receive": lambda ws: ws.receive(),
    "receive_text": lambda ws: ws.receive_text(),
    "receive_bytes": lambda ws: ws.receive_bytes(),
    "receive_json": lambda ws: ws.receive_json(int),
    "async for": lambda ws: anext(aiter(ws)),
    "iter_json": lambda ws: anext(ws.iter_json()),
    "send": lambda ws: ws.send("a"),
    "a wrong type": lambda ws: ws.send(wrong),
    "a lone surrogate": lambda ws: ws.send("\ud800"),
    "send_json": lambda ws: ws.send_json(wrong),
    "ping": lambda ws: ws.ping(),
    "accept": lambda ws: ws.accept(),
    "reject": lambda ws: ws.reject(),
    "close": lambda ws: ws.close(),
    "a wrong code": lambda ws: ws.close(1006),
}


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", ["accepted", "left", "unaccepted", "refused"])
@pytest.mark.parametrize("what", ENDLESS)
async def test_a_loop_that_catches_everything_freezes_nobody(autojump_clock, what, how, lane):
    if what in {"accept", "reject", "close"} and how == "unaccepted":
        how = "accepted"
    ended = []

    async def stubborn(ws: WebSocket) -> None:
        if how in {"accepted", "left"}:
            await ws.accept()
        elif how == "refused":
            await ws.reject()
        try:
            await until_cancelled(lambda: ENDLESS[what](ws))
        finally:
            ended.append(trio.current_time())

    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send(await ws.receive())

    routes = [WebSocketRoute("stubborn"), WebSocketRoute("echo")]
    for route, handler in zip(routes, (stubborn, echo), strict=True):
        route.endpoint(handler)
    # The virtual clock does not move while a loop runs.
    timeouts = Timeouts(disconnect_grace=1000)
    app = Triows(*routes, timeouts=timeouts, **LANES[lane])
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(partial(visit, client, leaves=how == "left"))
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        async with client.websocket_connect("/echo") as other:
            await other.send("still here")
            assert await other.receive() == "still here"
        for exchange in live(app):
            exchange.lifetime.cancel(Reason.CANCELLED)
        nursery.cancel_scope.cancel()
    assert ended == [0]


ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
DENY = {"type": "websocket.http.response.start", "status": 400}

#: What a mounted application sends first, and what it then sends in an endless loop.
EVENTS: dict[str, tuple[list[Any], Any]] = {
    "close after accept": ([ACCEPT], CLOSE),
    "close": ([], CLOSE),
    "the start of a response": ([], DENY),
    "an empty body": ([DENY], {"type": "websocket.http.response.body", "more_body": True}),
    "a body": ([DENY], {"type": "websocket.http.response.body"}),
    "message": ([ACCEPT], {"type": "websocket.send", "text": "a"}),
    "message before accept": ([], {"type": "websocket.send", "text": "a"}),
    "nothing": ([ACCEPT], None),
    "nothing before accept": ([], None),
}


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("what", EVENTS)
async def test_a_mounted_application_that_catches_everything_freezes_nobody(
    autojump_clock, what, leaves
):
    ended = []
    before, endless = EVENTS[what]

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        for event in before:
            await send(event)
        try:
            await until_cancelled(lambda: send(endless))
        finally:
            ended.append(True)

    app = Triows(echo_route(), timeouts=Timeouts(disconnect_grace=1000))
    app.mount("/stubborn", mounted)
    with trio.CancelScope() as scope:
        async with open_app(app) as client, trio.open_nursery() as nursery:
            nursery.start_soon(partial(visit, client, leaves=leaves))
            for _ in range(50):
                await trio.lowlevel.checkpoint()
            async with client.websocket_connect("/echo") as other:
                await other.send("still here")
                assert await other.receive() == "still here"
            scope.cancel()
    assert ended


def echo_route() -> WebSocketRoute:
    route = WebSocketRoute("echo")

    @route.endpoint
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send(await ws.receive())

    return route


@pytest.mark.parametrize("message", [None, {}, {"type": 1}, {"type": "unknown"}])
async def test_no_message_of_a_mounted_http_application_raises_without_a_checkpoint(message):
    probed = []

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        with assert_checkpoints(), suppress(Exception):
            await send(message)
        probed.append(True)

    async def take(event: Any) -> None:
        if not str(event["type"]).startswith("http.response."):
            raise TypeError("not this")
        answers.append(event["type"])

    answers: list[str] = []
    app = Triows()
    app.mount("/mounted", mounted)
    scope = {"type": "http", "path": "/mounted", "headers": [], "method": "GET"}
    await app.handle(scope, partial(trio.sleep_forever), take)
    assert probed
    assert answers == ["http.response.start", "http.response.body"]  # of triows: 500


async def visit(client: AppClient, *, leaves: bool) -> None:
    """Connect, and send something that nobody expects. Leave at once, or when cancelled."""
    with suppress(triows.testing.WebSocketDenialResponse):
        async with client.websocket_connect("/stubborn") as session:
            with suppress(WebSocketDisconnect):
                await session.send("a")
            if leaves:
                session.reset()
            await trio.sleep_forever()


class Steps(trio.abc.Instrument):
    """Counts how many messages a task handles between two of its steps."""

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.messages = 0
        self.most = 0
        self._task = task

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.most = max(self.most, self.messages)
            self.messages = 0


@pytest.mark.unmeasured
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("what", ["receive", "send", "both"])
async def test_the_others_have_their_turn_at_least_every_64_messages(autojump_clock, what, lane):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await trio.sleep(1)
        steps = Steps(trio.lowlevel.current_task())
        trio.lowlevel.add_instrument(steps)
        for _ in range(1000):
            if what != "send":
                await ws.receive()
                steps.messages += 1
            if what != "receive":
                await ws.send("a")
                steps.messages += 1
        trio.lowlevel.remove_instrument(steps)
        assert 0 < steps.most <= 64

    route = WebSocketRoute("", limits=Limits(inbox=10**6))
    route.endpoint(handler)
    async with connect(Triows(route, **LANES[lane]), "/") as client:
        if what != "send":
            await client.flood("a", 1000)
        with suppress(WebSocketDisconnect):
            while True:
                await client.receive()


# All of them


def test_every_public_awaitable_has_a_case():
    cases = {
        case.name for case in (*ON_WEBSOCKETS, *ALONE, *CLIENTS, *SESSIONS, *REQUESTS, *ON_REQUESTS)
    }
    assert public_awaitables() == cases


async def unannotated():
    """Something that a module may export."""


class Exported:
    def send(self) -> Awaitable[None]: ...
    async def receive(self) -> None: ...
    def __aiter__(self) -> Any: ...
    def statistics(self) -> int: ...


def test_a_new_awaitable_is_found(monkeypatch):
    known = public_awaitables()
    monkeypatch.setattr(triows, "__all__", [*triows.__all__, "unannotated", "Exported"])
    monkeypatch.setattr(triows, "unannotated", unannotated, raising=False)
    monkeypatch.setattr(triows, "Exported", Exported, raising=False)
    assert public_awaitables() - known == {"unannotated", "Exported.send", "Exported.receive"}
