"""
Finds out which ``yield`` of a factory is guarded, where one is missing, and what is held there.

A factory's source is read once, at registration. The result is used at run time.

A ``yield`` is *guarded* if a ``try`` or ``with`` around it would see an exception that is raised
there, and *bare* otherwise. One function may have both. The source says where the bare ones are.
The frame of the generator says at which ``yield`` it is. If that can't be found out, the ``yield``
counts as guarded, because a ``finally`` that may be there matters more than a bare ``yield``.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import functools
import inspect
import tokenize
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import CodeType

__all__ = [
    "BareYields",
    "bare_yields",
    "holds_nothing",
    "is_contextlibs",
    "stands_at_bare",
    "unmanageable",
    "waits",
]

#: First line, last line, first column, last column, as :meth:`code.co_positions` has them.
_Position: TypeAlias = "tuple[int | None, int | None, int | None, int | None]"

#: Where the bare yields are, by the name of the file.
BareYields: TypeAlias = "Mapping[str, frozenset[_Position]]"


#: Methods that give something to the calling task, or open a block without a ``with``.
_TAKING = frozenset(
    ("acquire", "acquire_nowait", "__enter__", "__aenter__", "enter_context", "enter_async_context")
)


@frozen
class _Read:
    """What was read in a file."""

    bare: frozenset[_Position]
    #: The first lines of all functions, and of those with a ``yield`` in a ``with``.
    functions: frozenset[int]
    holding: frozenset[int]


_UNREADABLE = _Read(frozenset(), frozenset(), frozenset())


def holds_nothing(function: Callable[..., Any]) -> bool:
    """
    Say whether a generator function has no ``with`` around a ``yield``, by its source.

    A scope, a nursery or a lock that it holds at its ``yield`` would belong to a task. Functions
    that it calls may still open one.
    """
    code = getattr(function, "__code__", None)
    is_generator = inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
    if code is None or not is_generator or not _TAKING.isdisjoint(code.co_names):
        return False
    read, line = _read_near(code), code.co_firstlineno
    return line in read.functions and line not in read.holding


def waits(function: Callable[..., Any]) -> bool:
    """Say whether a generator function may wait for something, by its code."""
    if inspect.isgeneratorfunction(function):
        return False
    code = getattr(function, "__code__", None)
    if code is None or not inspect.isasyncgenfunction(function):
        return True  # who knows what it returns
    return any(step.opname in _WAITING for step in dis.get_instructions(code))


#: ``async with`` also has the first of these.
_WAITING = frozenset(("GET_AWAITABLE", "GET_ANEXT"))


def bare_yields(function: Callable[..., Any]) -> BareYields:
    """Find the bare yields in the source of a function, and of what its decorators wrap."""
    found: dict[str, frozenset[_Position]] = {}
    for code in _codes(function):
        known = found.get(code.co_filename, frozenset())
        found[code.co_filename] = known | _read_near(code).bare
    return found


def _read_near(code: CodeType) -> _Read:
    """Read the whole file, or only the function if the rest isn't Python."""
    try:
        lines, _ = inspect.findsource(code)
    except OSError:
        return _UNREADABLE  # no source, as at a prompt
    for source in (_whole, _alone):
        try:
            return _read(source(lines, code.co_firstlineno))
        except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):
            continue
    return _UNREADABLE


def _whole(lines: list[str], _first: int) -> str:
    return "".join(lines)


def _alone(lines: list[str], first: int) -> str:
    """Return a function without the code around it, with the same line numbers."""
    block = inspect.getblock(lines[first - 1 :])
    above = ["\n"] * (first - 1)
    # An indented function can't be parsed alone. It can't be dedented either: a string in it may
    # have lines that are indented less.
    if above and block[0][:1].isspace():
        above[-1] = "if True:\n"
    return "".join(above + block)


def _codes(function: Any) -> Iterator[CodeType]:
    while function is not None:
        code = getattr(function, "__code__", None)
        if inspect.iscode(code):
            yield code
        function = getattr(function, "__wrapped__", None)


