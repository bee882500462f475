"""Scopes that a peer needs: :func:`requires`, which works like Starlette's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from contextvars import ContextVar
from typing import Any, TypeVar
from weakref import WeakSet

from attrs import frozen

from ._where import name_of, where
from .exceptions import RouteSetupError

__all__ = [
    "Requirement",
    "note_checked",
    "note_registered",
    "refuse_as_factory",
    "refuse_as_handler",
    "refuse_in_list",
    "requirements_of",
    "requires",
]

H = TypeVar("H", bound=Callable[..., Any])

_MARK = "__triows_requires__"

#: What has been checked for the connection that a task serves.
_checked: ContextVar[tuple[Requirement, ...]] = ContextVar("triows requires", default=())

#: Handlers that are registered. A decorator around one of them would come too late: nobody would
#: call what it returns.
_registered: WeakSet[Any] = WeakSet()


@frozen(eq=False)
class Requirement:
    """
    Decorates a handler that only some peers may reach. :func:`requires` makes it.

    Attributes:
        scopes: The scopes that the peer needs, all of them.
        status: The status of the refusal.
    """

    scopes: tuple[str, ...]
    status: int

    def __call__(self, func: H, /) -> H:
        """
        Mark a handler.

        The routes read the mark, and check the peer before they make anything for the connection.
        The returned function makes sure that they did. So if a decorator loses the mark, nobody
        gets in.

        Raises:
            RouteSetupError: It isn't a handler, or it is registered already.
        """
        _check(func)
        guarded = self._guarded(func)
        setattr(guarded, _MARK, self)
        return guarded  # type: ignore[return-value]  # called as the handler is

    def _guarded(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of the same form that makes sure that somebody has checked."""

        @functools.wraps(func)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            self._check_checked(func)
            return await func(*args, **kwargs)

        @functools.wraps(func)
        async def iterated(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            self._check_checked(func)
            async with aclosing(func(*args, **kwargs)) as parts:
                async for part in parts:
                    yield part

        @functools.wraps(func)
        def called(*args: Any, **kwargs: Any) -> Any:
            self._check_checked(func)
            return func(*args, **kwargs)

        if _is_any(inspect.iscoroutinefunction, func):
            return awaited
        return iterated if _is_any(inspect.isasyncgenfunction, func) else called

    def _check_checked(self, func: Callable[..., Any]) -> None:
        if self not in _checked.get():
            raise RouteSetupError(
                f"{name_of(func)} was called, and the scopes that it requires were not "
                "checked: register what @requires returns as the handler of a route, and let "
                "decorators around it use functools.wraps",
                where(func),
            )

    def is_met(self, scope: Mapping[str, Any]) -> bool:
        """
        Say whether the peer has all scopes.

        Raises:
            RouteSetupError: Nobody has authenticated it.
        """
        auth = scope.get("auth")
        if auth is None:
            raise RouteSetupError(
                "@requires needs what Starlette's AuthenticationMiddleware finds out, and it has "
                "not run: write Triows(middlewares=[Middleware(AuthenticationMiddleware, "
                "backend=...)])"
            )
        return all(one in auth.scopes for one in self.scopes)


def requires(
    scopes: str | Sequence[str], status_code: int = 403, *, redirect: None = None
) -> Requirement:
    """
    Let only peers with some permission scopes reach a handler of either kind. Refuse others.

        @route.endpoint
        @requires("admin")
        async def console(ws: WebSocket) -> None: ...

    Write it below the route's decorator. The permission scopes are those in ``auth`` of the ASGI
    scope, which Starlette's ``AuthenticationMiddleware`` sets. Without it, everybody is refused
    with 500, and the error is logged. The check comes first: no parameter has been read and no
    factory called.

    Args:
        scopes: One permission scope, or several. The peer needs all of them.
        status_code: The status of the refusal, from 400 to 499.
        redirect: Starlette's decorator has this. You can't use it here, because browsers don't
            follow redirects of a WebSocket handshake. For pages, raise an ``HTTPException`` that
            has a ``location`` in a guard.

    Raises:
        RouteSetupError: An argument can't work, or the decorated function isn't a handler, or is
            registered already.
    """
    if callable(scopes):
        raise RouteSetupError(
            'requires() takes scopes: write @requires("...") with parentheses', where(scopes)
        )
    listed = _scopes(scopes)
    if not listed:
        raise RouteSetupError(f"requires() takes at least one scope, each a str, not {scopes!r}")
    if redirect is not None:
        raise RouteSetupError(
            "browsers don't follow redirects of a WebSocket handshake: leave out redirect="
        )
    # Type checkers say so too, but not everybody runs one.
    given: object = status_code
    if isinstance(given, bool) or not isinstance(given, int) or given not in _REFUSED:
        raise RouteSetupError(f"requires() refuses with a status from 400 to 499, not {given!r}")
    return Requirement(listed, status_code)


_REFUSED = range(400, 500)


def _scopes(given: Any) -> tuple[str, ...]:
    """Return the scopes as a tuple, which is empty if one of them can't be a scope."""
    if isinstance(given, str):
        given = [given]
    found = tuple(given) if isinstance(given, Iterable) else ()
    return found if all(isinstance(one, str) and one for one in found) else ()


def _check(func: Any) -> None:
    at = where(func)
    if _is_starlettes(func):
        raise RouteSetupError(_NOT_STARLETTES, at)
    is_async = _is_any(_is_async, func)
    if not (is_async or _is_plain(func)):
        raise RouteSetupError(
            f"@requires decorates a handler, an `async def` or a `def`, not {func!r}: put it below "
            "the route's decorator",
            at,
        )
    with suppress(TypeError):  # it can't be hashed, or can't have weak references
        if func in _registered:
            raise RouteSetupError(
                f"a route has taken {name_of(func)} already, without @requires: put @requires "
                "below the route's decorator, so that the route gets what it returns",
                at,
            )


def _is_async(func: Any) -> bool:
    return inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func)


