from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from triows import HTTPException, Triows
from triows._routing.kind import HTTP, WEBSOCKET
from triows._routing.leaf import HANDSHAKE, Match
from triows._routing.node import RouteDescription
from triows._routing.options import RouteOptions
from triows._routing.route import Route
from triows._routing.router import Router
from triows._routing.template import Template
from triows._routing.websocket_route import WebSocketRoute
from triows._settings import Limits, Timeouts
from triows._where import where
from triows.exceptions import RouteConflictError, RouteSetupError

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")


class NotFound(HTTPException): ...


class Gone(HTTPException): ...


async def handler() -> None: ...
async def other() -> None: ...
def sync() -> None: ...
async def parts() -> AsyncIterator[bytes]:
    yield b""


class Handler:
    async def __call__(self) -> None: ...
    async def method(self) -> None: ...


class SyncHandler:
    def __call__(self) -> None: ...


class Parts:
    async def __call__(self) -> AsyncIterator[bytes]:
        yield b""


# Factories and others for tests that only compare them.
def dep_1() -> None: ...
def dep_2() -> None: ...
def middleware(app: Any) -> Any: ...
def plugin(endpoint: Any) -> Any: ...


def only(route: Route | WebSocketRoute) -> RouteDescription:
    (description,) = route.walk()
    return description


def asked(route: Route | WebSocketRoute) -> list[tuple[str, str | None]]:
    return [(one.template.path, one.method) for one in route.walk()]


# Decorators


@pytest.mark.parametrize("method", METHODS)
def test_a_decorator_registers_for_its_method_and_returns_the_function(method: str) -> None:
    route = Route("a")
    assert getattr(route, method.lower())(handler) is handler
    assert only(route) == RouteDescription(
        template=Template.parse("/a"),
        kind=HTTP,
        method=method,
        handler=handler,
        where=where(handler),
        name="handler",
        is_named=False,
        options=RouteOptions(),
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_decorator_takes_the_settings_of_the_handler(method: str) -> None:
    route = Route("a")
    decorator = getattr(route, method.lower())(
        name="named", status=201, problems=[Gone], plugins=[plugin], deps=[dep_1], etag=True
    )
    assert decorator(handler) is handler
    described = only(route)
    assert (described.name, described.is_named) == ("named", True)
    assert described.options == RouteOptions(
        status=201, problems=(Gone,), plugins=(plugin,), deps=((dep_1,),), etag=True
    )


def test_a_decorator_takes_the_function_and_settings_together() -> None:
    route = Route()
    assert route.get(handler, status=202) is handler
    assert route.post()(handler) is handler
    assert [one.options.status for one in route.walk()] == [202, None]


@pytest.mark.parametrize("method", METHODS)
def test_a_decorator_is_called_what_it_is(method: str) -> None:
    decorator = getattr(Route, method.lower())
    assert decorator.__qualname__ == f"Route.{method.lower()}"
    assert f"for {method}." in decorator.__doc__


def test_one_function_may_have_several_decorators() -> None:
    route = Route("a")

    @route.get
    @route.post(status=201)
    async def both() -> None: ...

    assert [(one.method, one.options.status) for one in route.walk()] == [
        ("POST", 201),
        ("GET", None),
    ]


def test_several_methods_may_have_one_handler() -> None:
    route = Route("a")
    assert route.add_endpoint("PUT", "PATCH", "PUT", func=handler, etag=True) is handler
    assert [(one.method, one.options.etag) for one in route.walk()] == [
        ("PUT", True),
        ("PATCH", True),
    ]


def test_a_method_without_a_decorator_may_have_a_handler() -> None:
    route = Route("a")
    route.add_endpoint("PROPFIND", "M-SEARCH", func=handler)
    assert asked(route) == [("/a", "PROPFIND"), ("/a", "M-SEARCH")]


@pytest.mark.parametrize(
    ("methods", "problem"),
    [
        ((), r"takes at least one method, as in add_endpoint\('GET', func=handler\)"),
        (("get",), "'get' isn't a method of HTTP: write 'GET'"),
        (("GET POST",), "'GET POST' isn't a method of HTTP$"),
        (("",), "'' isn't a method of HTTP$"),
        ((["GET", "POST"],), r"one after the other, as in add_endpoint\('GET', 'POST', func="),
        (("GET", "CONNECT"), "CONNECT asks a proxy for a host and has no path"),
    ],
)
def test_what_is_not_the_method_of_a_path_is_refused(methods: Any, problem: str) -> None:
    route = Route("a")
    with pytest.raises(RouteSetupError, match=problem):
        route.add_endpoint(*methods, func=handler)
    assert asked(route) == []


@pytest.mark.parametrize("options", [{}, {"plugins": []}])
@pytest.mark.parametrize(
    "func",
    [
        handler,
        sync,
        parts,
        functools.partial(handler),
        Handler(),
        Handler().method,
        SyncHandler(),
        Parts(),
    ],
)
def test_functions_of_three_forms_are_handlers(func: Any, options: Any) -> None:
    route = Route()
    assert (route.get(**options)(func) if options else route.get(func)) is func


def generator() -> Iterator[bytes]:
    yield b""


@functools.wraps(handler)
def wrapped() -> Any: ...


@asynccontextmanager
async def manager() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("func", "problem"),
    [
        (generator, "generator is a sync generator, .* write `async def`"),
        (functools.partial(generator), "generator is a sync generator"),
        (Handler, "Handler is a class: decorate a function, or give an instance"),
        (lambda: None, "a lambda can't say what it takes"),
        (wrapped, "a decorator wrapped handler in a sync function, which would run in a thread"),
        (manager, "a decorator wrapped manager in a sync function"),
        ("users", "'users' isn't a handler: .*Write `route = Route\\('users'\\)`"),
        (None.__class__, "NoneType is a class"),
        (5, "5 isn't a handler: give a function"),
    ],
)
def test_what_can_not_answer_is_refused_at_once_with_its_place(func: Any, problem: str) -> None:
    route = Route()
    with pytest.raises(RouteSetupError, match=problem) as caught:
        route.post()(func)
    assert caught.value.where == (where(func) if callable(func) else None)
    assert asked(route) == []


