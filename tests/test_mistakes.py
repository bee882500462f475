"""
Every mistake that is found at registration: its message, and that it leaves nothing behind.

Each message says what is wrong and what to do instead. It has the file and line of the function
that the user has to change.
"""

import abc
import contextlib
import functools
import linecache
import math
import re
import threading
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

import attrs
import msgspec
import pytest
import starlette.websockets
import trio
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from tests.connecting import connect
from triows import (
    Compression,
    Limits,
    Param,
    Timeouts,
    Triows,
    WebSocket,
    WebSocketRoute,
    use,
)
from triows.exceptions import (
    DependencyCycleError,
    DependencyError,
    HandlerSignatureError,
    MissingProviderError,
    RouteConflictError,
    RouteSetupError,
    TemplateError,
)
from triows.testing import WebSocketDenialResponse


@attrs.define
class Desk:
    """The objects that a user has when they make a mistake."""

    app: Triows = attrs.field(factory=Triows)
    route: WebSocketRoute = attrs.field(factory=lambda: WebSocketRoute("rooms/{room_id}"))
    to_blame: Any = None

    def blame(self, func):
        """Note the function that the message has to name. This is a decorator."""
        self.to_blame = func
        return func

    def include(self, handler, **options):
        self.route.endpoint(**options)(handler)
        self.app.include(self.route)


CASES = []


def mistake(error, *says):
    """Add a case. It has to raise *error*, with all of *says* in its message."""

    def add(make):
        CASES.append(pytest.param(make, error, says, id=make.__name__))
        return make

    return add


class Database:
    pass


def current_user() -> str: ...


class Body(msgspec.Struct):
    text: str


# Handlers


@mistake(RouteSetupError, "sync function is not supported for websocket", "write `async def`")
def a_sync_handler(desk):
    @desk.blame
    def handler(ws: WebSocket, room_id: str): ...

    desk.include(handler)


@mistake(RouteSetupError, "an async generator is not supported", "`await ws.send(...)`")
def a_handler_that_yields(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: str):
        yield "hello"

    desk.include(handler)


@mistake(RouteSetupError, "write `async def` in the decorator")
def a_handler_in_a_sync_decorator(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: str): ...

    @functools.wraps(handler)
    def decorated(*args, **kwargs):
        return handler(*args, **kwargs)

    desk.include(decorated)


@mistake(RouteSetupError, "None isn't a handler", "give an `async def`")
def no_handler(desk):
    desk.include(None)


@mistake(RouteSetupError, "'/log' isn't a handler", "Write `route = WebSocketRoute('/log')`")
def a_path_for_a_handler(desk):
    desk.route.endpoint("/log")


@mistake(RouteSetupError, "isn't a handler", "give the `async def` itself, without calling it")
def a_handler_that_was_called(desk):
    async def handler(): ...

    desk.include(handler())


@mistake(RouteSetupError, "give an instance with an async __call__")
def a_class_for_a_handler(desk):
    class Handler:
        async def __call__(self, ws: WebSocket): ...

    desk.include(Handler)


@mistake(RouteSetupError, "has a handler already, at", "give each a path of its own")
def a_second_handler(desk):
    @desk.route.endpoint
    async def first(ws: WebSocket, room_id: str): ...

    @desk.blame
    async def second(ws: WebSocket, room_id: str): ...

    desk.include(second)


@mistake(RouteSetupError, "the route '/rooms/{room_id}' has no handler", "@route.endpoint before")
def a_route_without_a_handler(desk):
    desk.route.sub("log")
    desk.app.include(desk.route)


# Paths


@mistake(HandlerSignatureError, "nothing takes {room_id}", "add a parameter `room_id: str`")
def a_key_that_no_one_takes(desk):
    @desk.blame
    async def handler(ws: WebSocket): ...

    desk.include(handler)


@mistake(
    HandlerSignatureError,
    "{id:int} in the path matches nothing that can be made a UUID",
    "write {id:uuid}",
    "`id: int`",
)
def a_key_and_a_parameter_that_do_not_fit(desk):
    desk.route = WebSocketRoute("rooms/{id:int}")

    @desk.blame
    async def handler(ws: WebSocket, id: UUID): ...  # noqa: A002 - the name is in the path

    desk.include(handler)


@mistake(TemplateError, "'<int:id>', which is another framework's notation", "'/rooms/{id:int}'")
def a_key_as_flask_has_it(desk):
    WebSocketRoute("/rooms/<int:id>")


@mistake(TemplateError, "':id', which is another framework's notation", "'/rooms/{id}'")
def a_key_as_express_has_it(desk):
    WebSocketRoute("/rooms/:id")


