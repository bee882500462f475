"""
Settings of the applications that are attacked.

To be deleted, both functions and their module, once ``Limits`` has ``fragments`` and
``Triows`` has ``compression``: then applications say ``Limits(fragments=...)`` and
``Triows(compression=Compression())`` themselves.
"""

from __future__ import annotations

from typing import Any

import attrs

import triows
from triows import Limits

__all__ = ["compression", "limits"]


def limits(**wanted: int) -> Limits:
    """Make ``Limits`` from the names that it knows."""
    known = attrs.fields_dict(Limits)
    return Limits(**{name: value for name, value in wanted.items() if name in known})


def compression() -> dict[str, Any]:
    """Return the application's keyword arguments that switch permessage-deflate on."""
    return {"compression": triows.Compression()} if hasattr(triows, "Compression") else {}
