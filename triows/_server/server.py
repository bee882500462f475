"""A server between its start and its end: its connections, and how they end."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

import trio
from attrs import frozen
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.utils import parse_socket_addr

from triows._inspection.remains import alive
from triows._transports.pinger import Pinger
from triows._transports.reactor import new_reactor
from triows._transports.turn import current_turn
from triows._transports.wire import CountedStream, PlainWire, TLSWire

from .accepting import accept_from
from .guarded import GuardedTasks
from .http import HTTPConnection, Peers
from .trimmer import Trimmer
from .websocket import serve_websocket

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from hypercorn.config import Config
    from hypercorn.typing import ASGIFramework

    from triows._app import Triows
    from triows._transports.bridge import Bridge
    from triows._transports.reactor import Reactor
    from triows._transports.wire import Wire

    from .listening import Listener

__all__ = ["LINGER", "Accepted", "Server"]

logger = logging.getLogger("triows")

#: Seconds that a connection may take to make a request after the accepting has ended. A client that
#: has just connected takes milliseconds. A silent one must not hold up the shutdown.
LINGER = 0.5

#: Seconds for the last steps of a shutdown, on a machine under load.
_MOMENT = 1.0


@frozen(eq=False)
class Accepted:
    """A connection that was accepted."""

    #: The stream for HTTP.
    stream: trio.abc.Stream
    #: The same connection, for a WebSocket.
    wire: Wire
    peers: Peers


class Server:
    """
    Serves an application that is running.

    Args:
        app: The application.
        config: Hypercorn's configuration.
        tls: The TLS context for listeners with TLS.
        listeners: Where to accept connections. They are closed when the accepting is over.
        reactor: Reads for connections that aren't sockets and are given to :meth:`start`.
    """

    def __init__(
        self,
        app: Triows,
        config: Config,
        tls: ssl.SSLContext | None,
        listeners: Sequence[Listener],
        reactor: Reactor | None = None,
    ) -> None:
        self._app = app
        self._config = config
        self._listeners = listeners
        self._wrapped = ASGIWrapper(cast("ASGIFramework", app))
        self._context = WorkerContext(config.max_requests)
        self._tls = tls
        self._handshakes: set[trio.CancelScope] = set()
        # Dicts, not sets: what is done to all of them is done in the order in which they came. The
        # order of a set changes with each run.
        self._http: dict[HTTPConnection, None] = {}
        # Connections that have not made a request yet.
        self._silent: set[Callable[[], Accepted]] = set()
        self._asked = trio.Event()
        # Connections whose WebSocket another application serves.
        self._bridges: dict[Bridge, None] = {}
        self._connections = 0
        # Accept some more connections than are allowed, so that these can be answered with 503.
        limit = app.limits.connections
        self._limit = math.inf if limit is None else limit + config.backlog
        self._room = trio.Event()
        self._accepting = trio.CancelScope()
        self._accepted_all = trio.Event()
        self._reactor = new_reactor() if reactor is None else reactor
        self._pinger = Pinger()
        self._turn = current_turn()
        self._trimmer = Trimmer()
        self._over = trio.Event()
        self._tasks: GuardedTasks
        self._told_by = math.inf

    @property
    def urls(self) -> list[str]:
        """The URLs on which it listens."""
        return [one.url for one in self._listeners]

    async def run(self) -> None:
        """
        Accept and serve connections until :meth:`shut_down`, and then until they have ended.

        If it is cancelled, the handlers are cancelled, and end as always after a cancellation.
        """
        async with trio.open_nursery() as nursery:
            for service, name in (
                (self._reactor.run, "<triows reactor>"),
                (self._pinger.run, "<triows pinger>"),
                (self._trimmer.run, "<triows trimmer>"),
            ):
                nursery.start_soon(self._outlive, service, name)
            try:
                async with trio.open_nursery() as connections:
                    self._tasks = GuardedTasks(connections)
                    await self._accept()
            finally:
                self._over.set()

    async def _outlive(self, service: Callable[[], Awaitable[None]], name: str) -> None:
        """
        Run what connections need, until the last of them is over.

        Connections that are cancelled still wait for their peers' close frames. Each of them has a
        limit for that, so this has one, too.
        """
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.shield = True
            nursery.start_soon(service, name=name)
            await self._over.wait()
            nursery.cancel_scope.cancel()

    async def _accept(self) -> None:
        try:
            with self._accepting:
                async with trio.open_nursery() as nursery:
                    for one in self._listeners:
                        start = partial(self._start, one)
                        nursery.start_soon(accept_from, one.socket, start, self._full)
                    await trio.sleep_forever()
        finally:
            for one in self._listeners:
                one.socket.close()
            self._accepted_all.set()

    async def wait_worn_out(self) -> None:
        """Wait until it has served as many requests as the configuration allows."""
        await self._context.terminate.wait()

    @property
    def connections(self) -> int:
        """How many connections there are, of any kind."""
        return self._connections

    async def stop_accepting(self) -> None:
        """Close the listeners, and answer clients that were accepted a moment ago."""
        self._accepting.cancel()
        await self._accepted_all.wait()
        await self._answer_accepted()

    async def shut_down(self, *, refusing: bool, grace: float = math.inf) -> None:
        """
        End all connections in order and in time. Then :meth:`run` returns.

        Plain HTTP requests have Hypercorn's ``graceful_timeout`` at the same time.

        Args:
            refusing: Whether to go on accepting connections meanwhile, to tell WebSocket clients
                to come back later (503). If not, other processes that listen on the same sockets
                get these connections.
            grace: How many seconds handlers and requests get, if the settings allow more.
        """
        if not refusing:
            await self.stop_accepting()
        await self._context.terminated.set()
        started = trio.current_time()
        over = started + min(self._config.graceful_timeout, grace)
        self._end_idle(over)
        async with trio.open_nursery() as nursery:
            # There are our own connections behind middleware, too. drain() ends those.
            ours = {lifetime.tasks for lifetime in self._app._lifetimes()}
            for bridge in tuple(self._bridges):
                if bridge.opened_in not in ours:
                    nursery.start_soon(bridge.shut_down, self._app.shutdown_code)
            await self._app.drain(grace=grace)
        self._accepting.cancel()
        await self._accepted_all.wait()
        self._end_idle(over)  # connections that came meanwhile
        # What is left are plain requests, and WebSockets of mounted applications that aren't ours.
        # Both were told to end.
        ends_at = max(over, started + min(self._app.timeouts.shutdown_grace, grace))
        self._tasks.end_at(ends_at)
        self._told_by = max(ends_at + self._app.timeouts.teardown, trio.current_time() + _MOMENT)

    async def warn_of_rest(self) -> None:
        """Log what is left after :meth:`shut_down` when :meth:`run` should have returned."""
        await trio.sleep_until(self._told_by)
        logger.error(
            "the server can't end, because something in the application has not ended:\n%s",
            alive(self._app, self._tasks.live),
        )

    def _end_idle(self, over: float) -> None:
        for scope in tuple(self._handshakes):
            scope.cancel()
        for connection in tuple(self._http):
            connection.shut_down(over)

    async def _answer_accepted(self) -> None:
        """Serve connections that were accepted a moment ago, because nobody else will."""
        with trio.move_on_after(LINGER):
            while self._silent:
                await self._asked.wait()

    def _note_asked(self, opening: Callable[[], Accepted]) -> None:
        self._silent.discard(opening)
        self._asked.set()
        self._asked = trio.Event()

    async def _shake_hands(self, stream: trio.SSLStream[CountedStream]) -> bool:
        """Finish TLS's handshake. Return whether it succeeded in time."""
        seconds = min(self._config.ssl_handshake_timeout, self._app.timeouts.handshake)
        with trio.move_on_after(seconds) as scope:
            self._handshakes.add(scope)
            try:
                await stream.do_handshake()
            except trio.BrokenResourceError:
                return False
            finally:
                self._handshakes.discard(scope)
        return not scope.cancelled_caught

    def _full(self) -> trio.Event | None:
        return self._room if self._connections >= self._limit else None

    def _start(self, listener: Listener, connection: socket.socket) -> None:
        opening = partial(self._accepted, connection, secure=listener.secure)
        self.start(opening, connection.close)

    def start(self, opening: Callable[[], Accepted], close: Callable[[], object]) -> None:
        """
        Serve a connection, in a task of the server.

        Args:
            opening: Returns the connection. It may raise OSError if the connection is broken by
                now.
            close: Called at the end, however the connection went.

        Raises:
            RuntimeError: The server has ended. The connection is left as it is.
        """
        self._tasks.start_soon(self._serve, opening, close, name="<triows connection>")
        self._connections += 1
        self._silent.add(opening)

    def _accepted(self, sock: socket.socket, *, secure: bool) -> Accepted:
        peers = Peers(
            parse_socket_addr(sock.family, sock.getpeername()),
            parse_socket_addr(sock.family, sock.getsockname()),
            secure,
        )
        stream = CountedStream(trio.socket.from_stdlib_socket(sock))
        if not secure:
            return Accepted(stream, PlainWire(sock, self._reactor), peers)
        assert self._tls is not None
        tls = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        return Accepted(tls, TLSWire(tls, sock, self._reactor), peers)

    async def _serve(self, opening: Callable[[], Accepted], close: Callable[[], object]) -> None:
        try:
            with suppress(OSError):  # the connection broke, so there is nobody to tell
                upgraded = await self._serve_http(opening)
                if upgraded is not None:
                    await upgraded()
        finally:
            close()
            self._note_asked(opening)
            self._connections -= 1
            self._trimmer.note_ended()
            if not self._room.is_set():
                self._room.set()
                self._room = trio.Event()

    async def _serve_http(
        self, opening: Callable[[], Accepted]
    ) -> Callable[[], Awaitable[None]] | None:
        """Serve plain requests. Return what to do next, so that nothing of this stays in memory."""
        accepted = opening()
        stream, wire, peers = accepted.stream, accepted.wire, accepted.peers
        if isinstance(stream, trio.SSLStream) and not await self._shake_hands(stream):
            return None
        http = HTTPConnection(
            self._wrapped,
            self._config,
            self._context,
            stream,
            peers,
            self._app.timeouts,
            self._tasks,
            self._pinger,
        )
        http.on_request = partial(self._note_asked, opening)
        self._http[http] = None
        try:
            wanted = await http.serve()
        finally:
            del self._http[http]
        if wanted is None:
            return None
        await self._context.mark_request()
        # In the same step, the application decides whether it is draining.
        self._note_asked(opening)
        return partial(
            serve_websocket,
            self._app,
            self._config,
            wanted,
            wire,
            peers,
            pinger=self._pinger,
            turn=self._turn,
            tasks=self._tasks,
            bridges=self._bridges,
        )
