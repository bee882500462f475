"""
The tasks that run requests.

A task that has finished a request waits for the next one, of any connection, for a short time.
Waking it takes half the time that starting another task would take. An idle connection has no task.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from triows._transports.interface import Starter
    from triows._transports.pinger import Pinger

__all__ = ["Pool", "Worker"]

Job: TypeAlias = "Callable[[], Awaitable[object]]"

#: How many tasks may wait for a request. Each takes about 3 kB. A server with more requests at a
#: time starts further tasks, which end afterwards.
_MOST_WAITING = 128

#: Seconds after which tasks end that nobody has needed meanwhile.
_PATIENCE = 0.1


class Worker:
    """One task, and what it runs."""

    __slots__ = ("job", "scope", "task")

    def __init__(self, job: Job) -> None:
        #: What it runs, or will run next. ``None`` lets it end.
        self.job: Job | None = job
        #: Around the task. The job may be given to it. If it then has a deadline, the task runs no
        #: other job. So whoever cancels it sets one, too: asking whether it was cancelled would
        #: take longer.
        self.scope = trio.CancelScope()
        #: ``None`` until it has started.
        self.task: trio.lowlevel.Task | None = None

    def end_at(self, deadline: float) -> None:
        """Cancel the job at this time, if it goes on until then."""
        self.scope.deadline = min(self.scope.deadline, deadline)


class Pool:
    """
    Runs jobs, each in a context of its own, in tasks that are used again.

    Args:
        tasks: Runs the tasks. It logs what a job raises, and lets the others go on.
        timer: Says when to look for tasks that nobody needs.
        context: The context of a task that waits.
    """

    def __init__(self, tasks: Starter, timer: Pinger, context: Context) -> None:
        self._tasks = tasks
        self._timer = timer
        self._context = context
        # The last one to wait is the next to run, because what it needs is still in caches.
        self._waiting: list[Worker] = []
        # How many of them have waited since the timer looked.
        self._unneeded = 0
        self._is_closed = False

    def start(self, job: Job, context: Context) -> Worker:
        """
        Run a job soon.

        Args:
            job: An async function. What it raises ends its task, and is logged.
            context: The context in which it runs. Nothing else may run in it.

        Returns:
            The worker, to cancel the job.
        """
        if not self._waiting:
            worker = Worker(job)
            context.run(self._start, worker)
            return worker
        worker = self._waiting.pop()
        self._unneeded = min(self._unneeded, len(self._waiting))
        worker.job = job
        assert worker.task is not None
        worker.task.context = context
        trio.lowlevel.reschedule(worker.task)
        return worker

    def _start(self, worker: Worker) -> None:
        self._tasks.start_soon(self._work, worker, name="<triows request>")

    def close(self) -> None:
        """End the tasks that wait, and those that run, when their job is over."""
        self._is_closed = True
        self._timer.discard(self)
        self._end(len(self._waiting))

    def on_due(self) -> None:
        """End the tasks that nobody has needed. The timer calls this."""
        self._end(self._unneeded)
        self._unneeded = len(self._waiting)
        if self._waiting:
            self._timer.add(self, _PATIENCE)

    def _end(self, count: int) -> None:
        """End those that have waited longest."""
        ended = self._waiting[:count]
        del self._waiting[:count]
        for worker in ended:
            assert worker.task is not None
            trio.lowlevel.reschedule(worker.task)

    async def _work(self, worker: Worker) -> None:
        worker.task = task = trio.lowlevel.current_task()

        waiting, scope = self._waiting, worker.scope

        def abort(_: object) -> trio.lowlevel.Abort:
            waiting.remove(worker)
            return trio.lowlevel.Abort.SUCCEEDED

        with scope:
            while worker.job is not None:
                running = worker.job()
                # Otherwise a WebSocket would keep the head of its request in memory.
                worker.job = None
                await running
                del running
                if scope.deadline < math.inf or self._is_closed or len(waiting) >= _MOST_WAITING:
                    return
                if not waiting:
                    self._timer.add(self, _PATIENCE)
                # It must not keep alive what the last job has left in its context.
                task.context = self._context
                waiting.append(worker)
                await trio.lowlevel.wait_task_rescheduled(abort)
