"""Suites of other people, which pytest runs in processes of their own."""

import sys
from pathlib import Path

import pytest

import pytest_triows
from tests.nested import LIMIT

ROOT = Path(pytest_triows.__file__).parent


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
