from __future__ import annotations

from typing import Any

import pytest

from triows import Triows, WebSocketRoute
from triows._routing.mistakes import check_routes
from triows._where import where
from triows.exceptions import RouteSetupError


async def handler() -> None: ...
async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


class Mine(WebSocketRoute): ...


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (WebSocketRoute, "make one, `route = WebSocketRoute(path)`"),
        (Mine, "make one, `route = Mine(path)`"),
        ("rooms", "write `route = WebSocketRoute('rooms')`"),
        ([WebSocketRoute()], "write add(route, ...), or add(*routes)"),
        (handler, "put `@route.endpoint` above"),
        (asgi, "give other applications to app.mount()"),
        (Triows(), "give other applications to app.mount()"),
    ],
)
def test_what_is_not_a_route_is_refused_with_what_to_write(given: Any, remedy: str) -> None:
    with pytest.raises(RouteSetupError) as caught:
        check_routes([WebSocketRoute(), given], WebSocketRoute, "add")
    assert "isn't a WebSocketRoute" in caught.value.message
    assert remedy in caught.value.message


def test_a_handler_in_place_of_its_route_is_named_with_its_place() -> None:
    with pytest.raises(RouteSetupError) as caught:
        check_routes([handler], WebSocketRoute, "add")
    assert caught.value.where == where(handler)


def test_a_coroutine_in_place_of_a_route_is_closed() -> None:
    with pytest.raises(RouteSetupError, match="without calling the handler"):
        check_routes([handler()], WebSocketRoute, "add")


def test_routes_are_routes() -> None:
    check_routes([WebSocketRoute(), Mine()], WebSocketRoute, "add")
