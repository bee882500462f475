"""The application: routes, mounts, start-up and shutdown, as one ASGI application."""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import trio
from attrs import frozen
from starlette.datastructures import State, URLPath

from ._arguments import APPLICATION as APPLICATION_ARGUMENTS, STATIC as STATIC_ARGUMENTS, hinting
from ._asgi import check_mountable, described, wrapped
from ._checkpoints import checkpointed
from ._closing import check_close
from ._compile import Compiler, check_origin_setting
from ._description import MountInfo, RouteInfo, route_info
from ._dispatch import Dispatcher
from ._elsewhere import APPLICATION, pointing
from ._errors import exc_info, is_a, leaves, says_only, text_of, without_stray
from ._exchange.catcher import check_classes
from ._exchange.catchers import Catchers
from ._exchange.registry import Exchanges
from ._inspection.hanging import Overseer
from ._inspection.inside import Inside, live
from ._inspection.page import PATH, asks_for_page, serve_page
from ._inspection.remains import alive
from ._loop import NO_TRIO, check_trio, note_loop
from ._managers import asynccontextmanager, contextmanager
from ._reasons import Reason
from ._request.guard import guarded
from ._request.kind import request_kind
from ._request.mounted import MountedRequests
from ._request.transport import DISCONNECTS
from ._routing.mistakes import check_routes
from ._routing.options import DepsList, RouteOptions, listed
from ._routing.path import restore_root
from ._routing.registrar import Registrar
from ._routing.router import Router
from ._routing.template import Template
from ._running import AppResources, ConnectionState, check_lifespan
from ._static import static_files
from ._targets import Mount
from ._watch import Watch
from ._websocket.answering import answered
from ._websocket.kind import websocket_kind
from ._where import where_called
from .exceptions import HandlerCancelled, RouteSetupError

if TYPE_CHECKING:
    import inspect
    import os
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Iterator,
        Sequence,
    )

    from ._exchange.catcher import Catching
    from ._protocol.handshake import Origins
    from ._routing.handlers import Handler
    from ._routing.options import Dependency, MiddlewareFactory
    from ._routing.route import Route
    from ._routing.websocket_route import WebSocketRoute
    from ._settings import Compression, Limits, Timeouts
    from ._targets import Target
    from .types import ASGIApp, Receive, Scope, Send

__all__ = ["EndpointInfo", "Triows"]

C = TypeVar("C", bound="Callable[..., Any]")
E = TypeVar("E", bound=Exception)
E2 = TypeVar("E2", bound=Exception)
E3 = TypeVar("E3", bound=Exception)

logger = logging.getLogger("triows")


@frozen
class EndpointInfo:
    """What a plugin gets to know about the handler that it wraps."""

    #: The function that the plugin has to call: the handler, or what the plugin before it returned.
    func: Handler
    path: str
    #: The handler's signature, with its annotations evaluated.
    signature: inspect.Signature
    app: Triows


