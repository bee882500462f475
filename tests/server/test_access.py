"""Nothing that a peer sends can begin a line in the access log."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypercorn.config import Config
from hypercorn.logging import Logger

import triows
from tests.raw import header_lines
from triows import Triows, WebSocket, WebSocketRoute
from triows._server.access import keep_lines_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

#: Characters that editors, viewers and terminals treat as the end of a line, or as a command.
ENDINGS = [
    "\n",
    "\r",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
    "\x1b[2K",
    "\u202e",
    "\0",
]

FORMAT = '"%(r)s" "%(R)s" %(U)s %(Uq)s %(q)s "%(f)s" "%(a)s" %({x-a}i)s %({x-b}o)s %(h)s'


def percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Send back, in a header, a value that HTTP allows."""
    value = dict(scope["headers"]).get(b"x-a", b"")
    headers = [(b"x-b", value), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def access_log(tmp_path: Path) -> Iterator[Path]:
    """A file for the access log, which Hypercorn does not close."""
    yield tmp_path / "access.log"
    log = logging.getLogger("hypercorn.access")
    for handler in log.handlers:
        handler.close()
    log.handlers.clear()


@asynccontextmanager
async def served(config: Config) -> AsyncIterator[tuple[str, int]]:
    route = WebSocketRoute("site/{page}")

    @route.endpoint
    async def refuse(ws: WebSocket, page: str) -> None: ...

    app = Triows(route)
    app.mount("/plain", answer)
    config.bind = ["127.0.0.1:0"]
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(triows.serve, app, config)
        host, _, port = url.removeprefix("http://").partition(":")
        yield host, int(port)
        nursery.cancel_scope.cancel()


async def ask(address: tuple[str, int], target: str, *headers: bytes) -> None:
    """Send a request with bytes that no client would send, and wait for the end."""
    lines = [f"GET {target} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Connection: close", *headers]
    async with await trio.open_tcp_stream(*address) as stream:
        await stream.send_all(b"\r\n".join([*lines, b"", b""]))
        async for _ in stream:
            pass


HANDSHAKE = [f"{name}: {value}".encode() for name, value in header_lines() if name != "Host"]


@pytest.mark.real_socket
@pytest.mark.parametrize("kind", ["plain", "websocket"])
async def test_each_request_has_one_line_in_the_access_log_whatever_it_has_in_it(access_log, kind):
    config = Config()
    config.accesslog, config.access_log_format = str(access_log), FORMAT
    values = [b"before\x85after", b"before\xe2\x80\xa8after"]  # others are refused
    headers = HANDSHAKE if kind == "websocket" else []
    path = "/site/" if kind == "websocket" else "/plain/"
    async with served(config) as address:
        for ending in ENDINGS:
            await ask(address, f"{path}a{percent(ending)}[1/1/2026] forged?q=".replace(" ", "%20"))
            await ask(address, f"{path}a{percent(ending)}forged?q=%0aforged", *headers)
        for value in values:
            names = (b"Referer", b"User-Agent", b"X-A")
            more = [name + b": " + value for name in names]
            await ask(address, f"{path}x", *headers, *more)
    text = await trio.Path(access_log).read_text("utf-8")
    lines = text.removesuffix("\n").split("\n")
    assert len(lines) == 2 * len(ENDINGS) + len(values)
    assert all(line.isprintable() for line in lines)
    assert any(r"a\nforged" in line for line in lines)


@pytest.mark.real_socket
async def test_a_line_that_cannot_be_written_shows_nothing_of_the_environment(
    access_log, monkeypatch, capsys
):
    monkeypatch.setenv("PASSWORD", "hunter2")
    config = Config()
    # In a trial, the header is one character.
    config.accesslog, config.access_log_format = str(access_log), "%({x-a}i)c"
    async with served(config) as address:
        await ask(address, "/plain/", b"X-A: several")
    shown = capsys.readouterr().err
    assert "--- Logging error ---" in shown
    assert "hunter2" not in shown


@pytest.mark.real_socket
async def test_a_logger_of_ones_own_is_given_a_request_that_can_be_printed():
    class OwnLogger(Logger):
        async def access(self, request: Any, response: Any, request_time: float) -> None:
            seen.append(f"{request['path']} {request['headers']}")

    seen: list[str] = []
    config = Config()
    config.logger_class = OwnLogger
    config.accesslog = logging.getLogger("triows.tests.access")
    async with served(config) as address:
        await ask(address, "/plain/a%0aforged")
    assert len(seen) == 1
    assert seen[0].startswith(r"/plain/a\nforged")


def test_a_configuration_that_is_used_twice_is_prepared_once():
    config = Config()
    keep_lines_whole(config)
    log = config.log
    keep_lines_whole(config)
    assert config.log is log
