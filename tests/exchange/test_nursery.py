"""The nursery of one exchange, in a task of its own."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from triows._exchange.nursery import OwnNursery


@asynccontextmanager
async def held():
    """Yield an open nursery, what holds it, and the errors of its tasks."""
    errors: list[BaseException] = []
    async with trio.open_nursery() as tasks:
        own = OwnNursery(errors.append)
        yield own, await own.open(tasks), errors
        await own.leave(1)


class Task:
    """Waits, and notes how it ends."""

    def __init__(self) -> None:
        self.ended = False

    async def __call__(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.ended = True


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_its_tasks_run_until_the_handler_is_over(autojump_clock):
    task = Task()
    async with held() as (_, nursery, errors):
        nursery.start_soon(task)
        await trio.sleep(100)
        assert not task.ended
    assert task.ended
    assert errors == []


async def test_they_are_cancelled_when_the_exchange_ends_though_the_handler_goes_on(autojump_clock):
    first, late = Task(), Task()
    async with held() as (own, nursery, errors):
        nursery.start_soon(first)
        await settle()
        own.cancel()
        await settle()
        assert first.ended
        nursery.start_soon(late)  # in its grace, a handler may still start tasks
        await settle()
        assert late.ended
    assert errors == []


async def test_a_task_that_fails_is_told_at_once(autojump_clock):
    async def fail() -> None:
        raise ValueError("a mistake")

    other = Task()
    async with held() as (_, nursery, errors):
        nursery.start_soon(other)
        nursery.start_soon(fail)
        await settle()
        (error,) = errors
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(ValueError) is not None
        assert other.ended


async def test_after_a_failure_nothing_can_be_started(autojump_clock):
    async def fail() -> None:
        raise ValueError

    async with held() as (_, nursery, _):
        nursery.start_soon(fail)
        await settle()
        with pytest.raises(RuntimeError):
            nursery.start_soon(trio.sleep_forever)


async def test_who_cleans_up_has_some_seconds(autojump_clock):
    async def clean_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(50)

    async with trio.open_nursery() as tasks:
        own = OwnNursery(lambda error: None)
        nursery = await own.open(tasks)
        nursery.start_soon(clean_up)
        await settle()
        began = trio.current_time()
        await own.leave(3)
        assert trio.current_time() - began == 3


async def test_one_that_was_never_opened_is_left_at_once(autojump_clock):
    own = OwnNursery(lambda error: None)
    own.cancel()
    await own.leave(100)
    assert trio.current_time() == 0


async def test_one_that_is_opened_while_the_exchange_ends_is_cancelled(autojump_clock):
    own = OwnNursery(lambda error: None)
    own.cancel()
    async with trio.open_nursery() as tasks:
        nursery = await own.open(tasks)
        assert nursery.cancel_scope.cancel_called
        await own.leave(1)
