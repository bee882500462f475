"""The two halves of a plan: a head that is made at once, and a body that is awaited."""

from typing import Annotated

import pytest
import trio

from tests.injection.kinds import WEBSOCKETS
from triows import Triows, WebSocket, use
from triows._injection.call import make_arguments
from triows._injection.hosts import ResourceStack
from triows._injection.kinds import APP, NURSERY
from triows._injection.planner import Planner
from triows._injection.query import RequestData
from triows._param_error import ParamError
from triows._websocket.kind import WEBSOCKET
from triows.exceptions import NotRunningError

OWN = {WEBSOCKET: "the WebSocket", NURSERY: "the nursery", APP: "the application"}


def settings() -> str:
    return "settings"


def connected(database: Annotated[str, use(settings, scope="app")], limit: int) -> str:
    return f"{database} {limit}"


async def handler(
    session: Annotated[str, use(connected)],
    ws: WebSocket,
    limit: int,
    nursery: trio.Nursery,
    page: int,
    app: Triows,
): ...


def request(query):
    return RequestData(query, [], {}, max_query_parameters=100)


@pytest.fixture
def plan():
    return Planner(WEBSOCKETS).plan(handler)


def test_the_head_reads_each_parameter_once(plan):
    assert plan.head.read(request(b"limit=1&page=2")) == ([1, 2], [])
    assert plan.head.read(request(b"limit=x&page=2"))[1] == [
        ParamError("query", "limit", "Expected `int`")
    ]


def test_the_head_makes_its_values_in_the_order_of_its_three_lists(plan):
    assert plan.head.values([1, 2], OWN, {settings: "database"}) == [
        1,
        2,
        "the WebSocket",
        "the nursery",
        "the application",
        "database",
    ]


def test_the_head_makes_nothing_that_nobody_asks_for():
    async def simple(page: int): ...

    assert Planner(WEBSOCKETS).plan(simple).head.values([2], OWN, {settings: "database"}) == [2]


def test_the_head_says_that_the_application_has_not_been_started(plan):
    with pytest.raises(NotRunningError, match=r"settings lives as long as the application"):
        plan.head.values([1, 2], OWN, {})


async def test_the_body_goes_on_with_the_values_of_the_head(plan, nursery):
    values = plan.head.values([1, 2], OWN, {settings: "database"})
    stack = ResourceStack(nursery, lambda host: None)
    assert await make_arguments(plan.body, values, stack, patience=1) == {
        "session": "database 1",
        "ws": "the WebSocket",
        "limit": 1,
        "nursery": "the nursery",
        "page": 2,
        "app": "the application",
    }


async def test_the_body_stops_after_a_factory_that_has_refused(plan, nursery):
    values = plan.head.values([1, 2], OWN, {settings: "database"})
    stack = ResourceStack(nursery, lambda host: None)
    refused = await make_arguments(plan.body, values, stack, patience=1, is_over=lambda: True)
    assert refused is None
