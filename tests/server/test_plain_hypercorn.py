"""The same applications with plain ``hypercorn -k trio``, which keeps some of the promises."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
import websockets.sync.client

from tests import raw
from tests.server.clients import Closed, open_websockets
from tests.server.harness.peer import Answer, Peer
from tests.server.harness.process import HYPERCORN, PATIENCE, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real_socket


@pytest.fixture
def server(plain_hypercorn: ServerProcess) -> Iterator[ServerProcess]:
    """The server. After the test, it has to echo as before."""
    yield plain_hypercorn
    with websockets.sync.client.connect(f"{plain_hypercorn.ws_url}/echo", proxy=None) as ws:
        ws.send("still there")
        assert ws.recv(PATIENCE) == "still there"


def handshake(server: ServerProcess, target: str | bytes, *lines: bytes) -> Answer:
    """Ask for a WebSocket with bytes that no client library would send."""
    with Peer(server.reach(PATIENCE)) as peer:
        return peer.ask(raw.handshake(target, *lines))


async def test_the_seed_program_is_served(server, open_client):
    async with open_client(f"{server.ws_url}/web_socket/session123?max_users=5") as client:
        assert await client.receive() == "Hello, world!"
        with pytest.raises(Closed) as caught:
            await client.receive()
    assert caught.value.args == (1000, "")


@pytest.mark.parametrize(
    "target",
    [
        "/echo%zz",
        "/echo%",
        "/%ff",
        "/%c3%28",
        "/rooms/%ed%a0%80?times=1",
        "*",
        "http://127.0.0.1/echo",
    ],
)
def test_a_path_that_is_none_is_400(server, target):
    assert handshake(server, target).status == 400


@pytest.mark.parametrize("target", ["/nope", "/../echo", "/echo/", "/%0d%0ax-a:%20b", "/echo%00"])
def test_a_path_that_leads_nowhere_is_404(server, target):
    answer = handshake(server, target)
    assert answer.status == 404
    assert b"x-a" not in answer.head


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("times=%zz", [("query", "times")]),
        ("times=%ff", [("query", "times")]),
        ("times=1&times=2", [("query", "times")]),
        ("times=99999999999999999999999999999999999999999999", []),
        ("", [("query", "times")]),
        ("times=1" + "&a=1" * 3000, [("query", "")]),
    ],
)
def test_bad_parameters_are_422_each_with_its_name(server, query, errors):
    answer = handshake(server, f"/rooms/1?{query}")
    if not errors:
        assert answer.status == 101
        return
    assert answer.status == 422
    assert [(one["location"], one["name"]) for one in answer.problem["errors"]] == errors


def test_a_query_over_the_servers_limit_is_refused(server):
    assert handshake(server, "/rooms/1?times=1&tags=" + "x" * 100_000).status in (400, 414, 431)


def test_a_big_query_below_it_is_read(server):
    tags = "&".join(f"tags={number}" for number in range(90))
    with websockets.sync.client.connect(
        f"{server.ws_url}/rooms/1?times=2&{tags}&tags={'x' * 10_000}", proxy=None
    ) as ws:
        received = json.loads(ws.recv(PATIENCE))
    assert received["tags"] == [*map(str, range(90)), "x" * 10_000]


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("subprotocol", 500),
        ("header", 500),
        ("reserved", 500),
        ("exit", 500),
        ("silent", 403),
    ],
)
def test_a_mistake_in_a_handler_before_accept_is_contained(server, how, status):
    answer = handshake(server, f"/mistaken/{how}")
    assert answer.status == status
    assert b"set-cookie" not in answer.head.lower()
    assert b"connection: close" in answer.head.lower()
    assert answer.problem == {
        "type": "about:blank",
        "title": {403: "Forbidden", 500: "Internal Server Error"}[status],
        "status": status,
    }


async def test_a_mistake_in_a_handler_after_accept_closes_with_1011(server):
    async with open_websockets(f"{server.ws_url}/mistaken/text") as client:
        with pytest.raises(Closed) as caught:
            await client.receive()
    assert caught.value.args == (1011, "")


async def test_messages_that_nobody_reads_do_not_hold_a_connection(server):
    async with open_websockets(f"{server.ws_url}/mistaken/unread") as client:
        assert await client.receive() == "enough"
        with suppress(Closed):  # raised as soon as the server has closed
            for _ in range(100):
                await client.send("x" * 100)
        with pytest.raises(Closed) as caught:
            await client.receive()
    assert caught.value.args == (1000, "")


def test_a_page_of_another_origin_is_403(server):
    assert handshake(server, "/echo", b"Origin: https://evil.example").status == 403
    assert handshake(server, "/echo", b"Origin: null").status == 403
    assert handshake(server, "/echo", b"Origin: http://127.0.0.1").status == 101


async def test_a_signal_tells_the_peers_and_ends_with_0(open_client):
    """Hypercorn waits for its own grace first. Before that, the application learns nothing."""
    with ServerProcess(HYPERCORN, "ordinary:app", "--graceful-timeout", "0") as process:
        async with open_client(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            await client.receive()
            process.send_signal(signal.SIGTERM)
            with pytest.raises(Closed) as caught:
                await client.receive()
        assert await trio.to_thread.run_sync(process.wait) == 0
    assert caught.value.args == (1001, "")


def test_a_failing_start_up_ends_the_server_with_its_traceback():
    # Hypercorn says anyway where it would have served, and has an exit code of its own.
    with ServerProcess(HYPERCORN, "failing_start:app") as process:
        process.wait()
    assert "the application failed to start" in process.output
    assert "RuntimeError: there is no database" in process.output
