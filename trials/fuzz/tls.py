"""Attacks on a TLS server: bytes that aren't TLS, that are nearly TLS, and garbage inside TLS."""

from __future__ import annotations

import struct
from random import Random

from . import frames, handshakes, http2, noise, requests
from .attempt import ENDS, Attempt
from .mutation import NASTY, cut, mutated

__all__ = ["make"]

ALPN = (b"http/1.1", b"h2", b"nonsense", b"")

HANDSHAKE, ALERT, CHANGE, APPLICATION = 22, 21, 20, 23


def _vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def _extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!H", kind) + _vector(2, data)


def _record(kind: int, data: bytes) -> bytes:
    return bytes([kind, 3, 1]) + _vector(2, data[:65_535])


def _hello(rng: Random) -> bytes:
    """A ClientHello (RFC 8446 section 4.1.2) that offers versions 1.2 and 1.3."""
    name = _vector(2, b"\0" + _vector(2, rng.choice((b"localhost", b"\xff", b"a" * 300))))
    alpn = _vector(2, b"".join(_vector(1, one) for one in rng.choices(ALPN, k=2)))
    extensions = [
        _extension(0, name),
        _extension(10, _vector(2, b"\x00\x1d\x00\x17")),
        _extension(13, _vector(2, b"\x04\x03\x08\x04\x04\x01")),
        _extension(16, alpn),
        _extension(43, _vector(1, b"\x03\x04\x03\x03")),
        _extension(51, _vector(2, b"\x00\x1d" + _vector(2, rng.randbytes(32)))),
    ]
    if rng.random() < 0.3:
        extensions.append(_extension(rng.randrange(65_536), rng.randbytes(rng.randrange(99))))
    rng.shuffle(extensions)
    body = (
        b"\x03\x03"
        + rng.randbytes(32)
        + _vector(1, rng.randbytes(32))
        + _vector(2, b"\x13\x01\x13\x02\xc0\x2f\xc0\x2b")
        + b"\x01\x00"
        + _vector(2, b"".join(extensions))
    )
    return b"\x01" + _vector(3, body)


def _records(rng: Random) -> bytes:
    """Records after a hello. None of them can be valid, but some look valid."""
    return b"".join(
        _record(rng.choice((HANDSHAKE, ALERT, CHANGE, APPLICATION, 24, 99)), rng.randbytes(size))
        for size in rng.choices((0, 1, 2, 40, 1000, 16_385), k=rng.randrange(5))
    )


def make(rng: Random, name: str) -> Attempt:
    how = rng.random()
    if how < 0.15:
        # Send plain text to the TLS server.
        return rng.choice((handshakes, http2, noise, requests)).make(rng, name)
    if how < 0.4:
        inner = rng.choice((handshakes, frames, http2, noise, requests)).make(rng, name)
        return Attempt(name, inner.parts, inner.end, inside_tls=True)
    data = _record(HANDSHAKE, _hello(rng)) + _records(rng)
    if rng.random() < 0.7:
        data = mutated(rng, data, NASTY)
    return Attempt(name, cut(rng, data), rng.choice(ENDS))
