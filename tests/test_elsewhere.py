"""Names of other frameworks and libraries: each is there under that name, or says what to write."""

import copy
import inspect
import re
from typing import Any, Protocol, runtime_checkable
from unittest.mock import Mock, create_autospec

import aiohttp.web
import pytest
import starlette.applications
import starlette.routing
import starlette.websockets
import trio_websocket
import websockets.asyncio.server

import triows
from tests.connecting import connect
from triows import Route, Triows, WebSocket, WebSocketRoute
from triows._elsewhere import APPLICATION, HTTP_ROUTE, MODULE, ROUTE, WEBSOCKET

websockets_trio = pytest.importorskip(
    "websockets.trio.server", reason="the oldest websockets has no server for Trio"
)

TABLES = {Triows: APPLICATION, Route: HTTP_ROUTE, WebSocketRoute: ROUTE, WebSocket: WEBSOCKET}
NAMES = [
    (cls, name) for cls, table in TABLES.items() for together in table for name in together.split()
]

#: What those who use another library get to see, beside names that need no remedy: they are
#: internal to it, or of HTTP responses, or of a client.
ELSEWHERE = {
    starlette.applications.Starlette: (Triows, ""),
    starlette.routing.Route: (Route, ""),
    starlette.routing.WebSocketRoute: (WebSocketRoute, ""),
    starlette.routing.Router: (WebSocketRoute, "app host not_found"),
    starlette.websockets.WebSocket: (WebSocket, ""),
    trio_websocket.WebSocketConnection: (WebSocket, "CONNECTION_ID is_client is_server"),
    websockets_trio.ServerConnection: (
        WebSocket,
        "acknowledge_pending_pings acknowledge_pings close_stream handshake keepalive "
        "pause_reading process_event recv_events respond resume_reading send_context send_data "
        "set_connection_exc start_keepalive",
    ),
    websockets.asyncio.server.ServerConnection: (
        WebSocket,
        "acknowledge_pings connection_lost connection_made data_received drain eof_received "
        "handshake keepalive pause_writing process_event respond resume_writing send_context "
        "send_data set_connection_exc start_keepalive terminate_pending_pings",
    ),
    aiohttp.web.WebSocketResponse: (
        WebSocket,
        "ATTRS body_length can_prepare charset chunked clear compress compression content_length "
        "content_type del_cookie drain enable_chunked_encoding enable_compression etag "
        "force_close get_extra_info keep_alive last_modified output_length pop popitem prepared "
        "reason send_json_bytes set_status setdefault status task update write_eof",
    ),
}


@pytest.mark.parametrize("other", ELSEWHERE)
def test_a_name_of_another_library_exists_or_says_what_to_write(other):
    ours, without = ELSEWHERE[other]
    known = {name for cls, name in NAMES if cls is ours}
    public = {name for name in dir(other) if not name.startswith("_")}
    assert {name for name in public - known if not hasattr(ours, name)} <= set(without.split())


def made(cls: Any) -> Any:
    """Make an object of a class, as far as is needed to ask it for names."""
    return cls.__new__(cls)


@pytest.mark.parametrize(("cls", "name"), NAMES)
def test_the_name_does_not_exist_and_says_what_to_write(cls, name):
    assert not hasattr(cls, name)
    assert not hasattr(made(cls), name)
    with pytest.raises(AttributeError, match=f"^{cls.__name__} has no '{name}': .*`") as caught:
        getattr(made(cls), name)
    assert caught.value.name == name


@pytest.mark.parametrize("cls", TABLES)
def test_nothing_that_looks_at_a_class_sees_the_names(cls):
    names = {name for one, name in NAMES if one is cls}
    assert names & set(dir(cls)) == set()
    assert names & set(dir(made(cls))) == set()
    assert names & {name for name, _ in inspect.getmembers(cls)} == set()
    for mock in (Mock(spec=cls), Mock(spec=made(cls)), create_autospec(cls)):
        assert [name for name in names if hasattr(mock, name)] == []
    for name in names:
        with pytest.raises(AttributeError):
            inspect.getattr_static(made(cls), name)


@runtime_checkable
class Runs(Protocol):
    def run(self) -> None: ...


@runtime_checkable
class Receives(Protocol):
    def recv(self) -> None: ...


@pytest.mark.parametrize(("cls", "protocol"), [(Triows, Runs), (WebSocket, Receives)])
def test_a_protocol_with_the_name_is_not_implemented(cls, protocol):
    assert not isinstance(made(cls), protocol)
    assert not issubclass(cls, protocol)


def test_an_error_within_a_property_of_a_subclass_is_not_hidden():
    class App(Triows):
        @property
        def broken(self) -> str:
            return self.nothing

    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        App().broken  # noqa: B018 - it raises


@pytest.mark.parametrize(
    ("make", "name", "told"),
    [
        (Triows, "websocket", "decorate the handler with `@route.endpoint`"),
        (Triows, "get", "write `route = Route(path)`, decorate the handler with `@route.get`"),
        (Triows, "route", "write `route = Route(path)`"),
        (Route, "route", "decorate the handler with `@route.get`"),
        (Route, "websocket", "Write `route = WebSocketRoute(path)`, which may have the same path"),
        (WebSocketRoute, "get", "Write `route = Route(path)`, which may have the same path"),
        (Route, "connect", "CONNECT asks a proxy for a host and has no path"),
        (Triows, "include_router", "app.include_routes(route, ...)"),
        (Triows, "on_event", "Triows(lifespan=lifespan)"),
        (WebSocketRoute, "websocket", "`@route.endpoint`"),
        (WebSocketRoute, "include_router", "route.merge(other)"),
    ],
)
def test_a_decorator_of_another_framework_says_what_to_write(make, name, told):
    with pytest.raises(AttributeError) as caught:
        getattr(make(), name)("/rooms")
    assert told in str(caught.value)


