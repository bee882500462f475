"""A kind of route says what its handlers may ask for. A toy kind shows that any kind can."""

from typing import Annotated

import msgspec
import pytest
import starlette.requests
import trio

from tests.injection.kinds import REQUEST, REQUESTS, WEBSOCKETS
from triows import Triows, WebSocket, use
from triows._injection.call import make_arguments
from triows._injection.hosts import ResourceStack
from triows._injection.kinds import APP, NURSERY
from triows._injection.planner import Planner
from triows._injection.query import RequestData
from triows.exceptions import RouteSetupError
from triows.types import Param

Request = starlette.requests.Request


class Item(msgspec.Struct):
    name: str


def refused(handler, kind=REQUESTS):
    with pytest.raises(RouteSetupError) as caught:
        Planner(kind).plan(handler)
    return caught.value.message


def test_a_handler_gets_the_givens_of_its_kind():
    async def handler(request: Request, nursery: trio.Nursery, app: Triows): ...

    assert Planner(REQUESTS).plan(handler).head.givens == (REQUEST, NURSERY, APP)


def test_a_factory_gets_them_too_and_parameters_are_read_as_for_every_kind():
    def user(request: Request, token: Annotated[str, Param("header")]) -> str: ...

    async def handler(user: Annotated[str, use(user)], page: int = 1): ...

    head = Planner(REQUESTS).plan(handler).head
    assert head.givens == (REQUEST,)
    assert [spec.known.alias for spec in head.params] == ["token", "page"]


async def test_the_arguments_of_such_a_handler_are_made_as_for_every_kind(nursery):
    async def user(request: Request, token: Annotated[str, Param("header")]) -> str:
        return f"{token} of {request}"

    async def handler(app: Triows, user: Annotated[str, use(user)], page: int = 1): ...

    plan = Planner(REQUESTS).plan(handler)
    data = RequestData(b"page=2", [(b"token", b"ada")], {}, max_query_parameters=100)
    params, errors = plan.head.read(data)
    own = {REQUEST: "the request", NURSERY: nursery, APP: "the application"}
    values = plan.head.values(params, own, {})
    stack = ResourceStack(nursery, lambda host: None)
    assert errors == []
    assert await make_arguments(plan.body, values, stack, patience=1) == {
        "app": "the application",
        "user": "ada of the request",
        "page": 2,
    }


def test_what_another_kind_gives_is_told_by_the_name_of_ours():
    async def for_request(ws: WebSocket): ...

    async def for_websocket(request: Request): ...

    assert "annotate it `ws: Request`" in refused(for_request)
    assert "annotate it `request: WebSocket`" in refused(for_websocket, WEBSOCKETS)


@pytest.mark.parametrize(
    ("kind", "advice"), [(REQUESTS, "`request: Request`"), (WEBSOCKETS, "`request: WebSocket`")]
)
def test_a_parameter_without_annotation_is_told_what_its_name_means(kind, advice):
    async def handler(request): ...

    assert advice in refused(handler, kind)


def test_a_name_is_unmistakable_in_its_own_kind_only():
    async def handler(request: str): ...

    assert "would be read from the query" in refused(handler)
    assert Planner(WEBSOCKETS).plan(handler).head.params


def test_messages_name_what_a_handler_of_the_kind_serves():
    async def marked(request: Annotated[Request, Param("query")]): ...

    assert "is the request's own Request" in refused(marked)

    def shared(request: Request): ...

    with pytest.raises(RouteSetupError, match="is the Request of one request, and"):
        Planner(REQUESTS).plan_shared(shared)

    def later(tasks: Annotated[str, use(lambda: "")]): ...

    with pytest.raises(RouteSetupError, match="lives as long as a request, and"):
        Planner(REQUESTS).plan_shared(later)


def test_a_default_that_can_not_be_copied_is_refused_in_the_words_of_the_kind():
    class Uncopyable:
        def __deepcopy__(self, memo: object) -> None:
            raise TypeError("no")

    async def handler(
        value: Annotated[Uncopyable, Param("query", decoder=str)] = Uncopyable(),  # noqa: B008
    ): ...

    assert "so each request needs a copy of its own" in refused(handler)


def test_a_factory_of_the_application_gets_the_givens_that_live_as_long():
    def shared(app: Triows): ...

    _, plan = Planner(REQUESTS).plan_shared(shared)
    assert plan.head.givens == (APP,)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [(REQUESTS, "a GET request has no body"), (WEBSOCKETS, "a WebSocket handshake has no body")],
)
def test_the_kind_says_why_there_is_no_body(kind, sentence):
    async def handler(item: Item): ...

    assert f"{sentence} to make a Item from" in refused(handler, kind)
