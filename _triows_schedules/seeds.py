"""
Seeds: whole numbers that decide a schedule.

A failing test prints its seed, and people type it. So a seed is short, and there is one kind only:
what a test prints is what ``--triows-schedule`` takes, for that test or for any other.

``1087130238@17-19`` is a seed that makes the choices 17 to 19 of a test only. All others are the
plain ones.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import NamedTuple

__all__ = ["Seed", "derived", "fresh", "parsed", "parsed_number"]

#: Seeds that are made here have so many bits: ten digits at most.
_BITS = 32


def fresh() -> int:
    """Make a seed that nobody knows."""
    return int.from_bytes(os.urandom(_BITS // 8), "big")


def derived(*parts: object) -> int:
    """Make a seed from others, and from names. It is the same in every process."""
    # hash() is not.
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[: _BITS // 8], "big")


class Seed(NamedTuple):
    """A seed, as people type it."""

    number: int
    #: Which of a test's choices it makes, counted from 1. ``None`` stands for all.
    choices: range | None = None

    def __str__(self) -> str:
        if self.choices is None:
            return str(self.number)
        if not self.choices:
            return f"{self.number}@0"
        return f"{self.number}@{self.choices[0]}-{self.choices[-1]}"


def parsed(text: str) -> Seed:
    """
    Read a seed.

    Raises:
        ValueError: It isn't one.
    """
    number, at, choices = text.partition("@")
    if not at:
        return Seed(parsed_number(text))
    if choices == "0":
        return Seed(parsed_number(number), range(0))
    found = re.fullmatch(r"([1-9][0-9]{0,15})-([1-9][0-9]{0,15})", choices, re.ASCII)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(
            f"behind the @ of a seed are the first and the last choice that it makes, such as "
            f"1087130238@17-19, and {text!r} has {choices!r}"
        )
    return Seed(parsed_number(number), range(int(found[1]), int(found[2]) + 1))


def parsed_number(text: str) -> int:
    """
    Read the number of a seed.

    Raises:
        ValueError: It isn't one.
    """
    # int() takes more: signs, underscores, digits of other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise ValueError(
            f"a seed is a whole number, such as a failing test prints, and {text!r} is not"
        )
    return int(text)
