"""If something blocks the loop of a server, the log names it."""

import logging
import math
import re
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import httpx2  # noqa: F401 - importing it in the first request would block the loop
import pytest
import trio

import triows
from triows import Timeouts, Triows, WebSocket, WebSocketRoute, use
from triows._server import watchdog
from triows._server.config import free_port
from triows.testing import open_app, open_server

#: How many seconds a test waits for something. None of them really waits that long.
PATIENCE = 15

#: How many seconds the loop may be blocked here.
BLOCKED = 0.2


class Log(logging.Handler):
    """Keeps what the log says about blocked loops, and can block a loop until it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []
        self.ends: list[str] = []
        self.changed = threading.Event()
        self.ended = threading.Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            self.warnings.append(record.getMessage())
            self.changed.set()
        elif "runs again" in record.getMessage():
            self.ends.append(record.getMessage())
            self.ended.release()

    def wait_end(self) -> None:
        """Wait until the log says that the loop runs again."""
        assert self.ended.acquire(timeout=PATIENCE)

    def block(self) -> None:
        """Block the loop until the log says that it is blocked."""
        assert self.changed.wait(PATIENCE)


@pytest.fixture
def log():
    log = Log()
    logger = logging.getLogger("triows")
    level = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    yield log
    logger.setLevel(level)
    logger.removeHandler(log)


class Looks:
    """Counts how often the watchdog's thread found the loop running, and how often not."""

    def __init__(self, monkeypatch) -> None:
        self.turning, self.blocked = threading.Semaphore(0), threading.Semaphore(0)
        note, turning = watchdog.Block.note, watchdog.Watchdog.turning

        def noted(block, sample, seconds):
            note(block, sample, seconds)
            self.blocked.release()

        def turned(dog, used):
            turning(dog, used)
            self.turning.release()

        monkeypatch.setattr(watchdog.Block, "note", noted)
        monkeypatch.setattr(watchdog.Watchdog, "turning", turned)

    @staticmethod
    def wait(looks: threading.Semaphore, number: int) -> None:
        for _ in range(number):
            assert looks.acquire(timeout=PATIENCE)


@pytest.fixture
def looks(monkeypatch):
    return Looks(monkeypatch)


def serving(handler, path="rooms/{room}", **options) -> Triows:
    route = WebSocketRoute(path)
    route.endpoint(handler)
    options.setdefault("timeouts", Timeouts(blocked=BLOCKED))
    return Triows(route, **options)


async def idle(ws: WebSocket, room: str) -> None:
    await ws.accept()


@contextmanager
def threads_end():
    """Check that the test leaves no thread behind."""
    before = set(threading.enumerate())
    yield
    assert {one.name for one in set(threading.enumerate()) - before} <= {"Trio thread"}


# Where the loop may be blocked, and what the log calls it.


def in_handler(log):
    async def blocks(ws: WebSocket, room: str) -> None:
        await ws.accept()
        log.block()

    return serving(blocks), r"the connection to /rooms/\{room\} from 127\.0\.0\.1:\d+"


def in_a_deep_call(log):
    def blocks(depth: int) -> None:
        if depth:
            blocks(depth - 1)
        else:
            log.block()

    async def handler(ws: WebSocket, room: str) -> None:
        await ws.accept()
        blocks(100)

    return serving(handler), r"the connection to /rooms/\{room\} from .*\(\d+ more calls\)"


def in_a_task_of_the_connection(log):
    async def blocks() -> None:
        log.block()

    async def handler(ws: WebSocket, room: str, nursery: trio.Nursery) -> None:
        await ws.accept()
        nursery.start_soon(blocks)
        await ws.receive()

    return serving(handler), r"the connection to /rooms/\{room\} from"


def in_the_entry_of_a_resource(log):
    async def blocks():
        log.block()
        yield 1

    async def handler(ws: WebSocket, room: str, _: Annotated[int, use(blocks)]) -> None:
        await ws.accept()

    return serving(handler), r"the connection to /rooms/\{room\} from"


def in_the_exit_of_a_resource(log):
    async def blocks():
        yield 1
        log.block()

    async def handler(ws: WebSocket, room: str, _: Annotated[int, use(blocks)]) -> None:
        await ws.accept()

    return serving(handler), r"the connection to /rooms/\{room\} from"


