"""The live exchanges of an application."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triows._settings import Settings, Timeouts
    from triows.types import Scope

    from .lifetime import Lifetime

__all__ = ["Exchange", "Exchanges", "Served"]


class Served(Protocol):
    """What serves an exchange: an endpoint, or a mounted application."""

    @property
    def path(self) -> str:
        """Its path template."""

    @property
    def handler(self) -> Callable[..., Any]:
        """The user's function, with its plugins around it, or the application."""

    @property
    def settings(self) -> Settings:
        """Its timeouts and limits."""


class Exchange(Protocol):
    """A live exchange, with what serves it."""

    @property
    def lifetime(self) -> Lifetime:
        """Its lifetime. That of a plain request may begin when somebody asks for it."""

    @property
    def served(self) -> Served:
        """What serves it."""

    @property
    def scope(self) -> Scope:
        """What was asked for."""

    @property
    def is_connection(self) -> bool:
        """Whether it is a WebSocket connection, which counts for the limit."""


class Exchanges:
    """
    All live exchanges of one application, so that they can be counted and ended.

    Args:
        limit: How many WebSocket connections there may be at a time, or ``None``. Plain requests
            don't count.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        # In the order in which they came.
        self._live: dict[Exchange, None] = {}
        self._connections = 0
        # Set when no exchange is left. Whoever waits for that makes it.
        self._empty: trio.Event | None = None
        # When the drain began, and how many seconds it gives handlers, if their own grace is
        # longer. ``None`` while there is no drain.
        self._drain: tuple[float, float] | None = None
        #: Whether live connections are being closed. New handshakes are then refused.
        self.draining = False
        #: Whether a shutdown has begun. Connections may still come for a while.
        self.ending = False

    def __iter__(self) -> Iterator[Exchange]:
        """Yield all exchanges, the oldest first."""
        return iter(tuple(self._live))

    @property
    def connections(self) -> int:
        """How many WebSocket connections there are."""
        return self._connections

    @property
    def requests(self) -> int:
        """How many plain requests there are."""
        return len(self._live) - self._connections

    @property
    def full(self) -> bool:
        """Whether there is no room for another connection."""
        return self.limit is not None and self._connections >= self.limit

    def end_drain(self) -> None:
        """Take new exchanges again, because the application may be started again."""
        self._drain = None
        self.draining = self.ending = False

    def grace_left(self, timeouts: Timeouts) -> float:
        """Return how many seconds a handler that begins now has. It is 0 when a drain is over."""
        if self._drain is None:
            return math.inf
        began, grace = self._drain
        return max(0.0, began + min(grace, timeouts.shutdown_grace) - trio.current_time())

    def add(self, exchange: Exchange) -> None:
        """Add an exchange that begins. During a drain, it has what is left of the grace."""
        self._live[exchange] = None
        self._connections += exchange.is_connection
        if self._drain is not None:
            exchange.lifetime.note_shutdown(self.grace_left(exchange.served.settings.timeouts))

    def discard(self, exchange: Exchange) -> None:
        """Remove an exchange that is over."""
        del self._live[exchange]
        self._connections -= exchange.is_connection
        if self._empty is not None and not self._live:
            self._empty.set()
            self._empty = None

    async def wait_empty(self) -> None:
        """Wait until no exchange is left."""
        while self._live:
            if self._empty is None:
                self._empty = trio.Event()
            await self._empty.wait()

    async def drain(self, *, seconds: float, grace: float = math.inf) -> bool:
        """
        End all exchanges, and wait until they are over.

        Peers of WebSockets get a close frame. Handlers, and mounted applications that answer plain
        requests, have ``shutdown_grace`` to finish, and are then cancelled. Resources exit.

        Args:
            seconds: How long to wait at most.
            grace: How many seconds handlers have, if their ``shutdown_grace`` is longer.

        Returns:
            Whether all exchanges are over.
        """
        self._drain = (trio.current_time(), grace)
        self.draining = self.ending = True
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for exchange in self:
                    if exchange not in self._live:
                        continue  # it is over by now
                    nursery.start_soon(exchange.lifetime.shut_down, grace)
                    # Spread the close frames out. A burst of them would make a burst of clients
                    # connect again. It also lets other tasks run in between.
                    await trio.lowlevel.checkpoint()
            await self.wait_empty()
        return not self._live