@mistake(
    HandlerSignatureError,
    "nothing takes {room_id}",
    "the parameter `room_id`, which has the same name, comes from elsewhere",
)
def a_key_that_is_read_from_elsewhere(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: Annotated[str, Param("query")]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`room_id`", "part of the path", "take it out")
def a_default_on_a_path_parameter(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: str = "lobby"): ...

    desk.include(handler)


@mistake(RouteConflictError, "'/rooms/{name}' matches the same paths as '/rooms/{room_id}'", "at ")
def two_routes_of_one_shape(desk):
    async def first(room_id: str): ...

    desk.route.endpoint(first)
    second = WebSocketRoute("rooms/{name}")

    @second.endpoint
    @desk.blame
    async def handler(name: str): ...

    desk.app.include(desk.route, second)


@mistake(TemplateError, "unknown converter 'integer'", "write {room_id:int}")
def an_unknown_converter(desk):
    WebSocketRoute("rooms/{room_id:integer}")


@mistake(TemplateError, "'room-id'", "use letters, digits and underscores")
def a_key_that_is_no_name(desk):
    WebSocketRoute("rooms/{room-id}")


@mistake(TemplateError, "a brace without its pair")
def a_brace_that_is_left_open(desk):
    WebSocketRoute("rooms/{room_id")


@mistake(TemplateError, "'/a/{rest:path}/b'", "`path`")
def a_route_below_the_rest_of_the_path(desk):
    WebSocketRoute("a/{rest:path}").sub("b")


# Signatures


@mistake(HandlerSignatureError, "`limit` has no annotation", "as in `limit: int`")
def a_parameter_without_a_type(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id, limit): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`*args` can't be filled by name", "functools.wraps")
def a_parameter_for_all_positional_arguments(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: str, *args): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`**kwargs: Any` can't be filled by name", "name every parameter")
def a_parameter_for_all_keywords(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: str, **kwargs: Any): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "can't be filled by name", "and `/`")
def a_positional_parameter(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: str, /): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "'Missing' can't be resolved", "import it at module level")
def an_annotation_that_names_nothing(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: str, x: "Missing"): ...  # noqa: F821 - the mistake

    desk.include(handler)


@mistake(HandlerSignatureError, "'Local' can't be resolved", "`from __future__ import annotations`")
def a_string_annotation_that_names_something_local(desk):
    class Local:
        pass

    @desk.blame
    async def handler(ws: WebSocket, room_id: str, x: "Annotated[Local, use(Local)]"): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "its signature can't be read")
def an_annotation_that_is_no_expression(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: "str or"): ...  # noqa: F722 - the mistake

    desk.include(handler)


@mistake(
    HandlerSignatureError,
    "`body`",
    "a WebSocket handshake has no body to make a Body from",
    "mark it Annotated[Body, Param('query')]",
)
def a_body(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: str, body: Body): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "no body to make a dict[str, int] from", "make it a msgspec.Struct")
def a_body_without_a_class(desk):
    @desk.blame
    async def handler(ws: WebSocket, room_id: str, body: dict[str, int]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "use() as its default", "`db: Annotated[Database, use(Database)]`")
def use_as_a_default(desk):
    @desk.blame
    async def handler(room_id: str, db: Database = use(Database)): ...  # noqa: B008

    desk.include(handler)


@mistake(
    HandlerSignatureError, "Param() as its default", '`token: Annotated[str, Param("header")]`'
)
def param_as_a_default(desk):
    @desk.blame
    async def handler(room_id: str, token: str = Param("header")): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "use() as its annotation", "`db: Annotated[TYPE, use(Database)]`")
def use_as_an_annotation(desk):
    @desk.blame
    async def handler(room_id: str, db: use(Database)): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "Param() as its annotation")
def param_as_an_annotation(desk):
    @desk.blame
    async def handler(room_id: str, token: Param("header")): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`ws`", "the connection's own WebSocket", "take its Param() out")
def a_websocket_from_the_query(desk):
    @desk.blame
    async def handler(ws: Annotated[WebSocket, Param("query")], room_id: str): ...

    desk.include(handler)


@mistake(
    HandlerSignatureError,
    '`token` has Param("header") and use(str) in its Annotated, and only one mark can count',
    'write `token: Annotated[str, Param("header")]` or `token: Annotated[str, use(str)]`',
)
def a_parameter_from_two_places(desk):
    @desk.blame
    async def handler(room_id: str, token: Annotated[str, Param("header"), use(str)]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "the path does not have", "{room}", "it has: {room_id}")
