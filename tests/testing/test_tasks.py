"""Walks through Trio's tasks, and the shields that are taken away from them."""

import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows.testing._tasks import (
    all_tasks,
    scope_of,
    tasks_below,
    tasks_in,
    top_tasks,
    unshield,
    waits_for_thread,
)


async def parent():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever, name="child")
        await trio.sleep_forever()


def names(tasks):
    return [task.name.rpartition(".")[2] for task in tasks]


async def test_tasks_come_before_the_tasks_in_their_nurseries():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(parent)
        await wait_all_tasks_blocked()
        assert names(tasks_in(nursery)) == ["parent", "child"]
        (task,) = nursery.child_tasks
        assert names(tasks_below(task)) == ["child"]
        everything = list(all_tasks())
        assert set(tasks_in(nursery)) | {trio.lowlevel.current_task()} <= set(everything)
        assert set(top_tasks()) < set(everything)
        nursery.cancel_scope.cancel()


async def test_the_innermost_scope_of_a_task_can_be_cancelled():
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as outer, trio.CancelScope() as inner:
            assert scope_of(trio.lowlevel.current_task()) is inner
            inner.cancel()
            await trio.sleep_forever()
        assert inner.cancelled_caught
        assert not outer.cancel_called
        assert scope_of(trio.lowlevel.current_task()) is nursery.cancel_scope


@pytest.mark.parametrize("shields", [1, 3])
async def test_a_task_without_its_shields_can_be_cancelled(shields):
    async def shielded(left):
        with trio.CancelScope(shield=True):
            if left > 1:
                await shielded(left - 1)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shielded, shields)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        (task,) = nursery.child_tasks
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
        assert nursery.child_tasks
        unshield(task, nursery.cancel_scope)


async def test_a_task_that_waits_for_a_thread_is_recognised():
    go_on = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, go_on.wait)
        nursery.start_soon(trio.sleep_forever)
        await wait_all_tasks_blocked()
        waiting = {waits_for_thread(task) for task in nursery.child_tasks}
        go_on.set()
        nursery.cancel_scope.cancel()
    assert waiting == {True, False}
