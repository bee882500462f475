"""One connection as long as it speaks HTTP: it serves one request after another."""

from __future__ import annotations

import logging
import math
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import h11  # Hypercorn's
import trio
from hypercorn.events import Closed, RawData, Updated
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.typing import ConnectionState
from hypercorn.utils import suppress_body

from triows._transports.progress import RATE, SLOW, STALLED, Monitor
from triows._transports.wire import BROKEN, FIN
from triows.exceptions import ClientDisconnect

from .h11 import HTTP11

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.config import Config
    from hypercorn.events import Event
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import (
        AppWrapper,
        ASGIReceiveEvent,
        ASGISendEvent,
        Scope as HypercornScope,
    )

    from triows._settings import Timeouts
    from triows._transports.interface import Starter
    from triows._transports.pinger import Pinger
    from triows._transports.wire import CountedStream

    from .arrival import Addresses
    from .h11 import WebSocketRequest

__all__ = ["RequestConnection"]

logger = logging.getLogger("triows")

#: How many bytes to read at a time. Hypercorn reads as many.
_CHUNK = 2**16


class RequestConnection(TCPServer):
    """
    Hypercorn's connection, with limits on its reading, writing and waiting.

    Args:
        app: The application, as Hypercorn wraps it.
        config: Hypercorn's configuration.
        context: Counts requests, and knows whether the server is ending.
        stream: The connection. With TLS, its handshake is over. The caller closes it.
        addresses: Its two ends.
        timeouts: The application's.
        tasks: Where requests run. It isn't a nursery of the connection, because that would have to
            wait for what an application still does after its response.
        timer: Says when to check whether the client takes a response.
        on_request: Called when the client has made a request, but not one for a WebSocket.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: trio.abc.Stream,
        addresses: Addresses,
        timeouts: Timeouts,
        tasks: Starter,
        timer: Pinger,
        on_request: Callable[[], None],
    ) -> None:
        super().__init__(app, config, context, {}, stream)  # type: ignore[arg-type]  # says TLS only
        self._bytes = stream
        # The stream below TLS, if there is TLS.
        below: Any = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        self._line: CountedStream = below
        # The scope is around each write and around the last wait for the client. They go on as
        # long as the client makes progress. The monitor is made with the first response.
        self._timer = timer
        self._monitor: Monitor | None = None
        self._waiting: trio.CancelScope | None = None
        self._too_slow: str | None = None
        self._path = ""
        self._addresses = addresses
        self._timeouts = timeouts
        self._tasks = tasks
        # Around the reading. Its deadline is the time by which the next request has to be there.
        self._reading = trio.CancelScope(deadline=trio.current_time() + timeouts.handshake)
        # Around everything, and around each request. The server's shutdown sets their deadlines.
        self._serving = trio.CancelScope()
        self._requests: set[trio.CancelScope] = set()
        self._latest: trio.CancelScope | None = None
        self._idle = True
        self._on_request = on_request
        # Whether nothing is sent any more, because the last response is out or the stream is
        # broken.
        self._over = self._broken = False
        # Replaced when a response is out, a request was served, or the connection is over.
        self._progress = trio.Event()

    async def serve(self) -> WebSocketRequest | None:
        """
        Serve requests until the connection is over or becomes a WebSocket.

        Returns:
            The request that asks for a WebSocket, unanswered.
        """
        with self._serving:
            self.protocol = HTTP11(  # type: ignore[assignment]  # without the way to HTTP/2
                self.app,
                self.config,
                self.context,
                cast("Any", self),
                ConnectionState({}),
                self._addresses.secure,
                self._addresses.client,
                self._addresses.server,
                self.protocol_send,
                patience=self._timeouts.close,
            )
            try:
                return await self._serve_requests()
            finally:
                if self._monitor is not None:
                    self._monitor.close()
                    # They refer to each other, and would stay until the next garbage collection.
                    self._monitor = None
        return None

    async def _serve_requests(self) -> WebSocketRequest | None:
        try:
            wanted = await self._read_requests()
            if wanted is not None:
                return wanted
            # A client may close its side after its request, and wait for the answer. An
            # application that is told so may also return without one.
            while not self._idle and not self._over and self._latest in self._requests:
                await self._progress.wait()
        finally:
            del self.protocol  # the protocol and this object are a cycle
        if self._over and not self._broken:
            await self._linger()
        return None

    def shut_down(self, deadline: float) -> None:
        """
        End soon: at once if there is no request, and otherwise after the response.

        Args:
            deadline: When a request that is being served is cancelled.
        """
        for scope in (self._serving, *self._requests):
            scope.deadline = deadline
        if self._idle:
            self._reading.cancel()

    async def _read_requests(self) -> WebSocketRequest | None:
        protocol = cast("HTTP11", self.protocol)
        with self._reading, suppress(*BROKEN):
            while not self._over:
                data = await self._receive()
                wanted = await protocol.receive(data)
                if wanted is not None:
                    return wanted
                if not self._idle:
                    self._on_request()
                if not data:
                    break
        # Tell the task that serves a request that the client has gone. If it isn't listening,
        # nothing waits for it.
        await protocol.handle(Closed())
        return None

    async def _receive(self) -> bytes:
        if self.config.read_timeout is None:
            return bytes(await self._bytes.receive_some(_CHUNK))
        with trio.move_on_after(self.config.read_timeout):
            return bytes(await self._bytes.receive_some(_CHUNK))
        return b""

    async def protocol_send(self, event: Event) -> None:
        """Called by Hypercorn's protocol, in the reading task or in a request's task."""
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            protocol: Any = getattr(self, "protocol", None)
            if protocol is not None and protocol.refusing:
                pass  # the connection ends by itself when the error response is out
            elif protocol is not None and protocol.connection.our_state is h11.SEND_BODY:
                # The request broke a rule after its head. The response that has begun is
                # completed, and is the last one.
                self._reading.cancel()
            else:
                self._end()
        elif isinstance(event, Updated):
            self._idle = event.idle
            seconds = self.config.keep_alive_timeout if event.idle else math.inf
            self._reading.deadline = trio.current_time() + seconds
            self._progressed()

    def _end(self) -> None:
        self._over = True
        self._reading.cancel()
        self._progressed()

    def _progressed(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    async def _send(self, data: bytes) -> None:
        async with self.send_lock:
            if self._broken:
                raise ClientDisconnect("the client has gone")
            if self._over:
                return  # Hypercorn still sends something after the last response
            whole, monitor = False, None
            try:
                with trio.CancelScope() as self._waiting:
                    monitor = self._watch()
                    await self._bytes.send_all(data)
                    whole = True
            except BROKEN:
                self._give_up(None)
            finally:
                if monitor is not None:
                    monitor.stop()
                if not whole and not self._broken:
                    self._give_up(self._too_slow or "cancelled")

    def _give_up(self, why: str | None) -> None:
        """End a response that can't be completed. Log *why*, unless the client has gone."""
        self._broken = True
        self._end()
        if why is not None:
            # The client has to see that the rest is missing, and the system must keep nothing.
            self._line.cut()
            self._log_cut(why)

    def _log_cut(self, why: str) -> None:
        client = self._addresses.client
        peer = f"{client[0]}:{client[1]}" if client else "?"
        # The path comes from the client. repr() keeps it on one line.
        logger.info("%s %r response cut: %s", peer, self._path, why, extra={"peer": peer})

    def _watch(self) -> Monitor:
        """Watch the client's progress from now on."""
        if self._monitor is None:
            patience = self._timeouts.send
            self._monitor = Monitor(self._acknowledged, self._timer, patience, self._note_look)
        self._monitor.start()
        return self._monitor

    def _acknowledged(self) -> int:
        return self._line.taken - self._line.unacknowledged()

    def _note_look(self, why: str | None) -> None:
        """Called by the monitor, with the reason if the client is too slow."""
        assert self._waiting is not None
        if why is not None:
            self._too_slow = {
                STALLED: f"the client took nothing for {self._timeouts.send:g} s",
                SLOW: f"the client took less than {RATE} bytes a second",
            }[why]
            self._waiting.cancel()
        elif self._over and self._line.unacknowledged() <= FIN:
            self._waiting.deadline = trio.current_time() + self._timeouts.close
            if self._monitor is not None:
                self._monitor.stop()

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: HypercornScope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Called by Hypercorn's protocol, which uses this object as its group of tasks."""
        events = _Events(config.max_app_queue_size)
        self._latest = cancel_scope = trio.CancelScope()
        self._path = str(scope.get("path"))
        self._requests.add(cancel_scope)
        self._tasks.start_soon(self._serve_request, app, scope, events, send, cancel_scope)
        return events.put

    async def _serve_request(
        self,
        app: AppWrapper,
        scope: HypercornScope,
        events: _Events,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
        cancel_scope: trio.CancelScope,
    ) -> None:
        answered = False

        method = cast("Any", scope)["method"]
        has_body = method != "HEAD"

        async def checked(message: ASGISendEvent) -> None:
            nonlocal has_body
            try:
                if message["type"] == "http.response.start":
                    has_body = not suppress_body(method, int(message["status"]))
                elif message["type"] == "http.response.body" and not (
                    has_body and message.get("body")
                ):
                    # There is nothing to write. If it is sent in a loop, other tasks have to run.
                    await trio.lowlevel.checkpoint()
                await send(message)
            except Exception:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise

        with cancel_scope:
            try:
                await app(scope, events.receive, checked, _no_thread, _no_thread)
                events.close()
                if not self._broken:
                    await send(None)  # the end; if there was no response, Hypercorn answers 500
                answered = True
            finally:
                events.close()
                self._requests.discard(cancel_scope)
                self._progressed()
                if not answered:
                    self._end()

    async def _linger(self) -> None:
        """
        Let the client read the last response before the connection is closed.

        Unread bytes would make the system send a reset, which could arrive before the response. A
        client that reads steadily gets everything. Then it has ``Timeouts.close`` to close its
        side.
        """
        with suppress(*BROKEN):
            async with self.send_lock:  # a request may be in the middle of sending
                await self._line.send_eof()
            with trio.CancelScope() as self._waiting:
                if self._line.unacknowledged() <= FIN:
                    self._waiting.deadline = trio.current_time() + self._timeouts.close
                else:
                    self._watch()
                while await self._line.receive_some(_CHUNK):
                    pass
        if self._too_slow is not None:
            self._give_up(self._too_slow)


