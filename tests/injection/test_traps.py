"""
Three obvious designs for closing resources, and what breaks each of them. Ours doesn't break.

Every test runs twice: with the design that breaks, where it has to fail, and with a real
connection.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, TypeAlias

import pytest
import trio
from trio.testing import MockClock

from tests.connecting import connect
from triows import Triows, WebSocket, WebSocketRoute, use

Factory: TypeAlias = Callable[[], Any]
#: Enters all factories, calls the handler, exits them.
Design: TypeAlias = Callable[[Sequence[Factory], Callable[[], Awaitable[None]]], Awaitable[None]]


async def exit_stack(factories, handler):
    async with AsyncExitStack() as stack:
        for factory in factories:
            await stack.enter_async_context(asynccontextmanager(factory)())
        await handler()


async def shielded_exits(factories, handler):
    stack = AsyncExitStack()
    try:
        for factory in factories:
            await stack.enter_async_context(asynccontextmanager(factory)())
        await handler()
    finally:
        with trio.CancelScope(shield=True):
            await stack.aclose()


async def late_shield(factories, handler):
    with trio.CancelScope() as scope:
        async with AsyncExitStack() as stack:
            for factory in factories:
                await stack.enter_async_context(asynccontextmanager(factory)())
            try:
                await handler()
            finally:
                scope.shield = True


async def real_connection(factories, handler):
    async def ws_handler(ws: WebSocket, **resources: object) -> None:
        await ws.accept()
        await handler()

    annotations = {"ws": WebSocket}
    for number, factory in enumerate(factories):
        annotations[f"resource_{number}"] = Annotated[object, use(factory)]
    ws_handler.__signature__ = inspect.Signature(
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
        for name, annotation in annotations.items()
    )
    route = WebSocketRoute("/")
    route.ws_handler(ws_handler)
    async with connect(Triows(route), "/"):
        await trio.sleep_forever()


def falls_into(design: Design, *raises: type[BaseException]) -> Any:
    """A test parameter: with this design, the test has to fail with one of these exceptions."""
    return pytest.param(design, marks=pytest.mark.xfail(raises=raises, strict=True))


def run_cancelled(design: Design, *factories: Factory) -> None:
    """Run a design, and cancel it from outside after a second, while the handler sleeps."""

    async def main() -> None:
        with trio.move_on_after(1) as scope:
            await design(factories, trio.sleep_forever)
        assert scope.cancelled_caught

    # Run it in a loop of its own, because one of these designs may leave a loop broken.
    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("design", [falls_into(exit_stack, AssertionError), real_connection])
def test_awaits_in_finally_work_after_the_handler_was_cancelled(design: Design):
    done = []

    async def transaction():
        try:
            yield
        finally:
            await trio.sleep(1)
            done.append("rolled back")

    run_cancelled(design, transaction)
    assert done == ["rolled back"]


@pytest.mark.parametrize("design", [falls_into(shielded_exits, RuntimeError), real_connection])
def test_a_factory_may_hold_a_nursery_across_its_yield(design: Design):
    async def pool():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            yield nursery
            nursery.cancel_scope.cancel()

    run_cancelled(design, pool)


@pytest.mark.parametrize("design", [falls_into(shielded_exits, RuntimeError), real_connection])
def test_a_factory_may_hold_a_cancel_scope_across_its_yield(design: Design):
    async def in_an_hour():
        with trio.move_on_after(3600) as scope:
            yield scope

    run_cancelled(design, in_an_hour)


@pytest.mark.parametrize("design", [falls_into(late_shield, AssertionError), real_connection])
def test_a_factorys_own_tasks_live_until_it_is_released(design: Design):
    events = []

    async def work():
        try:
            await trio.sleep_forever()
        finally:
            events.append("worker ended")

    async def pool():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            try:
                yield nursery
            finally:
                events.append("released")
                nursery.cancel_scope.cancel()

    run_cancelled(design, pool)
    assert events == ["released", "worker ended"]


@pytest.mark.parametrize("design", [falls_into(late_shield, AssertionError), real_connection])
def test_awaits_work_in_what_is_nested_in_a_factorys_nursery(design: Design):
    done = []

    async def pool():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                yield nursery
            finally:
                await trio.sleep(1)
                done.append("pool")
                nursery.cancel_scope.cancel()

    async def connection():
        try:
            yield
        finally:
            await trio.sleep(1)
            done.append("connection")

    run_cancelled(design, pool, connection)
    assert done == ["connection", "pool"]
