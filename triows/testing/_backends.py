"""How a client in a test reaches the application: in memory, or over sockets of this machine."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Protocol

import trio

from triows._server.arrival import Addresses, Arrival
from triows._server.config import Config
from triows._server.drain import Drain
from triows._server.serve import run_server, serve
from triows._server.server import Server, open_server

from ._ends import SocketEnd
from ._memory import MemoryLink, MemoryReactor, pair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from triows import Triows

    from ._calls import Call
    from ._ends import End
    from ._network import Transit

__all__ = ["Backend", "Loopback", "Memory"]

#: The ports from which clients in memory seem to come. These are dynamic ports (RFC 6335 section
#: 6). Starlette's client begins with the same number.
_PORTS = range(50000, 65536)


class Backend(Protocol):
    """How a client reaches the application."""

    #: The application's URL once it is served. Empty if any host will do.
    url: str
    #: The path at which the application is mounted.
    root_path: str
    #: How many seconds an answer is on its way at most.
    round_trip: float
    #: What a shutdown does with newcomers and with idle connections.
    drain: Drain

    async def serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        """
        Start the application and serve it. Shut it down when *trigger* returns.

        Raises:
            BaseException: The start-up or the shutdown raised this.
        """

    async def connect(self, call: Call, buffer: int) -> End:
        """
        Open a connection.

        Args:
            call: The connection. If its :attr:`Call.address` isn't set, this sets it.
            buffer: How many bytes each direction holds.

        Raises:
            OSError: Nobody listens any more.
        """


class Memory:
    """
    Connections in memory.

    Args:
        app: The application.
        root_path: The path at which it is mounted.
        transit: The network. Without it, everything arrives at once.
        drain: What a shutdown does with newcomers and with idle connections.
    """

    url = ""

    def __init__(
        self,
        app: Triows,
        root_path: str,
        transit: Transit | None = None,
        drain: Drain | None = None,
    ) -> None:
        self.root_path = root_path
        self._app = app
        self.drain = drain or Drain()
        self._reactor = MemoryReactor()
        self.round_trip = 0.0 if transit is None else transit.round_trip
        self._transit = transit
        # This server doesn't listen on sockets, so all other defaults will do.
        self._config = Config()
        self._config.root_path = root_path
        # The server while it runs.
        self._server: Server | None = None
        self._numbers = count()

    async def serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as nursery:
            if self._transit is not None:
                await nursery.start(self._transit.run, name="<network>")
            await self._serve(trigger, task_status)
            nursery.cancel_scope.cancel()

    async def _serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        async with self._app.running():
            opened = open_server(self._app, self._config, reactor=self._reactor)
            async with opened as server, trio.open_nursery() as nursery:
                await nursery.start(run_server, server, trigger, self.drain)
                self._server = server
                task_status.started()

    async def connect(self, call: Call, buffer: int) -> End:
        if call.address is None:
            call.address = ("testclient", _PORTS[next(self._numbers) % len(_PORTS)])
        pipes = pair if self._transit is None else self._transit.pipes
        link = MemoryLink(buffer, self._reactor, pipes)
        server = ("testserver", 443 if call.secure else 80)
        arrival = Arrival(link.wire, Addresses(call.address, server, call.secure))

        def close() -> None:
            link.wire.close(abort=False)
            call.note_closed()

        def opening() -> Arrival:
            call.mark()
            return arrival

        await trio.lowlevel.checkpoint()
        if self._server is None:
            raise ConnectionRefusedError("the application has not started")
        if not self._server.is_listening:
            raise ConnectionRefusedError("the application has been shut down")
        try:
            self._server.start(opening, close)
            call.tells_end = True
        except RuntimeError:
            raise ConnectionRefusedError("the application has been shut down") from None
        return link.client


class Loopback:
    """
    Sockets of this machine.

    Args:
        app: The application.
        config: Hypercorn's configuration.
        drain: As in :class:`Memory`.
    """

    def __init__(self, app: Triows, config: Config, drain: Drain | None = None) -> None:
        self._app = app
        self.drain = drain or Drain()
        self._config = config
        self.url = ""
        self.root_path = config.root_path
        self.round_trip = 0.0

    async def serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as nursery:
            urls = await nursery.start(self._serve, trigger)
            self.url = urls[0]
            task_status.started()

    async def _serve(
        self, trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[list[str]]
    ) -> None:
        await serve(
            self._app,
            self._config,
            shutdown_trigger=trigger,
            drain=self.drain,
            task_status=task_status,
        )

    async def connect(self, call: Call, buffer: int) -> End:
        if call.address is not None:
            raise ValueError("the client's address is the system's: leave out client=")
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        end = await SocketEnd.connect(host.strip("[]"), int(port), buffer)
        call.address = end.address
        return end