def _no_thread(*_: object) -> None:
    raise NotImplementedError("ASGI applications need no threads of Hypercorn's")


class _Events:
    """
    The events of one request: parts of its body, of which only a few wait, and its end.

    Hypercorn reports the end in the task that sends the last part of the response. So reporting it
    must not wait for the reader of earlier events, which may be the same task.

    Args:
        size: How many parts may wait.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[ASGIReceiveEvent] = deque()
        self._end: ASGIReceiveEvent | None = None
        self._is_closed = self._is_end_told = False
        self._changed = trio.Event()

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Add a part when there is room, or the end. It is dropped if the request is over."""
        if event["type"] == "http.disconnect":
            self._end = event
        else:
            while not self._is_over and len(self._waiting) >= self._size:
                await self._changed.wait()
            if not self._is_over:
                self._waiting.append(event)
        self._change()

    async def receive(self) -> ASGIReceiveEvent:
        """
        Wait for the next part or the end. The end is returned as often as it is asked for.

        If an event is already there, this returns it once even in a cancelled scope. ASGI
        applications use that to find out whether the client has gone.
        """
        while not self._waiting and self._end is None:
            await self._changed.wait()
        if self._waiting:
            event = self._waiting.popleft()
            self._change()
        else:
            assert self._end is not None
            event = self._end
            if self._is_end_told:
                await trio.lowlevel.checkpoint()
            self._is_end_told = True
        await trio.lowlevel.cancel_shielded_checkpoint()
        return event

    def close(self) -> None:
        """Note that nobody receives any more."""
        self._is_closed = True
        self._waiting.clear()
        self._change()

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self._end is not None

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
