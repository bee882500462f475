"""HTTP/2 (RFC 9113) with prior knowledge or by an upgrade. The connections are nearly valid."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from random import Random

from tests.raw import handshake

from .attempt import ENDS, Attempt
from .mutation import NASTY, cut, mutated, rearranged

__all__ = ["PREFACE", "make", "stream"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW, CONTINUATION = range(5, 10)

END_STREAM, ACK, END_HEADERS = 1, 1, 4

REQUEST = ((":method", "GET"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", "/echo"))
WEBSOCKET = (
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", "127.0.0.1"),
    (":path", "/echo"),
    ("sec-websocket-version", "13"),
)

#: Header fields that replace others, or are added.
FIELDS = (
    (":path", "/\xff\xe4"),
    (":path", ""),
    (":path", "*"),
    (":method", "POST"),
    (":protocol", "websocket"),
    (":nonsense", "1"),
    ("Upper", "case"),
    ("connection", "upgrade"),
    ("te", "gzip"),
    ("content-length", "5"),
    ("content-length", "x"),
    ("sec-websocket-protocol", "\xe4"),
    ("", ""),
    ("x", "\0\r\n"),
    ("cookie", "y" * 5000),
)


def _frame(kind: int, flags: int, number: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, number) + payload


def _field(name: str, value: str) -> bytes:
    """Encode without any table or Huffman code (RFC 7541 section 6.2.2)."""
    return b"\0" + _string(name) + _string(value)


def _string(text: str) -> bytes:
    data = text.encode("latin-1")
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, length = len(data) - 127, b"\x7f"
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + data


def _headers(fields: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(_field(*field) for field in fields)


def _request(rng: Random, number: int) -> list[bytes]:
    fields = list(rng.choice((REQUEST, WEBSOCKET)))
    fields = [one for one in fields if rng.random() > 0.05]
    if rng.random() < 0.5:
        fields.extend(rng.choices(FIELDS, k=rng.randint(1, 3)))
    flags = END_HEADERS | rng.choice((0, END_STREAM))
    block = _headers(fields)
    frames = [_frame(HEADERS, flags, number, block)]
    if rng.random() < 0.1:
        frames = [
            _frame(HEADERS, flags & ~END_HEADERS, number, block[:20]),
            *[_frame(CONTINUATION, 0, number)] * rng.choice((0, 1, 100)),
            _frame(CONTINUATION, END_HEADERS, number, block[20:]),
        ]
    frames.extend(
        _frame(
            DATA, rng.choice((0, 0, END_STREAM)), number, rng.randbytes(rng.choice((0, 9, 5000)))
        )
        for _ in range(rng.randrange(4))
    )
    return frames


def _other(rng: Random, number: int) -> list[bytes]:
    how = rng.randrange(8)
    if how == 0:
        streams = range(1, 2 * rng.choice((1, 1100)), 2)
        return [_frame(PRIORITY, 0, stream, b"\0\0\0\0\x10") for stream in streams]
    if how == 1:
        return [_frame(RST_STREAM, 0, number, struct.pack("!I", rng.randrange(20)))]
    if how == 2:
        setting = struct.pack("!HI", rng.randrange(10), rng.choice((0, 1, 2**14, 2**31, 2**32 - 1)))
        return [_frame(SETTINGS, rng.choice((0, ACK)), 0, setting * rng.choice((0, 1, 500)))]
    if how == 3:
        return [_frame(PING, 0, 0, bytes(rng.choice((7, 8)))) for _ in range(rng.choice((1, 200)))]
    if how == 4:
        return [_frame(GOAWAY, 0, 0, bytes(8) + b"bye")]
    if how == 5:
        step = struct.pack("!I", rng.choice((0, 1, 2**31 - 1)))
        return [_frame(WINDOW, 0, rng.choice((0, number)), step)]
    if how == 6:
        return [_frame(PUSH_PROMISE, END_HEADERS, number, b"\0\0\0\2" + _headers(REQUEST))]
    kind, flags = rng.randbytes(2)
    return [_frame(kind, flags, number, rng.randbytes(rng.randrange(99)))]


def stream(rng: Random) -> bytes:
    """Make the frames that follow a preface."""
    frames = [_frame(SETTINGS, 0, 0)]
    for number in range(1, 2 * rng.randint(1, 5) + 1, 2):
        frames += _request(rng, number)
        if rng.random() < 0.5:
            frames += _other(rng, number)
    if rng.random() < 0.4:
        frames = rearranged(rng, frames)
    data = b"".join(frames)
    return mutated(rng, data, NASTY) if rng.random() < 0.4 else data


def make(rng: Random, name: str) -> Attempt:
    how = rng.random()
    if how < 0.05:
        settings = rng.choice(("AAMAAABkAARAAAAAAAIAAAAA", "AAMAAABkAARAAAAAAAIAAAA", "x", ""))
        head = handshake(
            rng.choice(("/echo", "/http/count")), f"HTTP2-Settings: {settings}".encode("latin-1")
        )
        head = head.replace(b"Upgrade: websocket", b"Upgrade: h2c")
        head = head.replace(b"Connection: Upgrade", b"Connection: Upgrade, HTTP2-Settings")
    elif how < 0.15:
        head = mutated(rng, PREFACE)
        return Attempt(name, cut(rng, head + stream(rng)), rng.choice(ENDS))
    else:
        head = b""
    return Attempt(name, cut(rng, head + PREFACE + stream(rng)), rng.choice(ENDS))
