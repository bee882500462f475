"""
Which ``yield`` of a factory is guarded. This is read from its source once, and used at run time.

A ``yield`` is *guarded* if a ``try`` or ``with`` around it would see an exception that is raised
there, and *bare* otherwise. One function may have both. The source says where the bare ones are.
The frame of the generator says at which ``yield`` it is. If that can't be found out, the ``yield``
counts as guarded, because a ``finally`` that may be there matters more than a bare ``yield``.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import tokenize
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import CodeType

__all__ = ["BareYields", "bare_yields", "is_contextlibs", "stands_at_bare", "wrong_generator"]

#: First line, last line, first column, last column, as :meth:`code.co_positions` has them.
_Position: TypeAlias = "tuple[int | None, int | None, int | None, int | None]"

#: Where the bare yields are, by the name of the file.
BareYields: TypeAlias = "Mapping[str, frozenset[_Position]]"


def bare_yields(function: Callable[..., Any]) -> BareYields:
    """Find the bare yields in the source of a function, and of what its decorators wrap."""
    found: dict[str, frozenset[_Position]] = {}
    for code in _codes(function):
        known = found.get(code.co_filename, frozenset())
        found[code.co_filename] = known | _bare_near(code)
    return found


def _bare_near(code: CodeType) -> frozenset[_Position]:
    """Find those of the file, or of the function alone if the rest of the file isn't Python."""
    try:
        lines, _ = inspect.findsource(code)
    except OSError:
        return frozenset()  # no source, as at a prompt
    for source in (_whole, _alone):
        try:
            return _bare_in(source(lines, code.co_firstlineno))
        except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):
            continue
    return frozenset()


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


def is_contextlibs(function: Any) -> bool:
    """Whether it is what ``@contextmanager`` or ``@asynccontextmanager`` has made."""
    return getattr(function, "__globals__", {}).get("__name__") == contextlib.__name__


def wrong_generator(function: Any) -> str | None:
    """
    Say what a decorator of :mod:`contextlib` has got in place of a generator function.

    Returns:
        What follows "is" in a sentence, or ``None`` if nothing is known to be wrong. A plain
        function may return a generator.
    """
    layer = function
    while (inner := getattr(layer, "__wrapped__", None)) is not None:
        if is_contextlibs(layer):
            decorator = layer.__code__.co_qualname.partition(".")[0]
            if inspect.iscoroutinefunction(inner):
                return f"an async function without a yield under @{decorator}"
            if decorator == "contextmanager" and inspect.isasyncgenfunction(inner):
                return "an async generator function under @contextmanager, not @asynccontextmanager"
            if decorator == "asynccontextmanager" and inspect.isgeneratorfunction(inner):
                return "a generator function under @asynccontextmanager, not @contextmanager"
        layer = inner
    return None


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
def _bare_in(source: str) -> frozenset[_Position]:
    finder = _BareYieldFinder()
    finder.visit(ast.parse(source))
    return frozenset(finder.found)


class _BareYieldFinder(ast.NodeVisitor):
    """
    Looks for each ``yield`` that no ``try`` or ``with`` of its own function guards.

    A ``yield from`` isn't among them, because the generator that it delegates to may be guarded.
    """

    def __init__(self) -> None:
        self.found: list[_Position] = []
        self._depth = 0

    def visit_Yield(self, node: ast.Yield) -> None:
        if self._depth == 0:
            position = node.lineno, node.end_lineno, node.col_offset, node.end_col_offset
            self.found.append(position)
        self.generic_visit(node)

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        """Only an ``except`` or ``finally`` of this ``try`` guards what is in it."""
        self._visit_all(node.body, guards=1)
        self._visit_all([*node.handlers, *node.orelse], guards=1 if node.finalbody else 0)
        self._visit_all(node.finalbody)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """The first context manager isn't entered yet where it is made."""
        first, *rest = node.items
        self._visit_all([first])
        self._visit_all([*rest, *node.body], guards=1)

    def _visit_all(self, nodes: list[Any], guards: int = 0) -> None:
        self._depth += guards
        for node in nodes:
            self.visit(node)
        self._depth -= guards

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        """What guards the definition of a function doesn't guard the yields in it."""
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        self._visit_all([*decorators, node.args])
        outside, self._depth = self._depth, 0
        self._visit_all([node.body] if isinstance(node, ast.Lambda) else node.body)
        self._depth = outside

    visit_TryStar = visit_Try
    visit_AsyncWith = visit_With
    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function
