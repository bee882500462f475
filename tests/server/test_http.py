"""Plain HTTP on our server: mounted applications, requests before a WebSocket, and bad ones."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from trio.testing import MockClock

import triows
from tests.raw import TEXT, frame, handshake
from tests.server.harness.memory import BUFFER, listening
from triows import Timeouts, Triows, WebSocket, WebSocketRoute
from triows.testing._ends import End, SocketEnd

PATIENCE = 20
UPGRADE = handshake("/echo")

echo_route = WebSocketRoute("echo")


@echo_route.endpoint
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


class Site:
    """A mounted application, which notes what it has seen."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.left = trio.Event()

    async def hello(self, request: Request) -> Response:
        return PlainTextResponse("hello")

    async def size(self, request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def unread(self, request: Request) -> Response:
        return PlainTextResponse("enough")

    async def patient(self, request: Request) -> Response:
        try:
            await request.body()
        except ClientDisconnect:
            self.seen.append("disconnect")
            self.left.set()
        return PlainTextResponse("")

    async def flood(self, scope: Any, receive: Any, send: Any) -> None:
        """Send until the client has left."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
        except OSError:
            self.left.set()
            raise

    async def silent(self, scope: Any, receive: Any, send: Any) -> None:
        """Return when the client has left, and say nothing."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.seen.append("disconnect")

    async def lasting(self, request: Request) -> Response:
        return PlainTextResponse("done", background=BackgroundTask(self.left.wait))

    async def broken(self, request: Request) -> Response:
        raise LookupError("it is a secret")

    async def polling(self, request: Request) -> Response:
        """Look whether the client is still there, as Starlette's users do."""
        while not await request.is_disconnected():  # noqa: ASYNC110 - this is tested
            await trio.sleep(0.1)
        self.seen.append("disconnect")
        self.left.set()
        return PlainTextResponse("")

    async def peeking(self, scope: Any, receive: Any, send: Any) -> None:
        """Take the events that wait, in cancelled scopes."""
        for _ in range(3):
            await trio.sleep(0.1)
            with trio.CancelScope() as cancelled:
                cancelled.cancel()
                event = await receive()
                self.seen.append(event.get("body", event["type"]))
            if cancelled.cancelled_caught:
                self.seen.append("cancelled")
        for _ in range(1000):  # without a turn for other tasks, this would hold them up
            assert (await receive())["type"] == "http.disconnect"
        self.left.set()

    @property
    def app(self) -> Triows:
        routes: list[Any] = [
            Route(f"/{name}", getattr(self, name), methods=["GET", "POST"])
            for name in ("hello", "size", "unread", "patient", "lasting", "broken", "polling")
        ]
        routes += [
            Mount(f"/{name}", getattr(self, name)) for name in ("flood", "silent", "peeking")
        ]
        timeouts = Timeouts(handshake=0.5, close=0.5, send=1)
        app = Triows(echo_route, timeouts=timeouts)
        app.mount("/site", Starlette(routes=[Mount("/", routes=routes)]))
        return app


@asynccontextmanager
async def served_on_sockets(app: Triows, config: Config, stop: trio.Event) -> AsyncIterator[End]:
    config.bind = ["127.0.0.1:0"]
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[list[str]]) -> None:
            await triows.serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)

        (url,) = await nursery.start(serve)
        yield await SocketEnd.connect("127.0.0.1", int(url.rpartition(":")[2]), BUFFER)


@asynccontextmanager
async def served_in_memory(app: Triows, config: Config, stop: trio.Event) -> AsyncIterator[End]:
    async with app.running(), listening(app, config, stop) as listener:
        yield listener.connect()


@pytest.fixture
def clock(carrier: str) -> MockClock | None:
    """A virtual clock if there are no sockets. pytest-trio finds it by its type."""
    return MockClock(autojump_threshold=0) if carrier == "memory" else None


@pytest.fixture
def connected(carrier: str) -> Callable[..., AbstractAsyncContextManager[End]]:
    """Serve a site, and connect to it. At the end, no connection and no task may be left."""
    served = served_in_memory if carrier == "memory" else served_on_sockets

    @asynccontextmanager
    async def connected(site: Site, **settings: Any) -> AsyncIterator[End]:
        config = Config()
        config.errorlog = None
        for name, value in settings.items():
            setattr(config, name, value)
        stop = trio.Event()
        with trio.fail_after(PATIENCE):
            async with served(site.app, config, stop) as end:
                yield end
                end.close()
                stop.set()

    return connected