def in_a_factory(log):
    def blocks() -> int:
        log.block()
        return 1

    async def handler(ws: WebSocket, room: str, _: Annotated[int, use(blocks)]) -> None:
        await ws.accept()

    return serving(handler), r"the connection to /rooms/\{room\} from"


def in_a_middleware(log):
    def middleware(app):
        async def blocks(scope, receive, send) -> None:
            log.block()
            await app(scope, receive, send)

        return blocks

    app = serving(idle, middlewares=[middleware])
    return app, r"the handshake for /rooms/lobby from 127\.0\.0\.1:\d+"


def in_the_lifespan(log):
    @asynccontextmanager
    async def blocks(app):
        log.block()
        yield

    return serving(idle, lifespan=blocks), "the task <resource "


@pytest.mark.real_socket
@pytest.mark.parametrize(
    "where",
    [
        in_handler,
        in_a_deep_call,
        in_a_task_of_the_connection,
        in_the_entry_of_a_resource,
        in_the_exit_of_a_resource,
        in_a_factory,
        in_a_middleware,
        in_the_lifespan,
    ],
)
async def test_what_blocks_the_loop_is_named(where, log):
    app, who = where(log)
    with threads_end():
        async with open_server(app) as client, client.websocket_connect("/rooms/lobby"):
            pass
    # A busy machine may hold the loop up in other places, too.
    (warning,) = [one for one in log.warnings if "log.block()" in one]
    who = rf"the Trio loop has been blocked for \d\.\d s by {who}"
    assert re.match(who, warning, re.DOTALL)
    assert re.search(r"test_watchdog\.py:\d+ in .*blocks  log\.block\(\)\n", warning)
    assert warning.endswith("await trio.to_thread.run_sync(function))")


async def test_an_application_that_is_mounted_is_named_by_its_path(log):
    async def blocks(scope, receive, send) -> None:
        log.block()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    app = serving(idle)
    app.mount("/other", blocks)
    with watchdog.blocks_named(app):
        async with open_app(app) as client:
            await client.get("/other/slow%0Apage")
    (warning,) = log.warnings
    # Nothing that a peer chooses can begin a line.
    assert "by the request for /other/slow\\npage from testclient:50000, at\n" in warning


async def test_a_route_of_an_application_that_is_mounted_is_named_with_where_that_is(log):
    async def blocks(ws: WebSocket, room: str) -> None:
        await ws.accept()
        log.block()

    app = serving(idle)
    app.mount("/other", serving(blocks))
    with watchdog.blocks_named(app):
        async with open_app(app) as client, client.websocket_connect("/other/rooms/lobby"):
            pass
    (warning,) = log.warnings
    assert "by the connection to /other/rooms/{room} from testclient:" in warning


