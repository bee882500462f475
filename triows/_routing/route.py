"""
What the user writes: a tree of routes, some of which have handlers.

A :class:`WebSocketRoute` only describes. The application freezes it, walks over it, and makes what
runs from the :class:`RouteDescription` of each handler.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from attrs import evolve, frozen

from .._arguments import ROUTE as ROUTE_ARGUMENTS, hinting
from .._elsewhere import ROUTE, pointing
from .._requires import note_registered, refuse_as_handler, refuse_in_list
from .._settings import Compression, Limits, Timeouts
from .._where import name_of, where
from ..exceptions import RouteSetupError
from ..types import ASGIApp, UseMark
from .mistakes import check_routes
from .names import check_name
from .template import Template

if TYPE_CHECKING:
    from starlette.middleware import Middleware

__all__ = [
    "DepsList",
    "Handler",
    "MiddlewareFactory",
    "Plugin",
    "RouteDescription",
    "WebSocketRoute",
    "compression_setting",
    "is_handler",
    "listed",
    "setting",
]

Handler: TypeAlias = Callable[..., Awaitable[None]]
H = TypeVar("H", bound=Handler)
T = TypeVar("T")

#: Called once, when the route is included, with what is known about the endpoint. It returns what
#: is called in the handler's place.
Plugin: TypeAlias = Callable[[Any], Handler]

#: Makes a middleware around an ASGI application; or Starlette's description of one.
MiddlewareFactory: TypeAlias = "Callable[..., ASGIApp] | Middleware"

#: Makes the values of a type: a factory, alone or with the options of ``use``.
Dependency: TypeAlias = Callable[..., Any] | UseMark


class DepsList(tuple[Dependency, ...]):
    """
    What was given as one ``deps=``.

    Copies of a route, and the routes below it, share the list. So two lists are the same one only
    if they are the same object.

    Attributes:
        of: What messages say after "in deps=": whose it is.
        users: What messages call the functions that may use its factories.
        at: ``file:line (name)`` of the handler, if it was given to one.
    """

    of: str
    users: str
    at: str | None

    @classmethod
    def given(
        cls, entries: Iterable[Dependency], *, of: str, users: str, at: str | None = None
    ) -> DepsList:
        """Make one."""
        made = cls(entries)
        made.of, made.users, made.at = of, users, at
        return made


@frozen
class RouteDescription:
    """
    A handler with all its settings: its own, and those of the routes above it.

    Attributes:
        template: The full path.
        handler: The user's function, unchanged.
        where: ``file:line (name)`` of the handler.
        name: The name by which ``url_path_for`` finds it: the handler's, if no other was given.
        is_named: Whether another name was given.
        plugins: The plugins that were given to the endpoint.
        deps: One list for each level: the outermost route's first, the endpoint's last.
        middlewares: The outermost first.
        origins: The nearest setting, here or further up. ``None`` if there is none, as for the
            next three.
        timeouts: The nearest setting. It replaces all those further up.
        limits: The nearest setting. It replaces all those further up.
        compression: The nearest setting. ``False`` means no compression.
    """

    template: Template
    handler: Handler
    where: str
    name: str
    is_named: bool
    plugins: tuple[Plugin, ...]
    deps: tuple[DepsList, ...]
    middlewares: tuple[MiddlewareFactory, ...]
    origins: tuple[str, ...] | None
    timeouts: Timeouts | None
    limits: Limits | None
    compression: Compression | Literal[False] | None


@frozen
class _Endpoint:
    handler: Handler
    where: str
    name: str | None
    plugins: tuple[Plugin, ...]
    deps: DepsList


@frozen
class _Settings:
    """The settings of a route, which apply to everything below it."""

    #: One list for each level, the outermost first.
    deps: tuple[DepsList, ...] = ()
    middlewares: tuple[MiddlewareFactory, ...] = ()
    origins: tuple[str, ...] | None = None
    timeouts: Timeouts | None = None
    limits: Limits | None = None
    compression: Compression | Literal[False] | None = None

    def below(self, above: _Settings) -> _Settings:
        """Resolve them against the settings further up."""
        return _Settings(
            above.deps + self.deps,
            above.middlewares + self.middlewares,
            above.origins if self.origins is None else self.origins,
            above.timeouts if self.timeouts is None else self.timeouts,
            above.limits if self.limits is None else self.limits,
            above.compression if self.compression is None else self.compression,
        )


@pointing(ROUTE)
class WebSocketRoute:
    """
    A path, its handler, and the routes below it.

        rooms = WebSocketRoute("rooms/{room_id}", deps=[get_room])

        @rooms.endpoint
        async def room(ws: WebSocket, room_id: str) -> None: ...

        @rooms.sub("log").endpoint(plugins=[audited])
        async def log(ws: WebSocket, room_id: str) -> None: ...

    The arguments also apply to the routes below. Register everything before you include the route
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
        self._parent: WebSocketRoute | None = None
        # Its own piece of the path, and the whole.
        self._own = self._template = Template.parse(path)
        own_deps = DepsList.given(
            listed("deps", deps),
            of=f" of the route '{self._own}'",
            users="no handler of that route or below it",
        )
        self._settings = _Settings(
            (own_deps,),
            listed("middlewares", middlewares),
            None if origins is None else listed("origins", origins),
            setting("timeouts", timeouts, Timeouts),
            setting("limits", limits, Limits),
            compression_setting(compression),
        )
        self._endpoint: _Endpoint | None = None
        self._children: list[WebSocketRoute] = []
        self._frozen = False

    @property
    def path(self) -> str:
        """The full path template, including the routes above."""
        return self._template.path

    @property
    def template(self) -> Template:
        """The full path template, parsed."""
        return self._template

    @property
    def subroutes(self) -> Sequence[WebSocketRoute]:
        """The routes directly below this one, in the order in which they were made."""
        return tuple(self._children)

    def __repr__(self) -> str:
        handler = f" {self._endpoint.where}" if self._endpoint else ""
        return f"<{type(self).__name__} {self.path!r}{handler}>"

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
        check_name(name, None if func is None else where(func))
        given = name, listed("plugins", plugins), listed("deps", deps)

        def register(func: H) -> H:
            self._register(func, *given)
            return func

        return register if func is None else register(func)

    #: The name that lihil has for it.
    ws_handler = endpoint

    def _register(
        self,
        func: Handler,
        name: str | None,
        plugins: tuple[Plugin, ...],
        deps: tuple[Dependency, ...],
    ) -> None:
        at = where(func)
        self._check_open("a handler", at)
        _check_handler(func, at)
        if self._endpoint is not None:
            raise RouteSetupError(
                f"'{self.path}' has a handler already, at {self._endpoint.where}: make one of "
                "the two, or give each a path of its own",
                at,
            )
        note_registered(func)
        own = DepsList.given(deps, of="", users="nothing here", at=at)
        self._endpoint = _Endpoint(func, at, name, plugins, own)

    def sub(self, path: str) -> WebSocketRoute:
        """
        Return the route below this one with that path. Make it if it doesn't exist.

        Args:
            path: What comes after this route's path.

        Raises:
            TemplateError: The path can't be read, or can't come after this one.
            RouteSetupError: The route doesn't exist, and this route is already part of an
                application.
        """
        own = Template.parse(path)
        for child in self._children:
            if child._own == own:
                return child
        self._check_open(f"the sub-route '{own}'")
        child = self._make_child(own)
        self._children.append(child)
        return child

    def __truediv__(self, path: str) -> WebSocketRoute:
        return self.sub(path)

    def merge(self, *routes: WebSocketRoute, parent_prefix: str | None = None) -> None:
        """
        Put copies of other routes, with everything below them, below this one.

        The other routes stay as they are, so you can merge them elsewhere or include them. What
        you register on them afterwards doesn't appear here. The settings of the routes above them
        apply to the copies, too.

        Args:
            routes: The other routes. They keep their own settings, below this route's.
            parent_prefix: The beginning of their paths, to leave out because this route stands for
                it.

        Raises:
            TemplateError: A path can't come after this one.
            RouteSetupError: A path does not begin with the prefix, or this route is already part
                of an application. Nothing is merged then.
        """
        self._check_open("merged routes")
        check_routes(routes, WebSocketRoute, "merge")
        prefix = Template.parse(parent_prefix or "")
        # Make all copies before any of them is added. So an error leaves nothing behind, and a
        # route can be merged below itself.
        copies = [route._merged_below(self, prefix) for route in routes]
        self._children.extend(copies)

    def add_middleware(self, factory: MiddlewareFactory) -> None:
        """
        Add a middleware inside the middlewares that this route has.

        Raises:
            RouteSetupError: This route, or one below it, is already part of an application.
        """
        # A route below may have been included alone, and then it already knows what is above it.
        for node in self._nodes():
            node._check_open("a middleware")
        middlewares = (*self._settings.middlewares, factory)
        self._settings = evolve(self._settings, middlewares=middlewares)

    def walk(self) -> Iterator[RouteDescription]:
        """Describe each handler here and below, with everything that applies to it."""
        for node in self._nodes():
            if node._endpoint is not None:
                yield _describe(node._template, node._endpoint, node._resolved())

    def describe(self) -> list[RouteDescription]:
        """
        Return everything that :meth:`walk` gives.

        Raises:
            RouteSetupError: There is no handler.
        """
        descriptions = list(self.walk())
        if not descriptions:
            raise RouteSetupError(
                f"the route '{self.path}' has no handler, nor has one below it: decorate an "
                "`async def` with @route.endpoint before the route is included"
            )
        return descriptions

    def own_deps(self) -> Iterator[DepsList]:
        """Yield each ``deps=`` that was given here or below, and not to a route above."""
        for node in self._nodes():
            # A merged route has the lists of its former parents, too. They come before its own.
            yield node._settings.deps[-1]
            if node._endpoint is not None:
                yield node._endpoint.deps

    def freeze(self) -> None:
        """
        Accept no more changes, here and below. The application calls this, maybe twice.

        Raises:
            RouteSetupError: There is no handler.
        """
        self.describe()
        for node in self._nodes():
            node._frozen = True

    def _check_open(self, what: str, at: str | None = None) -> None:
        if self._frozen:
            raise RouteSetupError(
                f"{what} can't be added to '{self.path}', which is part of an application "
                "already: register everything before including the route",
                at,
            )

    def _nodes(self) -> Iterator[WebSocketRoute]:
        """Yield this route and all routes below it, each before those below it."""
        yield self
        for child in self._children:
            yield from child._nodes()

    def _resolved(self) -> _Settings:
        return self._settings.below(self._parent._resolved()) if self._parent else self._settings

    def _make_child(self, own: Template) -> WebSocketRoute:
        """Make a route that knows this one as its parent, but not the reverse."""
        child = WebSocketRoute()
        child._parent = self
        child._own = own
        child._template = self._template.join(own)
        return child

    def _merged_below(self, parent: WebSocketRoute, prefix: Template) -> WebSocketRoute:
        own = self._template.relative_to(prefix)
        if own is None:
            raise RouteSetupError(
                f"'{self.path}' does not begin with parent_prefix '{prefix}': leave the "
                "argument out, or merge this route in a call of its own"
            )
        copy = self._copy_below(parent, own)
        # A merged route leaves its parents, but keeps what protects it there.
        copy._settings = self._resolved()
        return copy

    def _copy_below(self, parent: WebSocketRoute, own: Template) -> WebSocketRoute:
        copy = parent._make_child(own)
        copy._settings, copy._endpoint = self._settings, self._endpoint
        copy._children = [child._copy_below(copy, child._own) for child in self._children]
        return copy


