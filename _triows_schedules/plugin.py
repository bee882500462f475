"""
Runs the tests of pytest under schedules.

Each test runs under a schedule. Its seed is derived from the seed of the whole run and the name of
the test. A test that fails says which it was. With ``--triows-schedules``, or the marker
``schedules``, a test runs under many, until one fails. Its fixtures are made anew each time, apart
from those of a class, a module or the session. The test has one report all the same.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from _pytest.runner import call_and_report

from . import hypotheses, internals, seeds
from .exploring import Exploration
from .schedule import Schedule
from .trace import Trace, before_failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from .trace import Switch

__all__ = ["Schedules"]

#: How many task switches the report of a failure shows.
_SHOWN = 30


class _Run:
    """
    One run of a test.

    Args:
        schedule: What decides in it.
        number: Which run it is.
        of: How many there may be.
        traces: Whether its task switches are recorded.
    """

    def __init__(
        self, seed: int, number: int = 1, of: int = 1, *, traces: bool = False, **options: Any
    ) -> None:
        self.schedule = Schedule(seed, on_loop=self._trace if traces else None, **options)
        self.number = number
        self.of = of
        self.reports: list[pytest.TestReport] = []
        self.traces: list[Trace] = []
        self._is_traced = traces

    def _trace(self) -> None:
        self.traces.append(Trace())
        trio.lowlevel.add_instrument(self.traces[-1])

    @property
    def has_failed(self) -> bool:
        return any(report.failed for report in self.reports)

    @property
    def has_passed(self) -> bool:
        return all(report.passed for report in self.reports)

    @property
    def is_last(self) -> bool:
        """Whether no other run follows; asked when its teardown begins."""
        if self.has_failed:
            return self._is_traced  # or it is run again, with a trace
        return (
            self._is_traced
            or not self.has_passed  # skipped
            or self.number == self.of
            or not self.schedule.decisions
        )

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let its schedule decide meanwhile."""
        try:
            with self.schedule.installed():
                yield
        finally:
            for trace in self.traces:
                trace.is_over = True


