"""What the user writes to answer plain HTTP requests: a path, and a handler for each method."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar, cast, overload

from triows._arguments import HTTP_ROUTE as ARGUMENTS, hinting
from triows._elsewhere import HTTP_ROUTE, pointing
from triows.exceptions import RouteSetupError

from .kind import HTTP
from .registrar import Registrar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from triows._settings import Limits, Timeouts
    from triows.exceptions import HTTPException
    from triows.status import Status

    from .options import Dependency, MiddlewareFactory, Plugin

    H = TypeVar("H", bound=Callable[..., Any])

__all__ = ["MethodDecorator", "Route"]


class MethodDecorator(Protocol):
    """A decorator of :class:`Route`, which can be used with and without arguments."""

    @overload
    def __call__(
        self,
        func: H,
        *,
        name: str | None = None,
        status: Status | None = None,
        problems: Iterable[type[HTTPException]] = (),
        plugins: Iterable[Plugin] = (),
        deps: Iterable[Dependency] = (),
        etag: bool | None = None,
    ) -> H: ...

    @overload
    def __call__(
        self,
        func: None = None,
        *,
        name: str | None = None,
        status: Status | None = None,
        problems: Iterable[type[HTTPException]] = (),
        plugins: Iterable[Plugin] = (),
        deps: Iterable[Dependency] = (),
        etag: bool | None = None,
    ) -> Callable[[H], H]: ...


def _decorator(method: str) -> MethodDecorator:
    """Make the decorator for a method. In the class, it becomes a method of the route."""

    def decorate(
        self: Route,
        func: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        status: Status | None = None,
        problems: Iterable[type[HTTPException]] = (),
        plugins: Iterable[Plugin] = (),
        deps: Iterable[Dependency] = (),
        etag: bool | None = None,
    ) -> Any:
        register: Callable[[Any], Any] = self._registering(
            [method],
            func,
            name=name,
            status=status,
            problems=problems,
            plugins=plugins,
            deps=deps,
            etag=etag,
        )
        return register if func is None else register(func)

    decorate.__name__ = method.lower()
    decorate.__qualname__ = f"Route.{method.lower()}"
    decorate.__doc__ = f"Register the handler for {method}. See :meth:`Route.add_endpoint`."
    # Python binds the function to the route, so callers don't give `self`.
    return cast("MethodDecorator", hinting(ARGUMENTS)(decorate))


@pointing(HTTP_ROUTE)
class Route(Registrar["Route"]):
    """
    A path, its handlers of plain HTTP requests by method, and the routes below it.

        users = Route("users/{user_id}", deps=[get_session])

        @users.get
        async def read(user_id: int, session: Session) -> User: ...

        @users.put(status=201)
        async def write(user_id: int, user: User, session: Session) -> None: ...

        @(users / "photo").get
        def photo(user_id: int) -> bytes: ...  # runs in a thread

    A handler is an ``async def``, a ``def``, which runs in a thread, or an async generator
    function, whose parts are streamed.

    HEAD is answered as GET is, without the body, and OPTIONS with the methods that the path has.
    Write a handler for one of them only if it has to do something else. There is no decorator for
    CONNECT, because that asks a proxy for a host and has no path (:rfc:`9110#section-9.3.6`).

    For WebSockets at the same path, make a :class:`WebSocketRoute` with that path.

    The arguments also apply to the routes below. Define everything before you include the route
    in an application: from then on it can't be changed.

    Args:
        path: A path template, such as ``"users/{user_id}"``.
        deps: Factories. triows finds them by the type that they return. Each of them must be used
            by a handler of this route, or of one below it. Guards (``-> None``) always run.
        middlewares: Functions that make ASGI middleware, or Starlette's ``Middleware``, the
            outermost first.
        timeouts: Replaces all timeouts of the application.
        limits: Replaces all limits of the application.
        problems: Exceptions that the handlers may raise as answers, subclasses of
            ``HTTPException``. They are only for descriptions of the application.
        etag: Whether whole responses get an ``ETag``, so that a client that has the same already
            gets 304 (:rfc:`9110#section-13`). ``None`` for the nearest setting further up.

    Raises:
        TemplateError: The path can't be read.
        RouteSetupError: An argument got something that it doesn't take.
    """

    _kind = HTTP

    @hinting(ARGUMENTS)
    def __init__(
        self,
        path: str = "",
        *,
        deps: Iterable[Dependency] = (),
        middlewares: Iterable[MiddlewareFactory] = (),
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        problems: Iterable[type[HTTPException]] = (),
        etag: bool | None = None,
    ) -> None:
        super().__init__(
            path,
            deps=deps,
            middlewares=middlewares,
            timeouts=timeouts,
            limits=limits,
            problems=problems,
            etag=etag,
        )

    #: Registers the handler for GET, as ``@route.get`` or ``@route.get(...)``, with the arguments
    #: of :meth:`add_endpoint`. It also answers HEAD, unless the path has a handler for that.
    get: ClassVar[MethodDecorator] = _decorator("GET")
    #: The same for POST.
    post: ClassVar[MethodDecorator] = _decorator("POST")
    #: The same for PUT.
    put: ClassVar[MethodDecorator] = _decorator("PUT")
    #: The same for PATCH.
    patch: ClassVar[MethodDecorator] = _decorator("PATCH")
    #: The same for DELETE.
    delete: ClassVar[MethodDecorator] = _decorator("DELETE")
    #: The same for HEAD, if it has to do something else than GET.
    head: ClassVar[MethodDecorator] = _decorator("HEAD")
    #: The same for OPTIONS, if the methods of the path are not the whole answer.
    options: ClassVar[MethodDecorator] = _decorator("OPTIONS")
    #: The same for TRACE.
    trace: ClassVar[MethodDecorator] = _decorator("TRACE")

    @hinting(ARGUMENTS)
    def add_endpoint(
        self,
        *methods: str,
        func: H,
        name: str | None = None,
        status: Status | None = None,
        problems: Iterable[type[HTTPException]] = (),
        plugins: Iterable[Plugin] = (),
        deps: Iterable[Dependency] = (),
        etag: bool | None = None,
    ) -> H:
        """
        Register one handler for several methods, or for a method that has no decorator.

            users.add_endpoint("PUT", "PATCH", func=write)

        Two decorators, one above the other, do the same, and may have different arguments.

        Args:
            methods: The methods, in capitals as in a request.
            func: The handler.
            name: The name by which ``app.url_path_for(name, ...)`` finds the route. By default the
                handler's own name.
            status: The status of the response, if the return annotation doesn't say another one:
                an int, an ``HTTPStatus``, or a name such as ``status.CREATED``. By default 200, or
                204 if nothing is returned.
            problems: Exceptions that this handler may raise as answers, for descriptions.
            plugins: Each is called with the endpoint, and returns a function to call in its place.
                The first plugin is the innermost.
            deps: Factories and guards for this handler only.
            etag: As for the route.

        Returns:
            The function, unchanged.

        Raises:
            RouteSetupError: The function can't be a handler, the path already has a handler for one
                of the methods, or the route is already part of an application. Nothing is
                registered then.
        """
        _check_methods(methods)
        register: Callable[[H], H] = self._registering(
            dict.fromkeys(methods),
            func,
            name=name,
            status=status,
            problems=problems,
            plugins=plugins,
            deps=deps,
            etag=etag,
        )
        return register(func)


#: What a method may be (RFC 9110 sections 5.6.2 and 9.1), without lower case. Methods are
#: case-sensitive, so a lower-case one would be another method, which no client sends.
_METHOD: Final = re.compile(r"[A-Z0-9!#$%&'*+.^_`|~-]+")


def _check_methods(methods: tuple[Any, ...]) -> None:
    """
    Refuse what can't be the method of a request to a path.

    Raises:
        RouteSetupError: There is none, or one of them can't be one.
    """
    for method in methods:
        if not isinstance(method, str):
            raise RouteSetupError(
                "add_endpoint() takes methods one after the other, as in add_endpoint('GET', "
                f"'POST', func=handler), not {method!r}"
            )
        if not _METHOD.fullmatch(method):
            meant = method.upper()
            hint = f": write {meant!r}" if _METHOD.fullmatch(meant) else ""
            raise RouteSetupError(f"{method!r} isn't a method of HTTP{hint}")
        if method == "CONNECT":
            raise RouteSetupError(_NO_CONNECT)
    if not methods:
        raise RouteSetupError(
            "add_endpoint() takes at least one method, as in add_endpoint('GET', func=handler)"
        )


_NO_CONNECT: Final = (
    "CONNECT asks a proxy for a host and has no path (RFC 9110 section 9.3.6), so no route can "
    "answer it"
)
