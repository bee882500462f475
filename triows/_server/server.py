"""A server between its start and its end: its connections, and how they end."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial
from socket import AF_UNIX
from typing import TYPE_CHECKING

import trio
from hypercorn.utils import parse_socket_addr, valid_server_name

from triows._inspection.inside import live
from triows._inspection.remains import alive
from triows._managers import asynccontextmanager
from triows._request.transport import nobody
from triows._transports.cork import Cork
from triows._transports.pinger import Pinger
from triows._transports.reactor import new_reactor
from triows._transports.tls import TLS, TLSWire
from triows._transports.turn import current_turn
from triows._transports.wire import PlainWire

from .accepting import accept_from, accept_rest, prepare
from .access import access_logger
from .arrival import Addresses, Arrival
from .connection import HTTPConnection
from .forwarding import forwarding
from .guarded import GuardedTasks
from .introduction import Introductions
from .jobs import Jobs
from .listening import Heir
from .newcomers import LINGER, QUIET, turn_away
from .own_headers import OwnHeaders
from .pool import Pool
from .scopes import ScopeSettings
from .services import HTTPServices
from .tls_extension import Described
from .trimmer import Trimmer
from .unix import named
from .upgraded import Services, Upgraded

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextvars import Context

    from hypercorn.config import Config

    from triows._app import Triows
    from triows._protocol.http11 import Request
    from triows._request_ids import RequestIds
    from triows._transports.bridge import Bridge
    from triows._transports.reactor import Reactor

    from .drain import Drain
    from .listening import Listener
    from .proxy import Proxy
    from .tls import Credentials

__all__ = ["Server", "open_server"]

logger = logging.getLogger("triows")

#: Seconds for the last steps of a shutdown, on a machine under load.
_LAST_STEPS = 1.0


class Server:
    """
    Serves an application that is running. :func:`open_server` makes it.

    Args:
        app: The application.
        config: Hypercorn's configuration.
        tls: The certificate for listeners with TLS.
        request_ids: Makes the ids of exchanges.
        listeners: Where to accept connections. They are closed when the accepting is over.
        proxy: The proxies in front of the server.
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
        tls: Credentials | None,
        listeners: Sequence[Listener],
        *,
        proxy: Proxy | None,
        request_ids: RequestIds | None,
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
        self._tls = None if tls is None else (tls, TLS(tls.context))
        self._introductions = Introductions(proxy, reactor)
        # A dict, not a set: what is done to all of them is done in the order in which they came.
        # The order of a set changes with each run.
        self._connections: dict[HTTPConnection, None] = {}
        # Connections that have not made a request yet.
        self._silent: set[HTTPConnection] = set()
        # Set when one of these has made one. Whoever waits for that makes it.
        self._asked: trio.Event | None = None
        # How many requests may still come, and set when there was another one.
        self._requests_left = config.max_requests or 0
        self._worn_out = trio.Event()
        # Accept some more connections than are allowed, so that these can be answered with 503.
        limit = app.limits.connections
        self._limit = math.inf if limit is None else limit + config.backlog
        # Set when a connection has ended. Whoever waits for that makes it.
        self._room: trio.Event | None = None
        self._listening = trio.CancelScope()
        self._has_stopped_listening = trio.Event()
        # The listeners whose queues are emptied before they are closed.
        self._turned_away: list[Listener] = []
        self._is_ending = False
        self._reactor = reactor
        self._pinger = pinger
        self._trimmer = trimmer
        self._tasks = tasks
        self._all_ended = all_ended
        # Connections whose WebSocket another application serves.
        self._bridges: dict[Bridge, None] = {}
        own_lines = OwnHeaders(config, pinger)
        turn = current_turn()
        scopes = ScopeSettings(config.root_path, config.h11_pass_raw_headers, request_ids)
        self._services = Services(pinger, turn, cork, tasks, self._bridges, own_lines, scopes)
        # For connections that come from elsewhere: they see what the start-up has set, too.
        self._variables = copy_context()
        self._pool = Pool(tasks, pinger, self._variables)
        self._jobs = Jobs()
        self._http = HTTPServices(
            app=app,
            timeouts=app.timeouts,
            pinger=pinger,
            turn=turn,
            cork=cork,
            pool=self._pool,
            tasks=tasks,
            own_lines=own_lines,
            jobs=self._jobs,
            keep_alive_timeout=config.keep_alive_timeout,
            keep_alive_requests=config.keep_alive_max_requests,
            tls_timeout=config.ssl_handshake_timeout,
            read_timeout=math.inf if config.read_timeout is None else config.read_timeout,
            head_size=config.h11_max_incomplete_size,
            scopes=scopes,
            forwarding=forwarding(proxy),
            serves=partial(valid_server_name, config) if config.server_names else None,
            log_access=access_logger(config),
            note_request=None if config.max_requests is None else self._note_request,
            serve_websocket=self._serve_websocket,
        )
        self._should_end_by = math.inf
        self._has_ended = False

    @property
    def urls(self) -> list[str]:
        """The URLs on which it listens."""
        return [one.url for one in self._listeners]

    def renew_certificate(self, tls: Credentials) -> None:
        """Show *tls* to new connections. Those that there are go on with what they have."""
        self._tls = (tls, TLS(tls.context))

    async def listen(self) -> None:
        """Accept connections until they are not wanted any more, and close the listeners."""
        try:
            with self._listening:
                async with trio.open_nursery() as nursery:
                    for one in self._listeners:
                        prepare(one.socket)
                        start = partial(self._start_accepted, one)
                        nursery.start_soon(accept_from, one.socket, start, self._full)
                    await trio.sleep_forever()
        finally:
            for one in self._turned_away:
                accept_rest(one.socket, partial(self._start_accepted, one), self._full)
            for one in self._listeners:
                one.close()
            self._has_stopped_listening.set()

    @property
    def is_listening(self) -> bool:
        """Whether it takes new connections."""
        return not self._has_stopped_listening.is_set()

    async def wait_stopped_listening(self) -> None:
        """Wait until it takes no new connections any more."""
        await self._has_stopped_listening.wait()

    async def wait_ended(self) -> None:
        """Wait until :meth:`shut_down` was called and all connections have ended."""
        await self._all_ended.wait()

    async def wait_worn_out(self) -> None:
        """Wait until it has served as many requests as the configuration allows."""
        await self._worn_out.wait()

    @property
    def connections(self) -> int:
        """How many connections there are, of any kind."""
        return len(self._connections)

    async def stop_accepting(self, drain: Drain) -> None:
        """
        Begin the end: take no newcomers any more, and answer those that came a moment ago.

        From the first moment on, the application isn't ready, and each response on a connection
        is the last one. After the delay, the listeners are closed. A second call has no effect.

        Args:
            drain: How long the delay is.
        """
        await self._begin_to_end(drain)
        await self._stop_listening()

    async def _begin_to_end(self, drain: Drain) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        self._app._note_ending()
        for connection in self._connections:
            connection.answer_last()
        await trio.sleep(self.delay(drain))

    def delay(self, drain: Drain) -> float:
        """Return for how many seconds it goes on when an end has begun."""
        # If other processes take the newcomers, nobody has to notice that this one ends.
        return 0.0 if Heir.OTHERS in self._heirs() else drain.delay

    def _heirs(self) -> list[Heir]:
        return [one.heir() for one in self._listeners]

    async def _stop_listening(self) -> None:
        """Close the listeners, and serve whoever is in their queues, because nobody else will."""
        if not self.is_listening:
            return
        answer_until = trio.current_time() + LINGER
        ours = [one for one in self._listeners if one.heir() is Heir.NOBODY]
        for one in ours:
            turn_away(one.socket, one.file)
        if ours:
            await trio.sleep(QUIET)
        self._turned_away = ours
        self._listening.cancel()
        await self._has_stopped_listening.wait()
        with trio.move_on_at(answer_until):
            while self._silent:
                if self._asked is None:
                    self._asked = trio.Event()
                await self._asked.wait()

    def stays(self, drain: Drain) -> bool:
        """Whether *drain* lets it listen while other connections end."""
        return drain.listen and all(one is Heir.NOBODY for one in self._heirs())

    async def shut_down(
        self,
        drain: Drain,
        *,
        grace: float = math.inf,
        others_drained: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """
        End all connections in order and in time. Then :meth:`wait_ended` returns.

        Plain requests to mounted applications have ``shutdown_grace``, as handlers do. Hypercorn's
        ``graceful_timeout`` is for what is left of plain HTTP after that.

        Args:
            drain: What happens to newcomers and to idle connections.
            grace: How many seconds handlers and requests get, if the settings allow more.
            others_drained: Waits until the processes that share the listeners have drained. If
                this one still listens, it does so until then, as long as it has time.
        """
        if self.stays(drain):
            await self._begin_to_end(drain)
        else:
            await self.stop_accepting(drain)
        started = trio.current_time()
        # What the application knows as an exchange has the grace that drain() gives it.
        self._end_idle(drain.idle)
        async with trio.open_nursery() as nursery:
            # There are our own connections behind middleware, too. drain() ends those.
            ours = {exchange.lifetime.tasks for exchange in live(self._app)}
            for bridge in tuple(self._bridges):
                if bridge.opened_in not in ours:
                    nursery.start_soon(bridge.shut_down, self._app.shutdown_code)
            await self._app.drain(grace=grace)
        with trio.move_on_at(started + self._app.drain_seconds(grace)):
            await self._wait_idle_ended(started + drain.idle)
            await self._app._wait_empty()
            if self.is_listening and others_drained is not None:
                await others_drained()
                await self._app._wait_empty()
        await self._stop_listening()
        # What is left are requests that middleware answers by itself, and responses that clients
        # have not taken.
        http_deadline = started + min(self._config.graceful_timeout, grace)
        self._end_idle(0)
        self._jobs.end_at(http_deadline)
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

    def _end_idle(self, seconds: float) -> None:
        """End connections without a request after so many seconds."""
        for connection in tuple(self._connections):
            connection.shut_down(seconds)

    async def _wait_idle_ended(self, deadline: float) -> None:
        """Wait until no connection waits for a request any more, until the deadline at most."""
        with trio.move_on_at(deadline):
            while any(connection.waits for connection in self._connections):
                await self._wait_change()

    async def _wait_change(self) -> None:
        """Wait until a connection has ended."""
        if self._room is None:
            self._room = trio.Event()
        await self._room.wait()

    def _note_asked(self, connection: HTTPConnection) -> None:
        if connection in self._silent:
            self._silent.discard(connection)
            connection.on_asked = nobody  # it takes memory
            if self._asked is not None:
                self._asked.set()
                self._asked = None

    def _note_request(self) -> None:
        self._requests_left -= 1
        if self._requests_left < 0:
            self._worn_out.set()

    def _full(self) -> trio.Event | None:
        if len(self._connections) < self._limit:
            return None
        if self._room is None:
            self._room = trio.Event()
        return self._room

    # Starting connections.

    def start(self, opening: Callable[[], Arrival], close: Callable[[], object]) -> None:
        """
        Serve a connection that comes from elsewhere.

        Its requests have the server's context variables, and not those of the caller.

        Args:
            opening: Returns the connection. It is called in the context that its requests will
                have. It may raise OSError if the connection is broken by now.
            close: Called at the end, however the connection went.

        Raises:
            RuntimeError: The server has ended. The connection is left as it is.
        """
        if self._has_ended:
            raise RuntimeError("this server has ended")
        context = self._variables.copy()
        context.run(self._start, opening, close, context)

    def _start_accepted(self, listener: Listener, sock: socket.socket) -> None:
        self.start(partial(self._arrival, listener, sock), sock.close)

    def _start(
        self, opening: Callable[[], Arrival], close: Callable[[], object], context: Context
    ) -> None:
        try:
            arrival = opening()
        except OSError:  # the connection broke, so there is nobody to tell
            close()
            return
        connection = HTTPConnection(self._http, arrival.wire, arrival.addresses, context)
        connection.on_asked = partial(self._note_asked, connection)
        connection.on_over = partial(self._note_over, connection, close)
        self._connections[connection] = None
        self._silent.add(connection)
        if self._is_ending:
            connection.answer_last()
        connection.start(arrival.preface)

    def _note_over(self, connection: HTTPConnection, close: Callable[[], object]) -> None:
        close()
        del self._connections[connection]
        self._trimmer.note_ended()
        if self._room is not None:
            self._room.set()
            self._room = None

    def _arrival(self, listener: Listener, sock: socket.socket) -> Arrival:
        client, server = parse_socket_addr(sock.family, sock.getpeername()), own_address(sock)
        if not listener.secure:
            plain = Addresses(client, server, secure=False)
            preface = self._introductions.expected(listener, sock, plain)
            return Arrival(PlainWire(sock, self._reactor), plain, preface)
        assert self._tls is not None
        shown, tls = self._tls
        wire = TLSWire(sock, self._reactor, tls)
        described = Described(shown, wire.ssl_object)
        addresses = Addresses(client, server, secure=True, tls=described)
        preface = self._introductions.expected(listener, sock, addresses)
        return Arrival(wire, addresses, preface)

    def _serve_websocket(
        self, connection: HTTPConnection, head: Request, around: trio.CancelScope
    ) -> Awaitable[None]:
        # In the same step, the application decides whether it is draining.
        self._note_asked(connection)
        services = self._services
        return Upgraded(self._app, self._config, connection, head, services, around).serve()

    async def wait_closed(self) -> None:
        """Wait until no connection is left. From then on none may come, and no task waits."""
        while self._connections:
            await self._wait_change()
        self._has_ended = True
        self._pool.close()

    def close_idle(self) -> None:
        """Close what nothing is running for, because the server was cancelled. None may come."""
        self._has_ended = True
        self._app._note_ending()
        for connection in tuple(self._connections):
            connection.close_idle()

    def close(self) -> None:
        """Close what is left when all tasks have ended."""
        for connection in tuple(self._connections):
            connection.close()


def own_address(sock: socket.socket) -> tuple[str, int | None] | None:
    """Return the address of our end of a connection, as ASGI writes it."""
    if sock.family == AF_UNIX:
        return named(sock.getsockname()), None
    return parse_socket_addr(sock.family, sock.getsockname())


@asynccontextmanager
async def open_server(
    app: Triows,
    config: Config,
    *,
    tls: Credentials | None = None,
    listeners: Sequence[Listener] = (),
    proxy: Proxy | None = None,
    request_ids: RequestIds | None = None,
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
        proxy: As in :class:`Server`.
        request_ids: As in :class:`Server`.
        reactor: Reads for connections that aren't sockets and are given to :meth:`Server.start`.
    """
    reactor = new_reactor() if reactor is None else reactor
    parts = (app, config, tls, listeners, proxy, request_ids, reactor)
    async with trio.open_nursery() as nursery:
        yield await nursery.start(_run, *parts, name="<triows server>")


async def _run(
    app: Triows,
    config: Config,
    tls: Credentials | None,
    listeners: Sequence[Listener],
    proxy: Proxy | None,
    request_ids: RequestIds | None,
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
            with ExitStack() as ends:
                async with trio.open_nursery() as connections:
                    server = Server(
                        app,
                        config,
                        tls,
                        listeners,
                        proxy=proxy,
                        request_ids=request_ids,
                        reactor=reactor,
                        cork=cork,
                        pinger=pinger,
                        trimmer=trimmer,
                        tasks=GuardedTasks(connections),
                        all_ended=all_ended,
                    )
                    ends.callback(server.close)
                    task_status.started(server)
                    try:
                        await server.listen()
                        await server.wait_closed()
                    finally:
                        server.close_idle()
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
