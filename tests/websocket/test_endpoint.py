import logging
from contextlib import suppress
from typing import Annotated, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.connecting import connect, opened
from tests.transports.scripted import CONNECT, ScriptedServer
from triows import (
    Limits,
    NotRunningError,
    Param,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows.testing import WebSocketDenialResponse, WebSocketSession


def serving(handler: Any, path: str = "rooms/{room}", **settings: Any) -> Triows:
    route = WebSocketRoute(path)
    route.endpoint(handler)
    return Triows(route, **settings)


async def echo(ws: WebSocket, room: str) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


async def refusal_of(app: Triows, url: str, **options: Any) -> WebSocketDenialResponse:
    with pytest.raises(WebSocketDenialResponse) as caught:
        async with connect(app, url, **options):
            pass
    return caught.value


async def end_of(client: WebSocketSession) -> int:
    try:
        while True:
            await client.receive()
    except WebSocketDisconnect as exc:
        return exc.code


def scope_of(path: str = "/rooms/a", **other: Any) -> dict[str, Any]:
    return {
        "type": "websocket",
        "path": path,
        "headers": [],
        "query_string": b"",
        "client": ("10.0.0.1", 1234),
        "extensions": {"websocket.http.response": {}},
        **other,
    }


# Origins


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "EXAMPLE.ORG"])
async def test_a_page_of_the_same_host_may_connect(host):
    headers = {"host": host, "origin": "http://example.org"}
    async with connect(serving(echo), "/rooms/a", headers=headers) as client:
        await client.send("hi")
        assert await client.receive() == "hi"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://example.org:8000", "file://"]
)
async def test_any_other_page_is_refused_with_403(origin):
    headers = {"host": "example.org", "origin": origin}
    refusal = await refusal_of(serving(echo), "/rooms/a", headers=headers)
    assert (refusal.status_code, refusal.json()["detail"]) == (403, "this origin may not connect")


@pytest.mark.parametrize(
    "headers",
    [
        [("origin", "http://example.org"), ("origin", "http://evil.example")],
        [("origin", "http://example.org"), ("host", "example.org"), ("host", "evil.example")],
    ],
)
async def test_what_stands_there_twice_is_trusted_in_neither_place(headers):
    server = ScriptedServer()
    await server.put(CONNECT)
    hosts = [] if any(name == "host" for name, _ in headers) else [("host", "example.org")]
    raw = [(name.encode(), value.encode()) for name, value in [*headers, *hosts]]
    app = serving(echo)
    scope = {**server.scope, "path": "/rooms/a", "headers": raw, "query_string": b"", "state": {}}
    async with app.running():
        await app.handle(scope, server.receive, server.send)
    assert server.sent[0]["status"] == 403


async def test_the_nearest_setting_of_origins_counts():
    inner = WebSocketRoute("inner", origins=["http://inner.example"])
    inner.endpoint(idle)
    anyone = WebSocketRoute("anyone", origins=["*"])
    anyone.endpoint(idle)
    plain = WebSocketRoute("plain")
    plain.endpoint(idle)
    app = Triows(inner, anyone, plain, origins=["http://outer.example"])
    allowed = {
        (path, origin)
        for path in ("/inner", "/anyone", "/plain")
        for origin in ("http://inner.example", "http://outer.example", "null")
        if await may_connect(app, path, origin)
    }
    assert allowed == {
        ("/inner", "http://inner.example"),
        ("/plain", "http://outer.example"),
        ("/anyone", "http://inner.example"),
        ("/anyone", "http://outer.example"),
        ("/anyone", "null"),
    }


async def idle(ws: WebSocket) -> None:
    await ws.accept()
    await ws.receive()


async def may_connect(app: Triows, path: str, origin: str) -> bool:
    with suppress(WebSocketDenialResponse):
        async with connect(app, path, headers={"origin": origin}):
            return True
    return False


# Parameters


async def test_every_bad_parameter_is_reported():
    async def handler(
        ws: WebSocket,
        room: int,
        times: int,
        name: str,
        token: Annotated[str, Param("header", alias="x-token")],
    ) -> None:
        raise AssertionError

    refusal = await refusal_of(serving(handler), "/rooms/kitchen?times=many")
    assert refusal.status_code == 422
    found = {(error["location"], error["name"]) for error in refusal.json()["errors"]}
    assert found == {
        ("path", "room"),
        ("query", "times"),
        ("query", "name"),
        ("header", "x-token"),
    }


