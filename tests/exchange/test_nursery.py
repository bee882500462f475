from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._exchange.nursery import OwnNursery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Opened = tuple[OwnNursery, trio.Nursery, list[BaseException]]


class Boom(Exception):
    pass


class Noting:
    """A task that notes when it was cancelled, and cleans up for some seconds."""

    def __init__(self, cleanup: float = 0) -> None:
        self.ended: float | None = None
        self._cleanup = cleanup

    async def __call__(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.ended = trio.current_time()
            with trio.CancelScope(shield=True):
                await trio.sleep(self._cleanup)


async def fail() -> None:
    raise Boom


@asynccontextmanager
async def opened(seconds: float = 5) -> AsyncIterator[Opened]:
    """Open a nursery, and leave it at the end of the block."""
    errors: list[BaseException] = []
    async with trio.open_nursery() as tasks:
        own = OwnNursery(errors.append)
        nursery = await own.open(tasks)
        try:
            yield own, nursery, errors
        finally:
            await own.leave(seconds)


async def test_its_tasks_are_cancelled_when_it_is_left(autojump_clock):
    task = Noting()
    async with opened() as (_, nursery, errors):
        nursery.start_soon(task)
        await trio.sleep(3)
    assert (task.ended, errors) == (3, [])


async def test_it_is_left_after_so_many_seconds_whatever_its_tasks_do(autojump_clock):
    async with trio.open_nursery() as tasks:
        own = OwnNursery([].append)
        (await own.open(tasks)).start_soon(Noting(cleanup=100))
        await wait_all_tasks_blocked()
        await own.leave(5)
        assert trio.current_time() == 5
    assert trio.current_time() == 100


async def test_when_it_is_cancelled_tasks_that_start_later_end_at_once(autojump_clock):
    early, late = Noting(), Noting()
    async with opened() as (own, nursery, errors):
        nursery.start_soon(early)
        await trio.sleep(1)
        own.cancel()
        await trio.sleep(1)
        nursery.start_soon(late)
        await trio.sleep(1)
    assert (early.ended, late.ended, errors) == (1, 2, [])


async def test_it_may_be_cancelled_before_it_is_open(autojump_clock):
    task = Noting()
    async with trio.open_nursery() as tasks:
        own = OwnNursery([].append)
        own.cancel()
        nursery = await own.open(tasks)
        nursery.start_soon(task)
        await trio.sleep(1)
        assert task.ended == 0
        await own.leave(5)


async def test_a_task_that_fails_is_reported_once_and_cancels_the_others(autojump_clock):
    other = Noting()
    async with opened() as (_, nursery, errors):
        nursery.start_soon(other)
        await trio.sleep(1)
        nursery.start_soon(fail)
        await trio.sleep(1)
        (error,) = errors
    assert isinstance(error, ExceptionGroup)
    assert [type(one) for one in error.exceptions] == [Boom]
    assert other.ended == 1
    assert errors == [error]


async def test_a_nursery_in_which_a_task_has_failed_is_closed(autojump_clock):
    async with opened() as (_, nursery, _errors):
        nursery.start_soon(fail)
        await trio.sleep(1)
        with pytest.raises(RuntimeError):
            nursery.start_soon(fail)


async def test_an_error_in_the_cleanup_of_a_task_is_reported():
    async def clean_up_badly() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    async with opened() as (_, nursery, errors):
        nursery.start_soon(clean_up_badly)
        await wait_all_tasks_blocked()
    assert len(errors) == 1


async def test_a_cancellation_from_outside_leaves_it_open_until_the_handler_is_over(
    autojump_clock,
):
    """The handler may not know of it yet, and a nursery that is closed would raise."""
    late, errors = Noting(), []
    async with trio.open_nursery() as tasks:
        own = OwnNursery(errors.append)
        nursery = await own.open(tasks)
        nursery.start_soon(Noting())
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
            nursery.start_soon(late)
            await trio.sleep(1)
            await own.leave(5)
    assert (late.ended, errors) == (1, [])


async def test_one_that_nobody_opened_is_left_at_once(autojump_clock):
    own = OwnNursery([].append)
    await trio.lowlevel.checkpoint()
    await own.leave(5)
    assert trio.current_time() == 0


class Later:
    """Starts what it is told to start only when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def start_soon(self, *args: object, name: str) -> None:
        self.calls.append(args)


async def test_one_that_is_left_before_it_was_opened_leaves_no_task(autojump_clock):
    own, later = OwnNursery([].append), Later()
    with trio.move_on_after(1):
        await own.open(later)
    await own.leave(5)
    with trio.move_on_after(9):
        async with trio.open_nursery() as tasks:
            tasks.start_soon(*later.calls[0])
    assert trio.current_time() == 1
