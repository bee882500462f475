"""The beginning of a connection from a proxy that introduces its client."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from triows import Proxy
from triows._log import peer_of
from triows._server.arrival import Addresses
from triows._server.introduction import Introduction, Introductions
from triows._server.listening import Listener

pytestmark = pytest.mark.real_socket

HEADER = b"PROXY TCP4 1.2.3.4 10.0.0.1 5000 443\r\n"
#: The client's own TLS, which the proxy passes through.
TLS: Any = object()
ENDS = Addresses(("10.0.0.9", 1), ("10.0.0.8", 2), secure=True, tls=TLS)
HIDDEN = evolve(ENDS, is_hidden=True)
INTRODUCED = Addresses(("1.2.3.4", 5000), ("10.0.0.1", 443), secure=True, tls=TLS)


class Introduced:
    """A connection whose reactor is the test."""

    def __init__(self) -> None:
        self.peer, self.socket = socket.socketpair()
        self.socket.setblocking(False)
        self.watched: dict[int, Any] = {}
        #: What was called.
        self.results: list[Any] = []
        self.introduction = Introduction(self.socket, self, ENDS)
        self.introduction.start(self.results.append, lambda: self.results.append("closed"))

    def add(self, fd: int, reader: Any) -> None:
        self.watched[fd] = reader

    def discard(self, fd: int) -> None:
        del self.watched[fd]

    def says(self, data: bytes) -> None:
        """Let the peer send something, and the reactor notice it."""
        self.peer.sendall(data)
        self.watched[self.socket.fileno()].on_readable()


@pytest.fixture(autouse=True)
def _info(caplog):
    caplog.set_level(logging.INFO)


@pytest.fixture
def connection() -> Iterator[Introduced]:
    connection = Introduced()
    with connection.peer, connection.socket:
        yield connection


def test_the_client_is_introduced_and_what_it_has_sent_is_left(connection):
    connection.says(HEADER + b"GET /")
    assert connection.results == [INTRODUCED]
    assert connection.watched == {}
    assert connection.socket.recv(100) == b"GET /"


def test_a_header_may_come_byte_by_byte(connection):
    for number in range(len(HEADER)):
        assert connection.results == []
        connection.says(HEADER[number : number + 1])
    assert connection.results == [INTRODUCED]


@pytest.mark.parametrize(
    ("header", "ends"),
    [
        (b"PROXY UNKNOWN\r\n", HIDDEN),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", HIDDEN),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", ENDS),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8" + b"/x".ljust(108, b"\0") * 2,
            Addresses(None, ("/x", None), True, TLS),
        ),
    ],
)
def test_a_proxy_may_have_no_client_with_an_address(connection, header, ends):
    connection.says(header)
    assert connection.results == [ends]


def test_a_client_on_a_unix_socket_of_the_proxy_is_named_so_in_the_log(connection):
    connection.says(b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8" + bytes(216))
    (ends,) = connection.results
    assert peer_of({"client": ends.client, "server": ends.server}) == "unix"


def test_what_is_no_header_is_closed_and_logged_as_soon_as_it_can_be_seen(connection, caplog):
    connection.says(b"PROXG")
    assert connection.results == ["closed"]
    assert caplog.messages == ["10.0.0.9:1 closed (the PROXY header is missing)"]


def test_a_peer_that_leaves_in_a_header_is_logged(connection, caplog):
    connection.says(HEADER[:20])
    connection.peer.close()
    connection.introduction.on_readable()
    assert connection.results == ["closed"]
    assert caplog.messages == ["10.0.0.9:1 closed (the PROXY header is incomplete)"]


def test_a_peer_that_only_looks_whether_somebody_listens_is_not_logged(connection, caplog):
    connection.peer.close()
    connection.introduction.on_readable()
    assert connection.results == ["closed"]
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("begin", "lines"),
    [(b"", []), (b"PROXY", ["10.0.0.9:1 closed (the PROXY header is incomplete)"])],
)
def test_when_the_server_ends_who_has_begun_a_header_is_logged(connection, caplog, begin, lines):
    if begin:
        connection.says(begin)
    connection.introduction.end()
    assert connection.results == ["closed"]
    assert caplog.messages == lines


def test_a_broken_connection_is_closed(connection, caplog):
    connection.socket.close()
    connection.introduction.on_readable()
    assert connection.results == ["closed"]
    assert caplog.messages == []


def test_nothing_happens_if_there_is_nothing_to_read_after_all(connection):
    connection.introduction.on_readable()
    connection.introduction.on_turn()
    connection.introduction.on_hangup()
    assert connection.results == []


# Which connections have one


@pytest.fixture
def listener(connection) -> Listener:
    return Listener(connection.socket, secure=False, introduced=True)


def expected(listener: Listener, proxy: Proxy | None, ends: Addresses = ENDS) -> Any:
    reactor: Any = None
    return Introductions(proxy, reactor).expected(listener, listener.socket, ends)


def test_a_proxy_that_is_trusted_introduces_its_clients(listener):
    proxy = Proxy(trusted=["10.0.0.0/8"], protocol=True)
    assert isinstance(expected(listener, proxy), Introduction)


def test_other_listeners_serve_everybody(listener):
    proxy = Proxy(trusted=["10.0.0.0/8"], protocol=True)
    assert expected(evolve(listener, introduced=False), proxy) is None


@pytest.mark.parametrize("proxy", [None, Proxy(headers="forwarded")])
def test_a_listener_of_the_parent_goes_on_expecting_introductions(listener, proxy):
    ends = Addresses(("127.0.0.1", 1), None, secure=False)
    assert isinstance(expected(listener, proxy, ends), Introduction)
    with pytest.raises(OSError):  # noqa: PT011 - it is never shown
        expected(listener, proxy)


def test_nobody_else_may_introduce_clients(listener, caplog):
    with pytest.raises(OSError):  # noqa: PT011 - it is never shown
        expected(listener, Proxy(protocol=True))
    assert caplog.messages == [
        "10.0.0.9:1 closed (it isn't one of the proxies that may introduce clients)"
    ]
