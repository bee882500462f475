"""HTTP/1.1 up to the request that asks for a WebSocket."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from triows._server.h11 import HTTP11

UPGRADE = (
    b"GET /chat HTTP/1.1\r\nhost: testserver\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)


class Sent:
    """What the protocol sends."""

    def __init__(self) -> None:
        self.data = b""
        self.is_closed = False
        self.takes_nothing = False

    async def send(self, event: Any) -> None:
        if isinstance(event, RawData):
            if self.takes_nothing:
                await trio.sleep_forever()
            self.data += event.data
        self.is_closed |= isinstance(event, Closed)

    @property
    def status(self) -> int:
        return int(self.data.split()[1])


def protocol(sent: Sent, **settings: Any) -> HTTP11:
    config = Config()
    for name, value in settings.items():
        setattr(config, name, value)
    context, state = WorkerContext(None), ConnectionState({})
    return HTTP11(None, config, context, None, state, False, None, None, sent.send, patience=5)


async def test_a_request_for_a_websocket_is_returned_with_the_bytes_after_it():
    wanted = await protocol(sent := Sent()).receive(UPGRADE + b"early")
    assert wanted.request.target == b"/chat"
    assert wanted.early == b"early"
    assert sent.data == b""
    assert not sent.is_closed


async def test_half_a_request_is_waited_for():
    http = protocol(Sent())
    assert await http.receive(UPGRADE[:20]) is None
    assert (await http.receive(UPGRADE[20:])).early == b""


async def test_what_follows_such_a_request_is_not_read_as_http():
    request = UPGRADE.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
    wanted = await protocol(sent := Sent()).receive(request + b"hello")
    assert wanted.early == b"hello"
    assert sent.data == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.2\r\nhost: a\r\n\r\n", 505),
        (b"get / HTTP/1.1\r\nhost: a\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nhost: \xe4\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n"
            b"transfer-encoding: chunked\r\n\r\n",
            400,
        ),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_a_request_that_is_refused_is_the_last_one(request_, status):
    assert await protocol(sent := Sent()).receive(request_) is None
    assert sent.status == status
    assert sent.is_closed


async def test_a_request_for_another_server_is_answered_with_404():
    http = protocol(sent := Sent(), server_names=["testserver"])
    assert await http.receive(b"GET / HTTP/1.1\r\nhost: other\r\n\r\n") is None
    assert sent.status == 404
    assert sent.is_closed


async def test_a_peer_that_takes_no_error_response_is_waited_for_in_vain(autojump_clock):
    sent = Sent()
    sent.takes_nothing = True
    http, began = protocol(sent), trio.current_time()
    await http.receive(b"get / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert trio.current_time() - began == 5
    assert not http.refusing
