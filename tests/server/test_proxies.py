"""nginx and HAProxy pass requests on to the server, and both understand the same by them."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets
import websockets.sync.client

from tests.server.clients import open_websockets
from tests.server.clients.http import body
from tests.server.harness.ambiguous import AMBIGUOUS
from tests.server.harness.checked import CheckedServer
from tests.server.harness.process import APPLICATIONS, PATIENCE, TRIOWS, Output, ServerProcess
from tests.server.harness.proxies import FORWARDING, INTRODUCING, PROXIES, Proxy, ProxyProcess

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


# Who the client is

#: What a client writes that would like to be somebody else.
FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": 'for=6.6.6.6;host="evil.example", for="6',
}

#: The client's address. The proxy has another one.
CLIENT = "127.0.0.2"


def told_by(address: Any, context: ssl.SSLContext | None = None, **headers: str) -> Any:
    """Ask the server behind a proxy who the client is."""
    options = {"timeout": PATIENCE, "source_address": (CLIENT, 0)}
    if context is None:
        connection = http.client.HTTPConnection(*address, **options)
    else:
        connection = http.client.HTTPSConnection(*address, context=context, **options)
    try:
        connection.request("GET", "/plain", headers=headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.fixture(params=FORWARDING)
def forwarding(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[ProxyProcess, ServerProcess]]:
    """A proxy that says by headers who its client is, and a server that believes it."""
    option, chosen = FORWARDING[request.param]
    if (reason := chosen.missing()) is not None:
        pytest.skip(reason)
    with (
        ServerProcess(TRIOWS, "forwarded:app", option) as server,
        ProxyProcess(chosen, urlsplit(server.url).netloc, tmp_path) as process,
    ):
        yield process, server


def test_a_proxy_says_by_headers_who_the_client_is(forwarding):
    proxy, server = forwarding
    facts = told_by(proxy.address, **FORGED)
    assert (facts["client"], facts["url"]) == (CLIENT, "https://a.example:8443/plain")
    assert "6.6.6.6" in facts["headers"]["forwarded"]  # the application sees all of them
    server.wait_for(rf"{re.escape(CLIENT)}:0 GET '/plain' answered 200")


def told_by_message(address: Any, origin: str | None = None) -> Any:
    """Ask by a WebSocket."""
    with websockets.sync.client.connect(
        "ws://{}:{}/socket".format(*address),
        proxy=None,
        origin=None if origin is None else websockets.Origin(origin),
        source_address=(CLIENT, 0),
    ) as ws:
        return json.loads(ws.recv(PATIENCE))


def test_a_websocket_has_the_client_the_scheme_and_the_origin_of_the_browser(forwarding):
    address = forwarding[0].address
    with pytest.raises(websockets.InvalidStatus, match="403"):
        told_by_message(address, "http://{}:{}".format(*address))
    facts = told_by_message(address, "https://a.example:8443")
    assert (facts["client"], facts["url"]) == (CLIENT, "wss://a.example:8443/socket")


@pytest.fixture(params=INTRODUCING)
def introducing(request: pytest.FixtureRequest) -> Proxy:
    chosen = INTRODUCING[request.param]
    if (reason := chosen.missing()) is not None:
        pytest.skip(reason)
    return chosen


OPTIONS = ("--proxy-protocol", "all", "--proxy-headers", "--forwarded-allow-ips", "127.0.0.1")


def test_a_proxy_introduces_its_client(introducing, tmp_path):
    with (
        ServerProcess(TRIOWS, "forwarded:app", *OPTIONS) as server,
        ProxyProcess(introducing, urlsplit(server.url).netloc, tmp_path) as proxy,
    ):
        # The client isn't trusted, though the proxy is.
        facts = told_by(proxy.address, **FORGED)
        assert facts["client"] == CLIENT
        assert facts["url"] == "http://{}:{}/plain".format(*proxy.address)
        server.wait_for(rf"{re.escape(CLIENT)}:[1-9]\d* GET '/plain' answered 200")
        assert told_by_message(proxy.address)["client"] == CLIENT


def test_a_proxy_introduces_its_client_before_tls(introducing, tmp_path, authority, trust):
    certificate = authority.issue_cert("127.0.0.1")
    file = tmp_path / "certificate.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(file)
    files = ("--certfile", str(file), "--keyfile", str(file))
    with (
        ServerProcess(TRIOWS, "forwarded:app", *OPTIONS, *files) as server,
        ProxyProcess(introducing, urlsplit(server.url).netloc, tmp_path) as proxy,
    ):
        facts = told_by(proxy.address, trust)
    assert facts["client"] == CLIENT
    assert facts["url"] == "https://{}:{}/plain".format(*proxy.address)


def asked_through(path: str, header: bytes) -> bytes:
    """Ask at a Unix socket. Return the answer."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(path)
        sock.sendall(header + b"GET /plain HTTP/1.0\r\nHost: a\r\n\r\n")
        answer = b""
        while part := sock.recv(2**16):
            answer += part
        return answer


