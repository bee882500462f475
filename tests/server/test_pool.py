"""The tasks that run requests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from triows._server import pool as pool_module
from triows._server.guarded import GuardedTasks
from triows._server.pool import Pool
from triows._transports.pinger import Pinger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

who = ContextVar("who", default="nobody")


class Jobs:
    """Jobs that note in which task and context they run."""

    def __init__(self) -> None:
        self.tasks: list[trio.lowlevel.Task] = []
        self.seen: list[str] = []
        self.go = trio.Event()

    async def quick(self) -> None:
        self.tasks.append(trio.lowlevel.current_task())
        self.seen.append(who.get())
        who.set("the last job")
        await trio.lowlevel.checkpoint()
        self.seen.append(who.get())

    async def slow(self) -> None:
        self.tasks.append(trio.lowlevel.current_task())
        await self.go.wait()

    async def failing(self) -> None:
        self.tasks.append(trio.lowlevel.current_task())
        raise LookupError("it has failed")


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Pool, trio.Nursery, Pinger]]:
    """Run a pool. It has to end its tasks when it's closed."""
    pinger = Pinger()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pinger.run)
        async with trio.open_nursery() as tasks:
            pool = Pool(GuardedTasks(tasks), pinger, copy_context())
            try:
                yield pool, tasks, pinger
            finally:
                pool.close()
        assert len(pinger) == 0
        nursery.cancel_scope.cancel()


async def test_a_task_is_used_again_with_the_context_of_the_next_job(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, _, _):
        for name in ("one", "two"):
            context = copy_context()
            context.run(who.set, name)
            pool.start(jobs.quick, context)
            await wait_all_tasks_blocked()
        assert jobs.tasks[0] is jobs.tasks[1]
        assert jobs.seen == ["one", "the last job", "two", "the last job"]
        # A task that waits keeps nothing of it.
        assert jobs.tasks[0].context.get(who) is None


async def test_a_job_that_starts_while_others_run_has_a_task_of_its_own(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, tasks, _):
        for _ in range(3):
            pool.start(jobs.slow, copy_context())
        await wait_all_tasks_blocked()
        assert len(set(jobs.tasks)) == len(tasks.child_tasks) == 3
        jobs.go.set()


async def test_tasks_that_nobody_needs_end_soon(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, tasks, pinger):
        for _ in range(3):
            pool.start(jobs.slow, copy_context())
        await wait_all_tasks_blocked()
        jobs.go.set()
        await wait_all_tasks_blocked()
        assert len(tasks.child_tasks) == 3
        await trio.sleep(0.3)
        assert (len(tasks.child_tasks), len(pinger)) == (0, 0)


async def test_a_task_that_is_needed_stays_and_the_others_end(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, tasks, _):
        for _ in range(3):
            pool.start(jobs.slow, copy_context())
        await wait_all_tasks_blocked()
        jobs.go.set()
        for _ in range(20):
            await trio.sleep(0.05)
            pool.start(jobs.quick, copy_context())
            await wait_all_tasks_blocked()
        assert len(tasks.child_tasks) == 1
        assert len(set(jobs.tasks)) == 3


async def test_only_so_many_tasks_wait(autojump_clock, monkeypatch):
    monkeypatch.setattr(pool_module, "_MOST_WAITING", 2)
    jobs = Jobs()
    async with opened() as (pool, tasks, _):
        for _ in range(5):
            pool.start(jobs.slow, copy_context())
        await wait_all_tasks_blocked()
        jobs.go.set()
        await wait_all_tasks_blocked()
        assert len(tasks.child_tasks) == 2


async def test_a_job_that_fails_ends_its_task_and_is_logged(autojump_clock, caplog):
    jobs = Jobs()
    async with opened() as (pool, tasks, _):
        pool.start(jobs.failing, copy_context())
        await wait_all_tasks_blocked()
        assert len(tasks.child_tasks) == 0
        pool.start(jobs.quick, copy_context())
        await wait_all_tasks_blocked()
        assert jobs.tasks[0] is not jobs.tasks[1]
    assert "it has failed" in caplog.text


async def test_a_job_is_cancelled_at_its_end_and_its_task_not_used_again(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, tasks, _):
        worker = pool.start(jobs.slow, copy_context())
        worker.end_at(trio.current_time() + 5)
        worker.end_at(trio.current_time() + 9)  # the earlier one counts
        await trio.sleep(4.9)
        assert len(tasks.child_tasks) == 1
        await trio.sleep(0.2)
        assert len(tasks.child_tasks) == 0
        quick = pool.start(jobs.quick, copy_context())
        quick.end_at(trio.current_time() + 5)
        await wait_all_tasks_blocked()
        assert len(tasks.child_tasks) == 0


async def test_tasks_that_wait_can_be_cancelled(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, tasks, _):
        pool.start(jobs.quick, copy_context())
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
        assert len(tasks.child_tasks) == 0


async def test_a_job_that_was_running_ends_its_task_when_the_pool_is_closed(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, tasks, _):
        pool.start(jobs.slow, copy_context())
        await wait_all_tasks_blocked()
        pool.close()
        jobs.go.set()
        await wait_all_tasks_blocked()
        assert len(tasks.child_tasks) == 0
