"""
Seeds: whole numbers that decide a schedule.

A failing test prints its seed, and people type it. So a seed is short, and there is one kind only:
what a test prints is what ``--triows-schedule`` takes, for that test or for any other.
"""

from __future__ import annotations

import hashlib
import os

__all__ = ["derived", "fresh", "parsed"]

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


def parsed(text: str) -> int:
    """
    Read a seed.

    Raises:
        ValueError: It isn't one.
    """
    # int() takes more: signs, underscores, digits of other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise ValueError(
            f"a seed is a whole number, such as a failing test prints, and {text!r} is not"
        )
    return int(text)