class Schedules:
    """
    The part of the plugin that is there when a suite uses Trio.

    Args:
        config: pytest's configuration.
        seed: The seed of each test, if it was given.
        base: What seeds are derived from if not.
        count: How many schedules each test runs under, if its marker does not say.
        unfair: Whether ready tasks are held back.
    """

    def __init__(
        self, config: pytest.Config, seed: int | None, base: int, count: int, *, unfair: bool
    ) -> None:
        self._config = config
        self._seed = seed
        self._base = base
        self._count = count
        self._unfair = unfair
        # The run of the test that runs. Several if pytest runs pytest in this process.
        self._run: _Run | None = None
        self._explored: dict[str, int] = {}
        self._interrupted = ""

    def pytest_report_collectionfinish(self) -> str | list[str]:
        """Tell what repeats the whole run."""
        if self._config.option.verbose < 0:
            return []
        if self._seed is not None:
            return f"triows: each test runs under the schedule {self._seed}"
        return f"triows: schedules from seed {self._base}, again with -o triows_seed={self._base}"

    # One run.

    def _new_run(self, seed: int, number: int = 1, of: int = 1, *, traces: bool = False) -> _Run:
        examples = self._seed is None
        return _Run(seed, number, of, traces=traces, examples=examples, unfair=self._unfair)

    def _seed_of(self, item: pytest.Item) -> int:
        return seeds.derived(self._base, item.nodeid) if self._seed is None else self._seed

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Run a test, or one of its runs, under a schedule."""
        if self._run is not None:  # one of many
            with self._run.installed():
                return (yield)
        if self._count_of(item) > 1:
            return (yield)
        # Who asks for a schedule wants to know what happens in it.
        self._run = self._new_run(self._seed_of(item), traces=self._seed is not None)
        try:
            with self._run.installed():
                return (yield)
        finally:
            self._run = None

    # Hypothesis.

    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Let each example of an async test draw its seed."""
        # This runs when the plugins that run async tests have put what runs them in its place, and
        # before pytest calls the test.
        test = getattr(pyfuncitem.obj, "hypothesis", None)
        inner = getattr(test, "inner_test", None)
        if self._seed is not None or inner is None or not _is_on_trio(pyfuncitem, inner):
            return
        pyfuncitem.obj.hypothesis.inner_test = hypotheses.drawing(inner)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Leave Hypothesis' test as it was."""
        test = getattr(getattr(item, "obj", None), "hypothesis", None)
        inner = getattr(test, "inner_test", None)
        try:
            return (yield)
        finally:
            if test is not None:
                test.inner_test = inner

    # Reports.

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell in the report of a failure which schedule it was, and what happened in it."""
        report = yield
        run = self._run
        if run is not None and report.failed and run.schedule.loops:
            report.sections.append(("triows schedule", self._told(item, run)))
            if call.excinfo is not None and run.traces:
                switches = before_failure(run.traces, call.excinfo.value)
                report.sections.append(_shown(switches))
        return report

    def _told(self, item: pytest.Item, run: _Run) -> str:
        seed, options = run.schedule.number, ""
        if run.schedule.loops and (example := hypotheses.last_seed(item)) is not None:
            seed = example
        lines = [f"This test failed under the schedule {seed}"]
        if run.of > 1:
            lines[0] += f", in its {_ordinal(run.number)} run"
        if self._unfair:
            options = " --triows-unfair"
        if run.schedule.held:
            lines.append(
                "It relies on Trio's fairness: ready tasks were held back over several rounds, "
                "which Trio never does."
            )
        if run.schedule.outside:
            what = " and ".join(sorted(run.schedule.outside))
            lines.append(
                f"Not everything was decided by the schedule: the test used {what}. It may come "
                "out differently when you run it again."
            )
        lines.append(f"Run it again: pytest '{item.nodeid}' --triows-schedule {seed}{options}")
        return "\n".join(lines)

    # Many runs.

    def _count_of(self, item: pytest.Item) -> int:
        marker = item.get_closest_marker("schedules")
        if self._config.getoption("triows_schedules") is not None or marker is None:
            return self._count
        return _count_in(marker)

    # pytest looks for hooks in names that begin so only.
    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_protocol")
    def pytest_run_often(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a test under many schedules."""
        if self._run is not None:
            if self._run.of == 1:
                return None
            self._run_once(item, nextitem, self._run)
            return True
        count = self._count_of(item)
        if count == 1:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = self._run_many(item, nextitem, count)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run_many(
        self, item: pytest.Item, nextitem: pytest.Item | None, count: int
    ) -> list[pytest.TestReport]:
        if item.config.pluginmanager.hasplugin("timeout"):
            # A limit is that of one run, and each run sets its own.
            item.ihook.pytest_timeout_cancel_timer(item=item)
        exploration = Exploration(self._seed_of(item))
        duration, number = 0.0, 0
        try:
            while True:
                number += 1
                run = self._new_run(exploration.next_seed(), number, count)
                duration += self._run_through(item, nextitem, run)
                if run.has_failed:
                    again = self._new_run(run.schedule.number, number, count, traces=True)
                    duration += self._run_through(item, nextitem, again)
                    run = _that_tells_more(run, again)
                    break
                if run.is_last:
                    break
                exploration.note(run.schedule.decisions)
        except KeyboardInterrupt:
            self._interrupted = f"{item.nodeid} was interrupted in its {_ordinal(number)} run"
            raise
        if run.schedule.loops:
            self._explored[item.nodeid] = number
        for report in run.reports:
            if report.when == "call":
                report.duration = duration
        return run.reports

    def _run_through(self, item: pytest.Item, nextitem: pytest.Item | None, run: _Run) -> float:
        """Run a test once, with all hooks; return how long it took."""
        if item.session.shouldfail or item.session.shouldstop:
            return 0.0
        self._run = run
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        finally:
            self._run = None
        return sum(report.duration for report in run.reports)

    def _run_once(self, item: Any, nextitem: pytest.Item | None, run: _Run) -> None:
        """Run a test once, as pytest does."""
        _renew(item)
        run.reports.append(call_and_report(item, "setup", log=False))
        if run.has_passed and not item.config.getoption("setuponly", False):
            run.reports.append(call_and_report(item, "call", log=False))
        if item.session.shouldfail or item.session.shouldstop:
            following = None
        elif run.is_last:
            following = nextitem
        else:
            following = item.parent  # what others of its module use is left for the next run
        run.reports.append(call_and_report(item, "teardown", log=False, nextitem=following))
        if hasattr(item, "_request"):
            item._request = False
            item.funcargs = None

    # The end.

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell how many schedules there were."""
        if self._explored:
            runs, tests = sum(self._explored.values()), len(self._explored)
            terminalreporter.write_line(
                f"triows: {_plural(tests, 'test')} ran under {_plural(runs, 'schedule')}"
            )
        if self._interrupted:
            terminalreporter.write_line(f"triows: {self._interrupted}")


def _that_tells_more(run: _Run, again: _Run) -> _Run:
    """Choose between a run that has failed and another under the same schedule."""
    if again.has_failed or not run.schedule.loops:
        return again
    told = "It did not fail when it was run again under the same schedule."
    if not run.schedule.outside:
        told += " Something besides the schedule decides, which triows has not noticed."
    for report in run.reports:
        if report.failed:
            report.sections.append(("triows: not deterministic", told))
    return run


def _shown(switches: Sequence[Switch]) -> tuple[str, str]:
    """Make the section of a report with the last switches."""
    shown = switches[-_SHOWN:]
    return (
        f"the last {len(shown)} of {_plural(len(switches), 'task switch', 'task switches')} "
        "before the failure",
        "\n".join(map(str, shown)),
    )


def _renew(item: Any) -> None:
    """Let a test that has run be run again, with fixtures and captured output of its own."""
    if getattr(item, "_request", None) is False:
        item._initrequest()
        item._report_sections.clear()
        if isinstance(item.parent, pytest.Class):
            # Each run has an instance of its own, and the test is its method.
            for name in ("_instance", "_obj"):
                vars(item).pop(name, None)


def _is_on_trio(item: pytest.Function, test: Any) -> bool:
    """Whether a test of Hypothesis is async, and runs on Trio."""
    if not inspect.iscoroutinefunction(inspect.unwrap(test, stop=_is_async)) and not hasattr(
        test, "_anyio_original_func"
    ):
        return False
    backend = item.funcargs.get("anyio_backend", "trio")
    return backend == "trio" or (isinstance(backend, tuple) and backend[0] == "trio")


def _is_async(test: Any) -> bool:
    return inspect.iscoroutinefunction(test)


def _count_in(marker: pytest.Mark) -> int:
    count = marker.args[0] if len(marker.args) == 1 and not marker.kwargs else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise pytest.UsageError(
            "write @pytest.mark.schedules(200), with the number of schedules that the test runs "
            f"under, from 1 on; not {marker.args} {marker.kwargs}"
        )
    return count


def _plural(n: int, one: str, more: str = "") -> str:
    return f"{n} {one}" if n == 1 else f"{n} {more or one + 's'}"


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def problems() -> list[str]:
    """List what is missing in this release of Trio."""
    return internals.missing()
