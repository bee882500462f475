"""
The ten middlewares that people use most: what each does, for requests and for WebSockets.

Each is tried on an application and on a route. The table in docs/reference/middleware.md says what
is shown here. That the promises for requests hold behind them: tests/request/test_middlewares.py.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
import sentry_sdk
import trio
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from hypercorn.middleware import ProxyFixMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, Counter, make_asgi_app
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.transport import Transport
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from triows import HTTPException, Request, Route, Triows, WebSocket, WebSocketRoute, use
from triows.testing import WebSocketDenialResponse, open_app

FORWARDED = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
SESSIONS = Middleware(SessionMiddleware, secret_key="key")


def counting(counter: Counter) -> Any:
    """Count what is answered and accepted, as docs/reference/middleware.md shows it."""

    def middleware(app: Any) -> Any:
        async def count(scope: Any, receive: Any, send: Any) -> None:
            async def counted(event: Any) -> None:
                if event["type"] in ("http.response.start", "websocket.accept"):
                    counter.labels(scope["type"], event.get("status", 101)).inc()
                await send(event)

            await app(scope, receive, counted)

        return count

    return middleware


REGISTRY = CollectorRegistry()
COUNTER = Counter("exchanges", "Requests and connections", ["kind", "status"], registry=REGISTRY)

MIDDLEWARES = {
    "Sentry": SentryAsgiMiddleware,
    "OpenTelemetry": OpenTelemetryMiddleware,
    "correlation-id": CorrelationIdMiddleware,
    "ProxyHeaders": Middleware(ProxyHeadersMiddleware, trusted_hosts="*"),
    "ProxyFix": ProxyFixMiddleware,
    "CORS": Middleware(CORSMiddleware, allow_origins=["https://page.example"]),
    "Session": SESSIONS,
    "GZip": Middleware(GZipMiddleware, minimum_size=1),
    "TrustedHost": Middleware(TrustedHostMiddleware, allowed_hosts=["testserver"]),
    "Prometheus": counting(COUNTER),
}
ALL = [*MIDDLEWARES.values()]

each = pytest.mark.parametrize(
    "middlewares", [*([one] for one in ALL), ALL], ids=[*MIDDLEWARES, "all"]
)
at_both = pytest.mark.parametrize("where", ["application", "route"])


class Shop:
    """An application with middlewares, and what its resources and handlers have seen."""

    def __init__(self, where: str, middlewares: list[Any]) -> None:
        self.seen: list[Any] = []
        on_route = {"middlewares": middlewares} if where == "route" else {}
        on_app = {"middlewares": middlewares} if where == "application" else {}
        items, talks = Route("items/{n}", **on_route), WebSocketRoute("talks/{n}", **on_route)

        async def session() -> AsyncIterator[str]:
            try:
                yield "session"
                self.seen.append("committed")
            except BaseException as exc:
                self.seen.append(type(exc).__name__)
                raise

        @items.get
        async def read(n: int, request: Request, held: Annotated[str, use(session)]) -> dict:
            if n == 0:
                raise LookupError("no such item")
            self.seen.append(request)
            return {"n": n}

        @talks.endpoint
        async def talk(n: int, ws: WebSocket, held: Annotated[str, use(session)]) -> None:
            if n == 0:
                raise HTTPException(409, "not now")
            self.seen.append(ws)
            await ws.accept(subprotocol=ws.headers.get("sec-websocket-protocol"))
            async for message in ws:
                if message == "fail":
                    raise LookupError("no such item")
                if message == "over":
                    await ws.close(4001, "that is all")
                    return
                await ws.send(message)

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
            yield {"pool": trio.Lock()}  # like most pools, it can't be copied

        self.app = Triows(items, talks, lifespan=lifespan, **on_app)


# What holds behind each of them, and behind all of them together


@each
@at_both
async def test_a_request_is_answered_after_its_resources_have_exited(where, middlewares):
    shop = Shop(where, middlewares)
    async with open_app(shop.app) as client:
        answer = await client.get("/items/3", headers=FORWARDED)
        assert (answer.status_code, answer.json()) == (200, {"n": 3})
        request, committed = shop.seen
        assert committed == "committed"
        assert request.app is shop.app
        assert isinstance(request.state.pool, trio.Lock)


@each
@at_both
async def test_a_request_that_fails_is_a_500_and_its_resource_sees_the_error(
    where, middlewares, caplog
):
    shop = Shop(where, middlewares)
    async with open_app(shop.app, raise_app_exceptions=False) as client:
        assert (await client.get("/items/0")).status_code == 500
        assert shop.seen == ["LookupError"]
        errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
        assert [type(one.exc_info[1]) for one in errors if one.name == "triows"] == [LookupError]


@each
@at_both
async def test_a_websocket_keeps_its_subprotocol_messages_and_close_code(where, middlewares):
    shop = Shop(where, middlewares)
    async with open_app(shop.app) as client:
        async with client.websocket_connect("/talks/3", subprotocols=["talk"]) as ws:
            assert ws.accepted_subprotocol == "talk"
            await ws.send("hello")
            await ws.send(b"\x00\xff")
            assert [await ws.receive(), await ws.receive()] == ["hello", b"\x00\xff"]
            await ws.send("over")
            await ws.expect_close(4001, "that is all")
        socket, committed = shop.seen
        assert committed == "committed"
        assert socket.app is shop.app
        assert isinstance(socket.state.pool, trio.Lock)


@each
@at_both
async def test_a_websocket_that_is_refused_has_its_status(where, middlewares):
    shop = Shop(where, middlewares)
    async with open_app(shop.app) as client:
        with pytest.raises(WebSocketDenialResponse) as caught:
            async with client.websocket_connect("/talks/0"):
                pass
        assert caught.value.status_code == 409
        assert shop.seen == ["HTTPException"]


@each
@at_both
async def test_a_websocket_that_fails_is_closed_with_1011(where, middlewares):
    shop = Shop(where, middlewares)
    async with open_app(shop.app, raise_app_exceptions=False) as client:
        async with client.websocket_connect("/talks/3") as ws:
            await ws.send("fail")
            await ws.expect_close(1011)
        assert shop.seen[1:] == ["LookupError"]


# What each does


class Collecting(Transport):
    """Sends nothing, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.sent.extend(item.payload.json for item in envelope.items)


