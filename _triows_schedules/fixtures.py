"""
The order in which pytest-trio starts a test and its fixtures.

pytest-trio runs the test, and each fixture that needs Trio, in a task of its own. It keeps
them in a set, which orders them by their addresses in memory, and starts them in that order. A
fixture also waits in such an order for those that use it. Addresses differ from process to process.
So this module gives pytest-trio sets that keep the order in which something was added: first the
fixtures that a fixture uses, from left to right, then the fixture, and last the test.
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
    If pytest-trio is there, let it start fixtures in the same order each time meanwhile.

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
