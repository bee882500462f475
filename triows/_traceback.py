"""
Tracebacks as text, whole or cut to the user's own code.

Text that a peer has sent may be anywhere in a traceback: in a message, in a note, in source that
a parser quotes, in the name of a class or a file. It is escaped, so that it can't begin a line or
control a terminal.
"""

from __future__ import annotations

import importlib
import os
import sysconfig
import traceback
from typing import TYPE_CHECKING, Any

from ._errors import exc_info, text_of
from ._printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["summary", "users_place", "users_traceback", "whole_traceback"]

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep

#: The code that imports the application.
_IMPORTING = ("<frozen importlib", os.path.dirname(os.path.abspath(importlib.__file__)))

#: Where Python and installed packages are.
_INSTALLED = tuple(
    os.path.abspath(sysconfig.get_path(name)) + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def summary(exc: BaseException) -> str:
    """Describe an error in one line."""
    kind, _, text = text_of(exc).partition(": ")
    text = printable(" ".join(text.split()))
    return f"{printable(kind)}: {text}" if text else printable(kind)


def whole_traceback(exc: BaseException, start: TracebackType | None) -> str:
    """
    Format an error with its causes.

    Args:
        exc: The error.
        start: Its traceback.
    """
    try:
        written = traceback.TracebackException(type(exc), exc, start, compact=True)
        for one in _all_in(written):
            _keep_lines_whole(one)
        return _escaped("".join(written.format()))
    except Exception:  # noqa: BLE001 - the error's class may raise when asked for the cause
        return _plain(exc, traceback.extract_tb(start))


def users_traceback(exc: BaseException) -> str:
    """
    Format an error with its causes, but without the frames of triows, Python and libraries.

    If no frame would be left, because the application itself is installed like a library, this
    leaves out only the frames of triows and of the import system.
    """
    kind, _, start = exc_info(exc)
    try:
        written = traceback.TracebackException(kind, exc, start)
        for one in _all_in(written):
            one.stack = _cut(one.stack)
            _keep_lines_whole(one)
        return _escaped("".join(written.format()))
    except Exception:  # noqa: BLE001 - as above
        return _plain(exc, _cut(traceback.extract_tb(start)))


def users_place(exc: BaseException) -> str | None:
    """Return ``file:line`` of the innermost frame in the user's own code."""
    _, _, start = exc_info(exc)
    stack = _cut(traceback.extract_tb(start))
    return printable(f"{stack[-1].filename}:{stack[-1].lineno}") if stack else None


def _cut(stack: traceback.StackSummary) -> traceback.StackSummary:
    kept = [one for one in stack if not one.filename.startswith((_OURS, *_IMPORTING))]
    users = [one for one in kept if not os.path.abspath(one.filename).startswith(_INSTALLED)]
    return traceback.StackSummary.from_list(users or kept)


def _all_in(written: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Yield an error, its causes, and the errors in it if it is a group."""
    waiting = [written]
    while waiting:
        one = waiting.pop()
        yield one
        below = (one.__cause__, one.__context__, *(one.exceptions or ()))
        waiting.extend(error for error in below if error is not None)


def _plain(exc: BaseException, stack: traceback.StackSummary) -> str:
    """Format an error that raises when asked for its cause."""
    _escape_places(stack)
    lines = ["Traceback (most recent call last):\n", *stack.format()]
    return _escaped("".join([*lines, printable(text_of(exc)), "\n"]))


def _keep_lines_whole(written: Any) -> None:
    """Escape each part that may have a line break in it."""
    _escape_places(written.stack)
    written._str = printable(written._str)
    if notes := written.__notes__:
        written.__notes__ = [printable(str(note)) for note in notes]
    for name in ("filename", "msg"):  # of a SyntaxError
        if isinstance(text := getattr(written, name, None), str):
            setattr(written, name, printable(text))
    if isinstance(text := getattr(written, "text", None), str):
        written.text = printable(text.rstrip("\n")) + "\n"
    _escape_class(written)


def _escape_places(stack: traceback.StackSummary) -> None:
    for frame in stack:
        frame.filename, frame.name = printable(frame.filename), printable(frame.name)


def _escape_class(written: Any) -> None:
    """Escape the name of the error's class. Python 3.13 keeps the name, others keep the class."""
    if hasattr(written, "exc_type_qualname"):
        written.exc_type_qualname = printable(str(written.exc_type_qualname))
        written.exc_type_module = printable(str(written.exc_type_module))
        return
    cls = written.exc_type
    name, module = str(cls.__qualname__), str(cls.__module__)
    if not (name + module).isprintable():
        base = SyntaxError if issubclass(cls, SyntaxError) else Exception
        written.exc_type = type(printable(name), (base,), {"__module__": printable(module)})


def _escaped(text: str) -> str:
    """Escape everything that is left, such as lines of source, but keep the line breaks."""
    return "\n".join(map(printable, text.split("\n")))
