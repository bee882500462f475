from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from tests.inspection.looking import place_of, tasks_below
from triows.inspect import look_at_task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def test_a_task_is_shown_with_the_line_of_the_application_at_which_it_waits(nursery):
    async def waiting() -> None:
        await trio.sleep_forever()  # here

    nursery.start_soon(waiting)
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    node = look_at_task(task)
    here = place_of(test_a_task_is_shown_with_the_line_of_the_application_at_which_it_waits, "here")
    assert node.where.startswith(f"{here} in ")
    assert node.where.endswith(".waiting")
    assert node.source == "await trio.sleep_forever()  # here"
    assert node.name.endswith(".waiting")


async def test_the_frames_go_from_the_tasks_function_to_what_it_waits_in(nursery):
    async def inner() -> None:
        await trio.sleep_forever()

    async def outer() -> None:
        await inner()

    nursery.start_soon(outer)
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    frames = look_at_task(task).frames
    names = [frame.function.rpartition(".")[2] for frame in frames]
    assert names[:3] == ["outer", "inner", "sleep_forever"]
    assert [frame.owner for frame in frames[:3]] == ["application", "application", "system"]


async def test_a_task_without_a_line_of_the_application_is_shown_where_it_begins(nursery):
    nursery.start_soon(trio.sleep_forever)
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    node = look_at_task(task)
    assert node.where.endswith(" in sleep_forever")
    assert {frame.owner for frame in node.frames} == {"system"}


async def test_tasks_are_nested_as_their_nurseries_are(nursery):
    async def branch() -> None:
        async with trio.open_nursery() as first, trio.open_nursery() as second:
            first.start_soon(trio.sleep_forever, name="in the outer")
            second.start_soon(trio.sleep_forever, name="in the inner")
            second.start_soon(trio.sleep_forever, name="beside it")
            await trio.sleep_forever()

    nursery.start_soon(branch)
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    outer, inner = look_at_task(task).nurseries
    assert [node.name for node in outer.tasks] == ["in the outer"]
    assert [node.name for node in inner.tasks] == ["beside it", "in the inner"]


async def test_a_task_that_waits_for_its_nursery_is_shown_at_the_end_of_the_block(nursery):
    async def branch() -> None:
        async with trio.open_nursery() as inner:  # here
            inner.start_soon(trio.sleep_forever)

    nursery.start_soon(branch)
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    test = test_a_task_that_waits_for_its_nursery_is_shown_at_the_end_of_the_block
    assert look_at_task(task).where.startswith(f"{place_of(test, 'here')} in ")


async def test_a_nursery_that_was_cancelled_says_so():
    released = trio.Event()

    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            await released.wait()

    async with trio.open_nursery() as cancelled:
        cancelled.start_soon(stubborn)
        await wait_all_tasks_blocked()
        cancelled.cancel_scope.cancel()
        node = look_at_task(trio.lowlevel.current_task())
        released.set()
    assert node.nurseries[-1].cancelled
    assert "  cancelled" in str(node)


async def test_the_task_that_asks_is_shown_with_all_its_frames():
    def look():
        return look_at_task(trio.lowlevel.current_task())  # here

    async def deeper():
        return look()

    node = await deeper()
    here = place_of(test_the_task_that_asks_is_shown_with_all_its_frames, "here")
    assert node.where.startswith(f"{here} in ")
    functions = [frame.function.rpartition(".")[2] for frame in node.frames]
    assert functions[-2:] == ["deeper", "look"]


async def test_an_async_generator_that_waits_is_looked_into(nursery):
    async def numbers() -> AsyncIterator[int]:
        await trio.sleep_forever()  # here
        yield 1

    async def reading() -> None:
        async with contextlib.aclosing(numbers()) as all_of_them:
            async for _ in all_of_them:
                pass

    nursery.start_soon(reading)
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    here = place_of(test_an_async_generator_that_waits_is_looked_into, "here")
    assert look_at_task(task).where.startswith(f"{here} in ")


async def test_a_task_that_has_not_begun_is_shown_where_it_will(nursery):
    async def later() -> None:
        await trio.sleep_forever()

    nursery.start_soon(later)
    (task,) = nursery.child_tasks
    assert look_at_task(task).where.endswith(".later")


async def test_a_task_that_has_ended_has_no_place():
    async def short() -> trio.lowlevel.Task:
        return trio.lowlevel.current_task()

    found = []

    async def keep() -> None:
        found.append(await short())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep)
    node = look_at_task(found[0])
    assert (node.where, node.source, node.frames, node.nurseries) == ("?", "", (), ())


async def test_a_callback_of_the_loop_may_look_at_tasks():
    seen = []
    task = trio.lowlevel.current_task()
    done = trio.Event()

    def look() -> None:
        seen.append(look_at_task(task))
        done.set()

    trio.lowlevel.current_trio_token().run_sync_soon(look)
    await done.wait()
    assert "await done.wait()" in seen[0].source


async def test_tasks_below_tasks_without_end_are_followed_so_far_and_no_further(nursery):
    async def recurse(depth: int) -> None:
        if depth:
            async with trio.open_nursery() as inner:
                inner.start_soon(recurse, depth - 1)
        else:
            await trio.sleep_forever()

    nursery.start_soon(recurse, 300)
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    node, depth = look_at_task(task), 0
    assert str(node)
    while below := tasks_below(node):
        (node,) = below
        depth += 1
    assert depth == 50


async def test_what_a_name_can_do_to_a_terminal_it_can_not_do_here(nursery):
    nursery.start_soon(trio.sleep_forever, name="\x1b[31mred\n")
    await wait_all_tasks_blocked()
    (task,) = nursery.child_tasks
    assert look_at_task(task).name == "\\x1b[31mred\\n"
