"""
What a failure tells about its schedule, and the summary about all of them.

Each run of pytest has a process of its own, so each test here holds several of theirs.
"""

import re
import sys

import pytest

pytest_plugins = ["pytester"]


@pytest.mark.usefixtures("measured_processes")
def test_what_else_decided_is_told(suite):
    outside = """
    import pytest
    import trio

    async def test_thread(autojump_clock):
        await trio.to_thread.run_sync(int)
        raise ArithmeticError

    async def test_sockets(autojump_clock):
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listeners[0]:
            with trio.move_on_after(1):
                await listeners[0].accept()
        raise ArithmeticError

    async def test_clock():
        await trio.sleep(0.001)
        raise ArithmeticError

    async def test_nothing(autojump_clock):
        raise ArithmeticError
    """
    result = suite(test_outside=outside)
    result.assert_outcomes(failed=4)
    text = result.stdout.str()
    told = re.findall(r"the test used (.*)\. It may", text)
    assert told == ["threads", "sockets", "the real clock"]
    assert text.count("Run it again") == 4


@pytest.mark.usefixtures("measured_processes")
def test_a_failure_that_does_not_come_again_is_told(suite):
    chance = """
    import trio

    runs = []

    async def test_chance(autojump_clock, nursery):
        nursery.start_soon(trio.lowlevel.checkpoint)
        runs.append(1)
        assert len(runs) != 3
    """
    result = suite("--triows-schedules=10", test_chance=chance)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*not deterministic*", "It did not fail when it was run again*`uuid`*PYTHONHASHSEED*"]
    )


@pytest.mark.usefixtures("measured_processes")
def test_with_unfair_a_failure_is_said_to_rely_on_trios_fairness(suite):
    fair = """
    import trio

    async def test_fair(autojump_clock):
        turns = []

        async def take(n):
            for _ in range(10):
                turns.append(n)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, 1)
            nursery.start_soon(take, 2)
        assert abs(turns[:10].count(1) - 5) <= 1
    """
    suite("--triows-schedules=300", test_fair=fair).assert_outcomes(passed=1)
    result = suite("--triows-schedules=300", "--triows-unfair")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["It relies on Trio's fairness:*", "*--triows-unfair"])


#: Fails in a round in which the second task is first.
TWO = """
import pytest
import trio

async def two():
    order = []

    async def note(n):
        order.append(n)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note, 1)
        nursery.start_soon(note, 2)
    return order
"""


def test_with_unfair_a_failure_that_needs_no_tasks_held_back_is_an_ordinary_one(suite):
    race = f"""{TWO}
async def work():
    for _ in range(20):
        await trio.lowlevel.checkpoint()

async def test_fails_always():
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(work)
    assert 1 + 1 == 3

async def test_is_a_race():
    await test_works()
    assert await two() == [1, 2]

async def test_works():
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(work)
"""
    for number in ("1", "50"):
        result = suite("--triows-unfair", "--triows-schedules", number, "-k", "always", test_a=race)
        result.assert_outcomes(failed=1)
        result.stdout.no_fnmatch_line("*fairness*")
    result = suite("--triows-unfair", "--triows-schedules=50", "-k", "race")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*fairness*")
    result.stdout.no_fnmatch_line("*--triows-unfair*")
    seed = re.search(r"--triows-schedule (\S+)", result.stdout.str())[1]
    suite("--triows-schedule", seed, "-k", "race").assert_outcomes(failed=1)


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
@pytest.mark.usefixtures("measured_processes")
def test_a_wrong_marker_is_refused_when_tests_are_collected_and_its_test_is_named(suite, workers):
    markers = {"a": "'a'", "b": "0", "c": "1, 2", "d": "", "e": "number=3", "f": "True"}
    bad = {
        f"test_bad_{name}": f"""{TWO}
def test_first(): ...

@pytest.mark.schedules({marker})
async def test_{name}():
    await two()
"""
        for name, marker in markers.items()
    }
    result = suite(workers, "-p", "xdist", **bad, test_good="def test_good(): ...")
    # This is what pytest does for a file that cannot be imported.
    is_alone = workers == "-n0"
    failed = pytest.ExitCode.INTERRUPTED if is_alone else pytest.ExitCode.TESTS_FAILED
    assert result.ret == failed
    result.assert_outcomes(errors=len(markers), passed=0 if is_alone else 1)
    for name, marker in markers.items():
        result.stdout.fnmatch_lines(
            [
                f"*ERROR collecting test_bad_{name}.py*",
                f"test_bad_{name}.py:*: test_{name}: write @pytest.mark.schedules(200)"
                f"*, and not @pytest.mark.schedules({marker})",
            ]
        )
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


