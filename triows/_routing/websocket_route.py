"""What the user writes to serve WebSockets: a path and its handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar, overload

from triows._arguments import ROUTE as ROUTE_ARGUMENTS, hinting
from triows._elsewhere import ROUTE, pointing

from .handlers import Handler
from .kind import WEBSOCKET
from .leaf import HANDSHAKE
from .registrar import Registrar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from triows._settings import Compression, Limits, Timeouts

    from .options import Dependency, MiddlewareFactory, Plugin

__all__ = ["WebSocketRoute"]

H = TypeVar("H", bound=Handler)


@pointing(ROUTE)
class WebSocketRoute(Registrar["WebSocketRoute"]):
    """
    A path, its handler, and the routes below it.

        rooms = WebSocketRoute("rooms/{room_id}", deps=[get_room])

        @rooms.endpoint
        async def room(ws: WebSocket, room_id: str) -> None: ...

        @rooms.sub("log").endpoint(plugins=[audited])
        async def log(ws: WebSocket, room_id: str) -> None: ...

    The arguments also apply to the routes below. Define everything before you include the route
    in an application: from then on it can't be changed.

    Args:
        path: A path template, such as ``"rooms/{room_id}"``.
        deps: Factories. triows finds them by the type that they return. Each of them must be used
            by a handler of this route, or of one below it. Guards (``-> None``) always run.
        middlewares: Functions that make ASGI middleware, or Starlette's ``Middleware``, the
            outermost first.
        origins: The origins from which browsers may connect. ``None`` for the nearest setting
            further up.
        timeouts: Replaces all timeouts of the application.
        limits: Replaces all limits of the application.
        compression: Replaces the application's. ``False`` for none.

    Raises:
        TemplateError: The path can't be read.
        RouteSetupError: An argument that takes a list got something else.
    """

    _kind = WEBSOCKET

    @hinting(ROUTE_ARGUMENTS)
    def __init__(
        self,
        path: str = "",
        *,
        deps: Iterable[Dependency] = (),
        middlewares: Iterable[MiddlewareFactory] = (),
        origins: Iterable[str] | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        compression: Compression | Literal[False] | None = None,
    ) -> None:
        super().__init__(
            path,
            deps=deps,
            middlewares=middlewares,
            origins=origins,
            timeouts=timeouts,
            limits=limits,
            compression=compression,
        )

    @overload
    def endpoint(
        self,
        func: H,
        *,
        name: str | None = None,
        plugins: Iterable[Plugin] = (),
        deps: Iterable[Dependency] = (),
    ) -> H: ...

    @overload
    def endpoint(
        self,
        func: None = None,
        *,
        name: str | None = None,
        plugins: Iterable[Plugin] = (),
        deps: Iterable[Dependency] = (),
    ) -> Callable[[H], H]: ...

    @hinting(ROUTE_ARGUMENTS)
    def endpoint(
        self,
        func: H | None = None,
        *,
        name: str | None = None,
        plugins: Iterable[Plugin] = (),
        deps: Iterable[Dependency] = (),
    ) -> H | Callable[[H], H]:
        """
        Register the handler of this path, as ``@route.endpoint`` or ``@route.endpoint(...)``.

        Args:
            func: The handler, an ``async def``.
            name: The name by which ``app.url_path_for(name, ...)`` and ``ws.url_for(name, ...)``
                find the route, unique in the application. By default the handler's own name.
            plugins: Each is called with the endpoint, and returns a function to call in its place.
                The first plugin is the innermost.
            deps: Factories and guards for this handler only.

        Returns:
            The function, unchanged.

        Raises:
            RouteSetupError: The function isn't a coroutine function, the route already has a
                handler, or it is already part of an application.
        """
        register: Callable[[H], H] = self._registering(
            [HANDSHAKE], func, name=name, plugins=plugins, deps=deps
        )
        return register if func is None else register(func)

    #: The name that lihil has for it.
    ws_handler = endpoint
