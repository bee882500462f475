"""
Ends a test that blocks its loop, or whose virtual clock can't move on.

A task blocks the loop when it runs and never awaits. A virtual clock moves when all tasks wait. As
long as some task is always ready to run, the clock stands still, and no timeout ends the test. In
both cases the thread of a :class:`.Watchdog` notices, and fails the test with :exc:`LoopBlocked`,
which names the place.

A test that only has a lot to do must not fail. All of its tasks wait now and then, for example
between two rounds of a thousand connections. And no single task runs for long, even if all of them
together do. For the virtual clock, only processor time counts, so that a test doesn't fail because
the machine is busy.
"""

from __future__ import annotations

import dis
import inspect
import math
import signal
import sys
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from triows._inspection.blocked import blocker_of, waiting_at
from triows._server.watchdog import RESOLUTION, Watchdog
from triows._stacks import frame_at

from ._tasks import tasks_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType, FrameType

    from triows._app import Triows
    from triows._inspection.blocked import Sample
    from triows._server.watchdog import Block
    from triows._stacks import RawFrame


__all__ = ["BLOCKED", "LoopBlocked", "unblocked"]

#: How many seconds a loop may be blocked in a test. It is twice as long as a receive waits, and far
#: below the usual limits for a whole test.
BLOCKED = 10.0

#: Seconds of processor time that tasks get to end after they were cancelled.
_AGAIN = 0.5

#: Seconds between two attempts to interrupt code that goes on.
_SOON = 0.1

#: How many steps of tasks are counted to find those that keep the loop busy.
_STEPS = 200

#: How many times code is interrupted by a single exception, before it gets several in a row.
_PLAIN = 2


class Blockable(Protocol):
    """Where an application runs in a test."""

    app: Triows
    #: The scope around the test's own code.
    body: trio.CancelScope
    #: The nursery of the server.
    nursery: trio.Nursery
    #: The error to raise in the test.
    blocked: LoopBlocked | None

    @property
    def is_unending(self) -> bool:
        """Say whether tasks go on although they were cancelled."""


class LoopBlocked(BaseException):
    """
    The test's loop is blocked, or its virtual clock can't move on. The text names the place.

    It is raised in the code that blocks, and then in the test. Like pytest's own failures it is
    not an :exc:`Exception`, so that a loop which catches every ``Exception`` ends all the same.
    """


class _Steps(trio.abc.Instrument):
    """
    Counts the steps that tasks make, for a moment, to find those that keep the loop busy.

    The steps of tasks with the same code count together, because each of them may end at once and
    start the next one.

    Args:
        breaker: Is told which tasks they are.
        polls: Whether only tasks count that wait in a loop until all others wait.
    """

    def __init__(self, breaker: _Breaker, *, polls: bool) -> None:
        self._breaker = breaker
        self._polls = polls
        self._left = _STEPS
        self._steps: Counter[CodeType] = Counter()
        # The tasks that were seen last.
        self._tasks: dict[CodeType, trio.lowlevel.Task] = {}

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._polls and not _polls(task):
            own = 0
        else:
            code: CodeType = task.coro.cr_code
            self._steps[code] += 1
            self._tasks[code] = task  # now it is known to be alive
            own = self._steps[code]
        if self._left > 0:
            return
        most = max(self._steps.values(), default=0)
        often = max(most / 4, _STEPS / 10 if self._polls else 0)
        if own > often:
            trio.lowlevel.remove_instrument(self)
            found = [self._tasks[code] for code, n in self._steps.most_common() if n > often]
            self._breaker.stop_spinning([one for one in found if _is_alive(one)])
        elif self._left < -_STEPS:
            trio.lowlevel.remove_instrument(self)


def _is_alive(task: trio.lowlevel.Task) -> bool:
    return task.coro.cr_frame is not None


def _polls(task: trio.lowlevel.Task) -> bool:
    """Whether a task waits until all others wait."""
    code = wait_all_tasks_blocked.__code__
    return any(frame.f_code is code for frame, _ in task.iter_await_frames())


