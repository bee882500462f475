"""
The order in which pytest-trio starts a test and its fixtures.

pytest-trio runs the test, and each fixture that needs Trio, in a task of its own. It starts them in
the order of a set, and so in that of their addresses. A fixture also waits for those who use it in
such an order. Addresses differ from process to process. So here, sets of pytest-trio keep the order
in which something was added: first a fixture's own fixtures, from left to right, then the fixture,
and last the test.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["in_order"]

#: What pytest-trio calls once for each test, to find its fixtures.
_COLLECT = "register_and_collect_dependencies"


class _Ordered(dict[Any, None]):
    """A set that keeps the order in which something was added."""

    def add(self, one: Any) -> None:
        self[one] = None


@contextmanager
def in_order(note_outside: Callable[[str], None]) -> Iterator[None]:
    """
    Let pytest-trio, if it is there, start fixtures in the same order each time meanwhile.

    Args:
        note_outside: Called with what the order depends on, if this is not possible because
            pytest-trio has changed.
    """
    cls = getattr(sys.modules.get("pytest_trio.plugin"), "TrioFixture", None)
    collect = getattr(cls, _COLLECT, None)
    if cls is None or collect is None:
        yield
        return

    def collected(fixture: Any) -> Any:
        for used in _used_by(fixture, cls):
            if isinstance(getattr(used, "user_done_events", None), set):
                used.user_done_events = _Ordered()
        found = collect(fixture)
        order = _Ordered()
        _walk(fixture, cls, order)
        if order.keys() == found:
            return list(order)
        note_outside("addresses, by which pytest-trio orders fixtures")
        return found

    setattr(cls, _COLLECT, collected)
    try:
        yield
    finally:
        setattr(cls, _COLLECT, collect)


def _walk(fixture: Any, cls: type, order: _Ordered) -> None:
    for used in _used_by(fixture, cls):
        if used not in order:
            _walk(used, cls, order)
    order.add(fixture)


def _used_by(fixture: Any, cls: type) -> Iterator[Any]:
    arguments = getattr(fixture, "_pytest_kwargs", {})
    return (one for one in arguments.values() if isinstance(one, cls))
