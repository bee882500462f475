"""
The pytest plugin in the test suites of users: with pytest-trio, anyio, both, or none.

Each run of pytest has a process of its own, so each test here checks several of the user's tests.
"""

import os
import tomllib
from pathlib import Path

import pytest

import triows
from tests.nested import LIMIT

pytest_plugins = ["pytester"]

ROOT = Path(triows.__file__).parent.parent

#: Every suite here has this application as its fixture `app`.
CONFTEST = """
import pytest
import trio
from typing import Annotated
from triows import Triows, WebSocket, WebSocketRoute, use

def made(word="echo"):
    echo, failing, leaking = (WebSocketRoute(path) for path in ("echo", "failing", "leaking"))

    @echo.endpoint
    async def repeat(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(f"{word} {message}")

    crash = trio.Event()

    async def resource():
        async def fail():
            await crash.wait()
            raise ZeroDivisionError("the resource gave way")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            yield
            nursery.cancel_scope.cancel()

    @failing.endpoint
    async def fail(ws: WebSocket, value: Annotated[None, use(resource, scope="app")]) -> None:
        await ws.accept()
        crash.set()
        await ws.receive()

    @leaking.endpoint
    async def leak(ws: WebSocket) -> None:
        await ws.accept()
        trio.lowlevel.spawn_system_task(wait_for_ever)

    return Triows(echo, failing, leaking)

async def wait_for_ever():
    await trio.sleep_forever()  # the culprit

async def echoes(client, word="echo"):
    async with client.websocket_connect("/echo") as ws:
        await ws.send("hello")
        assert await ws.receive() == f"{word} hello"

@pytest.fixture
def app():
    return made()

@pytest.fixture
def another_app():
    return made("another")
"""

#: Tests that pass. They don't say which plugin runs them.
PASSING = """
import trio
from conftest import echoes

async def test_the_application_is_open(app_client, app):
    assert app_client.app is app
    assert app.is_running
    await echoes(app_client)

async def test_it_is_one_for_each_test(app_client):
    assert not app_client.tree().connections
    await echoes(app_client)

async def test_several_tasks_use_it(app_client):
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(echoes, app_client)
"""

SERVING = """
import pytest
from hypercorn.config import Config
from triows.testing import ReceiveTimeout
from conftest import echoes

async def test_two_applications_are_served_at_a_time(serve, app, another_app):
    one, other = await serve(app), await serve(another_app)
    assert one.base_url != other.base_url
    await echoes(one)
    await echoes(other, "another")

async def test_hypercorns_configuration_is_used(serve, app):
    config = Config()
    config.bind = ["[::1]:0"]
    client = await serve(app, config)
    assert client.base_url.startswith("http://[::1]:")
    await echoes(client)

async def test_options_of_open_server_are_used(serve, app):
    client = await serve(app, timeout=0.3, raise_app_exceptions=False)
    with pytest.raises(ReceiveTimeout, match="for 0.3 s"):
        async with client.websocket_connect("/echo") as ws:
            await ws.receive()

async def test_one_is_served_and_another_in_memory(app_client, serve, another_app):
    await echoes(await serve(another_app), "another")
    await echoes(app_client)
"""

FAILING = """
import pytest
import trio

async def test_that_leaks(app_client):
    async with app_client.websocket_connect("/leaking"):
        pass

async def test_whose_application_dies(app_client):
    async with app_client.websocket_connect("/failing") as ws:
        await ws.receive()

async def test_that_misses_a_message(app_client):
    async with app_client.websocket_connect("/echo", timeout=0.01) as ws:
        await ws.receive()
"""

#: A test that ends only if its application ends.
WAITING = """
import trio

async def test_that_would_wait_for_ever(app_client):
    async with app_client.websocket_connect("/failing"):
        await trio.sleep_forever()
"""

NOT_STARTING = """
import pytest
from contextlib import asynccontextmanager
from triows import Triows

@pytest.fixture
def app():
    @asynccontextmanager
    async def lifespan(app):
        raise ArithmeticError("no start")
        yield
    return Triows(lifespan=lifespan)

async def test_whose_application_does_not_start(app_client):
    print("not reached")
"""