@pytest.mark.usefixtures("measured_processes")
def test_a_wrong_marker_of_a_hook_is_refused_too(suite, pytester):
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            items[0].add_marker(pytest.mark.schedules(-1))
        """
    )
    result = suite(test_a="import trio\ndef test_a(): ...")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*test_a.py:2: test_a: write @pytest.mark.schedules(200)*(-1)")


def test_the_command_that_repeats_a_failure_can_be_pasted_in_the_folder_of_the_first(
    suite, pytester, monkeypatch, nested
):
    quoted = f"""{TWO}
@pytest.mark.parametrize("text", ["it's $HOME"])
async def test_quoted(text):
    await two()
    assert not text
"""
    pytester.mkdir("inner folder").joinpath("test_a.py").write_text(quoted)
    suite()
    monkeypatch.chdir(pytester.path / "inner folder")
    result = nested.run("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    command = re.search("Run it again: (.*)", result.stdout.str())[1]
    assert command.startswith("pytest 'test_a.py::test_quoted[it'")
    done = pytester.run("sh", "-c", f"{sys.executable} -m {command}", timeout=60)
    done.assert_outcomes(failed=1)


@pytest.mark.usefixtures("measured_processes")
def test_the_seed_decides_random_as_well_and_says_so(suite):
    drawing = f"""{TWO}
import random

async def test_draws():
    await two()
    assert random.random() < 0.9

async def test_draws_alone():
    with open("drawn.txt", "a") as file:
        file.write(str(random.random()) + "\\n")

def test_is_put_back():
    random.seed(17)
    number = random.random()
    random.seed(17)
    import _triows_schedules.running as running
    from _triows_schedules.seeds import Seed
    with running.Run(Seed(1)).installed():
        random.random()
    assert random.random() == number
"""
    result = suite("--triows-schedules=100", test_a=drawing)
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(
        ["It needs no special order*", "The seed also decided what `random` did."]
    )
    seed = re.search(r"--triows-schedule (\S+)", result.stdout.str())[1]
    suite("--triows-schedule", seed, "-k", "test_draws").assert_outcomes(failed=1, passed=1)
    suite("--triows-schedule", seed, "-k", "test_draws").assert_outcomes(failed=1, passed=1)
    drawn = (suite.path / "drawn.txt").read_text().split()
    assert len(set(drawn[:100])) == 100
    assert drawn[100] == drawn[101]


def test_a_report_says_that_the_seed_decided_what_the_network_did(suite):
    slow = """
import trio
from triows import Triows, WebSocket, WebSocketRoute
from triows.testing import Network, open_app

route = WebSocketRoute("quick")

@route.endpoint
async def quick(ws: WebSocket) -> None:
    await ws.accept()

async def test_it_takes_no_time(autojump_clock):
    network = Network(delay=(0, 2))
    async with open_app(Triows(route), network=network) as client:
        async with client.websocket_connect("/quick"):
            assert trio.current_time() < 2.5
"""
    result = suite("--triows-schedules=50", test_slow=slow)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The seed also decided what the network did."])


@pytest.mark.usefixtures("suite")
def test_a_plugin_that_seeds_random_itself_is_left_alone(pytester, nested):
    pytester.makeconftest(
        """
        def pytest_configure(config):
            config.pluginmanager.register(object(), "randomly")
        """
    )
    drawing = """
    import random
    import trio

    random.seed(17)
    number = random.random()
    random.seed(17)

    async def test_draws():
        assert random.random() == number
    """
    pytester.makeini("[pytest]\ntrio_mode = true")
    pytester.makepyfile(test_a=drawing)
    nested.run("-p", "no:cacheprovider").assert_outcomes(passed=1)


#: Fails if the second round of its three is in another order, long before its end.
EARLY = f"""{TWO}
async def test_early(autojump_clock):
    orders = [await two() for _ in range(3)]

    async def work():
        for _ in range(200):
            await trio.lowlevel.checkpoint()

    await work()
    assert orders[1] == [1, 2]
