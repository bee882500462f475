"""
Decides what coverage measures.

Until Python 3.14, measuring makes all code of a process two to three times as slow: also that of
pytest, Trio and Hypothesis. So it is paused for what would tell nothing new: while tests are
collected, in the process that only hands them out, in tests with the marker ``unmeasured``, and for
most of a test's sets of parameters, if it has many. Of a test with Hypothesis, only a few examples
are measured, and never what Hypothesis does to make them. What runs meanwhile counts as not run. So
coverage is never said to be better than it is.
"""

from __future__ import annotations

import pkgutil
import sys
import threading
from collections import defaultdict
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from inspect import iscoroutinefunction
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

import triows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

__all__ = [
    "pytest_collection",
    "pytest_collection_modifyitems",
    "pytest_runtest_call",
    "pytest_runtest_protocol",
    "pytest_runtestloop",
    "pytest_sessionstart",
    "sampled",
    "spread",
    "unmeasured",
]

#: How many sets of parameters of a test are measured.
SETS = 10

#: Of this many examples of Hypothesis, the first one is measured.
EXAMPLES = 5

_IS_UNMEASURED = pytest.StashKey[bool]()


def _measures(tracer: object) -> bool:
    """Whether it is coverage's and not a debugger's."""
    return type(tracer).__module__ == "coverage"


@contextmanager
def _traced_by(tracer: Any) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def unmeasured(is_paused: bool = True) -> Iterator[None]:
    """Pause the measuring of this thread. A debugger goes on."""
    if is_paused and _measures(sys.gettrace()):
        with _traced_by(None):
            yield
    else:
        yield


def sampled(test: Callable[..., Any], tracer: Any) -> Callable[..., Any]:
    """Have some calls of the test traced, while the measuring is paused."""
    numbers = count()

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> Any:
        if next(numbers) % EXAMPLES:
            return test(*args, **kwargs)
        with _traced_by(tracer):
            return test(*args, **kwargs)

    return run


def spread(items: list[pytest.Item], number: int) -> Iterable[pytest.Item]:
    """Choose some items at equal distances, and the first one."""
    return (items[len(items) * index // number] for index in range(number))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Measure only what modules of triows do when they are imported."""
    for module in pkgutil.walk_packages(triows.__path__, "triows."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    with unmeasured():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Choose the tests that aren't measured."""
    sets: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        item.stash[_IS_UNMEASURED] = item.get_closest_marker("unmeasured") is not None
        sets[item.nodeid.partition("[")[0]].append(item)
    for those in sets.values():
        if len(those) > SETS:
            for item in set(those).difference(spread(those, SETS)):
                item.stash[_IS_UNMEASURED] = True


def _hands_out(session: pytest.Session) -> bool:
    """Whether the tests of this process run in others."""
    return bool(session.config.getoption("tx", None))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Don't measure the threads that receive the reports of tests."""
    if _hands_out(session):
        threading.settrace(None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Measure nothing in a process whose tests run in others."""
    with unmeasured(_hands_out(session)):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure the test, or don't."""
    with unmeasured(item.stash[_IS_UNMEASURED]):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measure some of a test's examples. This begins when Trio is around each of them."""
    test = getattr(getattr(item, "obj", None), "hypothesis", None)
    tracer = sys.gettrace()
    if test is None or not _measures(tracer) or iscoroutinefunction(test.inner_test):
        return (yield)
    inner = test.inner_test
    test.inner_test = sampled(inner, tracer)
    try:
        with unmeasured():
            return (yield)
    finally:
        test.inner_test = inner
