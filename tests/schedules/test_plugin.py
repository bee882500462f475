"""
Schedules in suites of other people.

Each run of pytest has a process of its own, so each test here holds several of theirs.
"""

import re
from pathlib import Path
from textwrap import dedent

import pytest

pytest_plugins = ["pytester"]

#: Fails if the second task is first, and tells the order.
RACE = """
import trio

async def test_race():
    order = []

    async def first():
        order.append(1)

    async def second():
        order.append(2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        nursery.start_soon(second)
    print("the order was", order)
    assert order == [1, 2]
"""


def seed_in(result):
    """The seed that a failing test has printed."""
    return re.search(r"--triows-schedule (\d+)", result.stdout.str())[1]


def seed_in_full(result):
    """The same, with the choices that it is to make."""
    return re.search(r"--triows-schedule (\S+)", result.stdout.str())[1]


def test_a_failing_test_prints_a_seed_that_repeats_the_failure(suite):
    result = suite("--triows-schedules=50", test_race=RACE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*triows schedule*", "*failed under the schedule *"])
    seed = seed_in(result)
    # A new process hashes strings in another way.
    for real_process in (False, True):
        again = suite("--triows-schedule", seed, real_process=real_process)
        again.assert_outcomes(failed=1)
        assert seed_in(again) == seed
        again.stdout.fnmatch_lines("the order was [[]2, 1]")


def test_the_run_stops_at_the_first_failure_with_one_report(suite):
    result = suite("--triows-schedules=500", "-rA", test_race=RACE)
    result.assert_outcomes(failed=1)
    assert result.stdout.str().count("the order was") == 1
    runs = int(re.search(r"1 test ran under (\d+) schedule", result.stdout.str())[1])
    assert runs < 50


def test_the_marker_sets_the_number_and_the_option_wins(suite):
    counting = """
    import pytest
    import trio

    runs = []

    @pytest.fixture
    def fresh():
        runs.append("set up")
        yield []
        runs.append("torn down")

    @pytest.mark.schedules(7)
    async def test_a(fresh, nursery):
        assert not fresh
        fresh.append(1)
        nursery.start_soon(trio.lowlevel.checkpoint)
        await trio.lowlevel.checkpoint()

    def test_b(request):
        runs_of_a = request.config.getoption("triows_schedules")
        assert runs == ["set up", "torn down"] * int(runs_of_a or 7)

    def test_c():
        pass
    """
    suite(test_counting=counting).assert_outcomes(passed=3)
    result = suite("--triows-schedules=3")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines("triows: 1 test ran under 3 schedules")


def test_fixtures_of_a_module_stay_and_those_of_a_test_are_made_anew(suite):
    scopes = """
    import pytest
    import trio

    made = []

    @pytest.fixture(scope="module")
    def of_module():
        made.append("module")
        yield
        made.append("end of module")

    @pytest.fixture
    async def of_test(of_module):
        made.append("test")
        yield
        await trio.lowlevel.checkpoint()
        made.append("end of test")

    class TestClass:
        def setup_method(self):
            assert not vars(self)
            self.value = made.append("instance")

        @pytest.mark.schedules(2)
        async def test_a(self, of_test, nursery):
            nursery.start_soon(trio.lowlevel.checkpoint)

    def test_b():
        assert made == ["module", *["instance", "test", "end of test"] * 2]
    """
    other = """
    import sys

    def test_c():
        made = sys.modules["test_1_scopes"].made
        assert made[-1] == "end of module" and made.count("module") == 1
    """
    suite(test_1_scopes=scopes, test_2_other=other).assert_outcomes(passed=3)


def test_without_options_each_run_has_other_seeds_and_says_which(suite):
    noting = """
    import trio

    async def test_a(request):
        order = []
        async def note(n):
            order.append(n)
        async with trio.open_nursery() as nursery:
            for n in range(30):
                nursery.start_soon(note, n)
        with open("noted.txt", "a") as file:
            file.write(f"{order}\\n")
    """

    def seed_of(result) -> str:
        return re.search(r"triows_seed=(\d+)", result.stdout.str())[1]

    base = seed_of(suite(test_noting=noting))
    suite("-o", f"triows_seed={base}")
    # Two seeds may well make the same order, for example the order of the starts.
    assert len({base, *(seed_of(suite()) for _ in range(3))}) == 4
    noted = Path("noted.txt").read_text().splitlines()
    assert noted[0] == noted[1]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--triows-schedule=banana", "*--triows-schedule: a seed is a whole number*'banana'*"),
        ("--triows-schedule=-1", "*--triows-schedule: a seed is a whole number*'-1'*"),
        ("--triows-schedules=0", "*--triows-schedules: *1 or more, not '0'*"),
        ("-otriows_seed=1.5", "*triows_seed: a seed is a whole number*'1.5'*"),
    ],
)
@pytest.mark.usefixtures("measured_processes")
def test_a_seed_or_number_that_is_none_is_a_usage_error(suite, option, told):
    result = suite(option, test_race=RACE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(told)


EXAMPLES = """
import trio
from hypothesis import Phase, example, given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from trio.lowlevel import checkpoint

phases = [Phase.explicit, Phase.reuse, Phase.generate]
found = settings(deadline=None, phases=phases, report_multiple_bugs=False)

async def order(n):
    seen = []
    async def see(i):
        await checkpoint()
        seen.append(i)
    async with trio.open_nursery() as nursery:
        for i in range(n):
            nursery.start_soon(see, i)
    return seen

@given(st.integers(0, 8), st.text())
@found
async def test_async(n, text):
    assert (await order(n))[:1] != [2] or len(text) < 2

@example(5)
@given(st.integers(0, 8))
@found
async def test_example(n):
    assert (await order(n))[:1] != [2]

@given(st.integers(0, 8), st.integers())
@found
def test_plain(n, _):
    assert trio.run(order, n)[:1] != [2]

@given(st.data())
@found
async def test_data(data):
    n = data.draw(st.integers(0, 5))
    assert (await order(n))[:1] != [data.draw(st.integers(2, 3))]

class Machine(RuleBasedStateMachine):
    @rule(n=st.integers(0, 5))
    def order(self, n):
        assert trio.run(order, n)[:1] != [2]

TestMachine = Machine.TestCase
TestMachine.settings = found
"""


@pytest.mark.parametrize(
    "name", ["test_async", "test_example", "test_plain", "test_data", "TestMachine"]
)
def test_a_failing_example_of_hypothesis_fails_again_under_the_schedule_that_is_printed(
    suite, name
):
    path = f"test_examples.py::{name}"
    options = ("--hypothesis-seed=1", "-o", "triows_seed=1")
    result = suite(*options, path, test_examples=EXAMPLES)
    result.assert_outcomes(failed=1)
    again = suite(path, "--triows-schedule", seed_in(result))
    again.assert_outcomes(failed=1)
    again.stdout.no_fnmatch_line("*Flaky*")


@pytest.mark.usefixtures("measured_processes")
def test_hypothesis_draws_a_schedule_for_each_example_and_shrinks_it(suite):
    text = """
    import trio
    from hypothesis import given, settings, strategies as st

    seen = set()

    async def run():
        order = []
        async def note(n):
            order.append(n)
        async with trio.open_nursery() as nursery:
            for n in range(4):
                nursery.start_soon(note, n)
        return tuple(order)

    @settings(max_examples=100, database=None)
    @given(st.just(None))
    async def test_orders(value):
        seen.add(await run())

    def test_many_were_seen():
        assert len(seen) > 10

    @settings(database=None)
    @given(st.integers(0, 100))
    async def test_fails(n):
        assert n < 10 or await run() != (3, 2, 1, 0)
    """
    result = suite("-rA", test_hypothesis=text)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*n=10*", "*triows: this example has the schedule *"])
    result.stdout.no_fnmatch_line("*Flaky*")


@pytest.mark.usefixtures("measured_processes")
def test_without_a_name_of_trios_tests_run_without_schedules_and_it_is_told(suite, pytester):
    pytester.makeconftest("import trio._core._run as run\nrun.Task.__attrs_attrs__ = ()")
    result = suite("-W", "ignore", test_a="async def test_a(): ...")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        "triows: the tests ran without schedules*It does not find: trio._core._run.Task._counter*"
    )


