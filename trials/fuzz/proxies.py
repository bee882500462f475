"""What proxies say about their clients: headers, and the beginnings of connections."""

from __future__ import annotations

import socket
import struct
from random import Random

from . import handshakes, requests
from .attempt import ENDS, Attempt
from .mutation import NASTY, cut, mutated, rearranged

__all__ = ["INTRODUCTION", "make_forwarded", "make_introduced"]

#: How connections of well-behaved peers begin, if the server expects it.
INTRODUCTION = b"PROXY TCP4 127.0.0.1 127.0.0.1 50000 80\r\n"

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

NODES = (
    *("1.2.3.4", "1.2.3.4:80", "127.0.0.1", "[::1]:443", "::1", "unknown", "_hidden"),
    *("[::ffff:127.0.0.1]", "1.2.3.4:99999", "1.2.3.4:_x", "[::1", "01.2.3.4", "::1%eth0", ""),
)

HOSTS = ("a.example", "a.example:8443", "[::1]:80", "a b", "a/b", "u@a", "a:99999", "\xe4", "")

SCHEMES = ("https", "http", "WSS", "ws", "ftp", "")

PORTS = ("443", "8443", "0", "65536", "-1", "9" * 30, "")

SEPARATORS = (", ", ",", " ,\t", ",,", ";", " ")


def _quoted(rng: Random, value: str) -> str:
    how = rng.randrange(4)
    if how == 0:
        return value
    if how == 1:  # escapes that aren't needed
        return '"' + "".join(f"\\{one}" for one in value) + '"'
    return f'"{value}"' if how == 2 else f'"{value}, for=6.6.6.6'


def _element(rng: Random) -> str:
    """Write an element of Forwarded (RFC 7239 section 4)."""
    pairs = [
        f"{rng.choice(('for', 'For', 'by'))}={_quoted(rng, rng.choice(NODES))}",
        f"host={_quoted(rng, rng.choice(HOSTS))}",
        f"proto={rng.choice(SCHEMES)}",
        rng.choice(('x="a, b"', "for", "=", "x=y", 'x="')),
    ]
    return rng.choice((";", "; ", ";;")).join(rng.sample(pairs, k=rng.randrange(5)))


def _lines(rng: Random) -> list[bytes]:
    """Write the headers of proxies, of both families."""
    number = rng.choice((1, 1, 2, 3, 40, 2000))
    nodes = rng.choice(SEPARATORS).join(rng.choices(NODES, k=number))
    lines = [
        f"X-Forwarded-For: {nodes}",
        f"X-Forwarded-For: {rng.choice(NODES)}",
        f"X-Forwarded-Proto: {rng.choice(SCHEMES)}",
        f"X-Forwarded-Host: {rng.choice(HOSTS)}",
        f"X-Forwarded-Port: {rng.choice(PORTS)}",
        "Forwarded: " + ", ".join(_element(rng) for _ in range(min(number, 40))),
        f"Forwarded: {_element(rng)}",
    ]
    return [line.encode("latin-1") for line in rng.sample(lines, k=rng.randrange(1, len(lines)))]


def _request(rng: Random) -> bytes:
    """Write a request of either kind, with such headers."""
    kind = handshakes if rng.random() < 0.5 else requests
    made = kind.make(rng, "")
    data = b"".join(part for part in made.parts if part is not None)
    first, _, rest = data.partition(b"\r\n")
    lines = _lines(rng)
    if rng.random() < 0.3:
        lines = rearranged(rng, lines)
    return b"\r\n".join([first, *lines, rest])


def make_forwarded(rng: Random, name: str) -> Attempt:
    """Attack a server that believes the headers."""
    data = b"".join(_request(rng) for _ in range(rng.choice((1, 1, 2))))
    if rng.random() < 0.5:
        data = mutated(rng, data, NASTY)
    return Attempt(name, cut(rng, data), rng.choice(ENDS))


def _binary(rng: Random) -> bytes:
    """Write a header of version 2."""
    size = rng.choice((4, 4, 16))
    addresses = rng.randbytes(2 * size + 4)
    if rng.random() < 0.3:
        addresses = socket.inet_aton("127.0.0.1") * 2 + struct.pack("!HH", 50_000, 80)
    rest = addresses + rng.randbytes(rng.choice((0, 0, 3, 180, 4000, 4100)))
    command = rng.choice((0x21, 0x21, 0x21, 0x20, 0x22, 0x11))
    family = rng.choice((0x11, 0x11, 0x21, 0x31, 0x12, 0x00, 0x41, 0x1F))
    length = len(rest) if rng.random() < 0.8 else rng.choice((0, 1, len(rest) + 1, 0xFFFF))
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", length) + rest


def _line(rng: Random) -> bytes:
    """Write a header of version 1."""
    words = [
        "PROXY",
        rng.choice(("TCP4", "TCP4", "TCP6", "UNKNOWN", "UDP4")),
        *rng.choices(NODES, k=2),
        *rng.choices(("1", "50000", "65536", "-1", "007"), k=2),
    ]
    return " ".join(words).encode() + rng.choice((b"\r\n", b"\r\n", b"\n", b"\r", b""))


def make_introduced(rng: Random, name: str) -> Attempt:
    """Attack a server whose connections begin with a header of the PROXY protocol."""
    header = rng.choice((_binary, _line, lambda _: INTRODUCTION))(rng)
    if rng.random() < 0.3:
        header = mutated(rng, header, NASTY)
    if rng.random() < 0.1:
        header += header
    data = header if rng.random() < 0.1 else header + _request(rng)
    return Attempt(name, cut(rng, data), rng.choice(ENDS))
