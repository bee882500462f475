"""
The tasks that run requests.

A task that has finished a request runs the next one that waits, of any connection. Otherwise it
waits for a short time, because waking it takes half the time that starting another one would take.
An idle connection has no task.

Most requests are served without waiting for anything. So one task serves all those that come
together, and only a second one is woken: if the first has to wait in the middle of a request, the
second finds the others still there, and wakes a task for each of them.
"""

from __future__ import annotations

import math
from collections import deque
from contextvars import copy_context
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import trio

from triows._left_open import refuse_left_open, scopes_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from triows._transports.interface import Starter
    from triows._transports.pinger import Pinger

__all__ = ["Pool", "Worker"]

#: What is to be run. It gets the worker that runs it.
Job: TypeAlias = "Callable[[Worker], Awaitable[object]]"

#: How many tasks may wait for a request. Each takes about 3 kB. A server with more requests at a
#: time starts further tasks, which end afterwards.
_MOST_WAITING = 128

#: Seconds after which tasks end that nobody has needed meanwhile.
_PATIENCE = 0.1


class Worker:
    """
    One task, and what is around it.

    Args:
        waiting: The tasks that wait for a job. It is there when it waits.
    """

    __slots__ = ("_scope", "_waiting", "is_needed", "is_shared", "task")

    def __init__(self, waiting: list[Worker]) -> None:
        self._waiting = waiting
        self._scope = trio.CancelScope()
        #: Whether somebody has got the scope.
        self.is_shared = False
        #: Whether it was called to run something, and not to end.
        self.is_needed = True
        #: ``None`` until it has started.
        self.task: trio.lowlevel.Task | None = None

    @property
    def scope(self) -> trio.CancelScope:
        """
        The scope around the task. The job may be given to it.

        If it then has a deadline, the task runs no other job. So whoever cancels it sets one, too:
        asking whether it was cancelled would take longer.
        """
        self.is_shared = True
        return self._scope

    # A method, and not a function in the task's, which would take memory as long as the task lives.
    def abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        """Let the task end that waits, because it was cancelled. Trio calls this."""
        self._waiting.remove(self)
        return trio.lowlevel.Abort.SUCCEEDED

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
        #: What no task has begun yet. If there is something, at least one task was called, which
        #: runs it in this turn or the next one.
        self.jobs: deque[tuple[Job, Context]] = deque()
        # How many tasks were called and have not looked for a job yet.
        self._called = 0
        # Whether a task runs one job after the other. If another task finds that, it waits in one.
        self._is_busy = False
        # The last one to wait is the next to run, because what it needs is still in caches.
        self._waiting: list[Worker] = []
        # How many of them have waited since the timer looked.
        self._unneeded = 0
        self._is_closed = False

    def start(self, job: Job, context: Context) -> None:
        """
        Run a job soon.

        Args:
            job: An async function. What it raises ends its task, and is logged.
            context: What the context has in which it runs. Nothing may run in this one itself.
        """
        self.jobs.append((job, context))
        if not self._called:
            self._call(context)

    def _call(self, context: Context) -> None:
        """Let a task look for a job, and begin in a context."""
        self._called += 1
        # A copy, because another task may run in the context itself: the one that calls, or one
        # that takes the job before the task that is called.
        context = context.copy()
        if not self._waiting:
            context.run(self._start)
            return
        worker = self._waiting.pop()
        self._unneeded = min(self._unneeded, len(self._waiting))
        assert worker.task is not None
        worker.task.context = context
        trio.lowlevel.reschedule(worker.task)

    def _start(self) -> None:
        self._tasks.start_soon(self._work, name="<triows request>")

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
            worker.is_needed = False
            trio.lowlevel.reschedule(worker.task)

    # One function, because each coroutine around a WebSocket takes memory as long as that lives.
    async def _work(self) -> None:
        jobs, waiting = self.jobs, self._waiting
        worker = Worker(waiting)
        worker.task = task = trio.lowlevel.current_task()

        with worker.scope:
            scopes = scopes_of(task)
            worker.is_shared = False
            while worker.is_needed:
                self._called -= 1
                if self._is_busy:
                    self._call_more()
                try:
                    while jobs:
                        job, context = jobs.popleft()
                        if jobs and not self._called:
                            self._call(jobs[0][1])
                        if not _is_in(context):
                            # Another job of this step has changed its context, or it is different.
                            task.context = context.copy()
                            await trio.lowlevel.cancel_shielded_checkpoint()
                        self._is_busy = True
                        running = job(worker)
                        # Otherwise a WebSocket would keep the head of its request in memory.
                        del job, context
                        await running
                        del running
                        if worker.is_shared:
                            if worker.scope.deadline < math.inf:
                                return
                            worker.is_shared = False
                        if scopes_of(task) is not scopes:
                            # For example, an async generator was not closed.
                            await refuse_left_open(scopes)
                finally:
                    self._is_busy = False
                if self._is_closed or len(waiting) >= _MOST_WAITING:
                    return
                if not waiting:
                    self._timer.add(self, _PATIENCE)
                # It must not keep alive what the last job has left in its context.
                task.context = self._context
                waiting.append(worker)
                await trio.lowlevel.wait_task_rescheduled(worker.abort)

    def _call_more(self) -> None:
        """
        Call two more tasks, if there is something for them.

        Jobs that wait for something need a task each. If the tasks that are called find that, too,
        they do the same. So it takes a few turns until there are enough.
        """
        for _, context in list(islice(self.jobs, 1, 3)):
            self._call(context)


def _is_in(context: Context) -> bool:
    """Say whether the calling task's context has the same objects as another one."""
    # Comparing the contexts would compare values: an equal list isn't the same list.
    current = copy_context()
    if len(current) != len(context):
        return False
    for variable, value in context.items():  # noqa: SIM110 - a generator would take longer
        # No value is this context.
        if current.get(variable, context) is not value:
            return False
    return True