async def test_factories_are_not_called_for_bad_parameters():
    async def factory() -> int:
        raise AssertionError

    async def handler(
        ws: WebSocket, room: str, times: int, n: Annotated[int, use(factory)]
    ) -> None:
        raise AssertionError

    assert (await refusal_of(serving(handler), "/rooms/a?times=x")).status_code == 422


async def test_there_may_not_be_more_query_parameters_than_the_limit():
    app = serving(echo, limits=Limits(query_parameters=3))
    async with connect(app, "/rooms/a?a=1&b=2&c=3") as client:
        await client.send("hi")
        assert await client.receive() == "hi"
    assert (await refusal_of(app, "/rooms/a?a=1&b=2&c=3&d=4")).status_code == 422


# The limit of connections


async def test_the_connection_that_is_one_too_many_is_told_to_come_again():
    app = serving(echo, limits=Limits(connections=2))
    async with opened(app):
        async with connect(app, "/rooms/a"), connect(app, "/rooms/b"):
            refusal = await refusal_of(app, "/rooms/c")
            assert (refusal.status_code, refusal.headers["retry-after"]) == (503, "5")
        async with connect(app, "/rooms/c") as client:
            await client.send("hi")
            assert await client.receive() == "hi"


async def test_a_handshake_counts_as_a_connection(autojump_clock):
    async def slow(ws: WebSocket, room: str) -> None:
        await trio.sleep(5)
        await ws.accept()
        await ws.receive()

    app = serving(slow, limits=Limits(connections=1))

    async def first() -> None:
        async with connect(app, "/rooms/a"):
            pass

    async with opened(app), trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await wait_all_tasks_blocked()
        assert (await refusal_of(app, "/rooms/b")).status_code == 503


async def test_newcomers_are_refused_while_the_application_drains(autojump_clock):
    async def stubborn(ws: WebSocket, room: str) -> None:
        await ws.accept()
        await trio.sleep_forever()

    app = serving(stubborn)
    async with opened(app), connect(app, "/rooms/a"), trio.open_nursery() as nursery:
        await wait_all_tasks_blocked()
        nursery.start_soon(app.drain)
        await trio.sleep(1)
        refusal = await refusal_of(app, "/rooms/b")
        assert (refusal.status_code, refusal.headers["retry-after"]) == (503, "5")
        assert refusal.json()["detail"] == "the server is shutting down"


async def test_an_application_that_ran_and_ended_can_run_again():
    app = serving(echo)
    for _ in range(2):
        async with opened(app):
            await app.drain()
    async with connect(app, "/rooms/a") as client:
        await client.send("hi")
        assert await client.receive() == "hi"


async def test_what_lives_as_long_as_the_application_needs_its_start(caplog):
    async def pool() -> str:
        return "the pool"

    async def handler(
        ws: WebSocket, room: str, pool: Annotated[str, use(pool, scope="app")]
    ) -> None:
        raise AssertionError

    server = ScriptedServer()
    await server.put(CONNECT)
    with pytest.raises(NotRunningError, match="serve it by a server that runs its lifespan"):
        await serving(handler).handle(scope_of(), server.receive, server.send)
    assert server.sent[0]["status"] == 500


# The log

FACTS = (
    "route",
    "peer",
    "code",
    "reason",
    "messages_received",
    "bytes_received",
    "messages_sent",
    "bytes_sent",
)


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in FACTS}


@pytest.fixture
def log(caplog):
    """Everything that triows logs."""
    caplog.set_level(logging.INFO, "triows")
    return caplog


async def test_a_connection_leaves_one_line_with_its_facts(log, autojump_clock):
    async with connect(serving(echo), "/rooms/a", client=("10.0.0.1", 1234)) as client:
        await client.send("hello")
        await client.send(b"abc")
        await trio.sleep(2.5)
        await client.close(1000, "bye")
    (record,) = log.records
    assert (record.name, record.levelname) == ("triows", "INFO")
    assert facts_of(record) == {
        "route": "/rooms/{room}",
        "peer": "10.0.0.1:1234",
        "code": 1000,
        "reason": "bye",
        "messages_received": 2,
        "bytes_received": 8,
        "messages_sent": 2,
        "bytes_sent": 8,
    }
    assert record.duration == 2.5
    assert record.getMessage() == (
        "10.0.0.1:1234 /rooms/{room} closed 1000 'bye' after 2.500 s, "
        "received 2 messages (8 bytes), sent 2 (8 bytes)"
    )


