"""Random changes to bytes and to lists. A seeded generator decides, so they can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

__all__ = ["cut", "mutated", "rearranged"]

#: Bytes that are rarely harmless, wherever they are.
NASTY = (
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b'"',
    b"%00",
    b"%0d%0a",
    b"%ff",
    b"../",
    b"\xff",
    b"\xe4",
    b"\xc3\xa4",
    b"\xed\xa0\x80",
    b"9" * 30,
    b"-1",
    b"A" * 5000,
)


def _flip(rng: Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] = rng.choice((0, 9, 10, 13, 32, 127, 128, 255))


def _delete(rng: Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 1, 2, 4, 16, 64))]


def _duplicate(rng: Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    data[start:start] = data[start : start + rng.choice((1, 2, 4, 16, 64, 256))]


def _move(rng: Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    taken = data[start : start + rng.choice((1, 4, 16, 64))]
    del data[start : start + len(taken)]
    to = rng.randrange(len(data) + 1)
    data[to:to] = taken


def _truncate(rng: Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


CHANGES: Sequence[Callable[[Random, bytearray], None]] = (
    _flip,
    _flip,
    _overwrite,
    _delete,
    _duplicate,
    _move,
    _truncate,
)


def mutated(rng: Random, data: bytes, tokens: Sequence[bytes] = NASTY, most: int = 4) -> bytes:
    """
    Change bytes in some places.

    Args:
        rng: The random generator.
        data: The bytes to change.
        tokens: Bytes that may be inserted.
        most: How many changes there are at most. There may be none.
    """
    changed = bytearray(data)
    for _ in range(rng.randint(0, most)):
        if not changed or rng.random() < 0.3:
            at = rng.randrange(len(changed) + 1)
            changed[at:at] = rng.choice(tokens)
        else:
            rng.choice(CHANGES)(rng, changed)
    return bytes(changed)


def rearranged(rng: Random, parts: Sequence[bytes], most: int = 3) -> list[bytes]:
    """Drop, repeat and swap some of the *parts*."""
    changed = list(parts)
    for _ in range(rng.randint(0, most)):
        if not changed:
            break
        at, other = rng.randrange(len(changed)), rng.randrange(len(changed))
        how = rng.randrange(3)
        if how == 0:
            del changed[at]
        elif how == 1:
            changed.insert(other, changed[at])
        else:
            changed[at], changed[other] = changed[other], changed[at]
    return changed


def cut(rng: Random, data: bytes) -> list[bytes]:
    """Cut bytes into a few packets. In two cases out of three, there is only one."""
    if len(data) < 2 or rng.random() < 0.67:
        return [data]
    places = sorted(rng.randrange(1, len(data)) for _ in range(rng.randint(1, 4)))
    bounds = [0, *places, len(data)]
    return [data[start:stop] for start, stop in pairwise(bounds) if start != stop]
