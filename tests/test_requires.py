"""`@requires`: who may reach a handler. This is decided before anything is made for it."""

import contextlib
import contextvars
import functools
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import trio
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    SimpleUser,
    requires as starlettes_requires,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.websockets import WebSocket as StarletteWebSocket

from tests.connecting import connect
from triows import (
    EndpointInfo,
    Param,
    Route,
    RouteSetupError,
    Triows,
    WebSocket,
    WebSocketRoute,
    requires,
    use,
)
from triows._requires import note_checked, requirements_of
from triows._routing.handlers import is_async_generator, is_handler
from triows.testing import WebSocketDenialResponse, open_app

pytestmark = pytest.mark.usefixtures("autojump_clock")


class ByHeader(AuthenticationBackend):
    """Believes what a peer says about its scopes."""

    async def authenticate(self, conn):
        if "scopes" not in conn.headers:
            return None
        return AuthCredentials(conn.headers["scopes"].split()), SimpleUser("ada")


AUTHENTICATED = [Middleware(AuthenticationMiddleware, backend=ByHeader())]


def serving(handler, *, middlewares=AUTHENTICATED, **options):
    route = WebSocketRoute("{room}")
    route.endpoint(handler, **options)
    return Triows(route, middlewares=middlewares)


async def reached(app, scopes=None, url="/5") -> int:
    """Return 101 if a peer with some scopes reaches the handler, or else the status."""
    headers = {} if scopes is None else {"scopes": scopes}
    try:
        async with connect(app, url, headers=headers) as ws:
            await ws.expect_close(1000)
    except WebSocketDenialResponse as denied:
        response = denied
    else:
        return 101
    assert response.headers["content-type"] == "application/problem+json"
    assert "admin" not in response.text
    return response.status_code


@requires("admin")
async def console(ws: WebSocket, room: int, size: int = 1) -> None:
    assert (room, size) == (5, 1)
    assert ws.user.display_name == "ada"
    await ws.accept()


async def test_a_peer_with_the_scope_reaches_the_handler_and_no_other():
    app = serving(console)
    assert await reached(app, "reader admin") == 101
    for scopes in (None, "", "reader", "administrator", "ADMIN", "adm in"):
        assert await reached(app, scopes) == 403


async def test_all_scopes_are_needed_and_each_decorator_has_its_status():
    @requires(["a", "b"], status_code=404)
    @requires("c", 401)
    async def handler(ws: WebSocket, room: str) -> None:
        await ws.accept()

    app = serving(handler)
    statuses = {
        scopes: await reached(app, scopes) for scopes in ("a b c", "a b", "a c", "b c", "c")
    }
    assert statuses == {"a b c": 101, "a b": 401, "a c": 404, "b c": 404, "c": 404}


async def test_nothing_is_made_and_no_parameter_read_for_a_peer_that_is_refused():
    made = []

    async def accepting(ws: WebSocket):
        made.append("resource")
        await ws.accept()
        yield ws

    @requires("admin")
    async def handler(
        ws: Annotated[WebSocket, use(accepting)], room: int, page: Annotated[int, Param("query")]
    ) -> None: ...

    app = serving(handler)
    assert await reached(app, "reader", "/not-a-number?page=x") == 403
    assert made == []
    assert await reached(app, "admin", "/not-a-number?page=x") == 422
    assert await reached(app, "admin", "/5?page=1") == 101
    assert made == ["resource"]


async def test_a_refusal_is_one_line_in_the_log(caplog):
    caplog.set_level(logging.INFO, logger="triows")
    await reached(serving(console), "reader")
    (record,) = [one for one in caplog.records if one.name == "triows"]
    assert record.getMessage().endswith(
        "/{room} refused 403 (it lacks a scope that @requires asks for)"
    )


@pytest.mark.parametrize("middlewares", [[], [lambda app: app]])
async def test_without_the_middleware_everybody_is_refused_with_500_and_it_is_told(middlewares):
    with pytest.raises(RouteSetupError, match=r"Middleware\(AuthenticationMiddleware, backend="):
        await reached(serving(console, middlewares=middlewares), "admin")
    app = serving(console, middlewares=middlewares)
    async with open_app(app, raise_app_exceptions=False) as client:
        with pytest.raises(WebSocketDenialResponse) as denied:
            async with client.websocket_connect("/5", headers={"scopes": "admin"}):
                pass
    assert (denied.value.status_code, "Middleware" in denied.value.text) == (500, False)


