"""Suites of other people, which pytest runs in a process of its own."""

import sys
from pathlib import Path

import pytest

import pytest_triows

ROOT = Path(pytest_triows.__file__).parent


@pytest.fixture
def suite(pytester, monkeypatch, measured_processes):
    """Run a suite that doesn't use triows, in an environment with triows."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*args, ini="trio_mode = true", stdin=b"", **files):
        pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}")
        if files:
            pytester.makepyfile(**files)
        always = ("-p", "no:cacheprovider", "-p", "no:randomly")
        return pytester.run(sys.executable, "-m", "pytest", *always, *args, timeout=60, stdin=stdin)

    run.path = pytester.path
    return run
