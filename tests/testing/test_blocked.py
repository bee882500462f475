"""A test whose loop is blocked, or whose virtual clock can't move on, fails in time."""

import math
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Annotated, Any

import coverage
import httpx2  # noqa: F401 - importing it at the first use would block the loop
import pytest
import rich.console
import rich.tree  # noqa: F401 - the same
import trio
from trio.testing import MockClock

from triows import Timeouts, Triows, WebSocket, WebSocketRoute, use
from triows._inspection.blocked import LoopView
from triows.testing import LeakError, LoopBlocked, TestClient, _blocked, _leaks, _loop, open_app

# How long a loop is blocked is measured on the real clock.
pytestmark = [pytest.mark.real_socket, pytest.mark.timeout(60)]

#: How many seconds a test may block its loop here.
BLOCKED = 0.3

#: To wait in the system, as ``time.sleep`` does. An error that comes from another thread at any
#: time could leave an ``Event`` locked, because that is written in Python.
never = threading.Lock()
never.acquire()


def serving(handler, **options: Any) -> Triows:
    route = WebSocketRoute("rooms/{room}")

    async def endpoint(ws: WebSocket, room: str) -> None:
        await ws.accept()
        await handler(ws)

    route.endpoint(endpoint)
    return Triows(route, **options)


async def idle(ws: WebSocket) -> None:
    await ws.receive()


async def visit(app: Triows, path: str = "/rooms/lobby") -> str | bytes:
    """Receive a message from an application."""
    opening = open_app(app, blocked=BLOCKED)
    async with opening as client, client.websocket_connect(path) as ws:
        return await ws.receive()


async def run_here(function: Callable[[], Any]) -> None:
    """Call a function in a test, and await the result if it is awaitable."""
    async with open_app(serving(idle), blocked=BLOCKED):
        if (awaitable := function()) is not None:
            await awaitable


# What blocks a loop.


