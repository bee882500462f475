"""`url_path_for`: from the name of a route to a path that leads to it."""

import enum
import functools
import re
import uuid
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, NoMatchFound, Route
from starlette.staticfiles import StaticFiles

from triows import (
    RouteConflictError,
    RouteSetupError,
    Triows,
    WebSocket,
    WebSocketRoute,
)
from triows.testing import open_app


async def handler(ws: WebSocket) -> None: ...


def routed(**templates):
    """An application with a route for each name."""
    app = Triows()
    for name, template in templates.items():
        route = WebSocketRoute(template)
        route.endpoint(taking(route.template.keys), name=name)
        app.include_routes(route)
    return app


def taking(keys):
    """A handler that takes all keys of a template."""
    names = {}
    parameters = "".join(f", {key}: str" for key in keys)
    exec(f"async def room(ws: WebSocket{parameters}) -> None: ...", {"WebSocket": WebSocket}, names)
    return names["room"]


def test_a_route_has_the_name_of_its_handler():
    route = WebSocketRoute("rooms/{room}")

    @route.endpoint
    async def chat(ws: WebSocket, room: int) -> None: ...

    app = Triows(route)
    path = app.url_path_for("chat", room=5)
    assert (path, path.protocol) == ("/rooms/5", "websocket")
    assert [info.name for info in app.routes] == ["chat"]


class Callable_:  # noqa: N801
    async def __call__(self, ws: WebSocket) -> None: ...

    async def method(self, ws: WebSocket) -> None: ...


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (functools.partial(handler), "handler"),
        (Callable_(), "Callable_"),
        (Callable_().method, "method"),
    ],
)
def test_so_has_one_of_another_kind(func, name):
    route = WebSocketRoute("here")
    route.endpoint(func)
    assert Triows(route).url_path_for(name) == "/here"


def test_another_name_may_be_given_and_goes_before_those_of_handlers():
    first, second = WebSocketRoute("first"), WebSocketRoute("second")
    first.endpoint(handler)
    second.endpoint(handler, name="handler")
    assert Triows(first, second).url_path_for("handler") == "/second"


def test_a_name_that_is_given_twice_is_refused_with_both_places():
    app = routed(room="a")
    route = WebSocketRoute("b")
    route.endpoint(handler, name="room")
    with pytest.raises(
        RouteConflictError, match="'/b' is called 'room', and so is '/a' at "
    ) as error:
        app.include_routes(route)
    assert "test_names.py" in error.value.where
    with pytest.raises(NoMatchFound):
        app.url_path_for("handler")
    # The application is as it was, and so is the route.
    route.add_middleware(lambda app: app)


def test_handlers_of_one_name_are_told_apart_by_their_keys_or_not_at_all():
    app = Triows()
    for path in ("a", "b", "c/{x}"):
        route = WebSocketRoute(path)
        route.endpoint(taking(route.template.keys))
        app.include_routes(route)
    assert app.url_path_for("room", x="1") == "/c/1"
    with pytest.raises(NoMatchFound) as error:
        app.url_path_for("room")
    assert str(error.value).startswith("several routes are called 'room' ('/a' at ")
    assert "@route.endpoint(name=...)" in str(error.value)


@pytest.mark.parametrize("name", ["", "a:b", ":", 5, b"room"])
def test_what_can_not_be_a_name_is_refused(name):
    with pytest.raises(RouteSetupError, match="a str without a colon"):
        WebSocketRoute("a").endpoint(handler, name=name)
    with pytest.raises(RouteSetupError, match="a str without a colon") as caught:
        Triows().mount("/a", Triows(), name=name)
    assert caught.value.where.startswith(f"{__file__}:")


# Values


