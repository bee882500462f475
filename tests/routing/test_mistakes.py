from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from triows import Route, Triows, WebSocketRoute
from triows._routing.mistakes import check_routes
from triows._routing.registrar import Registrar
from triows._where import where
from triows.exceptions import RouteSetupError


async def handler() -> None: ...
def plain() -> None: ...
async def parts() -> AsyncIterator[int]:
    yield 5


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


class Mine(WebSocketRoute): ...


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (WebSocketRoute, "make one, `route = WebSocketRoute(path)`"),
        (Mine, "make one, `route = Mine(path)`"),
        ("rooms", "write `route = Route('rooms')`, or `route = WebSocketRoute('rooms')` for"),
        ([WebSocketRoute()], "write add(route, ...), or add(*routes)"),
        (Route, "make one, `route = Route(path)`"),
        (handler, "put `@route.get` or `@route.endpoint` above"),
        (plain, "put `@route.get` or `@route.endpoint` above"),
        (parts, "put `@route.get` or `@route.endpoint` above"),
        (min, "put `@route.get` or `@route.endpoint` above"),
        (asgi, "give other applications to app.mount()"),
        (Triows(), "give other applications to app.mount()"),
    ],
)
def test_what_is_not_a_route_is_refused_with_what_to_write(given: Any, remedy: str) -> None:
    with pytest.raises(RouteSetupError) as caught:
        check_routes([WebSocketRoute(), given], Registrar, "add")
    assert "isn't a route" in caught.value.message
    assert remedy in caught.value.message


def test_a_handler_in_place_of_its_route_is_named_with_its_place() -> None:
    with pytest.raises(RouteSetupError) as caught:
        check_routes([handler], Registrar, "add")
    assert caught.value.where == where(handler)


def test_a_coroutine_in_place_of_a_route_is_closed() -> None:
    with pytest.raises(RouteSetupError, match="without calling the handler"):
        check_routes([handler()], Registrar, "add")


def test_routes_are_routes() -> None:
    check_routes([WebSocketRoute(), Mine(), Route()], Registrar, "add")
