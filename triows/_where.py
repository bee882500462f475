"""Where in the user's source a function stands, for the messages that name it."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import linecache
import os
from types import CodeType
from typing import Any, get_origin

__all__ = ["name_of", "where"]


def where(func: Any) -> str:
    """
    Say where a function stands, as ``file:line (qualname)``.

    Looks through what people wrap around functions: :func:`functools.partial`, decorators
    that set ``__wrapped__``, methods. Of a callable object it names ``__call__``, of a class
    the class. The file is absolute, as in tracebacks; the line is the one of the first
    decorator, if there are any.

    Never raises: what has no source (built-ins, say) gives ``<module> (qualname)``.

    Args:
        func: Anything callable, or anything at all that was given for a callable.
    """
    inner = _innermost(func)
    code = getattr(inner, "__code__", None)
    if isinstance(code, CodeType):
        return f"{_absolute(code.co_filename)}:{code.co_firstlineno} ({_qualname(inner)})"
    if inspect.isclass(inner):
        return _where_class(inner)
    call = getattr(type(inner), "__call__", None)  # noqa: B004 - its code is asked for
    if isinstance(getattr(_innermost(call), "__code__", None), CodeType):
        return where(call)
    return f"<{_module(inner)}> ({_qualname(inner)})"


def name_of(func: Any) -> str:
    """The name by which messages call *func*: that of the function behind all wrappers."""
    return _qualname(_innermost(func))


def _innermost(func: Any) -> Any:
    """Take off partials, bound methods and decorators, in whatever order they come."""
    while True:
        inner = _unwrapped(func)
        if inspect.isclass(origin := get_origin(inner)):  # Repo, of Repo[int]
            inner = origin
        while isinstance(inner, functools.partial):
            inner = inner.func
        if inspect.ismethod(inner):
            inner = inner.__func__
        if inner is func:
            return func
        func = inner


def _unwrapped(func: Any) -> Any:
    # A chain of `__wrapped__` that doesn't end: a circle, or an object that answers to every
    # name. The object itself is then the best there is to point at.
    try:
        return inspect.unwrap(func)
    except ValueError:
        return func


def _where_class(cls: type) -> str:
    try:
        file = inspect.getsourcefile(cls)
    except (OSError, TypeError):
        file = None
    line = None if file is None else _line_of_class(cls, file)
    if file is None or line is None:
        return f"<{_module(cls)}> ({_qualname(cls)})"
    return f"{_absolute(file)}:{line} ({_qualname(cls)})"


def _line_of_class(cls: type, file: str) -> int | None:
    # Since Python 3.13, a class knows it.
    line: int | None = vars(cls).get("__firstlineno__")
    if line is not None:
        return line
    linecache.checkcache(file)
    return _lines_of_classes("".join(linecache.getlines(file))).get(_qualname(cls))


@functools.lru_cache(maxsize=16)  # an application has many classes in few files
def _lines_of_classes(source: str) -> dict[str, int]:
    """
    Find the line of each class in a file, by its qualified name.

    :func:`inspect.findsource` does the same, but reads the whole file for each class.
    """
    lines: dict[str, int] = {}

    def look(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                name = f"{prefix}{child.name}"
                first = child.decorator_list[0] if child.decorator_list else child
                lines.setdefault(name, first.lineno)
                look(child, f"{name}.")
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                look(child, f"{prefix}{child.name}.<locals>.")
            elif not isinstance(child, ast.expr):
                look(child, prefix)

    with contextlib.suppress(SyntaxError):  # it has been changed since
        look(ast.parse(source), "")
    return lines


def _absolute(file: str) -> str:
    # "<stdin>" and "<string>" are no files.
    return file if file.startswith("<") else os.path.abspath(file)


def _qualname(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None)
    return name if isinstance(name, str) else type(thing).__qualname__


def _module(thing: Any) -> str:
    name = getattr(thing, "__module__", None)
    return name if isinstance(name, str) else type(thing).__module__
