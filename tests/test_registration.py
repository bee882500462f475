"""What users register, and what applies to a connection: routes, settings, deps, plugins."""

import contextlib
import functools
from typing import Annotated, Any

import msgspec
import pytest
import trio
from hypercorn.config import Config
from starlette.middleware import Middleware

import triows
from tests.connecting import connect, opened
from tests.listed import listed_parameters
from tests.raw import DEFLATE, handshake
from triows import (
    AsyncResource,
    Compression,
    EndpointInfo,
    Ignore,
    Limits,
    Param,
    Triows,
    WebSocket,
    WebSocketRoute,
    use,
)
from triows._where import where
from triows.exceptions import (
    DependencyError,
    HandlerSignatureError,
    RouteSetupError,
)
from triows.testing import TestClient, WebSocketDenialResponse


async def accepted(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws


Accepted = Annotated[WebSocket, use(accepted)]


def speaking(path, word, **options):
    """A route whose handler says one word."""
    route = WebSocketRoute(path, **options)

    @route.endpoint
    async def speak(ws: Accepted) -> None:
        await ws.send(word)

    return route


async def said(app, url):
    """Return the handler's first message at *url*, or the status if it refuses."""
    try:
        async with connect(app, url) as ws:
            return await ws.receive()
    except WebSocketDenialResponse as refused:
        return refused.status_code


# Routes


def test_include_is_include_routes():
    assert Triows.include is Triows.include_routes


async def test_routes_can_be_given_at_once_or_included_later():
    app = Triows(speaking("a", "A"), speaking("b", "B"))
    app.include_routes(speaking("c", "C"), speaking("d", "D"))
    assert [await said(app, f"/{path}") for path in "abcd"] == ["A", "B", "C", "D"]


async def test_what_is_below_a_route_is_included_with_it():
    rooms = WebSocketRoute("rooms")
    log = rooms / "{room_id}" / "log"

    @log.endpoint
    async def handler(ws: Accepted, room_id: str) -> None:
        await ws.send(f"log of {room_id}")

    app = Triows(rooms)
    assert await said(app, "/rooms/7/log") == "log of 7"
    assert await said(app, "/rooms/7") == 404


async def test_merged_routes_are_served_where_they_were_merged_and_where_they_were_made():
    public, admin = WebSocketRoute("public"), speaking("log", "a log")
    public.merge(admin)
    app = Triows(public, admin)
    assert await said(app, "/public/log") == "a log"
    assert await said(app, "/log") == "a log"


async def test_a_route_may_be_part_of_two_applications():
    route = speaking("a", "A")
    assert [await said(app, "/a") for app in (Triows(route), Triows(route))] == ["A", "A"]


async def test_a_method_of_an_object_may_handle():
    class Room:
        def __init__(self, name):
            self.name = name

        async def handle(self, ws: Accepted) -> None:
            await ws.send(self.name)

    one, other = WebSocketRoute("one"), WebSocketRoute("other")
    one.endpoint(Room("red").handle)
    other.endpoint(Room("blue").handle)
    app = Triows(one, other)
    assert [await said(app, "/one"), await said(app, "/other")] == ["red", "blue"]


async def test_a_partial_may_handle():
    async def handler(ws: Accepted, name: str, count: int) -> None:
        await ws.send(f"{count} {name}")

    route = WebSocketRoute("a")
    route.endpoint(functools.partial(handler, name="cats"))
    assert await said(Triows(route), "/a?count=3") == "3 cats"


def get_pool(app: Triows) -> str: ...


async def get_page(size: int = 10) -> AsyncResource[int]:
    yield size


async def listed(
    ws: WebSocket,
    room_id: str,
    pool: Annotated[str, use(get_pool, scope="app")],
    page: Annotated[int, use(get_page)],
    token: Annotated[str | None, Param("header", alias="X-Token")] = None,
) -> None: ...


class Page(msgspec.Struct):
    after: str
    size: int = 10
    tags: list[str] = []


class Unshowable:
    def __repr__(self) -> str:
        raise ValueError


async def with_defaults(
    page: Annotated[Page, Param("query")],
    other: Annotated[Page, Param("header")] = Page("a"),  # noqa: B008 - each gets a copy
    line: str = "a\u2028b",
    long: str = 100 * "x",
    strange: Annotated[Any, Param("query", decoder=str)] = Unshowable(),  # noqa: B008
) -> None: ...


def test_a_list_of_routes_shows_defaults_and_the_fields_of_packs():
    route = WebSocketRoute("rooms")
    route.endpoint(with_defaults)
    assert listed_parameters(Triows(route)) == (
        "query after: str",
        "query size: int = 10",
        "query tags: list[str] (optional)",
        "header after: str (optional)",
        "header size: int = 10",
        "header tags: list[str] (optional)",
        r"query line: str = 'a\u2028b'",
        f"query long: str = '{36 * 'x'}...",
        "query strange: Any (optional)",
    )


def test_the_routes_of_an_application_can_be_listed():
    route = WebSocketRoute("rooms/{room_id}")
    route.endpoint(listed)
    route.sub("log").endpoint(plain := _taking_room_id())
    assert [(info.path, info.handler, info.name) for info in Triows(route).routes] == [
        ("/rooms/{room_id}", where(listed), "listed"),
        ("/rooms/{room_id}/log", where(plain), "handler"),
    ]


def _taking_room_id():
    async def handler(room_id: str) -> None: ...

    return handler


async def test_a_route_may_be_included_while_the_application_runs():
    app = Triows(speaking("a", "A"))
    async with opened(app):
        app.include(speaking("b", "B"))
        assert await said(app, "/b") == "B"


async def test_a_resource_of_the_application_can_not_be_added_while_it_runs():
    async def handler(pool: Annotated[Any, use(get_pool, scope="app")]) -> None: ...

    route = WebSocketRoute("b")
    route.endpoint(handler)
    app = Triows(speaking("a", "A"))
    async with opened(app):
        with pytest.raises(DependencyError, match="include its route before that") as caught:
            app.include(route)
        assert await said(app, "/b") == 404
    assert caught.value.chain == (handler.__qualname__,)
    assert caught.value.where == where(get_pool)
    app.include(route)
    assert len(app.routes) == 2


# Settings


async def test_a_routes_settings_replace_the_applications():
    async def handler(ws: Accepted) -> None:
        await ws.receive()

    app = Triows(limits=Limits(message_size=3))
    for path, limits in (("app", None), ("own", Limits(message_size=5))):
        route = WebSocketRoute(path, limits=limits)
        route.endpoint(handler)
        app.include(route)

    async def code(url, message):
        async with connect(app, url) as ws:
            await ws.send(message)
            with contextlib.suppress(Exception):
                await ws.receive()
            return ws.close_code

    assert [await code("/app", "four"), await code("/own", "four")] == [1009, 1000]
    assert await code("/own", "six666") == 1009


async def extensions_of(url):
    """Return the server's answer to a client that offers compression."""
    host, port = url.removeprefix("http://").partition("/")[0].split(":")
    request = handshake(f"/{url.rpartition('/')[2]}", DEFLATE + b"; client_max_window_bits")
    with trio.fail_after(5):
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(request)
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive_some()
    assert head.startswith(b"HTTP/1.1 101 ")
    found = [line for line in head.split(b"\r\n") if line.startswith(b"sec-websocket-extensions")]
    return found[0].partition(b": ")[2].decode() if found else None


def answer(bits):
    return (
        f"permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}"
        if bits
        else None
    )


@pytest.mark.real_socket
@pytest.mark.parametrize(
    ("settings", "apps", "off", "own"),
    [
        ({}, None, None, 10),
        ({"compression": None}, None, None, 10),
        ({"compression": False}, None, None, 10),
        ({"compression": Compression(window_bits=9)}, 9, None, 10),
    ],
)
async def test_a_routes_compression_or_none_replaces_the_applications(settings, apps, off, own):
    app = Triows(
        speaking("app", "yes"),
        speaking("off", "yes", compression=False),
        speaking("own", "yes", compression=Compression(window_bits=10)),
        **settings,
    )
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(triows.serve, app, config)
        answers = [await extensions_of(f"{url}/{path}") for path in ("app", "off", "own")]
        nursery.cancel_scope.cancel()
    assert answers == [answer(apps), answer(off), answer(own)]


async def test_a_routes_origins_replace_the_applications():
    app = Triows(
        speaking("app", "yes"),
        speaking("own", "yes", origins=["https://own.example"]),
        speaking("any", "yes", origins=["*"]),
        origins=["https://app.example"],
    )

    async def answer(url, origin):
        try:
            async with connect(app, url, headers={"origin": f"https://{origin}.example"}) as ws:
                return await ws.receive()
        except WebSocketDenialResponse as refused:
            return refused.status_code

    assert [await answer("/app", "app"), await answer("/app", "own")] == ["yes", 403]
    assert [await answer("/own", "app"), await answer("/own", "own")] == [403, "yes"]
    assert await answer("/any", "whoever") == "yes"


# deps


class Room:
    def __init__(self, name):
        self.name = name


def naming(name):
    def get_room() -> Room:
        return Room(name)

    return get_room


async def tell_room(ws: Accepted, room: Room) -> None:
    await ws.send(room.name)


async def test_the_nearest_factory_of_a_type_is_used():
    top = WebSocketRoute("top", deps=[naming("route")])
    top.endpoint(tell_room)
    top.sub("endpoint").endpoint(deps=[naming("endpoint")])(tell_room)
    top.sub("below").endpoint(tell_room)
    plain = WebSocketRoute("plain")
    plain.endpoint(tell_room)
    app = Triows(top, plain, deps=[naming("application")])
    assert await said(app, "/plain") == "application"
    assert await said(app, "/top") == "route"
    assert await said(app, "/top/below") == "route"
    assert await said(app, "/top/endpoint") == "endpoint"


async def test_a_factory_of_one_endpoint_is_not_found_by_another():
    route = WebSocketRoute("a")
    route.endpoint(deps=[naming("a")])(tell_room)
    app = Triows(route)
    other = WebSocketRoute("b")
    other.endpoint(tell_room)
    with pytest.raises(DependencyError, match="nothing makes the Room"):
        app.include(other)


async def test_a_merged_route_keeps_the_factories_of_its_old_parents():
    old = WebSocketRoute("old", deps=[naming("old")])
    (old / "room").endpoint(tell_room)
    new = WebSocketRoute("new", deps=[naming("new")])
    new.endpoint(tell_room)
    new.merge(old / "room", parent_prefix="old")
    assert await said(Triows(new), "/new/room") == "old"


async def test_an_applications_factory_may_need_what_a_route_makes():
    class Session:
        def __init__(self, room):
            self.room = room

    def get_session(room: Room) -> Session:
        return Session(room)

    async def handler(ws: Accepted, session: Session) -> None:
        await ws.send(session.room.name)

    route = WebSocketRoute("a", deps=[naming("route")])
    route.endpoint(handler)
    other = WebSocketRoute("other")
    other.endpoint(tell_room)
    app = Triows(route, other, deps=[get_session, naming("application")])
    assert await said(app, "/a") == "route"


async def test_a_factory_of_the_websocket_accepts_for_every_handler():
    async def accepting(ws: Ignore[WebSocket]) -> AsyncResource[WebSocket]:
        await ws.accept()
        yield ws

    route = WebSocketRoute("a")

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        await ws.send("hello")

    async with connect(Triows(route, deps=[use(accepting, reuse=True)]), "/a") as ws:
        assert await ws.receive() == "hello"


# Plugins


def plugin(log, name):
    def wrap(endpoint: EndpointInfo):
        log.append(f"{name} wraps {endpoint.path}")

        @functools.wraps(endpoint.func)
        async def wrapped(**arguments):
            log.append(f"{name} begins")
            await endpoint.func(**arguments)
            log.append(f"{name} ends")

        return wrapped

    return wrap


async def test_a_plugin_given_twice_counts_once():
    log = []
    once = plugin(log, "plugin")
    route = WebSocketRoute("a")
    route.endpoint(plugins=[once, once])(_saying("A"))
    app = Triows(route)
    assert await said(app, "/a") == "A"
    assert log == ["plugin wraps /a", "plugin begins", "plugin ends"]


def _saying(word):
    async def handler(ws: Accepted) -> None:
        await ws.send(word)

    return handler


def test_a_plugin_is_told_what_it_wraps():
    told = []

    def plugin(endpoint):
        told.append(endpoint)
        return endpoint.func

    route = WebSocketRoute("rooms/{room_id}")

    @route.endpoint(plugins=[plugin])
    async def handler(ws: "WebSocket", room_id: "int") -> None: ...

    app = Triows(route)
    (endpoint,) = told
    assert (endpoint.func, endpoint.path, endpoint.app) == (handler, "/rooms/{room_id}", app)
    assert endpoint.signature.parameters["room_id"].annotation is int


async def test_a_plugin_is_called_once_however_often_factories_are_overridden():
    log = []
    route = WebSocketRoute("a")

    @route.endpoint(plugins=[plugin(log, "plugin")], deps=[naming("real")])
    async def handler(ws: Accepted, room: Room) -> None:
        await ws.send(room.name)

    app = Triows(route)
    with app.override(accepted, accepted):
        assert await said(app, "/a") == "real"
    assert log == ["plugin wraps /a", "plugin begins", "plugin ends"]


def _async_plugin():
    async def plugin(endpoint):
        return endpoint.func

    return plugin


def _returning(value):
    return lambda endpoint: value


async def _renaming(socket) -> None: ...


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (5, "5 isn't a plugin"),
        (_async_plugin(), r"isn't a plugin: give a function \(`def`\)"),
        (_returning(None), "returned None: let it return an `async def`"),
        (_returning(print), "let it return an `async def`"),
        (_returning(_renaming), r"can't be called with the handler's arguments \(missing"),
        (lambda endpoint: functools.partial(endpoint.func, no=6), "incorrect arguments"),
    ],
)
def test_a_plugin_that_gives_nothing_to_call_is_refused(plugin, message):
    async def handler(ws: WebSocket) -> None: ...

    route = WebSocketRoute("a")
    route.endpoint(plugins=[plugin])(handler)
    with pytest.raises(RouteSetupError, match=message) as caught:
        Triows(route)
    assert caught.value.where == where(plugin if callable(plugin) else handler)