def stands_at_bare(generator: Any, bare: BareYields) -> bool:
    """
    Say whether a suspended generator, async or not, is at one of the *bare* yields.

    The columns distinguish two yields in one line. Python leaves the columns out if it was started
    with ``-X no_debug_ranges``; then no ``yield`` is found.
    """
    frame = getattr(generator, "ag_frame", None) or getattr(generator, "gi_frame", None)
    if frame is None:
        return False
    code: CodeType = frame.f_code
    # There are two bytes to an instruction.
    position = next(islice(code.co_positions(), frame.f_lasti // 2, None), None)
    return position in bare.get(code.co_filename, frozenset())


# A module with many factories is read once.
@functools.lru_cache(maxsize=16)
def _read(source: str) -> _Read:
    finder = _YieldFinder()
    finder.visit(ast.parse(source))
    return _Read(frozenset(finder.bare), frozenset(finder.functions), frozenset(finder.holding))


class _YieldFinder(ast.NodeVisitor):
    """
    Looks for each ``yield`` that no ``try`` or ``with`` of its own function guards.

    A ``yield from`` isn't among them, because the generator that it delegates to may be guarded.
    """

    def __init__(self) -> None:
        self.bare: list[_Position] = []
        self.functions: list[int] = []
        self.holding: list[int] = []
        # In how many guards of its function the visitor is, and in how many blocks that may hold
        # something; and where that function begins.
        self._depth = self._held = self._line = 0

    def visit_Yield(self, node: ast.Yield) -> None:
        if self._depth == 0:
            position = node.lineno, node.end_lineno, node.col_offset, node.end_col_offset
            self.bare.append(position)
        self._note_held()
        self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        """The generator that it delegates to may hold anything."""
        self._held += 1
        self._note_held()
        self._held -= 1
        self.generic_visit(node)

    def _note_held(self) -> None:
        if self._held:
            self.holding.append(self._line)

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        """Only an ``except`` or ``finally`` of this ``try`` guards what is in it."""
        self._visit_all(node.body, guards=1)
        self._visit_all([*node.handlers, *node.orelse], guards=1 if node.finalbody else 0)
        self._visit_all(node.finalbody)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """The first context manager isn't entered yet while it is made."""
        first, *rest = node.items
        self._visit_all([first])
        self._held += 1
        self._visit_all([*rest, *node.body], guards=1)
        self._held -= 1

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        """What a loop goes through may be a generator that holds something."""
        self._held += 1
        self.generic_visit(node)
        self._held -= 1

    def _visit_all(self, nodes: list[Any], guards: int = 0) -> None:
        self._depth += guards
        for node in nodes:
            self.visit(node)
        self._depth -= guards

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        """A ``try`` around the definition of a function doesn't guard the yields in it."""
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        self._visit_all([*decorators, node.args])
        outside = self._depth, self._held, self._line
        # Where Python says that a function begins.
        self._depth, self._held = 0, 0
        self._line = min([node.lineno, *(one.lineno for one in decorators)])
        self.functions.append(self._line)
        self._visit_all([node.body] if isinstance(node, ast.Lambda) else node.body)
        self._depth, self._held, self._line = outside

    visit_TryStar = visit_Try
    visit_AsyncFor = visit_For
    visit_AsyncWith = visit_With
    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function


# Functions that contextlib has decorated.


def is_contextlibs(function: Any) -> bool:
    """Say whether ``@contextmanager`` or ``@asynccontextmanager`` has made it."""
    # contextlib's own functions and methods wrap nothing.
    module = getattr(function, "__globals__", {}).get("__name__")
    return module == contextlib.__name__ and hasattr(function, "__wrapped__")


def unmanageable(call: Any) -> str | None:
    """
    Say what to do about a function from which :mod:`contextlib` can't make a context manager.

    contextlib decorates any function, and finds the mistake only when the context manager is
    entered. This returns ``None`` for a function that may return a generator made elsewhere, or
    whose decorator hides what it returns.
    """
    decorator = _by_contextlib(call)
    if decorator is None:
        return None
    name = "asynccontextmanager" if _is_async(decorator) else "contextmanager"
    function = _plain(decorator.__wrapped__)
    body = inspect.unwrap(function)
    kinds: tuple[Any, Any] = inspect.isgeneratorfunction, inspect.isasyncgenfunction
    wanted, other = reversed(kinds) if _is_async(decorator) else kinds
    if wanted(function) or wanted(body):
        return None
    if other(function):
        instead = "async def" if _is_async(decorator) else "def"
        return f"is under @{name}, which needs a generator of the other kind: write `{instead}`"
    if inspect.iscoroutinefunction(body) or _returns_constants(body):
        return f"is under @{name} and has no `yield`: yield the value once, where it now returns"
    return None


def _by_contextlib(call: Any) -> Any:
    """Find contextlib's decorator among those of a function."""
    try:
        found = inspect.unwrap(_plain(call), stop=is_contextlibs)
    except ValueError:  # an endless chain of `__wrapped__`
        return None
    return found if is_contextlibs(found) else None


def _plain(call: Any) -> Any:
    while isinstance(call, functools.partial):
        call = call.func
    return getattr(call, "__func__", call)


def _is_async(decorator: Any) -> bool:
    return bool(decorator.__code__.co_qualname.startswith("async"))


def _returns_constants(function: Any) -> bool:
    """Say whether a function certainly returns no generator, because it returns only constants."""
    code = getattr(function, "__code__", None)
    steps = [] if code is None else list(dis.get_instructions(code))
    returned = [
        before.opname if step.opname == "RETURN_VALUE" else "LOAD_CONST"
        for before, step in pairwise(steps)
        if step.opname in ("RETURN_VALUE", "RETURN_CONST")
    ]
    return bool(returned) and all(one.startswith(("LOAD_CONST", "LOAD_SMALL")) for one in returned)
