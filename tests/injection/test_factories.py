"""What kind of factory a callable is, and which yields are guarded, without calling it."""

import contextlib
import functools
import inspect
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
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
from typing import Annotated, Any, Self, TypeVar

import pytest
import trio
import trio.lowlevel

from triows import AsyncResource
from triows._injection.factories import (
    UNKNOWN,
    Factory,
    FactoryKind,
    factory_kind,
    made_type,
)
from triows._injection.signatures import signature_of

T = TypeVar("T")


class Connection:
    """The class that the factories here make."""


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


def annotated_unknown() -> "Missing":  # noqa: F821 - this is tested
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


# What it makes. One layer is taken off the annotation, as from the value.


def makes(call: Callable[..., Any]) -> Any:
    return made_type(call, signature_of(call).return_annotation)


def annotated(call: Callable[..., Any], returned: Any) -> Callable[..., Any]:
    """Make a function of the same kind, with another return annotation."""
    if inspect.isasyncgenfunction(call):

        async def wrapper() -> Any:
            yield

    elif inspect.isgeneratorfunction(call):

        def wrapper() -> Any:
            yield

    elif inspect.iscoroutinefunction(call):

        async def wrapper() -> Any: ...

    else:

        def wrapper() -> Any: ...

    wrapper.__annotations__["return"] = returned
    return wrapper


@pytest.mark.parametrize(
    ("call", "annotation", "made"),
    [
        (async_generator, AsyncGenerator[Connection, None], Connection),
        (async_generator, AsyncResource[Connection], Connection),
        (async_generator, AsyncIterator[Connection], Connection),
        (async_generator, AsyncIterable[Connection], Connection),
        (async_generator, AsyncIterator[list[int]], list[int]),
        (async_generator, AsyncIterator[Iterator[int]], Iterator[int]),
        (async_generator, AsyncIterator[None], None),
        (async_generator, Annotated[AsyncIterator[Connection], "a note"], Connection),
        (async_generator, Connection, Connection),  # a type checker complains, but it is clear
        (async_generator, AsyncIterator, UNKNOWN),
        (generator, Generator[Connection, None, None], Connection),
        (generator, Iterator[Connection], Connection),
        (generator, Iterable[Connection], Connection),
        (coroutine, Connection, Connection),
        (coroutine, list[Connection], list[Connection]),
        (coroutine, Awaitable[Connection], Awaitable[Connection]),
        (coroutine, AsyncIterator[Connection], AsyncIterator[Connection]),
        (function, Connection, Connection),
        (function, Connection | None, Connection | None),
        (function, Awaitable[Connection], Connection),
        (function, Coroutine[Any, Any, Connection], Connection),
        (function, Awaitable[AsyncIterator[Connection]], AsyncIterator[Connection]),
        (function, AbstractAsyncContextManager[Connection], Connection),
        (function, AbstractContextManager[Connection], Connection),
        (function, Iterator[Connection], Iterator[Connection]),
    ],
)
def test_what_a_factory_makes_is_what_is_behind_one_layer_of_its_annotation(
    call: Callable[..., Any], annotation: Any, made: Any
):
    assert makes(annotated(call, annotation)) == made


class Owner:
    @classmethod
    def make(cls) -> Self:
        return cls()

    @classmethod
    async def opened(cls) -> AsyncIterator[Self]:
        yield cls()

    @classmethod
    def of_old(cls: type[T]) -> T:
        return cls()

    def again(self) -> "Owner":
        return self

    def fluent(self) -> Self:
        return self


class Heir(Owner):
    pass


@pytest.mark.parametrize("name", ["make", "opened", "of_old", "fluent"])
def test_self_is_the_class_that_the_method_is_bound_to(name: str):
    owner, heir = (Owner(), Heir()) if name == "fluent" else (Owner, Heir)
    assert makes(getattr(owner, name)) is Owner
    assert makes(getattr(heir, name)) is Heir
    assert makes(functools.partial(getattr(heir, name))) is Heir


class EntersToItself:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None: ...


class EntersToItselfOfOld(EntersToItself):
    async def __aenter__(self: T) -> T:
        return self


class EntersToAnother(EntersToItself):
    async def __aenter__(self) -> Connection:
        return Connection()


class EntersToNothing(EntersToItself):
    async def __aenter__(self) -> None: ...


class InheritsEntering(AbstractContextManager):
    def __exit__(self, *exc_info: object) -> None: ...


@pytest.mark.parametrize(
    ("cls", "made"),
    [
        (Connection, Connection),
        (EntersToItself, EntersToItself),
        (EntersToItselfOfOld, EntersToItselfOfOld),
        (EntersToAnother, Connection),
        (EntersToNothing, None),
        (InheritsEntering, InheritsEntering),
        (AsyncManager, UNKNOWN),
        (trio.CancelScope, trio.CancelScope),
        (trio.Lock, trio.Lock),
    ],
)
def test_a_class_makes_what_entering_it_gives_or_its_instance(cls: Any, made: Any):
    assert makes(cls) is made


@pytest.mark.parametrize(
    "cls",
    [
        trio.Lock, trio.StrictFIFOLock, trio.Semaphore, trio.CapacityLimiter, trio.Condition,
        threading.Semaphore,
    ],
)  # fmt: skip
def test_the_factory_of_a_lock_makes_the_lock_and_does_not_acquire_it(cls: Any):
    assert factory_kind(cls) is FactoryKind.FUNCTION


def test_a_pool_that_can_be_acquired_from_is_entered():
    class Pool(EntersToItself):
        async def acquire(self) -> Connection: ...
        async def release(self, connection: Connection) -> None: ...

    assert factory_kind(Pool) is FactoryKind.CONTEXT_MANAGER


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
