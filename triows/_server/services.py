"""What one server does for its connections, as long as they speak HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from triows._protocol.http11 import Request
    from triows._settings import Timeouts
    from triows._transports.cork import Cork
    from triows._transports.interface import Starter
    from triows._transports.pinger import Pinger
    from triows._transports.turn import Turn
    from triows.types import ASGIApp, Scope

    from .forwarding import Forwarding
    from .jobs import Jobs
    from .own_headers import OwnHeaders
    from .pool import Pool
    from .scopes import ScopeSettings

__all__ = ["HTTPServices"]


@frozen(eq=False)
class HTTPServices:
    """What one server does for all its connections, as long as they speak HTTP."""

    app: ASGIApp
    timeouts: Timeouts
    pinger: Pinger
    turn: Turn
    cork: Cork
    pool: Pool
    #: Runs what a wire needs.
    tasks: Starter
    own_lines: OwnHeaders
    #: What Hypercorn's configuration says.
    keep_alive_timeout: float
    keep_alive_requests: int
    read_timeout: float
    tls_timeout: float
    head_size: int
    scopes: ScopeSettings
    #: Finds out who has made a request, if proxies say so.
    forwarding: Forwarding | None
    #: Whether the server serves the host of a request, or ``None`` if it serves all.
    serves: Callable[[Request], bool] | None
    #: Writes the line of a request into the access log, or ``None``.
    log_access: Callable[[Scope, Any, float], Awaitable[None]] | None
    #: Called for each request, if somebody counts them.
    note_request: Callable[[], None] | None
    #: Gets a connection, its request that asks for a WebSocket, and the scope around the task that
    #: serves nothing else. It serves the connection until it is over.
    serve_websocket: Callable[[Any, Request, trio.CancelScope], Awaitable[None]]
    #: The requests that are being served.
    jobs: Jobs
    #: Returns Trio's time. Asking the clock is faster than :func:`trio.current_time`.
    now: Callable[[], float] = field(init=False)
    #: How many seconds a connection may be idle, and how many a head may take.
    idle_timeout: float = field(init=False)
    head_timeout: float = field(init=False)

    def body_timeout(self, wanted: float | None) -> float:
        """Return for how many seconds a client may send nothing of a body, as its route wants."""
        return min(self.timeouts.receive if wanted is None else wanted, self.read_timeout)

    @now.default
    def _now(self) -> Callable[[], float]:
        return trio.lowlevel.current_clock().current_time

    @idle_timeout.default
    def _idle_timeout(self) -> float:
        return min(self.keep_alive_timeout, self.read_timeout)

    @head_timeout.default
    def _head_timeout(self) -> float:
        return min(self.timeouts.handshake, self.read_timeout)
