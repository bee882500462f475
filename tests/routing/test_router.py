from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.routing import NoMatchFound

from tests.routing.registrars import CALL
from triows._routing.kind import WEBSOCKET
from triows._routing.leaf import HANDSHAKE, Match, Method, Mismatch
from triows._routing.node import RouteDescription
from triows._routing.options import RouteOptions
from triows._routing.path import request_method, request_segments
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


# What is remembered


def asked(path: str, method: Method = HANDSHAKE, **more: Any) -> dict[str, Any]:
    kind = {"type": "websocket"} if method is HANDSHAKE else {"type": "http", "method": method}
    return {**kind, "path": path, "raw_path": path.encode(), **more}


SEGMENTS = st.sampled_from(["a", "b", "{x}", "{y:int}", "{z:path}", "a{x}", "1", ""])
TEMPLATES = st.lists(SEGMENTS, max_size=3).map(lambda parts: "/" + "/".join(parts))
PATHS = st.lists(st.sampled_from(["a", "b", "1", "ab", "", "%61", "%2F"]), max_size=4)
METHODS = st.sampled_from([HANDSHAKE, "GET", "POST", "HEAD", "OPTIONS"])


def any_router(templates: list[tuple[str, Method]], mounts: list[str]) -> Router[Any]:
    """Make a router of those templates that can be registered together."""
    router: Router[Any] = Router()
    for number, (template, method) in enumerate(templates):
        with suppress(RouteSetupError):
            router.add([named(f"r{number}", template, method)])
    for mounted in mounts:
        with suppress(RouteSetupError):
            router.mount(Template.parse(mounted), mounted)
    return router


@given(data=st.data())
def test_what_was_asked_for_before_changes_nothing(data: st.DataObject) -> None:
    router = any_router(
        data.draw(st.lists(st.tuples(TEMPLATES, METHODS), max_size=4)),
        data.draw(st.lists(TEMPLATES, max_size=2)),
    )
    for _ in range(data.draw(st.integers(1, 6))):
        raw = "/" + "/".join(data.draw(PATHS))
        scope = asked(unquote(raw), data.draw(METHODS), raw_path=raw.encode())
        if data.draw(st.booleans()):
            scope["root_path"] = data.draw(st.sampled_from(["", "/", "/a"]))
        segments = request_segments(scope)
        assert router.find(scope) == (router.match(segments, request_method(scope)), segments)


def test_a_path_is_searched_again_if_its_raw_path_is_another_one() -> None:
    router = routed(named("two", "/a/b", "GET"), named("one", "/{x}", "GET"))
    assert router.find(asked("/a/b", "GET"))[0].value == "two"
    assert router.find(asked("/a/b", "GET", raw_path=b"/a%2Fb"))[0].value == "one"


def test_a_converter_is_asked_each_time() -> None:
    known: set[str] = set()

    class Known(Convertor[str]):
        regex = "[a-z]+"

        def convert(self, value: str) -> str:
            if value not in known:
                raise ValueError
            return value

        def to_string(self, value: str) -> str:
            return value

    register_url_convertor("known", Known())
    try:
        router = routed(named("user", "/{name:known}", "GET"))
    finally:
        del CONVERTOR_TYPES["known"]
    router.mount(Template.parse("/"), "rest")
    assert router.find(asked("/ann", "GET"))[0].value == "rest"
    known.add("ann")
    assert router.find(asked("/ann", "GET"))[0].value == "user"


def test_a_route_that_is_added_later_is_found() -> None:
    router: Router[Any] = Router()
    router.mount(Template.parse("/"), "outer")
    assert router.find(asked("/a/b", "GET"))[0].value == "outer"
    router.mount(Template.parse("/a"), "inner")
    assert router.find(asked("/a/b", "GET"))[0].value == "inner"
    router.add([named("route", "/a/b", "GET")])
    assert router.find(asked("/a/b", "GET"))[0].value == "route"


def test_head_is_found_as_get_until_it_has_a_route() -> None:
    router = routed(named("get", "/a", "GET"))
    for _ in range(2):
        assert router.find(asked("/a", "HEAD"))[0].value == "get"
    router.add([named("head", "/a", "HEAD")])
    assert router.find(asked("/a", "HEAD"))[0].value == "head"
    assert router.find(asked("/a", "GET"))[0].value == "get"


def test_what_a_path_does_not_have_is_not_remembered() -> None:
    router = routed(named("get", "/a", "GET"), named("live", "/b"))
    for method in ("OPTIONS", "POST", "PROPFIND", HANDSHAKE):
        assert isinstance(router.find(asked("/a", method))[0], Mismatch)
    assert isinstance(router.find(asked("/b", "GET"))[0], Mismatch)
    assert router._known == {}


def test_only_a_bounded_number_of_paths_is_remembered() -> None:
    router: Router[Any] = Router()
    router.mount(Template.parse("/"), "rest")
    for number in range(2000):
        router.find(asked(f"/{number % 500}", f"GET{number % 3}"))
    router.find(asked("/" + "a" * 10_000, "GET"))
    assert len(router._known) <= 256
    assert max(len(path) for path, _ in router._known) <= 256


def test_a_long_method_is_not_remembered() -> None:
    router: Router[Any] = Router()
    router.mount(Template.parse("/"), "rest")
    assert router.find(asked("/a", "A" * 10_000))[0].value == "rest"
    assert router._known == {}


def test_a_raw_path_of_another_type_is_read_again() -> None:
    router = routed(named("two", "/a/b", "GET"))
    scope = asked("/a/b", "GET")
    for raw in (b"/a/b", bytearray(b"/a/b"), None):
        scope["raw_path"] = raw
        assert router.find(scope)[0].value == "two"
    assert type(next(iter(router._known.values()))[0]) is type(None)
