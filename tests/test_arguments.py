"""An argument that a function doesn't have is refused with what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import starlette.applications
import starlette.routing
import starlette.staticfiles
import starlette.testclient
import trio_websocket
import websockets.asyncio.client
from aiohttp import ClientSession
from hypercorn.config import Config

import triows
from triows import (
    Compression,
    Limits,
    Param,
    Route,
    Timeouts,
    Triows,
    WebSocketRoute,
    _arguments,
    use,
)
from triows.testing import AppClient, TestClient, open_app, open_server


def connecting(**options: Any) -> Any:
    return AppClient.websocket_connect(None, "/", **options)  # type: ignore[arg-type]


def connecting_in_sync(**options: Any) -> Any:
    return TestClient(Triows()).websocket_connect("/", **options)


async def serving(**options: Any) -> None:
    await triows.serve(Triows(), Config(), **options)


CALLS: dict[Callable[..., Any], tuple[str, dict[str, str]]] = {
    Triows: ("Triows", _arguments.APPLICATION),
    WebSocketRoute: ("WebSocketRoute", _arguments.ROUTE),
    Route: ("Route", _arguments.HTTP_ROUTE),
    Route().get: ("Route.get", _arguments.HTTP_ROUTE),
    Route().trace: ("Route.trace", _arguments.HTTP_ROUTE),
    Route().add_endpoint: ("Route.add_endpoint", _arguments.HTTP_ROUTE),
    WebSocketRoute().endpoint: ("WebSocketRoute.endpoint", _arguments.ROUTE),
    Triows().static: ("Triows.static", _arguments.STATIC),
    Timeouts: ("Timeouts", _arguments.SETTINGS),
    Limits: ("Limits", _arguments.SETTINGS),
    Compression: ("Compression", _arguments.SETTINGS),
    Param: ("Param", _arguments.SIGNATURE),
    use: ("use", _arguments.SIGNATURE),
    connecting: ("AppClient.websocket_connect", _arguments.CONNECTING),
    connecting_in_sync: ("TestClient.websocket_connect", _arguments.CONNECTING),
    lambda **options: open_app(Triows(), **options): ("open_app", _arguments.OPENING),
    lambda **options: open_server(Triows(), **options): ("open_server", _arguments.OPENING),
    lambda **options: TestClient(Triows(), **options): ("TestClient", _arguments.OPENING),
    lambda **options: triows.serve(Triows(), Config(), **options): ("serve", _arguments.SERVING),
}


@pytest.mark.parametrize("call", CALLS, ids=[name for name, _ in CALLS.values()])
def test_an_unknown_argument_is_told_with_what_there_is(call):
    with pytest.raises(TypeError) as caught:
        call(nonsense=1)
    assert str(caught.value).startswith(f"{CALLS[call][0]}() has no argument 'nonsense': it takes ")


@pytest.mark.parametrize("call", CALLS, ids=[name for name, _ in CALLS.values()])
def test_an_argument_of_another_library_is_told_with_what_to_write(call):
    called, remedies = CALLS[call]
    with pytest.raises(TypeError) as caught:
        call(nonsense=1)
    known = str(caught.value).rpartition("it takes ")[2].split(", ")
    for together, remedy in remedies.items():
        for name in set(together.split()) - set(known):
            with pytest.raises(TypeError) as caught:
                call(**{name: None})
            assert str(caught.value) == f"{called}() has no argument {name!r}: {remedy}"


#: Functions that people use elsewhere, and those that they then write here.
ELSEWHERE = [
    (starlette.testclient.TestClient, TestClient, _arguments.OPENING),
    (trio_websocket.open_websocket_url, AppClient.websocket_connect, _arguments.CONNECTING),
    (starlette.applications.Starlette, Triows, _arguments.APPLICATION),
    (starlette.staticfiles.StaticFiles, Triows.static, _arguments.STATIC),
    (starlette.routing.Route, Route, _arguments.HTTP_ROUTE),
    (starlette.routing.Router, Route, _arguments.HTTP_ROUTE),
    (starlette.routing.WebSocketRoute, WebSocketRoute, _arguments.ROUTE),
]

#: Their arguments that need no remedy.
WITHOUT = {"receive_buffer_size"}


@pytest.mark.parametrize(("theirs", "ours", "remedies"), ELSEWHERE)
def test_all_arguments_of_the_function_elsewhere_are_known(theirs, ours, remedies):
    told = {name for names in remedies for name in names.split()}
    here = set(inspect.signature(ours).parameters)
    there = set(inspect.signature(theirs).parameters)
    assert there - here - told - WITHOUT == set()


#: What decorators of FastAPI and lihil take, which are not among what the tests need.
DECORATING = """
    path response_model status_code tags dependencies summary description response_description
    responses deprecated operation_id response_model_include response_model_exclude
    response_model_by_alias response_model_exclude_unset response_model_exclude_defaults
    response_model_exclude_none include_in_schema response_class name callbacks openapi_extra
    generate_unique_id_function form_limits methods endpoint
    errors problems in_schema to_thread scoped auth_scheme encoder plugins deps
