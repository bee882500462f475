"""Gives memory back to the system after connections have ended."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Trimmer"]

#: Seconds between the end of a connection and the trimming, so that others can end, too.
_PAUSE = 1.0


class Trimmer:
    """
    Gives memory back when connections have ended.

    The C library keeps freed memory, in pieces between what is still used. After a thousand slow
    readers, the process would hold a hundred megabytes for nothing. ``malloc_trim``
    (malloc_trim(3)) gives whole free pages back. That takes 5 ms for so much memory, and 0.1 ms if
    there is little to find. It runs at most once a second. Only the GNU library has this function.
    With other libraries, the trimmer does nothing.
    """

    def __init__(self, trim: Callable[[int], object] | None = None) -> None:
        self._trim = trim or _malloc_trim()
        self._ended = trio.Event()

    def note_ended(self) -> None:
        """Note that a connection has ended."""
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
