"""
Runs pytest in pytest, each time in a process of its own, which is there at once.

Most of what a new process does is to import pytest and its plugins. So one process imports them,
and then forks for each run. It has imported nothing of triows, because tests look at what imports
it, and coverage measures that.

A run can't read anything from its standard input. It has the hash seed of all others.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["Nested"]

#: How many seconds a run may take. Then it prints all stacks and ends.
LIMIT = 50

#: What coverage gives to processes that it measures.
MEASURING = "COVERAGE_PROCESS_CONFIG"


class Nested:
    """Runs pytest in forks of one process, which is started for the first of them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def _start(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                env={name: value for name, value in os.environ.items() if name != MEASURING},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self._process

    def run(self, *args: str | Path) -> pytest.RunResult:
        """Do what ``python -m pytest`` does in this folder, with these arguments."""
        folder, out, err = Path.cwd(), Path("stdout"), Path("stderr")
        request = {"args": [*map(str, args)], "folder": str(folder), "env": dict(os.environ)}
        process = self._start()
        began = time.perf_counter()
        print(json.dumps(request), file=process.stdin, flush=True)
        status = int(process.stdout.readline())
        took = time.perf_counter() - began
        outlines, errlines = (path.read_text("utf-8").splitlines() for path in (out, err))
        print("running: python -m pytest", *args, *outlines, *errlines, sep="\n")
        return pytest.RunResult(status, outlines, errlines, took)

    def end(self) -> None:
        if self._process is not None:
            self._process.communicate()


# What follows runs in that process.


def import_pytest() -> None:
    """Run pytest without tests, so that it imports itself and its plugins as it always does."""
    written = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        args = ["-p", "no:triows", "-p", "no:cacheprovider", "-c", os.devnull, folder]
        with redirect_stdout(written), redirect_stderr(written):
            status = pytest.main(args)
    if status != pytest.ExitCode.NO_TESTS_COLLECTED:
        sys.exit(written.getvalue())


def main() -> None:
    # Whoever presses Ctrl-C wants no traceback of this process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import_pytest()
    replies = os.dup(1)
    # A fork that ends unwinds this function, too. It must not remove the folder of the others.
    kept = Path(tempfile.mkdtemp())
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            run_pytest(kept, **json.loads(line))
        _, status = os.waitpid(pid, 0)
        os.write(replies, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    shutil.rmtree(kept)


def keep_tables(kept: Path) -> None:
    """Let Hypothesis keep its tables, which take it seconds to make, for the next run."""
    Path(".hypothesis").mkdir(exist_ok=True)
    for name in ("constants", "unicode_data"):
        here = Path(".hypothesis", name)
        (kept / name).mkdir(exist_ok=True)
        if not here.exists():
            here.symlink_to(kept / name)


def run_pytest(kept: Path, args: list[str], folder: str, env: dict[str, str]) -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, "stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:1] = [folder, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[:] = ["pytest", *args]
    keep_tables(kept)
    # While a test runs, what is written to the other descriptor is captured.
    faulthandler.dump_traceback_later(LIMIT, exit=True, file=os.dup(2))
    if MEASURING in env:
        from coverage import process_startup

        process_startup()
    sys.exit(pytest.main(args))


if __name__ == "__main__":
    main()
