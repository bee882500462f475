"""Tasks whose errors don't end the others."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._server.guarded import GuardedTasks


def logged(caplog):
    """The errors that were logged, each with those in it."""
    return [
        [repr(one) for one in getattr(record.exc_info[1], "exceptions", [record.exc_info[1]])]
        for record in caplog.records
    ]


async def fail(error):
    raise error


async def fail_when_cancelled():
    """End with an error and a cancellation in one group, as nurseries do."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("lost in the cleanup")


async def test_an_error_is_logged_and_the_others_go_on(caplog):
    async with trio.open_nursery() as nursery:
        tasks = GuardedTasks(nursery)
        tasks.start_soon(trio.sleep_forever)
        tasks.start_soon(fail, ValueError("mine"))
        await wait_all_tasks_blocked()
        assert len(tasks.live) == 1
        nursery.cancel_scope.cancel()
    assert logged(caplog) == [["ValueError('mine')"]]


async def test_an_error_that_comes_with_a_cancellation_is_logged_once_and_ends_there(caplog):
    async with trio.open_nursery() as nursery:
        GuardedTasks(nursery).start_soon(fail_when_cancelled)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert nursery.cancel_scope.cancelled_caught
    assert logged(caplog) == [["ValueError('lost in the cleanup')"]]


async def test_a_cancellation_alone_is_not_logged(caplog):
    async with trio.open_nursery() as nursery:
        tasks = GuardedTasks(nursery)
        tasks.start_soon(trio.sleep_forever)
        tasks.end_at(trio.current_time() + 1)
    assert nursery.cancel_scope.cancelled_caught
    assert not caplog.records


async def test_an_interruption_goes_on_with_everything_that_came_with_it(caplog):
    both = BaseExceptionGroup("", [KeyboardInterrupt(), ValueError("beside")])
    with pytest.RaisesGroup(KeyboardInterrupt, ValueError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            GuardedTasks(nursery).start_soon(fail, both)
    assert not caplog.records


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit()])
async def test_an_error_that_is_no_exception_is_logged_too(caplog, error):
    async with trio.open_nursery() as nursery:
        GuardedTasks(nursery).start_soon(fail, error)
    assert logged(caplog) == [[repr(error)]]


async def test_a_cancellation_whose_scope_is_over_is_an_error_and_ends_no_other_task(caplog):
    async def keep():
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as exc:
                kept = exc
        raise kept

    async with trio.open_nursery() as nursery:
        tasks = GuardedTasks(nursery)
        tasks.start_soon(trio.sleep_forever)
        tasks.start_soon(keep)
        await wait_all_tasks_blocked()
        assert len(tasks.live) == 1
        nursery.cancel_scope.cancel()
    ((error,),) = logged(caplog)
    assert "nothing has cancelled this task" in error
