"""
The tasks that run requests.

A task that has finished a request waits for the next one, of any connection. Waking it takes half
the time that starting another task would take. An idle connection has no task.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from triows._transports.interface import Starter

__all__ = ["Pool", "Worker"]

Job: TypeAlias = "Callable[[], Awaitable[object]]"

#: How many tasks may wait for a request. Each takes about 3 kB. A server with more requests at a
#: time starts further tasks, which end afterwards.
_MOST_WAITING = 128


class Worker:
    """One task, and what it runs."""

    __slots__ = ("job", "scope", "task")

    def __init__(self, job: Job) -> None:
        #: What it runs, or will run next. ``None`` lets it end.
        self.job: Job | None = job
        #: Around the task. Whoever cancels it, or sets its deadline, ends the job. The task is then
        #: not used for another one.
        self.scope = trio.CancelScope()
        #: ``None`` until it has started.
        self.task: trio.lowlevel.Task | None = None


class Pool:
    """
    Runs jobs, each in a context of its own, in tasks that are used again.

    Args:
        tasks: Runs the tasks. It logs what a job raises, and lets the others go on.
        context: The context of a task that waits.
    """

    def __init__(self, tasks: Starter, context: Context) -> None:
        self._tasks = tasks
        self._context = context
        # The last one to wait is the next to run, because what it needs is still in caches.
        self._waiting: list[Worker] = []
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
        while self._waiting:
            worker = self._waiting.pop()
            worker.job = None
            assert worker.task is not None
            trio.lowlevel.reschedule(worker.task)

    async def _work(self, worker: Worker) -> None:
        worker.task = trio.lowlevel.current_task()
        with worker.scope:
            while worker.job is not None:
                await worker.job()
                worker.job = None
                await self._wait(worker)

    async def _wait(self, worker: Worker) -> None:
        """Wait for the next job, unless there are enough tasks that wait."""
        is_spoilt = worker.scope.cancel_called or worker.scope.deadline < math.inf
        if self._is_closed or is_spoilt or len(self._waiting) >= _MOST_WAITING:
            return
        assert worker.task is not None
        # It must not keep alive what the last job has left in its context.
        worker.task.context = self._context
        self._waiting.append(worker)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._waiting.remove(worker)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