WITH_ANYIO = """
import pytest

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "trio"
"""

WITH_THE_MARKER = """
import pytest

pytestmark = pytest.mark.trio
"""


@pytest.fixture
def installed(tmp_path):
    """Make metadata as in an environment in which this checkout is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = tmp_path / "triows-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: triows\nVersion: 0\n")
    plugins = project["entry-points"]["pytest11"]
    lines = [f"{name} = {module}" for name, module in plugins.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    return tmp_path


@pytest.fixture
def suite(pytester, monkeypatch, installed, nested):
    """
    Run a suite in an environment with triows.

    It runs in a fork, or in a process that is started for it.
    """
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), str(ROOT)]))
    pytester.makeconftest(CONFTEST)

    def run(*args, ini="", real_process=False, **files):
        pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}")
        pytester.makepyfile(**files)
        args = ("-p", "no:cacheprovider", *args)
        if real_process:
            return pytester.runpytest_subprocess(*args, timeout=LIMIT)
        return nested.run(*args)

    return run


TRIO_MODE = "trio_mode = true"


def test_pytest_trio_runs_it_with_its_mode(suite):
    clock = """
    import trio

    async def test_an_hour_passes_at_once(app_client, autojump_clock):
        async with app_client.websocket_connect("/echo") as ws:
            await ws.expect_nothing(3600)
            await ws.send("hello")
            assert await ws.receive() == "echo hello"
        assert trio.current_time() == 3600

    async def test_tasks_of_the_tests_nursery_use_it(app_client, nursery):
        from conftest import echoes
        nursery.start_soon(echoes, app_client)
        await trio.testing.wait_all_tasks_blocked()
    """
    result = suite(ini=TRIO_MODE, test_passing=PASSING, test_clock=clock)
    result.assert_outcomes(passed=5)


@pytest.mark.real_socket
def test_pytest_trio_serves(suite):
    result = suite(ini=TRIO_MODE, test_serving=SERVING)
    result.assert_outcomes(passed=4)


def test_pytest_trio_and_anyio_run_it_side_by_side_by_their_markers(suite):
    result = suite(
        test_trio=WITH_THE_MARKER + PASSING,
        test_anyio=WITH_ANYIO + PASSING,
    )
    result.assert_outcomes(passed=6)


@pytest.mark.real_socket
def test_anyio_runs_it_and_serves_alone(suite):
    result = suite(
        "-p", "no:trio", test_passing=WITH_ANYIO + PASSING, test_serving=WITH_ANYIO + SERVING
    )
    result.assert_outcomes(passed=7)


#: What the reports of failed tests have to say.
TOLD = [
    "*LeakError: 1 task of the application outlived it*",
    "*wait_for_ever*conftest.py:*",
    "*ZeroDivisionError: the resource gave way",
    "*ReceiveTimeout: the application sent nothing for 0.01 s; the connection's last events:",
    "*ArithmeticError: no start",
]


def test_pytest_trio_fails_tests_with_what_went_wrong(suite):
    result = suite(
        ini=TRIO_MODE,
        test_failing=FAILING,
        test_waiting=WAITING,
        test_not_starting=NOT_STARTING,
        test_passing=PASSING,
    )
    result.assert_outcomes(passed=3, failed=5)
    result.stdout.fnmatch_lines_random(TOLD)
    result.stdout.no_fnmatch_line("*not reached*")


def test_anyio_fails_tests_with_what_went_wrong(suite):
    modules = {
        "test_failing": FAILING,
        "test_not_starting": NOT_STARTING,
        "test_passing": PASSING,
    }
    result = suite(
        "-p",
        "no:trio",
        test_asyncio=WITH_ANYIO.replace('"trio"', '"asyncio"') + PASSING,
        **{name: WITH_ANYIO + text for name, text in modules.items()},
    )
    # If a fixture raises at its end, pytest counts an error in addition to the test.
    result.assert_outcomes(passed=3 + 1, failed=2, errors=2 + 1 + 3)
    asyncio = "*RuntimeError: app_client needs Trio, *anyio_backend return 'trio'*"
    result.stdout.fnmatch_lines_random([*TOLD, asyncio])
    result.stdout.no_fnmatch_line("*not reached*")


#: Every second test here isn't async.
FORGETFUL = """
import pytest
from hypothesis import HealthCheck, given, settings, strategies

