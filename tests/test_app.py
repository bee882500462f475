import contextvars
import copy
import json
import logging
import re
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import unquote

import pytest
import trio
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route as StarletteRoute, WebSocketRoute as StarletteWebSocketRoute
from starlette.staticfiles import StaticFiles
from trio.testing import wait_all_tasks_blocked

from tests.connecting import connect, opened
from triows import (
    AsyncResource,
    EndpointInfo,
    HTTPException,
    Route,
    RouteSetupError,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketDisconnect,
    WebSocketRoute,
    WebSocketStateError,
    use,
)
from triows._where import where
from triows.testing import WebSocketDenialResponse, WebSocketSession, open_app


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


def serving(handler: Any = echo, path: str = "ws", **settings: Any) -> Triows:
    route = WebSocketRoute(path)
    route.endpoint(handler)
    return Triows(route, **settings)


async def echoes(app: Triows, url: str = "/ws", **options: Any) -> bool:
    async with connect(app, url, **options) as client:
        await client.send("hi")
        return await client.receive() == "hi"


async def end_of(client: WebSocketSession) -> int:
    try:
        while True:
            await client.receive()
    except WebSocketDisconnect as exc:
        return exc.code


class Response:
    """What an application answered to a plain HTTP request."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    async def send(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            assert self.status == 0
            self.status = event["status"]
            self.headers = dict(event["headers"])
        else:
            self.body += event.get("body", b"")


async def get(app: Triows, raw_path: str, *, method: str = "GET") -> Response:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.org")],
        "client": ("10.0.0.1", 1234),
        "server": ("example.org", 80),
    }
    response = Response()
    events = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        return next(events, None) or await trio.sleep_forever()

    await app(scope, receive, response.send)
    return response


# Plain HTTP, and paths without a route


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_plain_http_on_a_websocket_route_is_426(method):
    response = await get(serving(), "/ws", method=method)
    assert response.status == 426
    assert response.headers[b"upgrade"] == b"websocket"
    assert response.headers[b"content-type"] == b"application/problem+json"


async def test_plain_http_elsewhere_is_404():
    response = await get(serving(), "/nope")
    assert (response.status, b'"status":404' in response.body) == (404, True)


@pytest.mark.parametrize("path", ["/%ff", "/%zz", "/a/%", "/%c3%28"])
async def test_a_path_that_is_no_utf_8_is_400(path):
    assert (await get(serving(), path)).status == 400


async def test_a_websocket_elsewhere_is_404():
    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(serving(), "/nope"):
            pass
    assert caught.value.status_code == 404
    assert caught.value.json()["title"] == "Not Found"


@pytest.mark.parametrize("path", ["/%ff", "/%zz"])
async def test_a_websocket_to_a_path_that_is_no_utf_8_is_400(path):
    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(serving(), path):
            pass
    assert caught.value.status_code == 400


# Mounts


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page.html").write_text("<h1>hi</h1>")
    (tmp_path / "site-secret").mkdir()
    (tmp_path / "site-secret" / "key").write_text("1234")
    return StaticFiles(directory=tmp_path / "site", html=True)


async def test_static_files_are_served_below_their_mount(site):
    app = serving()
    app.mount("static", site)
    response = await get(app, "/static/page.html")
    assert (response.status, response.body) == (200, b"<h1>hi</h1>")
    assert response.headers[b"content-type"].startswith(b"text/html")


@pytest.mark.parametrize(
    "path",
    [
        "/static/nope.html",
        "/static/../site-secret/key",
        "/static/..%2fsite-secret/key",
        "/static/%2e%2e/site-secret/key",
        "/static-secret/key",
        "/static//etc/passwd",
        "/staticpage.html",
        "/static/page.html%00",
        "/static/page.html%0d%0ax:%20y",
    ],
)
async def test_nothing_but_the_files_is_served(site, path):
    app = serving()
    app.mount("static", site)
    response = await get(app, path)
    assert response.status == 404
    assert b"1234" not in response.body


async def test_what_static_files_refuse_keeps_its_status(site):
    app = serving()
    app.mount("static", site)
    response = await get(app, "/static/page.html", method="POST")
    assert (response.status, b'"status":405' in response.body) == (405, True)


async def test_routes_go_before_mounts_and_long_mounts_before_short_ones(site):
    def answering(text: str) -> Starlette:
        return Starlette(
            routes=[StarletteRoute("/{rest:path}", lambda request: PlainTextResponse(text))]
        )

    app = serving(path="a/ws")
    app.mount("", answering("root"))
    app.mount("a", answering("a"))
    app.mount("a/b", answering("a/b"))
    found = [(await get(app, path)).body for path in ("/x", "/a/x", "/a/b/x", "/a/bc")]
    assert found == [b"root", b"a", b"a/b", b"a"]
    assert (await get(app, "/a/ws")).status == 426
    assert await echoes(app, "/a/ws")


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.path_params['name']} {request.url.path}")


async def starlette_echo(ws: Any) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)


SITE = Starlette(
    routes=[
        StarletteRoute("/hello/{name}", hello),
        StarletteWebSocketRoute("/echo", starlette_echo),
    ]
)


async def test_http_routes_of_a_mounted_application_work():
    app = serving()
    app.mount("site", SITE)
    response = await get(app, "/site/hello/ada")
    assert (response.status, response.body) == (200, b"ada /site/hello/ada")
    assert (await get(app, "/site/nope")).status == 404


async def test_websocket_routes_of_a_mounted_application_work():
    app = serving()
    app.mount("site", SITE)
    assert await echoes(app, "/site/echo")


async def test_a_mounted_application_may_be_another_one_of_ours():
    async def room(ws: WebSocket, name: str) -> None:
        await ws.accept()
        await ws.send(f"{name} {ws.url.path}")

    outer = serving()
    outer.mount("inner", serving(room, "rooms/{name}"))
    async with connect(outer, "/inner/rooms/kitchen") as client:
        assert await client.receive() == "kitchen /inner/rooms/kitchen"


async def test_parameters_of_a_mount_reach_the_mounted_application():
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        text = f"{scope['path_params']} {scope['root_path']}"
        await PlainTextResponse(text)(scope, receive, send)

    app = serving()
    app.mount("tenants/{tenant}", answer)
    response = await get(app, "/tenants/acme/x")
    assert response.body == b"{'tenant': 'acme'} /tenants/acme"


async def test_an_http_exception_of_a_mounted_application_is_its_answer(caplog):
    async def app_raising(scope: Any, receive: Any, send: Any) -> None:
        raise HTTPException(418, "short and stout", {"X-Pot": "tea"})

    app = serving()
    app.mount("tea", app_raising)
    response = await get(app, "/tea/x")
    assert (response.status, response.headers[b"x-pot"]) == (418, b"tea")
    assert caplog.records == []


@pytest.mark.parametrize("detail", [{"code": 1}, [1], 7, None, "text"])
@pytest.mark.parametrize("status", [302, 401, HTTPStatus.CONFLICT])
async def test_an_http_exception_of_a_mounted_application_may_have_any_detail(
    caplog, status, detail
):
    error = HTTPException(status)
    error.detail = detail

    async def app_raising(scope: Any, receive: Any, send: Any) -> None:
        raise error

    app = serving()
    app.mount("tea", app_raising)
    response = await get(app, "/tea/x")
    assert (response.status, json.loads(response.body).get("detail")) == (status, detail)
    assert caplog.records == []


class Undecided(HTTPException):
    @property
    def status_code(self) -> int:
        raise LookupError("not known yet")

    @status_code.setter
    def status_code(self, value: int) -> None: ...


def with_status(error: HTTPException, status: Any) -> HTTPException:
    error.status_code = status
    return error


@pytest.mark.parametrize(
    "error",
    [
        HTTPException(401, object()),
        HTTPException(200, "fine"),
        with_status(HTTPException(401), "401"),
        HTTPException(401, "who?", {"x": 1}),
        HTTPException(401, "who?", {"x": "a\nb"}),
        Undecided(401),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_an_http_exception_that_can_not_be_sent_is_500_and_logged(caplog, kind, error):
    async def app_raising(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async def handler(ws: WebSocket) -> None:
        raise error

    app = serving(handler)
    app.mount("tea", app_raising)
    if kind == "http":
        assert (await get(app, "/tea/x")).status == 500
    else:
        async with open_app(app, raise_app_exceptions=False) as client:
            with pytest.raises(WebSocketDenialResponse) as caught:
                async with client.websocket_connect("/ws"):
                    pass
        assert caught.value.status_code == 500
    (record,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_an_error_of_a_mounted_application_is_500_and_logged(caplog):
    async def app_raising(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("the password is 1234")

    app = serving()
    app.mount("bad", app_raising)
    response = await get(app, "/bad/x")
    assert (response.status, b"1234" in response.body) == (500, False)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit("early")])
async def test_what_python_raises_to_end_something_is_logged_with_the_handler(error, caplog):
    route = Route("early")

    @route.get
    async def handler() -> None:
        raise error

    assert (await get(Triows(route), "/early")).status == 500
    (record,) = caplog.records
    assert record.message.startswith("unhandled error in http '/early', peer")
    assert record.message.endswith(f"handler {where(handler)}")
    assert record.exc_info[1] is error


def test_a_call_that_is_closed_with_its_loop_logs_nothing(caplog):
    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep_forever()

    app = Triows(middlewares=[lambda app: waiting])
    call = app({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)
    context = contextvars.copy_context()

    async def main() -> None:
        context.run(call.send, None)

    trio.run(main)
    context.run(call.close)
    assert caplog.records == []


async def test_an_error_in_the_middle_of_a_response_is_logged(caplog):
    async def parts() -> Any:
        yield b"begun"
        raise ValueError

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await StreamingResponse(parts())(scope, receive, send)

    app = serving()
    app.mount("bad", answer)
    response = await get(app, "/bad/x")
    assert (response.status, response.body) == (200, b"begun")
    assert len(caplog.records) == 1


async def test_an_error_of_a_mounted_websocket_closes_it_and_is_raised():
    async def bad(ws: Any) -> None:
        await ws.accept()
        raise ZeroDivisionError

    app = serving()
    app.mount("site", Starlette(routes=[StarletteWebSocketRoute("/bad", bad)]))
    with pytest.raises(ZeroDivisionError):
        async with connect(app, "/site/bad") as client:
            assert await end_of(client) == 1011


async def test_a_mounted_websocket_may_refuse_with_a_status():
    async def picky(ws: Any) -> None:
        await ws.send_denial_response(PlainTextResponse("who?", 401))

    app = serving()
    app.mount("site", Starlette(routes=[StarletteWebSocketRoute("/picky", picky)]))
    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(app, "/site/picky"):
            pass
    assert (caught.value.status_code, caught.value.text) == (401, "who?")


# Middleware


def noting(name: str, notes: list[str]) -> Any:
    """Make a middleware that only looks."""

    def middleware(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            notes.append(name)
            await app(scope, receive, send)
            notes.append(f"/{name}")

        return wrapped

    return middleware


async def test_middlewares_stand_in_order_the_first_outermost():
    notes: list[str] = []
    outer = WebSocketRoute("outer", middlewares=[noting("route 1", notes), noting("2", notes)])
    inner = outer.sub("inner")
    inner.add_middleware(noting("inner", notes))

    async def handler(ws: WebSocket) -> None:
        notes.append("handler")
        await ws.accept()

    inner.endpoint(handler)
    app = Triows(outer, middlewares=[noting("app 1", notes), noting("app 2", notes)])
    async with connect(app, "/outer/inner") as client:
        await end_of(client)
    before = ["app 1", "app 2", "route 1", "2", "inner"]
    assert notes == [*before, "handler", *(f"/{name}" for name in reversed(before))]


async def test_middlewares_of_the_application_see_http_and_404_too():
    notes: list[str] = []
    app = serving(middlewares=[noting("app", notes)])
    await get(app, "/nope")
    assert notes == ["app", "/app"]


class Tagging:
    """Wraps ``send``: it adds a header to the acceptance, and a prefix to each text."""

    def __init__(self, app: Any, tag: str) -> None:
        self.app = app
        self.tag = tag

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def tagging(event: Any) -> None:
            if event["type"] == "websocket.accept":
                event = {**event, "headers": [*event["headers"], (b"x-tag", self.tag.encode())]}
            elif event["type"] == "websocket.send":
                event = {**event, "text": f"{self.tag} {event['text']}"}
            await send(event)

        await self.app(scope, receive, tagging)


async def test_a_middleware_may_wrap_send():
    app = serving(middlewares=[Middleware(Tagging, tag="x")])
    async with connect(app, "/ws") as client:
        assert (b"x-tag", b"x") in client.extra_headers
        await client.send("hi")
        assert await client.receive() == "x hi"
        await client.close(4001)


async def test_a_close_passes_through_a_middleware_that_wraps_send():
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4000, "done")

    app = serving(handler, middlewares=[Middleware(Tagging, tag="x")])
    async with connect(app, "/ws") as client:
        assert await end_of(client) == 4000
        assert client.close_reason == "done"


async def test_a_refusal_passes_through_a_middleware_that_wraps_send():
    async def handler(ws: WebSocket) -> None:
        raise HTTPException(401, "who?")

    app = serving(handler, middlewares=[Middleware(Tagging, tag="x")])
    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(app, "/ws"):
            pass
    assert (caught.value.status_code, caught.value.json()["detail"]) == (401, "who?")


async def test_a_middleware_may_wrap_receive():
    seen = []

    def middleware(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            async def watching() -> Any:
                event = await receive()
                seen.append(event["type"])
                return event

            await app(scope, watching, send)

        return wrapped

    assert await echoes(serving(middlewares=[middleware]))
    assert seen == ["websocket.connect", "websocket.receive", "websocket.disconnect"]


async def test_a_middleware_may_refuse():
    def middleware(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.close"})

        return wrapped

    with pytest.raises(WebSocketDenialResponse, match="403"):
        async with connect(serving(middlewares=[middleware]), "/ws"):
            pass


async def test_starlettes_trusted_host_middleware_works():
    app = serving(middlewares=[Middleware(TrustedHostMiddleware, allowed_hosts=["example.org"])])
    assert await echoes(app, "ws://example.org/ws")
    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(app, "ws://evil.example/ws"):
            pass
    assert (caught.value.status_code, caught.value.text) == (400, "Invalid host header")


class Tokens(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        if name := conn.headers.get("x-user"):
            return AuthCredentials(["authenticated"]), SimpleUser(name)
        return None


async def test_starlettes_authentication_middleware_works():
    async def handler(ws: WebSocket) -> None:
        if not ws.user.is_authenticated:
            raise HTTPException(401)
        await ws.accept()
        await ws.send(ws.user.username)

    app = serving(handler, middlewares=[Middleware(AuthenticationMiddleware, backend=Tokens())])
    async with connect(app, "/ws", headers={"x-user": "ada"}) as client:
        assert await client.receive() == "ada"
    with pytest.raises(WebSocketDenialResponse, match="401"):
        async with connect(app, "/ws"):
            pass


async def test_what_a_middleware_puts_into_the_scope_is_there():
    def middleware(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            scope["session"] = {"user": "ada"}
            scope.setdefault("state", {})["tenant"] = "acme"
            await app(scope, receive, send)

        return wrapped

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send(f"{ws.session['user']} {ws.state.tenant}")

    async with connect(serving(handler, middlewares=[middleware]), "/ws") as client:
        assert await client.receive() == "ada acme"


async def test_an_error_of_a_middleware_after_the_connection_is_reported():
    def middleware(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            raise ValueError("after")

        return wrapped

    with pytest.raises(ValueError, match="after"):
        await echoes(serving(middlewares=[middleware]))


async def test_a_middleware_that_never_answers_is_reported():
    def middleware(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        return wrapped

    with pytest.raises(WebSocketStateError, match=r"nobody has answered .*test_app.py:\d+"):
        async with connect(serving(middlewares=[middleware]), "/ws"):
            pass


# Plugins


async def test_the_first_plugin_is_the_innermost():
    notes: list[str] = []

    def plugin(name: str) -> Any:
        def wrap(info: EndpointInfo) -> Any:
            async def wrapped(**arguments: Any) -> None:
                notes.append(name)
                await info.func(**arguments)

            return wrapped

        return wrap

    async def handler(ws: WebSocket) -> None:
        notes.append("handler")
        await ws.accept()

    route = WebSocketRoute("ws")
    route.endpoint(handler, plugins=[plugin("first"), plugin("second")])
    async with connect(Triows(route), "/ws") as client:
        await end_of(client)
    assert notes == ["second", "first", "handler"]


async def test_a_plugin_is_told_of_its_endpoint_once():
    told = []

    def plugin(info: EndpointInfo) -> Any:
        told.append((info.path, list(info.signature.parameters), info.app))
        return info.func

    async def handler(ws: WebSocket, room: str) -> None:
        await ws.accept()

    route = WebSocketRoute("rooms/{room}")
    route.endpoint(handler, plugins=[plugin])
    app = Triows(route)
    for _ in range(2):
        async with connect(app, "/rooms/a") as client:
            await end_of(client)
    assert told == [("/rooms/{room}", ["ws", "room"], app)]


# Overrides


async def real() -> str:
    return "real"


async def real_resource() -> AsyncResource[str]:
    yield "real resource"


def saying(mark: Any) -> Triows:
    async def handler(ws: WebSocket, value: Annotated[str, mark]) -> None:
        await ws.accept()
        await ws.send(value)

    return serving(handler)


async def said_by(app: Triows) -> str | bytes:
    async with connect(app, "/ws") as client:
        return await client.receive()


def fake_sync() -> str:
    return "fake"


async def fake_async() -> str:
    return "fake"


async def fake_resource() -> AsyncResource[str]:
    yield "fake"


async def fake_with_parameter(name: str = "fake") -> str:
    return name


FAKES = [fake_sync, fake_async, fake_resource, fake_with_parameter, lambda: "fake"]


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("factory", [real, real_resource])
@pytest.mark.parametrize("options", [{}, {"reuse": True}])
async def test_a_factory_can_be_overridden_by_one_of_any_kind(factory, fake, options):
    app = saying(use(factory, **options))
    with app.override(factory, fake):
        assert await said_by(app) == "fake"
    assert await said_by(app) != "fake"


@pytest.mark.parametrize("fake", [fake_sync, fake_async, fake_resource])
async def test_a_factory_of_the_application_can_be_overridden_before_the_start(fake):
    app = saying(use(real_resource, scope="app"))
    with app.override(real_resource, fake):
        assert await said_by(app) == "fake"
    assert await said_by(app) == "real resource"


async def test_overrides_nest():
    app = saying(use(real))
    with app.override(real, fake_sync):
        with app.override(real, lambda: "inner"):
            assert await said_by(app) == "inner"
        assert await said_by(app) == "fake"
    assert await said_by(app) == "real"


async def test_an_override_reaches_factories_that_need_the_factory():
    async def outer(value: Annotated[str, use(real)]) -> str:
        return f"outer of {value}"

    app = saying(use(outer))
    with app.override(real, fake_sync):
        assert await said_by(app) == "outer of fake"


async def test_an_override_ends_with_an_error_in_its_block():
    app = saying(use(real))
    with pytest.raises(ZeroDivisionError), app.override(real, fake_sync):
        raise ZeroDivisionError
    assert await said_by(app) == "real"


async def test_a_connection_keeps_what_it_began_with():
    async def handler(ws: WebSocket, value: Annotated[str, use(real)]) -> None:
        await ws.accept()
        await ws.receive()
        await ws.send(value)

    app = serving(handler)
    async with opened(app):
        with app.override(real, fake_sync):
            async with connect(app, "/ws") as client:
                await wait_all_tasks_blocked()
                with app.override(real, lambda: "later"):
                    await client.send("go on")
                    assert await client.receive() == "fake"


# Budgets


def test_the_budget_of_a_drain_is_that_of_the_slowest_route():
    slow = WebSocketRoute("slow", timeouts=Timeouts(shutdown_grace=60, close=2, teardown=3))
    slow.endpoint(echo)
    fast = WebSocketRoute("fast")
    fast.endpoint(echo)
    timeouts = Timeouts(shutdown_grace=1, close=1, teardown=1)
    assert Triows(fast, timeouts=timeouts).drain_budget == 5
    assert Triows(fast, slow, timeouts=timeouts).drain_budget == 70


async def test_a_drain_never_takes_longer_than_its_budget(autojump_clock):
    async def stubborn(ws: WebSocket) -> None:
        await ws.accept()
        with trio.CancelScope(shield=True):
            await trio.sleep(1000)

    app = serving(stubborn)
    with trio.move_on_after(2000):
        async with opened(app, patience=2000), connect(app, "/ws"):
            await wait_all_tasks_blocked()
            assert not await app.drain()
            assert trio.current_time() == app.drain_budget


@pytest.mark.parametrize(("grace", "seconds"), [(1, 1), (0, 0), (100, 10)])
async def test_a_drain_may_give_handlers_less_than_their_grace(autojump_clock, grace, seconds):
    route = WebSocketRoute("ws")

    @route.endpoint
    async def busy(ws: WebSocket) -> None:
        await ws.accept()
        await trio.sleep_forever()

    inner, app = Triows(route), Triows(route)
    app.mount("/in", inner)
    async with opened(app), connect(app, "/ws"), connect(app, "/in/ws"):
        await wait_all_tasks_blocked()
        assert await app.drain(grace=grace)
        assert trio.current_time() == seconds
    assert app.drain_seconds(grace) == app.drain_budget - 10 + seconds


async def test_a_mounted_triows_is_drained_with_the_one_it_is_mounted_in(autojump_clock):
    route = WebSocketRoute("ws")

    @route.endpoint
    async def handler(ws: WebSocket):
        await ws.accept()
        async for _ in ws:
            pass

    inner, app = Triows(route), Triows()
    app.mount("/in", inner)
    async with connect(app, "/in/ws") as client:
        assert await app.drain()
        with pytest.raises(WebSocketDisconnect, match="1001"):
            await client.receive()
        with pytest.raises(WebSocketDenialResponse, match="503"):
            async with connect(app, "/in/ws"):
                pass


def _not_asgi(scope): ...


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        ("static", "call static(path, directory=...)"),
        (Starlette, "write Starlette()"),
        (_not_asgi, "called with scope, receive and send"),
    ],
)
def test_what_is_no_asgi_application_can_not_be_mounted(other, remedy):
    with pytest.raises(RouteSetupError, match=re.escape(remedy)):
        Triows().mount("/x", other)


def _app_within(depth):
    """Make an application, and return it with one that has it mounted, so many levels up."""
    inner = outer = Triows()
    for _ in range(depth):
        outer, below = Triows(), outer
        outer.mount("/below", below)
    return inner, outer


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_application_can_not_be_mounted_in_itself(depth):
    inner, outer = _app_within(depth)

    def mount():
        inner.mount("/again", outer)

    with pytest.raises(RouteSetupError, match="'/again' is this application itself") as caught:
        mount()
    line = mount.__code__.co_firstlineno + 1
    assert caught.value.where == f"{__file__}:{line} ({mount.__qualname__})"
    assert inner.mounts == ()


def test_an_application_can_be_mounted_twice():
    app, shared = Triows(), Triows()
    app.mount("/a", shared)
    app.mount("/b", shared)
    assert [one.app for one in app.mounts] == [shared, shared]


# Copies


def test_a_copy_of_a_scope_has_the_application_itself():
    app = Triows()
    assert copy.deepcopy({"app": app, "type": "http"})["app"] is app
