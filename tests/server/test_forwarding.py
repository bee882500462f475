"""Who has made a request, as the proxies in front of the server say."""

from __future__ import annotations

from typing import Any

import pytest

from triows import Proxy
from triows._protocol.heads import read_head
from triows._server.arrival import Addresses
from triows._server.forwarding import forwarding

PROXY, CLIENT = ("10.0.0.1", 50_000), ("1.2.3.4", 0)
SERVER = ("10.0.0.9", 8000)


def read(
    *lines: str,
    peer: Any = PROXY,
    trusted: tuple[str, ...] = ("10.0.0.0/8",),
    family: Any = "x-forwarded",
    secure: bool = False,
    version: str = "1.1",
    host: str | None = "backend:8000",
) -> tuple[Any, bool, bytes]:
    """Read a request. Return who has made it, whether by TLS, and for which host."""
    hosts = [] if host is None else [f"Host: {host}"]
    head = read_head("\r\n".join([f"GET / HTTP/{version}", *hosts, *lines]).encode("latin-1"))
    before = list(head.headers)
    reading = forwarding(Proxy(trusted=trusted, headers=family))
    assert reading is not None
    seen = reading.read(head, Addresses(peer, SERVER, secure))
    assert seen.server == SERVER
    others = [one for one in head.headers if one[0] != b"host"]
    assert others == [one for one in before if one[0] != b"host"]  # the application sees them
    return seen.client, seen.secure, dict(head.headers).get(b"host", b"")


def client(value: str, **options: Any) -> Any:
    return read(f"X-Forwarded-For: {value}", **options)[0]


def test_nothing_is_read_if_nobody_asks_for_it():
    assert forwarding(None) is None
    assert forwarding(Proxy(protocol=True)) is None


def test_the_tls_of_a_proxy_is_not_taken_for_the_clients():
    reading = forwarding(Proxy(trusted=("10.0.0.0/8",), headers="x-forwarded"))
    tls: Any = object()
    ends = Addresses(PROXY, SERVER, secure=True, tls=tls)
    told = read_head(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4")
    assert reading.read(told, ends).tls is None
    others = Addresses(("9.9.9.9", 1), SERVER, secure=True, tls=tls)
    assert reading.read(told, others).tls is tls


# The client


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("1.2.3.4", CLIENT),
        ("1.2.3.4:77", ("1.2.3.4", 77)),
        ("6.6.6.6, 1.2.3.4", CLIENT),
        ("6.6.6.6, 1.2.3.4, 10.3.3.3, 10.0.0.2", CLIENT),
        ("10.6.6.6, 1.2.3.4, 10.0.0.2", CLIENT),
        ("2001:db8::1, 10.0.0.2", ("2001:db8::1", 0)),
        ("::ffff:10.0.0.2", ("10.0.0.2", 0)),
        # All of them are trusted, so the first one has made the request.
        ("10.0.0.3, 10.0.0.2", ("10.0.0.3", 0)),
        # What can't be read, and what is before it, doesn't count.
        ("1.2.3.4, unknown", PROXY),
        ("1.2.3.4, _hidden, 10.0.0.2", ("10.0.0.2", 0)),
        ("1.2.3.4,", PROXY),
        ("garbage, 1.2.3.4", CLIENT),
        ("", PROXY),
    ],
)
def test_the_client_is_the_last_address_that_is_not_trusted(value, found):
    assert client(value) == found


def test_everybody_may_be_trusted():
    assert client("1.1.1.1, 2.2.2.2", trusted=("*",), peer=("9.9.9.9", 1)) == ("1.1.1.1", 0)


def test_a_proxy_on_a_unix_socket_may_be_trusted():
    assert client("1.2.3.4", peer=None, trusted=("unix",)) == CLIENT
    assert client("1.2.3.4", peer=None) is None