def a_path_parameter_that_the_path_does_not_have(desk):
    @desk.blame
    async def handler(room_id: str, room: Annotated[str, Param("path")]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`data`", "several ways to make bytes", "decoder=")
def a_type_that_text_is_not(desk):
    @desk.blame
    async def handler(room_id: str, data: Annotated[bytes, Param("query")]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`token`", "the decoder", "decode is async", "write `def`")
def an_async_decoder(desk):
    async def decode(text): ...

    @desk.blame
    async def handler(room_id: str, token: Annotated[str, Param(decoder=decode)]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`lock`", "it can't be copied", "Annotated[..., use(factory)]")
def a_default_that_can_not_be_copied(desk):
    @desk.blame
    async def handler(room_id: str, lock: Any = threading.Lock()): ...  # noqa: B008

    desk.include(handler)


@mistake(HandlerSignatureError, "`body`", "forbids unknown names", "or read it from the query")
def a_closed_pack_of_headers(desk):
    class Closed(msgspec.Struct, forbid_unknown_fields=True):
        size: int = 1

    @desk.blame
    async def handler(room_id: str, body: Annotated[Closed, Param("header")]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`page`", "'size' has no annotation", "ask for its fields")
def a_pack_with_a_field_without_a_type(desk):
    @attrs.define(auto_attribs=False)
    class Page:
        size = attrs.field(default=1)

    @desk.blame
    async def handler(room_id: str, page: Annotated[Page, Param("query")]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`limit`", "Can only set `ge` on a numeric type")
def a_constraint_of_another_type(desk):
    @desk.blame
    async def handler(room_id: str, limit: Annotated[str, Param(ge=1)]): ...

    desk.include(handler)


# Factories


@mistake(
    MissingProviderError,
    "nothing makes the Database that `db` asks for",
    "`db: Annotated[Database, use(factory)]`",
    "deps=[factory]",
    "needed by: a_type_that_nothing_makes.<locals>.handler -> "
    "a_type_that_nothing_makes.<locals>.outer -> a_type_that_nothing_makes.<locals>.inner",
)
def a_type_that_nothing_makes(desk):
    @desk.blame
    def inner(db: Database): ...

    def outer(value: Annotated[Any, use(inner)]): ...

    async def handler(room_id: str, value: Annotated[Any, use(outer)]): ...

    desk.include(handler)


@mistake(
    MissingProviderError,
    "`ws` is a starlette.websockets.WebSocket, which nothing makes",
    "annotate it `ws: triows.WebSocket`",
)
def the_websocket_of_another_framework(desk):
    @desk.blame
    async def handler(ws: starlette.websockets.WebSocket, room_id: str): ...

    desk.include(handler)


@mistake(
    DependencyCycleError,
    "needs itself",
    "make one of the factories do without the other",
    "handler -> factories_that_need_each_other.<locals>.chicken -> "
    "factories_that_need_each_other.<locals>.egg -> "
    "factories_that_need_each_other.<locals>.chicken",
)
def factories_that_need_each_other(desk):
    @desk.blame
    def chicken(egg): ...

    def egg(chicken): ...

    chicken.__annotations__["egg"] = Annotated[Any, use(egg)]
    egg.__annotations__["chicken"] = Annotated[Any, use(chicken)]

    async def handler(room_id: str, value: Annotated[Any, use(chicken)]): ...

    desk.include(handler)


@mistake(DependencyCycleError, "needs itself", "handler -> ", "pool -> ")
def application_resources_that_need_each_other(desk):
    @desk.blame
    def pool(cache): ...

    def cache(pool): ...

    pool.__annotations__["cache"] = Annotated[Any, use(cache, scope="app")]
    cache.__annotations__["pool"] = Annotated[Any, use(pool, scope="app")]

    async def handler(room_id: str, value: Annotated[Any, use(pool, scope="app")]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`db` is made by a factory", "its default would never be used")
def a_default_on_what_a_factory_makes(desk):
    @desk.blame
    async def handler(room_id: str, db: Annotated[Any, use(Database)] = None): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`db` is made by a factory", "take it out")
def a_default_on_what_a_factory_in_deps_makes(desk):
    @desk.blame
    async def handler(room_id: str, db: Database = None): ...

    desk.include(handler, deps=[Database])


@mistake(DependencyError, "`db` has use('database')", "give a function or a class")
def a_name_for_a_factory(desk):
    @desk.blame
    async def handler(room_id: str, db: Annotated[Any, use("database")]): ...

    desk.include(handler)


@mistake(DependencyError, "`db` has use(<", "If a new Database is meant, leave the parentheses")
def a_factory_that_was_called(desk):
    @desk.blame
    async def handler(room_id: str, db: Annotated[Any, use(Database())]): ...

    desk.include(handler)


@mistake(DependencyError, "a call of", "returned: leave the parentheses out")
def an_async_factory_that_was_called(desk):
    async def connect(): ...

    @desk.blame
    async def handler(room_id: str, db: Annotated[Any, use(connect())]): ...

    desk.include(handler)


@contextlib.contextmanager
def opened_database() -> Iterator[Database]:
    yield Database()


@mistake(DependencyError, "a call of opened_database returned: leave the parentheses out")
def a_context_manager_that_was_called(desk):
    @desk.blame
    async def handler(room_id: str, db: Annotated[Any, use(opened_database())]): ...

    desk.include(handler)


@mistake(DependencyError, "can't be hashed", "eq=False")
def a_factory_that_can_not_be_told_from_others(desk):
    @attrs.define
    class Factory:
        def __call__(self): ...

    @desk.blame
    async def handler(room_id: str, db: Annotated[Any, use(Factory())]): ...

    desk.include(handler)


class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self): ...


@mistake(MissingProviderError, "`db` has use() without a factory", "write use(factory)")
def use_alone_on_what_can_not_be_made(desk):
    @desk.blame
    async def handler(room_id: str, db: Annotated[Abstract, use()]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "`limit` has no annotation")
def a_parameter_without_a_type_in_a_factory(desk):
    @desk.blame
    def factory(limit): ...

    async def handler(room_id: str, value: Annotated[Any, use(factory)]): ...

    desk.include(handler)


@mistake(DependencyError, "make a type of its own")
def a_factory_in_deps_for_a_type_that_parameters_have(desk):
    @desk.blame
    def factory() -> str: ...

    async def handler(room_id: str): ...

    desk.include(handler, deps=[factory])


@mistake(DependencyError, "annotate what it returns")
def a_factory_in_deps_that_does_not_say_what_it_makes(desk):
    @desk.blame
    def factory(): ...

    async def handler(room_id: str): ...

    desk.include(handler, deps=[factory])


@mistake(DependencyError, "annotate what it returns")
def the_same_for_the_whole_application(desk):
    @desk.blame
    def factory(): ...

    Triows(deps=[factory])


def _called(make):
    """Return a case in which an entry of ``deps=`` is what a call of a factory has returned."""

    def case(desk):
        @desk.blame
        async def handler(room_id: str): ...

        desk.include(handler, deps=[make()])

    case.__name__ = f"an_entry_of_deps_that_a_call_of_{make.__name__}_returned"
    return case


async def connected() -> None: ...
def check_nothing() -> None: ...


for called, remedy in [
    (connected, "a call of connected returned: leave the parentheses out"),
    (opened_database, "a call of opened_database returned: leave the parentheses out"),
    (check_nothing, "If a call returned it, leave the parentheses out"),
    (Database, "If a new Database is meant, leave the parentheses out"),
]:
    mistake(DependencyError, "deps= takes factories", remedy)(_called(called))


@mistake(DependencyError, "deps= takes factories, or use(factory, ...)", "'database'")
def no_factory_in_deps(desk):
    @desk.blame
    async def handler(room_id: str): ...

    desk.include(handler, deps=["database"])


@mistake(HandlerSignatureError, "`user` has the function current_user in its Annotated", "use(")
def a_factory_in_annotated_without_use(desk):
    @desk.blame
    async def handler(room_id: str, user: Annotated[str, current_user]): ...

    desk.include(handler)


@mistake(HandlerSignatureError, "has `use` in its Annotated without a call", "use(factory)")
def use_without_a_call(desk):
    @desk.blame
    async def handler(room_id: str, limit: Annotated[int, use]): ...

    desk.include(handler)


@mistake(DependencyError, "two factories in one deps= make Database", "take one of them out")
def two_factories_of_one_type(desk):
    def first() -> Database: ...

    @desk.blame
    def second() -> Database: ...

    async def handler(room_id: str, db: Database): ...

    desk.include(handler, deps=[first, second])


@mistake(DependencyError, "nothing here asks for it", "annotate it `-> None`")
def a_guard_that_is_annotated_to_make_something(desk):
    def only_members() -> Database: ...

    @desk.blame
    async def handler(room_id: str): ...

    desk.include(handler, deps=[only_members])


@mistake(DependencyError, "it is a guard, and guards run for each connection", 'scope="app" out')
def a_guard_of_the_application(desk):
    @desk.blame
    def only_members() -> None: ...

    async def handler(room_id: str): ...

    desk.include(handler, deps=[use(only_members, scope="app")])


@mistake(DependencyError, "returns an iterator, which would be handed over as it is", "yield")
def a_factory_that_returns_what_it_should_yield(desk):
    @desk.blame
    def factory() -> Iterator[Database]:
        return iter([Database()])

    async def handler(room_id: str, db: Database): ...

    desk.include(handler, deps=[factory])


@mistake(DependencyError, "`db` asks for Database, and current_user makes str", "makes Database")
def a_factory_of_another_type(desk):
    @desk.blame
    async def handler(room_id: str, db: Annotated[Database, use(current_user)]): ...

    desk.include(handler)


@mistake(RouteSetupError, "deps takes a list: write deps=[Database]")
def one_factory_for_deps(desk):
    Triows(deps=Database)


# Resources of the application


def app_resource(desk, factory):
    async def handler(room_id: str, value: Annotated[Any, use(factory, scope="app")]): ...

    desk.include(handler)


@mistake(DependencyError, "`limit` would come from a request", 'drop scope="app"', "needed by: ")
def a_parameter_in_an_application_resource(desk):
    @desk.blame
    def pool(limit: int): ...

    app_resource(desk, pool)


@mistake(DependencyError, "`limit` would come from a request", "take the parameter out")
def a_marked_parameter_in_an_application_resource(desk):
    @desk.blame
    def pool(limit: Annotated[int, Param("header")] = 5): ...

    app_resource(desk, pool)


@mistake(DependencyError, "`ws` is the WebSocket of one connection", 'drop scope="app"')
def a_websocket_in_an_application_resource(desk):
    @desk.blame
    def pool(ws: WebSocket): ...

    app_resource(desk, pool)


@mistake(DependencyError, "`tasks` is the nursery of one connection")
def a_nursery_in_an_application_resource(desk):
    @desk.blame
    async def pool(tasks: trio.Nursery):
        yield

    app_resource(desk, pool)


@mistake(
    DependencyError,
    "lives as long as a connection, and",
    "as long as the application",
    'use(Database, scope="app")',
)
def a_connections_resource_in_an_application_resource(desk):
    @desk.blame
    def pool(database: Annotated[Database, use(Database)]): ...

    app_resource(desk, pool)


@mistake(MissingProviderError, "nothing makes the Database", 'deps=[use(factory, scope="app")]')
def a_type_that_nothing_makes_in_an_application_resource(desk):
    @desk.blame
    def pool(database: Database): ...

    app_resource(desk, pool)


@mistake(MissingProviderError, "nothing makes the Body")
def a_structure_in_an_application_resource(desk):
    @desk.blame
    def pool(settings: Body): ...

    app_resource(desk, pool)


# The application


@mistake(RouteSetupError, "isn't a route", "write include_routes(route, ...)")
def a_list_of_routes(desk):
    desk.app.include([desk.route])


@mistake(RouteSetupError, "isn't a route", "write Triows(route, ...), or Triows(*routes)")
def a_list_of_routes_for_a_new_application(desk):
    Triows([desk.route])


@mistake(RouteSetupError, "isn't a route", "give other applications to app.mount()")
def a_route_of_another_framework(desk):
    Triows(Route("/", print))


@mistake(RouteSetupError, "isn't a route: it is a handler", "`@route.endpoint` above")
def a_handler_for_a_route(desk):
    @desk.route.endpoint
    @desk.blame
    async def talk(ws: WebSocket, room_id: str): ...

    Triows(talk)


@mistake(
    RouteSetupError, "isn't a route: it is a handler", "put `@route.get` or `@route.endpoint` above"
)
def a_handler_to_merge(desk):
    @desk.blame
    async def talk(ws: WebSocket, room_id: str): ...

    desk.route.merge(talk)


@mistake(RouteSetupError, "write merge(route, ...), or merge(*routes) for a list")
def a_list_of_routes_to_merge(desk):
    desk.route.merge([WebSocketRoute("log")])


@mistake(RouteSetupError, "the class WebSocketRoute isn't", "`route = WebSocketRoute(path)`")
def the_class_of_routes(desk):
    Triows(WebSocketRoute)


@mistake(RouteSetupError, "'rooms' isn't a route", "`route = WebSocketRoute('rooms')`")
def a_path_for_a_route(desk):
    Triows("rooms")


@mistake(RouteSetupError, "isn't a route", "without calling the handler")
def a_handler_that_was_called_for_a_route(desk):
    async def talk(): ...

    desk.app.include(talk())


@mistake(RouteSetupError, "isn't a route", "give other applications to app.mount()")
def an_application_for_a_route(desk):
    Triows(Triows())


@mistake(RouteSetupError, "not <WebSocketRoute '/rooms/{room_id}'>", "call include_routes()")
def a_route_to_mount(desk):
    desk.app.mount("/", desk.route)


@mistake(RouteSetupError, "origins takes a list: write origins=['https://example.org']")
def one_origin(desk):
    Triows(origins="https://example.org")


@mistake(RouteSetupError, "origins takes a list: write origins=['*']")
def one_origin_for_a_route(desk):
    WebSocketRoute("a", origins="*")


@mistake(RouteSetupError, "'example.org' isn't an origin", "write scheme and host")
def an_origin_without_a_scheme(desk):
    Triows(origins=["example.org"])


@mistake(
    RouteSetupError,
    "'https://example.org/' isn't an origin",
    "an origin has no path, so write 'https://example.org'",
)
def an_origin_with_a_path(desk):
    desk.route = WebSocketRoute("rooms/{room_id}", origins=["https://example.org/"])

    @desk.blame
    async def handler(room_id: str): ...

    desk.include(handler)


@mistake(RouteSetupError, "middlewares takes a list")
def one_middleware(desk):
    Triows(middlewares=print)


@mistake(
    RouteSetupError, "GZipMiddleware object", "give the class, `Middleware(GZipMiddleware, ...)`"
)
def an_instance_of_a_middleware(desk):
    Triows(middlewares=[GZipMiddleware(Triows())])


@mistake(
    RouteSetupError, "GZipMiddleware object", "give the class, `Middleware(GZipMiddleware, ...)`"
)
def an_instance_of_a_middleware_in_starlettes_description(desk):
    Triows(middlewares=[Middleware(GZipMiddleware(Triows()))])


@mistake(
    RouteSetupError, "GZipMiddleware object", "give the class, `Middleware(GZipMiddleware, ...)`"
)
def an_instance_of_a_middleware_around_a_route(desk):
    desk.route.add_middleware(GZipMiddleware(Triows()))

    async def handler(ws: WebSocket, room_id: str): ...

    desk.include(handler)


@mistake(RouteSetupError, "is an ASGI application, and", "write `def middleware(app): ...`")
def an_application_for_a_middleware(desk):
    @desk.blame
    async def asgi(scope, receive, send): ...

    Triows(middlewares=[asgi])


@mistake(RouteSetupError, "made a coroutine, which isn't an ASGI application", "write `def` there")
def a_middleware_that_is_made_by_an_async_function(desk):
    @desk.blame
    async def middleware(app): ...

    Triows(middlewares=[middleware])


@mistake(RouteSetupError, "made None, which isn't", "return an `async def` that takes scope")
def a_middleware_that_makes_nothing(desk):
    @desk.blame
    def middleware(app): ...

    Triows(middlewares=[middleware])


@mistake(RouteSetupError, "made a Middle", "`async def __call__(self, scope, receive, send)`")
def a_middleware_that_can_not_be_called(desk):
    class Middle:
        def __init__(self, app): ...

    Triows(middlewares=[Middle])


@mistake(RouteSetupError, "missing a required argument: 'key'", "Middleware(")
def a_middleware_that_needs_more(desk):
    class Middle:
        def __init__(self, app, key): ...

    Triows(middlewares=[Middle])


@mistake(RouteSetupError, "unexpected keyword argument 'size'", "Middleware(GZipMiddleware, ...)")
def a_middleware_with_an_argument_that_it_does_not_take(desk):
    Triows(middlewares=[Middleware(GZipMiddleware, size=1)])


@mistake(RouteSetupError, "dispatch=", "for WebSockets write a factory, and give it as deps=")
def a_middleware_of_requests(desk):
    @desk.blame
    async def log(request, call_next): ...

    Triows(middlewares=[log])


@mistake(RouteSetupError, "middlewares= takes classes, functions and Middleware(...), not 'gzip'")
def a_name_for_a_middleware(desk):
    Triows(middlewares=["gzip"])


@mistake(RouteSetupError, "middlewares= takes classes, functions and Middleware(...), not <class")
def starlettes_description_itself_for_a_middleware(desk):
    Triows(middlewares=[Middleware])


@mistake(RouteSetupError, "plugins takes a list")
def one_plugin(desk):
    async def handler(room_id: str): ...

    desk.include(handler, plugins=print)


@mistake(RouteSetupError, "lifespan= takes a function of the application, not 'on'")
def a_lifespan_that_can_not_be_called(desk):
    Triows(lifespan="on")


@mistake(RouteSetupError, "leave the parentheses out, and write lifespan=", "connect")
def a_lifespan_that_was_called(desk):
    @contextlib.asynccontextmanager
    async def connect(app):
        yield

    Triows(lifespan=connect(desk.app))


@mistake(RouteSetupError, "leave the parentheses out, and write lifespan=", "connect")
def a_lifespan_that_was_called_without_a_decorator(desk):
    async def connect(app):
        yield

    Triows(lifespan=connect(desk.app))


@mistake(RouteSetupError, "leave the parentheses out, and write lifespan=", "connect")
def a_lifespan_that_was_called_and_does_not_yield(desk):
    async def connect(app): ...

    Triows(lifespan=connect(desk.app))


@mistake(RouteSetupError, "connect is an async function without a yield", "@asynccontextmanager")
def a_lifespan_that_is_a_coroutine_function(desk):
    @desk.blame
    async def connect(app): ...

    Triows(lifespan=connect)


@mistake(RouteSetupError, "connect is a function without a yield", "@asynccontextmanager")
def a_lifespan_that_is_a_plain_function(desk):
    @desk.blame
    def connect(app): ...

    Triows(lifespan=functools.partial(connect))


@mistake(
    RouteSetupError, "is under @asynccontextmanager and has no `yield`", "yield the value once"
)
def a_lifespan_whose_yield_was_forgotten(desk):
    @contextlib.asynccontextmanager
    @desk.blame
    async def connect(app): ...

    Triows(lifespan=connect)


@mistake(RouteSetupError, "needs a generator of the other kind", "write `async def`")
def a_lifespan_under_the_async_decorator_that_is_not_async(desk):
    @contextlib.asynccontextmanager
    @desk.blame
    def connect(app):
        yield

    Triows(lifespan=functools.partial(connect))


@mistake(DependencyError, "session is under @contextmanager and has no `yield`")
def a_factory_whose_yield_was_forgotten(desk):
    @contextlib.contextmanager
    @desk.blame
    async def session(): ...

    async def handler(ws: WebSocket): ...

    desk.include(handler, deps=[session])


@mistake(DependencyError, "needs a generator of the other kind", "write `def`")
def a_factory_under_the_wrong_decorator(desk):
    @contextlib.contextmanager
    @desk.blame
    async def session():
        yield

    async def handler(ws: WebSocket, session: Annotated[object, use(session)]): ...

    desk.include(handler)


@mistake(RouteSetupError, "called with the application and nothing else", "missing a required")
def a_lifespan_that_takes_too_much(desk):
    @desk.blame
    async def lifespan(app, database):
        yield

    Triows(lifespan=lifespan)


@mistake(RouteSetupError, "called with the application and nothing else", "too many positional")
def a_lifespan_that_takes_nothing(desk):
    @desk.blame
    async def lifespan():
        yield

    Triows(lifespan=lifespan)


@mistake(ValueError, "close code 1006 can't be sent", "4000-4999")
def a_shutdown_code_that_can_not_be_sent(desk):
    Triows(shutdown_code=1006)


@mistake(
    ValueError,
    "Param() reads from 'path', 'query', 'header', 'cookie', 'body' or 'form', not 'headers'",
)
def a_source_that_there_is_not(desk):
    Param("headers")


@mistake(ValueError, "not 'x-token'. If that is a name in the request, write alias='x-token'")
def a_name_for_a_source(desk):
    Param("x-token")


@mistake(ValueError, "use(scope=...) takes 'connection' or 'app', not 'application'")
def a_scope_that_there_is_not(desk):
    use(Database, scope="application")


# What is true of all of them


def line_of(func):
    """Find the line of *func* in the source."""
    code = func.__code__
    lines = linecache.getlines(code.co_filename)
    begin = code.co_firstlineno
    # The search begins at the first decorator.
    definition = next(line for line in lines[begin - 1 :] if "def " in line)
    assert f"def {func.__name__}(" in definition
    return f"{code.co_filename}:{begin} ({func.__qualname__})"


async def status(app, url):
    try:
        async with connect(app, url):
            return 101
    except WebSocketDenialResponse as refused:
        return refused.status_code


@pytest.mark.parametrize(("make", "error", "says"), CASES)
def test_a_mistake_is_told_with_its_remedy_and_its_place(make, error, says):
    desk = Desk()
    with pytest.raises(error) as caught:
        make(desk)
    assert type(caught.value) is error
    message = str(caught.value)
    assert [part for part in says if part not in message] == []
    if desk.to_blame is not None:
        assert message.endswith(f"\n  at {line_of(desk.to_blame)}")


@pytest.mark.parametrize(("make", "error", "says"), CASES)
async def test_after_a_mistake_everything_is_as_it_was(make, error, says):
    desk = Desk()
    with pytest.raises(error):
        make(desk)
    assert desk.app.routes == []
    assert await status(desk.app, "/rooms/7") == 404
    # The route isn't part of an application, so it can still be changed.
    desk.route.sub("below")
    desk.route.add_middleware(lambda app: app)


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Timeouts)])
@pytest.mark.parametrize("value", [-1, math.nan, None, "10", True])
def test_a_time_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"Timeouts\.{name} must be .* seconds, or math\.inf"):
        Timeouts(**{name: value})


def test_only_a_grace_may_be_no_time_at_all():
    assert Timeouts(disconnect_grace=0, shutdown_grace=0).shutdown_grace == 0
    with pytest.raises(ValueError, match=r"Timeouts\.accept must be more than 0 seconds.*not 0"):
        Timeouts(accept=0)


def test_a_time_may_be_without_limit():
    assert Timeouts(ping_interval=math.inf, send=math.inf).send == math.inf


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, 1.5, math.inf, "10", True])
def test_a_limit_that_is_none_is_refused_by_name(name, value):
    message = rf"Limits\.{name} must be a whole number, 1 or more.*, not {re.escape(repr(value))}"
    with pytest.raises(ValueError, match=message):
        Limits(**{name: value})