@pytest.mark.usefixtures("measured_processes")
def test_a_failure_among_many_shows_the_switches_before_it_and_none_after_it(suite):
    chat = """
    import trio

    async def test_chat(autojump_clock):
        members = {"ada": []}

        async def say():
            await trio.sleep(3)
            for member in members.values():
                member.append("hello")
                await trio.lowlevel.checkpoint()

        async def join():
            await trio.sleep(3)
            members["ben"] = []

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(say)
                nursery.start_soon(join)
        finally:
            for _ in range(100):
                await trio.sleep(1)
    """
    result = suite("--triows-schedules=300", test_chat=chat)
    result.assert_outcomes(failed=1)
    told = [
        "*the last * task switches before the failure*",
        "?     3.000  test_chat.py:7 say*  say*  a deadline, or I/O",
        "?     3.000  test_chat.py:13 join*  join*  a deadline, or I/O",
        "?     3.000  test_chat.py:10 say*  say",
    ]
    result.stdout.fnmatch_lines(told)
    result.stdout.no_fnmatch_line("* 4.000 *")
    again = suite("--triows-schedule", seed_in(result))
    again.stdout.fnmatch_lines(told)


@pytest.mark.usefixtures("measured_processes")
def test_a_failure_among_many_is_shrunk_to_the_choices_that_matter(suite):
    long = """
    import trio

    async def test_long(autojump_clock):
        async def work():
            for _ in range(200):
                await trio.lowlevel.checkpoint()

        async def note(value):
            order.append(value)

        for n in range(30):
            order = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(note, 1)
                nursery.start_soon(note, 2)
                nursery.start_soon(work)
            assert n != 17 or order == [1, 2]
    """
    result = suite("--triows-schedules=100", test_long=long)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["Only its choice * matters. It fails even if *"])
    again = suite("--triows-schedule", seed := seed_in_full(result))
    assert re.fullmatch(r"\d+@\d+", seed)
    again.assert_outcomes(failed=1)
    assert seed_in_full(again) == seed