class _Breaker(Watchdog["Blockable"]):
    """Fails the tests of one loop."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = trio.lowlevel.current_clock()
        # For a clock that stands still: its time, how much processor time the loop had used when it
        # was seen to move, and how often we have tried since then to end what keeps it still.
        self._now = -math.inf
        self._moved = 0.0
        self._attempts = 0
        # How much had been used when we began to look for a moment in which all tasks wait. It is
        # infinite from such a moment to the next look.
        self._unrested = math.inf
        self._is_looking = False
        self._error: LoopBlocked
        self._interrupter = Interrupter(self.view.ident)

    def start(self) -> None:
        self._interrupter.install()
        super().start()

    def stop(self) -> None:
        super().stop()
        self._interrupter.remove()

    # A blocked loop.

    def blocked(self, block: Block, sample: Sample) -> None:
        if block.held < self.seconds - RESOLUTION or sample.task is None:
            return  # many tasks have a lot to do, and none of them blocks alone
        if not block.told:
            text = block.text(blocker_of(sample, [stage.app for stage in self.watched]))
            self._fail(LoopBlocked(f"{text}\n  ({_LONGER})"))
            block.told = True
        self._interrupter.interrupt(sample.task, self._error)

    def _fail(self, error: LoopBlocked) -> None:
        self._error = error
        self.rest = _SOON
        for stage in self.watched:
            stage.blocked = stage.blocked or error

    # A loop that runs, and a clock that stands still.

    def turning(self, used: float) -> None:
        if any(stage.is_unending for stage in self.watched):
            self.rest = _SOON
            self.token.run_sync_soon(self._end_unending)
            return
        if not isinstance(self._clock, MockClock):
            return
        now = self._clock.current_time()
        if now != self._now:
            self._now, self._moved, self._attempts = now, used, 0
        if self._busy(used) >= self._limit:
            self.token.run_sync_soon(self._find_spinning)
        elif used - self._moved >= self._limit:
            # All tasks wait now and then. But a clock moves only if no task waits for just that.
            self._moved = used
            self.token.run_sync_soon(self._find_polling)
        else:
            self.token.run_sync_soon(self._look_for_rest)

    @property
    def _limit(self) -> float:
        return min(_AGAIN, self.seconds) if self._attempts else self.seconds

    def _busy(self, used: float) -> float:
        """For how much processor time the clock has stood still, and no moment of rest was seen."""
        return used - max(self._moved, self._unrested)

    def _end_unending(self) -> None:
        """Interrupt tasks that were cancelled and go on."""
        for stage in self.watched:
            tasks = list(tasks_in(stage.nursery)) if stage.is_unending else []
            for task in tasks:
                where = waiting_at(task, [stage.app])
                error = LoopBlocked(f"a task goes on when it is cancelled: {where}")
                self._interrupter.follow(task.iter_await_frames(), error, self._attempts + 1)
        self._attempts += 1

    def _look_for_rest(self) -> None:
        """Find out whether all tasks wait at some time."""
        if self._is_looking:
            return
        if self._unrested == math.inf:
            self._unrested = self._times.used()
        with suppress(RuntimeError, IndexError):  # the application is ending
            self.watched[0].nursery.start_soon(self._rest, name="<watchdog>")
            self._is_looking = True

    async def _rest(self) -> None:
        try:
            await wait_all_tasks_blocked()
            self._unrested = math.inf
        finally:
            self._is_looking = False

    def _find_spinning(self) -> None:
        used = self._times.used()
        if self._busy(used) >= self._limit:
            self._moved = used
            trio.lowlevel.add_instrument(_Steps(self, polls=False))

    def _find_polling(self) -> None:
        trio.lowlevel.add_instrument(_Steps(self, polls=True))

    def stop_spinning(self, tasks: list[trio.lowlevel.Task]) -> None:
        """Fail the test because of tasks that never wait. The loop calls this between two tasks."""
        apps = [stage.app for stage in self.watched]
        if not self._attempts:
            blockers = "\nand ".join(str(waiting_at(task, apps)) for task in tasks[:_SHOWN])
            self._fail(
                LoopBlocked(
                    "the virtual clock can't move on, and so no timeout ends: for "
                    f"{self.seconds:g} s of processor time some task was always ready to run. The "
                    f"loop was kept busy by {blockers}\n"
                    f"  (await what you wait for, instead of asking for it in a loop; {_LONGER})"
                )
            )
            for stage in self.watched:
                stage.body.cancel()
                stage.nursery.cancel_scope.cancel()
        else:
            # The tasks were cancelled, and went on.
            for task in tasks:
                self._interrupter.stop(task, self._error, self._attempts)
        self._attempts += 1


#: How many of the tasks that keep the loop busy are shown.
_SHOWN = 3

_LONGER = "if this may take longer: open_app(app, blocked=60), or TestClient(app, timeout=60)"


class Interrupter:
    """
    Raises an exception in a thread, in the code of a task there.

    Args:
        ident: The thread's identifier.
    """

    def __init__(self, ident: int) -> None:
        self._ident = ident
        self._error: LoopBlocked | None = None
        self._task: trio.lowlevel.Task | None = None
        self._attempts = 0
        # The handler that the signal had before.
        self._before: Any = None
        # Ends what :meth:`follow` began.
        self._unfollow: Callable[[], object] = _nothing

    def install(self) -> None:
        """Take over a signal, if this is the main thread and nobody else uses the signal."""
        # Go's runtime uses the same signal: by default it is ignored, debuggers let it pass, and
        # programs that use it expect it at any time.
        if self._before is None and threading.current_thread() is threading.main_thread():
            before = signal.getsignal(_SIGNAL)
            if before in (signal.SIG_DFL, signal.SIG_IGN):
                signal.signal(_SIGNAL, self._on_signal)
                self._before = before

    def remove(self) -> None:
        """Interrupt nothing any more, and restore the signal's handler."""
        if self._before is not None:
            signal.signal(_SIGNAL, self._before)
            self._before = None
        self._unfollow()
        self._unfollow = _nothing

    def interrupt(self, task: trio.lowlevel.Task, error: LoopBlocked) -> None:
        """
        Raise an error at the line that a task has reached.

        Another thread calls this, and calls it again if the task goes on. In the main thread, it
        also ends code that waits in the system (``time.sleep``, a lock). In another thread, it ends
        only Python code. C code that never returns goes on.
        """
        if task is not self._task:
            self._task, self._attempts = task, 0
        self._error = error
        self._attempts += 1
        if self._before is not None:
            signal.pthread_kill(self._ident, _SIGNAL)
        else:
            _soon(self._ident)[_class_of(error)]

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True  # pytest
        frames: list[RawFrame] = []
        outermost = getattr(self._task and self._task.coro, "cr_frame", None)
        while frame is not None and frame is not outermost:
            frames.append((frame, frame.f_lineno))
            frame = frame.f_back
        if frame is None or self._error is None:
            return  # the task isn't blocked any more
        frames.append((frame, frame.f_lineno))
        # Don't raise in Trio's own code, as Trio does with Ctrl-C, unless that blocks the loop.
        if trio.lowlevel.currently_ki_protected() and self._attempts <= _PLAIN:
            return
        if self._attempts > _PLAIN:
            # If the code handles this exception, too, another one follows.
            self.follow(frames, self._error, self._attempts - _PLAIN)
        raise self._error

    def stop(self, task: trio.lowlevel.Task, error: LoopBlocked, times: int) -> None:
        """
        Raise an error in a task that waits, when it goes on. Call this in the loop's thread.

        Args:
            task: The task.
            error: The error.
            times: As for :meth:`follow`.
        """
        if inspect.getcoroutinestate(task.coro) != inspect.CORO_CREATED:
            self.follow(task.iter_await_frames(), error, times)
            return

        def fail(_value: object) -> NoReturn:
            raise error

        # It may start the next one and end, before anything can interrupt it. Let Trio call this
        # in the place of its first step. If Trio no longer had this name, the task would fail all
        # the same, because its coroutine is closed.
        task.coro.close()
        if hasattr(task, "_next_send_fn"):
            task._next_send_fn = fail

    def follow(self, frames: Iterable[RawFrame], error: LoopBlocked, times: int) -> None:
        """
        Raise an error in frames of the application, at one of the next places that they reach.

        Code that handles every exception and goes on does so inside a ``try``. Somewhere it has a
        line that is outside. Tracing would find that line, but coverage and debuggers trace.

        Args:
            frames: The frames that run or wait.
            error: The error.
            times: How many times this has been called for the error, this call included.
        """
        own = {frame for frame, line in frames if _is_theirs(frame, line)}
        self._unfollow()
        if sys.version_info >= (3, 12):
            self._unfollow = _raise_at_line(own, error, times)
        else:
            self._unfollow = _raise_after_call(own, error, times)