def test_only_the_number_of_connections_may_be_without_limit():
    assert Limits(connections=None).connections is None
    with pytest.raises(ValueError, match=r"Limits\.inbox"):
        Limits(inbox=None)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("window_bits", 9, 15), ("memory_level", 1, 9), ("level", 1, 9)],
)
def test_a_number_of_compression_out_of_its_range_is_refused_by_name(name, least, most):
    for value in (least, most):
        assert getattr(Compression(**{name: value}), name) == value
    says = rf"Compression\.{name} must be a whole number from {least} to {most}, not "
    for value in (least - 1, most + 1, 10.5, "9", None, True, math.nan):
        with pytest.raises(ValueError, match=says + re.escape(repr(value))):
            Compression(**{name: value})


# All or nothing


async def first(room_id: str, ws: WebSocket) -> None:
    await ws.accept()


async def second(ws: WebSocket) -> None:
    await ws.accept()


async def wrong(missing: Database) -> None: ...


def routes(*paths_and_handlers):
    made = []
    for path, handler in paths_and_handlers:
        route = WebSocketRoute(path)
        route.endpoint(handler)
        made.append(route)
    return made


@pytest.mark.parametrize(
    "bad",
    [
        ("taken/{other_name}", first),
        ("new", second),  # twice in one call
        ("wrong", wrong),
        ("unmade", second),  # its middleware can't be made
    ],
)
async def test_of_several_routes_all_are_included_or_none(bad):
    app = Triows(*routes(("taken/{room_id}", first)))
    before = app.routes
    good = routes(("new", second), ("new/{room_id}", first))
    (late,) = routes(bad)
    if bad[0] == "unmade":
        late.add_middleware(lambda app: {}["no such key"])
    with pytest.raises((RouteSetupError, KeyError)):
        app.include(*good, late)
    assert app.routes == before
    assert [await status(app, url) for url in ("/taken/1", "/new", "/new/1")] == [101, 404, 404]
    # They can be changed, and included without the wrong one.
    good[0].sub("below").endpoint(second)
    app.include(*good)
    assert [await status(app, url) for url in ("/new", "/new/1", "/new/below")] == [101] * 3


