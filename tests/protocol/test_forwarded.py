"""What proxies say about their clients."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, strategies as st

from triows._protocol.forwarded import (
    MOST_HOPS,
    Hop,
    forwarded_hops,
    plain_address,
    x_forwarded_hops,
)


def hop(
    client: str | None = None,
    port: int = 0,
    *,
    secure: bool | None = None,
    host: bytes | None = None,
    at: int | None = None,
) -> Hop:
    return Hop(None if client is None else (client, port), secure, host, at)


def forwarded(*values: bytes) -> list[Hop]:
    return list(forwarded_hops([(b"forwarded", value) for value in values]))


def x_forwarded(**values: bytes) -> list[Hop]:
    headers = [(b"x-forwarded-" + name.encode(), value) for name, value in values.items()]
    return list(x_forwarded_hops(headers))


# One address


@pytest.mark.parametrize(
    ("node", "client"),
    [
        ("1.2.3.4", hop("1.2.3.4")),
        ("1.2.3.4:80", hop("1.2.3.4", 80)),
        ("1.2.3.4:65535", hop("1.2.3.4", 65535)),
        ("1.2.3.4:_secret", hop("1.2.3.4")),
        ("[2001:DB8::17]", hop("2001:db8::17")),
        ("[2001:db8:0::17]:4711", hop("2001:db8::17", 4711)),
        ("[::ffff:1.2.3.4]", hop("1.2.3.4")),
        ("unknown", hop()),
        ("_hidden", hop()),
        ("_", hop()),
        ("1.2.3.4:65536", hop()),
        ("1.2.3.4:", hop()),
        ("1.2.3.4:-1", hop()),
        ("1.2.3.4.5", hop()),
        ("1.2.3.256", hop()),
        ("01.2.3.4", hop()),
        ("[1.2.3.4]", hop()),
        ("[::1", hop()),
        ("[fe80::1%eth0]", hop()),
        ("[" + "0" * 100 + "::1]", hop()),
        ("localhost", hop()),
        ("1.2.3.4 evil", hop()),
        ("", hop()),
    ],
)
def test_an_address_is_read_or_unknown(node: str, client: Hop) -> None:
    assert forwarded(b'for="%s"' % node.encode()) == [client]
    assert x_forwarded(**{"for": node.encode()}) == [client]


def test_only_x_forwarded_for_has_ipv6_without_brackets() -> None:
    assert x_forwarded(**{"for": b"2001:db8::1"}) == [hop("2001:db8::1")]
    assert forwarded(b"for=2001:db8::1") == []


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", None),
        ("", None),
    ],
)
def test_the_address_of_a_socket_is_read(text: str, plain: str | None) -> None:
    assert plain_address(text) == (None if plain is None else ip_address(plain))


# X-Forwarded-...


def test_the_nearest_proxy_comes_first() -> None:
    assert x_forwarded(
        **{"for": b"1.1.1.1,2.2.2.2 ,\t3.3.3.3"}, proto=b"https, http", host=b"a.example, b:80"
    ) == [
        hop("3.3.3.3", secure=False, host=b"b:80"),
        hop("2.2.2.2", secure=True, host=b"a.example"),
        hop("1.1.1.1"),
    ]


def test_several_headers_are_one_list() -> None:
    name = b"x-forwarded-for"
    hops = x_forwarded_hops([(name, b"1.1.1.1, 2.2.2.2"), (b"a", b"b"), (name, b"3.3.3.3")])
    assert [one.client for one in hops] == [("3.3.3.3", 0), ("2.2.2.2", 0), ("1.1.1.1", 0)]


def test_without_an_address_the_nearest_proxy_may_say_the_rest() -> None:
    assert x_forwarded(proto=b"HTTPS", port=b"8443") == [hop(secure=True, at=8443)]
    assert x_forwarded() == [hop()]


@pytest.mark.parametrize(
    ("scheme", "secure"),
    [
        (b"https", True),
        (b"wss", True),
        (b"Http", False),
        (b"ws", False),
        (b"ftp", None),
        (b"", None),
    ],
)
def test_a_scheme_says_whether_the_client_uses_tls(scheme: bytes, secure: bool | None) -> None:
    assert x_forwarded(proto=scheme) == [hop(secure=secure)]
    if scheme:
        assert forwarded(b"proto=" + scheme) == [hop(secure=secure)]


@pytest.mark.parametrize("host", [b"", b"a b", b"a/b", b"a:99999", b"user@a", b"\xe4", b"a" * 300])
def test_a_host_that_is_none_is_ignored(host: bytes) -> None:
    assert x_forwarded(host=host) == [hop()]
    assert forwarded(b'host="%s"' % host) == [hop()]


@pytest.mark.parametrize("port", [b"", b"0", b"65536", b"-1", b"+1", b"8o", b"\xb2", b"1" * 5000])
def test_a_port_that_is_none_is_ignored(port: bytes) -> None:
    assert x_forwarded(port=port) == [hop()]


def test_of_a_long_header_only_the_end_is_read() -> None:
    assert x_forwarded(**{"for": b"1.1.1.1," * 10_000 + b"2.2.2.2"}) == [
        hop("2.2.2.2"),
        *[hop("1.1.1.1")] * (MOST_HOPS - 1),
    ]
    assert forwarded(b"for=1.1.1.1," * 10_000 + b"for=2.2.2.2") == [
        hop("2.2.2.2"),
        *[hop("1.1.1.1")] * (MOST_HOPS - 1),
    ]


# Forwarded


@pytest.mark.parametrize(
    ("value", "hops"),
    [
        # The examples of RFC 7239.
        (b'for="_gazonk"', [hop()]),
        (b'For="[2001:db8:cafe::17]:4711"', [hop("2001:db8:cafe::17", 4711)]),
        (b"for=192.0.2.60;proto=http;by=203.0.113.43", [hop("192.0.2.60", secure=False)]),
        (b"for=192.0.2.43, for=198.51.100.17", [hop("198.51.100.17"), hop("192.0.2.43")]),
        (b"for=_hidden, for=_SEVKISEK", [hop(), hop()]),
        # Empty elements and pairs, and spaces.
        (b",, for=1.1.1.1 ,\t,", [hop("1.1.1.1")]),
        (b";for=1.1.1.1;;proto=https;", [hop("1.1.1.1", secure=True)]),
        (b"for=1.1.1.1 ; proto=https", [hop("1.1.1.1", secure=True)]),
        (b"", []),
        # Quoted strings.
        (b'host="a.example:8443";for="1.1.1.1"', [hop("1.1.1.1", host=b"a.example:8443")]),
        (rb'for="1\.1.1.\1"', [hop("1.1.1.1")]),
        (b'for=1.1.1.1;x="a, for=6.6.6.6"', [hop("1.1.1.1")]),
        (rb'for=1.1.1.1;x="a\", for=6.6.6.6;y=\"b"', [hop("1.1.1.1")]),
        (b'for=1.1.1.1;x=","', [hop("1.1.1.1")]),
        (b'for=2.2.2.2;x=",,", for=1.1.1.1', [hop("1.1.1.1"), hop("2.2.2.2")]),
        # Other parameters.
        (b"secret=x;for=1.1.1.1;by=_me", [hop("1.1.1.1")]),
        (b"proto=https", [hop(secure=True)]),
    ],
)
def test_forwarded_is_read(value: bytes, hops: list[Hop]) -> None:
    assert forwarded(value) == hops


@pytest.mark.parametrize(
    "bad",
    [
        b"for",
        b"for=",
        b"=1.1.1.1",
        b"for =1.1.1.1",
        b"for= 1.1.1.1",
        b"for=1.1.1.1:80",
        b"for=[::1]",
        b'for="1.1.1.1',
        b'for="1.1.1.1"x',
        b"for=1.1.1.1;for=2.2.2.2",
        b"for=1.1.1.1;FOR=2.2.2.2",
        b"for=1.1.1.1 proto=https",
        b'for="\x01"',
        b"f\xf6r=1.1.1.1",
        b'x="' + b"," * 20 + b'"',
    ],
)
def test_nothing_is_read_from_what_is_malformed_on(bad: bytes) -> None:
    assert forwarded(b"for=1.1.1.1, %s, for=9.9.9.9" % bad) == [hop("9.9.9.9")]
    assert forwarded(bad) == []


garbage = st.binary(max_size=60) | st.text('";=, \\for1.:[]_a', max_size=60).map(str.encode)
told = st.sampled_from(
    [
        b"for=1.2.3.4",
        b'for="[::1]:80";proto=https',
        b'for=1.2.3.4;x="a, for=6.6.6.6"',
        rb'x="\",\"";for=1.2.3.4',
        b"for=unknown;host=a.example",
    ]
)


@given(st.lists(garbage, max_size=3), st.lists(told, min_size=1, max_size=4))
def test_nothing_that_a_client_writes_changes_what_proxies_have_added(
    begun: list[bytes], added: list[bytes]
) -> None:
    alone = forwarded(b", ".join(added))
    assert len(alone) == len(added)
    assert forwarded(*begun, *added)[: len(added)] == alone
    assert forwarded(b", ".join([*begun, *added]))[: len(added)] == alone


@given(st.lists(st.tuples(st.sampled_from(["for", "proto", "host", "port"]), garbage), max_size=6))
def test_no_bytes_crash(values: list[tuple[str, bytes]]) -> None:
    headers: Any = [(b"x-forwarded-" + name.encode(), value) for name, value in values]
    headers += [(b"forwarded", value) for _, value in values]
    for read in (x_forwarded_hops, forwarded_hops):
        for one in read(headers):
            assert one.client is None or plain_address(one.client[0]) is not None
