"""The tasks that run requests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from triows._server import pool as pool_module
from triows._server.guarded import GuardedTasks
from triows._server.pool import Pool, Worker
from triows._transports.pinger import Pinger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from triows._server.pool import Job

who = ContextVar("who", default="nobody")


class Jobs:
    """Jobs that note in which task and context they run."""

    def __init__(self) -> None:
        self.tasks: list[trio.lowlevel.Task] = []
        self.workers: list[Worker] = []
        self.seen: list[str] = []
        self.go = trio.Event()

    async def quick(self, worker: Worker) -> None:
        self.workers.append(worker)
        self.tasks.append(trio.lowlevel.current_task())
        self.seen.append(who.get())
        who.set("the last job")
        await trio.lowlevel.checkpoint()
        self.seen.append(who.get())

    async def slow(self, worker: Worker) -> None:
        self.workers.append(worker)
        self.tasks.append(trio.lowlevel.current_task())
        await self.go.wait()

    async def ending(self, worker: Worker) -> None:
        worker.end_at(trio.current_time() + 5)

    async def direct(self, worker: Worker) -> None:
        """Wait for nothing."""
        self.workers.append(worker)
        self.tasks.append(trio.lowlevel.current_task())
        self.seen.append(who.get())
        who.set("the last job")

    async def still(self, worker: Worker) -> None:
        """Wait for nothing, and change nothing."""
        self.workers.append(worker)
        self.tasks.append(trio.lowlevel.current_task())
        self.seen.append(who.get())

    async def failing(self, worker: Worker) -> None:
        self.workers.append(worker)
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


async def test_jobs_that_wait_for_nothing_run_one_after_the_other_in_one_task(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, tasks, _):
        for _ in range(10):
            pool.start(jobs.still, copy_context())
        await wait_all_tasks_blocked()
        assert len(set(jobs.tasks)) == 1
        assert len(jobs.tasks) == 10
        assert len(tasks.child_tasks) == 2


async def test_each_job_has_its_own_context_whatever_the_one_before_it_has_changed(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, _, _):
        for name in ("one", "two", "three"):
            context = copy_context()
            context.run(who.set, name)
            pool.start(jobs.direct, context)
            pool.start(jobs.direct, copy_context())
        await wait_all_tasks_blocked()
        assert sorted(jobs.seen) == ["nobody", "nobody", "nobody", "one", "three", "two"]


async def test_no_two_jobs_share_a_context_if_one_that_waits_runs_beside_another(autojump_clock):
    seen: dict[str, list[str]] = {}

    def job(name: str, turns: int) -> Job:
        async def run(_: Worker) -> None:
            seen[name] = [who.get()]
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            who.set(name)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            seen[name].append(who.get())

        return run

    async with opened() as (pool, _, _):
        for name in ("a", "b", "c"):  # at first, let some tasks wait for jobs
            pool.start(job(name, 1), copy_context())
        await wait_all_tasks_blocked()
        # The first one changes its context, so the second one needs a step of its own.
        for name, turns in (("one", 0), ("two", 3), ("three", 3), ("four", 3)):
            pool.start(job(name, turns), copy_context())
        await wait_all_tasks_blocked()
    assert len(seen) == 7
    assert seen == {name: ["nobody", name] for name in seen}


async def test_many_jobs_that_wait_get_a_task_each_in_a_few_turns(autojump_clock):
    jobs = Jobs()
    turns = 0
    async with opened() as (pool, _, _):
        for _ in range(100):
            pool.start(jobs.slow, copy_context())
        while len(jobs.tasks) < 100:
            await trio.lowlevel.checkpoint()
            turns += 1
        assert turns < 20
        assert len(set(jobs.tasks)) == 100
        jobs.go.set()


async def test_jobs_behind_one_that_fails_are_run_all_the_same(autojump_clock, caplog):
    jobs = Jobs()
    async with opened() as (pool, _, _):
        for job in (jobs.still, jobs.failing, jobs.still, jobs.failing, jobs.still):
            pool.start(job, copy_context())
        await wait_all_tasks_blocked()
        assert jobs.seen == ["nobody"] * 3
    assert caplog.text.count("it has failed") >= 2


async def test_a_job_is_not_lost_if_variables_have_values_that_can_not_be_compared(autojump_clock):
    class Array:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None  # type: ignore[assignment]

    variable: ContextVar[object] = ContextVar("variable")
    variable.set(Array())
    jobs = Jobs()

    async def changing(worker: Worker) -> None:
        variable.set(Array())
        await jobs.direct(worker)

    async with opened() as (pool, _, _):
        for _ in range(3):
            pool.start(changing, copy_context())
        await wait_all_tasks_blocked()
    assert jobs.seen == ["nobody"] * 3


async def test_a_scope_that_a_job_has_not_left_cancels_no_other_job(autojump_clock, caplog):
    jobs = Jobs()

    async def leaving_it_open(_: Worker) -> None:
        trio.move_on_after(1).__enter__()

    async def long(worker: Worker) -> None:
        await trio.sleep(5)
        await jobs.still(worker)

    async with opened() as (pool, _, _):
        pool.start(leaving_it_open, copy_context())
        pool.start(long, copy_context())
        await trio.sleep(10)
    assert jobs.seen == ["nobody"]
    assert "opened and not closed" in caplog.text


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
        pool.start(jobs.slow, copy_context())
        await wait_all_tasks_blocked()
        (worker,) = jobs.workers
        worker.end_at(trio.current_time() + 5)
        worker.end_at(trio.current_time() + 9)  # the earlier one counts
        await trio.sleep(4.9)
        assert len(tasks.child_tasks) == 1
        await trio.sleep(0.2)
        assert len(tasks.child_tasks) == 0
        pool.start(jobs.ending, copy_context())
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


async def test_a_job_can_be_started_from_inside_its_context(autojump_clock):
    jobs = Jobs()
    async with opened() as (pool, _, _):
        context = copy_context()
        context.run(pool.start, jobs.still, context)
        pool.start(jobs.still, copy_context())
        await wait_all_tasks_blocked()
        assert len(jobs.seen) == 2


async def test_a_job_does_not_get_an_equal_object_of_another_one(autojump_clock):
    lists: ContextVar[list[str]] = ContextVar("lists")
    seen: list[list[str]] = []

    async def adding(_worker: Worker) -> None:
        seen.append(lists.get())
        lists.set([])

    async with opened() as (pool, _, _):
        contexts = [copy_context() for _ in range(3)]
        own: list[list[str]] = [[], [], []]
        for context, mine in zip(contexts, own, strict=True):
            context.run(lists.set, mine)
            pool.start(adding, context)
        await wait_all_tasks_blocked()
    assert sorted(map(id, seen)) == sorted(map(id, own))