def test_a_second_handler_of_a_method_is_refused_and_both_are_named() -> None:
    route = Route("a")
    route.get(handler)
    with pytest.raises(RouteSetupError, match="'/a' has a handler for GET already") as caught:
        route.add_endpoint("POST", "GET", func=other)
    assert where(handler) in caught.value.message
    assert caught.value.where == where(other)
    assert asked(route) == [("/a", "GET")]


# Settings


def test_a_route_has_settings_for_what_is_below_it() -> None:
    users = Route(
        "users",
        deps=[dep_1],
        middlewares=[middleware],
        timeouts=Timeouts(send=1),
        limits=Limits(inbox=1),
        problems=[NotFound],
        etag=True,
    )
    (users / "{id}").get(handler, problems=[Gone], deps=[dep_2], etag=False)
    assert only(users).options == RouteOptions(
        deps=((dep_1,), (dep_2,)),
        middlewares=(middleware,),
        timeouts=Timeouts(send=1),
        limits=Limits(inbox=1),
        problems=(NotFound, Gone),
        etag=False,
    )


@pytest.mark.parametrize("name", ["deps", "middlewares", "problems"])
def test_one_thing_where_several_are_taken_is_refused(name: str) -> None:
    with pytest.raises(RouteSetupError, match=rf"{name} takes a list: write {name}=\["):
        Route(**{name: NotFound})  # type: ignore[arg-type]


# The tree


def test_routes_are_below_one_another() -> None:
    users = Route("users/{id}")
    photo = users / "photo"
    assert (type(photo), photo.path, users.sub("photo")) == (Route, "/users/{id}/photo", photo)
    assert users.subroutes == (photo,)
    photo.get(handler)
    users.get(handler)
    assert asked(users) == [("/users/{id}", "GET"), ("/users/{id}/photo", "GET")]
    assert repr(photo) == f"<Route '/users/{{id}}/photo' {where(handler)}>"


def test_a_subclass_of_a_user_has_plain_routes_below_it() -> None:
    class Users(Route):
        def __init__(self) -> None:
            super().__init__("users")

    users = Users()
    assert type(users / "me") is Route
    assert users.subroutes == (users / "me",)
    assert repr(users) == "<Users '/users'>"


