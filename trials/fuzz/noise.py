"""Random bytes, of several flavours."""

from __future__ import annotations

from random import Random

from .attempt import ENDS, Attempt
from .mutation import NASTY, cut

__all__ = ["make"]

FLAVOURS = (
    bytes(range(256)),
    bytes(range(32, 127)),
    bytes(range(32, 127)) + b"\r\n" * 20,
    b"\r\n",
    b"\r\n :/GETHPOST1.0",
    b"\0",
    b"\xff\xfe\x80\x81\x00\x01\x7f",
)


def make(rng: Random, name: str) -> Attempt:
    flavour = rng.choice(FLAVOURS)
    length = rng.choice((1, 3, 10, 100, 1000, 10_000, rng.randrange(1, 70_000)))
    if rng.random() < 0.2:
        data = b"".join(rng.choices(NASTY, k=min(length, 100)))
    else:
        data = bytes(rng.choices(flavour, k=length))
    if rng.random() < 0.2:
        data = b"GET /echo HTTP/1.1\r\n" + data
    return Attempt(name, cut(rng, data), rng.choice(ENDS))
