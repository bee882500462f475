"""What a path leads to decides who serves a request, or how it is refused."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import unquote

import pytest
import trio

from tests.transports.scripted import CONNECT, ScriptedServer
from triows import Limits, Route, Timeouts, WebSocketRoute
from triows._dispatch import Dispatcher
from triows._exchange.catchers import Catchers
from triows._routing.leaf import Match
from triows._routing.router import Router
from triows._routing.template import Template
from triows._settings import Settings


class Noting:
    """A target that notes what it gets."""

    def __init__(self) -> None:
        self.served: list[tuple[Match[Any], tuple[str, ...], str]] = []
        self.is_wrapped = False

    async def serve(
        self, match: Match[Any], segments: tuple[str, ...], scope: Any, receive: Any, send: Any
    ) -> None:
        await trio.lowlevel.checkpoint()
        self.served.append((match, segments, scope["type"]))


async def handler() -> None: ...


@pytest.fixture
def target() -> Noting:
    return Noting()


@pytest.fixture
def catchers() -> Catchers:
    return Catchers()


@pytest.fixture
def dispatcher(target, catchers) -> Dispatcher:
    """
    Serve all kinds of paths.

    /live is for WebSockets. /users and /asked are for requests. /both/{id} and /feed are for both.
    /files is a mount.
    """
    router: Router[Any] = Router()
    for path in ("live", "both/{id}", "feed"):
        sockets = WebSocketRoute(path)
        sockets.endpoint(handler)
        router.add((description, target) for description in sockets.walk())
    methods = {"users": ("POST", "GET"), "both/{id}": ("GET",), "feed": ("POST",)}
    for path, several in {**methods, "asked": ("OPTIONS",)}.items():
        route = Route(path)
        route.add_endpoint(*several, func=handler)
        router.add((description, target) for description in route.walk())
    router.mount(Template.parse("/files"), target)
    return Dispatcher(router, Settings(Timeouts(), Limits(), None), catchers)


def scope(path: str, method: str = "GET") -> dict[str, Any]:
    return {
        "type": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "method": method,
        "headers": [],
    }


async def asked(
    dispatcher: Dispatcher, path: str, method: str = "GET", *, preflight: str | None = None
) -> Any:
    """Make a plain request. Return the status, the headers and the problem, if it was refused."""
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    made = scope(path, method)
    if preflight is not None:
        made["headers"] = [(b"access-control-request-method", preflight.encode())]
    await dispatcher(made, trio.sleep_forever, send)
    if not sent:
        return None
    start, body = sent
    return start["status"], dict(start["headers"]), json.loads(body["body"] or b"null")


async def connected(dispatcher: Dispatcher, path: str) -> int | None:
    """Ask for a WebSocket. Return the status, if it was refused."""
    server = ScriptedServer()
    await server.put(CONNECT)
    websocket = {**server.scope, "path": unquote(path), "raw_path": path.encode()}
    await dispatcher(websocket, server.receive, server.send)
    return server.sent[0]["status"] if server.sent else None


@pytest.mark.parametrize(
    ("path", "method", "params"),
    [("/users", "GET", {}), ("/users", "POST", {}), ("/both/7", "GET", {"id": "7"})],
)
async def test_a_request_is_served_by_the_target_of_its_method(
    dispatcher, target, path, method, params
):
    assert await asked(dispatcher, path, method) is None
    ((match, segments, kind),) = target.served
    assert (match.params, segments, kind) == (params, tuple(path.strip("/").split("/")), "http")


@pytest.mark.parametrize("path", ["/live", "/both/7"])
async def test_a_websocket_is_served_by_the_target_of_websockets(dispatcher, target, path):
    assert await connected(dispatcher, path) is None
    ((_, _, kind),) = target.served
    assert kind == "websocket"


async def test_a_mount_serves_both_kinds_and_all_methods(dispatcher, target):
    assert await asked(dispatcher, "/files/a/b", "PROPFIND") is None
    assert await connected(dispatcher, "/files/a/b") is None
    assert [(match.remaining, kind) for match, _, kind in target.served] == [
        (("a", "b"), "http"),
        (("a", "b"), "websocket"),
    ]


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/users", b"GET, HEAD, OPTIONS, POST"), ("/both/7", b"GET, HEAD, OPTIONS")],
)
async def test_a_path_with_other_methods_is_405_and_says_which(dispatcher, target, path, allow):
    status, headers, problem = await asked(dispatcher, path, "DELETE")
    assert (status, headers[b"allow"], problem["title"]) == (405, allow, "Method Not Allowed")
    assert target.served == []


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/users", b"GET, HEAD, OPTIONS, POST"), ("/both/7", b"GET, HEAD, OPTIONS")],
)
async def test_options_without_a_handler_is_answered_with_the_methods(
    dispatcher, target, path, allow
):
    assert await asked(dispatcher, path, "OPTIONS") == (204, {b"allow": allow}, None)
    assert target.served == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_preflight_goes_to_the_middlewares_of_the_route_that_is_asked_for(
    dispatcher, target, method
):
    target.is_wrapped = True
    assert await asked(dispatcher, "/users", "OPTIONS", preflight=method) is None
    ((match, _, _),) = target.served
    assert match.value is target


@pytest.mark.parametrize(
    ("method", "is_wrapped"), [("GET", False), ("DELETE", True), ("", True), ("websocket", True)]
)
async def test_a_preflight_that_no_middleware_can_answer_is_answered_with_the_methods(
    dispatcher, target, method, is_wrapped
):
    target.is_wrapped = is_wrapped
    status, headers, _ = await asked(dispatcher, "/both/7", "OPTIONS", preflight=method)
    assert (status, headers[b"allow"]) == (204, b"GET, HEAD, OPTIONS")
    assert target.served == []


async def test_only_options_asks_before_a_request(dispatcher, target):
    target.is_wrapped = True
    assert (await asked(dispatcher, "/users", "DELETE", preflight="GET"))[0] == 405
    assert (await asked(dispatcher, "/live", "OPTIONS", preflight="GET"))[0] == 426


async def test_options_with_a_handler_is_served_by_it(dispatcher, target):
    assert await asked(dispatcher, "/asked", "OPTIONS") is None
    assert (await asked(dispatcher, "/asked", "GET"))[1][b"allow"] == b"OPTIONS"
    assert len(target.served) == 1


@pytest.mark.parametrize("path", ["/users", "/both/7"])
async def test_head_is_served_by_the_target_of_get(dispatcher, target, path):
    assert await asked(dispatcher, path, "HEAD") is None
    assert await asked(dispatcher, path, "GET") is None
    (head, _, _), (get, _, _) = target.served
    assert head == get


async def test_a_path_with_both_kinds_but_without_get_is_405(dispatcher):
    status, headers, _ = await asked(dispatcher, "/feed")
    assert (status, headers[b"allow"]) == (405, b"OPTIONS, POST")
    assert b"upgrade" not in headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
async def test_a_path_with_nothing_but_a_websocket_is_426(dispatcher, method):
    status, headers, problem = await asked(dispatcher, "/live", method)
    assert (status, headers[b"upgrade"]) == (426, b"websocket")
    assert problem["detail"] == "this address speaks WebSocket only"


async def test_a_question_to_the_server_itself_is_answered(dispatcher, target):
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    await dispatcher(scope("*", "OPTIONS"), trio.sleep_forever, send)
    assert (sent[0]["status"], list(sent[0]["headers"]), sent[1]["body"]) == (204, [], b"")
    assert target.served == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/user", 404),
        ("/users/1", 404),
        ("/users/", 404),
        ("//users", 404),
        ("/%ff", 400),
    ],
)
async def test_a_path_that_leads_to_nothing_is_404_and_one_that_can_not_be_read_is_400(
    dispatcher, path, status
):
    assert (await asked(dispatcher, path))[0] == status
    assert await connected(dispatcher, path) == status


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/users", "? '/users' refused 404 (the route of this path isn't one for WebSockets)"),
        ("/nothing", "? '/nothing' refused 404 (no route has this path)"),
    ],
)
async def test_the_log_says_why_a_websocket_was_refused(dispatcher, caplog, path, line):
    caplog.set_level(logging.INFO, "triows")
    assert await connected(dispatcher, path) == 404
    assert caplog.messages == [line]


@pytest.mark.parametrize(
    ("method", "path", "line"),
    [
        ("GET", "/nothing", "? GET '/nothing' refused 404 (no route has this path)"),
        (
            "DELETE",
            "/users",
            "? DELETE '/users' refused 405 (the route takes GET, HEAD, OPTIONS, POST)",
        ),
        ("OPTIONS", "/users", "? OPTIONS '/users' answered 204"),
        ("OPTIONS", "*", "? OPTIONS '*' answered 204"),
    ],
)
async def test_the_log_has_a_line_for_a_plain_request_that_reaches_no_handler(
    dispatcher, caplog, method, path, line
):
    caplog.set_level(logging.INFO, "triows")
    await asked(dispatcher, path, method)
    assert caplog.messages == [line]