@pytest.fixture
def reported():
    """What Sentry has been sent: events of errors, and transactions."""
    transport = Collecting()
    sentry_sdk.init(
        dsn="https://key@sentry.example/1",
        transport=transport,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    yield transport.sent
    sentry_sdk.init()


@at_both
async def test_sentry_is_sent_the_error_of_a_handler_and_a_transaction(where, reported):
    shop = Shop(where, [SentryAsgiMiddleware])
    async with open_app(shop.app, raise_app_exceptions=False) as client:
        await client.get("/items/3")
        await client.get("/items/0")
        async with client.websocket_connect("/talks/3") as ws:
            await ws.send("fail")
            await ws.expect_close(1011)
    errors = [one["exception"]["values"][-1]["value"] for one in reported if "exception" in one]
    transactions = [one for one in reported if one.get("type") == "transaction"]
    assert errors == ["no such item", "no such item"]
    assert [one["contexts"]["trace"]["op"] for one in transactions] == [
        *("http.server", "http.server", "websocket.server")
    ]
    names = [one["transaction"].rpartition(".")[2] for one in transactions]
    assert names == ["read", "read", "talk"]


@at_both
async def test_opentelemetry_has_a_span_for_each_exchange(where):
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    middleware = Middleware(OpenTelemetryMiddleware, tracer_provider=provider)
    shop = Shop(where, [middleware])
    async with open_app(shop.app) as client:
        await client.get("/items/3")
        async with client.websocket_connect("/talks/3") as ws:
            await ws.send("over")
            await ws.expect_close(4001)
    servers = [one for one in spans.get_finished_spans() if one.kind.name == "SERVER"]
    assert [one.name for one in servers] == ["GET /items/3", "HTTP /talks/3"]
    assert servers[0].attributes["http.status_code"] == 200
    # The others are for events, so a WebSocket has one for each message.
    events = [one.attributes["asgi.event.type"] for one in spans.get_finished_spans()[-6:-1]]
    assert events == [
        *("websocket.connect", "websocket.accept", "websocket.receive"),
        *("websocket.close", "websocket.disconnect"),
    ]


@at_both
async def test_a_correlation_id_is_known_to_handlers_and_in_the_response(where):
    ids = []
    route, talks = Route("r"), WebSocketRoute("w")

    @route.get
    async def read() -> None:
        ids.append(correlation_id.get())

    @route.post
    def write() -> None:  # in a thread
        ids.append(correlation_id.get())

    @talks.endpoint
    async def talk(ws: WebSocket) -> None:
        ids.append(correlation_id.get())
        await ws.accept()

    if where == "route":
        route.add_middleware(CorrelationIdMiddleware)
        talks.add_middleware(CorrelationIdMiddleware)
    around = [CorrelationIdMiddleware] if where == "application" else []
    given = {"x-request-id": "a" * 32}
    async with open_app(Triows(route, talks, middlewares=around)) as client:
        read = await client.get("/r", headers=given)
        write = await client.post("/r")
        async with client.websocket_connect("/w", headers=given) as ws:
            in_handshake = ws.headers.get("x-request-id")
    assert ids[0] == ids[2] == read.headers["x-request-id"] == "a" * 32
    assert ids[1] == write.headers["x-request-id"]
    assert in_handshake is None


@at_both
@pytest.mark.parametrize("name", ["ProxyHeaders", "ProxyFix"])
async def test_the_client_is_the_one_that_the_proxy_names(where, name):
    shop = Shop(where, [MIDDLEWARES[name]])
    async with open_app(shop.app) as client:
        await client.get("/items/3", headers=FORWARDED)
        async with client.websocket_connect("/talks/3", headers=FORWARDED):
            pass
    request, socket = (one for one in shop.seen if not isinstance(one, str))
    assert request.client.host == socket.client.host == "192.0.2.7"
    assert request.url.scheme == "https"
    # ProxyFix takes the header's word, so a proxy has to send "wss" for a WebSocket.
    assert socket.url.scheme == {"ProxyHeaders": "wss", "ProxyFix": "https"}[name]


@at_both
async def test_prometheus_counts_by_a_middleware_and_serves_what_it_has_counted(where):
    registry = CollectorRegistry()
    counter = Counter(
        "exchanges", "Requests and connections", ["kind", "status"], registry=registry
    )
    shop = Shop(where, [counting(counter)])
    shop.app.mount("/metrics", make_asgi_app(registry))
    async with open_app(shop.app) as client:
        await client.get("/items/3")
        async with client.websocket_connect("/talks/3"):
            pass
        lines = (await client.get("/metrics")).text.splitlines()
    assert 'exchanges_total{kind="http",status="200"} 1.0' in lines
    assert 'exchanges_total{kind="websocket",status="101"} 1.0' in lines


@at_both
@pytest.mark.parametrize("name", MIDDLEWARES)
async def test_pings_need_the_servers_own_send(where, name):
    latencies = []
    talks = WebSocketRoute("talks")

    @talks.endpoint
    async def talk(ws: WebSocket) -> None:
        await ws.accept()
        try:
            latencies.append(await ws.ping())
        except RuntimeError:
            latencies.append(None)

    around = [MIDDLEWARES[name]]
    if where == "route":
        talks.add_middleware(*around)
    app = Triows(talks, middlewares=around if where == "application" else [])
    async with open_app(app) as client, client.websocket_connect("/talks") as ws:
        await ws.expect_close(1000)
    wraps_send = ("Sentry", "OpenTelemetry", "correlation-id", "Session", "Prometheus")
    assert [one is None for one in latencies] == [name in wraps_send]
