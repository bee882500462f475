"""
Seeds: whole numbers that decide a schedule. This module also reads the number of schedules.

A failing test prints its seed, and people type it. So a seed is short, and there is only one kind:
what a test prints is what ``--triows-schedule`` takes, for that test or for any other.

``1087130238@17-19`` is a seed that makes only the choices 17 to 19 of a test. ``1087130238@17``
makes one, and ``1087130238@0`` makes none. All other choices are plain.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pytest

__all__ = ["Seed", "count_in", "derived", "fresh", "parsed", "parsed_count", "parsed_number"]

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
        last = f"-{self.choices[-1]}" if len(self.choices) > 1 else ""
        return f"{self.number}@{self.choices[0]}{last}"


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
    found = re.fullmatch(r"([1-9][0-9]{0,15})(?:-([1-9][0-9]{0,15}))?", choices, re.ASCII)
    first, last = (0, 0) if found is None else (int(found[1]), int(found[2] or found[1]))
    if not 0 < first <= last:
        raise ValueError(
            f"after the @ of a seed, write the first and the last choice that it makes, as in "
            f"1087130238@17-19, or one choice, as in 1087130238@17; {text!r} has {choices!r}"
        )
    return Seed(parsed_number(number), range(first, last + 1))


def parsed_number(text: str) -> int:
    """
    Read the number of a seed.

    Raises:
        ValueError: It isn't one.
    """
    # int() takes more: signs, underscores, digits of other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise ValueError(
            f"a seed is a whole number, such as the one that a failing test prints, not {text!r}"
        )
    return int(text)


def parsed_count(text: str) -> int:
    """
    Read a number of things.

    Raises:
        ValueError: It isn't one.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text)):
        raise ValueError(f"write a whole number, 1 or more, not {text!r}")
    return int(text)


def count_in(marker: pytest.Mark) -> int:
    """
    Read how many schedules the marker ``schedules`` asks for.

    Raises:
        ValueError: It doesn't say that.
    """
    count = marker.args[0] if len(marker.args) == 1 and not marker.kwargs else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        given = [*map(repr, marker.args), *(f"{k}={v!r}" for k, v in marker.kwargs.items())]
        raise ValueError(
            "write @pytest.mark.schedules(200), with the number of schedules that the test runs "
            f"under, 1 or more, and not @pytest.mark.schedules({', '.join(given)})"
        )
    return count
