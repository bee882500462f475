"""What holds for all tests below this folder."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent

#: Seconds for a test of the test clients. They promise that nothing hangs, each wait within a
#: limit of its own; one that is not kept ends the run here, with all stacks. What takes longer
#: because it does much says so by a marker of its own.
HANG = 60


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """Measure no coverage meanwhile: it takes longer than what is to be seen."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


#: What coverage tells processes that are started, so that they are measured, too. They are not,
#: unless a test asks for it: starting to measure takes half as long as they take to start.
_MEASURING = os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture
def measured_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure coverage in processes that the test starts: they run code that no other test runs."""
    if _MEASURING is not None:
        monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", _MEASURING)


def pytest_itemcollected(item: pytest.Item) -> None:
    path = item.path
    if path.is_relative_to(HERE / "testing") or path.name.startswith("test_memory"):
        item.add_marker(pytest.mark.timeout(HANG))