"""


def test_tasks_of_one_function_have_numbers_and_the_choices_that_matter_are_marked(suite):
    result = suite("--triows-schedules=50", test_a=EARLY)
    result.stdout.fnmatch_lines(
        [
            "*the last 30 of 2* task switches before the failure*",
            "The choices decided the lines with >. All other lines are in plain order.",
            ">     0.000  test_a.py:7 note *  note #4 *  <test 'test_early'>",
            ">     0.000  test_a.py:7 note *  note #3 *  <test 'test_early'>",
            "  ... * more switches",
            "      0.000  test_a.py:22 test_early -> :20 work  <test 'test_early'>",
        ]
    )
    result.stdout.no_fnmatch_line("*note #1*")
    assert result.stdout.str().count("\n>") == 2


def test_more_switches_are_shown_if_somebody_asks_for_them(suite):
    result = suite("--triows-schedules=50", "--triows-switches=500", test_a=EARLY)
    text = result.stdout.str()
    shown, every = re.search(r"the last (\d+) of (\d+) task switches", text).groups()
    assert shown == every
    assert "note #1" in text
    assert "more switches" not in text
    wrong = suite("--triows-switches=none")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    wrong.stderr.fnmatch_lines("*--triows-switches: *'none'*")


#: Fails always, and has a helper in another file that every task calls.
HELPED = """
import trio
from others import ask

async def steps(n):
    for _ in range(n):
        await trio.lowlevel.checkpoint()

async def visit(done):
    await steps(2)
    [await ask()
     for _ in range(2)]
    done.set()

async def test_it(autojump_clock):
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit, done)
        await done.wait()
        assert False
"""

OTHERS = """
import trio

async def ask():
    await trio.sleep(1)