async def test_a_task_beside_the_server_is_named(log):
    async def blocks() -> None:
        log.block()

    with watchdog.blocks_named(serving(idle)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(blocks)
    (warning,) = log.warnings
    assert "by the task tests.server.test_watchdog.test_a_task_beside" in warning
    assert "blocks, at\n" in warning


def test_a_server_in_another_thread_is_watched_there(log):
    async def blocks() -> None:
        with watchdog.blocks_named(serving(idle)):
            log.block()

    thread = threading.Thread(target=trio.run, args=(blocks,))
    thread.start()
    thread.join(PATIENCE)
    (warning,) = log.warnings
    assert "log.block()" in warning


@pytest.mark.real_socket
async def test_two_servers_of_a_loop_warn_once(log):
    with threads_end():
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                await nursery.start(triows.serve, serving(idle), free_port())
            log.block()
            nursery.cancel_scope.cancel()
    assert len(log.warnings) == 1


async def test_a_block_has_one_warning_and_is_told_when_it_is_over(log, looks):
    with watchdog.blocks_named(serving(idle)):
        for number in (1, 2):
            looks.wait(looks.blocked, 12)
            assert len(log.warnings) == number
            await trio.to_thread.run_sync(log.wait_end)
    assert re.fullmatch(r"the Trio loop runs again, after at least \d+\.\d s", log.ends[0])


async def test_many_tasks_that_share_in_a_block_are_not_each_blamed_for_it(log, looks):
    async def part() -> None:
        looks.wait(looks.blocked, 1)

    with watchdog.blocks_named(serving(idle)):
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(part)
    # The loop may have run once between them.
    assert all("with one round of many tasks." in warning for warning in log.warnings)
    assert "with one round of many tasks. At the moment it runs the task " in log.warnings[0]


@pytest.mark.parametrize("seconds", [math.inf, 1])
async def test_the_setting_switches_it_off(seconds):
    app = serving(idle, timeouts=Timeouts(blocked=seconds))
    with threads_end(), watchdog.blocks_named(app):
        names = {one.name for one in threading.enumerate()}
        assert ("triows watchdog" in names) is (seconds == 1)


class Times:
    """
    The time and the processor time that the thread sees in a test.

    Args:
        passed: How many seconds pass before each look.
        used: How many seconds of processor time are used in each second.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, passed: float, used: float) -> None:
        self.passed = passed
        self._share = used
        self._now = 0.0
        self._loop = threading.get_ident()
        monkeypatch.setattr(watchdog, "Times", lambda: self)

    def now(self) -> float:
        if threading.get_ident() != self._loop:
            self._now += self.passed
        return self._now

    def used(self) -> float:
        return self._now * self._share

    def pass_by(self, seconds: float) -> None:
        self._now += seconds


def the_watchdog() -> watchdog.Watchdog:
    (dog,) = watchdog._there.get().values()
    return dog


async def answered() -> None:
    """Let the loop turn until it has answered the thread."""
    while not the_watchdog()._answered:
        await trio.lowlevel.checkpoint()


async def test_a_loop_that_is_busy_and_turns_is_not_blocked(log, looks, monkeypatch):
    async def work() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    # However long it really takes, no look is late.
    Times(monkeypatch, passed=BLOCKED / 4, used=1)
    with watchdog.blocks_named(serving(idle)):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(work)
            for _ in range(12):
                await answered()
                looks.wait(looks.turning, 1)
            nursery.cancel_scope.cancel()
    assert log.warnings == []


async def test_a_busy_loop_that_holds_the_watchdog_up_is_not_blocked(log, looks, monkeypatch):
    times = Times(monkeypatch, passed=0, used=1)
    with watchdog.blocks_named(serving(idle)):
        for _ in range(12):
            # Many of these rounds are between two looks.
            while not (looks.turning.acquire(blocking=False) or log.warnings):
                times.pass_by(BLOCKED / 10)
                await trio.lowlevel.checkpoint()
    assert log.warnings == []


async def test_a_process_that_was_stopped_was_not_blocked(log, looks, monkeypatch):
    Times(monkeypatch, passed=100, used=0)
    with watchdog.blocks_named(serving(idle)):
        looks.wait(looks.blocked, 12)
    assert log.warnings == []


async def test_what_holds_the_watchdog_up_as_well_is_named_when_it_is_over(log, looks, monkeypatch):
    times = Times(monkeypatch, passed=BLOCKED / 4, used=1)
    with watchdog.blocks_named(serving(idle)):
        await answered()
        times.passed = 100
        log.block()
    assert log.warnings[0].startswith("the Trio loop has been blocked for 100.0 s by the")
    assert "log.block()" in log.warnings[0]


def hold_the_interpreter() -> None:
    """Run C code that lets no other thread run, for longer than a loop may be blocked."""
    began = time.thread_time()
    sum(range(20_000_000))
    while time.thread_time() - began < 2 * BLOCKED:
        sum(range(20_000_000))


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="the system can't tell")
async def test_what_another_thread_does_is_not_blamed_on_the_loop(log):
    with watchdog.blocks_named(serving(idle)):
        await trio.to_thread.run_sync(hold_the_interpreter)
    assert log.warnings == []


async def test_who_debugs_is_not_warned(log, monkeypatch):
    looked = threading.Semaphore(0)
    sample = watchdog.LoopView.sample

    def sampled(view):
        seen = sample(view)
        looked.release()
        return seen

    monkeypatch.setattr(watchdog.LoopView, "sample", sampled)
    names = {"__name__": "pdb", "wait": lambda: Looks.wait(looked, 12)}
    exec("def prompt():\n    wait()", names)
    with watchdog.blocks_named(serving(idle)):
        names["prompt"]()
    assert log.warnings == []


async def test_a_search_for_garbage_is_told_of(log, monkeypatch):
    full = iter(range(100))
    monkeypatch.setattr(watchdog, "_collections", lambda: next(full))
    with watchdog.blocks_named(serving(idle)):
        log.block()
    assert "Python ran a full garbage collection in that time" in log.warnings[0]
