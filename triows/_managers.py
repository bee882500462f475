"""
Context managers made from generators, which don't change the exceptions that pass through them.

The ones in :mod:`contextlib` set ``__traceback__`` on the exception. If its class doesn't allow
that, as a frozen dataclass doesn't, another error takes its place.
"""

from __future__ import annotations

import contextlib
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
    from types import TracebackType

__all__ = [
    "AsyncGeneratorManager",
    "GeneratorManager",
    "asynccontextmanager",
    "considerate",
    "contextmanager",
]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncGeneratorManager(contextlib.AbstractAsyncContextManager[T], Generic[T]):
    """
    Works like what :func:`contextlib.asynccontextmanager` makes.

    Args:
        gen: The generator, which hasn't started yet.
    """

    def __init__(self, gen: AsyncGenerator[T, None]) -> None:
        self.gen = gen

    async def __aenter__(self) -> T:
        try:
            return await anext(self.gen)
        except StopAsyncIteration:
            raise RuntimeError("generator didn't yield") from None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            if exc is None:
                await anext(self.gen)
            else:
                await self.gen.athrow(exc)
        except StopAsyncIteration as stop:
            return exc is not None and stop is not exc
        except BaseException as raised:
            if exc is not None and _is_same(raised, exc):
                _restore(exc, traceback)
                return False
            raise
        try:
            raise RuntimeError(_didnt_stop(exc))
        finally:
            await self.gen.aclose()


class GeneratorManager(contextlib.AbstractContextManager[T], Generic[T]):
    """Works like what :func:`contextlib.contextmanager` makes."""

    def __init__(self, gen: Generator[T, None, None]) -> None:
        self.gen = gen

    def __enter__(self) -> T:
        try:
            return next(self.gen)
        except StopIteration:
            raise RuntimeError("generator didn't yield") from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            if exc is None:
                next(self.gen)
            else:
                self.gen.throw(exc)
        except StopIteration as stop:
            return exc is not None and stop is not exc
        except BaseException as raised:
            if exc is not None and _is_same(raised, exc):
                _restore(exc, traceback)
                return False
            raise
        try:
            raise RuntimeError(_didnt_stop(exc))
        finally:
            self.gen.close()


def _is_same(raised: BaseException, exc: BaseException) -> bool:
    """Say whether a generator only passed on the exception that was thrown into it."""
    if raised is exc:
        return True
    # A generator can't raise these two. Python raises a RuntimeError in their place (PEP 479).
    # Don't use isinstance(): it may ask the exception for its class, and that may fail.
    is_stop = issubclass(type(exc), StopIteration | StopAsyncIteration)
    return is_stop and type(raised) is RuntimeError and raised.__cause__ is exc


def _restore(exc: BaseException, traceback: TracebackType | None) -> None:
    """Take the generator's frames off the traceback again. No exception can refuse this."""
    BaseException.with_traceback(exc, traceback)


def _didnt_stop(exc: BaseException | None) -> str:
    return "generator didn't stop" if exc is None else "generator didn't stop after it was thrown"


def asynccontextmanager(
    function: Callable[P, AsyncIterator[T]],
) -> Callable[P, AsyncGeneratorManager[T]]:
    """Do the same as :func:`contextlib.asynccontextmanager`."""

    @wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> AsyncGeneratorManager[T]:
        generator: Any = function(*args, **kwargs)
        return AsyncGeneratorManager(generator)

    return make


def contextmanager(function: Callable[P, Iterator[T]]) -> Callable[P, GeneratorManager[T]]:
    """Use it as :func:`contextlib.contextmanager`."""

    @wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> GeneratorManager[T]:
        generator: Any = function(*args, **kwargs)
        return GeneratorManager(generator)

    return make


@contextlib.asynccontextmanager
async def _of_async_generator() -> AsyncIterator[None]:
    yield


@contextlib.contextmanager
def _of_generator() -> Generator[None]:
    yield


# The classes that contextlib has no public names for.
_OF_ASYNC_GENERATORS: Any = type(_of_async_generator())
_OF_GENERATORS: Any = type(_of_generator())


def considerate(manager: Any) -> Any:
    """Replace a manager of contextlib's by one of the classes here. Return others unchanged."""
    if type(manager) is _OF_ASYNC_GENERATORS:
        return AsyncGeneratorManager(manager.gen)
    if type(manager) is _OF_GENERATORS:
        return GeneratorManager(manager.gen)
    return manager
