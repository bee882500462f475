"""Text of a peer's that people read, in a log or in a terminal."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """
    Escape what can't be seen, could begin a new line, or could steer a terminal.

    That goes for control characters, for Unicode's line and paragraph separators and marks of
    direction, and for halves of surrogates, which can't be encoded.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