def test_what_a_plugin_raises_is_raised_where_the_route_is_included():
    def plugin(endpoint):
        raise LookupError("no such thing")

    route = WebSocketRoute("a")
    route.endpoint(plugins=[plugin])(_saying("A"))
    app = Triows()
    with pytest.raises(LookupError):
        app.include(route)
    assert app.routes == []


class NeedsMore:
    """A middleware that can't be made without an argument."""

    def __init__(self, app, more): ...


def test_a_middleware_that_can_not_be_made_leaves_the_application_as_it_was():
    app = Triows()
    with pytest.raises(RouteSetupError):
        app.include(speaking("a", "A"), speaking("b", "B", middlewares=[Middleware(NeedsMore)]))
    assert app.routes == []


# Overrides


def get_name() -> str:
    return "real"


async def get_greeting(name: Annotated[str, use(get_name)]) -> AsyncResource[str]:
    yield f"hello {name}"


async def get_cached(name: Annotated[str, use(get_name, reuse=True)]) -> str:
    return name


async def get_settings() -> AsyncResource[str]:
    yield "real settings"


async def greet(ws: Accepted, greeting: Annotated[str, use(get_greeting)]) -> None:
    await ws.send(greeting)


async def compare(
    ws: Accepted,
    a: Annotated[str, use(get_name, reuse=True)],
    b: Annotated[str, use(get_cached)],
) -> None:
    await ws.send(f"{a} {b}")


