"""The application: routes, mounts, start-up and shutdown, as one ASGI application."""

from __future__ import annotations

import inspect
import logging
import math
from typing import TYPE_CHECKING, Any, Literal, Never, NoReturn

import trio
from attrs import define, evolve, field, frozen
from starlette.datastructures import State, URLPath

from ._arguments import APPLICATION as APPLICATION_ARGUMENTS, hinting
from ._asgi import ResponseWatch, check_mountable, described, wrapped
from ._checkpoints import checkpointed
from ._closing import check_close
from ._connection.answering import answered
from ._connection.endpoint import (
    APP,
    NURSERY,
    WEBSOCKET,
    Endpoint,
    PathParams,
    log_refusal,
    refuse,
)
from ._connection.registry import Connections
from ._elsewhere import APPLICATION, pointing
from ._errors import add_note, consists_of, exc_info, is_a, leaves, text_of
from ._injection.advice import blind
from ._injection.listing import written
from ._injection.plan import Plan, Planner
from ._injection.providers import check_factory, is_mock, providers
from ._injection.unused import check_all_used
from ._inspection.hanging import Overseer
from ._inspection.page import PATH, asks_for_page, serve_page
from ._inspection.remains import alive
from ._inspection.tree import Inside
from ._loop import NO_TRIO, check_trio, note_loop
from ._managers import asynccontextmanager, contextmanager
from ._protocol.handshake import check_origins
from ._reply import from_exception, problem, respond, upgrade_required
from ._requires import requirements_of
from ._routing.mistakes import check_routes
from ._routing.names import NamedRoute, RouteNames, UnknownRoute
from ._routing.path import BadPath, request_segments
from ._routing.route import (
    DepsList,
    WebSocketRoute,
    compression_setting,
    is_handler,
    listed,
    setting,
)
from ._routing.template import Template
from ._routing.tree import Match, RouteTree
from ._running import AppResources, check_lifespan
from ._settings import Compression, Limits, Settings, Timeouts
from ._transports.bridge import cancelled_by_shutdown
from ._transports.connection import current, open_transport
from ._watch import Watch
from ._where import code_for, name_of, where
from .exceptions import (
    ClientDisconnect,
    DependencyCycleError,
    DependencyError,
    HTTPException,
    RouteSetupError,
)
from .websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from ._connection.lifetime import Lifetime
    from ._injection.factories import Factory
    from ._protocol.handshake import Origins
    from ._reply import Reply
    from ._routing.route import Dependency, Handler, MiddlewareFactory, RouteDescription
    from ._routing.template import Key
    from .types import ASGIApp, Receive, Scope, Send

__all__ = ["EndpointInfo", "RouteInfo", "Triows"]

logger = logging.getLogger("triows")


@frozen
class EndpointInfo:
    """What a plugin gets to know about the endpoint that it wraps."""

    #: The function that the plugin has to call: the handler, or what the plugin before it returned.
    func: Handler
    path: str
    #: The handler's signature, with its annotations evaluated.
    signature: inspect.Signature
    app: Triows


