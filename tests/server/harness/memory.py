"""
A server in the tests' own process, with connections in memory and a clock of its own.

It is the whole server without sockets: HTTP, handshakes, frames, limits, timeouts, ends. It runs in
a thread. So the same peers can use it as a server in a process, and wait for it in their own
thread.

Its clock moves only while a peer waits. Then it jumps to the next moment at which something
happens. So seconds take no time, and a peer that waits in vain learns that at once.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import trio
from attrs import field, frozen
from hypercorn.config import Config
from trio.testing import MockClock

from tests.server.applications.attacked import descriptors
from triows._server.arrival import Addresses, Arrival
from triows._server.drain import Drain
from triows._server.serve import run_server
from triows._server.server import Server, open_server
from triows.testing._memory import MemoryEnd, MemoryLink, MemoryReactor

if TYPE_CHECKING:
    import ssl

    from triows import Triows

__all__ = ["BUFFER", "MemoryListener", "MemoryServer", "MemorySocket"]

#: How many bytes each direction of a connection holds. Systems hold as many if they are asked for
#: small buffers. With large ones, peers would wait too seldom.
BUFFER = 2**18

#: How many seconds of the real clock the thread has to end. No test waits that long.
PATIENCE = 30


class MemorySocket:
    """
    A peer's end of a connection in memory, with the names and the errors of a socket.

    Args:
        server: The server in whose thread the connection lives.
        end: The connection.
        patience: How many seconds anything may take.
    """

    def __init__(self, server: MemoryServer, end: MemoryEnd, patience: float) -> None:
        self._server = server
        self._end = end
        self._seconds = math.inf
        self._resets = False
        self._is_closed = False
        self.settimeout(patience)

    def settimeout(self, seconds: float | None) -> None:
        self._seconds = math.inf if seconds is None else seconds

    def gettimeout(self) -> float | None:
        return None if self._seconds == math.inf else self._seconds

    def sendall(self, data: bytes) -> None:
        self._wait(self._end.send_all, data)

    def recv(self, size: int) -> bytes:
        received: bytes = self._wait(self._end.receive_some, size)
        return received

    def _wait(self, function: Callable[..., Awaitable[Any]], *args: object) -> Any:
        try:
            return self._server.wait(self._seconds, function, *args)
        except trio.TooSlowError:
            raise TimeoutError("timed out") from None
        except (trio.BrokenResourceError, trio.RunFinishedError) as exc:
            raise ConnectionResetError(str(exc)) from None

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self._server.call(self._end.send_eof)

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Take the only option that hostile peers use. It makes closing send a reset."""
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER)
        self._resets = True

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            with suppress(trio.RunFinishedError):  # the server is gone, with its connections
                self._server.call(self._end.reset if self._resets else self._end.close)


class _Lines(logging.Handler):
    """Keeps the log lines of one thread."""

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._thread = thread

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread.ident:
            self.lines.append(self.format(record) + "\n")


class MemoryListener:
    """
    Reaches a server with connections in memory.

    Args:
        server: The server, which is running.
        reactor: Reads for it.
    """

    def __init__(self, server: Server, reactor: MemoryReactor) -> None:
        #: The connections that the server has not closed.
        self.open: set[MemoryLink] = set()
        self._reactor = reactor
        self._server = server
        self._ports = iter(range(50_000, 2**32))

    def connect(self) -> MemoryEnd:
        link = MemoryLink(BUFFER, self._reactor)
        client, server = ("127.0.0.1", next(self._ports)), ("127.0.0.1", 80)
        arrival = Arrival(link.wire, Addresses(client, server, secure=False))
        self.open.add(link)

        def close() -> None:
            link.wire.close(abort=False)
            self.open.discard(link)

        self._server.start(lambda: arrival, close)
        return link.client


@asynccontextmanager
async def listening(app: Triows, config: Config, stop: trio.Event) -> AsyncIterator[MemoryListener]:
    """
    Serve an application that is running, until *stop* is set.

    Args:
        app: The application.
        config: Hypercorn's configuration.
        stop: Set it to shut the server down.
    """
    reactor = MemoryReactor()
    async with open_server(app, config, reactor=reactor) as server, trio.open_nursery() as nursery:
        await nursery.start(run_server, server, stop.wait, Drain())
        yield MemoryListener(server, reactor)


