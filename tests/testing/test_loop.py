"""A Trio loop in a thread, in which the application of a synchronous test runs."""

from __future__ import annotations

import queue
import threading

import pytest
import trio

from triows import Triows
from triows.testing._blocked import LoopBlocked
from triows.testing._loop import Loop, LoopOver, SharedLoop, interruptible, loop_of

OPTIONS = {
    "timeout": 1.0,
    "run_options": {},
    "raise_app_exceptions": True,
    "root_path": "",
    "startup_timeout": 10.0,
}


@pytest.fixture
def loop():
    loop = Loop(Triows(), **OPTIONS)
    loop.start()
    yield loop
    loop.stop()


async def thread_of(*args: object) -> tuple[str, tuple[object, ...]]:
    await trio.lowlevel.checkpoint()
    return threading.current_thread().name, args


def test_an_async_function_runs_in_its_thread_and_answers(loop):
    assert loop.call(thread_of, 1, 2) == ("triows TestClient", (1, 2))


def test_a_function_runs_in_its_thread_and_answers(loop):
    assert loop.call_sync(lambda: threading.current_thread().name) == "triows TestClient"


def test_what_a_function_raises_is_raised_here(loop):
    async def fail() -> None:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        loop.call(fail)


def test_a_task_goes_on_while_the_test_does_something_else(loop):
    started: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def task() -> None:
        started.put("here")
        await trio.sleep_forever()

    loop.start_soon(task)
    assert loop.wait(started) == "here"


def test_after_its_end_it_says_that_the_application_is_over():
    loop = Loop(Triows(), **OPTIONS)
    loop.start()
    loop.stop()
    with pytest.raises(LoopOver, match="isn't running any more"):
        loop.call(thread_of)


def test_what_the_start_up_raised_is_raised_by_the_start():
    async def lifespan(app: Triows):
        raise ValueError("no database")
        yield

    with pytest.raises(ValueError, match="no database"):
        Loop(Triows(lifespan=lifespan), **OPTIONS).start()


def test_it_names_the_options_that_differ(loop):
    assert loop.differences(OPTIONS) == []
    other = {**OPTIONS, "raise_app_exceptions": False, "timeout": 9, "run_options": {"clock": 1}}
    assert loop.differences(other) == ["raise_server_exceptions", "backend_options"]


def test_an_application_has_one_loop_as_long_as_somebody_holds_it():
    app = Triows()
    shared = loop_of(app)
    assert loop_of(app) is shared
    assert loop_of(Triows()) is not shared
    first = shared.acquire(app, OPTIONS, holds=True)
    assert shared.acquire(app, OPTIONS, holds=True) is first
    shared.release(holds=True)
    assert first.call(thread_of)
    shared.release(holds=True)
    with pytest.raises(LoopOver):
        first.call(thread_of)


def test_who_wants_other_options_has_to_wait():
    app, shared = Triows(), SharedLoop()
    shared.acquire(app, OPTIONS, holds=True)
    with pytest.raises(RuntimeError, match="with other root_path: leave it first"):
        shared.acquire(app, {**OPTIONS, "root_path": "/api"}, holds=True)
    shared.release(holds=True)


async def test_it_does_not_block_a_loop_of_trio():
    with pytest.raises(RuntimeError, match="open_app"):
        SharedLoop().acquire(Triows(), OPTIONS, holds=True)


def leave(exc: BaseException | None, later: BaseException) -> None:
    with interruptible(exc):
        raise later


@pytest.mark.parametrize("exc", [None, ValueError()])
def test_an_error_at_the_end_of_a_block_is_raised(exc):
    with pytest.raises(KeyError):
        leave(exc, KeyError())


def test_what_interrupted_a_block_is_not_replaced_but_gets_a_note():
    interrupt = KeyboardInterrupt()
    leave(interrupt, KeyError("later"))
    assert interrupt.__notes__ == ["leaving a block of TestClient failed, too: KeyError('later')"]


def test_two_errors_about_the_same_loop_are_one():
    blocked = LoopBlocked("here")
    leave(blocked, LoopBlocked("here"))
    assert not hasattr(blocked, "__notes__")
