"""Tracebacks cut to the user's own code."""

from __future__ import annotations

import importlib
import os
import sysconfig
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["summary", "users_traceback"]

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep

#: What imports the application.
_IMPORTING = ("<frozen importlib", os.path.dirname(os.path.abspath(importlib.__file__)))

#: Where Python and installed packages are.
_INSTALLED = tuple(
    os.path.abspath(sysconfig.get_path(name)) + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def summary(exc: BaseException) -> str:
    """Give an error in one line."""
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def users_traceback(exc: BaseException) -> str:
    """
    Format an error with its causes, but without the frames of triows, Python and libraries.

    If nothing is left of a traceback, because the application itself is installed like a library,
    only those of triows and of the import system are left out.
    """
    written = traceback.TracebackException.from_exception(exc)
    waiting = [written]
    while waiting:
        one = waiting.pop()
        one.stack = _cut(one.stack)
        below = (one.__cause__, one.__context__, *(one.exceptions or ()))
        waiting.extend(error for error in below if error is not None)
    return "".join(written.format())


def _cut(stack: Iterable[traceback.FrameSummary]) -> traceback.StackSummary:
    kept = [one for one in stack if not one.filename.startswith((_OURS, *_IMPORTING))]
    users = [one for one in kept if not os.path.abspath(one.filename).startswith(_INSTALLED)]
    return traceback.StackSummary.from_list(users or kept)