@pytest.mark.parametrize(
    ("template", "value", "path"),
    [
        ("{x}", "a b", "/a%20b"),
        ("{x}", "a/b", "/a%2Fb"),
        ("{x}", "/", "/%2F"),
        ("{x}", "//evil.example", "/%2F%2Fevil.example"),
        ("{x}", "a?b#c%2e", "/a%3Fb%23c%252e"),
        ("{x}", "é\r\n\0", "/%C3%A9%0D%0A%00"),
        ("{x}", "\\evil", "/%5Cevil"),
        ("{x}", "...", "/..."),
        ("{x}", 5, "/5"),
        ("{x}", "a;b=c,d@e:f", "/a;b=c,d@e:f"),
        ("{x}.json", "a", "/a.json"),
        ("{x:int}", 0, "/0"),
        ("{x:int}", "12", "/12"),
        ("{x:int}", 2**80, f"/{2**80}"),
        ("{x:float}", 0.5, "/0.5"),
        ("{x:float}", 2, "/2"),
        ("{x:uuid}", uuid.UUID(int=1), f"/{uuid.UUID(int=1)}"),
        ("files/{x:path}", "a/b c/d", "/files/a/b%20c/d"),
        ("files/{x:path}", "", "/files/"),
        ("files/{x:path}", "/a", "/files//a"),
        ("{x:path}", "a/b", "/a/b"),
        ("{x:path}", "/evil.example", "/%2Fevil.example"),
        ("café/{x}", "y", "/caf%C3%A9/y"),
    ],
)
def test_a_value_is_encoded_as_it_is_decoded(template, value, path):
    assert routed(room=template).url_path_for("room", x=value) == path


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{x}", ""),
        ("{x}", "."),
        ("{x}", ".."),
        ("{x}", None),
        ("{x}", "\ud800"),
        ("files/{x:path}", "a/../../etc"),
        ("files/{x:path}", "./a"),
        ("files/{x:path}", "\ud800"),
        ("{x:int}", -1),
        ("{x:int}", 1.5),
        ("{x:int}", "1.5"),
        ("{x:int}", "a"),
        ("{x:int}", None),
        ("{x:int}", [1]),
        ("{x:float}", float("nan")),
        ("{x:float}", float("inf")),
        ("{x:float}", -0.5),
        ("{x:float}", 1e-30),
        ("{x:uuid}", "1"),
        ("{x:uuid}", Colour.RED),
    ],
)
def test_a_value_that_would_not_come_back_is_refused(template, value):
    with pytest.raises(NoMatchFound):
        routed(room=template).url_path_for("room", x=value)


def test_a_path_that_leads_elsewhere_is_refused():
    app = routed(room="rooms/{x}", log="rooms/log", number="rooms/{n:int}")
    assert app.url_path_for("room", x="tea") == "/rooms/tea"
    with pytest.raises(NoMatchFound, match="'/rooms/log', which leads to '/rooms/log'"):
        app.url_path_for("room", x="log")
    with pytest.raises(NoMatchFound, match=r"leads to '/rooms/{n:int}'"):
        app.url_path_for("room", x="5")


def test_keys_in_one_segment_that_would_be_read_otherwise_are_refused():
    app = routed(file="{name}.{ending}")
    assert app.url_path_for("file", name="a.b", ending="c") == "/a.b.c"
    with pytest.raises(NoMatchFound, match="which is read as"):
        app.url_path_for("file", name="a", ending="b.c")


@given(st.text(), st.text())
def test_what_is_not_refused_leads_back(x, y):
    app = routed(room="rooms/{x}/{y:path}")
    try:
        path = app.url_path_for("room", x=x, y=y)
    except NoMatchFound:
        return
    assert path.isascii()
    segments = tuple(unquote(part) for part in path[1:].split("/"))
    assert app._router.match(segments).raw_params == {"x": x, "y": y}


def test_a_converter_of_the_users_makes_its_text():
    class Even(Convertor[int]):
        regex = "[0-9]+e"

        def convert(self, value: str) -> int:
            return int(value[:-1])

        def to_string(self, value: int) -> str:
            return f"{value}e"

    class Silent(Convertor[int]):
        regex = "[0-9]+"

        def convert(self, value: str) -> int:
            return int(value)

    register_url_convertor("even", Even())
    register_url_convertor("silent", Silent())
    try:
        app = routed(a="a/{x:even}", b="b/{x:silent}")
    finally:
        del CONVERTOR_TYPES["even"], CONVERTOR_TYPES["silent"]
    assert app.url_path_for("a", x=2) == "/a/2e"
    with pytest.raises(NoMatchFound, match="does not fit"):
        app.url_path_for("a", x="2/../")
    with pytest.raises(NoMatchFound, match="NotImplementedError"):
        app.url_path_for("b", x=2)


# What is needed


def test_an_unknown_name_is_told_with_those_that_there_are():
    with pytest.raises(NoMatchFound) as error:
        routed(room="a", log="b").url_path_for("rom")
    assert str(error.value).startswith(
        "no route is called 'rom': there are 'log', 'room' (a route has"
    )
    with pytest.raises(NoMatchFound, match="has no routes"):
        Triows().url_path_for("rom")


@pytest.mark.parametrize("params", [{}, {"x": 1, "more": 2}, {"more": 2}])
def test_other_parameters_are_told_with_those_that_it_needs(params):
    with pytest.raises(NoMatchFound, match=r"'/rooms/{x}' needs x, and given were: ") as error:
        routed(room="rooms/{x}").url_path_for("room", **params)
    assert ".include_query_params(...)" in str(error.value)


def test_a_route_without_keys_needs_no_parameters():
    with pytest.raises(NoMatchFound, match="'/rooms' needs no parameters, and given were: x"):
        routed(room="rooms").url_path_for("room", x=1)


