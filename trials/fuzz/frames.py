"""Streams of frames after a valid handshake. They are valid at first, and then changed."""

from __future__ import annotations

import zlib
from random import Random

from tests.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEFLATE,
    PING,
    PONG,
    RSV1,
    TEXT,
    close_frame,
    deflated,
    frame,
    handshake,
)

from .attempt import ENDS, HEAD, Attempt
from .mutation import cut, mutated, rearranged

__all__ = ["make"]

PATHS = ("/echo",) * 6 + ("/slow", "/brief", "/deaf", "/rooms/1")

SIZES = (0, 1, 2, 10, 125, 126, 127, 1000, 65_535, 65_536, 65_537)
#: The largest ones come rarely, because they are slow and seldom find anything.
WEIGHTS = (4, 4, 4, 8, 4, 4, 4, 4, 1, 1, 1)

TEXTS = (b"hello", "h\u00e9llo \U0001f30a".encode(), b"\xff", b"\xed\xa0\x80", b"\xc3", b"\0", b"")

CODES = (1000, 1001, 1004, 1005, 1006, 1007, 1011, 1015, 3000, 4999, 5000, 0, 999, 65_535)

#: Bytes that are put into the stream as they are, such as heads without a body.
TOKENS = (
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x82\xff\x00\x00\x00\x00\x7f\xff\xff\xff",
    b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\x81\xfe\x00\x01",
    b"\x89\xfe\x00\x7e",
    b"\x81\x85",
    b"\x00\x80\0\0\0\0",
    b"\x01\x80\0\0\0\0" * 150,
    b"\x89\x80\0\0\0\0" * 50,
    b"\xc1\x80\0\0\0\0",
    b"\xf0\x80\0\0\0\0",
    b"\x88\x81\0\0\0\0\x03",
    b"\x88\x80\0\0\0\0",
    b"\0",
    b"\xff",
    b"GET / HTTP/1.1\r\n\r\n",
)

BOMB = deflated(bytes(2**20), level=9)
EMPTY_BLOCKS = b"\x02\0" * 500


def _payload(rng: Random) -> bytes:
    if rng.random() < 0.4:
        return rng.choice(TEXTS)
    (size,) = rng.choices(SIZES, WEIGHTS)
    return rng.choice((bytes(size), b"a" * size, rng.randbytes(size)))


def _mask(rng: Random) -> bytes:
    return rng.choice((b"\0\0\0\0", rng.randbytes(4)))


def _fragments(rng: Random, payload: bytes, reserved: int) -> list[bytes]:
    """One message in several frames, with control frames between them."""
    pieces = cut(rng, payload)
    if rng.random() < 0.3:
        pieces = [b""] * rng.choice((3, 50, 120)) + pieces
    frames = [
        frame(
            CONTINUATION if number else rng.choice((TEXT, BINARY)),
            piece,
            fin=number == len(pieces) - 1,
            reserved=0 if number else reserved,
            mask=_mask(rng),
        )
        for number, piece in enumerate(pieces)
    ]
    if len(frames) > 1 and rng.random() < 0.5:
        frames.insert(1, frame(rng.choice((PING, PONG)), b"between", mask=_mask(rng)))
    return frames


def _compressed(rng: Random) -> bytes:
    how = rng.randrange(5)
    if how == 0:
        return BOMB
    if how == 1:
        return EMPTY_BLOCKS
    if how == 2:
        return zlib.compress(_payload(rng))  # the head and the checksum don't belong there
    data = deflated(_payload(rng))
    return mutated(rng, data, TOKENS, most=1) if how == 3 else data


def _message(rng: Random, *, compress: bool) -> list[bytes]:
    how = rng.random()
    if how < 0.15:
        return [frame(rng.choice((PING, PONG)), _payload(rng)[:125], mask=_mask(rng))]
    if how < 0.22:
        code = rng.choice(CODES)
        return [close_frame(code, rng.choice((b"", b"bye", b"\xff", b"x" * 123)))]
    if how < 0.27:
        # Break a rule in a way that random changes seldom find.
        opcode = rng.choice((TEXT, CONTINUATION, CLOSE, PING, 3, 7, 11, 15))
        return [
            frame(
                opcode,
                _payload(rng)[:200],
                fin=rng.random() < 0.5,
                reserved=rng.choice((0, 1, 2, 4, 7)),
                mask=rng.choice((None, b"\0\0\0\0")),
                length=rng.choice((None, None, 126, 2**16, 2**31, 2**62, 2**63, 2**64 - 1)),
            )
        ]
    compressed = compress and rng.random() < 0.7
    payload, reserved = (_compressed(rng), RSV1) if compressed else (_payload(rng), 0)
    if rng.random() < 0.4:
        return _fragments(rng, payload, reserved)
    return [frame(rng.choice((TEXT, BINARY)), payload, reserved=reserved, mask=_mask(rng))]


def make(rng: Random, name: str) -> Attempt:
    compress = rng.random() < 0.4
    frames = [one for _ in range(rng.randint(1, 12)) for one in _message(rng, compress=compress)]
    if rng.random() < 0.5:
        frames = rearranged(rng, frames)
    stream = b"".join(frames)
    if rng.random() < 0.6:
        stream = mutated(rng, stream, TOKENS)
    request = handshake(rng.choice(PATHS), *([DEFLATE] if compress else []))
    if rng.random() < 0.1:
        return Attempt(name, cut(rng, request + stream), rng.choice(ENDS))
    return Attempt(name, [request, HEAD, *cut(rng, stream)], rng.choice(ENDS))
