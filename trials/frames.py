"""Frames as bytes (RFC 6455 section 5.2), even those that no library would send."""

from __future__ import annotations

import struct
import zlib

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "RSV1",
    "TEXT",
    "close_frame",
    "deflated",
    "frame",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

#: The bit of the first byte that means "compressed" if permessage-deflate was negotiated.
RSV1 = 0x40


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    bits: int = 0,
    key: bytes | None = b"\0\0\0\0",
    length: int | None = None,
) -> bytes:
    """
    Make one frame as a client sends it.

    Args:
        opcode: The opcode, 4 bits.
        payload: The payload before masking.
        fin: Whether the message ends with this frame.
        bits: The reserved bits, in their places.
        key: The masking key, or ``None`` for a frame without a mask. The default leaves the payload
            as it is, which is allowed and costs nothing.
        length: The length that the header claims, instead of the real one.
    """
    declared = len(payload) if length is None else length
    masked = 0 if key is None else 0x80
    head = bytes([(0x80 if fin else 0) | bits | opcode])
    if declared < 126:
        head += bytes([masked | declared])
    elif declared < 2**16:
        head += bytes([masked | 126]) + struct.pack("!H", declared)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", declared)
    if key is None:
        return head + payload
    return head + key + (payload if key == b"\0\0\0\0" else _masked(payload, key))


def _masked(payload: bytes, key: bytes) -> bytes:
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return number.to_bytes(len(payload), "big")


def close_frame(code: int = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def deflated(payload: bytes, level: int = 6) -> bytes:
    """Compress as permessage-deflate requires (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(level, wbits=-15)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data[:-4]
