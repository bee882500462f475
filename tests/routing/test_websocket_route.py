from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any, assert_type

import pytest
from starlette.middleware import Middleware

from triows._routing.kind import WEBSOCKET
from triows._routing.leaf import HANDSHAKE
from triows._routing.node import RouteDescription
from triows._routing.options import RouteOptions
from triows._routing.template import Template
from triows._routing.websocket_route import WebSocketRoute
from triows._settings import Compression, Limits, Timeouts
from triows._where import where
from triows.exceptions import RouteSetupError, TemplateError


async def handler(room_id: str) -> None: ...


async def other() -> None: ...


def sync() -> None: ...


async def yields() -> AsyncIterator[None]:
    yield


class Handler:
    async def __call__(self, room_id: str) -> None: ...

    async def method(self) -> None: ...


class SyncHandler:
    def __call__(self) -> None: ...


class YieldingHandler:
    async def __call__(self) -> AsyncIterator[None]:
        yield


def wrapped_in_sync(func: Any) -> Any:
    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        return func(*args)

    return wrapper


def wrapped_in_async(func: Any) -> Any:
    @functools.wraps(func)
    async def wrapper(*args: Any) -> None:
        func(*args)

    return wrapper


# Factories for tests that only compare them.
def dep_1() -> None: ...
def dep_2() -> None: ...
def dep_3() -> None: ...
def middleware_1(app: Any) -> Any: ...
def middleware_2(app: Any) -> Any: ...
def middleware_3(app: Any) -> Any: ...
def plugin_1(endpoint: Any) -> Any: ...
def plugin_2(endpoint: Any) -> Any: ...


def only(route: WebSocketRoute) -> RouteDescription:
    (description,) = route.walk()
    return description


def paths(route: WebSocketRoute) -> list[str]:
    return [description.template.path for description in route.walk()]


# Paths


@pytest.mark.parametrize(
    ("given", "path"), [("", "/"), ("/", "/"), ("a", "/a"), ("/a/{b:int}", "/a/{b:int}")]
)
def test_a_route_has_a_path(given: str, path: str) -> None:
    assert WebSocketRoute(given).path == path
    assert WebSocketRoute(given).template == Template.parse(path)


def test_a_path_that_can_not_be_read_is_refused_at_once() -> None:
    with pytest.raises(TemplateError):
        WebSocketRoute("/a/")


def test_a_route_shows_its_path_and_handler() -> None:
    route = WebSocketRoute("a")
    assert repr(route) == "<WebSocketRoute '/a'>"
    route.endpoint(handler)
    assert repr(route) == f"<WebSocketRoute '/a' {where(handler)}>"


# Handlers


def test_endpoint_returns_the_function_unchanged() -> None:
    route = WebSocketRoute()
    assert route.endpoint(handler) is handler
    assert only(route).handler is handler


def test_endpoint_takes_options() -> None:
    route = WebSocketRoute("a")
    assert route.endpoint(plugins=[plugin_1, plugin_2], deps=[dep_1])(handler) is handler
    assert only(route) == RouteDescription(
        template=Template.parse("/a"),
        kind=WEBSOCKET,
        method=HANDSHAKE,
        handler=handler,
        where=where(handler),
        name="handler",
        is_named=False,
        options=RouteOptions(plugins=(plugin_1, plugin_2), deps=((dep_1,),)),
    )


def test_endpoint_takes_the_function_and_options_together() -> None:
    route = WebSocketRoute()
    assert route.endpoint(handler, plugins=[plugin_1]) is handler
    assert only(route).options.plugins == (plugin_1,)


def test_endpoint_with_empty_brackets_is_a_decorator_too() -> None:
    route = WebSocketRoute()
    assert route.endpoint()(handler) is handler
    assert only(route).handler is handler


def test_endpoint_keeps_the_type_of_the_function() -> None:
    assert_type(WebSocketRoute().endpoint(Handler()), Handler)
    assert_type(WebSocketRoute().endpoint(plugins=[])(Handler()), Handler)


def test_ws_handler_is_endpoint() -> None:
    assert WebSocketRoute.ws_handler is WebSocketRoute.endpoint


@pytest.mark.parametrize(
    "func",
    [
        functools.partial(handler, room_id="1"),
        functools.partial(functools.partial(handler), room_id="1"),
        Handler(),
        functools.partial(Handler(), room_id="1"),
        Handler().method,
        wrapped_in_async(sync),
        wrapped_in_async(handler),
    ],
)
def test_what_gives_a_coroutine_when_called_is_a_handler(func: Any) -> None:
    route = WebSocketRoute()
    assert route.endpoint(func) is func


