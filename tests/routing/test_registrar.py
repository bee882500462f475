"""Registrars of two kinds, which share nodes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.routing.registrars import CALL, Calls
from triows._routing.kind import WEBSOCKET
from triows._routing.leaf import HANDSHAKE, Match, Mismatch
from triows._routing.router import Router
from triows._routing.websocket_route import WebSocketRoute
from triows._settings import Timeouts
from triows._where import where
from triows.exceptions import RouteSetupError


async def handler() -> None: ...


def read() -> None: ...
def write() -> None: ...
def guard() -> None: ...
def middleware(app: Any) -> Any: ...


def test_there_is_one_registrar_of_a_class_on_a_node() -> None:
    sockets = WebSocketRoute("a")
    calls = Calls.beside(sockets)
    assert calls is Calls.beside(sockets)
    assert WebSocketRoute._on(calls._node) is sockets
    assert calls.sub("b") is Calls.beside(sockets.sub("b"))
    assert sockets.subroutes == (sockets / "b",)


def test_a_subclass_of_a_user_has_plain_routes_below_it() -> None:
    class Rooms(WebSocketRoute):
        def __init__(self) -> None:
            super().__init__("rooms")
            self.more = True

    rooms = Rooms()
    assert type(rooms / "log") is WebSocketRoute
    assert (rooms / "log").path == "/rooms/log"
    assert repr(rooms) == "<Rooms '/rooms'>"


def test_both_kinds_share_a_path_and_its_settings() -> None:
    sockets = WebSocketRoute("a", deps=[guard], timeouts=Timeouts(send=1))
    calls = Calls.beside(sockets)
    calls.add_middleware(middleware)
    sockets.endpoint(handler)
    calls.on("GET")(read)
    calls.on("PUT", name="put")(write)
    described = list(sockets.walk())
    assert described == list(calls.walk())
    assert [(one.kind, one.method, one.handler, one.name) for one in described] == [
        (WEBSOCKET, HANDSHAKE, handler, "handler"),
        (CALL, "GET", read, "read"),
        (CALL, "PUT", write, "put"),
    ]
    (options,) = {id(one.template): one.options for one in described}.values()
    assert all(one.options == options for one in described)
    assert (options.deps, options.middlewares) == (((guard,),), (middleware,))
    assert options.timeouts == Timeouts(send=1)


def test_a_merged_route_brings_the_handlers_of_all_kinds() -> None:
    sockets = WebSocketRoute("a")
    Calls.beside(sockets).sub("b").on("GET")(read)
    (sockets / "b").endpoint(handler)
    top = WebSocketRoute("api", deps=[guard])
    top.merge(sockets)
    assert [(one.template.path, one.method) for one in top.walk()] == [
        ("/api/a/b", "GET"),
        ("/api/a/b", HANDSHAKE),
    ]
    assert all(one.options.deps == ((guard,),) for one in top.walk())


def test_freezing_counts_for_all_kinds() -> None:
    sockets = WebSocketRoute("a")
    calls = Calls.beside(sockets)
    calls.on("GET")(read)
    sockets.freeze()
    with pytest.raises(RouteSetupError, match="register everything before including"):
        calls.on("PUT")(write)
    with pytest.raises(RouteSetupError, match="register everything before including"):
        sockets.endpoint(handler)


def test_a_second_handler_of_a_method_is_refused_and_both_are_named() -> None:
    calls = Calls("a")
    calls.on("GET")(read)
    calls.on("PUT")(read)
    with pytest.raises(RouteSetupError) as caught:
        calls.on("GET")(write)
    assert caught.value.message == (
        f"'/a' has a handler for GET already, at {where(read)}: make one of the two, or give each "
        "a path of its own"
    )
    assert caught.value.where == where(write)


def test_each_kind_says_what_can_be_its_handler() -> None:
    sockets = WebSocketRoute("a")
    with pytest.raises(RouteSetupError, match="sync function is not supported for websocket"):
        sockets.endpoint(read)  # type: ignore[type-var]
    with pytest.raises(RouteSetupError, match="5 can't be called"):
        Calls.beside(sockets).on("GET")(5)
    assert list(sockets.walk()) == []


def test_each_kind_says_what_to_do_without_a_handler() -> None:
    with pytest.raises(RouteSetupError, match=r"decorate it with @calls\.on before the route is"):
        Calls("a").describe()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"name": "a:b"}, "name= takes a str without a colon"),
        ({"plugins": read}, "plugins takes a list"),
        ({"deps": read}, "deps takes a list"),
        ({"timeouts": 5}, "timeouts takes Timeouts"),
    ],
)
def test_settings_of_a_handler_are_checked_before_there_is_one(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(RouteSetupError, match=problem):
        Calls("a").on("GET", **settings)


def test_a_handler_may_have_every_setting_of_its_own() -> None:
    calls = Calls("a", timeouts=Timeouts(send=1), middlewares=[middleware])
    calls.on("GET", timeouts=Timeouts(send=2), middlewares=[middleware], deps=[guard])(read)
    (described,) = calls.walk()
    assert described.options.timeouts == Timeouts(send=2)
    assert described.options.middlewares == (middleware, middleware)
    assert [one.at for one in described.options.deps] == [where(read)]


def test_a_router_finds_the_handlers_of_both_kinds_at_one_path() -> None:
    sockets = WebSocketRoute("users/{user_id:int}")
    sockets.endpoint(handler)
    calls = Calls.beside(sockets)
    calls.on("GET")(read)
    router: Router[Any] = Router()
    router.add((one, one) for one in sockets.walk())
    for method, func in ((HANDSHAKE, handler), ("GET", read)):
        match = router.match(("users", "7"), method)
        assert isinstance(match, Match)
        assert (match.value.handler, match.params) == (func, {"user_id": 7})
    assert router.path_for("handler", {"user_id": 7}).protocol == "websocket"
    assert router.path_for("read", {"user_id": 7}).protocol == "http"
    assert router.match(("users", "7"), "PUT") == Mismatch(
        sockets.template, True, ("GET", "HEAD", "OPTIONS")
    )
