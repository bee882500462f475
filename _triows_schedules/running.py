"""One run of a test, under a schedule."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from _pytest.runner import call_and_report

from .fixtures import in_order
from .schedule import Schedule, current_loop
from .seeds import derived
from .trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .failures import Failure
    from .seeds import Seed
    from .trace import Story

__all__ = ["Run", "stops_tests"]

#: Of how many loops the switches are kept, the last ones. ``explore_cancellation`` runs hundreds.
_LOOPS = 20

#: The properties that a test has before its first run.
_GIVEN = pytest.StashKey[list[tuple[str, object]]]()


class Run:
    """
    One run of a test.

    Args:
        seed: Decides in it.
        number: Which run it is.
        of: How many there may be.
        traces: Whether its task switches are recorded.
        stays: Whether another run follows, whatever comes of this one.
        look_at: At which loop and switch to take a picture of what the test serves.
        unfair: Whether ready tasks are held back.
        fair_runs: In how many runs it did not fail when no tasks were held back.
        seeds_random: Whether the seed also decides what the module ``random`` gives.
        options: Further arguments of the schedule.
    """

    def __init__(
        self,
        seed: Seed,
        number: int = 1,
        of: int = 1,
        *,
        traces: bool = False,
        stays: bool = False,
        look_at: tuple[int, int] | None = None,
        unfair: bool = False,
        fair_runs: int = 0,
        seeds_random: bool = True,
        **options: Any,
    ) -> None:
        self.schedule = Schedule(
            seed.number,
            choices=seed.choices,
            unfair=unfair,
            on_loop=self._trace if traces else None,
            **options,
        )
        self.number = number
        self.of = of
        self.unfair = unfair
        self.fair_runs = fair_runs
        self.reports: list[pytest.TestReport] = []
        self.traces: list[Trace] = []
        #: How it failed, if it did. A part of the test that has a report of its own counts.
        self.failure: Failure | None = None
        #: What happened before the failure, if that was recorded.
        self.story: Story | None = None
        # Whether everything was torn down that the next test does not use.
        self._is_cleared = True
        self._is_traced = traces
        self._stays = stays
        self._look_at = look_at
        self._seeds_random = seeds_random
        # What the state of ``random`` was after it was seeded, and whether it changed.
        self._seeded: object = None
        self._has_drawn: bool | None = None

    def _trace(self) -> None:
        loop, switch = self._look_at or (-1, 0)
        look_at = switch if loop == len(self.traces) else None
        # It may be one that was installed meanwhile.
        current = current_loop()
        schedule = self.schedule if current is None else current.schedule
        self.traces.append(Trace(schedule, look_at=look_at))
        for trace in self.traces[-_LOOPS - 1 : -_LOOPS]:
            trace.switches.clear()
        trio.lowlevel.add_instrument(self.traces[-1])

    @property
    def is_again(self) -> bool:
        """Whether it is there to find out more about a failure."""
        return self._stays or self._look_at is not None

    @property
    def duration(self) -> float:
        """How many seconds it took."""
        return sum(report.duration for report in self.reports)

    @property
    def has_passed(self) -> bool:
        return self.failure is None and all(report.passed for report in self.reports)

    @property
    def has_failed_apart(self) -> bool:
        """Whether a part of the test failed that has been reported, such as a subtest."""
        return self.failure is not None and not any(report.failed for report in self.reports)

    @property
    def draws(self) -> bool:
        """Whether it has drawn something from the module ``random``."""
        if self._has_drawn is None:
            return self._seeded is not None and random.getstate() != self._seeded
        return self._has_drawn

    @property
    def is_last(self) -> bool:
        """Whether no other run follows. It is asked before and after its teardown."""
        if self._stays:
            return False
        if self._is_traced:
            return True
        if self.failure is not None:  # it is run again, with a trace
            return self.has_failed_apart or not self.schedule.loops
        is_decided = self.schedule.decisions or (self.schedule.loops and self.draws)
        return not self.has_passed or self.number == self.of or not is_decided

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let its schedule decide meanwhile."""
        try:
            with (
                self._random_seeded(),
                in_order(self.schedule.outside.add),
                self.schedule.installed(),
            ):
                yield
        finally:
            for trace in self.traces:
                trace.is_over = True

    @contextmanager
    def _random_seeded(self) -> Iterator[None]:
        if not self._seeds_random:
            yield
            return
        before = random.getstate()
        random.seed(derived("random", self.schedule.source_seed.number))
        self._seeded = random.getstate()
        try:
            yield
        finally:
            self._has_drawn = self.draws
            random.setstate(before)

    def go_through(self, item: Any, nextitem: pytest.Item | None) -> None:
        """Run the test's phases, as pytest does, but keep the reports."""
        _renew(item)
        try:
            self._report(item, "setup")
            if self.has_passed and not item.config.getoption("setuponly", False):
                self._report(item, "call")
            if item.session.shouldfail or item.session.shouldstop:
                following = None
            elif self.is_last:
                following = nextitem
            else:
                following = item.parent  # what others of its module use is left for the next run
                self._is_cleared = False
            self._report(item, "teardown", nextitem=following)
        finally:
            if hasattr(item, "_request"):
                item._request = False
                item.funcargs = None

    def cleared(self, item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """Tear down what was left for another run, if none follows. Report it if that fails."""
        if self._is_cleared:
            return []
        self._is_cleared = True
        # The hooks for a teardown were called already.
        call = pytest.CallInfo.from_call(
            lambda: item.session._setupstate.teardown_exact(nextitem),
            when="teardown",
            reraise=stops_tests(item.config),
        )
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        return [report] if report.failed else []

    def _report(self, item: pytest.Item, phase: Any, **arguments: Any) -> None:
        self.reports.append(call_and_report(item, phase, log=False, **arguments))


def stops_tests(config: pytest.Config) -> tuple[type[BaseException], ...]:
    """Give the kinds of errors by which somebody stops all tests."""
    # In a debugger, Ctrl-C stops the test that runs, and not the others.
    if config.getoption("usepdb", False):
        return (pytest.exit.Exception,)
    return pytest.exit.Exception, KeyboardInterrupt


def _renew(item: Any) -> None:
    """Let a test that has run be run again, with fixtures, output and properties of its own."""
    item.user_properties[:] = item.stash.setdefault(_GIVEN, item.user_properties[:])
    if getattr(item, "_request", None) is False:
        item._initrequest()
        item._report_sections.clear()
        if isinstance(item.parent, pytest.Class):
            # Each run has an instance of its own, and the test is its method.
            for name in ("_instance", "_obj"):
                vars(item).pop(name, None)
