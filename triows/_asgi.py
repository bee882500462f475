"""ASGI applications and middleware that users give: checked, and put around one another."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NoReturn

from starlette.middleware import Middleware

from ._where import name_of, where
from .exceptions import RouteSetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._routing.options import MiddlewareFactory
    from .types import ASGIApp, Receive, Scope, Send

__all__ = ["check_mountable", "described", "wrapped"]


def check_mountable(app: object) -> None:
    """
    Refuse what isn't an ASGI application.

    Raises:
        RouteSetupError: with what to give instead.
    """
    if isinstance(app, type):
        raise RouteSetupError(
            f"mount() takes an application, not its class: write {app.__name__}()", where(app)
        )
    if not callable(app):
        raise RouteSetupError(
            f"mount() takes an ASGI application, not {app!r}: for a folder of files, call "
            "static(path, directory=...); for routes, call include_routes()"
        )
    if _problem_of_call(app, {}, None, None) is not None:
        raise RouteSetupError(
            f"{name_of(app)} isn't an ASGI application: mount() takes what is called with scope, "
            "receive and send",
            where(app),
        )


def _problem_of_call(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str | None:
    """Say why something can't be called so, as far as its signature tells."""
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):
        # A built-in may have none. Neither has an instance that got its __call__ in __init__, as
        # Sentry's middleware does.
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as exc:
        return str(exc)
    return None


def wrapped(app: ASGIApp, middlewares: Sequence[MiddlewareFactory]) -> ASGIApp:
    """
    Put middlewares around an application, the first one outermost.

    Raises:
        RouteSetupError: One of them doesn't make an ASGI application around another.
    """
    if middlewares:
        app = _awaited(app)
    for middleware in reversed(middlewares):
        if isinstance(middleware, Middleware):
            app = _around(app, middleware.cls, *middleware.args, **middleware.kwargs)
        else:
            app = _around(app, middleware)
    return app


def _awaited(app: ASGIApp) -> ASGIApp:
    """
    Let nothing happen in an application before its call is awaited.

    Ours begin at once, so that no coroutine is left around what they call. A middleware may start a
    task with the call, and that task may run much later.
    """

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return call


def described(middlewares: Sequence[MiddlewareFactory]) -> str:
    """Say who they are, for a message about what one of them did."""
    places = [where(one.cls if isinstance(one, Middleware) else one) for one in middlewares]
    if not places:
        return "the application"
    if len(places) == 1:
        return f"the middleware {places[0]}"
    return f"one of the middlewares {', '.join(places)}"


def _around(app: ASGIApp, make: Any, *args: Any, **kwargs: Any) -> ASGIApp:
    if not callable(make) or make is Middleware:
        raise RouteSetupError(
            f"middlewares= takes classes, functions and Middleware(...), not {make!r}: write "
            f"{_EXAMPLE}"
        )
    if (problem := _problem_of_call(make, app, *args, **kwargs)) is not None:
        _refuse_call(make, problem)
    made = make(app, *args, **kwargs)
    if not callable(made) or _problem_of_call(made, {}, None, None) is not None:
        _refuse_made(make, made)
    around: ASGIApp = made
    return around


#: Starlette's, which its documentation shows.
_EXAMPLE = "`middlewares=[Middleware(CORSMiddleware, allow_origins=[...])]`, for example"


def _refuse_call(make: Any, problem: str) -> NoReturn:
    """Refuse a middleware that can't be called with the application and its own arguments."""
    is_plain = inspect.isroutine(make) or inspect.isclass(make)
    name = name_of(make) if is_plain else type(make).__name__
    if not inspect.isclass(make) and _problem_of_call(make, {}, None, None) is None:
        remedy = (
            "write `def middleware(app): ...`, which returns such a function"
            if is_plain
            else f"give the class, `Middleware({name}, ...)` with the arguments for it"
        )
        raise RouteSetupError(
            f"{name if is_plain else repr(make)} in middlewares= is an ASGI application, and a "
            f"middleware makes one around another: {remedy}",
            where(make),
        )
    if inspect.iscoroutinefunction(make) and _problem_of_call(make, None, None) is None:
        raise RouteSetupError(
            f"{name} in middlewares= takes a request and what to call next: write "
            f"Middleware(BaseHTTPMiddleware, dispatch={name}), with Starlette's classes. It sees "
            "plain HTTP requests only, so for WebSockets write a factory, and give it as deps=",
            where(make),
        )
    raise RouteSetupError(
        f"the middleware {name} can't be called with the application and the arguments that were "
        f"given ({problem}): write `Middleware({name}, ...)` with all that it needs",
        where(make),
    )


def _refuse_made(make: Any, made: object) -> NoReturn:
    """Refuse a middleware that makes something other than an application."""
    name = name_of(make)
    if inspect.iscoroutine(made):
        made.close()  # or Python warns that it was never awaited
        remedy = "write `def` there, and `async def` for the function that it returns"
    elif inspect.isclass(make):
        remedy = "give its instances an `async def __call__(self, scope, receive, send)`"
    else:
        remedy = "return an `async def` that takes scope, receive and send"
    shown = "None" if made is None else f"a {type(made).__name__}"
    raise RouteSetupError(
        f"the middleware {name} made {shown}, which isn't an ASGI application: {remedy}",
        where(make),
    )
