"""What handlers of requests may ask for, and what is said if they ask for something else."""

import collections.abc
import typing
from typing import Annotated, Any

import pytest
import starlette.requests
import trio
from starlette.requests import HTTPConnection

from triows import (
    HandlerSignatureError,
    Param,
    Request,
    ResponseHeaders,
    Route,
    RouteSetupError,
    Triows,
    Upload,
    WebSocket,
    use,
)
from triows._injection.kinds import APP, NURSERY
from triows._request.kind import HEADERS, PARTS, REQUEST, UPLOAD, WITHOUT_BODY, request_kind
from triows.testing import open_app


def app_of(handler: Any, method: str = "POST") -> Triows:
    route = Route("")
    route.add_endpoint(method, func=handler)
    return Triows(route)


@pytest.mark.parametrize("method", ["GET", "POST", "PURGE"])
def test_a_handler_may_ask_for_the_request_the_nursery_and_the_application(method):
    givens = request_kind(Triows, method).givens
    assert givens[Request] is givens[starlette.requests.Request] is REQUEST
    assert (givens[trio.Nursery], givens[Triows]) == (NURSERY, APP)
    assert givens[ResponseHeaders] is HEADERS


@pytest.mark.parametrize(
    "annotation",
    [
        collections.abc.AsyncIterator[bytes],
        collections.abc.AsyncIterable[bytes],
        typing.AsyncIterator[bytes],
        typing.AsyncIterable[bytes],
    ],
)
async def test_the_body_as_it_comes_has_these_types(annotation):
    assert request_kind(Triows, "PUT").givens[annotation] is PARTS

    async def handler(parts: annotation) -> int:
        return sum([len(part) async for part in parts])

    async with open_app(app_of(handler)) as client:
        assert (await client.post("/", content=b"12345")).json() == 5


@pytest.mark.parametrize("method", sorted(WITHOUT_BODY))
def test_a_method_whose_body_means_nothing_has_none_to_ask_for(method):
    kind = request_kind(Triows, method)
    assert kind.body is None
    assert {PARTS, UPLOAD}.isdisjoint(kind.givens.values())
    assert kind.no_body == f"a {method} request has no body"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def test_every_other_method_may_have_a_body(method):
    kind = request_kind(Triows, method)
    assert kind.body is not None
    assert {PARTS, UPLOAD} <= set(kind.givens.values())


async def test_both_classes_of_requests_are_the_same_object():
    async def handler(
        ours: Request, theirs: starlette.requests.Request, app: Triows, nursery: trio.Nursery
    ) -> bool:
        return isinstance(theirs, Request) and ours.app is app and nursery is not None

    async with open_app(app_of(handler)) as client:
        assert (await client.post("/")).json() is True


async def test_a_factory_may_ask_for_them_too():
    def get_agent(request: Request) -> str:
        return request.headers["user-agent"]

    async def handler(agent: Annotated[str, use(get_agent)]) -> str:
        return agent

    async with open_app(app_of(handler)) as client:
        assert (await client.post("/", headers={"user-agent": "tests"})).text == "tests"


async def named_only(request) -> None: ...


async def for_websockets(ws: WebSocket) -> None: ...


async def for_any(connection: HTTPConnection) -> None: ...


async def nursery_only(nursery: Any) -> None: ...


@pytest.mark.parametrize(
    ("handler", "meant"),
    [
        (named_only, "request: Request"),
        (for_websockets, "Request"),
        (for_any, "Request"),
    ],
)
def test_names_of_other_places_are_explained(handler, meant):
    with pytest.raises(RouteSetupError) as caught:
        app_of(handler)
    assert meant in str(caught.value)


def test_what_is_given_is_not_read_from_the_request():
    async def handler(request: Annotated[Request, Param("query")]) -> None: ...

    with pytest.raises(HandlerSignatureError, match="is the request's own Request"):
        app_of(handler)


@pytest.mark.parametrize("given", [Request, ResponseHeaders, trio.Nursery, Upload])
def test_a_resource_of_the_application_can_not_have_what_belongs_to_one_request(given):
    def get_text(it: given) -> str:
        return "text"

    async def handler(text: Annotated[str, use(get_text, scope="app")]) -> None: ...

    with pytest.raises(RouteSetupError, match="lives as long as the application"):
        app_of(handler)
