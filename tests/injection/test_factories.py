"""What a factory is, and whether its yield is guarded: decided without calling it."""

import contextlib
import functools
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
)
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

import pytest
import trio
import trio.lowlevel

from triows import AsyncResource
from triows._injection.factories import (
    Factory,
    FactoryKind,
    factory_kind,
    provided_type,
)


class Connection:
    """What the factories here make."""


async def async_generator():
    yield Connection()


def generator():
    yield Connection()


async def coroutine():
    return Connection()


def function():
    return Connection()


@asynccontextmanager
async def decorated():
    yield Connection()


@contextmanager
def sync_decorated():
    yield Connection()


def annotated_async() -> AbstractAsyncContextManager[Connection]:
    return decorated()


def annotated_sync() -> AbstractContextManager[Connection]:
    return sync_decorated()


def annotated_subclass() -> AsyncExitStack:
    return AsyncExitStack()


def annotated_as_text() -> "AbstractAsyncContextManager[Connection]":
    return decorated()


def annotated_unknown() -> "Missing":  # noqa: F821 - it is what is tested
    return Connection()


def annotated_lock() -> trio.Lock:
    return trio.Lock()


async def coroutine_of_a_manager() -> AbstractAsyncContextManager[Connection]:
    return decorated()


class AsyncManager:
    async def __aenter__(self):
        return Connection()

    async def __aexit__(self, *exc_info):
        pass


class SyncManager:
    def __enter__(self):
        return Connection()

    def __exit__(self, *exc_info):
        pass


class Pool:
    async def connections(self):
        yield Connection()

    async def __call__(self):
        yield Connection()


class Maker:
    def __call__(self):
        return Connection()


class ManagerMaker:
    def __call__(self) -> AbstractAsyncContextManager[Connection]:
        return decorated()


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (async_generator, FactoryKind.ASYNC_GENERATOR),
        (generator, FactoryKind.GENERATOR),
        (coroutine, FactoryKind.COROUTINE),
        (function, FactoryKind.FUNCTION),
        (lambda: "a value", FactoryKind.FUNCTION),
        (lambda: (yield Connection()), FactoryKind.GENERATOR),
        (decorated, FactoryKind.CONTEXT_MANAGER),
        (sync_decorated, FactoryKind.CONTEXT_MANAGER),
        (annotated_async, FactoryKind.CONTEXT_MANAGER),
        (annotated_sync, FactoryKind.CONTEXT_MANAGER),
        (annotated_subclass, FactoryKind.CONTEXT_MANAGER),
        (annotated_as_text, FactoryKind.CONTEXT_MANAGER),
        (annotated_unknown, FactoryKind.FUNCTION),
        (coroutine_of_a_manager, FactoryKind.COROUTINE),
        (Connection, FactoryKind.FUNCTION),
        (AsyncManager, FactoryKind.CONTEXT_MANAGER),
        (SyncManager, FactoryKind.CONTEXT_MANAGER),
        (ExitStack, FactoryKind.CONTEXT_MANAGER),
        (dict, FactoryKind.FUNCTION),
        (len, FactoryKind.FUNCTION),
        (functools.partial(async_generator), FactoryKind.ASYNC_GENERATOR),
        (functools.partial(functools.partial(generator)), FactoryKind.GENERATOR),
        (functools.partial(coroutine), FactoryKind.COROUTINE),
        (functools.partial(decorated), FactoryKind.CONTEXT_MANAGER),
        (functools.partial(AsyncManager), FactoryKind.CONTEXT_MANAGER),
        (Pool().connections, FactoryKind.ASYNC_GENERATOR),
        (Pool(), FactoryKind.ASYNC_GENERATOR),
        (functools.partial(Pool()), FactoryKind.ASYNC_GENERATOR),
        (Maker(), FactoryKind.FUNCTION),
        (ManagerMaker(), FactoryKind.CONTEXT_MANAGER),
    ],
)
def test_the_kind_is_read_from_the_callable(call: Callable[..., Any], kind: FactoryKind):
    assert factory_kind(call) is kind


def test_a_function_that_returns_a_lock_does_not_want_it_acquired():
    assert factory_kind(annotated_lock) is FactoryKind.FUNCTION


@pytest.mark.parametrize("kind", FactoryKind)
def test_only_what_has_to_be_exited_needs_a_task(kind: FactoryKind):
    assert kind.hosted is (kind not in (FactoryKind.COROUTINE, FactoryKind.FUNCTION))


# All together.


@pytest.mark.parametrize(
    "call", [async_generator, decorated, AsyncManager, annotated_async, Pool()]
)
async def test_opening_an_async_resource_gives_an_async_context_manager(call: Callable[..., Any]):
    async with Factory.of(call).open() as value:
        assert isinstance(value, Connection)


@pytest.mark.parametrize("call", [generator, sync_decorated, SyncManager, annotated_sync])
def test_opening_a_sync_resource_gives_a_context_manager(call: Callable[..., Any]):
    with Factory.of(call).open() as value:
        assert isinstance(value, Connection)


def test_opening_a_function_gives_its_value():
    assert isinstance(Factory.of(function).open(), Connection)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (async_generator, "async_generator"),
        (AsyncManager, "AsyncManager"),
        (Pool().connections, "Pool.connections"),
    ],
)
def test_a_factory_is_named_as_its_function_is(call: Callable[..., Any], name: str):
    assert Factory.of(call).name == name


@pytest.mark.parametrize(
    ("annotation", "made"),
    [
        (Connection, Connection),
        (AsyncGenerator[Connection, None], Connection),
        (AsyncResource[Connection], Connection),
        (AsyncIterator[Connection], Connection),
        (Generator[Connection, None, None], Connection),
        (Iterator[Connection], Connection),
        (Awaitable[Connection], Connection),
        (Coroutine[Any, Any, Connection], Connection),
        (AbstractAsyncContextManager[Connection], Connection),
        (AbstractContextManager[Connection], Connection),
        (Awaitable[AsyncIterator[Connection]], Connection),
        (list[Connection], list[Connection]),
        (AsyncIterator[list[int]], list[int]),
    ],
)
def test_the_type_that_is_made_is_looked_for_behind_the_annotation(annotation: Any, made: Any):
    assert provided_type(annotation) == made


def test_a_generator_under_a_decorator_that_wraps_it_is_what_it_was():
    def decorated(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    @decorated
    async def bare():
        yield

    @decorated
    def guarded():
        try:
            yield
        finally:
            pass

    assert factory_kind(bare) is FactoryKind.ASYNC_GENERATOR
    assert factory_kind(guarded) is FactoryKind.GENERATOR
    assert (
        factory_kind(decorated(contextlib.contextmanager(guarded))) is FactoryKind.CONTEXT_MANAGER
    )