@pytest.mark.usefixtures("measured_processes")
def test_a_failure_in_every_order_is_said_to_be_one(suite):
    always = """
    import trio

    async def test_always(autojump_clock, nursery):
        nursery.start_soon(trio.lowlevel.checkpoint)
        await trio.lowlevel.checkpoint()
        assert False
    """
    result = suite("--triows-schedules=10", test_always=always)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["It needs no special order: it also fails in the plain order*"])


@pytest.mark.usefixtures("measured_processes")
def test_a_failure_with_an_application_shows_what_was_alive(suite):
    served = """
    from triows import Triows, WebSocket, WebSocketRoute
    from triows.testing import open_app

    route = WebSocketRoute("wait")

    @route.endpoint
    async def wait(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()

    async def test_served(autojump_clock):
        async with open_app(Triows(route)) as client:
            async with client.websocket_connect("/wait"):
                raise ArithmeticError
    """
    for option in ("--triows-schedules=3", "--triows-schedule=17"):
        result = suite(option, test_served=served)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*what was alive before the failure*", "*/wait*open*"])


INTERRUPTED = """
import os, signal
import trio

runs = []

async def steps():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.lowlevel.checkpoint)
        await trio.lowlevel.checkpoint()
    runs.append(1)

async def test_async():
    await steps()
    if len(runs) == 7:
        os.kill(os.getpid(), signal.SIGINT)
        await trio.lowlevel.checkpoint()

def test_plain():
    trio.run(steps)
    if len(runs) == 7:
        raise KeyboardInterrupt

async def test_exits():
    import pytest
    async with trio.open_nursery() as nursery:
        nursery.start_soon(steps)
        await steps()
        if len(runs) >= 13:
            pytest.exit("enough")

async def test_fails_first():
    await steps()
    assert len(runs) != 1, "a race"
    if len(runs) == 2:
        raise KeyboardInterrupt

async def test_last():
    print("went on")
"""


@pytest.mark.parametrize("test", ["test_async", "test_plain", "test_exits"])
@pytest.mark.usefixtures("measured_processes")
def test_who_stops_a_test_stops_the_others_and_is_told_which_run_it_was(suite, test):
    options = ("-s", "--triows-schedules=10", "-k", f"{test} or last")
    result = suite(*options, real_process=True, test_a=INTERRUPTED)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes()
    result.stdout.re_match_lines(
        [rf"triows: .*::{test} was interrupted in its 7th run, under the schedule \d+$"]
    )
    result.stdout.no_fnmatch_line("*went on*")


def test_who_stops_a_test_in_its_only_run_stops_the_others(suite):
    text = INTERRUPTED.replace("len(runs) == 7", "True")
    result = suite("-s", "-k", "async or last", real_process=True, test_a=text)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.re_match_lines([r"triows: .* was interrupted under the schedule \d+$"])
    result.stdout.no_fnmatch_line("*went on*")