@pytest.mark.parametrize(
    ("func", "problem", "remedy"),
    [
        (sync, "sync function is not supported for websocket", "trio.to_thread.run_sync"),
        (functools.partial(sync), "sync function", "write `async def`"),
        (lambda: None, "sync function", "write `async def`"),
        (SyncHandler(), "sync function", "write `async def`"),
        (functools.partial(SyncHandler()), "sync function", "write `async def`"),
        (wrapped_in_sync(handler), "sync function", "`async def` in the decorator"),
        (Handler, "sync function", "give an instance"),
        (print, "sync function", "write `async def`"),
        (yields, "an async generator is not supported", "does not yield"),
        (functools.partial(yields), "an async generator is not supported", "does not yield"),
        (YieldingHandler(), "an async generator is not supported", "does not yield"),
        ("rooms", "'rooms' isn't a handler", "Write `route = WebSocketRoute('rooms')`"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"plugins": []}])
def test_what_gives_no_coroutine_is_refused_at_once(
    func: Any, problem: str, remedy: str, options: Any
) -> None:
    route = WebSocketRoute()
    with pytest.raises(RouteSetupError) as caught:
        route.endpoint(**options)(func) if options else route.endpoint(func)
    assert problem in caught.value.message
    assert remedy in caught.value.message
    assert caught.value.where == (where(func) if callable(func) else None)
    assert list(route.walk()) == []


def test_a_second_handler_is_refused_and_both_are_named() -> None:
    route = WebSocketRoute("a")
    route.endpoint(handler)
    with pytest.raises(RouteSetupError, match="'/a' has a handler already") as caught:
        route.ws_handler(other)
    assert where(handler) in caught.value.message
    assert caught.value.where == where(other)
    assert only(route).handler is handler


@pytest.mark.parametrize("name", ["deps", "middlewares", "origins"])
@pytest.mark.parametrize("value", ["https://example.org", handler])
def test_one_thing_where_several_are_taken_is_refused(name: str, value: Any) -> None:
    with pytest.raises(RouteSetupError, match=rf"{name} takes a list: write {name}=\["):
        WebSocketRoute(**{name: value})


@pytest.mark.parametrize("name", ["deps", "plugins"])
def test_one_thing_where_an_endpoint_takes_several_is_refused(name: str) -> None:
    options: Any = {name: plugin_1}
    with pytest.raises(RouteSetupError, match=f"{name} takes a list"):
        WebSocketRoute().endpoint(**options)


# Sub-routes


def test_a_subroute_stands_below() -> None:
    route = WebSocketRoute("rooms/{room_id}")
    assert route.sub("log").path == "/rooms/{room_id}/log"
    assert (route / "log" / "{line:int}").path == "/rooms/{room_id}/log/{line:int}"


def test_the_same_path_gives_the_same_subroute() -> None:
    route = WebSocketRoute("a")
    child = route.sub("b")
    assert (route / "/b", route.sub("b")) == (child, child)
    assert route.subroutes == (child,)


def test_another_name_of_a_key_gives_another_subroute() -> None:
    route = WebSocketRoute()
    assert route.sub("{a}") is not route.sub("{b}")


@pytest.mark.parametrize("path", ["b/", "{a}", "x//y"])
def test_a_subroute_that_can_not_stand_below_is_refused(path: str) -> None:
    route = WebSocketRoute("{a}")
    with pytest.raises(TemplateError):
        route.sub(path)
    assert route.subroutes == ()


def test_nothing_stands_below_the_rest_of_a_path() -> None:
    with pytest.raises(TemplateError, match="let it be the last segment"):
        WebSocketRoute("{p:path}").sub("a")


# What is resolved


def test_walk_gives_each_handler_parents_first() -> None:
    route = WebSocketRoute("a")
    (route / "b" / "c").endpoint(handler)
    (route / "d").endpoint(handler)
    route.endpoint(handler)
    (route / "b").endpoint(handler)
    (route / "no-handler").sub("e")
    assert paths(route) == ["/a", "/a/b", "/a/b/c", "/a/d"]