def burn(seconds: float) -> None:
    """Use so much processor time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def computes() -> None:
    while True:
        pass


def sleeps_often() -> None:
    while True:
        never.acquire(timeout=0.01)


def sleeps_long() -> None:
    never.acquire(timeout=1000)


def waits_for_a_lock() -> None:
    never.acquire()


def handles_every_exception() -> None:
    while True:
        with suppress(Exception):
            never.acquire(timeout=0.01)


def handles_everything() -> None:
    again = True
    while True:
        try:
            threading.Event().wait(0.01)
        except BaseException:  # noqa: BLE001
            again = True
        assert again


def handles_everything_in_a_loop_of_its_own() -> None:
    while True:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001
            again = True
        assert again


BLOCKS = [
    computes,
    sleeps_often,
    sleeps_long,
    waits_for_a_lock,
    handles_every_exception,
    handles_everything,
    handles_everything_in_a_loop_of_its_own,
]


@pytest.mark.parametrize(
    ("blocks", "clock"),
    [*((blocks, MockClock(autojump_threshold=0)) for blocks in BLOCKS), (computes, None)],
)
def test_a_handler_that_blocks_the_loop_fails_the_test(blocks, clock):
    async def handler(_ws: WebSocket) -> None:
        blocks()

    with pytest.raises(LoopBlocked) as caught:
        trio.run(visit, serving(handler), clock=clock)
    assert re.match(
        r"the Trio loop has been blocked for \d+\.\d s by the connection to "
        r"/rooms/\{room\} from testclient:50000, at\n",
        str(caught.value),
    )
    assert re.search(rf"test_blocked\.py:\d+ in {blocks.__name__}  \w", str(caught.value))
    # It was raised in that function.
    assert blocks.__name__ in {one.name for one in caught.traceback}
    (events,) = caught.value.__notes__
    assert "the server accepted" in events


@pytest.mark.parametrize("blocks", [computes, sleeps_long])
async def test_a_test_that_blocks_its_own_loop_fails(blocks, autojump_clock):
    with pytest.raises(LoopBlocked) as caught:
        await run_here(blocks)
    assert "by the task <test 'test_a_test_that_blocks_its_own_loop" in str(caught.value)
    assert f"in {blocks.__name__}  " in str(caught.value)


async def test_a_start_up_that_blocks_the_loop_fails_the_test(autojump_clock):
    @asynccontextmanager
    async def lifespan(_app):
        computes()
        yield

    with pytest.raises(LoopBlocked, match="in computes  "):
        async with open_app(serving(idle, lifespan=lifespan), blocked=BLOCKED):
            pass


async def test_a_resource_that_blocks_the_loop_fails_the_test_and_the_others_exit(autojump_clock):
    exited = []

    async def first():
        yield
        exited.append("first")

    async def second():
        yield
        computes()

    route = WebSocketRoute("")

    @route.endpoint
    async def handler(
        ws: WebSocket, _1: Annotated[None, use(first)], _2: Annotated[None, use(second)]
    ) -> None:
        await ws.accept()

    with pytest.raises(LoopBlocked, match="in computes  "):
        await visit(Triows(route), "/")
    assert exited == ["first"]


async def test_a_request_that_blocks_the_loop_fails_the_test(autojump_clock):
    async def blocks(_scope, _receive, _send) -> None:
        computes()

    app = Triows()
    app.mount("/other", blocks)
    with pytest.raises(LoopBlocked, match="by the request for /other/page from"):
        async with open_app(app, blocked=BLOCKED) as client:
            await client.get("/other/page")


async def test_a_block_that_nobody_saw_interrupted_fails_the_test(autojump_clock):
    async def swallows(ws: WebSocket) -> None:
        try:
            computes()
        except BaseException:  # noqa: BLE001
            await ws.send("never mind")

    with pytest.raises(LoopBlocked):
        await visit(serving(swallows))


async def test_who_debugs_is_not_interrupted(autojump_clock, monkeypatch):
    looked = threading.Semaphore(0)
    sample = LoopView.sample

    def sampled(view):
        seen = sample(view)
        looked.release()
        return seen

    def wait() -> None:
        for _ in range(12):
            assert looked.acquire(timeout=10)

    monkeypatch.setattr(LoopView, "sample", sampled)
    names = {"__name__": "pdb", "wait": wait}
    exec("def prompt():\n    wait()", names)
    async with open_app(serving(idle), blocked=BLOCKED):
        names["prompt"]()


async def test_many_tasks_that_take_long_together_fail_no_test(autojump_clock):
    async def part() -> None:
        never.acquire(timeout=BLOCKED / 3)

    async with open_app(serving(idle), blocked=BLOCKED), trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(part)


async def test_a_limit_may_be_set_that_is_none(autojump_clock):
    async with open_app(serving(idle), blocked=math.inf):
        names = {one.name for one in threading.enumerate()}
    assert "triows watchdog" not in names


async def test_the_signal_is_as_before_and_a_signal_of_somebody_elses_is_left(autojump_clock):
    before = signal.getsignal(signal.SIGURG)
    async with open_app(serving(idle)), open_app(serving(idle)):
        assert signal.getsignal(signal.SIGURG) is not before
    assert signal.getsignal(signal.SIGURG) is before

    def mine(*_: object) -> None:
        pass

    signal.signal(signal.SIGURG, mine)
    try:
        with pytest.raises(LoopBlocked):
            await run_here(computes)
        assert signal.getsignal(signal.SIGURG) is mine
    finally:
        signal.signal(signal.SIGURG, before)


# What a virtual clock waits for.


async def gives_way() -> None:
    while True:
        await trio.lowlevel.checkpoint()


async def wakes_one_another() -> None:
    async def wait(events: list[trio.Event], own: int) -> None:
        while True:
            await events[own].wait()
            events[own] = trio.Event()
            events[1 - own].set()

    events = [trio.Event(), trio.Event()]
    events[0].set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, events, 0)
        nursery.start_soon(wait, events, 1)


async def starts_tasks() -> None:
    while True:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)


async def ends_and_starts_the_next() -> None:
    async def hop() -> None:
        nursery.start_soon(hop)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hop)


async def asks_whether_all_others_wait() -> None:
    while True:
        await trio.testing.wait_all_tasks_blocked()


async def times_out_at_once() -> None:
    while True:
        with trio.move_on_after(0):
            await trio.sleep_forever()


async def is_shielded() -> None:
    with trio.CancelScope(shield=True):
        await gives_way()


async def handles_cancellations() -> None:
    while True:
        with suppress(trio.Cancelled):
            await trio.lowlevel.checkpoint()


async def handles_all_there_is() -> None:
    while True:
        try:
            await trio.lowlevel.checkpoint()
        except BaseException:  # noqa: BLE001
            again = True
            continue
        finally:
            again = False
        assert not again


SPINS = [
    gives_way,
    wakes_one_another,
    starts_tasks,
    ends_and_starts_the_next,
    asks_whether_all_others_wait,
    times_out_at_once,
    is_shielded,
    handles_cancellations,
    handles_all_there_is,
]
STANDS = (
    f"the virtual clock can't move on, and so no timeout ends: for {BLOCKED} s of processor time "
    "some task was always ready to run. The loop was kept busy by "
)


@pytest.mark.parametrize("spins", SPINS)
async def test_a_handler_that_never_waits_fails_the_test(spins, autojump_clock):
    async def handler(_ws: WebSocket) -> None:
        await spins()

    with pytest.raises(LoopBlocked) as caught:
        await visit(serving(handler))
    assert sys.getprofile() is None
    text = str(caught.value)
    assert text.startswith(f"{STANDS}the connection to /rooms/{{room}} from testclient:50000, at\n")
    assert f"in {spins.__name__}" in text or "in gives_way" in text
    (events,) = caught.value.__notes__
    assert "the server accepted" in events


@pytest.mark.parametrize("spins", [gives_way, handles_all_there_is])
async def test_a_test_that_never_waits_fails(spins, autojump_clock):
    with pytest.raises(LoopBlocked) as caught:
        await run_here(spins)
    assert str(caught.value).startswith(f"{STANDS}the task ")


async def test_tasks_that_wait_now_and_then_fail_no_test(autojump_clock):
    began = time.process_time()
    async with open_app(serving(idle), blocked=BLOCKED):
        while time.process_time() - began < 3 * BLOCKED:
            for _ in range(1000):
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="the system can't tell")
async def test_what_another_thread_computes_fails_no_test(autojump_clock):
    def compute() -> None:
        while not over.is_set():
            pass

    over = threading.Event()
    thread = threading.Thread(target=compute)
    thread.start()
    try:
        async with open_app(serving(idle), blocked=BLOCKED):
            began = time.process_time()
            while time.process_time() - began < 3 * BLOCKED:
                # Some task is always ready, and takes hardly any time.
                never.acquire(timeout=0.01)
                await trio.lowlevel.checkpoint()
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "rests", [partial(trio.sleep, 1), trio.testing.wait_all_tasks_blocked], ids=["sleeps", "waits"]
)
async def test_a_late_look_fails_no_test_that_waited_before_it(rests, autojump_clock, monkeypatch):
    dogs = []
    turning = _blocked._Breaker.turning
    monkeypatch.setattr(_blocked._Breaker, "turning", lambda dog, _used: dogs.append(dog))
    async with open_app(serving(idle), blocked=BLOCKED):
        while not dogs:
            never.acquire(timeout=0.01)
            await trio.lowlevel.checkpoint()
        for _ in range(3):
            turning(dogs[0], time.thread_time())
            await rests()
            for _ in range(40):
                burn(BLOCKED / 30)
                await trio.lowlevel.checkpoint()
            # The thread got no processor time until now.
            turning(dogs[0], time.thread_time())
            for _ in range(500):
                await trio.lowlevel.checkpoint()


async def test_a_thread_that_a_test_waits_for_does_not_fail_it(autojump_clock, monkeypatch):
    looks = threading.Semaphore(0)
    turning = _blocked._Breaker.turning

    def looked(breaker, used):
        turning(breaker, used)
        looks.release()

    monkeypatch.setattr(_blocked._Breaker, "turning", looked)
    async with open_app(serving(idle), blocked=BLOCKED):
        for _ in range(12):
            await trio.to_thread.run_sync(looks.acquire)


@pytest.mark.parametrize("spins", [handles_cancellations, handles_all_there_is])
def test_a_handler_that_goes_on_when_it_is_cancelled_is_ended_on_the_real_clock(
    spins, capfd, monkeypatch
):
    monkeypatch.setattr(_leaks, "ENDING", 0.02)

    async def handler(_ws: WebSocket) -> None:
        await spins()

    app = serving(handler, timeouts=Timeouts(disconnect_grace=0, teardown=0.01, close=0.01))

    async def leave() -> None:
        opening = open_app(app, patience=0.1, blocked=BLOCKED)
        async with opening as client, client.websocket_connect("/rooms/lobby"):
            pass

    with pytest.raises(LeakError, match=r"has not ended 0\.1 s after its client left"):
        trio.run(leave)
    assert "This goes on although it was cancelled. Waiting for it now." in capfd.readouterr().err


# In another thread.


def receive_in_thread(client: TestClient, threads: list[threading.Thread]) -> None:
    """Wait for a message. Append the loop's thread to *threads*."""
    with client, client.websocket_connect("/rooms/lobby") as ws:
        threads.append(ws._loop._thread)
        ws.send_text("hello")
        ws.receive_text()