async def test_a_handler_that_calls_a_method_of_another_library_is_told_in_the_log():
    route = WebSocketRoute("ws")

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_str("hello")

    with pytest.raises(AttributeError, match=r"write `await ws.send_text\(text\)`"):
        async with connect(Triows(route), "/ws") as client:
            await client.expect_close(1011)


@pytest.mark.parametrize("make", [Triows, Route, WebSocketRoute])
def test_any_other_name_is_missing_as_everywhere(make):
    thing = make()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'") as caught:
        thing.nothing  # noqa: B018 - it raises
    assert (caught.value.name, caught.value.obj) == ("nothing", thing)


@pytest.mark.parametrize("make", [Triows, Route, WebSocketRoute])
def test_prompts_do_not_complete_the_names(make):
    assert set(dir(make())) & {name for cls, name in NAMES if cls is make} == set()


@pytest.mark.parametrize("cls", TABLES)
def test_what_looks_at_a_class_is_not_disturbed(cls):
    create_autospec(cls)
    assert dict(inspect.getmembers(cls))["__init__"] is cls.__init__
    assert isinstance(copy.copy(cls.__new__(cls)), cls)


def test_a_subclass_may_have_the_name():
    class App(Triows):
        config = "mine"

        def get(self) -> str:
            return self.config

    app = App()
    app.router = "mine"
    assert (app.get(), app.router) == ("mine", "mine")


def test_another_base_of_a_subclass_may_have_the_name():
    class Running:
        config = ("debug",)

        def run(self) -> str:
            return "running"

    class App(Triows, Running):
        pass

    assert App().run() == "running"
    assert App().config == ("debug",)
    assert {"run", "config"} <= set(dir(App()))
    assert "run" not in dir(Triows())


@pytest.mark.parametrize("name", [name for together in MODULE for name in together.split()])
def test_a_name_of_another_package_does_not_exist_and_says_what_to_write(name):
    assert not hasattr(triows, name)
    with pytest.raises(AttributeError, match=f"^module 'triows' has no attribute '{name}': .*`"):
        getattr(triows, name)


#: Names of lihil that need no remedy. All but the first two are of its channels.
OF_CHANNELS = (
    "MISSING VERSION EVENT_NOT_FOUND TOPIC_NOT_FOUND ErrorPayload InMemorySocketBus "
    "MessageEnvelope ReplyPayload SocketBus SocketError error_payload reply_payload"
)


@pytest.mark.parametrize(("module", "without"), [("lihil", OF_CHANNELS), ("fastapi", "")])
def test_what_programs_import_from_another_package_exists_or_says_what_to_write(module, without):
    theirs = vars(pytest.importorskip(module))
    names = {
        name
        for name, value in theirs.items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    known = {name for together in MODULE for name in together.split()}
    assert {one for one in names - known if not hasattr(triows, one)} == set(without.split())


IMPORTS = [
    (name, found[0].format(name=name))
    for together, remedy in MODULE.items()
    for name in together.split()
    if (found := re.findall("from [a-z_.]+ import [^`]*", remedy))
]


@pytest.mark.parametrize(("name", "line"), IMPORTS)
def test_what_the_sentence_says_to_import_can_be_imported(name, line):
    exec(line)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Text", "annotate the handler `-> str`"),
        ("Json", "write `JSON[TYPE]`"),
        ("Empty", "annotate the handler `-> None`"),
        ("Stream", "`-> EventStream` for server-sent events"),
        ("SSE", "yield `ServerSentEvent(data, event=...)`"),
        ("Form", 'write `Annotated[TYPE, Param("form")]`'),
        ("Controller", "write a function for each method, with `@route.get`"),
        ("File", "annotate the parameter `file: UploadFile`"),
        ("Body", 'write `Annotated[TYPE, Param("body")]`'),
        ("Payload", "derive from `msgspec.Struct`"),
        ("problem_solver", "write `@app.catch(Error)`"),
        ("ProblemDetail", "`raise Problem(detail, members={...})` says"),
        ("LocalClient", "write `with TestClient(Triows(route)) as client:`"),
        ("JSONResponse", "write `from starlette.responses import JSONResponse`"),
        ("CORSMiddleware", "`from starlette.middleware.cors import CORSMiddleware`"),
    ],
)
def test_names_for_http_say_what_to_write(name, told):
    with pytest.raises(AttributeError) as caught:
        getattr(triows, name)
    assert told in str(caught.value)


def test_running_an_application_is_told_by_the_package():
    with pytest.raises(AttributeError, match=r"`triows run module:app` in a terminal, or `await"):
        triows.run(Triows())


def test_any_other_name_is_missing_from_the_package_as_everywhere():
    with pytest.raises(AttributeError, match=r"^module 'triows' has no attribute 'nothing'$"):
        triows.nothing  # noqa: B018 - it raises
