"""Writes a number with its noun."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str) -> str:
    """Write ``1 byte`` or ``2 bytes``. The noun is one that gets an *s*."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