@pytest.mark.usefixtures("measured_processes")
def test_who_stops_a_test_while_it_is_run_again_is_told_of_its_failure(suite):
    options = ("--triows-schedules=10", "-k", "fails_first or last")
    result = suite(*options, real_process=True, test_a=INTERRUPTED)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*AssertionError: a race*", "*was interrupted when it was run again after it had failed,*"]
    )


def test_a_failure_with_another_message_in_each_order_is_the_same(suite):
    always = """
    import trio

    async def test_always():
        seen = []

        async def note(n):
            await trio.lowlevel.checkpoint()
            seen.append(n)

        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(note, n)
        assert seen == []
    """
    for n in range(1, 4):
        result = suite("--triows-schedules=5", f"-otriows_seed={n}", test_always=always)
        result.stdout.fnmatch_lines(["It needs no special order: *"])


def test_failures_at_different_lines_are_different(suite):
    two = """
    import trio

    async def main():
        seen = []

        async def note(n):
            seen.append(n)

        async with trio.open_nursery() as nursery:
            for n in range(4):
                nursery.start_soon(note, n)
        assert seen[0] != 2 or seen[3] == 3, "a race"
        assert seen != [0, 1, 2, 3], "the plain order"

    def test_two():
        trio.run(main)
    """
    races = 0
    for n in range(1, 5):
        result = suite("--triows-schedules=50", f"-otriows_seed={n}", test_two=two)
        text = result.stdout.str()
        is_race = "AssertionError: a race" in text
        assert ("It needs no special order" in text) != is_race
        races += is_race
    assert races


def test_a_time_limit_that_ends_the_process_tells_the_schedule(suite):
    late = """
    import time
    import trio

    async def test_a():
        time.sleep(60)
    """
    result = suite("--timeout=1", "--timeout-method=thread", real_process=True, test_late=late)
    assert result.ret == 1
    result.stdout.re_match_lines([r".* triows: the test runs under --triows-schedule \d+ "])


def test_a_time_limit_is_that_of_one_run(suite):
    slow = """
    import time
    import trio

    async def test_a(nursery):
        nursery.start_soon(trio.lowlevel.checkpoint)
        time.sleep(0.1)
    """
    result = suite("--triows-schedules=30", "--timeout=2", test_slow=slow)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines("triows: 1 test ran under 30 schedules")


@pytest.mark.usefixtures("measured_processes")
def test_anyios_plugin_on_trio_runs_under_schedules(suite):
    anyio = """
    import pytest
    import trio

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend():
        return "trio"

    @pytest.fixture
    async def started():
        await trio.lowlevel.checkpoint()
        yield
        await trio.lowlevel.checkpoint()
    """
    race = RACE.replace("async def test_race()", "async def test_race(started)")
    result = suite(
        "--triows-schedules=50", "-p", "no:trio", ini="", test_anyio=f"{dedent(anyio)}\n{race}"
    )
    result.assert_outcomes(failed=1)
    again = suite("--triows-schedule", seed_in(result), "-p", "no:trio", ini="")
    again.assert_outcomes(failed=1)


def test_a_plain_test_that_runs_trio_is_under_a_schedule(suite):
    plain = RACE.replace("test_race", "race") + "\ndef test_plain():\n    trio.run(race)\n"
    result = suite("--triows-schedules=50", ini="", test_plain=plain)
    result.assert_outcomes(failed=1)
    suite("--triows-schedule", seed_in(result), ini="").assert_outcomes(failed=1)


def test_a_suite_without_trio_loads_nothing_and_one_with_trio_does_not_load_triows(suite):
    unused = """
    import sys

    def test_nothing_is_loaded():
        loaded = {"trio", "triows", "_triows_schedules"} & set(sys.modules)
        assert loaded == LOADED
    """
    options = ("-p", "no:trio", "-p", "no:anyio")
    test = dedent(unused).replace("LOADED", "set()")
    result = suite(*options, ini="", real_process=True, test_unused=test)
    result.assert_outcomes(passed=1)
    test = "import trio\n" + dedent(unused).replace("LOADED", "{'trio', '_triows_schedules'}")
    result = suite(*options, ini="", real_process=True, test_unused=test)
    result.assert_outcomes(passed=1)