async def tell_settings(
    ws: Accepted, settings: Annotated[str, use(get_settings, scope="app")]
) -> None:
    await ws.send(settings)


@pytest.fixture
def app():
    app = Triows()
    handlers = {"greet": greet, "compare": compare, "settings": tell_settings}
    for path, handler in handlers.items():
        route = WebSocketRoute(path)
        route.endpoint(handler)
        app.include(route)
    return app


async def test_a_fake_is_used_inside_the_block_only(app):
    with app.override(get_greeting, lambda: "fake"):
        assert await said(app, "/greet") == "fake"
    assert await said(app, "/greet") == "hello real"


async def test_a_factory_that_another_one_needs_can_be_overridden(app):
    with app.override(get_name, lambda: "fake"):
        assert await said(app, "/greet") == "hello fake"


async def test_a_fake_may_be_of_another_kind_with_parameters_of_its_own(app):
    log = []

    async def fake(ws: WebSocket, who: str):
        log.append(ws.url.path)
        yield who
        log.append("closed")

    with app.override(get_name, fake):
        assert await said(app, "/greet") == 422
        assert await said(app, "/greet?who=ada") == "hello ada"
    assert log == ["/greet", "closed"]


async def test_a_fake_of_a_reused_factory_is_shared(app):
    count = 0

    def fake():
        nonlocal count
        count += 1
        return f"fake{count}"

    with app.override(get_name, fake):
        assert await said(app, "/compare") == "fake1 fake1"