@pytest.mark.parametrize("family", ["x-forwarded", "forwarded"])
def test_nobody_else_is_believed(family):
    assert read(
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        'Forwarded: for=1.2.3.4;proto=https;host="evil.example"',
        peer=("11.0.0.1", 1),
        family=family,
    ) == (("11.0.0.1", 1), False, b"backend:8000")


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", "*"])
def test_a_client_whose_address_a_trusted_proxy_has_not_told_is_not_believed(trusted):
    told = read_head(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6")
    reading = forwarding(Proxy(trusted=[trusted], headers="x-forwarded"))
    assert reading is not None
    ends = Addresses(PROXY, SERVER, secure=False, is_hidden=True)
    assert reading.read(told, ends) is ends


def test_no_header_of_the_other_family_is_read():
    assert client("1.2.3.4", family="forwarded") == PROXY
    assert read("Forwarded: for=1.2.3.4;proto=https")[:2] == (PROXY, False)


def test_a_client_can_not_hide_behind_ten_thousand_addresses():
    assert client("10.6.6.6," * 10_000 + "1.2.3.4") == CLIENT


# The scheme


@pytest.mark.parametrize(
    ("lines", "secure"),
    [
        (["X-Forwarded-Proto: https"], True),
        (["X-Forwarded-Proto: WSS"], True),
        (["X-Forwarded-Proto: http"], False),
        (["X-Forwarded-Proto: nonsense"], False),
        # Each of two proxies has added what it knows, or only the farther one has.
        (["X-Forwarded-For: 1.2.3.4, 10.0.0.2", "X-Forwarded-Proto: https, http"], True),
        (["X-Forwarded-For: 1.2.3.4, 10.0.0.2", "X-Forwarded-Proto: https"], True),
        # A client has written the first one.
        (["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https, http"], False),
        (["X-Forwarded-For: 6.6.6.6, 1.2.3.4", "X-Forwarded-Proto: https, http"], False),
    ],
)
def test_the_scheme_is_that_of_the_clients_own_connection(lines, secure):
    assert read(*lines)[1] is secure


def test_a_proxy_may_use_tls_for_a_client_that_does_not():
    assert read("X-Forwarded-Proto: http", secure=True)[1] is False
    assert read("X-Forwarded-For: 1.2.3.4", secure=True)[1] is True


# The host


@pytest.mark.parametrize(
    ("lines", "host"),
    [
        (["X-Forwarded-Host: a.example"], b"a.example"),
        (["X-Forwarded-Host: a.example:8443"], b"a.example:8443"),
        (["X-Forwarded-Host: evil.example, a.example"], b"a.example"),
        (["X-Forwarded-Host: a b"], b"backend:8000"),
        (["X-Forwarded-Host: a.example", "X-Forwarded-Port: 8080"], b"a.example:8080"),
        (["X-Forwarded-Host: a.example:1", "X-Forwarded-Port: 8080"], b"a.example:8080"),
        (["X-Forwarded-Host: a.example", "X-Forwarded-Port: 80"], b"a.example"),
        (["X-Forwarded-Port: 9000"], b"backend:9000"),
        (["X-Forwarded-Port: 80"], b"backend"),
        (["X-Forwarded-Port: 443"], b"backend:443"),
        (["X-Forwarded-Port: 443", "X-Forwarded-Proto: https"], b"backend"),
        (["X-Forwarded-Port: many"], b"backend:8000"),
        (["X-Forwarded-Host: [::1]", "X-Forwarded-Port: 81"], b"[::1]:81"),
        ([], b"backend:8000"),
    ],
)
def test_the_host_is_the_one_for_which_the_client_has_asked(lines, host):
    assert read(*lines)[2] == host


def test_a_host_takes_the_place_of_one_that_is_missing():
    old = {"host": None, "version": "1.0"}
    assert read("X-Forwarded-Host: a.example", **old)[2] == b"a.example"
    assert read("X-Forwarded-Port: 81", **old)[2] == b""


def test_forwarded_says_all_of_it():
    told = 'for="[2001:db8::1]:99";proto=https;host="a.example:8443";by=10.0.0.2'
    assert read(f"Forwarded: for=6.6.6.6;host=evil, {told}, for=10.0.0.2", family="forwarded") == (
        ("2001:db8::1", 99),
        True,
        b"a.example:8443",
    )


def test_headers_as_they_were_sent_have_the_clients_host():
    head = read_head(b"GET / HTTP/1.0\r\nX-Forwarded-Host: a.example")
    reading = forwarding(Proxy(trusted=["*"], headers="x-forwarded"))
    assert reading is not None
    reading.read(head, Addresses(PROXY, SERVER, False))
    assert head.headers_as_sent() == [(b"Host", b"a.example"), (b"X-Forwarded-Host", b"a.example")]
