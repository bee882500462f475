"""A server between its start and its end: its connections, and how they end."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.utils import parse_socket_addr

from triows._inspection.inside import live
from triows._inspection.remains import alive
from triows._managers import asynccontextmanager
from triows._transports.cork import Cork
from triows._transports.pinger import Pinger
from triows._transports.reactor import new_reactor
from triows._transports.turn import current_turn
from triows._transports.wire import CountedStream, PlainWire, TLSWire

from .accepting import accept_from
from .arrival import Addresses, Arrival
from .guarded import GuardedTasks
from .requests import RequestConnection
from .trimmer import Trimmer
from .upgraded import Services, Upgraded

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from hypercorn.config import Config
    from hypercorn.typing import ASGIFramework

    from triows._app import Triows
    from triows._transports.bridge import Bridge
    from triows._transports.reactor import Reactor

    from .listening import Listener

__all__ = ["LINGER", "Server", "open_server"]

logger = logging.getLogger("triows")

#: Seconds that a connection may take to make a request after the accepting has ended. A client that
#: has just connected takes milliseconds. A silent one must not hold up the shutdown.
LINGER = 0.5

#: Seconds for the last steps of a shutdown, on a machine under load.
_LAST_STEPS = 1.0


class Server:
    """
    Serves an application that is running. :func:`open_server` makes it.

    Args:
        app: The application.
        config: Hypercorn's configuration.
        tls: The TLS context for listeners with TLS.
        listeners: Where to accept connections. They are closed when the accepting is over.
        reactor: Reads for connections.
        cork: Flushes what connections hold back until the end of a turn.
        pinger: Says when to look at a connection.
        tasks: Runs the connections.
        trimmer: Told about connections that have ended.
        all_ended: Set when it has ended, with all its connections.
    """

    def __init__(
        self,
        app: Triows,
        config: Config,
        tls: ssl.SSLContext | None,
        listeners: Sequence[Listener],
        *,
        reactor: Reactor,
        cork: Cork,
        pinger: Pinger,
        trimmer: Trimmer,
        tasks: GuardedTasks,
        all_ended: trio.Event,
    ) -> None:
        self._app = app
        self._config = config
        self._listeners = listeners
        self._wrapped = ASGIWrapper(cast("ASGIFramework", app))
        self._hypercorns = WorkerContext(config.max_requests)
        self._tls = tls
        self._tls_handshakes: set[trio.CancelScope] = set()
        # A dict, not a set: what is done to all of them is done in the order in which they came.
        # The order of a set changes with each run.
        self._speaking_http: dict[RequestConnection, None] = {}
        # Connections that have not made a request yet.
        self._silent: set[Callable[[], Arrival]] = set()
        self._asked = trio.Event()
        self._connections = 0
        # Accept some more connections than are allowed, so that these can be answered with 503.
        limit = app.limits.connections
        self._limit = math.inf if limit is None else limit + config.backlog
        self._room = trio.Event()
        self._listening = trio.CancelScope()
        self._has_stopped_listening = trio.Event()
        self._reactor = reactor
        self._pinger = pinger
        self._trimmer = trimmer
        self._tasks = tasks
        self._all_ended = all_ended
        # Connections whose WebSocket another application serves.
        self._bridges: dict[Bridge, None] = {}
        self._services = Services(
            pinger,
            current_turn(),
            cork,
            tasks,
            self._bridges,
            partial(config.response_headers, "h11"),
        )
        # For connections that come from elsewhere: they see what the start-up has set, too.
        self._variables = copy_context()
        self._should_end_by = math.inf

    @property
    def urls(self) -> list[str]:
        """The URLs on which it listens."""
        return [one.url for one in self._listeners]

    async def listen(self) -> None:
        """Accept connections until they are not wanted any more, and close the listeners."""
        try:
            with self._listening:
                async with trio.open_nursery() as nursery:
                    for one in self._listeners:
                        start = partial(self._start_accepted, one)
                        nursery.start_soon(accept_from, one.socket, start, self._full)
                    await trio.sleep_forever()
        finally:
            for one in self._listeners:
                one.socket.close()
            self._has_stopped_listening.set()

    async def wait_ended(self) -> None:
        """Wait until :meth:`shut_down` was called and all connections have ended."""
        await self._all_ended.wait()

    async def wait_worn_out(self) -> None:
        """Wait until it has served as many requests as the configuration allows."""
        await self._hypercorns.terminate.wait()

    @property
    def connections(self) -> int:
        """How many connections there are, of any kind."""
        return self._connections

    async def stop_accepting(self) -> None:
        """Close the listeners, and answer clients that were accepted a moment ago."""
        await self._stop_listening()
        await self._answer_silent()

    async def _stop_listening(self) -> None:
        self._listening.cancel()
        await self._has_stopped_listening.wait()

    async def shut_down(self, *, refusing: bool, grace: float = math.inf) -> None:
        """
        End all connections in order and in time. Then :meth:`wait_ended` returns.

        Plain requests to mounted applications have ``shutdown_grace``, as handlers do. Hypercorn's
        ``graceful_timeout`` is for what is left of plain HTTP after that.

        Args:
            refusing: Whether to go on accepting connections meanwhile, to tell WebSocket clients
                to come back later (503). If not, other processes that listen on the same sockets
                get these connections.
            grace: How many seconds handlers and requests get, if the settings allow more.
        """
        if not refusing:
            await self.stop_accepting()
        await self._hypercorns.terminated.set()
        started = trio.current_time()
        # What the application knows as an exchange has the grace that drain() gives it.
        self._end_idle(math.inf)
        async with trio.open_nursery() as nursery:
            # There are our own connections behind middleware, too. drain() ends those.
            ours = {exchange.lifetime.tasks for exchange in live(self._app)}
            for bridge in tuple(self._bridges):
                if bridge.opened_in not in ours:
                    nursery.start_soon(bridge.shut_down, self._app.shutdown_code)
            await self._app.drain(grace=grace)
        await self._stop_listening()
        # What is left are requests that middleware answers by itself, and responses that clients
        # have not taken.
        http_deadline = started + min(self._config.graceful_timeout, grace)
        self._end_idle(http_deadline)
        # And WebSockets of mounted applications that aren't ours, which were told to end.
        last = max(http_deadline, started + min(self._app.timeouts.shutdown_grace, grace))
        self._tasks.end_at(last)
        soon = trio.current_time() + _LAST_STEPS
        self._should_end_by = max(last + self._app.timeouts.teardown, soon)

    async def warn_of_rest(self) -> None:
        """Log what is left after :meth:`shut_down` when everything should have ended."""
        await trio.sleep_until(self._should_end_by)
        logger.error(
            "the server can't end, because something in the application has not ended:\n%s",
            alive(self._app, self._tasks.live),
        )

    def _end_idle(self, deadline: float) -> None:
        """End connections without a request now, and other requests at the deadline."""
        for scope in tuple(self._tls_handshakes):
            scope.cancel()
        for connection in tuple(self._speaking_http):
            connection.shut_down(deadline)

    async def _answer_silent(self) -> None:
        """Serve connections that were accepted a moment ago, because nobody else will."""
        with trio.move_on_after(LINGER):
            while self._silent:
                await self._asked.wait()

    def _note_asked(self, opening: Callable[[], Arrival]) -> None:
        self._silent.discard(opening)
        self._asked.set()
        self._asked = trio.Event()

    async def _shake_hands(self, stream: trio.SSLStream[CountedStream]) -> bool:
        """Finish TLS's handshake. Return whether it succeeded in time."""
        seconds = min(self._config.ssl_handshake_timeout, self._app.timeouts.handshake)
        with trio.move_on_after(seconds) as scope:
            self._tls_handshakes.add(scope)
            try:
                await stream.do_handshake()
            except trio.BrokenResourceError:
                return False
            finally:
                self._tls_handshakes.discard(scope)
        return not scope.cancelled_caught

    def _full(self) -> trio.Event | None:
        return self._room if self._connections >= self._limit else None

    # Starting connections.

    def start(self, opening: Callable[[], Arrival], close: Callable[[], object]) -> None:
        """
        Serve a connection that comes from elsewhere, in a task of the server.

        The task has the server's context variables, and not those of the caller.

        Args:
            opening: Returns the connection. It is called in that task. It may raise OSError if the
                connection is broken by now.
            close: Called at the end, however the connection went.

        Raises:
            RuntimeError: The server has ended. The connection is left as it is.
        """
        self._variables.copy().run(self._start, opening, close)

    def _start_accepted(self, listener: Listener, sock: socket.socket) -> None:
        self._start(partial(self._arrival, sock, secure=listener.secure), sock.close)

    def _start(self, opening: Callable[[], Arrival], close: Callable[[], object]) -> None:
        self._tasks.start_soon(self._serve, opening, close, name="<triows connection>")
        self._connections += 1
        self._silent.add(opening)

    def _arrival(self, sock: socket.socket, *, secure: bool) -> Arrival:
        addresses = Addresses(
            parse_socket_addr(sock.family, sock.getpeername()),
            parse_socket_addr(sock.family, sock.getsockname()),
            secure,
        )
        stream = CountedStream(trio.socket.from_stdlib_socket(sock))
        if not secure:
            return Arrival(stream, PlainWire(sock, self._reactor), addresses)
        assert self._tls is not None
        tls = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        return Arrival(tls, TLSWire(tls, sock, self._reactor), addresses)

    # Serving one connection: first its plain requests, and then, perhaps, its WebSocket.

    async def _serve(self, opening: Callable[[], Arrival], close: Callable[[], object]) -> None:
        try:
            with suppress(OSError):  # the connection broke, so there is nobody to tell
                upgraded = await self._serve_requests(opening)
                if upgraded is not None:
                    await upgraded.serve()
        finally:
            close()
            self._note_asked(opening)
            self._connections -= 1
            self._trimmer.note_ended()
            if not self._room.is_set():
                self._room.set()
                self._room = trio.Event()

    async def _serve_requests(self, opening: Callable[[], Arrival]) -> Upgraded | None:
        """
        Serve plain requests.

        Returns:
            The connection as it goes on if a request asks for a WebSocket. It keeps nothing that is
            needed for HTTP only.
        """
        arrival = opening()
        stream, addresses = arrival.stream, arrival.addresses
        if isinstance(stream, trio.SSLStream) and not await self._shake_hands(stream):
            return None
        http = RequestConnection(
            self._wrapped,
            self._config,
            self._hypercorns,
            stream,
            addresses,
            self._app.timeouts,
            self._tasks,
            self._pinger,
            partial(self._note_asked, opening),
        )
        self._speaking_http[http] = None
        try:
            wanted = await http.serve()
        finally:
            del self._speaking_http[http]
        if wanted is None:
            return None
        await self._hypercorns.mark_request()
        # In the same step, the application decides whether it is draining.
        self._note_asked(opening)
        return Upgraded(self._app, self._config, wanted, arrival.wire, addresses, self._services)