async def test_what_a_middleware_of_another_kind_leaves_is_not_trusted():
    def careless(app):
        async def middleware(scope, receive, send):
            scope["auth"] = "admin"
            await app(scope, receive, send)

        return middleware

    with pytest.raises(AttributeError, match="scopes"):
        await reached(serving(console, middlewares=[careless]))


async def test_the_middleware_may_be_the_routes_or_that_of_the_application_around():
    route = WebSocketRoute("{room}", middlewares=AUTHENTICATED)
    route.endpoint(console)
    outer = Triows(middlewares=AUTHENTICATED)
    outer.mount("/inner", serving(console, middlewares=[]))
    for app, url in ((Triows(route), "/5"), (outer, "/inner/5")):
        assert await reached(app, "admin", url) == 101
        assert await reached(app, "reader", url) == 403


class Desk:
    @requires("admin")
    async def method(self, ws: WebSocket, room: int) -> None:
        await ws.accept()

    @requires("admin")
    async def __call__(self, ws: WebSocket, room: int) -> None:
        await ws.accept()


def logged(func):
    @functools.wraps(func)
    async def wrapper(*args, **kwargs):
        await func(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    "handler", [Desk().method, Desk(), functools.partial(console, size=1), logged(console)]
)
async def test_methods_partials_and_decorated_handlers_are_guarded_too(handler):
    app = serving(handler)
    assert await reached(app, "admin") == 101
    assert await reached(app, "reader") == 403


async def test_it_guards_before_plugins():
    def plugin(info: EndpointInfo):
        async def wrapper(**kwargs):
            calls.append(info.path)
            await info.func(**kwargs)

        return wrapper

    calls = []
    app = serving(console, plugins=[plugin])
    assert [await reached(app, scopes) for scopes in ("reader", "admin")] == [403, 101]
    assert calls == ["/{room}"]


async def test_a_merged_route_is_guarded():
    route, parent = WebSocketRoute("{room}"), WebSocketRoute("all")
    route.endpoint(console)
    parent.merge(route)
    app = Triows(parent, middlewares=AUTHENTICATED)
    assert [await reached(app, one, "/all/5") for one in ("reader", "admin")] == [403, 101]


async def test_where_the_mark_is_lost_nobody_gets_in():
    def careless(func):
        async def wrapper(ws: WebSocket, room: int) -> None:
            await func(ws, room)

        return wrapper

    with pytest.raises(RouteSetupError, match="the scopes that it requires were not checked"):
        await reached(serving(careless(console)), "admin")


async def test_a_guarded_handler_that_another_one_calls_lets_nobody_in():
    @requires("reader")
    async def handler(ws: WebSocket, room: int) -> None:
        await console(ws, room)

    with pytest.raises(RouteSetupError, match="console was called"):
        await reached(serving(handler), "reader admin")


# The handlers of plain requests


@requires("admin")
def sync(number: int) -> int:
    return number + 1


@requires("admin")
async def parts(number: int) -> AsyncIterator[int]:
    try:
        for one in range(number):
            yield one
    finally:
        closed.append(number)


closed: list[int] = []


class SyncDesk:
    @requires("admin")
    def method(self, number: int) -> int:
        return number + 1


def checked(func: Any) -> Any:
    """Note what an endpoint notes when it has checked the client."""
    note_checked(requirements_of(func))
    return func


@pytest.mark.parametrize("func", [sync, SyncDesk().method, functools.partial(sync)])
def test_a_sync_handler_is_guarded_and_stays_sync(func):
    assert not is_handler(func)
    with pytest.raises(RouteSetupError, match="the scopes that it requires were not checked"):
        contextvars.copy_context().run(func, 5)
    assert contextvars.copy_context().run(lambda: checked(func)(5)) == 6


async def test_a_sync_handler_in_a_thread_is_reached_if_the_client_was_checked():
    checked(sync)
    assert await trio.to_thread.run_sync(sync, 5) == 6


