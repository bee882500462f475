"""
Runs each test under many schedules, for hours if it must.

    make schedules                                       300 schedules of each test
    make schedules ARGS="--schedules 20 tests/testing"   20 of some tests
    make schedules ARGS="--part 1/2"                     the first half, beside another process
    make schedules ARGS="--seed 7"                       other schedules

What has passed is noted in ``build/schedules``, and isn't run again until ``--again``. So it goes
on where it was stopped. Tests of Hypothesis are left out, because each of their examples has a
schedule of its own. So are tests that use sockets.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from pathlib import Path

import pytest

NOTES = Path("build/schedules")


class Campaign:
    """
    The plugin that leaves out what has passed, and notes what passes.

    Args:
        schedules: How many schedules each test runs under.
        part: Which part of the tests is run, from 0, and how many parts there are.
        seed: What the schedules are derived from.
    """

    def __init__(self, schedules: int, part: tuple[int, int], seed: int) -> None:
        self._part, self._parts = part
        NOTES.mkdir(parents=True, exist_ok=True)
        name = f"{schedules}-of-{seed}-{self._part}-{self._parts}.txt"
        self._passed, self._failed = NOTES / f"passed-{name}", NOTES / f"failed-{name}"
        #: How many tests are left out because they have passed.
        self.done = 0
        # The phases of the test that runs.
        self._phases: list[pytest.TestReport] = []

    def forget(self) -> None:
        self._passed.unlink(missing_ok=True)
        self._failed.unlink(missing_ok=True)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        done = set(self._passed.read_text().splitlines()) if self._passed.exists() else set()
        wanted = [item for item in items if self._wants(item)]
        chosen = [item for item in wanted if item.nodeid not in done]
        self.done = len(wanted) - len(chosen)
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen

    def _wants(self, item: pytest.Item) -> bool:
        if hasattr(getattr(item, "obj", None), "hypothesis"):
            return False
        return zlib.crc32(item.nodeid.encode()) % self._parts == self._part

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._phases.append(report)
        if report.failed:
            with self._failed.open("a") as file:
                file.write(f"{report.nodeid}\n{report.longreprtext}\n")
                for name, text in report.sections:
                    file.write(f"--- {name}\n{text}\n")

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        # A test that was expected to fail, and did, counts as skipped.
        if all(report.passed or hasattr(report, "wasxfail") for report in self._phases):
            with self._passed.open("a") as file:
                file.write(f"{nodeid}\n")
        self._phases.clear()


def part(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not 1 <= int(number) <= int(of):
        raise ValueError(text)
    return int(number) - 1, int(of)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.schedules.campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--schedules", type=int, default=300, help="of each test")
    parser.add_argument("--seed", type=int, default=1, help="what they are derived from")
    parser.add_argument("--part", type=part, default=(0, 1), help="such as 1/2")
    parser.add_argument("--again", action="store_true", help="run what has passed again")
    parser.add_argument("tests", nargs="*", default=["tests"], help="files or folders")
    options = parser.parse_args()
    campaign = Campaign(options.schedules, options.part, options.seed)
    if options.again:
        campaign.forget()
    args = ["-q", "-m", "not real_socket", "-p", "no:cacheprovider", "-p", "no:randomly"]
    args += [f"--triows-schedules={options.schedules}", "-o", f"triows_seed={options.seed}"]
    # A test that hangs fails, and the others go on. It also starts no thread for each run.
    args += ["--timeout-method=signal"]
    args += options.tests
    status = pytest.main(args, plugins=[campaign])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and campaign.done:
        print("Nothing is left: all of these tests have passed. Run them again with --again")
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