@pytest.mark.parametrize("processes", [(), ("--workers", "2")])
def test_each_listener_expects_an_introduction_or_none(tmp_path, processes):
    path = str(tmp_path / "app.sock")
    options = ("--bind", f"unix:{path}", "--proxy-protocol", f"unix:{path}")
    with ServerProcess(
        TRIOWS, "forwarded:app", *options, "--forwarded-allow-ips", "unix", *processes
    ) as server:
        header = b"PROXY TCP4 1.2.3.4 10.0.0.1 5 80\r\n"
        assert b'"client":"1.2.3.4"' in asked_through(path, header)
        assert told_by(server.address)["client"] == CLIENT


BOUND = """
bind = [{}]
proxy_protocol = "unix:a.sock"
forwarded_allow_ips = "unix"
workers = 2
"""


@pytest.mark.parametrize("later", ['"unix:b.sock", "unix:a.sock"', '"unix:a.sock"'])
def test_new_workers_expect_introductions_where_the_old_ones_did(tmp_path, later):
    def configure(addresses: str) -> None:
        file.write_text(BOUND.format(addresses).replace("unix:", f"unix:{tmp_path}/"))

    file = tmp_path / "triows.toml"
    configure('"unix:a.sock", "unix:b.sock"')
    command = [*TRIOWS, "forwarded:app", "--config", str(file)]
    with subprocess.Popen(
        command, cwd=APPLICATIONS, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stderr is not None
            output = Output(process.stderr)
            output.wait_for("serving forwarded:app")
            configure(later)
            process.send_signal(signal.SIGHUP)
            output.wait_for("all workers are new")
            header = b"PROXY TCP4 1.2.3.4 10.0.0.1 5 80\r\n"
            assert b'"client":"1.2.3.4"' in asked_through(str(tmp_path / "a.sock"), header)
            assert b'"client":null' in asked_through(str(tmp_path / "b.sock"), b"")
            process.terminate()
            assert process.wait(PATIENCE) == 0
            output.close()
        finally:
            process.kill()


def answer_to(data: bytes, address: tuple[str, int], source: str) -> bytes:
    """Send *data* from an address of this machine. Return the first byte of the answer."""
    with socket.create_connection(address, PATIENCE, source_address=(source, 0)) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            return sock.recv(1)
        except TimeoutError:
            raise
        except OSError:  # the server has closed it, maybe before the end was sent
            return b""


#: What a client sends that would like to be somebody else.
SPOOFED = b"GET /plain HTTP/1.0\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", "127.0.0.1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "6.6.6.6"),  # the proxy itself
    ],
)
def test_a_client_that_is_not_introduced_by_its_address_is_not_believed(header, client):
    with ServerProcess(TRIOWS, "forwarded:app", *OPTIONS) as server:
        assert json.loads(answered(server.address, header + SPOOFED))["client"] == client


def answered(address: tuple[str, int], data: bytes) -> bytes:
    """Send *data*, and return the body of the answer."""
    with socket.create_connection(address, PATIENCE) as sock:
        sock.sendall(data)
        with sock.makefile("rb") as answer:
            return answer.read().partition(b"\r\n\r\n")[2]


def test_nobody_is_served_who_does_not_introduce_a_client():
    with ServerProcess(TRIOWS, "forwarded:app", *OPTIONS) as server:
        for source, data, why in [
            ("127.0.0.1", b"GET / HTTP/1.1\r\n\r\n", "the PROXY header is missing"),
            ("127.0.0.1", b"PROXY TCP4 1.2.3.4", "the PROXY header is incomplete"),
            ("127.0.0.1", b"PROXY " + b"x" * 102, "the PROXY header is longer than 107 bytes"),
            (
                CLIENT,
                b"PROXY TCP4 1.2.3.4 10.0.0.1 5 80\r\nGET /plain HTTP/1.0\r\n\r\n",
                "it isn't one of the proxies that may introduce clients",
            ),
        ]:
            assert answer_to(data, server.address, source) == b""
            server.wait_for(rf"{re.escape(source)}:\d+ closed \({re.escape(why)}\)")