def _describe(template: Template, endpoint: _Endpoint, settings: _Settings) -> RouteDescription:
    return RouteDescription(
        template=template,
        handler=endpoint.handler,
        where=endpoint.where,
        name=endpoint.name or name_of(endpoint.handler).rpartition(".")[2],
        is_named=endpoint.name is not None,
        plugins=endpoint.plugins,
        deps=(*filter(None, settings.deps), endpoint.deps),
        middlewares=settings.middlewares,
        origins=settings.origins,
        timeouts=settings.timeouts,
        limits=settings.limits,
        compression=settings.compression,
    )


def listed(name: str, values: Iterable[T]) -> tuple[T, ...]:
    """
    Copy the value of an argument that takes a list.

    Raises:
        RouteSetupError: It isn't a list, or something in it decorates handlers.
    """
    if isinstance(values, Mapping):
        raise RouteSetupError(f"{name} takes a list, not a dict: write {name}=[...]")
    # A str is iterable, too, but nobody means a list of its characters.
    if isinstance(values, str) or not isinstance(values, Iterable):
        given = name_of(values) if callable(values) else repr(values)
        raise RouteSetupError(f"{name} takes a list: write {name}=[{given}]")
    found = tuple(values)
    refuse_in_list(name, found)
    return found


def setting(name: str, value: T | None, kind: type[T]) -> T | None:
    """
    Pass on an object of settings.

    Raises:
        RouteSetupError: It is something else, such as a dict or a number.
    """
    if value is not None and not isinstance(value, kind):
        raise RouteSetupError(f"{name} takes {kind.__name__}(...), not {_shown(value)}")
    return value


def compression_setting(value: Compression | Literal[False] | None) -> Any:
    """Pass on a setting of the compression, as :func:`setting` does. ``False`` means none."""
    return value if value is False else setting("compression", value, Compression)


def _shown(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}: call it, as in {value.__name__}()"
    return repr(value)


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


def _check_handler(func: Any, at: str) -> None:
    """Refuse what isn't a coroutine function, or requires Starlette's WebSocket."""
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
