"""Checks the tests themselves: none sleeps, few use sockets, and each module has its tests."""

from __future__ import annotations

import ast
import sys
import time
from pathlib import Path

import pytest
import trio

from tests.measuring import sampled, spread, unmeasured
from tests.real_clock import watched_sleeps, watched_sockets
from tests.server.harness.choice import IS_CHOSEN

ROOT = Path(__file__).parent.parent
MODULES = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("*.py")]


def sleeps_by_name(module: ast.Module) -> list[int]:
    """The lines that would sleep in a thread, or under a name that isn't watched."""
    return [
        node.lineno
        for node in ast.walk(module)
        if (isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module in {"time", "trio"}
            and any(alias.name == "sleep" for alias in node.names)
        )
    ]


@pytest.mark.parametrize("source", ["time.sleep(1)", "from time import sleep", "x = time.sleep"])
def test_a_sleep_by_name_is_found(source):
    assert sleeps_by_name(ast.parse(f"import time\n{source}\n")) == [2]


@pytest.mark.unmeasured
def test_no_module_of_the_tests_sleeps_in_a_thread():
    found = {
        path.relative_to(ROOT).as_posix(): lines
        for path in MODULES
        # Parsing all the others would take seconds.
        if "sleep" in (text := path.read_text("utf-8"))
        if (lines := sleeps_by_name(ast.parse(text)))
    }
    # One watches the others. The functions of the other one block processes on purpose.
    assert sorted(found) == ["tests/real_clock.py", "tests/server/applications/blocking.py"]


async def test_a_sleep_on_the_real_clock_is_noticed():
    await trio.sleep(0.001)
    vars(time)["sleep"](0.001)
    slept = watched_sleeps()
    assert [one.partition(", ")[2] for one in slept] == ["for 0.001 s"] * 2
    assert slept[0].startswith("test_suite.py:")


async def test_a_task_that_only_sleeps_is_noticed():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0.001)
    assert len(watched_sleeps()) == 1


async def test_a_sleep_of_no_seconds_is_none():
    await trio.sleep(0)  # noqa: ASYNC115 - this is tested
    assert watched_sleeps() == []


async def test_a_sleep_on_the_virtual_clock_is_none(autojump_clock):
    await trio.sleep(1000)
    assert watched_sleeps() == []


async def test_a_socket_that_is_listened_at_is_noticed():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        address = listener.socket.getsockname()
    assert watched_sockets() == [str(address)]


def test_examples_that_listen_at_sockets_are_marked(request):
    examples = [item for item in request.session.items if item.path.suffix == ".md"]
    pages = {item.path.relative_to(ROOT).as_posix() for item in examples}
    if not pages >= {"README.md", "docs/how-to/serve.md", "docs/how-to/test-sockets.md"}:
        pytest.skip("these are not all examples")
    marked = [item for item in examples if item.get_closest_marker("real_socket")]
    assert {item.path.name for item in marked} == {"serve.md", "shut-down.md", "test-sockets.md"}
    assert len(marked) == 8


def test_a_tenth_of_the_tests_at_most_use_sockets(request):
    items = request.session.items
    collected = {item.path for item in items}
    if IS_CHOSEN or not collected.issuperset(ROOT.glob("tests/**/test_*.py")):
        pytest.skip("these are not all tests, where they run by default")
    marked = [item for item in items if item.get_closest_marker("real_socket")]
    assert len(marked) <= len(items) / 10


def mirrored(module: Path) -> Path:
    """Say where the tests of a module are: in the same folders, without the underscores."""
    *folders, name = (part.removeprefix("_") for part in module.with_suffix("").parts[1:])
    return Path("tests", *folders, f"test_{name}.py")


def test_each_module_has_its_test_file():
    modules = [
        path.relative_to(ROOT)
        for path in ROOT.glob("triows/**/*.py")
        if not path.name.startswith("__")
    ]
    assert mirrored(Path("triows/_protocol/codec.py")) == Path("tests/protocol/test_codec.py")
    missing = {module.as_posix() for module in modules if not (ROOT / mirrored(module)).exists()}
    assert missing == set(), "write tests for these modules"


class Tracer:
    """Traces nothing."""

    def __call__(self, *_: object) -> None: ...


class CoveragesTracer(Tracer):
    """Looks like coverage's."""

    __module__ = "coverage"


@pytest.mark.parametrize(("tracer", "is_paused"), [(CoveragesTracer(), True), (Tracer(), False)])
def test_measuring_is_paused_and_goes_on_but_a_debugger_is_left_alone(tracer, is_paused):
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with unmeasured():
            paused = sys.gettrace() is None
        assert (paused, sys.gettrace()) == (is_paused, tracer)
    finally:
        sys.settrace(before)


def test_of_five_examples_of_hypothesis_the_first_is_measured():
    tracer, measured = CoveragesTracer(), []
    test = sampled(lambda: measured.append(sys.gettrace() is tracer), tracer)
    with unmeasured():
        for _ in range(7):
            test()
    assert measured == [True, False, False, False, False, True, False]


def test_what_is_measured_of_many_sets_is_spread_over_them():
    assert list(spread([*range(20)], 4)) == [0, 5, 10, 15]