@pytest.fixture
def opened(app_client):
    return app_client

def test_forgets_it(app_client): ...
async def test_with_app_client(app_client): ...
def test_forgets_it_too(serve): ...
async def test_with_serve(serve): ...
@pytest.mark.parametrize("number", [1])
def test_forgets_it_for_a_fixture_of_its_own(number, opened): ...
async def test_with_opened(opened): ...
@pytest.mark.skip
def test_that_is_skipped(app_client): ...
@settings(max_examples=1, suppress_health_check=list(HealthCheck))
@given(number=strategies.integers())
async def test_with_hypothesis(app_client, number): ...
"""


@pytest.mark.parametrize(
    ("mode", "tests"),
    [
        (TRIO_MODE, FORGETFUL),
        ("", FORGETFUL.replace("async def", "@pytest.mark.trio\nasync def")),
    ],
)
def test_a_test_that_is_not_async_says_so_and_hurts_no_other(suite, mode, tests):
    result = suite(ini=mode, test_forgetful=tests)
    result.assert_outcomes(errors=3, passed=4, skipped=1)
    result.stdout.fnmatch_lines_random(
        [
            "test_forgets_it uses the fixture app_client, * write `async def test_forgets_it`, *",
            "test_forgets_it_too uses the fixture serve, *`async def test_forgets_it_too`, *",
            "test_forgets_it_for_a_fixture_of_its_own uses the fixture app_client, *",
        ]
    )


def test_a_fixture_of_the_same_name_that_is_not_async_serves_any_test(suite):
    own = """
    import pytest

    @pytest.fixture
    def serve():
        return 1

    def test_own(serve):
        assert serve == 1
    """
    suite(ini=TRIO_MODE, test_own=own).assert_outcomes(passed=1)


def test_without_a_fixture_app_pytest_says_so(suite, pytester):
    pytester.makeconftest("")
    result = suite(ini=TRIO_MODE, test_missing="async def test_a(app_client): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*fixture 'app' not found")


def test_the_fixtures_are_listed_with_what_they_do(suite, pytester):
    pytester.makeconftest("")
    result = suite("--fixtures", test_none="")
    result.stdout.fnmatch_lines_random(
        [
            "app_client -- *pytest_triows.py:*",
            "*Open the application that your fixture ``app`` returns*",
            "serve -- *pytest_triows.py:*",
            "*Serve applications on free ports of your machine*",
        ]
    )


def test_a_suite_that_does_not_use_it_pays_nothing(suite, pytester):
    pytester.makeconftest("")
    unused = """
    import sys

    def test_nothing_is_imported(pytestconfig):
        assert pytestconfig.pluginmanager.has_plugin("triows")
        for name in ("triows", "trio", "hypercorn", "starlette", "httpx2", "httpx", "msgspec"):
            assert name not in sys.modules, name
    """
    # These two plugins import Trio themselves.
    result = suite("-p", "no:trio", "-p", "no:anyio", real_process=True, test_unused=unused)
    result.assert_outcomes(passed=1)


ASYNC_TEST = """
    from triows.testing import open_app

    async def test_it(app):
        async with open_app(app) as client:
            ...
    """


@pytest.mark.parametrize(
    ("test", "outcome"),
    [(ASYNC_TEST, "failed"), ("async def test_it(app_client): ...", "errors")],
)
def test_a_suite_whose_async_tests_nothing_runs_is_told_what_to_write(suite, test, outcome):
    result = suite(test_it=test)
    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines(["triows: nothing runs the async tests.*`trio_mode = true`*"])


def test_a_suite_whose_async_tests_run_is_told_nothing(suite):
    result = suite(ini=TRIO_MODE, test_it=ASYNC_TEST)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("triows: nothing runs*")


def test_a_suite_without_triows_is_told_nothing(suite, pytester):
    pytester.makeconftest("")
    result = suite(test_it="async def test_it(): ...")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("triows: nothing runs*")
