"""Run the cases, print the results, and exit with 1 if something is wrong."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.server.harness.process import TRIOWS, ServerProcess
from trials.signals import exit_on_sigterm

from .verdict import Case, read_reports, table, wrong

ROOT = Path(__file__).parent.parent.parent
REFERENCE = [sys.executable, "-m", "trials.compliance.reference"]

#: How many cases run at the same time. There are more than cores, because many wait for a second.
PARALLEL = 4 * (os.cpu_count() or 1)


def run_cases(server: Sequence[str], app: str, cases: Iterable[str], folder: Path) -> list[Case]:
    """
    Run cases against a server that is started for them.

    Args:
        server: The command, without its application.
        app: The application that it serves.
        cases: Numbers or patterns. If there are none, all cases run.
        folder: The folder for the reports.

    Raises:
        RuntimeError: The runner or the server has failed.
    """
    options = [argument for case in cases for argument in ("-i", case)]
    with ServerProcess([*server], app, folder=ROOT) as process:
        done = subprocess.run(
            [
                Path(sys.executable).with_name("kosoku"),
                *("-p", str(PARALLEL), "-o", str(folder), *options),
                process.url.removeprefix("http://") + "/",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if not process.is_running:
            raise RuntimeError(f"the server has ended:\n{process.output}")
    if not (folder / "index.json").exists():
        raise RuntimeError(f"no report was written:\n{done.stdout}{done.stderr}")
    return read_reports(folder)


def run_ours(cases: Sequence[str], folder: Path) -> list[Case]:
    return run_cases(TRIOWS, "trials.compliance.echo:app", cases, folder)


def run_reference(cases: Sequence[str], folder: Path) -> list[Case]:
    return run_cases(REFERENCE, "/", cases, folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="compliance", description=__doc__)
    parser.add_argument("cases", nargs="*", help="numbers or patterns, as 1.2.3 or 7.* (all)")
    parser.add_argument("--reference", action="store_true", help="run websockets' own server")
    parser.add_argument("--reports", type=Path, help="keep the HTML and JSON reports in a folder")
    options = parser.parse_args()
    exit_on_sigterm()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = options.reports or Path(temporary)
        begun = time.monotonic()
        cases = (run_reference if options.reference else run_ours)(options.cases, folder / "cases")
        print(*table(cases), sep="\n")
        print(f"{len(cases)} cases in {time.monotonic() - begun:.0f} s")
        if options.reference:
            bad = wrong(cases, {case.number: case for case in cases})
        else:
            doubtful = [case.number for case in cases if case.is_worse_than_could_be]
            reference = run_reference(doubtful, folder / "reference") if doubtful else []
            bad = wrong(cases, {case.number: case for case in reference})
            for case in reference:
                print("the reference,", case)
    for case in bad:
        print("WRONG", case)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