_SIGNAL = signal.SIGURG

_YIELD = dis.opmap["YIELD_VALUE"]


def _is_theirs(frame: FrameType, line: int) -> bool:
    return frame_at(frame.f_code, line).owner in ("application", "library")


def _nothing() -> None:
    """Stop nothing, because nothing is followed."""


def _raise_at_line(own: set[FrameType], error: LoopBlocked, times: int) -> Callable[[], object]:
    """Raise an error at one of the next lines of frames, and return what ends that."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    tool = next((one for one in _TOOLS if monitoring.get_tool(one) is None), None)
    if tool is None:
        return _nothing
    codes = {frame.f_code for frame in own}
    left = times

    def reached(_code: CodeType, _line: int) -> None:
        nonlocal left
        if sys._getframe(1) in own:
            left -= 1
            if not left:
                raise error

    def end() -> None:
        for code in codes:
            monitoring.set_local_events(tool, code, 0)
        monitoring.register_callback(tool, monitoring.events.LINE, None)
        monitoring.free_tool_id(tool)

    monitoring.use_tool_id(tool, "triows")
    monitoring.register_callback(tool, monitoring.events.LINE, reached)
    for code in codes:
        monitoring.set_local_events(tool, code, monitoring.events.LINE)
    return end


#: The tool numbers that Python reserves for no particular kind of tool.
_TOOLS = (4, 3)


def _raise_after_call(own: set[FrameType], error: LoopBlocked, times: int) -> Callable[[], object]:
    """
    Do the same with Python 3.11, where only those who trace know the lines.

    This is a profiler. When a call of the frames returns, it lets Python raise the error where it
    looks for what other threads want: at the next call, or the end of a round of a loop. It does
    nothing while somebody else profiles.
    """
    if sys.getprofile() is not None:
        return _nothing
    raised, soon = _class_of(error), _soon(threading.get_ident())
    left = times

    def profile(frame: FrameType, event: str, _arg: Any) -> None:
        # Python looks here as well. So if the frame is left before the error was raised, the error
        # is raised here and leaves the frame. Otherwise Trio's loop would get it.
        nonlocal left
        if not left:
            sys.setprofile(None)
        elif event == "return" and frame.f_back in own and not _is_suspended(frame):
            left -= 1
            soon[raised]  # the last thing here: what is called would get the error

    def end() -> None:
        if sys.getprofile() is profile:
            sys.setprofile(None)

    sys.setprofile(profile)
    return end


def _is_suspended(frame: FrameType) -> bool:
    """Say whether a frame only yields. To a profiler, that looks like a return."""
    return frame.f_code.co_code[frame.f_lasti] == _YIELD


def _class_of(error: LoopBlocked) -> type[LoopBlocked]:
    """
    Return a class from which Python gets this error.

    For a thread, Python takes no error but only a class, and makes the error itself, without
    arguments. If somebody traces, Python 3.11 makes it again from the first one.
    """
    raised: Any = type(LoopBlocked.__name__, (LoopBlocked,), {})
    # This must be a function written in C. In a Python function, the next error could be raised.
    raised.__new__ = staticmethod({raised: error}.get)
    found: type[LoopBlocked] = raised
    return found


def _soon(ident: int) -> Any:
    """
    Return an object whose ``[error]`` makes Python raise an error in a thread, soon.

    In the thread itself, a function could not do that for its caller: Python would raise the error
    when the call returns to the function.
    """
    import ctypes  # noqa: PLC0415 - only failing tests need it

    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raise_in.argtypes = ctypes.c_ulong, ctypes.py_object
    return type("Soon", (), {"__getitem__": staticmethod(partial(raise_in, ident))})()


@contextmanager
def unblocked(stage: Blockable, seconds: float) -> Iterator[None]:
    """
    Make sure that an application's test ends, during a block in its loop.

    Args:
        stage: The application's stage. :attr:`Blockable.blocked` is set to the error to raise.
        seconds: How many seconds the loop may be blocked.
    """
    with _Breaker.watching(stage, seconds):
        yield
