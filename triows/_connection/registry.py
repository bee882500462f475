"""The live connections of an application."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triows._settings import Settings
    from triows.types import Scope

    from .lifetime import Lifetime

__all__ = ["Connections", "Served"]


class Served(Protocol):
    """The route of a connection."""

    @property
    def path(self) -> str:
        """Its path template."""

    @property
    def handler(self) -> Callable[..., Any]:
        """The user's function, with its plugins around it."""

    @property
    def settings(self) -> Settings:
        """Its timeouts and limits."""


class Connections:
    """
    All live connections of one application, so that they can be counted and closed.

    Args:
        limit: How many there may be at a time, or ``None``.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        #: Whether the application is shutting down. New handshakes are then refused.
        self.draining = False
        # In the order in which they came.
        self._live: dict[Lifetime, tuple[Served, Scope]] = {}
        self._empty = trio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Lifetime]:
        return iter(tuple(self._live))

    @property
    def full(self) -> bool:
        """Whether there is no room for another connection."""
        return self.limit is not None and len(self._live) >= self.limit

    def described(self) -> list[tuple[Lifetime, Served, Scope]]:
        """List all connections, the oldest first, with their routes and requests."""
        return [(lifetime, route, scope) for lifetime, (route, scope) in self._live.items()]

    def find(self, lifetime: Lifetime) -> tuple[Served, Scope] | None:
        """Return the route and the request of a connection, if it is here."""
        return self._live.get(lifetime)

    def add(self, lifetime: Lifetime, route: Served, scope: Scope) -> None:
        if not self._live:
            self._empty = trio.Event()
        self._live[lifetime] = (route, scope)

    def discard(self, lifetime: Lifetime) -> None:
        self._live.pop(lifetime, None)
        if not self._live:
            self._empty.set()

    async def wait_empty(self) -> None:
        """Wait until no connection is left."""
        while self._live:
            await self._empty.wait()

    async def drain(self, *, code: int, seconds: float, grace: float = math.inf) -> bool:
        """
        Close all connections, and wait until they are over.

        Every peer gets a close frame. Every handler has its ``shutdown_grace`` to finish, and is
        then cancelled. Its resources exit.

        Args:
            code: The close code.
            seconds: How long to wait at most.
            grace: How many seconds handlers have, if their ``shutdown_grace`` is longer.

        Returns:
            Whether all connections are over.
        """
        self.draining = True
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for lifetime in self:
                    nursery.start_soon(lifetime.shut_down, code, grace)
                    # Spread the close frames out. A burst of them would make a burst of clients
                    # connect again. It also lets other tasks run in between.
                    await trio.lowlevel.checkpoint()
            await self.wait_empty()
        return not self._live
