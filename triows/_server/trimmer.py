"""Giving back to the system what connections took."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Trimmer"]

#: Seconds between the end of a connection and the trimming, for others to end, too.
_PAUSE = 1.0


class Trimmer:
    """
    Gives memory back when connections have ended.

    The C library keeps what was freed, in pieces between what is still used, so that after
    a thousand slow readers the process would hold a hundred megabytes for nothing.
    ``malloc_trim`` (malloc_trim(3)) finds whole pages in it: 5 ms for that much, 0.1 ms where
    there is little to find, and at most once a second. Where there is no such function (it
    is the GNU library's), nothing is done.
    """

    def __init__(self, trim: Callable[[int], object] | None = None) -> None:
        self._trim = trim or _malloc_trim()
        self._ended = trio.Event()

    def note_ended(self) -> None:
        """A connection has ended."""
        self._ended.set()

    async def run(self) -> None:
        """Trim when there is a reason to, until cancelled."""
        while True:
            await self._ended.wait()
            await trio.sleep(_PAUSE)
            self._ended = trio.Event()
            self._trim(0)


def _malloc_trim() -> Callable[[int], object]:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda _: None
    return trim
