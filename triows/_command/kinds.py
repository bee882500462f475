"""Kinds of values that options take: how they are read, and what is said about the others."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Choice", "Kind", "Seconds", "Text", "Workers"]


class Kind(Protocol):
    """What an option takes."""

    def from_text(self, text: str) -> Any:
        """
        Read a value as it is written on the command line.

        Raises:
            ValueError: It isn't of this kind. The message says what to write.
        """


@frozen
class Text:
    """Any text."""

    def from_text(self, text: str) -> str:
        """Take it as it is."""
        return text


@frozen
class Choice:
    """One of a few words, in capitals or not."""

    words: Sequence[str]

    def from_text(self, text: str) -> str:
        """Find the word."""
        word = text.lower()
        if word not in self.words:
            raise ValueError(f"give one of {', '.join(self.words)}, not {text!r}")
        return word


@frozen
class Seconds:
    """A number of seconds, 0 or more."""

    def from_text(self, text: str) -> float:
        """Read the number."""
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1
        if not 0 <= seconds < math.inf:
            raise ValueError(f"give a number of seconds, 0 or more, not {text!r}")
        return seconds


#: Each worker is a process with an interpreter and the application in it, for one core. No machine
#: has many more cores than this. A number above it is a typo, and starting all those processes
#: would take all memory.
MAX_WORKERS = 1024


@frozen
class Workers:
    """A number of workers."""

    def from_text(self, text: str) -> int:
        """Read the number."""
        digits = text.lstrip("0") if text.isdecimal() else ""
        if not digits:
            raise ValueError(f"give a whole number, 1 or more, not {text!r}")
        # Python refuses to convert thousands of digits.
        if len(digits) > len(str(MAX_WORKERS)) or int(digits) > MAX_WORKERS:
            raise ValueError(
                f"each worker is a process of its own, and {MAX_WORKERS} is the most: give about "
                f"as many as this machine has cores, which is {os.cpu_count() or 1}"
            )
        return int(digits)