async def test_a_resource_of_the_application_can_be_overridden_before_it_starts(app):
    with app.override(get_settings, lambda: "fake settings"):
        assert await said(app, "/settings") == "fake settings"
    assert await said(app, "/settings") == "real settings"


async def test_a_resource_of_the_running_application_can_not_be_overridden(app):
    async with opened(app):
        with (
            pytest.raises(DependencyError, match="before the application starts"),
            app.override(get_settings, lambda: "fake settings"),
        ):
            pass
        assert await said(app, "/settings") == "real settings"


async def test_a_factory_can_be_overridden_while_the_application_runs(app):
    async with opened(app):
        assert await said(app, "/greet") == "hello real"
        with app.override(get_name, lambda: "fake"):
            assert await said(app, "/greet") == "hello fake"
        assert await said(app, "/greet") == "hello real"


async def test_a_fake_can_not_bring_a_new_resource_to_the_running_application(app):
    def fake(pool: Annotated[Any, use(get_pool, scope="app")]): ...

    async with opened(app):
        with (
            pytest.raises(DependencyError, match="has been started without it"),
            app.override(get_name, fake),
        ):
            pass
        assert await said(app, "/greet") == "hello real"


async def test_a_factory_found_by_its_type_can_be_overridden():
    get_room = naming("real")
    route = WebSocketRoute("a", deps=[get_room])
    route.endpoint(tell_room)
    app = Triows(route)
    with app.override(get_room, lambda: Room("fake")):
        assert await said(app, "/a") == "fake"


