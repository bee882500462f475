"""What people give to an application, or to a route, in place of a route, and what is meant."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from triows._where import name_of, where
from triows.exceptions import RouteSetupError

__all__ = ["check_routes"]


#: What to write for a new route. It may be of either kind.
_NEW = "`route = Route({0})`, or `route = WebSocketRoute({0})` for WebSockets"


def check_routes(routes: Iterable[object], base: type, call: str) -> None:
    """
    Refuse what isn't a route.

    Args:
        routes: What was given.
        base: What all classes of routes have as a base.
        call: The method that it was given to.

    Raises:
        RouteSetupError: One of them isn't. The message says what to give instead, and has the file
            and line if it is a function or a class.
    """
    for given in routes:
        if not isinstance(given, base):
            place = where(given) if inspect.isroutine(given) or inspect.isclass(given) else None
            remedy = _remedy(given, base, call)
            raise RouteSetupError(f"{_shown(given)} isn't a route: {remedy}", place)


def _shown(given: Any) -> str:
    if inspect.isclass(given):
        return f"the class {name_of(given)}"
    if inspect.isroutine(given):
        return name_of(given)
    return repr(given)


def _remedy(given: Any, base: type, call: str) -> str:
    if inspect.isclass(given) and issubclass(given, base):
        return f"make one, `route = {given.__name__}(path)`, and give that"
    if isinstance(given, str):
        return f"a path is for the route, so write {_NEW.format(repr(given))}, and give it"
    if isinstance(given, Iterable) and not callable(given):
        return f"write {call}(route, ...), or {call}(*routes) for a list"
    if inspect.iscoroutine(given):
        given.close()  # or Python warns that it was never awaited
        return "it is a coroutine, so give the route of the handler, without calling the handler"
    # An ASGI application is an async function, too.
    if inspect.isroutine(given) and not _takes_asgi(given):
        return (
            f"it is a handler, so write {_NEW.format('path')}, put `@route.get` or "
            "`@route.endpoint` above the handler, and give the route"
        )
    return "give the route that has the handler, and give other applications to app.mount()"


def _takes_asgi(function: Any) -> bool:
    try:
        return list(inspect.signature(function).parameters) == ["scope", "receive", "send"]
    except (TypeError, ValueError):
        return False  # a built-in may have no signature