@asynccontextmanager
async def open_server(
    app: Triows,
    config: Config,
    *,
    tls: ssl.SSLContext | None = None,
    listeners: Sequence[Listener] = (),
    reactor: Reactor | None = None,
) -> AsyncIterator[Server]:
    """
    Serve an application that is running, in tasks that end with the block.

    At its end, the block waits until :meth:`Server.shut_down` was called and all connections have
    ended. If it is cancelled, the handlers are cancelled, and end as always after a cancellation.

    Args:
        app: As in :class:`Server`.
        config: As in :class:`Server`.
        tls: As in :class:`Server`.
        listeners: As in :class:`Server`.
        reactor: Reads for connections that aren't sockets and are given to :meth:`Server.start`.
    """
    parts = (app, config, tls, listeners, new_reactor() if reactor is None else reactor)
    async with trio.open_nursery() as nursery:
        yield await nursery.start(_run, *parts, name="<triows server>")


async def _run(
    app: Triows,
    config: Config,
    tls: ssl.SSLContext | None,
    listeners: Sequence[Listener],
    reactor: Reactor,
    task_status: trio.TaskStatus[Server],
) -> None:
    """Make the server, and the nurseries around it. Return when it has ended."""
    pinger, trimmer, all_ended = Pinger(), Trimmer(), trio.Event()
    cork = Cork(current_turn())
    async with trio.open_nursery() as nursery:
        for service, name in (
            (reactor.run, "<triows reactor>"),
            (cork.run, "<triows cork>"),
            (pinger.run, "<triows pinger>"),
            (trimmer.run, "<triows trimmer>"),
        ):
            nursery.start_soon(_outlive, all_ended, service, name)
        try:
            async with trio.open_nursery() as connections:
                server = Server(
                    app,
                    config,
                    tls,
                    listeners,
                    reactor=reactor,
                    cork=cork,
                    pinger=pinger,
                    trimmer=trimmer,
                    tasks=GuardedTasks(connections),
                    all_ended=all_ended,
                )
                task_status.started(server)
                await server.listen()
        finally:
            all_ended.set()


async def _outlive(
    connections_ended: trio.Event, service: Callable[[], Awaitable[None]], name: str
) -> None:
    """
    Run what connections need, until the last of them is over.

    Connections that are cancelled still wait for their peers' close frames. Each of them has a
    limit for that, so this has one, too.
    """
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.shield = True
        nursery.start_soon(service, name=name)
        await connections_ended.wait()
        nursery.cancel_scope.cancel()