@pytest.mark.parametrize(
    ("how", "code"), [("returns", 1000), ("closes", 4000), ("raises a close", 4001)]
)
async def test_the_line_has_the_true_code(log, how, code):
    async def handler(ws: WebSocket, room: str) -> None:
        await ws.accept()
        if how == "closes":
            await ws.close(4000)
        elif how == "raises a close":
            raise WebSocketClose(4001)

    async with connect(serving(handler), "/rooms/a") as client:
        assert await end_of(client) == code
    assert [record.code for record in log.records] == [code]


async def test_a_cut_connection_is_logged_with_1006(log):
    async with connect(serving(echo), "/rooms/a") as client:
        client.reset()
    assert [record.code for record in log.records] == [1006]


async def test_a_reason_of_the_peer_can_not_forge_a_line(log):
    async with connect(serving(echo), "/rooms/a") as client:
        await client.close(1000, "bye\nCRITICAL root all is lost\x1b[2J")
    (record,) = log.records
    assert record.getMessage().isprintable()


async def test_a_refusal_by_the_handler_leaves_one_line_with_its_status(log):
    async def handler(ws: WebSocket, room: str) -> None:
        await ws.reject(401)

    await refusal_of(serving(handler), "/rooms/a", client=("10.0.0.1", 1234))
    (record,) = log.records
    assert record.getMessage() == "10.0.0.1:1234 /rooms/{room} refused 401 (reject())"
    assert (record.route, record.peer, record.status) == ("/rooms/{room}", "10.0.0.1:1234", 401)


async def test_a_refusal_before_the_handler_leaves_one_line_with_its_status(log):
    headers = {"origin": "http://evil.example"}
    await refusal_of(serving(echo), "/rooms/a", headers=headers)
    (record,) = log.records
    assert (record.route, record.status) == ("/rooms/{room}", 403)


@pytest.mark.parametrize("path", ["/nope", "/nope%0AINFO%20forged", "/%1b[2J"])
async def test_a_path_without_a_route_leaves_one_line_that_it_can_not_forge(log, path):
    assert (await refusal_of(serving(echo), path)).status_code == 404
    (record,) = log.records
    assert record.getMessage().endswith("refused 404 (no route has this path)")
    assert record.getMessage().isprintable()
    assert (record.route, record.status) == (None, 404)


async def test_a_peer_without_an_address_is_logged_too(log):
    server = ScriptedServer()
    await server.put(CONNECT)
    headers = [(b"origin", b"http://evil.example")]
    scope = scope_of(client=None, headers=headers)
    await serving(echo).handle(scope, server.receive, server.send)
    assert log.messages == [
        "? /rooms/{room} refused 403 (this origin may not connect: the page is at "
        "'http://evil.example', and there is no Host header)"
    ]


@pytest.mark.parametrize("accepts", [True, False])
async def test_an_error_that_nobody_handled_is_logged_once_with_its_traceback(log, accepts):
    async def handler(ws: WebSocket, room: str) -> None:
        if accepts:
            await ws.accept()
        raise ValueError("what went wrong")

    server = ScriptedServer()
    await server.put(CONNECT)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            if accepts:
                nursery.start_soon(server.answers_the_close)
            await serving(handler)(scope_of(), server.receive, server.send)
    errors = [record for record in log.records if record.levelno >= logging.WARNING]
    (record,) = errors
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    assert len(log.records) == 2  # with the line of the connection
    assert b"what went wrong" not in repr(server.sent).encode()


@pytest.mark.parametrize("error", [SystemExit(1), BaseException("odd")])
async def test_a_handler_can_not_end_the_server(log, error):
    async def handler(ws: WebSocket, room: str) -> None:
        raise error

    server = ScriptedServer()
    await server.put(CONNECT)
    await serving(handler)(scope_of(), server.receive, server.send)
    assert server.sent[0]["status"] == 500
    assert [record.exc_info[1] for record in log.records if record.exc_info] == [error]


async def test_ctrl_c_in_a_handler_is_not_the_connections_business(log):
    async def handler(ws: WebSocket, room: str) -> None:
        raise KeyboardInterrupt

    server = ScriptedServer()
    await server.put(CONNECT)
    with pytest.raises(KeyboardInterrupt):
        await serving(handler)(scope_of(), server.receive, server.send)


async def test_the_path_of_an_error_can_not_forge_a_line(log):
    async def handler(ws: WebSocket, room: str) -> None:
        raise ValueError

    server = ScriptedServer()
    await server.put(CONNECT)
    scope = scope_of("/rooms/a\nCRITICAL forged")
    await serving(handler)(scope, server.receive, server.send)
    assert all(record.getMessage().isprintable() for record in log.records)