@frozen
class RouteInfo:
    """One line of ``triows routes``."""

    path: str
    handler: str
    parameters: tuple[str, ...]
    resources: tuple[str, ...]
    #: The name by which :meth:`Triows.url_path_for` finds the route.
    name: str
    _url_path_for: Callable[..., URLPath] = field(repr=False, eq=False)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Make a path as the application does. Starlette calls this on each mounted route."""
        if name != self.name:
            raise UnknownRoute(f"this route is called {self.name!r}, not {name!r}")
        return self._url_path_for(name, **path_params)


@define
class _Entry:
    """A route in the tree. Its endpoint is another one while a factory is overridden."""

    description: RouteDescription
    endpoint: Endpoint
    #: The route's middlewares, around :meth:`serve`.
    app: ASGIApp | None = None
    #: What messages call them.
    around: str = ""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.endpoint.serve(scope, receive, send)


@frozen
class _Mounted:
    app: ASGIApp
    #: Whether it is a triows application, whose connections we drain.
    is_ours: bool = False


@pointing(APPLICATION)
class Triows:
    """
    An application: WebSocket routes, mounts, start-up and shutdown. Servers call it as ASGI 3.

    Args:
        routes: Routes to include, as :meth:`include_routes` does.
        deps: Factories, or ``use(factory, ...)``. triows finds them by the type that they make. A
            route's own factories come before them. A factory that makes nothing (``-> None``) is a
            guard: it runs before every handler, and may refuse. Any other must be used by a
            handler, or the application refuses to start.
        middlewares: ASGI middleware around everything, the first one outermost: callables that
            take an ASGI application, or Starlette's ``Middleware``.
        lifespan: Runs around the application, and is called with it. It is a function with
            ``@asynccontextmanager``, an async generator function, or a class that makes an async
            context manager. If it yields a dict, that is copied into each connection's ``state``.
        timeouts: For routes that have no timeouts of their own.
        limits: For routes that have no limits of their own. ``connections`` counts for all.
        compression: For routes that don't say otherwise. By default, and with ``False``, messages
            are not compressed.
        origins: The origins from which browsers may connect, ``["*"]`` for any. By default, only
            pages of the same host may connect. ``https://*.example.org`` means all subdomains, at
            any depth.
        shutdown_code: The close code that peers get at shutdown.
        debug: Whether ``/_triows/tree`` shows what is alive in the application, to browsers on
            this machine. See :mod:`triows.inspect`. Don't use it in production.

    Raises:
        RouteSetupError: There is a mistake in a route or in *lifespan*. The error, which may be of
            a subclass, has the file and line of your function.
        ValueError: The *shutdown_code* can't be sent.
    """

    @hinting(APPLICATION_ARGUMENTS)
    def __init__(
        self,
        *routes: WebSocketRoute,
        deps: Iterable[Dependency] = (),
        middlewares: Iterable[MiddlewareFactory] = (),
        lifespan: Callable[[Any], Any] | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        compression: Compression | Literal[False] | None = None,
        origins: Origins | None = None,
        shutdown_code: int = 1001,
        debug: bool = False,
    ) -> None:
        self.state = State()
        self.timeouts = setting("timeouts", timeouts, Timeouts) or Timeouts()
        self.limits = setting("limits", limits, Limits) or Limits()
        self.settings = Settings(
            self.timeouts, self.limits, compression_setting(compression) or None
        )
        check_close(shutdown_code, "")
        self.shutdown_code = shutdown_code
        self.debug = debug
        self._origins = _checked_origins(origins)
        self._deps = DepsList.given(
            listed("deps", deps), of=" of the application", users="no handler"
        )
        if lifespan is not None:
            check_lifespan(lifespan)
        self._connections = Connections(self.limits.connections)
        self._tree: RouteTree[_Entry | _Mounted] = RouteTree()
        self._names = RouteNames(self._tree)
        self._entries: list[_Entry] = []
        # The mounted triows applications, by path. They are drained together with this one.
        self._mounted: dict[str, Triows] = {}
        self._overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._resources = AppResources(self, lifespan, self.timeouts.teardown)
        self._shared_plans: dict[Callable[..., Any], tuple[Factory, Plan]] = {}
        # The resources that the start-up enters. None if it has not run.
        self._started: Collection[Callable[..., Any]] | None = None
        middlewares = listed("middlewares", middlewares)
        self._stack = wrapped(self._dispatch, middlewares)
        self._around = described(middlewares)
        self._watch = Watch()
        providers(self._deps)  # report a mistake in them here, and not at the first route
        check_routes(routes, WebSocketRoute, "Triows")
        self.include_routes(*routes)

    # Registration.

    def include_routes(self, *routes: WebSocketRoute) -> None:
        """
        Add routes, and all routes below them. From then on they can't be changed.

        Raises:
            RouteSetupError: There is a mistake. The error may be of a subclass. The application
                and the routes have not changed then.
        """
        check_routes(routes, WebSocketRoute, "include_routes")
        entries = [self._entry(description) for route in routes for description in route.describe()]
        self._check_used(entries, [one for route in routes for one in route.own_deps()])
        shared = self._plan_shared([*self._entries, *entries])
        named = [_named(entry) for entry in entries]
        self._names.check(named)
        self._tree.add_all(
            (entry.description.template, entry, entry.description.where) for entry in entries
        )
        # From here on, nothing can fail.
        for route in routes:
            route.freeze()
        self._entries.extend(entries)
        self._names.add(named)
        self._shared_plans = shared
        for entry in entries:
            self._warn_if_blind(entry)

    include = include_routes

    def mount(self, path: str, app: ASGIApp, *, name: str | None = None) -> None:
        """
        Pass everything below *path* to another ASGI application, HTTP as well as WebSockets.

        Routes come before mounts, and longer mounts before shorter ones. The other application
        finds the path in ``root_path``. Its own lifespan is not run. Guards and *origins* of this
        application don't apply to it.

        Args:
            path: A path template.
            app: The other application.
            name: For :meth:`url_path_for`: ``name:inner`` is the route *inner* of the other
                application, and *name* with ``path=...`` is any path in it. Without a name, you
                find its routes by their own names.

        Raises:
            TemplateError: The path can't be read.
            RouteConflictError: Something is mounted there already, or has that name.
        """
        template = Template.parse(path)
        check_mountable(app)
        # With handle(), an error in a triows application is raised to us, and logged only once.
        ours = isinstance(app, Triows)
        mounted = _Mounted(app.handle if isinstance(app, Triows) else app, is_ours=ours)
        self._names.check_mount(template, name)
        self._tree.mount(template, mounted)
        self._names.mount(template, mounted, name, getattr(app, "url_path_for", None))
        if isinstance(app, Triows):
            self._mounted[template.path] = app

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """
        Make the path of a route from its name, percent-encoded.

        A route has the name of its handler, or that of ``@route.endpoint(name=...)``.
        :meth:`mount` says which names mounted applications have. :meth:`.WebSocket.url_for` makes
        a whole URL.

        Args:
            name: The route's name.
            path_params: Values for all keys of its template, and no others.

        Raises:
            starlette.routing.NoMatchFound: No route has that name, several have, or the parameters
                don't fit its path. The message says what is needed.
        """
        return self._names.path_for(name, path_params)

    @property
    def routes(self) -> Sequence[RouteInfo]:
        """All routes that have a handler, in the order of their registration."""
        return [_route_info(entry, self.url_path_for) for entry in self._entries]

    @contextmanager
    def override(self, factory: Callable[..., Any], fake: Callable[..., Any]) -> Iterator[None]:
        """
        Use another factory instead of one, for connections that begin inside the block.

        Args:
            factory: The factory in ``use(...)`` or ``deps=``.
            fake: A factory of any kind. It may have other parameters.

        Raises:
            DependencyError: No route uses *factory*, or it makes a value that the running
                application already has.
            RouteSetupError: *fake* can't be used there. The error may be of a subclass.
        """
        self._check_override(factory, fake)
        replaced = self._overrides.get(factory)
        self._overrides[factory] = fake
        try:
            self._recompile()
            yield
        finally:
            # Undo only this one, because others may have begun or ended meanwhile.
            if replaced is None:
                self._overrides.pop(factory, None)
            else:
                self._overrides[factory] = replaced
            self._recompile()

    def _check_override(self, factory: Callable[..., Any], fake: Callable[..., Any]) -> None:
        if not callable(fake):
            raise DependencyError(
                f"override() takes a factory, not {fake!r}: write override({code_for(factory)}, "
                "lambda: ...)"
            )
        check_factory(factory, f"override({factory!r}, ...)", None)
        if is_mock(fake):
            raise DependencyError(
                f"override() got {fake!r}, and a mock takes any call, so nothing says whether it "
                f"is the factory or its value: write override({code_for(factory)}, lambda: mock) "
                "to hand it over, or lambda: mock() to call it"
            )
        used = {one for entry in self._entries for one in entry.endpoint.plan.factories}
        if factory not in used | self._shared_plans.keys():
            raise DependencyError(
                f"no route uses {name_of(factory)}, so there is nothing to override: give the "
                "factory as it is in use(...) or deps=",
                where(factory),
            )
        if self._started is not None and factory in self._shared_plans:
            raise DependencyError(
                f"{name_of(factory)} lives as long as the application: override it before the "
                "application starts",
                where(factory),
            )

    def _warn_if_blind(self, entry: _Entry) -> None:
        """Log a warning about a handler that can only refuse, unless its annotation says so."""
        # A test's fake may not take what the factory that it replaces takes.
        if self._overrides or entry.endpoint.can_accept:
            return
        handler = entry.description.handler
        if entry.endpoint.plan.signature.return_annotation not in (NoReturn, Never):
            logger.warning("%s: %s", entry.description.template.path, blind(handler))

    def _recompile(self) -> None:
        for entry in self._entries:
            entry.endpoint = evolve(entry.endpoint, plan=self._plan(entry.description))
        self._shared_plans = self._plan_shared(self._entries)

    def _planner(
        self,
        levels: Iterable[Iterable[Dependency]] = (),
        keys: Mapping[str, Key] | None = None,
        at: str | None = None,
    ) -> Planner:
        return Planner(
            givens={WebSocket: WEBSOCKET, trio.Nursery: NURSERY, Triows: APP},
            app_givens=(APP,),
            providers=providers(self._deps, *levels, at=at),
            overrides=self._overrides,
            path_keys=keys or {},
        )

    def _plan(self, description: RouteDescription) -> Plan:
        planner = self._planner(description.deps, description.template.by_name, description.where)
        return planner.plan(description.handler)

    def _check_used(self, entries: Iterable[_Entry], deps: Iterable[DepsList]) -> None:
        """
        Refuse a factory of *deps* that none of *entries* uses.

        Raises:
            DependencyError: A factory would never be called.
        """
        # A fake may not need what the factory that it replaces needs.
        if self._overrides:
            return
        # The application's resources may also use the application's own factories.
        used: dict[int, set[Any]] = {id(self._deps): set(self._shared_plans)}
        for entry in entries:
            plan = entry.endpoint.plan
            for given in (self._deps, *entry.description.deps):
                used.setdefault(id(given), set()).update(plan.factories, plan.shared)
        for given in deps:
            check_all_used(
                given, used.get(id(given), ()), of=given.of, users=given.users, at=given.at
            )

    def _check_all_used(self) -> None:
        """
        Refuse factories that no handler uses, now that all handlers are known.

        See :meth:`_check_used`. This checks the lists of routes again, because their routes may
        have been included one by one.
        """
        given = (one for entry in self._entries for one in (self._deps, *entry.description.deps))
        self._check_used(self._entries, {id(one): one for one in given}.values())
        for app in self._mounted.values():
            app._check_all_used()

    def _entry(self, description: RouteDescription) -> _Entry:
        entry = _Entry(description, self._compile(description))
        entry.app = wrapped(entry.serve, description.middlewares)
        entry.around = described(description.middlewares)
        return entry

    def _compile(self, description: RouteDescription) -> Endpoint:
        plan = self._plan(description)
        handler, at = description.handler, description.where
        # A plugin that is given twice is called once.
        for plugin in {id(plugin): plugin for plugin in description.plugins}.values():
            info = EndpointInfo(handler, description.template.path, plan.signature, self)
            handler = _plugged(plugin, info, at)
        origins = description.origins
        return Endpoint(
            path=description.template.path,
            handler=handler,
            plan=plan,
            settings=self._settings_of(description),
            origins=self._origins if origins is None else _checked_origins(origins, at),
            connections=self._connections,
            app=self,
            shared=self._resources.shared,
            requirements=requirements_of(description.handler),
        )

    def _settings_of(self, description: RouteDescription) -> Settings:
        compression = description.compression
        return Settings(
            description.timeouts or self.timeouts,
            description.limits or self.limits,
            self.settings.compression if compression is None else compression or None,
        )

    def _plan_shared(
        self, entries: Iterable[_Entry]
    ) -> dict[Callable[..., Any], tuple[Factory, Plan]]:
        """
        Plan the application's resources, each after the ones that it needs.

        Raises:
            DependencyError: A resource is new, and the start-up has already run.
        """
        plans: dict[Callable[..., Any], tuple[Factory, Plan]] = {}

        def add(plan: Plan, callers: tuple[Callable[..., Any], ...]) -> None:
            for factory in plan.shared:
                if factory in plans and factory not in callers:
                    continue
                self._check_shared(factory, callers)
                planned = self._planner().plan_shared(factory, plan.expected[factory])
                add(planned[1], (*callers, factory))
                plans[factory] = planned

        for entry in entries:
            add(entry.endpoint.plan, (entry.description.handler,))
        return plans

    def _check_shared(
        self, factory: Callable[..., Any], callers: tuple[Callable[..., Any], ...]
    ) -> None:
        """Refuse a resource of the application that needs itself, or that comes too late."""
        if factory in callers:
            raise DependencyCycleError(
                f"{name_of(factory)} needs itself: make one of the factories do without the other",
                where(factory),
                [name_of(caller) for caller in (*callers, factory)],
            )
        if self._started is not None and factory not in self._started:
            raise DependencyError(
                f"{name_of(factory)} lives as long as the application, which has been started "
                "without it: include its route before that",
                where(factory),
                [name_of(caller) for caller in callers],
            )

    # Start-up and shutdown.

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """
        Run the application's start-up, and at the end of the block its shutdown.

        A server does this itself. Inside the block, the application accepts connections. At the
        end, live connections are closed and the application's resources exit, even if the block
        was cancelled.

        Raises:
            RuntimeError: The application is running already, or Trio does not run.
            DependencyError: No handler uses a factory of ``deps=``.
            BaseException: What a factory, the lifespan or the block raised. If a resource fails
                while the application runs, the block is cancelled, and the resource's error is
                raised.
        """
        check_trio("app.running()", "enter it in a Trio program, which trio.run(main) starts")
        await trio.lowlevel.checkpoint()
        if self._started is not None:
            raise RuntimeError(
                "this application is running already: serve it once. One call of triows.serve "
                "listens at several addresses, as in config.bind = ['127.0.0.1:8000', "
                "'unix:/run/app.sock']; with TLS, config.insecure_bind has those without TLS"
            )
        self._check_all_used()
        self._started = self._shared_plans.keys()
        self._end_drain()
        self._warn_of_debug()
        try:
            overseer = Overseer(self, min(one.teardown for one in self._all_timeouts()))
            async with self._resources.entered(
                self._shared_plans, self._leave, overseer.run, self._give_up
            ):
                yield
        finally:
            self._started = None
            # It may be served again, even by a server that doesn't run its start-up.
            self._end_drain()

    @contextmanager
    def watched(self, watch: Watch) -> Iterator[None]:
        """
        Report what happens to each scope to *watch*, during a block.

        This is for test clients. Errors that nobody handled are then not logged.
        """
        before, self._watch = self._watch, watch
        try:
            yield
        finally:
            self._watch = before

    @property
    def is_running(self) -> bool:
        """Whether the start-up has run and the shutdown has not."""
        return self._started is not None

    @property
    def drain_budget(self) -> float:
        """
        How many seconds :meth:`drain` takes at most: close, grace, teardown of the slowest route.

        A shutdown takes ``timeouts.teardown`` more, for the application's resources.
        """
        return self.drain_seconds()

    def drain_seconds(self, grace: float = math.inf) -> float:
        """Return how many seconds :meth:`drain` takes at most with this *grace*."""
        return max(
            min(grace, timeouts.shutdown_grace) + 2 * timeouts.close + 2 * timeouts.teardown
            for timeouts in self._all_timeouts()
        )

    def _all_timeouts(self) -> Iterator[Timeouts]:
        """Yield the timeouts of each route, and of mounted triows applications."""
        yield self.timeouts
        for entry in self._entries:
            yield entry.endpoint.settings.timeouts
        for app in self._mounted.values():
            yield from app._all_timeouts()

    @checkpointed
    async def drain(self, *, grace: float = math.inf) -> bool:
        """
        Refuse new connections, close the live ones, and wait until they are over.

        Peers get a close frame with ``shutdown_code``. Handlers get ``shutdown_grace``. Then they
        are cancelled, and their resources exit. It takes :attr:`drain_budget` at most. triows
        applications that are mounted in this one are drained at the same time.

        Args:
            grace: How many seconds handlers get, if ``shutdown_grace`` is longer.

        Returns:
            Whether all connections are over.
        """
        over: list[bool] = []

        async def drain_mounted(app: Triows) -> None:
            over.append(await app.drain(grace=grace))

        async with trio.open_nursery() as nursery:
            for app in self._mounted.values():
                nursery.start_soon(drain_mounted, app)
            over.append(
                await self._connections.drain(
                    code=self.shutdown_code, seconds=self.drain_seconds(grace), grace=grace
                )
            )
        return all(over)

    async def _leave(self) -> None:
        """Drain, and log what goes on all the same, before the resources exit."""
        if not await self.drain():
            logger.error(
                "the application's resources exit, although after %g s connections go on:\n%s",
                self.drain_budget,
                alive(self, ()),
            )

    def _give_up(self) -> None:
        """Cancel all handlers, because a resource of the application has failed."""
        for lifetime in self._lifetimes():
            if not lifetime.is_ending:
                lifetime.cancel("application failed")

    def _lifetimes(self) -> Iterator[Lifetime]:
        """Yield the live connections, with those of mounted triows applications."""
        yield from self._connections
        for app in self._mounted.values():
            yield from app._lifetimes()

    def _end_drain(self) -> None:
        """Accept connections again, because the application may be started again."""
        self._connections.draining = False
        for app in self._mounted.values():
            app._end_drain()

    def _warn_of_debug(self) -> None:
        """Log a warning about the debug page, because it isn't for production."""
        if self.debug:
            logger.warning(
                "debug is on: GET %s shows every connection to clients on this machine", PATH
            )
        for app in self._mounted.values():
            app._warn_of_debug()

    def _inside(self) -> Inside:
        """Return what :func:`triows.inspect.tree` needs, and what tests need."""
        return Inside(
            self.is_running,
            self._connections,
            self._resources,
            self._mounted,
            self._all_timeouts,
        )

    # Serving.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one ASGI scope.

        An error that nobody handled is logged here, once. It isn't raised, because it must not
        affect other connections or the server.

        Raises:
            RuntimeError: The server doesn't run on Trio.
        """
        if not trio.lowlevel.in_trio_run():
            await _refuse_loop(scope, receive, send)
            return
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
            return
        watch = self._watch
        watch.began(scope)
        try:
            await self.handle(scope, receive, send)
        except BaseException as exc:
            if any(is_a(leaf, *_NOT_OURS) for leaf in leaves(exc)):
                raise
            if not consists_of(exc, ClientDisconnect):
                note_loop(exc)
                watch.failed(scope, exc)
        finally:
            watch.over(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one HTTP or WebSocket scope, and raise what nobody handled. For tests and embedding.

        Raises:
            BaseException: What went wrong, after everything of the connection is closed.
        """
        scope["app"] = self
        if self._resources.state:
            scope["state"] = {**self._resources.state, **scope.get("state", {})}
        try:
            if self.debug and asks_for_page(scope):
                # Serve it before the middlewares, which might let others read it or change the
                # peer's address, and before a mount at "/". For all others it doesn't exist.
                await serve_page(self, scope, send)
            elif scope["type"] == "websocket":
                await answered(
                    self._stack,
                    scope,
                    receive,
                    send,
                    who=self._around,
                    shutdown_code=self.shutdown_code,
                    patience=self.timeouts.close,
                )
            else:
                await self._stack(scope, receive, send)
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        phase, when = "startup", "to start"
        try:
            async with self.running():
                await send({"type": "lifespan.startup.complete"})
                phase, when = "shutdown", "while it was served"
                await receive()  # lifespan.shutdown
                when = "at its shutdown"
        except Exception as exc:
            # The server shows the message at best. The traceback is in our log.
            logger.critical("the application failed %s", when, exc_info=exc_info(exc))
            await send({"type": f"lifespan.{phase}.failed", "message": text_of(exc)})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the route or the mounted application of a scope, and call it."""
        try:
            segments = request_segments(scope)
        except BadPath as exc:
            await self._refuse(scope, receive, send, problem(400, exc.detail))
            return
        match = self._tree.match(segments)
        if match is None:
            refusal = evolve(problem(404), why="no route has this path")
            await self._refuse(scope, receive, send, refusal)
        elif isinstance(match.value, _Mounted):
            await self._call_mounted(match.value, match, segments, (scope, receive, send))
        elif scope["type"] == "http":
            await respond(send, upgrade_required())
        else:
            scope["path_params"] = PathParams(match.params, match.raw_params)
            scope["endpoint"] = match.value.description.handler  # as in Starlette
            assert match.value.app is not None
            _blame(match.value.around)
            await match.value.app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Reply) -> None:
        if scope["type"] == "http":
            await respond(send, refusal)
            return
        transport = open_transport(scope, receive, send, self.settings)
        await refuse(transport, refusal, self.timeouts)
        log_refusal(scope, refusal.status, None, refusal.why)

    @staticmethod
    async def _call_mounted(
        mounted: _Mounted,
        match: Match[Any],
        segments: tuple[str, ...],
        call: tuple[Scope, Receive, Send],
    ) -> None:
        scope, receive, send = call
        matched = segments[: len(segments) - len(match.remaining)]
        root = "".join(f"/{segment}" for segment in matched)
        scope["root_path"] = scope.get("root_path", "") + root
        scope["path_params"] = {**scope.get("path_params", {}), **match.params}
        if mounted.is_ours and scope["type"] != "http":
            await mounted.app(scope, receive, send)
            return
        if scope["type"] != "http":
            _blame(f"the mounted application {where(mounted.app)}")
            with cancelled_by_shutdown(receive):
                await mounted.app(scope, receive, send)
            return
        watch = ResponseWatch(send)
        try:
            await mounted.app(scope, receive, watch.send)
        except Exception as exc:
            if watch.started:
                raise
            refusal = _refusal_of(exc)
            await respond(send, refusal or problem(500))
            if refusal is None:
                raise


def _blame(who: str) -> None:
    """Note who answers the connection of this task from now on, in case nobody does."""
    connection = current.get()
    if connection is not None:
        connection.who = who


async def _refuse_loop(scope: Scope, receive: Receive, send: Send) -> None:
    """
    Tell a server on another event loop at once that it can't serve this application.

    Raises:
        RuntimeError: The server hasn't asked for the start-up, or it is Starlette's TestClient.
            Otherwise the message is sent as the start-up's failure, which servers print.
    """
    # After a start-up that failed, Starlette's TestClient goes on and waits for a shutdown that
    # never comes, unless something is raised. Unlike every server, it names no version of ASGI.
    if scope["type"] != "lifespan" or "asgi" not in scope:
        raise RuntimeError(NO_TRIO)
    await receive()  # lifespan.startup
    await send({"type": "lifespan.startup.failed", "message": NO_TRIO})


def _refusal_of(exc: Exception) -> Reply | None:
    """Return the answer to a plain request for an error. ``None`` if the error has to be raised."""
    if not is_a(exc, HTTPException):
        return None
    try:
        return from_exception(exc)
    except Exception as unusable:  # noqa: BLE001 - it is reported with the other
        add_note(exc, f"it can't answer the request: {text_of(unusable)}")
        return None


# Exceptions that end more than one connection: Ctrl-C, and a cancellation by our caller.
_NOT_OURS = (KeyboardInterrupt, trio.Cancelled, GeneratorExit)


def _plugged(plugin: Any, info: EndpointInfo, at: str) -> Handler:
    """
    Put a plugin around a handler.

    Raises:
        RouteSetupError: It isn't a plugin, or what it returns can't be called in the handler's
            place.
    """
    if not callable(plugin) or inspect.iscoroutinefunction(plugin):
        raise RouteSetupError(
            f"{plugin!r} isn't a plugin: give a function (`def`) that takes an EndpointInfo and "
            "returns an async function",
            where(plugin) if callable(plugin) else at,
        )
    handler: Handler = plugin(info)
    if not is_handler(handler):
        raise RouteSetupError(
            f"the plugin {name_of(plugin)} returned {handler!r}: let it return an `async def`, "
            "which is called in the handler's place",
            where(plugin),
        )
    try:
        # Look at the wrapper's own signature. With functools.wraps, it would show the handler's.
        signature = inspect.signature(handler, follow_wrapped=False)
        signature.bind(**dict.fromkeys(info.signature.parameters))
    except (TypeError, ValueError) as exc:
        raise RouteSetupError(
            f"what the plugin {name_of(plugin)} returned can't be called with the handler's "
            f"arguments ({exc}): let it take **kwargs",
            where(plugin),
        ) from None
    return handler


def _checked_origins(origins: Origins | None, at: str | None = None) -> Origins | None:
    if origins is None:
        return None
    origins = listed("origins", origins)
    try:
        check_origins(origins)
    except (TypeError, ValueError) as exc:
        raise RouteSetupError(str(exc), at) from None
    return origins


def _route_info(entry: _Entry, url_path_for: Callable[..., URLPath]) -> RouteInfo:
    plan = entry.endpoint.plan
    return RouteInfo(
        path=entry.description.template.path,
        handler=entry.description.where,
        parameters=tuple(line for spec in plan.params for line in written(spec)),
        resources=tuple(
            [step.factory.name for step in plan.steps]
            + [f"{name_of(factory)} (application)" for factory in plan.shared]
        ),
        name=entry.description.name,
        url_path_for=url_path_for,
    )


def _named(entry: _Entry) -> NamedRoute:
    one = entry.description
    return NamedRoute(one.name, one.is_named, one.template, entry, one.where)