@frozen
class _Order:
    """A call that a peer waits for."""

    seconds: float
    function: Callable[[], Awaitable[Any]]
    result: Future[Any] = field(factory=Future)


class MemoryServer:
    """
    A server in a thread.

    Args:
        app: The application.
        settings: Settings of Hypercorn's configuration.
    """

    def __init__(self, app: Triows, **settings: Any) -> None:
        self._app = app
        self._config = Config()
        self._config.errorlog = logging.getLogger("hypercorn.error")
        for name, value in settings.items():
            setattr(self._config, name, value)
        self._clock = MockClock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._log = _Lines(self._thread)
        self._started: Future[None] = Future()
        self._ended: Future[None] = Future()
        # Made in the thread.
        self._token: trio.lowlevel.TrioToken
        self._scope: trio.CancelScope
        self._trigger: trio.Event
        self._listener: MemoryListener

    # These run in the server's thread.

    def _run(self) -> None:
        try:
            trio.run(self._serve, clock=self._clock)
        except BaseException as exc:  # noqa: BLE001 - raised in the other thread
            if not self._started.done():
                self._started.set_exception(exc)
            self._ended.set_exception(exc)
        else:
            self._ended.set_result(None)

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._trigger = trio.Event()
        send, self._orders = trio.open_memory_channel[_Order](1)
        self._order = send.send_nowait
        with trio.CancelScope() as self._scope:
            async with self._app.running():
                descriptors.set(lambda: len(self._listener.open))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._wait_for_peers)
                    served = listening(self._app, self._config, self._trigger)
                    async with served as self._listener:
                        self._started.set_result(None)
                    nursery.cancel_scope.cancel()

    async def _wait_for_peers(self) -> None:
        """
        Carry out the calls of peers, one after another.

        All of them run in one task, so that tests can count the tasks of the server.
        """
        try:
            async for order in self._orders:
                self._clock.autojump_threshold = 0
                try:
                    with trio.fail_after(order.seconds):
                        order.result.set_result(await order.function())
                except (trio.TooSlowError, trio.BrokenResourceError) as exc:
                    order.result.set_exception(exc)
                self._clock.autojump_threshold = math.inf
        finally:
            self._clock.autojump_threshold = 0  # let the server end without waiting

    def _end(self, end: Callable[[], None]) -> None:
        self._clock.autojump_threshold = 0
        end()

    # These run in the thread of the test.

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._log)
        self._thread.start()
        self._started.result(PATIENCE)
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if self.is_running:
            self.call(self._end, self._scope.cancel)
        self._join()

    def stop(self) -> None:
        """Shut the server down."""
        if self.is_running:
            self.call(self._end, self._trigger.set)
        self._join()

    def _join(self) -> None:
        logging.getLogger().removeHandler(self._log)
        self._ended.result(PATIENCE)
        self._thread.join(PATIENCE)

    def wait(self, seconds: float, function: Callable[..., Awaitable[Any]], *args: object) -> Any:
        """
        Call an async function in its thread, and wait for it while its clock moves.

        Raises:
            trio.TooSlowError: It took too many seconds.
            trio.RunFinishedError: The server has ended.
        """
        order = _Order(seconds, partial(function, *args))
        self.call(self._order, order)
        wait([order.result, self._ended], return_when=FIRST_COMPLETED)
        if not order.result.done():
            raise trio.RunFinishedError("the server has ended")
        return order.result.result()

    def call(self, function: Callable[..., Any], *args: object) -> Any:
        """Call a function in its thread."""
        return trio.from_thread.run_sync(function, *args, trio_token=self._token)

    def reach(self, patience: float, context: ssl.SSLContext | None = None) -> MemorySocket:
        """Connect to it, as to a server in a process."""
        assert context is None, "there is no TLS in memory"
        return MemorySocket(self, self.call(self._listener.connect), patience)

    def now(self) -> float:
        """The seconds of its clock."""
        return self._clock.current_time()

    @property
    def lines(self) -> list[str]:
        """What it has logged."""
        return self._log.lines

    @property
    def is_running(self) -> bool:
        return not self._ended.done()