"""


def switches_in(result):
    """The lines of the section with the task switches, without the space at their ends."""
    text = result.stdout.str()
    section = re.search(r"task switches before the failure -+\n((?:.*\n)*?)(?:-----|triows:)", text)
    return [line.rstrip() for line in section[1].splitlines()]


def test_a_switch_is_told_with_the_lines_of_the_tasks_first_and_last_function(suite):
    result = suite("--triows-schedule=1@0", test_a=HELPED, others=OTHERS)
    assert switches_in(result) == [
        "       time  where it went on                       task              woken by",
        "  ... 4 steps of Trio and the test runner",
        "      0.000  test_a.py:8 visit                      test_a.visit      <test 'test_it'>",
        "      0.000  test_a.py:9 visit -> :6 steps          test_a.visit",
        "      0.000  test_a.py:9 visit -> :6 steps          test_a.visit",
        "      1.000  test_a.py:10 visit -> others.py:4 ask  test_a.visit      a deadline, or I/O",
        "      2.000  test_a.py:10 visit -> others.py:4 ask  test_a.visit      a deadline, or I/O",
        "      2.000  test_a.py:18 test_it                   <test 'test_it'>  test_a.visit",
    ]


def test_steps_in_nobodys_code_but_triows_are_folded_and_not_counted(suite):
    served = """
    import trio
    from triows import Triows, WebSocket, WebSocketRoute
    from triows.testing import open_app

    route = WebSocketRoute("echo")

    @route.endpoint
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message)

    async def test_served(autojump_clock):
        async with open_app(Triows(route)) as client:
            async with client.websocket_connect("/echo") as ws:
                for _ in range(9):
                    await ws.send("hello")
                    await ws.receive()
                assert False
    """
    result = suite("--triows-schedule=1", "--triows-switches=6", test_a=served)
    lines = switches_in(result)
    shown = [line for line in lines[1:] if "  ... " not in line]
    assert len(shown) == 6
    assert all(re.match(r"      0\.000  test_a\.py:\d+ (echo|test_served) ", one) for one in shown)
    folded = [re.fullmatch(r"  \.\.\. (\d+) steps? of triows", one) for one in lines[1:]]
    number = 6 + sum(int(one[1]) for one in folded if one)
    assert number > 6
    assert f" the last {number} of " in result.stdout.str()


def test_a_task_that_the_user_has_started_is_shown_in_any_code(suite):
    started = """
    import trio

    async def test_started(autojump_clock):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            nursery.start_soon(trio.sleep, 2)
            await trio.sleep(3)
            assert False
    """
    lines = switches_in(suite("--triows-schedule=1", test_a=started))
    assert "2.000 in Trio trio.sleep #2 a deadline, or I/O" in [" ".join(x.split()) for x in lines]


def test_all_steps_are_shown_if_the_users_code_is_in_none(suite):
    nobody = """
    import trio
    from trio.testing import MockClock

    def test_nobody():
        trio.run(trio.sleep, 1, clock=MockClock(autojump_threshold=0))
        assert False
    """
    lines = switches_in(suite("--triows-schedule=1", test_a=nobody))
    assert "      1.000  in Trio           trio.sleep  a deadline, or I/O" in lines
    assert not [line for line in lines if "..." in line]


def test_the_place_of_a_task_is_the_users_with_anyio_too(suite):
    anyio = """
    import anyio
    import pytest

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend():
        return "trio"

    async def wait():
        await anyio.sleep(0)
        await anyio.Event().wait()

    async def test_a():
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            for _ in range(4):
                await anyio.sleep(0)
            assert False
    """
    result = suite("--triows-schedules=3", "-p", "no:trio", ini="", test_anyio=anyio)
    result.stdout.re_match_lines(
        [
            r"  .* test_anyio\.wait +anyio\._backends",
            r"  test_anyio\.py:11 wait +test_anyio\.wait$",
            r"  test_anyio\.py:18 test_a +anyio\._backends",
        ],
        consecutive=False,
    )


def test_the_task_that_runs_stands_at_its_own_line_in_the_tree(suite):
    served = """
    import trio
    from triows import Triows, WebSocket, WebSocketRoute
    from triows.testing import open_app

    route = WebSocketRoute("wait")

    @route.endpoint
    async def wait(ws: WebSocket) -> None:
        await ws.accept()
        await trio.sleep(1)
        raise ArithmeticError

    async def test_served(autojump_clock):
        async with open_app(Triows(route)) as client:
            async with client.websocket_connect("/wait") as ws:
                await ws.receive()
    """
    result = suite("--triows-schedules=3", test_served=served)
    result.stdout.fnmatch_lines(
        ["*what was alive before the failure*", "*task  wait  test_served.py:10 in wait*"]
    )
    result.stdout.no_fnmatch_line("*_triows_schedules*")


@pytest.mark.usefixtures("measured_processes")
def test_with_xdist_all_processes_have_one_seed_and_the_summary_is_printed(suite):
    noting = f"""{TWO}
import random

@pytest.mark.parametrize("n", range(6))
async def test_notes(n, worker_id):
    numbers = await two(), random.random()
    with open(f"{{n}}.txt", "a") as file:
        file.write(f"{{numbers}}\\n")

async def test_thread():
    await two()
    await trio.to_thread.run_sync(int)

async def test_fails():
    await two()
    assert False
"""
    args = "-n2", "-p", "xdist", "--triows-schedules=3"
    result = suite(*args, test_a=noting)
    result.stdout.fnmatch_lines(
        [
            "  pytest test_a.py::test_fails --triows-schedule *",
            "triows: schedules from seed * (to repeat: -o triows_seed=*)",
            "triows: 8 tests ran under 22 schedules",
            "triows: 1 of them used threads, sockets or the real clock*",
        ]
    )
    base = re.search(r"triows_seed=(\d+)", result.stdout.str())[1]
    suite(*args, "-o", f"triows_seed={base}")
    for n in range(6):
        noted = (suite.path / f"{n}.txt").read_text().splitlines()
        assert noted[:3] == noted[3:]


@pytest.mark.parametrize("options", [["--tb=no"], ["-q"], ["-qq", "--tb=no"]])
def test_the_seeds_of_failed_tests_are_at_the_end_and_in_junits_xml(suite, options):
    options = (*options, "--junitxml=report.xml", "--triows-schedules=50")
    result = suite(*options, test_a=EARLY)
    command = re.search(r"^  (pytest test_a\.py::test_early .*)$", result.stdout.str(), re.M)[1]
    seed = command.split()[-1]
    xml = (suite.path / "report.xml").read_text()
    assert f'<property name="triows_schedule" value="{seed}"' in xml
    assert f'<property name="triows_again" value="{command}"' in xml


@pytest.mark.usefixtures("measured_processes")
def test_the_seed_of_a_failed_teardown_is_told_too(suite):
    failing = f"""{TWO}