def test_a_description_has_what_the_routes_above_say() -> None:
    middle = Middleware(middleware_2)
    top = WebSocketRoute(
        "a",
        deps=[dep_1],
        middlewares=[middleware_1],
        origins=["https://a"],
        timeouts=Timeouts(send=1),
    )
    child = top / "b"
    child.add_middleware(middle)
    child.add_middleware(middleware_3)
    child.endpoint(handler, deps=[dep_2])
    top.endpoint(other, deps=[dep_3])
    above, below = top.walk()
    assert (above.options.deps, above.options.middlewares) == (
        ((dep_1,), (dep_3,)),
        (middleware_1,),
    )
    assert (below.options.deps, below.options.middlewares) == (
        ((dep_1,), (dep_2,)),
        (middleware_1, middle, middleware_3),
    )
    assert (below.options.origins, below.options.timeouts) == (("https://a",), Timeouts(send=1))
    assert below.options.limits is None


def test_the_nearest_setting_counts_even_if_it_is_empty() -> None:
    top = WebSocketRoute(origins=["https://a"], limits=Limits(inbox=1))
    near = WebSocketRoute("b", origins=[], limits=Limits(inbox=2))
    near.endpoint(handler)
    top.merge(near)
    assert only(top).options.origins == ()
    assert only(top).options.limits == Limits(inbox=2)


def test_the_nearest_compression_counts_even_if_it_is_none_at_all() -> None:
    strong, weak = Compression(level=9), Compression(level=1)
    top = WebSocketRoute(compression=strong)
    for path, compression in (("same", None), ("off", False), ("weak", weak)):
        below = WebSocketRoute(path, compression=compression)
        below.endpoint(handler)
        top.merge(below)
    assert [one.options.compression for one in top.walk()] == [strong, False, weak]


def test_a_route_that_says_nothing_of_compression_leaves_it_to_the_application() -> None:
    route = WebSocketRoute("a")
    route.endpoint(handler)
    assert only(route).options.compression is None


def test_what_is_added_above_later_counts() -> None:
    top = WebSocketRoute()
    (top / "a").endpoint(handler)
    top.add_middleware(middleware_1)
    assert only(top).options.middlewares == (middleware_1,)


def test_a_subroute_alone_knows_what_is_above_it() -> None:
    top = WebSocketRoute("a", deps=[dep_1], middlewares=[middleware_1], origins=["https://a"])
    child = top / "b"
    child.endpoint(handler)
    assert only(child) == only(top)


def test_lists_that_change_afterwards_change_nothing() -> None:
    deps: list[Any] = [dep_1]
    route = WebSocketRoute(deps=deps)
    route.endpoint(handler)
    deps.append(dep_2)
    assert only(route).options.deps == ((dep_1,),)


# Merging


def test_merged_routes_stand_below() -> None:
    top, a, b = WebSocketRoute("api"), WebSocketRoute("a"), WebSocketRoute("b/{x}")
    a.endpoint(handler)
    (a / "c").endpoint(handler)
    (b / "d").endpoint(handler)
    top.merge(a, b)
    assert paths(top) == ["/api/a", "/api/a/c", "/api/b/{x}/d"]
    assert (top / "a").subroutes == top.subroutes[0].subroutes


def test_merged_routes_keep_their_settings_below_those_of_the_new_parent() -> None:
    top = WebSocketRoute(deps=[dep_1], middlewares=[middleware_1], timeouts=Timeouts(send=1))
    merged = WebSocketRoute("a", deps=[dep_2], middlewares=[middleware_2])
    merged.endpoint(handler, plugins=[plugin_1], deps=[dep_3])
    top.merge(merged)
    description = only(top)
    assert description.options.deps == ((dep_1,), (dep_2,), (dep_3,))
    assert description.options.middlewares == (middleware_1, middleware_2)
    assert description.options.plugins == (plugin_1,)
    assert description.options.timeouts == Timeouts(send=1)


def test_a_merged_subroute_brings_what_is_above_it() -> None:
    guarded = WebSocketRoute("admin", deps=[dep_1], middlewares=[middleware_1])
    (guarded / "log").endpoint(handler)
    top = WebSocketRoute()
    top.merge(guarded / "log")
    description = only(top)
    assert description.template.path == "/admin/log"
    assert description.options == RouteOptions(deps=((dep_1,),), middlewares=(middleware_1,))