def _is_any(check: Callable[[Any], bool], func: Any) -> bool:
    """Say whether *check* is true of a function, or of the ``__call__`` of an object."""
    call = None if inspect.isclass(func) else getattr(func, "__call__", None)  # noqa: B004
    return check(func) or check(call)


def _is_plain(func: Any) -> bool:
    """Say whether it is a ``def`` that can be a handler, and isn't around something async."""
    return (
        inspect.isroutine(func)
        and getattr(func, "__name__", "") != "<lambda>"
        and not any(_is_async(one) or inspect.isgeneratorfunction(one) for one in _chain(func))
    )


_NOT_STARLETTES = (
    "Starlette's @requires works only in Starlette's own routes: write triows.requires, which "
    "takes the same scopes"
)


def _chain(func: Any) -> Iterator[Any]:
    """Yield a function and what it is wrapped around, from the outside in."""
    seen: set[int] = set()
    while func is not None and id(func) not in seen:
        seen.add(id(func))
        yield func
        if isinstance(func, functools.partial):
            func = func.func
        elif inspect.ismethod(func):
            func = func.__func__
        elif inspect.isfunction(func):
            func = getattr(func, "__wrapped__", None)
        elif inspect.isclass(func):
            func = None
        else:
            func = getattr(func, "__wrapped__", None) or getattr(type(func), "__call__", None)  # noqa: B004


def _is_starlettes(func: Any) -> bool:
    return any(
        inspect.isfunction(one) and one.__globals__.get("__name__") == "starlette.authentication"
        for one in _chain(func)
    )


def requirements_of(handler: Any) -> tuple[Requirement, ...]:
    """Return what :func:`requires` says about a handler, the outermost first."""
    found = [getattr(one, "__dict__", {}).get(_MARK) for one in _chain(handler)]
    return tuple(dict.fromkeys(one for one in found if isinstance(one, Requirement)))


def note_registered(handler: Any) -> None:
    """Remember that a handler is registered."""
    with suppress(TypeError):
        _registered.add(handler)


def note_checked(requirements: tuple[Requirement, ...]) -> None:
    """Note that the peer was checked, so that this task may call the handlers."""
    _checked.set(requirements)


def refuse_as_handler(func: Any, at: str) -> None:
    """
    Refuse a handler that Starlette's decorator guards.

    Raises:
        RouteSetupError: Starlette's decorator guards it.
    """
    if _is_starlettes(func):
        raise RouteSetupError(_NOT_STARLETTES, at)


def refuse_as_factory(call: Any) -> None:
    """
    Refuse a factory that ``@requires`` guards, or that is itself a ``requires(...)``.

    Raises:
        RouteSetupError: It is one of these.
    """
    if isinstance(call, Requirement) or requirements_of(call) or _is_starlettes(call):
        raise RouteSetupError(
            "@requires guards handlers, not factories: decorate the handler, below the route's "
            "decorator, or let the factory raise HTTPException(403)",
            where(call),
        )


def refuse_in_list(name: str, values: Sequence[Any]) -> None:
    """
    Refuse a ``requires(...)`` among plugins, dependencies or middlewares.

    Raises:
        RouteSetupError: There is one.
    """
    if any(isinstance(value, Requirement) for value in values):
        raise RouteSetupError(
            f"requires(...) can't be used in {name}=: it decorates a handler, below the route's "
            "decorator"
        )
