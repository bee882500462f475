"""What can be a handler."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from triows._requires import refuse_as_handler
from triows._where import name_of
from triows.exceptions import RouteSetupError

if TYPE_CHECKING:
    from typing import TypeGuard

__all__ = [
    "Handler",
    "check_http_handler",
    "check_websocket_handler",
    "is_async_generator",
    "is_handler",
]

#: The handler of a WebSocket. That of a plain request may be any function.
Handler: TypeAlias = Callable[..., Awaitable[None]]


def is_handler(func: Any) -> TypeGuard[Callable[..., Awaitable[Any]]]:
    """
    Say whether *func* is a coroutine function.

    What matters is what a call returns. Partials and objects with an async ``__call__`` are
    accepted. A sync function around a coroutine function isn't.
    """
    return any(inspect.iscoroutinefunction(form) for form in _forms(func))


def is_async_generator(func: Any) -> bool:
    """Say whether a call of *func* makes an async generator, with what :func:`is_handler` takes."""
    return any(inspect.isasyncgenfunction(form) for form in _forms(func))


def _forms(func: Any) -> tuple[Any, Any]:
    """Return what a call of *func* may run: the function itself, or its ``__call__``."""
    while isinstance(func, functools.partial):
        func = func.func
    # The `__call__` of a class is for its instances. Calling the class itself makes one.
    return func, None if inspect.isclass(func) else getattr(func, "__call__", None)  # noqa: B004


def check_websocket_handler(func: Any, at: str) -> None:
    """
    Refuse what can't be the handler of a WebSocket.

    Args:
        func: What was given.
        at: ``file:line (name)`` of it, for the error.

    Raises:
        RouteSetupError: It isn't a coroutine function, or requires Starlette's WebSocket.
    """
    refuse_as_handler(func, at)
    if is_handler(func):
        return
    if is_async_generator(func):
        raise RouteSetupError(
            "an async generator is not supported for websocket: a handler sends what it has "
            "to say (`await ws.send(...)`) and does not yield it",
            at,
        )
    called, _ = _forms(func)
    if not callable(called):
        _refuse_object(func, "WebSocketRoute", "@route.endpoint", "an `async def`")
    raise RouteSetupError(f"sync function is not supported for websocket: {_remedy(called)}", at)


def check_http_handler(func: Any, at: str) -> None:
    """
    Refuse what can't be the handler of a plain request.

    Args:
        func: What was given.
        at: ``file:line (name)`` of it, for the error.

    Raises:
        RouteSetupError: It is neither a function (``async def`` or ``def``), nor an async generator
            function, nor an object that is called as one.
    """
    if isinstance(func, staticmethod | classmethod):
        kind = type(func).__name__
        raise RouteSetupError(
            f"the decorator is above @{kind}, so it gets no function: write @{kind} first, and the "
            "decorator below it",
            at,
        )
    refuse_as_handler(func, at)
    if is_handler(func) or is_async_generator(func):
        return
    called, call = forms = _forms(func)
    if not callable(called):
        _refuse_object(func, "Route", "@route.get", "a function")
    if any(inspect.isgeneratorfunction(form) for form in forms):
        raise RouteSetupError(
            f"{name_of(called)} is a sync generator, and each of its parts would need a thread: "
            "write `async def`, which can `yield` as well",
            at,
        )
    if inspect.isclass(called):
        raise RouteSetupError(
            f"{called.__name__} is a class: decorate a function, or give an instance with a "
            "__call__. For several methods of one path, decorate a function for each",
            at,
        )
    if getattr(called, "__name__", "") == "<lambda>":
        raise RouteSetupError(
            "a lambda can't say what it takes and what it returns: write a function, with "
            "annotations",
            at,
        )
    wrapped = getattr(call if _is_object(called) else called, "__wrapped__", None)
    if wrapped is not None and (is_handler(wrapped) or is_async_generator(wrapped)):
        raise RouteSetupError(
            f"a decorator wrapped {name_of(called)} in a sync function, which would run in a "
            "thread: write `async def` in the decorator",
            at,
        )


def _is_object(called: Any) -> bool:
    return not (inspect.isroutine(called) or inspect.isclass(called))


def _refuse_object(given: Any, route: str, decorator: str, handler: str) -> NoReturn:
    """
    Refuse what can't be called.

    Args:
        given: What was given.
        route: The class of the routes.
        decorator: A decorator of such a route.
        handler: What to give.
    """
    remedy = f"give {handler}"
    if isinstance(given, str):
        remedy = (
            f"a path belongs to a route. Write `route = {route}({given!r})` or "
            f"`route = other.sub({given!r})`, and `{decorator}` above the handler"
        )
    elif inspect.iscoroutine(given):
        given.close()  # or Python warns that it was never awaited
        remedy = "give the `async def` itself, without calling it"
    raise RouteSetupError(f"{given!r} isn't a handler: {remedy}")


def _remedy(func: Any) -> str:
    if inspect.isclass(func):
        return f"{func.__name__} is a class, so give an instance with an async __call__"
    if inspect.iscoroutinefunction(getattr(func, "__wrapped__", None)):
        return "a decorator wrapped the handler in one, so write `async def` in the decorator"
    return "write `async def`, and call what blocks with `await trio.to_thread.run_sync(...)`"