# Mounts


async def page(request):
    return PlainTextResponse(str(request.url_for("page", x="y z")))


PAGES = Starlette(routes=[Route("/pages/{x}", page, name="page")])


def test_routes_of_what_is_mounted_are_found_by_the_name_of_the_mount():
    app = routed(room="room")
    app.mount("/inner", routed(room="rooms/{x}"), name="inner")
    app.mount("/t/{tenant}", PAGES, name="pages")
    assert app.url_path_for("room") == "/room"
    inner = app.url_path_for("inner:room", x="a/b")
    assert (inner, inner.protocol) == ("/inner/rooms/a%2Fb", "websocket")
    page = app.url_path_for("pages:page", tenant="a b", x="c")
    assert (page, page.protocol) == ("/t/a%20b/pages/c", "http")
    for name in ("inner:rom", "inner:", "outer:room", "inner"):
        with pytest.raises(NoMatchFound):
            app.url_path_for(name, x="a")


def test_without_a_name_they_are_found_by_their_own_after_the_applications():
    app = routed(room="room")
    app.mount("/first", StaticFiles(directory="."))
    app.mount("/inner", routed(room="rooms/{x}", log="log"))
    assert app.url_path_for("room") == "/room"
    assert app.url_path_for("room", x="1") == "/inner/rooms/1"
    assert app.url_path_for("log") == "/inner/log"


def test_any_path_in_what_is_mounted_can_be_named():
    app = routed(site="static/site")
    app.mount("/static", StaticFiles(directory="."), name="static")
    assert app.url_path_for("static", path="/css/a b.css") == "/static/css/a%20b.css"
    with pytest.raises(NoMatchFound, match="leads to '/static/site'"):
        app.url_path_for("static", path="site")
    with pytest.raises(NoMatchFound):
        app.url_path_for("static", path="../../etc/passwd")


def test_a_name_of_a_mount_is_given_once():
    app = Triows()

    def mount(path):
        app.mount(path, Triows(), name="inner")

    at = f"{__file__}:{mount.__code__.co_firstlineno + 1} ({mount.__qualname__})"
    mount("/a")
    message = f"'/b' is called 'inner', and so is what is at '/a', which was mounted before at {at}"
    with pytest.raises(RouteConflictError, match=re.escape(message)) as caught:
        mount("/b")
    assert caught.value.where == at
    app.mount("/b", Triows(), name="other")


def test_starlette_finds_routes_of_a_triows_that_it_mounts():
    outer = Starlette(
        routes=[Mount("/chat", routed(room="rooms/{x}"), name="chat"), Mount("/more", Triows())]
    )
    assert outer.url_path_for("chat:room", x="1") == "/chat/rooms/1"
    with pytest.raises(NoMatchFound):
        outer.url_path_for("nothing")


# In a connection


async def told(app, url, **options):
    async with open_app(app, **options) as client, client.websocket_connect(url) as ws:
        return await ws.receive()


def telling(**params):
    route = WebSocketRoute("here/{x}")

    @route.endpoint
    async def room(ws: WebSocket, x: str) -> None:
        await ws.accept()
        await ws.send(str(ws.url_for("room", **params)))

    return Triows(route)


@pytest.mark.parametrize(
    ("base", "root", "expected"),
    [
        ("http://example.org", "", "ws://example.org/here/a%2Fb"),
        ("https://example.org:8443", "", "wss://example.org:8443/here/a%2Fb"),
        ("http://example.org", "/räume/x y", "ws://example.org/r%C3%A4ume/x%20y/here/a%2Fb"),
        ("http://[::1]:8000", "/api/", "ws://[::1]:8000/api/here/a%2Fb"),
    ],
)
async def test_a_connection_makes_a_url(autojump_clock, base, root, expected):
    assert await told(telling(x="a/b"), "/here/1", base_url=base, root_path=root) == expected


async def test_in_a_mounted_application_a_connection_names_the_routes_of_that(autojump_clock):
    for wrap in (lambda inner: inner, lambda inner: Starlette(routes=[Mount("/s", inner)])):
        app = Triows()
        app.mount("/t/{tenant}", wrap(telling(x="y")))
        below = "" if wrap(0) == 0 else "/s"
        url = await told(app, f"/t/a%20b{below}/here/1")
        assert url == f"ws://testserver/t/a%20b{below}/here/y"


async def test_a_mounted_starlette_names_its_own_as_it_did(autojump_clock):
    app = Triows()
    app.mount("/site", PAGES, name="site")
    async with open_app(app) as client:
        response = await client.get("/site/pages/1")
    assert response.text.startswith("http://testserver/site/pages/y")
