"""Finds what a request asks for, and hands the request over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from ._errors import combined
from ._exchange.log_lines import log_refusal
from ._exchange.refusals import agreed
from ._reply import (
    Refused,
    Reply,
    allowed_methods,
    method_not_allowed,
    problem,
    upgrade_required,
)
from ._request.log_lines import answer
from ._routing.leaf import Match, Mismatch
from ._routing.path import BadPath
from ._transports.connection import open_transport
from ._websocket.refusing import judged, refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._exchange.catchers import Catchers
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
    #: What the application makes of its exceptions.
    catchers: Catchers

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Find the route or the mounted application of a scope, and call it."""
        try:
            match, segments = self.router.find(scope)
        except BadPath as exc:
            if scope["path"] == "*" and scope.get("method") == "OPTIONS":
                return answer(scope, send, _ALIVE)
            return self._answer(scope, receive, send, problem(400, exc.detail))
        if match is None:
            return self._answer(scope, receive, send, _NOT_FOUND)
        if isinstance(match, Mismatch):
            if (asked := self._preflighted(segments, scope)) is not None:
                return asked.value.serve(asked, segments, scope, receive, send)
            return self._answer(scope, receive, send, _answer_to(match, scope))
        return match.value.serve(match, segments, scope, receive, send)

    def _preflighted(self, segments: tuple[str, ...], scope: Scope) -> Match[Target] | None:
        """
        Find the route about which a browser asks before its request, if it has middlewares.

        One of them may be for CORS, and has to answer (https://fetch.spec.whatwg.org/#http-cors-protocol).
        """
        if scope.get("method") != "OPTIONS":
            return None
        method = dict(scope["headers"]).get(b"access-control-request-method", b"")
        match = self.router.match(segments, method.decode("latin-1"))
        return match if isinstance(match, Match) and match.value.is_wrapped else None

    async def _answer(self, scope: Scope, receive: Receive, send: Send, reply: Reply) -> None:
        """
        Answer what no route matches.

        Raises:
            BaseException: The application catches refusals, and what it has for that has failed.
        """
        error: BaseException | None = None
        is_caught = self.catchers.catch_refusals and reply.status >= 300
        if scope["type"] == "http":
            if is_caught:
                reply, error = self._caught(scope, reply)
            await answer(scope, send, reply)
        else:
            transport = open_transport(scope, receive, send, self.settings)
            if is_caught:
                reply, error = judged(Refused(reply), scope, self.catchers, transport)
            await refuse(transport, reply, self.settings.timeouts)
            log_refusal(scope, reply.status, None, reply.why)
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback refers to this frame

    def _caught(self, scope: Scope, reply: Reply) -> tuple[Reply, BaseException | None]:
        """Let the application answer a plain request instead. If that fails, it is an error."""
        raised: list[BaseException] = [Refused(reply)]
        counting = self.catchers.replaced(scope, raised)
        if (refusal := agreed(counting)) is not None:
            return refusal, None
        failed = [one for one in counting if not isinstance(one, Refused)]
        return problem(500), combined("errors in one request", failed)


def _answer_to(mismatch: Mismatch, scope: Scope) -> Reply:
    """Answer a request whose path exists, but has no handler for this kind of request."""
    if scope["type"] == "websocket":
        return _NO_WEBSOCKET
    if not mismatch.methods:
        return upgrade_required()
    asks_which = scope["method"] == "OPTIONS"
    return (allowed_methods if asks_which else method_not_allowed)(mismatch.methods)


# Made once, because they are the same for all requests.

#: The answer to ``OPTIONS *``, which asks the server and no application (RFC 9110 section 9.3.7).
_ALIVE = Reply(204, (), b"")

_NOT_FOUND = evolve(problem(404), why="no route has this path")
_NO_WEBSOCKET = evolve(problem(404), why="the route of this path isn't one for WebSockets")
