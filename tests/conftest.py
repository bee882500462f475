"""What holds for all tests below this folder."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent

#: Seconds for a test of the test clients. They promise that nothing hangs, each wait within a
#: limit of its own; one that is not kept ends the run here, with all stacks. What takes longer
#: because it does much says so by a marker of its own.
HANG = 20


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """Measure no coverage meanwhile: it takes longer than what is to be seen."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


#: Whose processes are measured elsewhere: what they run of triows, others run, too.
_UNMEASURED = ("benchmarks", "fuzz", "hostile", "soak", "testing", "test_documents.py")


@pytest.fixture(autouse=True)
def unmeasured_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes of some tests measure no coverage: starting it takes longer than they do."""
    if any(request.path.is_relative_to(HERE / name) for name in _UNMEASURED):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def pytest_itemcollected(item: pytest.Item) -> None:
    path = item.path
    if path.is_relative_to(HERE / "testing") or path.name.startswith("test_memory"):
        item.add_marker(pytest.mark.timeout(HANG))
