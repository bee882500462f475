"""What a route and a mount add to a scope, and whom they hand it to."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from triows import Limits, Route, Timeouts, WebSocketRoute
from triows._exchange.catchers import Catchers
from triows._exchange.registry import Exchanges
from triows._request.mounted import MountedRequests
from triows._routing.leaf import Match
from triows._routing.template import Template
from triows._settings import Settings
from triows._targets import Entry, Mount
from triows._transports.connection import current
from triows._transports.relay import Relay
from triows._where import where


async def handler() -> None: ...


@frozen
class Noting:
    """An endpoint, and an application, that note the scopes that they get."""

    seen: list[Any]

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.seen.append(("endpoint", dict(scope)))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.seen.append(("application", dict(scope), send))


@pytest.fixture
def seen() -> list[Any]:
    return []


MATCH = Match(None, Template.parse("/{n:int}"), {"n": "007"}, {"n": 7})


async def send(event: Any) -> None:
    await trio.lowlevel.checkpoint()


class Saying:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["said"] = scope["path_params"]["n"]
        await self.app(scope, receive, send)


def entry(seen: list[Any], **settings: Any) -> Entry:
    route = WebSocketRoute("{n:int}", **settings)
    route.endpoint(handler)
    (description,) = route.describe()
    return Entry(description, Noting(seen))


async def test_an_endpoint_gets_the_parameters_of_the_path_as_values_and_as_texts(seen):
    await entry(seen).serve(MATCH, ("007",), {"type": "websocket"}, trio.sleep_forever, send)
    ((who, scope),) = seen
    assert (who, scope["path_params"], scope["path_params"].raw) == (
        *("endpoint", {"n": 7}, {"n": "007"}),
    )
    assert scope["endpoint"] is handler


PREFLIGHT = [
    (b"origin", b"https://example.org"),
    (b"access-control-request-method", b"PUT"),
]


def of_requests(seen: list[Any], *methods: str, **settings: Any) -> Entry:
    route = Route("{n:int}", **settings)
    route.add_endpoint(*methods, func=handler)
    (description,) = route.describe()
    return Entry(description, Noting(seen))


async def answer(served: Entry, headers: Any, method: str = "OPTIONS") -> list[Any]:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(event)

    scope = {"type": "http", "method": method, "headers": headers}
    await served.serve(MATCH, ("007",), scope, trio.sleep_forever, send)
    return sent


CORS = Middleware(CORSMiddleware, allow_origins=["https://example.org"], allow_methods=["PUT"])


async def test_cors_may_be_a_middleware_of_a_route_and_answers_its_preflights(seen):
    start, _ = await answer(of_requests(seen, "PUT", middlewares=[CORS]), PREFLIGHT)
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"access-control-allow-origin"] == b"https://example.org"
    assert headers[b"access-control-allow-methods"] == b"PUT"
    assert seen == []


async def test_a_preflight_that_the_middlewares_pass_on_does_not_reach_the_endpoint(seen):
    start, body = await answer(of_requests(seen, "PUT", middlewares=[Saying]), PREFLIGHT)
    assert (start["status"], list(start["headers"]), body["body"]) == (204, [], b"")
    assert seen == []


@pytest.mark.parametrize("middlewares", [[], [Saying]])
@pytest.mark.parametrize("method", ["OPTIONS", "PUT"])
async def test_the_handler_of_a_method_gets_its_requests(seen, middlewares, method):
    served = of_requests(seen, method, middlewares=middlewares)
    assert served.is_wrapped == bool(middlewares)
    assert await answer(served, [], method) == []
    assert [who for who, _ in seen] == ["endpoint"]


async def test_the_middlewares_of_a_route_are_around_its_endpoint_and_see_the_parameters(seen):
    served = entry(seen, middlewares=[Saying])
    await served.serve(MATCH, ("007",), {"type": "websocket"}, trio.sleep_forever, send)
    assert seen[0][1]["said"] == 7


async def test_another_endpoint_may_take_the_place_of_one(seen):
    served, others = entry(seen), []
    served.endpoint = Noting(others)
    await served.serve(MATCH, ("007",), {"type": "websocket"}, trio.sleep_forever, send)
    assert (len(seen), len(others)) == (0, 1)


# Mounts


def mount(seen: list[Any]) -> tuple[Mount, Exchanges]:
    app, exchanges = Noting(seen), Exchanges(None)
    settings = Settings(Timeouts(), Limits(), None)
    requests = MountedRequests("/sites/{site}", app, settings, exchanges, Catchers())
    return Mount(app, False, requests), exchanges


async def serve(mounted: Mount, *remaining: str, **scope: Any) -> None:
    match = Match(None, Template.parse("/sites/{site}"), {"site": "a"}, {"site": "a"}, remaining)
    scope = {"path": "/sites/a/x", "method": "GET", **scope}
    await mounted.serve(match, ("sites", "a", *remaining), scope, trio.sleep_forever, send)


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_an_application_finds_its_path_in_the_root_path_and_the_parameters(seen, kind):
    mounted, _ = mount(seen)
    await serve(mounted, "x", "y", type=kind, root_path="/proxy", path_params={"outer": 1})
    (_, scope, _) = seen[0]
    assert scope["root_path"] == "/proxy/sites/a"
    assert scope["path_params"] == {"outer": 1, "site": "a"}
    assert scope["path"] == "/sites/a/x"


@pytest.mark.parametrize(("is_ours", "number"), [(False, 1), (True, 0)])
async def test_plain_requests_are_exchanges_unless_the_application_has_its_own(is_ours, number):
    counted: list[int] = []
    exchanges = Exchanges(None)

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        await trio.lowlevel.checkpoint()
        counted.append(exchanges.requests)

    settings = Settings(Timeouts(), Limits(), None)
    requests = MountedRequests("/sites/{site}", counting, settings, exchanges, Catchers())
    await serve(Mount(counting, is_ours, requests), "x", type="http")
    assert counted == [number]


async def test_who_may_leave_a_websocket_open_is_known(seen):
    relay = Relay({"type": "websocket"}, trio.sleep_forever, send, patience=1)
    token = current.set(relay)
    try:
        mounted, _ = mount(seen)
        await serve(mounted, "x", type="websocket")
        assert relay.who == f"the mounted application {where(mounted.app)}"
        await entry(seen, middlewares=[Saying]).serve(
            MATCH, ("007",), {"type": "websocket"}, trio.sleep_forever, send
        )
        assert relay.who == f"the middleware {where(Saying)}"
    finally:
        current.reset(token)
