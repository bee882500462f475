"""Fixtures and limits for all tests in this folder."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_triows
from tests.nested import LIMIT, Nested

HERE = Path(__file__).parent
ROOT = Path(pytest_triows.__file__).parent

#: The files that take longest, in ``tests``. They begin first. Otherwise one process is busy with
#: such a file at the end, and the others have nothing left to do.
LONG = [
    "server/test_workers.py",
    "server/test_signals.py",
    "testing/test_plugin.py",
    "server/test_run.py",
    "benchmarks/test_harness.py",
    "server/test_http_clients.py",
    "server/test_reload.py",
    "trials/fuzz/test_campaign.py",
    "schedules/test_everywhere.py",
    "exchange/test_promise_of_routes.py",
    "exchange/test_promise.py",
    "server/test_shapes.py",
    "examples/test_chat_browser.py",
    "trials/restart/test_ways.py",
    "test_readme.py",
    "testing/test_crowd.py",
]


@pytest.fixture(scope="session", autouse=True)
def heeding_ctrl_c() -> Iterator[None]:
    """Let SIGINT interrupt Python again where a shell has it ignored: in background jobs."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def measuring() -> str | None:
    """
    Take away what coverage gives to the processes that tests start, and return it.

    Only tests that ask for it pass it on, because a process takes half as long again to start with
    it. This is a fixture because pytest starts processes, too: they run the tests, and have to be
    measured.
    """
    return os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture
def measured_processes(measuring: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure coverage in the processes of a test that run code which no other test runs."""
    if measuring is not None:
        monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", measuring)


@pytest.fixture
def import_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder. Modules imported from it are forgotten after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture(scope="session")
def nested() -> Iterator[Nested]:
    """Run pytest in processes that are there at once."""
    nested = Nested()
    yield nested
    nested.end()


@pytest.fixture
def suite(pytester, monkeypatch, nested):
    """
    Run a suite of somebody who has triows installed.

    With ``real_process``, and if it gets something on standard input, it runs in a process that is
    started for it. All others are forks of one.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*args, ini="trio_mode = true", stdin=b"", real_process=False, **files):
        pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}")
        if files:
            pytester.makepyfile(**files)
        args = ("-p", "no:cacheprovider", "-p", "no:randomly", *args)
        if stdin or real_process:
            command = (sys.executable, "-m", "pytest", *args)
            return pytester.run(*command, timeout=LIMIT, stdin=stdin)
        return nested.run(*args)

    run.path = pytester.path
    return run


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # If a file has moved, this raises.
    ranks = {(HERE / name).resolve(strict=True): rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path, len(LONG)))