@pytest.mark.parametrize("blocks", [computes, sleeps_often, handles_every_exception])
def test_a_loop_in_another_thread_ends_after_it_has_failed_the_test(blocks, monkeypatch):
    monkeypatch.setattr(_loop, "_LEAST", 0.1)
    monkeypatch.setattr(_loop, "BLOCKED", 0.5)

    async def handler(ws: WebSocket) -> None:
        await ws.receive()
        blocks()

    client = TestClient(serving(handler), timeout=0.5)
    threads: list[threading.Thread] = []
    with pytest.raises(LoopBlocked, match=r"by the connection to /rooms/\{room\} from"):
        receive_in_thread(client, threads)
    threads[0].join(10)
    assert not threads[0].is_alive()


@pytest.mark.parametrize("spins", [gives_way, handles_all_there_is])
def test_a_virtual_clock_in_another_thread_is_watched_there(spins, monkeypatch):
    monkeypatch.setattr(_loop, "_LEAST", 0.1)
    monkeypatch.setattr(_loop, "BLOCKED", BLOCKED)

    async def handler(_ws: WebSocket) -> None:
        await spins()

    options = {"clock": MockClock(autojump_threshold=0)}
    client = TestClient(serving(handler), timeout=0.1, backend_options=options)
    with pytest.raises(LoopBlocked, match=re.escape(f"{STANDS}the connection to /rooms/")):
        receive_in_thread(client, [])


