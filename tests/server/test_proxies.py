"""nginx and HAProxy pass requests on to the server, and both understand the same by them."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets

from tests.server.clients import open_websockets
from tests.server.clients.http import body
from tests.server.harness.ambiguous import AMBIGUOUS
from tests.server.harness.checked import CheckedServer
from tests.server.harness.process import PATIENCE
from tests.server.harness.proxies import PROXIES, ProxyProcess

pytestmark = pytest.mark.real_socket

MiB = 2**20

#: Follows the ambiguous requests, on the same connection.
AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(params=PROXIES)
def proxy(
    request: pytest.FixtureRequest, plain_server: CheckedServer, tmp_path: Path
) -> Iterator[ProxyProcess]:
    """A proxy before the server."""
    chosen = PROXIES[request.param]
    if (reason := chosen.missing()) is not None:
        pytest.skip(reason)
    with ProxyProcess(chosen, urlsplit(plain_server.url).netloc, tmp_path) as process:
        yield process


def ask(address: Any, method: str, target: str, **more: Any) -> tuple[Any, bytes]:
    """Make a request on a connection of its own."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    try:
        connection.request(method, target, **more)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_connections_to_the_server_are_kept(proxy):
    answers = [ask(proxy.address, "GET", "/hello") for _ in range(3)]
    assert [data for _, data in answers] == [b"hello"] * 3
    assert len({response.headers["x-port"] for response, _ in answers}) == 1


@pytest.mark.parametrize("size", [10, 10 * MiB])
def test_a_body_with_a_length_arrives(proxy, size):
    _, data = ask(proxy.address, "POST", "/seen", body=body(size))
    facts = json.loads(data)
    assert (facts["size"], facts["hash"]) == (size, sha256(body(size)).hexdigest())


@pytest.mark.parametrize("size", [10, 10 * MiB])
def test_a_body_in_chunks_arrives(proxy, size):
    data = body(size)
    parts = (data[begin : begin + 70_001] for begin in range(0, size, 70_001))
    _, told = ask(proxy.address, "POST", "/seen", body=parts, encode_chunked=True)
    facts = json.loads(told)
    assert (facts["size"], facts["hash"]) == (size, sha256(data).hexdigest())


@pytest.mark.parametrize("target", ["/big", "/streamed"])
def test_an_answer_arrives_whole(proxy, target):
    _, data = ask(proxy.address, "GET", f"{target}?size={10 * MiB}")
    assert sha256(data).hexdigest() == sha256(body(10 * MiB)).hexdigest()


def test_an_answer_to_head_has_a_length_and_the_connection_is_kept(proxy):
    head, _ = ask(proxy.address, "HEAD", "/big?size=5000")
    after, data = ask(proxy.address, "GET", "/hello")
    assert (head.headers["content-length"], data) == ("5000", b"hello")
    assert head.headers["x-port"] == after.headers["x-port"]


async def test_a_websocket_goes_through_it(proxy):
    async with open_websockets("ws://{}:{}/echo".format(*proxy.address)) as client:
        for message in ["a", b"\x00" * MiB]:
            await client.send(message)
            assert await client.receive() == message
        await client.close(4001, "bye")


async def test_a_refused_handshake_leaves_no_tunnel(proxy):
    with pytest.raises(websockets.InvalidStatus, match="403"):
        async with open_websockets("ws://{}:{}/nowhere".format(*proxy.address)):
            pass
    assert ask(proxy.address, "GET", "/hello")[1] == b"hello"


def exchange(address: tuple[str, int], data: bytes) -> None:
    """Send *data*, and read until the proxy closes."""
    with socket.create_connection(address, PATIENCE) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(2**16):
                pass
        except ConnectionError:
            pass  # it has refused, and has closed with unread data


def passed_on(lines: list[str]) -> Iterator[str]:
    """The requests that a proxy has passed on, and that the server has answered with 200."""
    for line in lines:
        match = re.search(r"meant: (\S+) (?:http://[^/ ]*)?(.*) 200$", line.rstrip("\n"))
        if match is not None:
            # HAProxy escapes some characters in its log.
            target = re.sub("#([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), match[2])
            yield f"{match[1]} {target or '/'}"


def test_proxy_and_server_understand_the_same_by_ambiguous_requests(proxy, plain_server):
    server = urlsplit(plain_server.url)
    direct = (server.hostname, server.port)
    ask(direct, "GET", "/requests")
    differences = {}
    for number, (name, data) in enumerate(AMBIGUOUS.items()):
        before = len(proxy.output.lines)
        exchange(proxy.address, data + AFTER)
        witness = f"/big?size={number}"
        _, answer = ask(proxy.address, "GET", witness)
        proxy.output.wait_for(f"GET {re.escape(witness)} 200")
        meant = list(passed_on(proxy.output.lines[before:]))
        told = json.loads(ask(direct, "GET", "/requests")[1])
        seen = [f"{one['method']} {one['target']}" for one in told]
        if (meant, answer) != (seen, body(number)):
            differences[name] = meant, seen
    assert differences == {}
