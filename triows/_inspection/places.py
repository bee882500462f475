"""Finds the places of the application's functions in its source, and remembers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from triows._printable import printable
from triows._where import where

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["place_of"]

# Finding the place of a class means reading its whole source file, which is slow.
_known: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


def place_of(call: Callable[..., Any]) -> str:
    """Say where a handler or factory is defined, as ``file:line (name)``."""
    try:
        return _known[call]
    except KeyError:
        _known[call] = place = printable(where(call))
        return place
    except TypeError:  # it can't be hashed, or can't have weak references
        return printable(where(call))
