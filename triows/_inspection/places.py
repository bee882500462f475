"""Where the functions of the application stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from triows._printable import printable
from triows._where import where as place_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["where"]

# Of a class, it takes its whole source file to find that out, and nothing else here is slow.
_known: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


def where(call: Callable[..., Any]) -> str:
    """Say where a handler or factory stands, as ``file:line (name)``."""
    try:
        return _known[call]
    except KeyError:
        _known[call] = place = printable(place_of(call))
        return place
    except TypeError:  # it can't be hashed, or not be referred to weakly
        return printable(place_of(call))