@pointing(APPLICATION)
class Triows:
    """
    An application: routes of both kinds, mounts, start-up and shutdown. Servers call it as ASGI 3.

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
        *routes: Route | WebSocketRoute,
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
        options = RouteOptions.given(
            timeouts=timeouts, limits=limits, compression=compression, origins=origins
        )
        check_origin_setting(options.origins)
        check_close(shutdown_code, "")
        own_deps = DepsList(deps, of=" of the application", users="no handler")
        if lifespan is not None:
            check_lifespan(lifespan)
        middlewares = listed("middlewares", middlewares)
        #: An object for whatever your program gives to its handlers.
        self.state = State()
        #: The timeouts, limits and compression of routes that have none of their own.
        self.settings = options.settings
        #: The timeouts of routes that have none of their own.
        self.timeouts = self.settings.timeouts
        #: The limits of routes that have none of their own.
        self.limits = self.settings.limits
        #: The close code that peers get at a shutdown.
        self.shutdown_code = shutdown_code
        #: Whether there is a page of what is alive.
        self.debug = debug
        self._exchanges = Exchanges(self.limits.connections)
        self._resources = AppResources(self, lifespan, self.timeouts.teardown)
        self._catchers = Catchers()
        self._compiler = Compiler(
            app=self,
            kind=_WEBSOCKETS,
            request_kind=partial(request_kind, Triows),
            deps=own_deps,
            options=options,
            endpoint_info=EndpointInfo,
            exchanges=self._exchanges,
            shutdown_code=shutdown_code,
            resources=self._resources,
            catchers=self._catchers,
        )
        self._router: Router[Target] = Router()
        # The mounted triows applications, by path. They are drained together with this one.
        self._mounted: dict[str, Triows] = {}
        # Whether the start-up of this application, or of one that it is mounted in, is over.
        self._has_started = False
        self._mounts: list[MountInfo] = []
        self._stack = wrapped(Dispatcher(self._router, self.settings, self._catchers), middlewares)
        # Without middlewares, nobody but the server is told that a response was cut.
        self._serve_http = partial(guarded, self._stack) if middlewares else self._stack
        self._around = described(middlewares)
        # A subclass may have methods around ours.
        self._is_wrapped = bool(middlewares) or type(self) is not Triows
        self._watch = Watch()
        check_routes(routes, Registrar, "Triows")
        self.include_routes(*routes)

    # Registration.

    def include_routes(self, *routes: Route | WebSocketRoute) -> None:
        """
        Add routes, and all routes below them. From then on they can't be changed.

        Raises:
            RouteSetupError: There is a mistake. The error may be of a subclass. The application
                and the routes have not changed then.
        """
        check_routes(routes, Registrar, "include_routes")
        compiled = self._compiler.compile(
            [description for route in routes for description in route.describe()],
            [one for route in routes for one in route.own_deps()],
        )
        self._router.add((entry.description, entry) for entry in compiled.entries)
        # From here on, nothing can fail.
        for route in routes:
            route.freeze()
        self._compiler.add(compiled)

    include = include_routes

    @overload
    def catch(self, cls: type[E], /) -> Catching[E]: ...
    @overload
    def catch(self, first: type[E], second: type[E2], /) -> Catching[E | E2]: ...
    @overload
    def catch(
        self, first: type[E], second: type[E2], third: type[E3], /
    ) -> Catching[E | E2 | E3]: ...
    @overload
    def catch(self, *classes: type[Exception]) -> Catching[Any]: ...
    def catch(self, *classes: type[Exception]) -> Any:
        """
        Turn one of your exceptions into an answer, as a decorator.

        The answer is a status for a request, and a close code for a WebSocket.

            @app.catch(OutOfStock)
            def out_of_stock(error: OutOfStock) -> HTTPException:
                return HTTPException(409, f"{error.item} is out of stock")

        The exception may come from a handler, a factory, a resource that exits, or for a request
        from a mounted application, such as :meth:`static`. Resources still see it at their
        ``yield``. It isn't logged as an error. A function for
        :exc:`HTTPException` also gets what triows refuses by itself, for example with 404, 405 or
        422, but not what it refuses because of an origin or a limit.

        The function is a ``def`` that takes the exception, and, if it has a second parameter, the
        ``HTTPConnection`` of Starlette. For a plain request, that is a ``Request`` whose body can't
        be read. It returns one of these:

        - An :exc:`HTTPException`.
        - A ``Response`` of Starlette with all of its content, such as an ``HTMLResponse``, with a
          status from 300 to 599. It can't have a background task.
        - For a WebSocket, a :exc:`WebSocketClose`.
        - ``None``, to leave the exception as it is.

        A WebSocket that wasn't accepted is refused with the response. If it was accepted, a status
        becomes a close with 1008, or 1011 if it is 500 or more. An answer with the status of a
        refusal by triows keeps the headers that belong to it, such as the ``Allow`` of a 405.

        For subclasses, the function of the nearest class counts. A function for ``Exception`` gets
        what nobody expected: it doesn't get HTTPExceptions, closes and disconnects, and what it
        gets is still logged as an error.

        Args:
            classes: The classes of the exceptions.

        Raises:
            RouteSetupError: One of them isn't an exception, or is caught already, or the function
                can't be called so, or returns something else.
        """
        check_classes(classes, where_called())

        def add(function: C) -> C:
            self._catchers.add(classes, function)
            return function

        return add

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
            RouteSetupError: *app* isn't an ASGI application, or is this one, or has this one
                mounted.
        """
        template = Template.parse(path)
        check_mountable(app)
        if isinstance(app, Triows) and self in app._nested():
            raise RouteSetupError(
                f"what is mounted at '{template}' is this application itself, or has it mounted, "
                "so it would never end: mount another application, or include the routes in one",
                where_called(),
            )
        # With handle(), an error in a triows application is raised to us, and logged only once.
        ours = isinstance(app, Triows)
        requests = MountedRequests(
            template.path, app, self.settings, self._exchanges, self._catchers
        )
        mounted = Mount(app.handle if isinstance(app, Triows) else app, ours, requests)
        lookup = getattr(app, "url_path_for", None)
        self._router.mount(template, mounted, name=name, lookup=lookup, where=where_called())
        self._mounts.append(MountInfo(template.path, name, app))
        if isinstance(app, Triows):
            self._mounted[template.path] = app
            app._note_started(self._has_started or app._has_started)

    @hinting(STATIC_ARGUMENTS)
    def static(
        self,
        path: str,
        directory: str | os.PathLike[str] | None = None,
        *,
        packages: Sequence[str | tuple[str, str]] | None = None,
        html: bool = False,
        follow_symlink: bool = False,
        name: str | None = None,
    ) -> None:
        """
        Serve the files of a folder below *path*, by Starlette's ``StaticFiles``.

        It answers GET, HEAD and OPTIONS, with ``ETag`` and ``Last-Modified``, and with parts of a
        file if the client asks for them. A large file goes from the disk to the socket without a
        copy. It is mounted, as :meth:`mount` does it.

        Args:
            path: A path template.
            directory: The folder.
            packages: Packages whose folder ``statics`` is served, too, or pairs of a package and
                the name of its folder. They come after *directory*.
            html: Whether the file ``index.html`` of a folder is what the folder's path gets, and
                ``404.html`` what the client gets if there is no such file.
            follow_symlink: Whether symbolic links may lead out of the folder.
            name: For :meth:`url_path_for`: *name* with ``path=...`` is the path of a file.

        Raises:
            RouteSetupError: There is no such folder, or something is mounted at *path* already. The
                error may be of a subclass.
        """
        files = static_files(directory, packages, html=html, follow_symlink=follow_symlink)
        self.mount(path, files, name=name)

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
        return self._router.path_for(name, path_params)

    @property
    def routes(self) -> Sequence[RouteInfo]:
        """All handlers of both kinds, in the order of their registration."""
        return [route_info(entry, self.url_path_for) for entry in self._compiler.entries]

    @property
    def mounts(self) -> Sequence[MountInfo]:
        """All mounted applications, in the order in which they were mounted."""
        return tuple(self._mounts)

    @contextmanager
    def override(self, factory: Callable[..., Any], fake: Callable[..., Any]) -> Iterator[None]:
        """
        Replace a factory, for connections that begin inside the block.

        Args:
            factory: The factory in ``use(...)`` or ``deps=``.
            fake: A factory of any kind. It may have other parameters.

        Raises:
            DependencyError: No route uses *factory*, or it makes a value that the running
                application already has.
            RouteSetupError: *fake* can't be used there. The error may be of a subclass.
        """
        with self._compiler.override(factory, fake):
            yield

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
        if self.is_running:
            raise RuntimeError(
                "this application is running already: serve it once. One call of triows.serve "
                "listens at several addresses, as in config.bind = ['127.0.0.1:8000', "
                "'unix:/run/app.sock']; with TLS, config.insecure_bind has those without TLS"
            )
        self._check_all_used()
        self._end_drain()
        self._warn_of_debug()
        try:
            overseer = Overseer(self, min(one.teardown for one in self._all_timeouts()))
            async with self._resources.entered(
                self._compiler.shared, self._leave, overseer.run, self._give_up
            ):
                self._note_started(True)
                yield
        finally:
            self._note_started(False)
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
        return self._resources.planned is not None

    @property
    def ready(self) -> bool:
        """
        Whether the start-up is over and no shutdown has begun.

        This is for balancers that ask whether a server wants new connections. It is false from the
        first moment of a shutdown, while the server still answers. See :attr:`Drain.delay`. A
        mounted application is ready together with the one that it is mounted in. Each worker
        process has its own.

        Plain Hypercorn doesn't say when a shutdown begins. There, it is true until all connections
        are over.
        """
        return self._has_started and not self._exchanges.ending

    @property
    def drain_budget(self) -> float:
        """
        How many seconds :meth:`drain` takes at most, for the route with the longest timeouts.

        It is ``shutdown_grace``, and twice ``close`` and ``teardown``. A peer has ``close`` to
        answer the close frame, and another ``close`` to take what is left at the end. The tasks in
        a connection's nursery and its resources have ``teardown`` together. A factory that is
        cancelled before its ``yield`` cleans up before that, and resources with ``until="sent"``
        exit after it.

        A shutdown takes ``timeouts.teardown`` more, for the application's resources.
        """
        return self.drain_seconds()

    def drain_seconds(self, grace: float = math.inf) -> float:
        """Return how many seconds :meth:`drain` takes at most with this *grace*."""
        return max(
            min(grace, timeouts.shutdown_grace) + 2 * timeouts.close + 2 * timeouts.teardown
            for timeouts in self._all_timeouts()
        )

    def _nested(self) -> Iterator[Triows]:
        """Yield this application, and the triows applications that are mounted in it."""
        yield self
        for app in self._mounted.values():
            yield from app._nested()

    def _all_timeouts(self) -> Iterator[Timeouts]:
        """Yield the timeouts of each route, and of mounted triows applications."""
        for app in self._nested():
            yield app.timeouts
            for entry in app._compiler.entries:
                yield entry.endpoint.settings.timeouts

    @checkpointed
    async def drain(self, *, grace: float = math.inf) -> bool:
        """
        Refuse new connections, close the live ones, and wait until they are over.

        Peers get a close frame with ``shutdown_code``. Handlers, and mounted applications that
        answer plain requests, get ``shutdown_grace``. Those that still run after it are cancelled,
        and resources exit. It takes :attr:`drain_budget` at most. triows
        applications that are mounted in this one are drained at the same time.

        Args:
            grace: How many seconds handlers get, if ``shutdown_grace`` is longer.

        Returns:
            Whether all connections and requests are over.
        """
        over: list[bool] = []
        self._note_ending()

        async def drain_mounted(app: Triows) -> None:
            over.append(await app.drain(grace=grace))

        async with trio.open_nursery() as nursery:
            for app in self._mounted.values():
                nursery.start_soon(drain_mounted, app)
            over.append(await self._exchanges.drain(seconds=self.drain_seconds(grace), grace=grace))
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
        self._note_ending()
        for exchange in live(self):
            if not exchange.lifetime.is_ending:
                exchange.lifetime.cancel(Reason.APPLICATION_FAILED)

    async def _wait_empty(self) -> None:
        """Wait until no connection and no request is left, of mounted applications either."""
        for app in self._nested():
            await app._exchanges.wait_empty()

    def _note_started(self, has_started: bool) -> None:
        for app in self._nested():
            app._has_started = has_started

    def _note_ending(self) -> None:
        """Note that a shutdown has begun. Connections may still come until it drains."""
        for app in self._nested():
            app._exchanges.ending = True

    def _end_drain(self) -> None:
        """Accept connections again, because the application may be started again."""
        self._exchanges.end_drain()
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

    def _check_all_used(self) -> None:
        self._compiler.check_all_used()
        for app in self._mounted.values():
            app._check_all_used()

    def _inside(self) -> Inside:
        """Return what :func:`triows.inspect.tree` needs, and what tests need."""
        return Inside(
            self.is_running,
            self._exchanges,
            self._resources,
            self._mounted,
            self._all_timeouts,
        )

    # Serving.

    def __deepcopy__(self, memo: object) -> Triows:
        """Return the application itself, because some middlewares copy the scope that has it."""
        return self

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
        if watch.follows:
            watch.began(scope)
        try:
            await self._enter(scope, receive, send)
        except BaseException as exc:
            if not _ends_here(without_stray(exc), watch, scope):
                raise
        finally:
            if watch.follows:
                watch.over(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one HTTP or WebSocket scope, and raise what nobody handled. For tests and embedding.

        Raises:
            BaseException: What went wrong, after everything of the connection is closed.
        """
        try:
            await self._enter(scope, receive, send)
        except Exception:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise

    # A plain function, because each coroutine around others takes time and memory.
    def _enter(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope["app"] = self
        if self._resources.state:
            scope["state"] = ConnectionState({**self._resources.state, **scope.get("state", {})})
        if scope.get("root_path"):
            restore_root(scope)
        if self.debug and asks_for_page(scope):
            # Serve it before the middlewares, which might let others read it or change the
            # peer's address, and before a mount at "/". For all others it doesn't exist.
            return serve_page(self, scope, send)
        if scope["type"] == "websocket":
            return answered(
                self._stack,
                scope,
                receive,
                send,
                who=self._around,
                is_wrapped=self._is_wrapped,
                shutdown_code=self.shutdown_code,
                patience=self.timeouts.close,
            )
        return self._serve_http(scope, receive, send)

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


def _is_quiet(error: BaseException) -> bool:
    """Say whether an error only means that a client has left, and nothing else is behind it."""
    return says_only(error, *DISCONNECTS, after=_CANCELLED)


def _ends_here(exc: BaseException, watch: Watch, scope: Scope) -> bool:
    """Report an error, if somebody has to know it. Return whether it concerns nobody else."""
    # Python closes what an abandoned loop has left, with a GeneratorExit. One that is raised while
    # the loop runs is an error as any other.
    is_abandoned = not trio.lowlevel.in_trio_task()
    if is_abandoned or any(is_a(leaf, *_NOT_OURS) for leaf in leaves(exc)):
        return False
    if not _is_quiet(exc):
        note_loop(exc)
        watch.failed(scope, exc)
    return True


# Over what the end of a request may be raised, whose client has left.
_CANCELLED = (HandlerCancelled, trio.Cancelled)

# Ctrl-C, and a cancellation by our caller.
_NOT_OURS = (KeyboardInterrupt, trio.Cancelled)


_WEBSOCKETS = websocket_kind(Triows)
