"""One connection, from the request that asks for a WebSocket to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import trio
from attrs import frozen

from triows._exchange.log_lines import log_refusal
from triows._protocol.upgrade import BadUpgrade, Upgrade, read_upgrade
from triows._reply import Reply, problem
from triows._transports.bridge import Bridge
from triows._transports.stream import StreamTransport
from triows._websocket.refusing import refuse

from .scopes import websocket_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.config import Config

    from triows._app import Triows
    from triows._protocol.http11 import Request
    from triows._settings import Settings
    from triows._transports.cork import Cork
    from triows._transports.interface import Starter
    from triows._transports.pinger import Pinger
    from triows._transports.turn import Turn

    from .connection import HTTPConnection
    from .scopes import ScopeSettings

__all__ = ["Services", "Upgraded"]


#: What a request that can't be read asks for.
_UNREADABLE: Final = Upgrade("", [])


@frozen(eq=False)
class Services:
    """What one server does for all its connections."""

    pinger: Pinger
    turn: Turn
    cork: Cork
    #: Runs the tasks of a connection whose application uses ASGI's ``receive`` and ``send``.
    tasks: Starter
    #: Such connections. A dict, not a set: what is done to all of them is done in the order in
    #: which they came. The order of a set changes with each run.
    bridges: dict[Bridge, None]
    #: Makes the lines of the headers that the server adds to each response.
    own_lines: Callable[[], bytes]
    scopes: ScopeSettings


class Upgraded:
    """
    A connection whose request asks for a WebSocket.

    Args:
        app: The application. It logs its errors itself.
        config: Hypercorn's configuration.
        connection: The connection. It is closed when :meth:`serve` returns.
        head: The request.
        services: The server's.
        around: A scope around the task that calls :meth:`serve`, in which nothing else runs.
    """

    __slots__ = (
        "_app",
        "_around",
        "_bad",
        "_config",
        "_connection",
        "_scope",
        "_services",
        "_started",
        "_transport",
        "_upgrade",
    )

    def __init__(
        self,
        app: Triows,
        config: Config,
        connection: HTTPConnection,
        head: Request,
        services: Services,
        around: trio.CancelScope,
    ) -> None:
        self._app = app
        self._config = config
        self._connection = connection
        self._services = services
        self._around = around
        self._scope = websocket_scope(head, connection.addresses, services.scopes)
        # Only the access log needs it.
        self._started = 0.0 if config.accesslog is None else trio.current_time()
        self._upgrade = _UNREADABLE
        self._bad: BadUpgrade | None = None
        try:
            self._upgrade = read_upgrade(
                head.method.encode(), head.http_version.encode(), head.headers
            )
        except BadUpgrade as exc:
            self._bad = exc.with_traceback(None)  # its frames refer to this object
        # What was made last, for the access log.
        self._transport: StreamTransport | None = None

    async def serve(self) -> None:
        """Answer the handshake, and serve the connection until it ends."""
        if self._bad is not None:
            await self._refuse(self._bad)
            if self._config.accesslog is not None:
                await self._log_access()
            return
        self._scope["subprotocols"] = self._upgrade.subprotocols
        services = self._services
        bridge = Bridge(
            self.make_transport,
            services.tasks,
            self._app.settings,
            opened=services.bridges,
            turn=services.turn,
            around=self._around,
        )
        try:
            await self._app(self._scope, bridge.receive, bridge.send)
        finally:
            # Each of the two costs a coroutine, and most connections need none of them.
            try:
                if bridge.has_events:
                    await bridge.aclose()
            finally:
                if self._config.accesslog is not None:
                    await self._log_access()

    async def _refuse(self, bad: BadUpgrade) -> None:
        refusal = problem(bad.status, bad.detail)
        refusal = Reply(bad.status, [*refusal.headers, *bad.headers], refusal.body)
        transport = self.make_transport(self._app.settings)
        await refuse(transport, refusal, self._app.timeouts)
        log_refusal(self._scope, bad.status, None, bad.detail)

    def make_transport(self, settings: Settings) -> StreamTransport:
        """Make the transport, with the settings of the route that was found. Call this once."""
        connection = self._connection
        self._transport = StreamTransport(
            connection.wire,
            self._upgrade,
            early=connection.take_rest(),
            settings=settings,
            own_lines=self._services.own_lines,
            pinger=self._services.pinger,
            turn=self._services.turn,
            cork=self._services.cork,
        )
        connection.take_over(self._transport)
        return self._transport

    async def _log_access(self) -> None:
        """Write Hypercorn's line for the request when it is over, as for a plain request."""
        if self._transport is None:
            return
        ended = self._transport.ended
        status = 101 if ended is None or ended.status is None else ended.status
        response: Any = {"status": status, "headers": []}
        seconds = trio.current_time() - self._started
        # It is only a line in a log, but the configuration may name a logger that takes long.
        with trio.move_on_after(self._app.timeouts.close, shield=True):
            await self._config.log.access(cast("Any", self._scope), response, seconds)