def asked(path: str, *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    head = [f"{method} /site/{path} HTTP/1.1", "Host: a", *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def read_response(stream: End) -> tuple[int, bytes, bytes]:
    """Read one response with a length. Return its status, head and body."""
    received = bytearray()
    while b"\r\n\r\n" not in received:
        data = await stream.receive_some()
        assert data, bytes(received)
        received += data
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += await stream.receive_some()
    return int(head.split()[1]), head, body


async def read_all(stream: End) -> bytes:
    received = b""
    while data := await stream.receive_some():
        received += data
    return received


async def test_requests_follow_one_another_on_one_connection(clock, connected):
    async with connected(Site()) as stream:
        for _ in range(3):
            await stream.send_all(asked("hello"))
            assert (await read_response(stream))[::2] == (200, b"hello")


async def test_requests_that_come_at_once_are_answered_in_order(clock, connected):
    async with connected(Site()) as stream:
        body = asked("size", "Content-Length: 3", method="POST", body=b"abc")
        await stream.send_all(asked("hello") + body + asked("hello", "Connection: close"))
        received = await read_all(stream)
    bodies = [part.rpartition(b"\r\n")[2] for part in received.split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b"hello", b"3", b"hello"]


@pytest.mark.on_sockets_too
async def test_a_websocket_may_follow_requests_on_one_connection(clock, connected):
    async with connected(Site()) as stream:
        await stream.send_all(asked("hello"))
        await read_response(stream)
        await stream.send_all(UPGRADE + frame(TEXT, b"at once"))
        status, _, rest = await read_response(stream)
        while len(rest) < 9:
            rest += await stream.receive_some()
    assert (status, rest) == (101, b"\x81\x07at once")


async def test_a_body_that_nobody_reads_holds_nothing(clock, connected):
    parts = b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"
    async with connected(Site()) as stream:
        await stream.send_all(
            asked("unread", "Transfer-Encoding: chunked", method="POST", body=parts)
        )
        assert (await read_response(stream))[::2] == (200, b"enough")
        await read_all(stream)


@pytest.mark.on_sockets_too
async def test_a_body_of_ten_gigabytes_is_not_waited_for(clock, connected):
    async with connected(Site()) as stream:
        await stream.send_all(asked("unread", "Content-Length: 10000000000", method="POST"))
        assert (await read_response(stream))[::2] == (200, b"enough")
        assert await read_all(stream) == b""


@pytest.mark.on_sockets_too
async def test_an_application_is_told_that_its_client_has_left(clock, connected):
    site = Site()
    async with connected(site) as stream:
        await stream.send_all(asked("patient", "Content-Length: 10", method="POST", body=b"half"))
        stream.send_eof()
        await site.left.wait()
    assert site.seen == ["disconnect"]


@pytest.mark.on_sockets_too
async def test_an_application_that_looks_whether_its_client_has_left_sees_it(clock, connected):
    site = Site()
    async with connected(site) as stream:
        await stream.send_all(asked("polling"))
        await trio.sleep(0.3)
        assert site.seen == []
        stream.send_eof()
        await site.left.wait()
    assert site.seen == ["disconnect"]


async def test_an_event_that_waits_is_handed_over_once_in_a_cancelled_scope_too(clock, connected):
    site = Site()
    async with connected(site) as stream:
        await stream.send_all(asked("peeking/", "Content-Length: 4", method="POST", body=b"body"))
        stream.send_eof()
        await site.left.wait()
    assert site.seen == [b"body", "http.disconnect", "cancelled"]


async def test_a_connection_ends_though_its_client_has_left_and_nobody_answers(clock, connected):
    site = Site()
    async with connected(site) as stream:
        await stream.send_all(asked("silent/"))
        stream.send_eof()
        assert await read_all(stream) == b""
    assert site.seen == ["disconnect"]


async def test_a_client_that_has_closed_its_side_is_answered(clock, connected):
    async with connected(Site()) as stream:
        await stream.send_all(asked("hello"))
        stream.send_eof()
        assert (await read_all(stream)).endswith(b"hello")


async def test_a_host_that_is_not_served_gets_404_and_the_end(clock, connected, caplog):
    caplog.set_level(logging.ERROR)
    async with connected(Site(), server_names=["b"]) as stream:
        await stream.send_all(asked("hello"))
        assert (await read_all(stream)).startswith(b"HTTP/1.1 404")
    assert caplog.records == []


@pytest.mark.on_sockets_too
async def test_a_response_that_nobody_reads_is_given_up_and_no_error(clock, connected, caplog):
    site = Site()
    async with connected(site) as stream:
        await stream.send_all(asked("flood/"))
        await stream.receive_some(1)
        await site.left.wait()  # Timeouts.send
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_what_follows_a_response_holds_up_neither_its_end_nor_a_websocket(clock, connected):
    site = Site()
    async with connected(site) as stream:
        await stream.send_all(asked("lasting"))
        assert (await read_response(stream))[::2] == (200, b"done")
        await stream.send_all(UPGRADE)
        assert (await read_response(stream))[0] == 101
        site.left.set()
    site = Site()
    async with connected(site) as stream:
        await stream.send_all(asked("lasting", "Connection: close"))
        assert (await read_all(stream)).endswith(b"done")
        site.left.set()


async def test_an_error_tells_nothing_of_itself(clock, connected, caplog):
    async with connected(Site()) as stream:
        await stream.send_all(asked("broken"))
        status, head, body = await read_response(stream)
    assert status == 500
    assert b"secret" not in head + body
    assert "it is a secret" in caplog.text


async def test_a_silent_connection_is_closed_and_so_is_a_slow_one(clock, connected):
    async with connected(Site(), keep_alive_timeout=0.5) as stream:
        assert await read_all(stream) == b""  # Timeouts.handshake
    async with connected(Site(), keep_alive_timeout=0.5) as stream:
        await stream.send_all(asked("hello"))
        await read_response(stream)
        await stream.send_all(b"GET / HT")
        assert await read_all(stream) == b""


async def test_a_peer_that_breaks_the_protocol_is_answered_with_400(clock, connected, caplog):
    caplog.set_level(logging.ERROR)
    async with connected(Site()) as stream:
        await stream.send_all(b"what is this?\r\n\r\n")
        assert (await read_all(stream)).startswith(b"HTTP/1.1 400")
    assert caplog.records == []


@pytest.mark.parametrize("method", ["HeAD", "get"])
async def test_a_method_in_small_letters_is_not_implemented(clock, connected, method, caplog):
    caplog.set_level(logging.ERROR)
    async with connected(Site()) as stream:
        await stream.send_all(asked("hello", method=method))
        assert (await read_all(stream)).startswith(b"HTTP/1.1 501")
    async with connected(Site()) as stream:
        await stream.send_all(UPGRADE.replace(b"GET", method.encode()))
        assert (await read_all(stream)).startswith(b"HTTP/1.1 501")
    assert caplog.records == []
