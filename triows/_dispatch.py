"""Finds what a request asks for, and hands the request over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from ._exchange.log_lines import log_refusal
from ._reply import Reply, method_not_allowed, problem, respond, upgrade_required
from ._routing.leaf import Mismatch
from ._routing.path import BadPath
from ._transports.connection import open_transport
from ._websocket.refusing import refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._routing.router import Router
    from ._settings import Settings
    from ._targets import Target
    from .types import Receive, Scope, Send

__all__ = ["Dispatcher"]


@frozen(eq=False)
class Dispatcher:
    """The ASGI application that is inside the application's middlewares."""

    router: Router[Target]
    #: The application's settings. They apply to connections that no route matches.
    settings: Settings

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Find the route or the mounted application of a scope, and call it."""
        try:
            match, segments = self.router.find(scope)
        except BadPath as exc:
            if scope["path"] == "*" and scope.get("method") == "OPTIONS":
                return respond(send, _ALIVE)
            return self._refuse(scope, receive, send, problem(400, exc.detail))
        if match is None:
            return self._refuse(scope, receive, send, _NOT_FOUND)
        if isinstance(match, Mismatch):
            return self._refuse(scope, receive, send, _refusal_of(match, scope))
        return match.value.serve(match, segments, scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Reply) -> None:
        if scope["type"] == "http":
            await respond(send, refusal)
            return
        transport = open_transport(scope, receive, send, self.settings)
        await refuse(transport, refusal, self.settings.timeouts)
        log_refusal(scope, refusal.status, None, refusal.why)


def _refusal_of(mismatch: Mismatch, scope: Scope) -> Reply:
    """Refuse a request whose path exists, but not for this kind of request."""
    if scope["type"] == "websocket":
        return _NO_WEBSOCKET
    return method_not_allowed(mismatch.methods) if mismatch.methods else upgrade_required()


# Made once, because they are the same for all requests.

#: The answer to ``OPTIONS *``, which asks the server and no application (RFC 9110 section 9.3.7).
_ALIVE = Reply(204, (), b"")

_NOT_FOUND = evolve(problem(404), why="no route has this path")
_NO_WEBSOCKET = evolve(problem(404), why="the route of this path isn't one for WebSockets")
