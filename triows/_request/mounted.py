"""Serves the plain requests to a mounted application."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from triows._counted import counted
from triows._exchange.lifetime import Lifetime
from triows._exchange.log_lines import in_brackets, log_refusal
from triows._exchange.registry import Exchange
from triows._log import logger, peer_of
from triows._printable import printable
from triows._reply import respond, try_later

from .line import RequestLine

if TYPE_CHECKING:
    from triows._exchange.registry import Exchanges
    from triows._injection.hosts import ResourceStack
    from triows._settings import Settings
    from triows.types import ASGIApp, Receive, Scope, Send

__all__ = ["MountedRequests"]


@frozen(eq=False)
class MountedRequests:
    """Serves the plain requests to one mounted application."""

    #: The template of the path at which it is mounted.
    path: str
    #: The mounted application.
    handler: ASGIApp
    #: The outer application's.
    settings: Settings
    exchanges: Exchanges

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one request until its end.

        Raises:
            BaseException: What the application raised, as one exception, when all is closed.
        """
        timeouts = self.settings.timeouts
        if self.exchanges.grace_left(timeouts) <= 0:
            refusal = try_later("the server is shutting down")
            await respond(send, refusal)
            log_refusal(scope, refusal.status, self.path, refusal.why)
            return
        line = RequestLine(receive, send, patience=timeouts.close)
        lifetime = Lifetime(line, timeouts)

        async def body(_stack: ResourceStack, _nursery: trio.Nursery | None) -> None:
            await self.handler(scope, line.receive, line.send)

        exchange = Exchange(lifetime, self, scope, is_connection=False)
        self.exchanges.add(exchange)
        try:
            await lifetime.run(body)
        finally:
            self.exchanges.discard(exchange)
            _log_end(scope, line, lifetime, self.path)


def _log_end(scope: Scope, line: RequestLine, lifetime: Lifetime, route: str) -> None:
    """Log the end of a request, in one line."""
    if not logger.isEnabledFor(logging.INFO):
        return
    duration = trio.current_time() - lifetime.started
    answered = "not answered" if line.status is None else f"answered {line.status}"
    # Method and path come from the client. %r keeps them on one line.
    logger.info(
        "%s %s %r %s%s after %.3f s, received %s, sent %s",
        peer_of(scope),
        printable(scope["method"]),
        scope["path"],
        answered,
        in_brackets(lifetime.why),
        duration,
        counted(line.received, "byte"),
        counted(line.sent, "byte"),
        extra={
            "route": route,
            "peer": peer_of(scope),
            "method": scope["method"],
            "status": line.status,
            "duration": duration,
            "bytes_received": line.received,
            "bytes_sent": line.sent,
        },
    )
