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
from .seeds import Seed
from .shrinking import shrunk
from .timeouts import NamedThread
from .trace import Trace, before_failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from .trace import Story, Switch

__all__ = ["Schedules"]

_ALIVE = "what was alive before the failure"

#: How many task switches the report of a failure shows.
_SHOWN = 30

#: Of how many loops the switches are kept, the last ones. ``explore_cancellation`` runs hundreds.
_LOOPS = 20


class _Run:
    """
    One run of a test.

    Args:
        seed: Decides in it.
        number: Which run it is.
        of: How many there may be.
        traces: Whether its task switches are recorded.
        stays: Whether another run follows, whatever comes of this one.
        look_at: At which loop and switch to take a picture of what the test serves.
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
        **options: Any,
    ) -> None:
        self.schedule = Schedule(
            seed.number, choices=seed.choices, on_loop=self._trace if traces else None, **options
        )
        self.number = number
        self.of = of
        self.reports: list[pytest.TestReport] = []
        self.traces: list[Trace] = []
        #: What happened before the failure, if that was recorded.
        self.story: Story | None = None
        self._is_traced = traces
        self._stays = stays
        self._look_at = look_at

    def _trace(self) -> None:
        loop, switch = self._look_at or (-1, 0)
        self.traces.append(Trace(look_at=switch if loop == len(self.traces) else None))
        for trace in self.traces[-_LOOPS - 1 : -_LOOPS]:
            trace.switches.clear()
        trio.lowlevel.add_instrument(self.traces[-1])

    @property
    def failure(self) -> tuple[str, str] | None:
        """In which phase it failed, and with what type of error."""
        for report in self.reports:
            if report.failed:
                crash = getattr(report.longrepr, "reprcrash", None)
                return str(report.when), "" if crash is None else crash.message.partition(":")[0]
        return None

    @property
    def has_failed(self) -> bool:
        return any(report.failed for report in self.reports)

    @property
    def has_passed(self) -> bool:
        return all(report.passed for report in self.reports)

    @property
    def is_last(self) -> bool:
        """Whether no other run follows; asked when its teardown begins."""
        if self._stays:
            return False
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
        self, config: pytest.Config, seed: Seed | None, base: int, count: int, *, unfair: bool
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
        self._thread = NamedThread()

    def pytest_report_collectionfinish(self) -> str | list[str]:
        """Tell what repeats the whole run."""
        if self._config.option.verbose < 0:
            return []
        if self._seed is not None:
            return f"triows: each test runs under the schedule {self._seed}"
        return f"triows: schedules from seed {self._base}, again with -o triows_seed={self._base}"

    # One run.

    def _new_run(self, seed: Seed, number: int = 1, of: int = 1, **options: Any) -> _Run:
        examples = self._seed is None
        return _Run(seed, number, of, examples=examples, unfair=self._unfair, **options)

    def _seed_of(self, item: pytest.Item) -> Seed:
        return self._seed or Seed(seeds.derived(self._base, item.nodeid))

    def _runs_once(self, item: pytest.Item) -> bool:
        """Whether a test runs once, even if it fails."""
        # Who debugs a test wants to be asked about each failure once.
        asked = self._seed is not None and not self._config.getoption("usepdb", False)
        return self._count_of(item) == 1 and not asked

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Run a test, or one of its runs, under a schedule."""
        if self._run is not None:  # one of many
            with self._run.installed():
                return (yield)
        if not self._runs_once(item):
            return (yield)
        # Who asks for a schedule wants to know what happens in it.
        self._run = self._new_run(self._seed_of(item), traces=self._seed is not None)
        try:
            with self._run.installed():
                return (yield)
        finally:
            self._run = None

    # Timeouts.

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self, settings: Any) -> None:
        """Let pytest-timeout print the schedule if it ends the process."""
        if self._run is not None and settings.method == "thread":
            seed = self._run.schedule.source_seed
            self._thread.tell(f"triows: the test runs under --triows-schedule {seed}")

    def pytest_sessionfinish(self) -> None:
        """End the thread that has the schedule in its name."""
        self._thread.end()

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
                run.story = before_failure(run.traces, call.excinfo.value)
                report.sections.append(_shown(run.story.switches))
        return report

    def _told(self, item: pytest.Item, run: _Run) -> str:
        seed, options = run.schedule.source_seed, ""
        if run.schedule.loops and (example := hypotheses.last_seed(item)) is not None:
            seed = Seed(example)
        lines = [f"This test failed under the schedule {seed}"]
        if run.of > 1:
            lines[0] += f", in its {_ordinal(run.number)} run"
        if seed.choices is not None:
            lines.append(_chosen(seed.choices))
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
        if self._runs_once(item):
            return None
        if self._run is not None:
            self._run_once(item, nextitem, self._run)
            return True
        count = self._count_of(item)
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
        seed = self._seed_of(item)
        exploration = Exploration(seed.number)
        duration, number = 0.0, 0
        try:
            while True:
                number += 1
                choices = seed.choices if number == 1 else None
                run = self._new_run(Seed(exploration.next_seed(), choices), number, count)
                duration += self._run_through(item, nextitem, run)
                if run.has_failed:
                    run = self._explained(item, nextitem, run)
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

    def _explained(self, item: pytest.Item, nextitem: pytest.Item | None, run: _Run) -> _Run:
        """Run a test that has failed again, until its report can tell how that came."""
        seed = run.schedule.source_seed
        is_repeatable = run.schedule.loops and not run.schedule.outside
        if is_repeatable and seed.choices is None and hypotheses.last_seed(item) is None:

            def fails(choices: range) -> bool:
                trial = self._new_run(seed._replace(choices=choices), stays=True)
                self._run_through(item, nextitem, trial)
                return trial.failure == run.failure

            if run.of > 1:
                seed = seed._replace(choices=shrunk(run.schedule.decisions, fails))
        again = self._new_run(seed, run.number, run.of, traces=True, stays=True)
        self._run_through(item, nextitem, again)
        look_at = None if again.story is None else (again.story.loop, again.story.number)
        last = self._new_run(seed, run.number, run.of, traces=True, look_at=look_at)
        self._run_through(item, nextitem, last)
        for report in again.reports:
            if report.failed:
                report.sections += [(_ALIVE, one.picture) for one in last.traces if one.picture]
        return _that_tells_more(run, again)

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


def _chosen(choices: range) -> str:
    """Tell how little of a schedule matters."""
    if not choices:
        return "It also fails if each round is in the order in which its tasks were started."
    what = f"{_ordinal(choices[0])} choice"
    if len(choices) > 1:
        what += f" and the {len(choices) - 1} after it"
    return (
        f"Only its {what} matter. All other rounds can be in the order in which their tasks were "
        "started."
    )


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
