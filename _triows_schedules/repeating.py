"""
Runs a test under many schedules, or until it fails, and finds out more about the failure.

A test that has failed is run again: first with fewer choices of its schedule, then with a trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import hypotheses
from .exploring import Exploration
from .seeds import Seed
from .shrinking import shrunk
from .telling import unlike

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from .running import Run

__all__ = ["Repetition"]

_ALIVE = "what was alive before the failure"

#: With ``--triows-unfair``: a test relies on Trio's fairness if it fails in no run of so many
#: without that.
_FAIR_RUNS = 32

#: For how many seconds a test may run to find out which choices matter. A test that fails because
#: it takes too long would take hours.
_PATIENCE = 60.0


class Repetition:
    """
    The runs of a test.

    Args:
        new_run: Makes a run.
        go: Runs a test once, with all of pytest's hooks.
        item: The test.
        nextitem: The test after it.
    """

    def __init__(
        self,
        new_run: Callable[..., Run],
        go: Callable[[pytest.Item, pytest.Item | None, Run], None],
        item: pytest.Item,
        nextitem: pytest.Item | None,
    ) -> None:
        self._new_run = new_run
        self._go = go
        self._item = item
        self._nextitem = nextitem
        #: What is reported of all runs.
        self.reports: list[pytest.TestReport] = []
        #: How many schedules there were; 0 if the test does not use Trio.
        self.number = 0
        #: What else decided: the real clock, threads, sockets.
        self.outside: set[str] = set()
        # The run that was the last.
        self._latest: Run | None = None

    def run(self, seed: Seed, count: int, *, explains: bool) -> None:
        """
        Run the test.

        Args:
            seed: The first seed.
            count: How many schedules there are.
            explains: Whether the test is run again if it has failed.
        """
        run, duration = self._find(seed, count)
        self.reports = run.reports
        if run.schedule.loops:
            self.number, self.outside = run.number, run.schedule.outside
        if explains and run.failure and run.schedule.loops and not run.has_failed_apart:
            self.reports = self._explained(run).reports
        if self._latest is not None:
            self.reports += self._latest.cleared(self._item, self._nextitem)
        for report in self.reports:
            if report.when == "call":
                report.duration = duration

    def _find(self, seed: Seed, count: int) -> tuple[Run, float]:
        """Run the test until it fails; tell how long all runs took."""
        exploration = Exploration(seed.number)
        duration, choices = 0.0, seed.choices
        for number in range(1, count + 1):
            run = self._new_run(Seed(exploration.next_seed(), choices), number, count)
            choices = None
            self._run(run)
            duration += run.duration
            if run.is_last or run.failure:
                break
            exploration.note(run.schedule.decisions)
        return run, duration

    def _run(self, run: Run) -> Run:
        session = self._item.session
        if not (session.shouldfail or session.shouldstop):
            self._latest = run
            self._go(self._item, self._nextitem, run)
        return run

    def _explained(self, run: Run) -> Run:
        """Run a failed test again, until its report can say how the failure came about."""
        if run.schedule.held:
            run = self._fair(run)
        seed = run.schedule.source_seed
        is_repeatable = not run.schedule.outside and hypotheses.last_seed(self._item) is None
        if run.of > 1 and seed.choices is None and is_repeatable:
            seed = seed._replace(choices=self._shrunk(run))
        again = self._run(self._like(run, seed, traces=True))
        look_at = (-1, 0) if again.story is None else (again.story.loop, again.story.number)
        last = self._run(self._like(run, seed, traces=True, look_at=look_at, stays=False))
        pictures = [(_ALIVE, one.picture) for one in last.traces if one.picture]
        is_same = again.failure == run.failure
        told = again if is_same else run
        for report in told.reports:
            if report.failed and is_same:
                report.sections += pictures
            elif report.failed and again.reports:
                report.sections.append(("triows: not deterministic", unlike(run, again.failure)))
        return told

    def _shrunk(self, run: Run) -> range | None:
        """Find the choices of a run that are enough for its failure; ``None`` stands for all."""
        left = _PATIENCE

        def fails(choices: range) -> bool:
            nonlocal left
            if left < 0:
                return False
            trial = self._run(self._like(run, run.schedule.source_seed._replace(choices=choices)))
            left -= trial.duration
            return trial.failure == run.failure

        choices = shrunk(run.schedule.decisions, fails)
        return None if len(choices) == run.schedule.decisions else choices

    def _like(self, run: Run, seed: Seed, *, stays: bool = True, **options: object) -> Run:
        """Make a run like another."""
        return self._new_run(
            seed,
            run.number,
            run.of,
            stays=stays,
            unfair=run.unfair,
            fair_runs=run.fair_runs,
            **options,
        )

    def _fair(self, run: Run) -> Run:
        """Find a run that fails without tasks being held back, or note that there is none."""
        seed = run.schedule.source_seed
        exploration = Exploration(seed.number)
        for n in range(_FAIR_RUNS):
            choices = None if n else seed.choices
            one = Seed(exploration.next_seed(), choices)
            trial = self._new_run(one, run.number, run.of, stays=True, unfair=False)
            if self._run(trial).failure == run.failure:
                return trial
            exploration.note(trial.schedule.decisions)
        run.fair_runs = _FAIR_RUNS
        return run