async def test_overrides_nest(app):
    with app.override(get_name, lambda: "outer"):
        with app.override(get_name, lambda: "inner"):
            assert await said(app, "/greet") == "hello inner"
        assert await said(app, "/greet") == "hello outer"
        with app.override(get_greeting, lambda: "inner"):
            assert await said(app, "/greet") == "inner"
            assert await said(app, "/compare") == "outer outer"
        assert await said(app, "/greet") == "hello outer"
    assert await said(app, "/greet") == "hello real"


async def test_what_only_a_fake_needs_can_be_overridden_too(app):
    def needed(): ...
    def fake(word: Annotated[str, use(needed)]):
        return word

    with app.override(get_name, fake), app.override(needed, lambda: "deep"):
        assert await said(app, "/greet") == "hello deep"


async def test_overrides_that_overlap_each_end_alone(app):
    one = app.override(get_name, lambda: "one")
    other = app.override(get_greeting, lambda: "other")
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert [await said(app, "/greet"), await said(app, "/compare")] == ["other", "real real"]
    other.__exit__(None, None, None)
    assert [await said(app, "/greet"), await said(app, "/compare")] == ["hello real", "real real"]


async def test_a_fake_that_can_not_be_used_leaves_everything_as_it_was(app):
    def unusable(*args): ...

    with pytest.raises(HandlerSignatureError) as caught, app.override(get_name, unusable):
        pass
    assert caught.value.where == where(unusable)
    assert [await said(app, "/greet"), await said(app, "/compare")] == ["hello real", "real real"]


@pytest.mark.parametrize("fake", ["a value", None])
def test_a_value_is_no_fake(app, fake):
    with (
        pytest.raises(DependencyError, match=r"write override\(get_name, lambda: \.\.\.\)"),
        app.override(get_name, fake),
    ):
        pass


def test_a_factory_that_nothing_uses_can_not_be_overridden(app):
    def unused(): ...

    with (
        pytest.raises(DependencyError, match=r"no route uses .*unused") as caught,
        app.override(unused, lambda: None),
    ):
        pass
    assert caught.value.where == where(unused)


def test_overrides_work_around_the_synchronous_client(app):
    fake = app.override(get_name, lambda: "fake")
    with fake, TestClient(app).websocket_connect("/greet") as ws:
        assert ws.receive_text() == "hello fake"


# Many connections


async def test_connections_at_the_same_time_have_each_their_own(autojump_clock):
    made = []

    async def resource(number: int):
        made.append(number)
        await trio.sleep(1)
        yield number * number
        await trio.sleep(1)

    route = WebSocketRoute("a")

    @route.endpoint
    async def handler(ws: Accepted, number: int, square: Annotated[int, use(resource)]) -> None:
        await trio.sleep(1)
        await ws.send(f"{number} {square}")

    app = Triows(route)
    answers = {}

    async def ask(number):
        answers[number] = await said(app, f"/a?number={number}")

    async with opened(app), trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(ask, number)
    assert answers == {number: f"{number} {number * number}" for number in range(50)}
    assert sorted(made) == list(range(50))
    # They all ran at the same time, and not one after the other.
    assert trio.current_time() < 10
