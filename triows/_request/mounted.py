"""Serves the plain requests to a mounted application."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from attrs import frozen

from triows._counted import counted
from triows._errors import is_a
from triows._exchange.log_lines import in_brackets, log_refusal
from triows._log import logger, peer_of
from triows._printable import printable
from triows._reply import respond, try_later

from .bridge import request_of
from .exchange import RequestExchange
from .foreign import ForeignRequest
from .guard import cut_response, is_guarded
from .line import RequestLine
from .transport import DISCONNECTS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import trio

    from triows._exchange.lifetime import Lifetime
    from triows._exchange.registry import Exchanges
    from triows._injection.hosts import ResourceStack
    from triows._settings import Settings
    from triows.types import ASGIApp, Receive, Scope, Send

    from .transport import RequestTransport

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
        exchanges = self.exchanges
        if exchanges.draining and exchanges.grace_left(self.settings.timeouts) <= 0:
            refusal = try_later("the server is shutting down")
            await respond(send, refusal)
            log_refusal(scope, refusal.status, self.path, refusal.why)
            return
        transport, receive, send = open_request(receive, send)
        # What is around the application would be cancelled as well, so there must be nothing.
        around = None if is_guarded() else transport.lend_scope()
        # A copy, because the application may change the scope.
        exchange = RequestExchange(self, transport, {**scope}, around)
        exchanges.add(exchange)
        error: BaseException | None = None
        try:
            if around is None:
                await self._call_within(exchange.lifetime, scope, receive, send)
            else:
                try:
                    await self.handler(scope, receive, send)
                except BaseException as exc:  # noqa: BLE001 - raised when all is closed
                    error = exc
                if error is not None or not exchange.is_over:
                    await exchange.end(error)
        finally:
            error = None  # its traceback refers to this frame
            exchange.note_over()
            exchanges.discard(exchange)
            if logger.isEnabledFor(logging.INFO):
                _log_end(exchange)
        if not transport.complete and exchange.is_cut:
            # Otherwise a middleware would take the response for complete, and end it properly.
            raise cut_response(receive, send)

    def _call_within(
        self, lifetime: Lifetime, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Call the application in a lifetime of its own scope."""

        def body(_stack: ResourceStack, _nursery: trio.Nursery | None) -> Awaitable[None]:
            return self.handler(scope, receive, send)

        return lifetime.run(body)

    async def pass_on(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Let an application answer that has exchanges of its own.

        If it raises an error before it has begun a response, this answers.

        Args:
            app: The application.
            scope: The request.
            receive: ASGI's function.
            send: ASGI's function.

        Raises:
            BaseException: What the application raised, unless it asked for an answer.
        """
        transport, receive, send = open_request(receive, send)
        try:
            await app(scope, receive, send)
        except Exception as exc:
            if is_a(exc, *DISCONNECTS):
                raise
            line = RequestLine(transport, patience=self.settings.timeouts.close)
            if (await line.conclude([exc], None)).failed:
                raise


def open_request(receive: Receive, send: Send) -> tuple[RequestTransport, Receive, Send]:
    """Return the request to which two functions belong, and the functions for the application."""
    request = request_of(receive, send)
    if request is not None:
        return request, receive, send
    foreign = ForeignRequest(receive, send)
    return foreign, foreign.asgi_receive, foreign.asgi_send


def _log_end(exchange: RequestExchange) -> None:
    """Log the end of a request, in one line."""
    transport, scope = exchange.transport, exchange.scope
    method, peer, duration = str(scope.get("method")), peer_of(scope), exchange.duration
    answered = "not answered" if transport.status is None else f"answered {transport.status}"
    # Method and path come from the client. %r keeps them on one line.
    logger.info(
        "%s %s %r %s%s after %.3f s, received %s, sent %s",
        peer,
        printable(method),
        str(scope.get("path")),
        answered,
        in_brackets(exchange.why),
        duration,
        counted(transport.received, "byte"),
        counted(transport.sent, "byte"),
        extra={
            "route": exchange.served.path,
            "peer": peer,
            "method": method,
            "status": transport.status,
            "duration": duration,
            "bytes_received": transport.received,
            "bytes_sent": transport.sent,
        },
    )
