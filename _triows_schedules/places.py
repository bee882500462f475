"""
Places: the line of a file that tells people most about where code is.

Much of what stands on a stack only works on behalf of others: Trio, and what runs the test. So each
function has an owner, and the innermost function of the highest owner is the place.
"""

from __future__ import annotations

import os
import sysconfig
from enum import IntEnum
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType, FrameType

__all__ = ["Owner", "name_of", "owner_of", "place_in"]


class Owner(IntEnum):
    """Whose code a function is. The higher, the more its place tells."""

    #: Trio, the standard library, the schedules themselves, and code without a file.
    SYSTEM = 0
    #: What runs tests, or stands between the test and Trio.
    RUNNER = 1
    TRIOWS = 2
    #: The tests, the application, and their libraries.
    USER = 3


_HERE = Path(__file__).parent
_TRIOWS = (f"{_HERE.parent / 'triows'}{os.sep}", str(_HERE.parent / "pytest_triows.py"))

#: What of a program's own stands below the standard library.
_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))


def _folders(*packages: str) -> Iterator[str]:
    for package in packages:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            yield f"{Path(spec.origin).parent}{os.sep}"


_RUNNERS = tuple(_folders("anyio", "pytest", "_pytest", "pluggy", "pytest_trio", "hypothesis"))
_TRIO = (*_folders("trio", "outcome"), f"{_HERE}{os.sep}")
_LIBRARY = f"{sysconfig.get_path('stdlib')}{os.sep}"


def owner_of(code: CodeType) -> Owner:
    """Tell whose a function is."""
    return _owner(code.co_filename)


@lru_cache(maxsize=1000)
def _owner(file: str) -> Owner:
    if file.startswith("<") or file.startswith(_TRIO):
        return Owner.SYSTEM
    if file.startswith(_RUNNERS):
        return Owner.RUNNER
    if file.startswith(_TRIOWS):
        return Owner.TRIOWS
    if file.startswith(_LIBRARY) and not any(part in file for part in _INSTALLED):
        return Owner.SYSTEM
    return Owner.USER


@lru_cache(maxsize=1000)
def name_of(file: str) -> str:
    """Name a file in few words: with its folder if that is a package."""
    path = Path(file)
    folder = f"{path.parent.name}/" if (path.parent / "__init__.py").exists() else ""
    return f"{folder}{path.name}"


def place_in(frames: Iterable[tuple[FrameType, int]]) -> tuple[str, int]:
    """
    Choose a place among frames, the outermost of which comes first.

    Returns:
        The file's full name and the line. The name is empty if nobody's code is there but Trio's.
    """
    place, highest = ("", 0), Owner.RUNNER
    for frame, line in frames:
        owner = owner_of(frame.f_code)
        if owner >= highest:
            place, highest = (frame.f_code.co_filename, line), owner
    return place