# Beside those who trace.

SUITE = """
import threading

import pytest
import trio
from trio.testing import MockClock

from triows import Triows, WebSocket, WebSocketRoute
from triows.testing import LoopBlocked, open_app

route = WebSocketRoute("{how}")


def block():
    again = False
    while True:
        try:
            threading.Event().wait(0.01)
        except BaseException:
            again = True  # seen
        assert again in (True, False)  # seen


async def spin():
    again = False
    while True:
        try:
            await trio.lowlevel.checkpoint()
        except BaseException:
            again = True  # seen
        assert again in (True, False)  # seen


@route.endpoint
async def handler(ws: WebSocket, how: str):
    await ws.accept()
    block() if how == "block" else await spin()
    print("not reached")  # not seen


async def visit(how):
    async with open_app(Triows(route), blocked=0.3) as client:
        async with client.websocket_connect(how) as ws:
            await ws.receive()
            print("not reached")  # not seen


@pytest.mark.parametrize("how", ["/block", "/spin"])
def test_a_loop_is_blocked(how):
    with pytest.raises(LoopBlocked):
        trio.run(visit, how, clock=MockClock(autojump_threshold=0))
    later = how  # seen
    if later == "neither":  # seen
        print("not reached")  # not seen


def helper():
    number = 1  # seen
    return number  # seen


def test_later():
    assert helper()  # seen
"""


@pytest.mark.timeout(60)  # to start Python with pytest takes seconds on a busy machine
def test_coverage_is_measured_on(tmp_path):
    path = tmp_path / "test_suite.py"
    path.write_text(SUITE)
    data = tmp_path / "data"
    command = ["-m", "coverage", "run", f"--source={tmp_path}", f"--data-file={data}"]
    pytest_command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    done = subprocess.run(
        [sys.executable, *command, *pytest_command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    measured = coverage.CoverageData(data)
    measured.read()
    lines = set(measured.lines(str(path)) or ())
    marks = {n: text.partition("  # ")[2] for n, text in enumerate(SUITE.splitlines(), 1) if text}
    assert {n for n, mark in marks.items() if mark == "seen"} <= lines
    assert not {n for n, mark in marks.items() if mark == "not seen"} & lines
    # If an error is raised at the first step of a function, Python 3.11 tells those who trace of
    # its end, and not of its beginning. They may then take lines of one file for another's.
    if sys.version_info >= (3, 12):
        assert lines <= set(marks)
