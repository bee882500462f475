"""
What the end of pytest's output says about schedules.

With pytest-xdist, each process that runs tests sends its part to the one that prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .telling import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from .seeds import Seed

__all__ = ["AGAIN", "SEED", "Summary", "again"]

#: The properties of the report of a failed test, which are in JUnit's XML, too: the seed, and the
#: command that repeats the failure.
SEED = "triows_schedule"
AGAIN = "triows_again"


class Summary:
    """
    What there is to tell.

    Args:
        given: The seed of each test, if it was given.
        base: What the seeds of tests are derived from if not.
    """

    def __init__(self, given: Seed | None, base: int) -> None:
        self.given = given
        self.base = base
        #: What is missing in this release of Trio. Then tests run without schedules.
        self.problems: list[str] = []
        #: What was stopped by somebody.
        self.interrupted = ""
        # How many tests ran under schedules, how many these were, and how many of the tests used
        # something that no schedule decides.
        self._tests = self._runs = self._outside = 0
        self._is_remote = False

    @property
    def schedules(self) -> str:
        """What repeats the whole run."""
        if self.given is not None:
            return f"triows: each test runs under the schedule {self.given}"
        return f"triows: schedules from seed {self.base} (to repeat: -o triows_seed={self.base})"

    def note(self, runs: int, outside: set[str]) -> None:
        """Note that a test ran under many schedules, and what else decided."""
        self._tests += 1
        self._runs += runs
        self._outside += bool(outside)

    def send(self) -> tuple[object, ...]:
        """Give what was noted, for another process."""
        return self.problems, self.interrupted, self._tests, self._runs, self._outside

    def add(self, sent: tuple[Any, ...]) -> None:
        """Add what another process has sent."""
        self._is_remote = True
        problems, interrupted, tests, runs, outside = sent
        self.problems = self.problems or problems
        self.interrupted = self.interrupted or interrupted
        self._tests += tests
        self._runs += runs
        self._outside += outside

    def lines(self, *, is_quiet: bool) -> Iterator[str]:
        """Tell it."""
        if self.problems:
            yield (
                "triows: the tests ran without schedules, because triows does not support this "
                f"release of Trio or of pytest. It does not find: {', '.join(self.problems)}"
            )
        elif self._is_remote and not is_quiet:  # the other processes don't print
            yield self.schedules
        if self._tests:
            tests, runs = plural(self._tests, "test"), plural(self._runs, "schedule")
            yield f"triows: {tests} ran under {runs}"
        if self._outside:
            yield (
                f"triows: {self._outside} of them used threads, sockets or the real clock, whose "
                "timing the seed does not decide"
            )
        if self.interrupted:
            yield f"triows: {self.interrupted}"


def again(reports: list[pytest.TestReport | pytest.CollectReport]) -> Iterator[str]:
    """Say how to run each failed test again."""
    # The report of a file that could not be imported has no properties.
    found = (dict(getattr(report, "user_properties", ())).get(AGAIN) for report in reports)
    commands = [str(one) for one in dict.fromkeys(found) if one is not None]
    if commands:
        yield "triows: to run each failed test again, under the same schedule:"
        yield from (f"  {one}" for one in commands)
