"""
Places: the lines of a stack that tell people most about where code is.

Much of what is on a stack only works on behalf of others: Trio, and what runs the test. So each
function has an owner, and the place is where the functions of the highest owner are. In a user's
code, the innermost function may be one that every task calls, and the outermost one may be at the
same line all the time. So a place has both.
"""

from __future__ import annotations

import os
import sysconfig
from enum import IntEnum
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType, FrameType

__all__ = ["Line", "Owner", "Place", "name_of", "owner_of", "place_in"]


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


class Line(NamedTuple):
    """A line at which a function is."""

    #: The full name of the file.
    file: str
    line: int
    #: The function. Its qualified name is not the same with every Python.
    function: str


class Place(NamedTuple):
    """Where code is."""

    owner: Owner
    #: The line of the owner's innermost function; ``None`` if all of the code is Trio's.
    innermost: Line | None
    #: The line of the outermost function, if that is another one and the user's.
    outermost: Line | None = None

    def __str__(self) -> str:
        inner, outer = self.innermost, self.outermost
        if inner is None:
            return "in Trio"
        if outer is None:
            return f"{name_of(inner.file)}:{inner.line} {inner.function}"
        file = "" if inner.file == outer.file else name_of(inner.file)
        begin = f"{name_of(outer.file)}:{outer.line} {outer.function}"
        return f"{begin} -> {file}:{inner.line} {inner.function}"


#: Functions of their own until Python 3.11, and a part of the function around them since then.
_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"})


def place_in(frames: Iterable[tuple[FrameType, int]]) -> Place:
    """Choose a place among frames, the outermost of which comes first."""
    place = Place(Owner.SYSTEM, None)
    for owner, line in _lines_of(frames):
        if owner > place.owner or (owner == place.owner is not Owner.USER):
            place = Place(owner, line)
        elif owner == place.owner:
            place = Place(owner, line, place.outermost or place.innermost)
    return place


def _lines_of(frames: Iterable[tuple[FrameType, int]]) -> Iterator[tuple[Owner, Line]]:
    """Give the functions that belong to somebody, in the same way for every Python."""
    found: list[tuple[Owner, Line]] = []
    for frame, number in frames:
        code = frame.f_code
        line = Line(code.co_filename, number, code.co_name)
        if code.co_name in _COMPREHENSIONS and found and found[-1][1].file == line.file:
            found[-1] = found[-1][0], line._replace(function=found[-1][1].function)
        else:
            found.append((owner_of(code), line))
    return ((owner, line) for owner, line in found if owner > Owner.SYSTEM)
