from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import NoMatchFound

from tests.routing.registrars import CALL
from triows._routing.kind import WEBSOCKET
from triows._routing.leaf import HANDSHAKE, Match, Method, Mismatch
from triows._routing.node import RouteDescription
from triows._routing.options import RouteOptions
from triows._routing.router import Router
from triows._routing.template import Template
from triows.exceptions import RouteConflictError, RouteSetupError

Routed = tuple[RouteDescription, str]


async def handler() -> None: ...


def named(name: str, template: str, method: Method = HANDSHAKE) -> Routed:
    """Make a route whose value is its name."""
    description = RouteDescription(
        template=Template.parse(template),
        kind=WEBSOCKET if method is HANDSHAKE else CALL,
        method=method,
        handler=handler,
        where="here",
        name=name,
        is_named=True,
        options=RouteOptions(),
    )
    return description, name


def routed(*routes: Routed) -> Router[Any]:
    router: Router[Any] = Router()
    router.add(routes)
    return router


def value(router: Router[Any], *segments: str, method: Method = HANDSHAKE) -> Any:
    found = router.match(segments, method)
    return found.value if isinstance(found, Match) else found


def test_a_route_is_found_by_its_path_and_by_its_name() -> None:
    router = routed(named("room", "/rooms/{room}"))
    assert value(router, "rooms", "1") == "room"
    assert router.path_for("room", {"room": 1}) == "/rooms/1"


def test_several_methods_of_one_path_have_names_of_their_own() -> None:
    router = routed(
        named("live", "/users/{id}"),
        named("read", "/users/{id}", "GET"),
        named("drop", "/users/{user_id}", "DELETE"),
    )
    assert [value(router, "users", "1", method=m) for m in (HANDSHAKE, "GET", "DELETE")] == [
        "live",
        "read",
        "drop",
    ]
    assert router.path_for("live", {"id": 1}).protocol == "websocket"
    assert router.path_for("read", {"id": 1}).protocol == "http"
    assert router.path_for("drop", {"user_id": 1}) == "/users/1"


def test_a_name_whose_path_leads_to_another_template_makes_no_path() -> None:
    router = routed(named("any", "/{name}", "GET"), named("me", "/me", "POST"))
    with pytest.raises(NoMatchFound, match=r"the path '/me', which leads to '/me'"):
        router.path_for("any", {"name": "me"})


def test_routes_are_added_from_an_iterator() -> None:
    router: Router[Any] = Router()
    router.add(named(name, f"/{name}") for name in "ab")
    assert (value(router, "a"), router.path_for("b", {})) == ("a", "/b")


@pytest.mark.parametrize(
    ("second", "problem"),
    [(named("a", "/c"), "is called 'a'"), (named("c", "/a"), "matches the same paths")],
)
def test_after_a_conflict_neither_names_nor_paths_have_changed(
    second: Routed, problem: str
) -> None:
    router = routed(named("a", "/a"))
    with pytest.raises(RouteConflictError, match=problem):
        router.add([named("new", "/new"), second])
    assert value(router, "a") == "a"
    assert (value(router, "new"), value(router, "c")) == (None, None)
    for name in ("new", "c"):
        with pytest.raises(NoMatchFound, match=f"no route is called '{name}'"):
            router.path_for(name, {})


def test_a_mount_gets_websockets_and_all_methods_below_it() -> None:
    router = routed(named("a", "/a", "GET"))
    router.mount(Template.parse("/"), "other", name="other")
    assert value(router, "b") == value(router, "b", method="GET") == "other"
    assert router.path_for("other", {"path": "/b"}) == "/b"


def test_a_route_without_the_method_is_not_passed_over_for_a_mount() -> None:
    router = routed(named("a", "/a", "GET"))
    router.mount(Template.parse("/"), "other", name="other")
    assert isinstance(value(router, "a", method="POST"), Mismatch)
    with pytest.raises(NoMatchFound, match="leads to '/a'"):
        router.path_for("other", {"path": "/a"})


@pytest.mark.parametrize(
    ("prefix", "name"), [("/one", "two"), ("/two", "one"), ("/two", "a:b"), ("/{p:path}", "two")]
)
def test_a_mount_that_is_refused_changes_nothing(prefix: str, name: str) -> None:
    router = routed()
    router.mount(Template.parse("/one"), "one", name="one")
    with pytest.raises(RouteSetupError):
        router.mount(Template.parse(prefix), "two", name=name)
    assert (value(router, "one", "x"), value(router, "two", "x")) == ("one", None)
    with pytest.raises(NoMatchFound):
        router.path_for("two", {"path": "x"})
