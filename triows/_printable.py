"""Makes a peer's text safe to show in a log or in a terminal."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """
    Escape characters that can't be seen, could begin a new line, or could control a terminal.

    These are control characters, Unicode's line and paragraph separators, its marks of direction,
    and lone surrogates, which can't be encoded.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