async def test_a_mistake_below_a_route_keeps_all_of_it_out():
    (top,) = routes(("top", second))
    top.sub("below").endpoint(wrong)
    app = Triows()
    with pytest.raises(MissingProviderError):
        app.include(top)
    assert app.routes == []
    assert await status(app, "/top") == 404
    app.include(*routes(("top", second)))
    assert await status(app, "/top") == 101


async def test_a_route_that_was_refused_can_be_included_once_it_is_right():
    route = WebSocketRoute("a")
    with pytest.raises(RouteSetupError):
        route.endpoint(lambda ws: None)
    route.endpoint(deps=[])(second)
    app = Triows(route)
    assert await status(app, "/a") == 101


async def test_a_route_without_a_handler_keeps_the_others_out():
    (good,) = routes(("a", second))
    app = Triows()
    with pytest.raises(RouteSetupError, match="has no handler"):
        app.include(good, WebSocketRoute("b"))
    assert await status(app, "/a") == 404
    good.sub("c")


def test_after_include_nothing_can_be_registered():
    (route,) = routes(("a", second))
    below = route.sub("below")
    Triows(route)

    async def late(ws: WebSocket) -> None: ...

    with pytest.raises(RouteSetupError, match="register everything before including") as caught:
        below.endpoint(late)
    assert str(caught.value).endswith(f"\n  at {line_of(late)}")


async def test_a_mount_that_is_refused_leaves_the_first_one():
    async def app_1(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    app = Triows()
    app.mount("/a", app_1)
    with pytest.raises(RouteConflictError):
        app.mount("/a", print)
    assert await status(app, "/a/b") == 101


@pytest.mark.parametrize("make", [Triows, WebSocketRoute])
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"timeouts": {"send": 1}}, "timeouts takes Timeouts"),
        ({"timeouts": 5}, "timeouts takes Timeouts"),
        ({"limits": 5}, "limits takes Limits"),
        ({"compression": True}, "compression takes Compression"),
        ({"compression": {"level": 1}}, "compression takes Compression"),
        ({"compression": Compression}, "compression takes Compression"),
    ],
)
def test_settings_of_another_kind_are_refused(make, settings, says):
    with pytest.raises(RouteSetupError, match=says):
        make(**settings)


def test_compression_is_an_object_or_false_for_applications_as_for_routes():
    for kind in (Triows, functools.partial(WebSocketRoute, "rooms")):
        kind(compression=False)
        for mistake in (True, 0, {}, Compression):
            with pytest.raises(RouteSetupError, match="compression takes Compression"):
                kind(compression=mistake)
    assert Triows(compression=False).settings.compression is None
