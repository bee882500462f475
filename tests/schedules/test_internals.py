"""The private names of Trio that schedules use: which they are, and what happens without one."""

import threading
import types
from contextlib import suppress

import pytest
import trio
from trio._core import _run

from _triows_schedules import internals
from _triows_schedules.schedule import Schedule, current_loop, installed_seed


def test_this_release_of_trio_has_all_of_them():
    assert internals.missing() == []


def without(name):
    """Trio's module as if it had no such name."""
    names = {key: value for key, value in vars(_run).items() if key != name}
    return types.SimpleNamespace(**names)


@pytest.mark.parametrize("name", ["_r", "GLOBAL_RUN_CONTEXT", "Deadlines", "Task", "Runner"])
def test_a_name_that_is_gone_is_told(name):
    assert any(f"trio._core._run.{name}" in one for one in internals.missing(without(name)))


def test_a_loop_that_does_not_shuffle_batches_is_told():
    async def unrolled_run():
        """A loop of another kind."""

    run = without("unrolled_run")
    run.unrolled_run = unrolled_run
    assert internals.missing(run) == [
        f"{name} in trio._core._run.unrolled_run"
        for name in ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "shuffle", "_counter")
    ]


def test_trios_module_is_as_before_when_a_schedule_is_over():
    def names():
        return (
            _run._r,
            _run._ALLOW_DETERMINISTIC_SCHEDULING,
            _run.Deadlines.add,
            _run.EntryQueue.run_sync_soon,
            _run.TheIOManager.wait_readable,
        )

    before = names()
    with suppress(ArithmeticError), Schedule(1).installed():
        assert _run._r is not before[0]
        with Schedule(2).installed():
            assert installed_seed() == 2
        assert installed_seed() == 1
        raise ArithmeticError
    assert names() == before


def test_the_task_that_calls_what_threads_hand_over_has_the_name_that_is_expected():
    async def names():
        root = trio.lowlevel.current_root_task()
        return {task.name for nursery in root.child_nurseries for task in nursery.child_tasks}

    assert internals.BYSTANDERS & trio.run(names)


def test_a_thread_that_wakes_the_loop_changes_no_order():
    orders = set()

    async def main(wakes):
        order = []
        token = trio.lowlevel.current_trio_token()

        async def work(n):
            for _ in range(5):
                if wakes:
                    token.run_sync_soon(int)
                await trio.lowlevel.checkpoint()
                order.append(n)

        async with trio.open_nursery() as nursery:
            for n in range(4):
                nursery.start_soon(work, n)
        orders.add(tuple(order))

    for wakes in (True, False):
        with Schedule(1).installed():
            trio.run(main, wakes)
    assert len(orders) == 1
    assert current_loop() is None


async def test_without_the_task_that_runs_nothing_is_hidden(monkeypatch):
    task = trio.lowlevel.current_task()
    with internals.between_steps(), pytest.raises(RuntimeError):
        trio.lowlevel.current_task()
    assert trio.lowlevel.current_task() is task
    monkeypatch.setattr(internals, "LOOP", threading.local())
    with internals.between_steps():
        assert trio.lowlevel.current_task() is task
