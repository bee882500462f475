"""The header of the PROXY protocol."""

from __future__ import annotations

import random
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given, strategies as st

from triows._protocol.proxy_header import (
    LONGEST,
    BadProxyHeader,
    ProxyHeader,
    ProxyHeaderReader,
    Whose,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

LOCAL, UNKNOWN = ProxyHeader(Whose.PROXY), ProxyHeader(Whose.UNKNOWN)


def binary(
    rest: bytes, *, command: int = 0x21, family: int = 0x11, size: int | None = None
) -> bytes:
    """Write a header of version 2."""
    size = len(rest) if size is None else size
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", size) + rest


def addresses(client: str, server: str, *ports: int) -> bytes:
    return ip_address(client).packed + ip_address(server).packed + struct.pack("!HH", *ports)


def paths(client: bytes, server: bytes) -> bytes:
    return client.ljust(108, b"\0") + server.ljust(108, b"\0")


def of_unix(path: str) -> ProxyHeader:
    return ProxyHeader(Whose.CLIENT, None, (path, None))


V4 = addresses("1.2.3.4", "10.0.0.1", 5000, 443)
V6 = addresses("2001:db8::1", "::1", 5000, 443)

OF_V4 = ProxyHeader(Whose.CLIENT, ("1.2.3.4", 5000), ("10.0.0.1", 443))
OF_V6 = ProxyHeader(Whose.CLIENT, ("2001:db8::1", 5000), ("::1", 443))

VALID = {
    b"PROXY TCP4 1.2.3.4 10.0.0.1 5000 443\r\n": OF_V4,
    b"PROXY TCP6 2001:DB8:0::1 ::1 5000 443\r\n": OF_V6,
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n": ProxyHeader(
        Whose.CLIENT, ("255.255.255.255", 65535), ("255.255.255.255", 0)
    ),
    b"PROXY UNKNOWN\r\n": UNKNOWN,
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n": UNKNOWN,
    b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n": UNKNOWN,
    binary(V4): OF_V4,
    binary(V6, family=0x21): OF_V6,
    binary(V4 + b"\x04\x00\x03abc\x20"): OF_V4,
    binary(V4 + b"x" * (LONGEST - 28)): OF_V4,
    binary(b"", command=0x20, family=0): LOCAL,
    binary(V4, command=0x20): LOCAL,
    binary(b"anything", family=0x00): UNKNOWN,
    binary(V4, family=0x12): UNKNOWN,
    binary(paths(b"/a", b"/b"), family=0x31): of_unix("/b"),
    binary(paths(b"", b"/" + b"b" * 107), family=0x31): of_unix("/" + "b" * 107),
    binary(paths(b"", b"\0b"), family=0x31): of_unix("@b"),
    binary(paths(b"", b""), family=0x31): of_unix(""),
}

INVALID = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01",
    b"PROXYTCP4",
    b"proxy TCP4 1.2.3.4 10.0.0.1 5000 443\r\n",
    b"PROXY  TCP4 1.2.3.4 10.0.0.1 5000 443\r\n",
    b"PROXY TCP4 1.2.3.4 10.0.0.1 5000 443 \r\n",
    b"PROXY TCP4 1.2.3.4 10.0.0.1 5000\r\n",
    b"PROXY TCP4 1.2.3.4 10.0.0.1 5000 443\n",
    b"PROXY TCP4 1.2.3.4\r10.0.0.1 5000 443\r\n",
    b"PROXY TCP4 ::1 ::1 5000 443\r\n",
    b"PROXY TCP6 1.2.3.4 10.0.0.1 5000 443\r\n",
    b"PROXY TCP6 ::1%eth0 ::1 5000 443\r\n",
    b"PROXY TCP4 1.2.3.256 10.0.0.1 5000 443\r\n",
    b"PROXY TCP4 1.2.3.4 10.0.0.1 65536 443\r\n",
    b"PROXY TCP4 1.2.3.4 10.0.0.1 05000 443\r\n",
    b"PROXY TCP4 1.2.3.4 10.0.0.1 -1 443\r\n",
    b"PROXY TCP5 1.2.3.4 10.0.0.1 5000 443\r\n",
    b"PROXY UDP4 1.2.3.4 10.0.0.1 5000 443\r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY TCP4 " + b"1" * 5000,
    SIGNATURE[:-1] + b"X",
    binary(V4, command=0x11),
    binary(V4, command=0x22),
    binary(V4, family=0x41),
    binary(V4, family=0x13),
    binary(V4[:-1]),
    binary(V4, family=0x21),
    binary(b"/a", family=0x31),
    binary(b"", size=LONGEST - 15),
    binary(b"", size=0xFFFF),
]

#: What follows a header: a request, TLS, or something that looks like a header.
FOLLOWING = st.sampled_from([b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", *VALID]) | st.binary()


def read(data: bytes, *cuts: int) -> tuple[ProxyHeader | str | None, int]:
    """Give a reader the parts of some bytes. Return its result, and how many bytes it took."""
    reader, taken = ProxyHeaderReader(), 0
    ends = [*sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for end in ends:
        # What isn't taken is seen again, together with what comes.
        try:
            used = reader.receive(data[taken:end])
        except BadProxyHeader as exc:
            return str(exc), 0
        assert 0 <= used <= end - taken
        taken += used
        if reader.header is not None:
            break
        assert taken == end
    return reader.header, taken


cuts = st.lists(st.integers(0, 300), max_size=8)


@given(st.sampled_from(list(VALID)), FOLLOWING, cuts)
def test_a_header_is_read_and_nothing_after_it(
    header: bytes, after: bytes, cuts: list[int]
) -> None:
    assert read(header + after, *cuts) == (VALID[header], len(header))


@given(st.sampled_from(INVALID), cuts)
def test_an_invalid_header_is_refused_however_it_is_cut(header: bytes, cuts: list[int]) -> None:
    result, _ = read(header, *cuts)
    assert isinstance(result, str)


@given(st.sampled_from(list(VALID)), st.data())
def test_a_header_that_is_cut_off_is_waited_for(header: bytes, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(header) - 1))
    assert read(header[:length]) == (None, length)
    reader = ProxyHeaderReader()
    reader.receive(header[:length])
    assert reader.has_begun is (length > 0)


@given(st.sampled_from([*VALID, *INVALID]), st.integers(0, 2**32), cuts)
def test_changed_bytes_mean_the_same_however_they_are_cut(
    header: bytes, seed: int, cuts: list[int]
) -> None:
    rng = random.Random(seed)
    changed = bytearray(header)
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    result, taken = read(bytes(changed))
    again, taken_again = read(bytes(changed), *cuts)
    # Which mistake is found first may depend on how much is there.
    assert (type(result), taken) == (type(again), taken_again)
    assert isinstance(result, str) or result == again


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"GET / HTTP/1.1", "is missing"),
        (b"G", "is missing"),
        (b"PROXY " + b"x" * 101, "longer than 107 bytes"),
        (binary(b"", size=5000), f"longer than {LONGEST} bytes"),
        (b"PROXY UNKNOWN\n", "CRLF"),
        (binary(V4, command=0x31), "unknown"),
    ],
)
def test_the_log_learns_what_is_wrong_as_soon_as_it_can_be_seen(data: bytes, told: str) -> None:
    result, _ = read(data)
    assert isinstance(result, str)
    assert told in result
