"""
Context managers made from generators, which don't change the exceptions that pass through them.

The ones in :mod:`contextlib` set ``__traceback__`` on the exception. If its class doesn't allow
that, as a frozen dataclass doesn't, another error takes its place.

The ones that our own functions return also warn if nobody enters them. Without ``with``, a call
such as ``app.override(...)`` does nothing.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeAlias, TypeVar

from ._where import where_code

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
    from types import FrameType, TracebackType

__all__ = [
    "AsyncGeneratorManager",
    "GeneratorManager",
    "asynccontextmanager",
    "considerate",
    "contextmanager",
    "place_of",
    "warn_unentered",
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
            raise RuntimeError(_no_yield(self.gen)) from None

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
            raise RuntimeError(_one_too_many(self.gen, exc))
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
            raise RuntimeError(_no_yield(self.gen)) from None

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
            raise RuntimeError(_one_too_many(self.gen, exc))
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


def _no_yield(gen: Any) -> str:
    return (
        f"{gen.__qualname__} ended without a yield: let it yield once on every path, or raise an "
        f"error{_place(gen)}"
    )


def _one_too_many(gen: Any, exc: BaseException | None) -> str:
    if exc is None:
        problem = "yielded a second time: let it yield once, and end after that"
    else:
        problem = (
            "yielded again after an error was raised at its yield: let it end, or raise the error "
            "again"
        )
    return f"{gen.__qualname__} {problem}{_place(gen)}"


def _place(gen: Any) -> str:
    """Say where a generator's function is, if it is written in Python."""
    code = getattr(gen, "ag_code", None) or getattr(gen, "gi_code", None)
    return "" if code is None else f"\n  at {where_code(code, gen.__qualname__)}"


class _Watched:
    """What the context managers that our own functions return have in common."""

    #: How a person writes the call, and the keyword in front of it.
    call = ""
    keyword: str
    entered = False
    #: Where it was called.
    place: Place | None = None

    def __del__(self) -> None:
        if not self.entered:
            warn_unentered(self.call, self.keyword, self.place)

    def _refuse(self, problem: str, ending: str = ":`") -> NoReturn:
        self.entered = True  # there is an error already, so no warning has to follow
        raise TypeError(f"{self.call} {problem}: write `{self.keyword} {self.call}{ending}")

    # Type checkers report these themselves, as long as they don't see the methods.
    if not TYPE_CHECKING:

        def __await__(self) -> NoReturn:
            self._refuse("can't be awaited", " as value:`")

        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(name)  # copy() and others look for such methods
            raise AttributeError(
                f"{self.call} returns a context manager, which has no {name!r}: write "
                f"`{self.keyword} {self.call} as value:`, and use the value"
            )


#: A file, a line of it, and the names of its module.
Place: TypeAlias = tuple[str, int, dict[str, Any]]


def place_of(frame: FrameType | None) -> Place | None:
    """Note the line of a frame, without keeping the frame alive."""
    return frame and (frame.f_code.co_filename, frame.f_lineno, frame.f_globals)


def warn_unentered(call: str, keyword: str, place: Place | None) -> None:
    """
    Warn about a context manager that is collected, and that nobody has entered.

    Args:
        call: How a person writes the call.
        keyword: What is missing in front of it.
        place: Where it was called, which is not where it is collected.
    """
    message = f"{call} was never entered, so it did nothing: write `{keyword} {call}:`"
    if place is None:
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        return
    file, line, names = place
    # With the names of the module, Python shows the warning once for each line there.
    registry = names.setdefault("__warningregistry__", {})
    module = names.get("__name__")
    warnings.warn_explicit(message, RuntimeWarning, file, line, module, registry)


class _AsyncContextManager(_Watched, AsyncGeneratorManager[T]):
    keyword = "async with"

    async def __aenter__(self) -> T:
        self.entered = True
        return await super().__aenter__()

    # A `with` without `async` looks for these two.
    def __enter__(self) -> NoReturn:
        self._refuse("is entered by an async block", ":`, in an `async def`")

    def __exit__(self, *exc_info: object) -> None:
        """Never called."""


class _ContextManager(_Watched, GeneratorManager[T]):
    keyword = "with"

    def __enter__(self) -> T:
        self.entered = True
        return super().__enter__()

    if not TYPE_CHECKING:
        # An `async with` looks for these two.
        def __aenter__(self) -> NoReturn:
            self._refuse("is entered by a block without `async`")

        def __aexit__(self, *exc_info: object) -> None:
            """Never called."""


def asynccontextmanager(
    function: Callable[P, AsyncIterator[T]],
) -> Callable[P, AsyncGeneratorManager[T]]:
    """Do the same as :func:`contextlib.asynccontextmanager`."""
    call = f"{function.__qualname__}(...)"

    @wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> AsyncGeneratorManager[T]:
        generator: Any = function(*args, **kwargs)
        manager: _AsyncContextManager[T] = _AsyncContextManager(generator)
        manager.call, manager.place = call, place_of(sys._getframe(1))
        return manager

    return make


def contextmanager(function: Callable[P, Iterator[T]]) -> Callable[P, GeneratorManager[T]]:
    """Use it as :func:`contextlib.contextmanager`."""
    call = f"{function.__qualname__}(...)"

    @wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> GeneratorManager[T]:
        generator: Any = function(*args, **kwargs)
        manager: _ContextManager[T] = _ContextManager(generator)
        manager.call, manager.place = call, place_of(sys._getframe(1))
        return manager

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
