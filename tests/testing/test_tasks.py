"""Trio's tasks are walked through, and their shields taken away."""

from __future__ import annotations

import threading
from contextlib import suppress

import trio

from triows.testing._tasks import (
    all_tasks,
    scope_of,
    tasks_below,
    tasks_in,
    top_tasks,
    unshield,
    waits_for_thread,
)


def names(tasks) -> list[str]:
    return [task.name for task in tasks]


async def sleep(task_status=trio.TASK_STATUS_IGNORED) -> None:
    task_status.started(trio.lowlevel.current_task())
    await trio.sleep_forever()


async def parent(task_status) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(sleep, name="child")
        task_status.started()


async def test_a_task_comes_before_those_in_its_nurseries(nursery):
    async with trio.open_nursery() as ours:
        await ours.start(parent, name="parent")
        await ours.start(sleep, name="other")
        found = names(tasks_in(ours))
        assert sorted(found) == ["child", "other", "parent"]
        assert found.index("parent") < found.index("child")
        assert set(tasks_in(ours)) <= set(all_tasks())
        ours.cancel_scope.cancel()


async def test_the_current_task_is_one_of_all_and_the_main_task_is_at_the_top():
    assert trio.lowlevel.current_task() in set(all_tasks())
    assert set(top_tasks()) < set(all_tasks())


async def test_a_system_task_is_at_the_top():
    task = trio.lowlevel.spawn_system_task(trio.lowlevel.checkpoint, name="system")
    assert task in set(top_tasks())
    await trio.testing.wait_all_tasks_blocked()


async def test_a_shielded_task_can_be_cancelled_without_its_shields(autojump_clock):
    ended = []

    async def shielded(task_status) -> None:
        with trio.CancelScope(shield=True), trio.CancelScope(shield=True):
            task_status.started(trio.lowlevel.current_task())
            try:
                await trio.sleep_forever()
            finally:
                ended.append(True)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            task = await nursery.start(shielded)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
            still_there = not ended
            unshield(task, nursery.cancel_scope)
    assert still_there
    assert ended


async def test_shields_above_are_left(autojump_clock):
    with trio.CancelScope(shield=True) as above:
        async with trio.open_nursery() as nursery:
            task = await nursery.start(sleep)
            unshield(task, nursery.cancel_scope)
            nursery.cancel_scope.cancel()
        assert above.shield


async def test_what_waits_for_a_thread_is_recognized():
    release = threading.Event()
    with suppress(trio.Cancelled):
        async with trio.open_nursery() as nursery:
            sleeping = await nursery.start(sleep)
            nursery.start_soon(trio.to_thread.run_sync, release.wait, name="waiting")
            await trio.testing.wait_all_tasks_blocked()
            (waiting,) = (task for task in tasks_in(nursery) if task.name == "waiting")
            assert waits_for_thread(waiting)
            assert not waits_for_thread(sleeping)
            release.set()
            nursery.cancel_scope.cancel()


async def test_the_tasks_in_the_nurseries_of_a_task_are_below_it(nursery):
    async with trio.open_nursery() as ours:
        await ours.start(parent, name="parent")
        (task,) = ours.child_tasks
        assert names(tasks_below(task)) == ["child"]
        ours.cancel_scope.cancel()


async def test_the_innermost_scope_of_a_task_can_be_cancelled():
    with trio.CancelScope() as outer, trio.CancelScope() as inner:
        assert scope_of(trio.lowlevel.current_task()) is inner
        inner.cancel()
        await trio.sleep_forever()
    assert inner.cancelled_caught
    assert not outer.cancel_called
