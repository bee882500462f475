"""What can be a handler."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from triows._requires import refuse_as_handler
from triows.exceptions import RouteSetupError

__all__ = ["Handler", "check_websocket_handler", "is_handler"]

Handler: TypeAlias = Callable[..., Awaitable[None]]


def is_handler(func: Any) -> bool:
    """
    Say whether *func* is a coroutine function.

    What matters is what a call returns. Partials and objects with an async ``__call__`` are
    accepted. A sync function around a coroutine function isn't.
    """
    return any(inspect.iscoroutinefunction(form) for form in _forms(func))


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
    called, _ = forms = _forms(func)
    if any(inspect.isasyncgenfunction(form) for form in forms):
        raise RouteSetupError(
            "an async generator is not supported for websocket: a handler sends what it has "
            "to say (`await ws.send(...)`) and does not yield it",
            at,
        )
    if not callable(called):
        raise RouteSetupError(f"{func!r} isn't a handler: {_remedy_for_object(func)}")
    raise RouteSetupError(f"sync function is not supported for websocket: {_remedy(called)}", at)


def _remedy_for_object(given: Any) -> str:
    if isinstance(given, str):
        return (
            f"a path belongs to a route. Write `route = WebSocketRoute({given!r})` or "
            f"`route = other.sub({given!r})`, and `@route.endpoint` above the handler"
        )
    if inspect.iscoroutine(given):
        given.close()  # or Python warns that it was never awaited
        return "give the `async def` itself, without calling it"
    return "give an `async def`"


def _remedy(func: Any) -> str:
    if inspect.isclass(func):
        return f"{func.__name__} is a class, so give an instance with an async __call__"
    if inspect.iscoroutinefunction(getattr(func, "__wrapped__", None)):
        return "a decorator wrapped the handler in one, so write `async def` in the decorator"
    return "write `async def`, and call what blocks with `await trio.to_thread.run_sync(...)`"
