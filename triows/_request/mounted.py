"""Serves the plain requests to a mounted application."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from triows._errors import is_a

from .guard import open_request
from .line import RequestLine
from .serving import ServedRequests
from .transport import DISCONNECTS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import trio

    from triows._exchange.catchers import Catchers
    from triows._injection.hosts import ResourceStack
    from triows.types import ASGIApp, Receive, Scope, Send

    from .exchange import RequestExchange
    from .transport import RequestTransport

__all__ = ["MountedRequests"]


@frozen(eq=False)
class MountedRequests(ServedRequests):
    """
    Serves the plain requests to one mounted application.

    Its settings are those of the outer application, which may also catch what it raises.
    """

    catchers: Catchers

    def line_of(self, transport: RequestTransport, scope: Scope) -> RequestLine:
        replaced = partial(self.catchers.replaced, scope) if self.catchers else None
        patience = self.settings.timeouts.close
        return RequestLine(transport, patience=patience, replaced=replaced)

    def answer(self, exchange: RequestExchange) -> Awaitable[None]:
        transport, scope = exchange.transport, exchange.scope
        exchange.scope = {**scope}  # because the application may change it
        handled: Awaitable[None] = self.handler(scope, transport.asgi_receive, transport.asgi_send)
        return handled

    def live(self, exchange: RequestExchange) -> Awaitable[None]:
        def body(_stack: ResourceStack, _nursery: trio.Nursery | None) -> Awaitable[None]:
            return self.answer(exchange)

        return exchange.lifetime.run(body)

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
        transport, _ = open_request(scope, receive, send)
        try:
            await app(scope, transport.asgi_receive, transport.asgi_send)
        except Exception as exc:
            if is_a(exc, *DISCONNECTS):
                raise
            if (await self.line_of(transport, scope).conclude([exc], None)).failed:
                raise
