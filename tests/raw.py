"""
Bytes between a client and a server, made and read by hand (:rfc:`6455`).

Clients and servers make only what is allowed. These functions make anything.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from attrs import frozen

from triows.testing import frame

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "DEFLATE",
    "KEY",
    "PING",
    "PONG",
    "RSV1",
    "TEXT",
    "Frame",
    "close_frame",
    "deflated",
    "frame",
    "handshake",
    "header_lines",
    "take_frame",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

#: The reserved bit that means "compressed" if permessage-deflate was negotiated.
RSV1 = 4

#: RFC 6455's own example of a Sec-WebSocket-Key.
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="

#: A header line that offers compression.
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"


# What a client sends. ``frame`` makes any frame.


def close_frame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """Make a close frame, or an empty one if there is no code."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def deflated(payload: bytes, *, level: int = 6, window: int = 15) -> bytes:
    """Compress as permessage-deflate requires (:rfc:`7692#section-7.2.1`)."""
    compressor = zlib.compressobj(level, wbits=-window)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data[:-4]


def header_lines(
    host: str = "127.0.0.1", extra: Iterable[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """Return the header lines that make a request a handshake, and *extra* ones."""
    return [
        ("Host", host),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY.decode()),
        *extra,
    ]


def handshake(
    target: str | bytes = "/echo",
    *lines: bytes,
    host: str = "127.0.0.1",
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    without: tuple[bytes, ...] = (),
) -> bytes:
    """
    Make the head of a handshake.

    Args:
        target: The text between the method and the version.
        lines: Further header lines.
        host: The value of the header ``Host``.
        method: The first word.
        version: The third word.
        without: The names of headers to leave out.
    """
    raw = target.encode() if isinstance(target, str) else target
    usual = [(name.encode(), value.encode()) for name, value in header_lines(host)]
    kept = [b": ".join(pair) for pair in usual if pair[0] not in without]
    return b"\r\n".join([b" ".join([method, raw, version]), *kept, *lines, b"", b""])


# What a client reads.


@frozen
class Frame:
    opcode: int
    payload: bytes
    fin: bool
    reserved: int


def take_frame(data: bytearray) -> Frame | None:
    """Take the server's first frame off *data*. Return ``None`` if it isn't whole yet."""
    if len(data) < 2:
        return None
    first, second = data[:2]
    assert not second & 0x80, "a server does not mask"
    size, begin = second, 2
    if size >= 126:
        begin = 4 if size == 126 else 10
        size = int.from_bytes(data[2:begin], "big")
    if len(data) < begin + size:
        return None
    payload = bytes(memoryview(data)[begin : begin + size])
    del data[: begin + size]
    return Frame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 0x07)
