"""Fixtures and limits for all tests in this folder."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent

#: How many seconds a test of the test clients may take. The clients promise that nothing hangs,
#: because each wait has a limit. If one doesn't, the run ends here and prints all stacks. A test
#: that takes longer for a good reason has a marker of its own.
HANG = 60


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """Switch coverage off, because measuring it takes longer than what the test looks for."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


#: Tests whose processes measure no coverage. Other tests run the same code of triows.
_UNMEASURED = ("benchmarks", "fuzz", "hostile", "soak", "testing", "test_documents.py")


@pytest.fixture(autouse=True)
def unmeasured_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch coverage off in the processes of some tests. Starting it takes longer than they do."""
    if any(request.path.is_relative_to(HERE / name) for name in _UNMEASURED):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def pytest_itemcollected(item: pytest.Item) -> None:
    path = item.path
    if path.is_relative_to(HERE / "testing") or path.name.startswith("test_memory"):
        item.add_marker(pytest.mark.timeout(HANG))
