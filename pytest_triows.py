"""
The pytest plugin of triows: fixtures for testing an application.

The fixtures are async. They work with pytest-trio (``trio_mode = true``, or the marker), and
with anyio's plugin on its Trio backend.

The plugin also runs each test that uses Trio under a schedule: a seed decides in which order the
tasks run. It does so in every suite that uses Trio, even if the suite doesn't use triows.
"""

# pytest loads this module in every suite of an environment that has triows, whether the suite uses
# it or not. So it is not inside the package, which would be imported as a whole, and it imports
# only pytest until a fixture is used.
from __future__ import annotations

import inspect
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator
    from contextlib import AbstractAsyncContextManager

    import trio
    from hypercorn.config import Config

    from _triows_schedules.summary import Summary
    from triows import Triows
    from triows.testing import AppClient

__all__ = ["app_client", "serve"]

T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for schedules."""
    group = parser.getgroup("triows", "triows: the order of Trio's tasks")
    group.addoption(
        "--triows-schedule",
        metavar="SEED",
        help="run each test under the schedule of this seed; a test that fails prints its seed",
    )
    group.addoption(
        "--triows-schedules",
        metavar="N",
        help="run each test that uses Trio under N schedules, or until it fails",
    )
    group.addoption(
        "--triows-unfair",
        action="store_true",
        help="also let ready tasks wait for several rounds, which Trio never does",
    )
    group.addoption(
        "--triows-switches",
        metavar="N",
        help="show the last N task switches in your code before a failure (default: 30)",
    )
    parser.addini(
        "triows_seed",
        "the seed of the whole run: with it, each run of pytest uses the same schedules",
        default="",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, and check the options for schedules."""
    config.addinivalue_line(
        "markers", "schedules(n): run the test under n schedules, or until it fails"
    )
    config.pluginmanager.register(_Starter(config), "triows-schedules-starter")


class _Starter:
    """
    Loads the part that runs tests under schedules, if this suite uses Trio.

    At the end, it says which schedules there were.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._made: Summary | None = None
        self._is_loaded = False
        self._is_off = config.pluginmanager.is_blocked("triows-schedules")
        option = config.option
        asked = option.triows_schedule, option.triows_schedules, option.triows_switches
        if config.getini("triows_seed") or option.triows_unfair or any(asked):
            self._load()

    # What is imported here is imported late: see above.

    @property
    def _summary(self) -> Summary:
        from _triows_schedules.starting import summary_of  # noqa: PLC0415

        if self._made is None:
            self._made = summary_of(self._config)
        return self._made

    def _load(self) -> None:
        from _triows_schedules.starting import load  # noqa: PLC0415

        if not (self._is_loaded or self._is_off):
            self._is_loaded = True
            load(self._config, self._summary)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, Any]:
        """Refuse wrong markers, and name the tests that have them."""
        report = yield
        items = [one for one in report.result or () if isinstance(one, pytest.Item)]
        if wrong := self._wrong_markers(items):
            report.outcome, report.result, report.longrepr = "failed", [], "\n".join(wrong)
        return report

    def _wrong_markers(self, items: list[pytest.Item]) -> list[str]:
        marked = [item for item in items if item.get_closest_marker("schedules")]
        if self._is_off or not marked:
            return []
        from _triows_schedules.starting import wrong_markers  # noqa: PLC0415

        return wrong_markers(marked)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Load that part when the modules of the tests have been imported."""
        # A hook may have set markers since.
        if wrong := self._wrong_markers(session.items):
            raise pytest.UsageError(*wrong)
        marked = any(item.get_closest_marker("schedules") for item in session.items)
        if marked or "trio" in sys.modules:
            self._load()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Let all processes of pytest-xdist derive their schedules from one seed."""
        node.workerinput["triows_seed"] = self._summary.base

    def pytest_sessionfinish(self) -> None:
        """In a process of pytest-xdist, send the summary to the process that prints."""
        if self._made is not None and hasattr(self._config, "workeroutput"):
            self._config.workeroutput["triows"] = self._made.send()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Receive the summary of a process of pytest-xdist."""
        if sent := getattr(node, "workeroutput", {}).get("triows"):
            self._summary.add(sent)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which schedules the tests ran under, and how to repeat the failures."""
        if self._made is None:
            return
        from _triows_schedules.summary import again  # noqa: PLC0415

        stats = terminalreporter.stats
        for line in again([*stats.get("failed", ()), *stats.get("error", ())]):
            terminalreporter.write_line(line)
        is_quiet = self._config.option.verbose < 0
        for line in self._made.lines(is_quiet=is_quiet):
            terminalreporter.write_line(line, yellow=bool(self._made.problems))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is missing if pytest didn't run async tests of a suite that uses triows."""
    stats = terminalreporter.stats
    reports = [one for outcome in ("failed", "error", "skipped") for one in stats.get(outcome, ())]
    # pytest says the first of a test, and the second of an async fixture such as `app_client`.
    said = ("async def functions are not natively supported", "pytest does not natively support it")
    texts = [str(one.longrepr) for one in reports] if "triows" in sys.modules else []
    if any(words in text for words in said for text in texts):
        terminalreporter.write_line(
            "triows: nothing runs the async tests. Install pytest-trio, and write "
            "`trio_mode = true` below [tool.pytest.ini_options] in pyproject.toml, or below "
            "[pytest] in pytest.ini"
        )