async def test_a_handler_that_yields_is_guarded_and_closes_with_its_guard():
    assert is_async_generator(parts)
    with pytest.raises(RouteSetupError, match="parts was called"):
        await anext(parts(3))
    guarded = checked(parts)(3)
    assert [await anext(guarded), await anext(guarded)] == [0, 1]
    assert closed == []
    await guarded.aclose()
    assert closed == [3]
    assert [one async for one in parts(2)] == [0, 1]


def test_the_handlers_of_requests_may_be_registered_with_it():
    route = Route("{number}")
    for method, func in (("GET", sync), ("POST", parts), ("PUT", SyncDesk().method)):
        assert route.add_endpoint(method, func=func) is func
        assert [one.scopes for one in requirements_of(func)] == [("admin",)]


# Mistakes


def test_above_the_endpoint_it_is_refused_with_the_place():
    async def handler(ws: WebSocket) -> None: ...

    route = WebSocketRoute()
    with pytest.raises(
        RouteSetupError, match="put @requires below the route's decorator"
    ) as caught:
        requires("admin")(route.endpoint(handler))
    assert "test_requires.py" in caught.value.where


async def factory() -> int:
    return 1


def generator():
    yield


@contextlib.asynccontextmanager
async def manager():
    yield


@pytest.mark.parametrize(
    "decorated",
    [generator, manager, lambda: None, Desk, WebSocketRoute(), None, EndpointInfo, 5],
    ids=lambda it: type(it).__name__,
)
def test_it_decorates_handlers_only(decorated):
    with pytest.raises(RouteSetupError, match="decorates a handler, an `async def` or a `def`"):
        requires("admin")(decorated)


@pytest.mark.parametrize("guard", [requires("admin"), requires("admin")(factory)])
def test_a_factory_that_it_guards_is_refused(guard):
    with pytest.raises(RouteSetupError, match="guards handlers, not factories"):
        use(guard)


def test_so_it_is_as_a_provider():
    @requires("admin")
    async def make_desk() -> Desk:
        return Desk()

    async def handler(ws: WebSocket, room: int, desk: Desk) -> None: ...

    with pytest.raises(RouteSetupError, match="guards handlers, not factories"):
        serving(handler, deps=[make_desk])


async def plain(ws: WebSocket, room: int) -> None: ...


@pytest.mark.parametrize("option", ["deps", "plugins"])
def test_in_a_list_it_is_refused(option):
    with pytest.raises(RouteSetupError, match=f"can't be used in {option}="):
        serving(plain, **{option: [requires("admin")]})
    with pytest.raises(RouteSetupError, match="can't be used in deps="):
        Triows(deps=[requires("admin")])
    with pytest.raises(RouteSetupError, match="can't be used in middlewares="):
        WebSocketRoute("", middlewares=[requires("admin")])


@pytest.mark.parametrize("scopes", ["", [], (), [""], ["admin", 5], [None], 5, None, b"admin", {}])
def test_scopes_are_names(scopes):
    with pytest.raises(RouteSetupError, match="takes at least one scope"):
        requires(scopes)


def test_without_parentheses_it_says_so():
    with pytest.raises(RouteSetupError, match="with parentheses") as caught:
        requires(plain)
    assert "test_requires.py" in caught.value.where


@pytest.mark.parametrize("status", [200, 101, 303, 399, 500, 600, True, "403", 403.0, None])
def test_a_status_is_a_refusal(status):
    with pytest.raises(RouteSetupError, match="from 400 to 499"):
        requires("admin", status)


def test_it_does_not_redirect():
    with pytest.raises(RouteSetupError, match="leave out redirect="):
        requires("admin", redirect="login")


async def guarded_by_starlette(websocket: StarletteWebSocket) -> None: ...


@pytest.mark.parametrize("wrap", [lambda func: func, logged, functools.partial, requires("b")])
def test_starlettes_own_is_refused_with_the_remedy(wrap):
    with pytest.raises(RouteSetupError, match=r"write triows\.requires, which takes") as caught:
        WebSocketRoute().endpoint(wrap(starlettes_requires("admin")(guarded_by_starlette)))
    assert "(guarded_by_starlette)" in caught.value.where