"""


def test_all_arguments_of_decorators_elsewhere_are_known():
    told = {name for names in _arguments.HTTP_ROUTE for name in names.split()}
    here = set(inspect.signature(Route().get).parameters)
    assert set(DECORATING.split()) - told - here == set()


def test_the_usual_arguments_of_other_clients_are_known():
    told = {name for names in _arguments.CONNECTING for name in names.split()}
    here = set(inspect.signature(AppClient.websocket_connect).parameters)
    usual = {"cookies", "params", "auth", "origin", "extra_headers", "subprotocols", "timeout"}
    for client in (websockets.asyncio.client.connect.__init__, ClientSession.ws_connect):
        usual |= {"compression", "max_size", "ssl", "heartbeat"} & set(
            inspect.signature(client).parameters
        )
    assert usual - told - here == set()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: Timeouts(ping=3), "Timeouts() has no argument 'ping': did you mean ping_interval"),
        (lambda: Timeouts(sned=3), "did you mean send?"),
        (lambda: Timeouts(3), "takes its arguments by name, as in Timeouts(handshake=...)"),
        (lambda: Limits(max_size=3), "write message_size=..."),
        (lambda: Triows(routes=[]), "write Triows(route, ...)"),
        (lambda: Route(methods=["GET"]), "each method has a decorator, such as `@route.get`"),
        (
            lambda: Route("/users", connecting),
            "Route() doesn't take connecting in that place: decorate the handler with `@route.get`",
        ),
        (
            lambda: WebSocketRoute("/ws", connecting),
            "doesn't take connecting in that place: decorate the handler with `@route.endpoint`",
        ),
        (lambda: Route("/users", [1]), "Route() doesn't take [1] in that place: name it, as one"),
        (lambda: Param("query", "name"), "doesn't take 'name' in that place: name it, as one of"),
        (lambda: Route(status_code=201), "write `@route.get(status=...)`"),
        (lambda: Route().post(response_model=int), "the return annotation says what is sent"),
        (lambda: Route().post(status_code=201), "write `@route.get(status=...)`"),
        (lambda: Route().get(to_thread=True), "a `def` runs in a thread, and an `async def`"),
        (lambda: Route().get(methods=["GET"]), "route.add_endpoint('GET', 'POST', func=handler)"),
        (lambda: Route().get(tags=["a"]), "triows makes no schema"),
        (lambda: Route().get(encoder=str), "Return bytes, or a Response, for another encoding"),
        (lambda: Triows(timeout=Timeouts()), "write timeouts=Timeouts(...)"),
        (lambda: connecting(cookies={"a": "b"}), 'write headers={"cookie": "name=value"}'),
        (lambda: connecting_in_sync(cokies={}), "did you mean cookies?"),
    ],
)
def test_the_remedy_fits_what_was_meant(call, told):
    with pytest.raises(TypeError) as caught:
        call()
    assert told in str(caught.value)


async def test_a_server_gets_its_address_by_its_configuration():
    with pytest.raises(TypeError, match=r"serve\(\) has no argument 'host': .*config.bind"):
        await serving(host="127.0.0.1")