# Without `tryfirst`, pytest's own function for `skip` and `skipif` comes before this one.
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that uses one of our fixtures and isn't async, before its fixtures are set up."""
    # Otherwise the fixture is refused while it is set up. pytest does not clean up after that, so
    # all later tests with that fixture would fail, too. anyio also runs async fixtures for tests
    # that aren't async.
    if not isinstance(item, pytest.Function) or "anyio_backend" in item.fixturenames:
        return
    used = next((name for name in __all__ if _is_async_fixture(item, name)), None)
    if used is not None and not _is_async_test(item.obj):
        name = item.originalname
        pytest.fail(
            f"{name} uses the fixture {used}, which only async tests can use: write "
            f"`async def {name}`, or use triows.testing.TestClient instead of the fixture",
            pytrace=False,
        )


def _is_async_fixture(item: pytest.Function, name: str) -> bool:
    """Say whether a test uses a fixture of this name, and nobody has replaced it by a sync one."""
    given = item._fixtureinfo.name2fixturedefs.get(name)
    return given is not None and _is_async(given[-1].func)


def _is_async_test(function: Any) -> bool:
    # Hypothesis stores the test in its own function, which isn't async.
    hypothesis = getattr(function, "hypothesis", None)
    return _is_async(getattr(hypothesis, "inner_test", function))


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


@pytest.fixture
async def app_client(request: pytest.FixtureRequest, app: Triows) -> AsyncIterator[AppClient]:
    """
    Open the application that your fixture ``app`` returns, in the test's own loop.

    It does what ``async with open_app(app) as client`` does. See
    :func:`triows.testing.open_app`.
    """
    from triows._loop import check_trio_in_test  # noqa: PLC0415 - see above
    from triows.testing import open_app  # noqa: PLC0415

    check_trio_in_test("app_client")

    async with _entered(request, open_app(app)) as client:
        yield client


@pytest.fixture
async def serve(
    request: pytest.FixtureRequest,
) -> AsyncIterator[Callable[..., Awaitable[AppClient]]]:
    """
    Serve applications on free ports of your machine, until the test is over.

        client = await serve(app)
        async with client.websocket_connect("/echo") as ws: ...

    It does what ``async with open_server(app) as client`` does. See
    :func:`triows.testing.open_server`. The second argument is Hypercorn's ``Config``. Give
    further arguments by their names in ``open_server``.
    """
    from triows._loop import check_trio_in_test  # noqa: PLC0415 - see above

    check_trio_in_test("serve")
    async with _entered(request, _serving()) as start:
        yield start


@asynccontextmanager
async def _serving() -> AsyncIterator[Callable[..., Awaitable[AppClient]]]:
    """Give a function that starts servers, and end all of them together."""
    import trio  # noqa: PLC0415 - see above

    from triows.testing import open_server  # noqa: PLC0415

    leave = trio.Event()

    async def run(
        app: Triows,
        config: Config | None,
        options: dict[str, Any],
        task_status: trio.TaskStatus[AppClient],
    ) -> None:
        async with open_server(app, config, **options) as client:
            task_status.started(client)
            await leave.wait()

    async with trio.open_nursery() as nursery:

        async def start(app: Triows, config: Config | None = None, **options: Any) -> AppClient:
            # The server runs in a task of the fixture, because the test may run in another task.
            client: AppClient = await nursery.start(run, app, config, options)
            return client

        yield start
        leave.set()


@asynccontextmanager
async def _entered(
    request: pytest.FixtureRequest, manager: AbstractAsyncContextManager[T]
) -> AsyncIterator[T]:
    """Enter a context manager in a way that works with the plugin that runs the test."""
    # pytest-trio runs a fixture in a task of its own, and cancels the test if the fixture fails.
    # anyio runs the test in the same task as the fixture. If a cancel scope were open there, and
    # were cancelled, that would not end the test, but the loop below it.
    enter = _in_own_task if "anyio_backend" in request.fixturenames else _plainly
    async with enter(manager) as value:
        yield value


@asynccontextmanager
async def _plainly(manager: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    async with manager as value:
        yield value


@asynccontextmanager
async def _in_own_task(manager: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    from contextvars import copy_context  # noqa: PLC0415 - see above

    import trio  # noqa: PLC0415

    entered, leave, over = trio.Event(), trio.Event(), trio.Event()
    values: list[T] = []
    errors: list[BaseException] = []

    async def hold() -> None:
        try:
            async with manager as value:
                values.append(value)
                entered.set()
                await leave.wait()
        except BaseException as exc:  # noqa: BLE001 - raised in the fixture
            errors.append(exc)
        finally:
            entered.set()
            over.set()

    # The task outlives this call of the fixture. A task in a nursery could not.
    trio.lowlevel.spawn_system_task(hold, name="<triows fixture>", context=copy_context())
    await entered.wait()
    try:
        if values:
            yield values[0]
    finally:
        leave.set()
        # The task ends in a bounded time, and it has to end before the loop does.
        with trio.CancelScope(shield=True):
            await over.wait()
        if errors:
            raise errors[0]
