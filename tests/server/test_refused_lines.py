"""Whatever is refused has one line in the log, which says why."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import pytest
import trio
from starlette.authentication import AuthCredentials
from trio.testing import wait_all_tasks_blocked

from tests.raw import handshake
from tests.server.harness.slow_peers import serving
from triows import (
    HTTPException,
    Limits,
    Param,
    Route,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketRoute,
    requires,
)

#: Each of these is a secret, which no line may have.
SECRET = "s3cret"


def exchanges() -> list[Route | WebSocketRoute]:
    things, chat, silent, closing = (
        Route("things/{name}"),
        WebSocketRoute("chat"),
        WebSocketRoute("silent"),
        WebSocketRoute("closing"),
    )
    raising, slow, listed, uploads = (
        Route("raising/{status}"),
        WebSocketRoute("slow"),
        WebSocketRoute("listed", origins=["https://www.example.org"]),
        Route("uploads"),
    )
    guarded = Route("guarded")

    @things.get
    async def get_thing(name: str, limit: int, x_token: Annotated[int, Param("header")]) -> str:
        return name

    @raising.get
    async def raise_it(status: int) -> str:
        raise HTTPException(status, "no tea\nbut coffee" if status == 418 else None)

    @uploads.post
    async def upload(body: dict[str, int]) -> int:
        return len(body)

    @guarded.get
    @requires("admin")
    async def guard() -> str:
        return ""

    @chat.endpoint
    @listed.endpoint
    async def accept(ws: WebSocket, room: int = 0) -> None:
        await ws.accept()

    @silent.endpoint
    async def return_at_once(ws: WebSocket) -> None: ...

    @closing.endpoint
    async def close(ws: WebSocket) -> None:
        raise WebSocketClose(4001, "full")

    @slow.endpoint
    async def never_answer(ws: WebSocket) -> None:
        await trio.sleep_forever()

    return [things, chat, silent, closing, raising, slow, listed, uploads, guarded]


class Blocking:
    """A middleware that answers some requests itself."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/blocked":
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
                return
            await send({"type": "http.response.start", "status": 451, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        elif scope["path"] == "/unanswered":
            return
        else:
            scope["auth"] = AuthCredentials()
            await self.app(scope, receive, send)


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    """An application that refuses everything."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    await send({"type": "http.response.start", "status": 410, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def app(**settings: Any) -> Triows:
    made = Triows(*exchanges(), **settings)
    made.mount("/mounted", mounted)
    return made


def request(path: str, *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: backend:8000", "Connection: close", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def websocket(path: str, *lines: bytes) -> bytes:
    return handshake(path, *lines, host="backend:8000")


JSON = "Content-Type: application/json"

TABLE = [
    # Plain requests that reach no handler
    (request("/no%0Ahere?q=" + SECRET), r"GET '/no\nhere' refused 404 (no route has this path)"),
    (
        request("/things/a", method="DELETE"),
        "DELETE '/things/a' refused 405 (the route takes GET, HEAD, OPTIONS)",
    ),
    (request("/things/a", method="OPTIONS"), "OPTIONS '/things/a' answered 204"),
    (request("/chat"), "GET '/chat' refused 426 (this address speaks WebSocket only)"),
    # Plain requests that reach one
    (
        request(f"/things/a?limit={SECRET}", f"X-Token: {SECRET}"),
        "GET '/things/a' answered 422 (2 mistakes in the request: query 'limit', header 'x-token') "
        "after",
    ),
    (request("/raising/418"), r"GET '/raising/418' answered 418 (no tea\nbut coffee) after"),
    (request("/raising/402"), "GET '/raising/402' answered 402 (Payment Required) after"),
    (
        request(
            "/uploads", "Content-Length: 2", "Content-Type: text/csv", method="POST", body=b"{}"
        ),
        "POST '/uploads' answered 415 (the body must have one of these types: application/json, "
        "application/msgpack) after",
    ),
    (
        request("/uploads", JSON, "Content-Length: 2000000", method="POST"),
        "POST '/uploads' answered 413 (the body has more than 1048576 bytes) after",
    ),
    (
        request("/uploads", JSON, "Content-Length: 9", method="POST", body=b'{"a":"b"}'),
        "POST '/uploads' answered 422 (1 mistake in the request: body 'a') after",
    ),
    (
        request("/things/a", "Accept: image/png"),
        "GET '/things/a' answered 406 (the response can't have a type that `Accept` allows) after",
    ),
    (
        request("/uploads", JSON, "Content-Length: 9", method="POST"),
        "POST '/uploads' answered 408 (the body comes too slowly) after",
    ),
    (
        request("/uploads", JSON, "Transfer-Encoding: chunked", method="POST", body=b"what?\r\n"),
        "POST '/uploads' answered 400 (the line before a chunk isn't its size, or is too long) "
        "after",
    ),
    (request("/mounted/x"), "GET '/mounted/x' answered 410 after"),
    # Requests that nobody can read
    (b"GET / HTTP/1.1\r\n\r\n", "refused 400 (no Host)"),
    (b"GET /" + b"x" * 20_000, "refused 414 (the request line is too long)"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000, "refused 431 (the head is too long)"),
    (request("/", method="CONNECT"), "refused 501"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "refused 505"),
    (b"GET / HTTP/1.1\r\nHost:", "closed (the head of its request has not come in time)"),
    # WebSockets
    (websocket("/nowhere"), "'/nowhere' refused 404 (no route has this path)"),
    (
        websocket("/things/a"),
        "'/things/a' refused 404 (the route of this path isn't one for WebSockets)",
    ),
    (
        websocket("/chat", b"Origin: https://chat.example.org"),
        "/chat refused 403 (this origin may not connect: the page is at "
        "'https://chat.example.org', and the Host header is 'backend:8000')",
    ),
    (
        websocket("/listed", b"Origin: https://" + b"x" * 1000),
        "/listed refused 403 (this origin may not connect: origins does not allow the page at "
        f"'https://{'x' * 92}')",
    ),
    (
        websocket("/chat?room=" + SECRET),
        "/chat refused 422 (1 mistake in the request: query 'room')",
    ),
    (websocket("/silent"), "/silent refused 403 (the handler ended without accept())"),
    (websocket("/closing"), "/closing refused 403 (full)"),
    (websocket("/chat", b"Sec-WebSocket-Key: again"), "'/chat' refused 400"),
    (websocket("/chat").replace(b" 13", b" 12"), "'/chat' refused 426"),
    (websocket("/mounted/x"), "'/mounted/x' refused 403 (the mounted application"),
]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines about the ends of exchanges."""
    return [one.getMessage() for one in caplog.records if hasattr(one, "cause")]


async def served(app: Triows, sent: bytes, **settings: Any) -> None:
    """Send bytes, and wait until the server has closed the connection."""
    async with serving(app, **settings) as site:
        end = site.connect().end
        await end.send_all(sent)
        try:
            while await end.receive_some(2**16):
                pass
        except trio.BrokenResourceError:
            pass
        await wait_all_tasks_blocked()


@pytest.mark.parametrize(("sent", "line"), TABLE, ids=[line for _, line in TABLE])
async def test_it_has_one_line(autojump_clock, caplog, sent, line):
    caplog.set_level(logging.INFO)
    await served(app(), sent)
    (found,) = told(caplog)
    assert found.startswith(f"peer:50000 {line}")
    assert found.isprintable()
    assert SECRET not in caplog.text


async def test_a_handshake_that_nobody_answers_in_time_has_one_line(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    await served(app(), websocket("/slow"))
    (found,) = told(caplog)
    assert found.startswith(
        "peer:50000 /slow refused 500 (TooSlowError: the connection was neither "
    )


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (request("/blocked"), "GET '/blocked' refused 451 (a middleware has answered)"),
        (
            request("/unanswered"),
            "GET '/unanswered' refused 500 (the application has not answered)",
        ),
        (websocket("/blocked"), "'/blocked' refused 403 (the middleware"),
        (request("/guarded"), "GET '/guarded' answered 403 (it lacks a scope"),
        (request("/nowhere"), "GET '/nowhere' refused 404 (no route has this path)"),
        (request("/raising/402"), "GET '/raising/402' answered 402 (Payment Required) after"),
        (
            request("/uploads", JSON, "Content-Length: 9", method="POST"),
            "POST '/uploads' answered 408 (the body comes too slowly) after",
        ),
    ],
)
async def test_behind_a_middleware_it_has_one_line(autojump_clock, caplog, sent, line):
    caplog.set_level(logging.INFO)
    await served(app(middlewares=[Blocking]), sent)
    (found,) = told(caplog)
    assert found.startswith(f"peer:50000 {line}")


async def test_a_host_that_is_not_served_has_one_line(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    await served(app(), request("/things/a"), server_names=["www.example.org"])
    assert told(caplog) == [
        "peer:50000 GET '/things/a' refused 404 (its host isn't in server_names: 'backend:8000')"
    ]


async def test_too_many_connections_have_one_line_each(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    async with serving(app(limits=Limits(connections=1))) as site:
        for _ in range(2):
            await site.connect().end.send_all(websocket("/slow"))
        await trio.sleep(6)  # the refused client does not close its side
        assert told(caplog) == [
            "peer:50000 /slow refused 503 (the server has as many connections as it may have)"
        ]


async def test_a_response_that_a_client_does_not_take_has_one_line(autojump_clock, caplog):
    route = Route("large")

    @route.get
    async def large() -> bytes:
        return bytes(2**21)

    caplog.set_level(logging.INFO)
    async with serving(Triows(route)) as site:
        await site.connect().end.send_all(request("/large"))
        await trio.sleep(100)
    (found,) = told(caplog)
    assert (
        "GET '/large' answered 200 (response cut: the client took nothing for 30 s) after" in found
    )


async def test_a_connection_that_asks_for_nothing_has_no_line(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    async with serving(app()) as site:
        site.connect()
        await trio.sleep(100)
    assert told(caplog) == []


async def test_what_the_line_says_is_in_its_record(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    await served(app(), request("/no%0Ahere"))
    (record,) = [one for one in caplog.records if hasattr(one, "cause")]
    wanted = {
        "peer": "peer:50000",
        "method": "GET",
        "path": r"/no\nhere",
        "route": None,
        "status": 404,
        "cause": "no route has this path",
    }
    assert {name: vars(record)[name] for name in wanted} == wanted
