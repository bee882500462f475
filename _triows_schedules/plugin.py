"""
Runs the tests of pytest under schedules.

Each test runs under a schedule. Its seed is derived from the seed of the whole run and the name of
the test. The report of a failed test shows the seed. With ``--triows-schedules``, or the marker
``schedules``, a test runs under many schedules, or until it fails. It gets new fixtures each time,
except those of a class, a module or the session. But it has only one report.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from . import hypotheses, internals, seeds, telling
from .failures import Failure, ungrouped
from .repeating import Repetition
from .running import Run, stops_tests
from .seeds import Seed
from .summary import AGAIN, SEED
from .timeouts import NamedThread
from .trace import before_failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .summary import Summary

__all__ = ["Options", "Schedules", "problems"]


class Options(NamedTuple):
    """What was asked for."""

    #: The seed of each test, if it was given.
    seed: Seed | None
    #: What seeds are derived from if not.
    base: int
    #: How many schedules each test runs under; ``None`` if its marker may say it.
    schedules: int | None
    #: Whether ready tasks are held back.
    unfair: bool
    #: How many task switches the report of a failure shows at least.
    switches: int


class Schedules:
    """
    The part of the plugin that is there when a suite uses Trio.

    Args:
        config: pytest's configuration.
        options: What was asked for.
        summary: What is told at the end.
    """

    def __init__(self, config: pytest.Config, options: Options, summary: Summary) -> None:
        self._config = config
        self._options = options
        self._summary = summary
        self._is_debugging = config.getoption("usepdb", False)
        # The run of the test that runs. Several if pytest runs pytest in this process.
        self._run: Run | None = None
        self._thread = NamedThread()

    def pytest_report_collectionfinish(self) -> str | list[str]:
        """Say how to repeat the whole run."""
        return [] if self._config.option.verbose < 0 else self._summary.schedules

    # One run.

    def _new_run(self, seed: Seed, number: int = 1, of: int = 1, **options: Any) -> Run:
        options.setdefault("unfair", self._options.unfair)
        return Run(
            seed,
            number,
            of,
            examples="own" if self._options.seed is None else "same",
            # pytest-randomly seeds the module itself, for each test.
            seeds_random=not self._config.pluginmanager.hasplugin("randomly"),
            **options,
        )

    def _seed_of(self, item: pytest.Item) -> Seed:
        return self._options.seed or Seed(seeds.derived(self._options.base, item.nodeid))

    def _runs_once(self, item: pytest.Item) -> bool:
        """Whether a test runs once, even if it fails."""
        # In a debugger, each failure should come up once.
        is_again = self._options.seed is not None or self._options.unfair
        return self._count_of(item) == 1 and (self._is_debugging or not is_again)

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
        # Somebody who asks for a schedule wants to see what happens in it.
        run = self._new_run(self._seed_of(item), traces=self._options.seed is not None)
        with self._current(item, run), run.installed():
            return (yield)

    @contextmanager
    def _current(self, item: pytest.Item, run: Run) -> Iterator[None]:
        """Let a run be the one that runs, and note if somebody stops it."""
        self._run = run
        try:
            yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            if run.schedule.loops:
                self._summary.interrupted = telling.interrupted(item, run)
            raise
        finally:
            self._run = None

    # Somebody stops the tests.

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_setup")
    def pytest_runtest_setup_ungrouped(self) -> Generator[None, object, object]:
        """Let pytest notice that it is stopped, for example by Ctrl-C."""
        with ungrouped(stops_tests(self._config)):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_call")
    def pytest_runtest_call_ungrouped(self) -> Generator[None, object, object]:
        """Do it here, too: most of what Trio raises comes from the test itself."""
        with ungrouped(stops_tests(self._config)):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_teardown")
    def pytest_runtest_teardown_ungrouped(self) -> Generator[None, object, object]:
        """And here."""
        with ungrouped(stops_tests(self._config)):
            return (yield)

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
        """Let each example of an async test draw its seed, or have the one that was given."""
        # This runs when the plugins that run async tests have put what runs them in its place, and
        # before pytest calls the test.
        test = getattr(pyfuncitem.obj, "hypothesis", None)
        inner = getattr(test, "inner_test", None)
        if inner is not None and _is_on_trio(pyfuncitem, inner):
            given = None if self._options.seed is None else self._options.seed.number
            pyfuncitem.obj.hypothesis.inner_test = hypotheses.drawing(inner, given)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Begin with no example, and leave Hypothesis' test as it was."""
        hypotheses.forget()
        test = getattr(getattr(item, "obj", None), "hypothesis", None)
        inner = getattr(test, "inner_test", None)
        try:
            return (yield)
        finally:
            if test is not None:
                test.inner_test = inner

    # Reports.

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the schedule of a failed test, and its task switches, to the report."""
        report = yield
        run = self._run
        if run is not None and report.failed:
            error = None if call.excinfo is None else call.excinfo.value
            if run.failure is None:
                run.failure = Failure.of(call.when, error)
            if run.schedule.loops:
                self._tell(item, run, report)
            if error is not None and run.traces:
                run.story = before_failure(run.traces, error)
                report.sections.append(
                    telling.switches(
                        run.story, run.schedule.source_seed.choices, self._options.switches
                    )
                )
        return report

    def _tell(self, item: pytest.Item, run: Run, report: pytest.TestReport) -> None:
        seed = run.schedule.source_seed
        example = hypotheses.last_seed(item)
        if example is not None and self._options.seed is None:
            seed = Seed(example)
        # In plain order, nothing is held back.
        unfair = run.unfair and seed.choices != range(0)
        again = telling.command(item, seed, unfair=unfair)
        report.sections.append(("triows schedule", "\n".join(telling.told(run, seed, again))))
        # JUnit's XML takes them from the report of the last phase.
        for told in (item.user_properties, report.user_properties):
            told += [one for one in ((SEED, str(seed)), (AGAIN, again)) if one not in told]

    # Many runs.

    def _count_of(self, item: pytest.Item) -> int:
        marker = item.get_closest_marker("schedules")
        if self._options.schedules is not None or marker is None:
            return self._options.schedules or 1
        return seeds.count_in(marker)

    # pytest looks for hooks in names that begin so only.
    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_protocol")
    def pytest_run_often(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a test under many schedules."""
        if self._runs_once(item):
            return None
        if self._run is not None:
            self._run.go_through(item, nextitem)
            return True
        if item.config.pluginmanager.hasplugin("timeout"):
            # A limit is that of one run, and each run sets its own.
            item.ihook.pytest_timeout_cancel_timer(item=item)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        repetition = Repetition(self._new_run, self._run_through, item, nextitem)
        try:
            repetition.run(
                self._seed_of(item), self._count_of(item), explains=not self._is_debugging
            )
        finally:
            # A failure is reported even if somebody stops what would explain it.
            for report in repetition.reports:
                item.ihook.pytest_runtest_logreport(report=report)
        if repetition.number:
            self._summary.note(repetition.number, repetition.outside)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run_through(self, item: pytest.Item, nextitem: pytest.Item | None, run: Run) -> None:
        """Run a test once, with all hooks."""
        with self._current(item, run):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)


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


def problems() -> list[str]:
    """List what is missing in this release of Trio."""
    return internals.missing()