def test_merged_routes_are_below_without_the_prefix() -> None:
    top, merged = Route("v2", deps=[dep_1]), Route("v1/users")
    merged.get(handler, deps=[dep_2])
    (merged / "{id}").delete(other)
    top.merge(merged, parent_prefix="v1")
    assert asked(top) == [("/v2/users", "GET"), ("/v2/users/{id}", "DELETE")]
    assert [one.options.deps for one in top.walk()] == [((dep_1,), (dep_2,)), ((dep_1,),)]


def test_routes_of_both_kinds_may_be_merged_and_share_what_is_above() -> None:
    live, users = WebSocketRoute("{id}"), Route("{id}")
    live.endpoint(handler)
    users.get(other)
    for top in (Route("users", deps=[dep_1]), WebSocketRoute("users", deps=[dep_1])):
        top.merge(live, users)
        assert asked(top) == [("/users/{id}", HANDSHAKE), ("/users/{id}", "GET")]
        assert [one.kind for one in top.walk()] == [WEBSOCKET, HTTP]
        assert [one.options.deps for one in top.walk()] == [((dep_1,),), ((dep_1,),)]


def test_what_is_not_a_route_can_not_be_merged() -> None:
    with pytest.raises(RouteSetupError, match=r"it is a handler, so write `route = Route\(path\)`"):
        Route().merge(handler)  # type: ignore[arg-type]


def test_a_route_without_a_handler_can_not_be_included() -> None:
    with pytest.raises(RouteSetupError, match=r"decorate a function with @route\.get"):
        Triows(Route("a"))


def test_a_frozen_route_takes_no_more() -> None:
    route = Route("a")
    route.get(handler)
    route.freeze()
    with pytest.raises(RouteSetupError, match="register everything before including"):
        route.put(handler)


# Found by path and by name


def routed(*routes: Route | WebSocketRoute) -> Router[Any]:
    router: Router[Any] = Router()
    for route in routes:
        router.add((one, one) for one in route.walk())
    return router


def test_a_path_may_have_two_routes_one_of_each_kind() -> None:
    live, users = WebSocketRoute("rooms/{id}"), Route("rooms/{room_id:str}")
    live.endpoint(handler)
    users.get(other)
    router = routed(live, users)
    for method, func, key in ((HANDSHAKE, handler, "id"), ("GET", other, "room_id")):
        match = router.match(("rooms", "7"), method)
        assert isinstance(match, Match)
        assert (match.value.handler, match.params) == (func, {key: "7"})
    assert router.path_for("handler", {"id": 7}).protocol == "websocket"
    assert router.path_for("other", {"room_id": 7}).protocol == "http"


def test_two_routes_of_one_path_may_have_different_methods() -> None:
    one, two = Route("a"), Route("a")
    one.get(handler)
    two.put(other)
    router = routed(one, two)
    assert {m: router.match(("a",), m).value.handler for m in ("GET", "PUT")} == {  # type: ignore[union-attr]
        "GET": handler,
        "PUT": other,
    }


def test_two_handlers_of_one_path_and_method_are_a_conflict() -> None:
    one, two = Route("{a}"), Route("{b}")
    one.get(handler)
    two.get(other)
    with pytest.raises(RouteConflictError, match=r"GET '/\{b\}' matches the same paths as"):
        routed(one, two)


def test_all_methods_of_a_path_may_have_one_name() -> None:
    users = Route("users/{id}")
    users.get(name="user")(handler)
    users.head(name="user")(other)
    users.add_endpoint("PUT", "PATCH", func=handler)
    router = routed(users)
    assert router.path_for("user", {"id": 7}) == "/users/7"
    assert router.path_for("handler", {"id": 7}) == "/users/7"


@pytest.mark.parametrize("other_route", [Route("b"), Route("{id}"), WebSocketRoute("a")])
def test_a_name_for_two_addresses_is_a_conflict(other_route: Any) -> None:
    one = Route("a")
    one.get(name="it")(handler)
    if isinstance(other_route, Route):
        other_route.get(name="it")(other)
    else:
        other_route.endpoint(name="it")(other)
    with pytest.raises(RouteConflictError, match="is called 'it', and so is '/a'"):
        routed(one, other_route)
