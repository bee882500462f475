"""Finds the place and the name of a function in the user's source, for messages."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import linecache
import os
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar, get_origin

__all__ = ["code_for", "known_as", "name_of", "where", "where_called", "where_code"]

F = TypeVar("F", bound=Callable[..., Any])


def known_as(qualname: str) -> Callable[[F], F]:
    """
    Give a function the name by which its users call it.

    Users get to see the name: if they forget an ``await``, Python warns that "coroutine
    'WebSocket.send' was never awaited".
    """

    def name(function: F) -> F:
        function.__qualname__ = qualname
        return function

    return name


def where(func: Any) -> str:
    """
    Say where a function is defined, as ``file:line (qualname)``.

    It finds the function inside :func:`functools.partial`, methods, and decorators that set
    ``__wrapped__``. For a callable object, it finds ``__call__``. For a class, it finds the class.
    The file is absolute, as in tracebacks. If there are decorators, the line is that of the first.

    This never raises. If there is no source, as for built-ins, it returns ``<module> (qualname)``.

    Args:
        func: A callable, or any other object that was given in its place.
    """
    inner = _innermost(func)
    code = getattr(inner, "__code__", None)
    if isinstance(code, CodeType):
        return where_code(code, _qualname(inner))
    if inspect.isclass(inner):
        return _where_class(inner)
    call = getattr(type(inner), "__call__", None)  # noqa: B004 - we need its code
    if isinstance(getattr(_innermost(call), "__code__", None), CodeType):
        return where(call)
    return f"<{_module(inner)}> ({_qualname(inner)})"


def where_code(code: CodeType, name: str) -> str:
    """Say where a function of that name stands, if its code is all that is known."""
    return f"{_absolute(code.co_filename)}:{code.co_firstlineno} ({name})"


def where_called() -> str:
    """Say where the code of a user calls triows, as :func:`where` does, for what is now called."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("triows."):
        frame = frame.f_back
    assert frame is not None, "triows doesn't call itself"
    code = frame.f_code
    return f"{_absolute(code.co_filename)}:{frame.f_lineno} ({code.co_qualname})"


def name_of(func: Any) -> str:
    """Return what messages call *func*: the name of the function inside all wrappers."""
    return _qualname(_innermost(func))


def code_for(func: Any) -> str:
    """
    Write a callable as code, for a message that says what to write.

    Without its wrappers, the code would mean something else: a partial without its arguments, or a
    class in place of its instance. What has no name of its own becomes ``OBJECT``.
    """
    if isinstance(func, functools.partial):
        return f"functools.partial({code_for(func.func)}, ...)"
    if inspect.ismethod(func):
        owner = func.__self__
        return f"{_qualname(owner) if inspect.isclass(owner) else 'OBJECT'}.{func.__name__}"
    if inspect.isroutine(func) or inspect.isclass(get_origin(func) or func):
        name = name_of(func)
        return "OBJECT" if "<lambda>" in name else name
    return "OBJECT"


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
    # unwrap() raises if the chain of `__wrapped__` never ends, because it is a circle or because
    # the object has every attribute. Then the object itself is the best that we can name.
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

    with contextlib.suppress(SyntaxError, ValueError):  # the file has been changed since
        look(ast.parse(source), "")
    return lines


def _absolute(file: str) -> str:
    # "<stdin>" and "<string>" aren't files.
    return file if file.startswith("<") else os.path.abspath(file)


def _qualname(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None)
    return name if isinstance(name, str) else type(thing).__qualname__


def _module(thing: Any) -> str:
    name = getattr(thing, "__module__", None)
    return name if isinstance(name, str) else type(thing).__module__
