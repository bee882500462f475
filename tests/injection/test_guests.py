"""Resources that hold nothing live in the handler's task, and keep the same promise."""

from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from triows import DependencyError, HandlerCancelled, TeardownTimeout
from triows._injection.factories import Factory
from triows._injection.hosts import ResourceStack


def seen_once(call: Any) -> Factory:
    """Make a factory whose first resource was seen to hold nothing."""
    factory = Factory.of(call)
    factory.holding.note(holds=False)
    return factory


@asynccontextmanager
async def opened(*factories: Factory):
    """Enter resources in this task, if they may live there. The test closes the stack."""
    async with trio.open_nursery() as nursery:
        stack = ResourceStack(nursery, lambda _: None, takes_guests=True)
        for factory in factories:
            await stack.enter(factory, {}, 1)
        yield stack
        assert stack.hosts == [], "the test has not closed the stack"


def tasks_of(noted: list[Any]):
    async def factory():
        noted.append(trio.lowlevel.current_task())
        yield
        noted.append(trio.lowlevel.current_task())

    return factory


async def test_only_the_first_resource_of_a_plain_factory_has_a_task_of_its_own():
    noted: list[Any] = []
    factory = Factory.of(tasks_of(noted))
    async with opened(factory, factory) as stack:
        await stack.aclose(seconds=1)
    own = trio.lowlevel.current_task()
    first, second, second_exit, first_exit = noted
    assert (second, second_exit) == (own, own)
    assert first is first_exit is not own


async def test_an_applications_resources_have_tasks_of_their_own():
    noted: list[Any] = []
    async with trio.open_nursery() as nursery:
        stack = ResourceStack(nursery, lambda _: None)
        await stack.enter(seen_once(tasks_of(noted)), {}, 1)
        await stack.aclose(seconds=1)
    assert trio.lowlevel.current_task() not in noted


async def in_a_with():
    with trio.CancelScope():
        yield


async def in_a_loop():
    async for one in in_a_with():
        yield one


def by_delegation():
    yield from ()
    yield


def in_a_sync_with():
    with trio.CancelScope():
        yield


async def with_a_lock():
    lock = trio.Lock()
    await lock.acquire()
    yield
    lock.release()


@pytest.mark.parametrize("call", [in_a_with, in_a_loop, by_delegation, in_a_sync_with, with_a_lock])
async def test_what_may_hold_something_always_has_a_task_of_its_own(call):
    assert seen_once(call).holding.is_possible


def open_scope() -> None:
    trio.CancelScope().__enter__()


async def test_a_factory_whose_first_resource_held_a_scope_always_has_a_task():
    scopes = []

    def enter():
        scopes.append(trio.CancelScope())
        scopes[-1].__enter__()

    async def factory():
        enter()
        yield
        scopes.pop().__exit__(None, None, None)

    made = Factory.of(factory)
    async with opened(made, made) as stack:
        assert all(host.task is not None for host in stack.hosts)
        assert await stack.aclose(seconds=1) == []


async def test_a_scope_that_comes_later_is_refused_at_once_and_exits():
    noted: list[str] = []

    def opening(scope: trio.CancelScope) -> None:
        scope.__enter__()

    def closing(scope: trio.CancelScope) -> None:
        scope.__exit__(None, None, None)

    async def factory():
        scope = trio.CancelScope()
        opening(scope)
        try:
            yield
        finally:
            await trio.lowlevel.checkpoint()
            noted.append("exited")
            closing(scope)

    made = seen_once(factory)
    assert not made.holding.is_possible
    async with opened() as stack:
        with pytest.raises(DependencyError, match="holds a cancel scope at its yield"):
            await stack.enter(made, {}, 1)
    assert noted == ["exited"]
    assert made.holding.is_possible, "the next one has a task"


async def test_awaits_in_an_exit_work_after_the_handler_was_cancelled(autojump_clock):
    noted: list[Any] = []

    async def factory():
        try:
            yield
        except HandlerCancelled as exc:
            await trio.sleep(1)
            noted.append(str(exc))
            raise

    async with opened(seen_once(factory)) as stack:
        with trio.CancelScope() as scope:
            scope.cancel()
            assert await stack.aclose(seconds=2, cancelled="because") == []
    assert len(noted) == 1
    assert "because" in noted[0]


async def test_a_bare_yield_resumes_when_the_handler_was_cancelled():
    noted: list[Any] = []
    async with opened(seen_once(tasks_of(noted))) as stack:
        assert await stack.aclose(seconds=1, cancelled="because") == []
    assert len(noted) == 2


@pytest.mark.parametrize("is_async", [True, False])
async def test_the_handlers_error_is_raised_at_the_yield_and_is_not_a_new_one(is_async: bool):
    seen: list[BaseException] = []

    async def factory():
        try:
            yield
        except ValueError as exc:
            seen.append(exc)
            raise

    def other():
        try:
            yield
        except ValueError as exc:
            seen.append(exc)
            raise

    error = ValueError("handler")
    async with opened(seen_once(factory if is_async else other)) as stack:
        assert await stack.aclose(seconds=1, error=error) == []
    assert seen == [error]


async def test_an_exit_that_fails_does_not_skip_the_others():
    noted: list[Any] = []

    async def failing():
        yield
        raise KeyError("exit")

    async with opened(seen_once(tasks_of(noted)), seen_once(failing)) as stack:
        (error,) = await stack.aclose(seconds=1)
    assert type(error) is KeyError
    assert len(noted) == 2


async def test_an_exit_that_hangs_is_cut_and_leaves_the_others_their_turn(autojump_clock):
    noted: list[Any] = []

    async def hanging():
        yield
        await trio.sleep_forever()

    async with opened(seen_once(tasks_of(noted)), seen_once(hanging)) as stack:
        began = trio.current_time()
        (error,) = await stack.aclose(seconds=4)
        assert trio.current_time() - began == 2
    assert type(error) is TeardownTimeout
    assert "hanging" in str(error)
    assert len(noted) == 2


async def test_a_factory_that_fails_is_not_exited():
    async def factory():
        raise KeyError("entry")
        yield

    async with opened() as stack:
        with pytest.raises(KeyError):
            await stack.enter(seen_once(factory), {}, 1)
        assert stack.hosts == []


async def test_a_resource_forgets_its_task_when_it_waits_at_its_yield():
    async with opened(seen_once(tasks_of([]))) as stack:
        (guest,) = stack.hosts
        assert guest.task is None
        await stack.aclose(seconds=1)
        assert (guest.task, guest.manager) == (None, None)