@pytest.fixture
def broken():
    yield
    trio.run(two)
    assert False

async def test_a(broken):
    await two()
"""
    result = suite("--tb=no", "--junitxml=report.xml", "--triows-schedules=3", test_a=failing)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.re_match_lines([r"  pytest test_a\.py::test_a --triows-schedule \d+@0"])
    assert "triows_schedule" in (suite.path / "report.xml").read_text()


@pytest.mark.usefixtures("measured_processes")
def test_a_failed_subtest_ends_the_runs(suite):
    parts = f"""{TWO}
runs = []

async def test_parts(subtests):
    runs.append(await two())
    with subtests.test("part"):
        assert len(runs) != 3

def test_ran_three_times():
    assert len(runs) == 3
"""
    result = suite("--triows-schedules=10", test_a=parts)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*test_parts [[]part[]]*", "*failed under the schedule *, in its 3rd run"]
    )
    result.stdout.fnmatch_lines("*2 failed, 1 passed*")


@pytest.mark.usefixtures("measured_processes")
def test_properties_and_fixtures_of_a_module_are_those_of_the_last_run(suite):
    recording = f"""{TWO}
made = []

@pytest.fixture(scope="module")
def of_module():
    made.append("made")
    yield
    made.append("ended")

async def test_records(record_property, of_module):
    await two()
    record_property("answer", 42)

def test_fails_once_without_trio(of_module):
    made.append(1)
    assert made.count(1) != 1

@pytest.fixture
def broken(of_module):
    yield
    assert False

def test_is_not_torn_down(broken):
    pass
"""
    other = """
    import sys

    def test_module_has_ended():
        assert sys.modules["test_1_recording"].made == ["made", 1, "ended"]
    """
    result = suite(
        "--triows-schedules=20",
        "--junitxml=report.xml",
        "-ojunit_family=xunit1",
        test_1_recording=recording,
        test_2_other=other,
    )
    result.assert_outcomes(passed=3, failed=1, errors=1)
    assert (suite.path / "report.xml").read_text().count('"answer"') == 1


def test_schedules_can_be_turned_off(suite):
    counting = f"""{TWO}
runs = []

@pytest.mark.schedules(10)
async def test_a():
    runs.append(await two())

async def test_b(request):
    assert len(runs) == 1
    assert not request.config.pluginmanager.hasplugin("triows-schedules")
    assert type(trio._core._run._r).__name__ == "Random"
"""
    for options in ([], ["--triows-schedules=10", "-otriows_seed=1"], ["-n1", "-p", "xdist"]):
        result = suite("-p", "no:triows-schedules", *options, test_a=counting)
        result.assert_outcomes(passed=2)
        result.stdout.no_fnmatch_line("*triows:*")


def test_a_debugger_is_entered_once(suite):
    result = suite(
        "--pdb", "--pdbcls=pdb:Pdb", "--triows-schedules=30", test_a=EARLY, stdin=b"c\n" * 40
    )
    assert result.stdout.str().count("entering PDB") == 1


@pytest.mark.usefixtures("measured_processes")
def test_a_test_that_takes_too_long_is_not_run_for_hours_to_find_out_why(suite, pytester):
    pytester.makeconftest("import _triows_schedules.repeating as one\none._PATIENCE = 1")
    slow = f"""{TWO}
import time

async def test_slow():
    orders = [await two() for _ in range(500)]
    if [2, 1] in orders:
        with open("slept.txt", "a") as file:
            file.write("slept\\n")
        time.sleep(0.3)
        assert False
"""
    result = suite("--triows-schedules=10", test_slow=slow)
    result.assert_outcomes(failed=1)
    # Halving would take nine.
    assert len((suite.path / "slept.txt").read_text().splitlines()) <= 8
