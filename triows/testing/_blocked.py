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

import math
import signal
import sys
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from triows._inspection.blocked import blocker_of, waiting_at
from triows._server.watchdog import RESOLUTION, Watchdog
from triows._stacks import frame_at

from ._tasks import tasks_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    from triows._inspection.blocked import Sample
    from triows._server.watchdog import Block
    from triows._stacks import RawFrame

    from ._stage import Stage

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

#: How many times code is interrupted by a single exception before it is also traced.
_PLAIN = 2


class LoopBlocked(BaseException):
    """
    The test's loop is blocked, or its virtual clock can't move on. The text names the place.

    It is raised in the code that blocks, and then in the test. Like pytest's own failures it is
    not an :exc:`Exception`, so that a loop which catches every ``Exception`` ends all the same.
    """


class _Steps(trio.abc.Instrument):
    """Counts the steps that tasks make, for a moment."""

    def __init__(self, breaker: _Breaker) -> None:
        self._breaker = breaker
        self._steps: Counter[trio.lowlevel.Task] = Counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._steps[task] += 1
        if self._steps.total() == _STEPS:
            trio.lowlevel.remove_instrument(self)
            # Tasks that have ended have no frame.
            steps = [one for one in self._steps.most_common() if one[0].coro.cr_frame is not None]
            if steps:
                self._breaker.stop_spinning([task for task, n in steps if n > steps[0][1] / 4])


class _Breaker(Watchdog["Stage"]):
    """Fails the tests of one loop."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = trio.lowlevel.current_clock()
        # For a clock that stands still: its time, for how much processor time it has stood still,
        # whether all tasks were waiting meanwhile, and how often we have tried to end that.
        self._now = -math.inf
        self._still = 0.0
        self._waited = False
        self._attempts = 0
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
        if now != self._now or self._waited:
            self._now, self._waited, self._still, self._attempts = now, False, 0.0, 0
            return
        self._still += used
        if self._still >= (min(_AGAIN, self.seconds) if self._attempts else self.seconds):
            self._still = 0.0
            self.token.run_sync_soon(self._find_spinning)
        else:
            self.token.run_sync_soon(self._look_for_rest)

    def _end_unending(self) -> None:
        """Interrupt tasks that were cancelled and go on."""
        for stage in self.watched:
            tasks = list(tasks_in(stage.nursery)) if stage.is_unending else []
            for task in tasks:
                where = waiting_at(task, [stage.app])
                error = LoopBlocked(f"a task goes on when it is cancelled: {where}")
                self._interrupter.trace(task.iter_await_frames(), error, self._attempts)
        self._attempts += 1

    def _look_for_rest(self) -> None:
        """Find out whether all tasks wait at some time."""
        if not self._is_looking:
            with suppress(RuntimeError, IndexError):  # the application is ending
                self.watched[0].nursery.start_soon(self._rest, name="<watchdog>")
                self._is_looking = True

    async def _rest(self) -> None:
        try:
            await wait_all_tasks_blocked()
            self._waited = True
        finally:
            self._is_looking = False

    def _find_spinning(self) -> None:
        if not self._waited:
            trio.lowlevel.add_instrument(_Steps(self))

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
                self._interrupter.trace(task.iter_await_frames(), self._error, self._attempts - 1)
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
        # What was set before: the handler of the signal, and the trace function.
        self._before: Any = None
        self._tracer: Any = None
        self._traces = False

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
        """Restore the signal's handler, and the trace function, which may measure coverage."""
        if self._before is not None:
            signal.signal(_SIGNAL, self._before)
            self._before = None
        if self._traces:
            sys.settrace(self._tracer)
            self._traces = False

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
            _raise_in(self._ident, error)

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
            # If the code handles this exception, too, the trace function raises the next one. It
            # can't raise this one, because Python stops tracing when a trace function raises.
            self.trace(frames, self._error, self._attempts - _PLAIN - 1)
        raise self._error

    def trace(self, frames: Iterable[RawFrame], error: LoopBlocked, line: int) -> None:
        """
        Raise an error in frames of the application, at one of the next lines that they reach.

        Code that handles every exception and goes on does so inside a ``try``. Somewhere it has a
        line that is outside.

        Args:
            frames: The frames that run or wait.
            error: The error.
            line: How many lines to let pass first.
        """
        own = [frame for frame, line_ in frames if _is_theirs(frame, line_)]
        left = line

        def local(_frame: FrameType, event: str, _arg: Any) -> Any:
            nonlocal left
            if event == "line":
                if not left:
                    raise error  # Python stops tracing when this raises
                left -= 1
            return local

        for frame in own:
            frame.f_trace = local
        if own:
            if not self._traces:
                self._tracer, self._traces = sys.gettrace(), True
            sys.settrace(lambda frame, *_: local if frame in own else None)


_SIGNAL = signal.SIGURG


def _is_theirs(frame: FrameType, line: int) -> bool:
    return frame_at(frame.f_code, line).owner in ("application", "library")


def _raise_in(ident: int, error: LoopBlocked) -> None:
    import ctypes  # noqa: PLC0415 - only failing tests need it

    class Raised(LoopBlocked):
        """Python makes an instance itself, without arguments."""

        def __init__(self) -> None:
            super().__init__(*error.args)

    Raised.__name__, Raised.__qualname__, Raised.__module__ = (
        LoopBlocked.__name__,
        LoopBlocked.__qualname__,
        LoopBlocked.__module__,
    )
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Raised))


@contextmanager
def unblocked(stage: Stage, seconds: float) -> Iterator[None]:
    """
    Make sure that an application's test ends, during a block in its loop.

    Args:
        stage: The application's stage. :attr:`Stage.blocked` is set to the error to raise.
        seconds: How many seconds the loop may be blocked.
    """
    with _Breaker.watching(stage, seconds):
        yield