def test_merging_does_not_change_the_merged_route() -> None:
    merged = WebSocketRoute("a")
    merged.sub("b").endpoint(handler)
    for top in (WebSocketRoute("x"), WebSocketRoute("y", deps=[dep_1])):
        top.merge(merged)
        (top / "a" / "b").add_middleware(middleware_1)
        (top / "a").endpoint(other)
    assert paths(merged) == ["/a/b"]
    assert only(merged).options == RouteOptions()


def test_what_the_merged_route_gets_afterwards_does_not_show() -> None:
    top, merged = WebSocketRoute(), WebSocketRoute("a")
    merged.endpoint(handler)
    top.merge(merged)
    (merged / "b").endpoint(handler)
    merged.add_middleware(middleware_1)
    assert paths(top) == ["/a"]
    assert only(top).options.middlewares == ()


def test_a_frozen_route_can_be_merged() -> None:
    top, merged = WebSocketRoute(), WebSocketRoute("a")
    merged.endpoint(handler)
    merged.freeze()
    top.merge(merged)
    (top / "a").sub("b").endpoint(handler)
    assert paths(top) == ["/a", "/a/b"]


def test_a_route_can_be_merged_below_itself() -> None:
    route = WebSocketRoute("a")
    route.endpoint(handler)
    (route / "b").endpoint(handler)
    (route / "b").merge(route)
    assert paths(route) == ["/a", "/a/b", "/a/b/a", "/a/b/a/b"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (None, ["/v2/v1/users", "/v2/v1/users/x"]),
        ("/v1", ["/v2/users", "/v2/users/x"]),
        ("v1/users", ["/v2", "/v2/x"]),
    ],
)
def test_the_parents_prefix_is_left_out(prefix: str | None, expected: list[str]) -> None:
    top, merged = WebSocketRoute("v2"), WebSocketRoute("v1/users")
    merged.endpoint(handler)
    (merged / "x").endpoint(handler)
    top.merge(merged, parent_prefix=prefix)
    assert paths(top) == expected


def test_a_prefix_that_is_none_is_refused_and_nothing_is_merged() -> None:
    top = WebSocketRoute()
    with pytest.raises(RouteSetupError, match="'/b' does not begin with parent_prefix '/a'"):
        top.merge(WebSocketRoute("a/x"), WebSocketRoute("b"), parent_prefix="a")
    assert top.subroutes == ()


def test_merged_paths_that_can_not_stand_below_are_refused_and_nothing_is_merged() -> None:
    top, merged = WebSocketRoute("{x}"), WebSocketRoute("a")
    merged.sub("{x}").endpoint(handler)
    with pytest.raises(TemplateError, match="the key 'x' twice"):
        top.merge(WebSocketRoute("fine"), merged)
    assert top.subroutes == ()


# Freezing


def test_a_tree_without_a_handler_can_not_be_included() -> None:
    route = WebSocketRoute("a")
    route.sub("b")
    with pytest.raises(RouteSetupError, match="the route '/a' has no handler"):
        route.freeze()
    route.sub("c").endpoint(handler)
    route.freeze()


@pytest.fixture
def frozen() -> WebSocketRoute:
    route = WebSocketRoute("a")
    (route / "b").endpoint(handler)
    route.freeze()
    return route


@pytest.mark.parametrize("path", ["", "b"])
def test_a_frozen_tree_takes_no_more(frozen: WebSocketRoute, path: str) -> None:
    node = frozen / path if path else frozen
    refused = pytest.raises(RouteSetupError, match="register everything before including")
    with refused as caught:
        node.endpoint(other)
    assert caught.value.where == where(other)
    with refused:
        node.endpoint(plugins=[])(other)
    with refused:
        node.sub("new")
    with refused:
        node.merge(WebSocketRoute("x"))
    with refused:
        node.add_middleware(middleware_1)
    assert paths(frozen) == ["/a/b"]


def test_a_frozen_tree_can_be_read_and_frozen_again(frozen: WebSocketRoute) -> None:
    frozen.freeze()
    assert frozen.sub("b") is frozen / "b"
    assert only(frozen).template.path == "/a/b"


def test_a_middleware_above_a_frozen_subroute_is_refused() -> None:
    top = WebSocketRoute("a")
    (top / "b").endpoint(handler)
    (top / "b").freeze()
    with pytest.raises(RouteSetupError, match="can't be added to '/a/b'"):
        top.add_middleware(middleware_1)
    (top / "c").endpoint(handler)
    assert paths(top) == ["/a/b", "/a/c"]
