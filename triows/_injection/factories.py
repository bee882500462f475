"""
What a resource factory is: decided once, when it is registered.

A factory is an async generator function, a generator function, a context manager factory
(async or not) or a plain function (async or not). The first four make resources that have
to be exited and live in a task of their own; the last two just return a value.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Coroutine,
    Generator,
    Iterator,
)
from typing import TYPE_CHECKING, Any, get_args, get_origin

from attrs import frozen

from triows._where import name_of

from .yields import BareYields, bare_yields, stands_at_bare

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Factory", "FactoryKind", "factory_kind", "provided_type"]


class FactoryKind(enum.Enum):
    """How a factory makes its value and what has to happen after."""

    ASYNC_GENERATOR = "async generator"
    GENERATOR = "generator"
    CONTEXT_MANAGER = "context manager"
    COROUTINE = "async function"
    FUNCTION = "function"

    @property
    def hosted(self) -> bool:
        """Whether the value has to be exited, so that it needs a task of its own."""
        return self not in (FactoryKind.COROUTINE, FactoryKind.FUNCTION)


@frozen(eq=False)
class Factory:
    """A factory with all that has to be known of it while connections are served."""

    call: Callable[..., Any]
    kind: FactoryKind
    name: str
    #: Of a generator function, where its bare yields are.
    bare: BareYields

    #: Called with the arguments. A hosted kind returns a context manager to be entered.
    open: Callable[..., Any]

    @classmethod
    def of(cls, call: Callable[..., Any]) -> Factory:
        """Look at a user's factory."""
        kind = factory_kind(call)
        generator = kind in _FROM_GENERATOR
        return cls(
            call=call,
            kind=kind,
            name=name_of(call),
            bare=bare_yields(_body(call)) if generator else {},
            open=_FROM_GENERATOR[kind](call) if generator else call,
        )

    def is_guarded(self, manager: object) -> bool:
        """
        Whether a resource that stands at its ``yield`` wants to see how its handler ended.

        A context manager always does; a generator if that ``yield`` is inside ``try`` or
        ``with``.

        Args:
            manager: What :attr:`open` returned, entered.
        """
        return not stands_at_bare(getattr(manager, "gen", None), self.bare)


_FROM_GENERATOR: dict[FactoryKind, Callable[..., Any]] = {
    FactoryKind.ASYNC_GENERATOR: contextlib.asynccontextmanager,
    FactoryKind.GENERATOR: contextlib.contextmanager,
}


def _body(call: Any) -> Any:
    """The function whose code runs: behind ``functools.partial`` and ``__call__``."""
    while isinstance(call, functools.partial):
        call = call.func
    if not inspect.isroutine(call) and not isinstance(call, type):
        return type(call).__call__
    return call


def factory_kind(call: Callable[..., Any]) -> FactoryKind:
    """
    Tell what kind of factory *call* is, without calling it.

    A class is a context manager factory if its instances are context managers; a function
    is one if it is decorated with :func:`contextlib.contextmanager` or
    :func:`~contextlib.asynccontextmanager`, or is annotated to return a context manager.
    """
    body = _body(call)
    if inspect.isasyncgenfunction(body):
        return FactoryKind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(body):
        return FactoryKind.GENERATOR
    if inspect.iscoroutinefunction(body):
        return FactoryKind.COROUTINE
    if isinstance(body, type):
        returned: Any = body
    else:
        if (kind := _wrapped_kind(body)) is not None:
            return kind
        returned = _return_annotation(body)
        returned = get_origin(returned) or returned
        if not _is_manager_type(returned, abstract_only=True):
            return FactoryKind.FUNCTION
    return FactoryKind.CONTEXT_MANAGER if _is_manager_type(returned) else FactoryKind.FUNCTION


def _wrapped_kind(body: Any) -> FactoryKind | None:
    """
    The kind of a function under decorators that use :func:`functools.wraps`.

    One of :mod:`contextlib`'s among them makes a context manager of a generator; others
    pass on what the generator function returns.
    """
    wrapped = inspect.unwrap(body)
    if wrapped is body:
        return None
    decorators = body
    while decorators is not wrapped:
        if getattr(decorators, "__globals__", {}).get("__name__") == contextlib.__name__:
            return FactoryKind.CONTEXT_MANAGER
        decorators = decorators.__wrapped__
    if inspect.isasyncgenfunction(wrapped):
        return FactoryKind.ASYNC_GENERATOR
    return FactoryKind.GENERATOR if inspect.isgeneratorfunction(wrapped) else None


# A function that returns, say, a trio.Lock does not want it acquired. So the annotation of
# a function must name a context manager as such.
_MANAGERS = (contextlib.AbstractAsyncContextManager, contextlib.AbstractContextManager)


def _is_manager_type(returned: Any, *, abstract_only: bool = False) -> bool:
    if not isinstance(returned, type):
        return False
    if abstract_only:
        return returned in _MANAGERS or any(base in _MANAGERS for base in returned.__mro__)
    return issubclass(returned, _MANAGERS)


def _return_annotation(call: Callable[..., Any]) -> Any:
    try:
        return inspect.get_annotations(call, eval_str=True).get("return")
    except (NameError, TypeError, AttributeError, SyntaxError):
        # An annotation that can't be evaluated is reported where the factory is planned.
        return None


_MAKERS = (
    AsyncGenerator,
    AsyncIterator,
    Generator,
    Iterator,
    Awaitable,
    contextlib.AbstractAsyncContextManager,
    contextlib.AbstractContextManager,
)


def provided_type(returned: Any) -> Any:
    """The type of the value behind a factory's return annotation."""
    origin = get_origin(returned)
    if isinstance(origin, type) and issubclass(origin, _MAKERS):
        args = get_args(returned)
        # What a generator yields stands first, what a coroutine returns last.
        which = -1 if issubclass(origin, Coroutine) else 0
        return provided_type(args[which]) if args else None
    return returned
