"""What a path leads to: an endpoint with its middlewares, or a mounted application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from ._asgi import described, wrapped
from ._exchange.asked import PathParams
from ._reply import Reply
from ._request.guard import guarded
from ._request.log_lines import answer
from ._transports.bridge import cancelled_by_shutdown
from ._transports.connection import current
from ._where import where

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._request.endpoint import RequestEndpoint
    from ._request.mounted import MountedRequests
    from ._routing.leaf import Match
    from ._routing.node import RouteDescription
    from ._websocket.endpoint import Endpoint
    from .types import ASGIApp, Receive, Scope, Send

__all__ = ["Entry", "Mount", "Target"]


class Target(Protocol):
    """Serves what comes for a path."""

    @property
    def is_wrapped(self) -> bool:
        """Whether there are middlewares around it."""

    # Plain functions that return what is to be awaited. A coroutine around another takes memory as
    # long as a connection lives.

    def serve(
        self,
        match: Match[Any],
        segments: tuple[str, ...],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> Awaitable[None]:
        """
        Serve one scope. Nothing happens before the result is awaited, except to the scope.

        Args:
            match: How the path was found.
            segments: The path.
            scope: The scope. What is known now is added to it.
            receive: ASGI's function.
            send: ASGI's function.
        """


class Entry:
    """
    An endpoint, with the middlewares of its route around it.

    Args:
        description: The route.
        endpoint: What serves it. It is another one while a factory is overridden.

    Raises:
        RouteSetupError: One of the middlewares doesn't make an ASGI application around another.
    """

    def __init__(self, description: RouteDescription, endpoint: Endpoint | RequestEndpoint) -> None:
        self.description = description
        self.endpoint = endpoint
        middlewares = description.options.middlewares
        #: Whether there are middlewares.
        self.is_wrapped = bool(middlewares)
        self._app = wrapped(self._serve_within, middlewares)
        #: What messages call the middlewares.
        self._around = described(middlewares)

    def serve(
        self,
        match: Match[Any],
        segments: tuple[str, ...],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> Awaitable[None]:
        """See :class:`Target`."""
        # A match without parameters is remembered, and must not change.
        scope["path_params"] = PathParams(match.params, match.raw_params or {})
        scope["endpoint"] = self.description.handler  # as in Starlette
        if scope["type"] == "websocket":
            _blame(self._around, is_foreign=self.is_wrapped)
            if self.is_wrapped:
                return self._app(scope, receive, send)
        elif self.is_wrapped:
            return guarded(self._app, scope, receive, send)
        return self.endpoint.serve(scope, receive, send)

    def _serve_within(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve what comes through the middlewares, which may be a preflight that none answers."""
        if scope.get("method") == "OPTIONS" != self.description.method:
            return answer(scope, send, _ALLOWED, self.description.template.path)
        return self.endpoint.serve(scope, receive, send)


#: The answer to a preflight without a middleware for it. The browser then refuses the request.
_ALLOWED = Reply(204, (), b"")


@frozen
class Mount:
    """A mounted application."""

    is_wrapped = False

    app: ASGIApp
    #: Whether it is a triows application, which has exchanges of its own.
    is_ours: bool
    #: Serves the plain requests to it.
    requests: MountedRequests

    def serve(
        self,
        match: Match[Any],
        segments: tuple[str, ...],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> Awaitable[None]:
        """See :class:`Target`."""
        if length := len(segments) - len(match.remaining):
            root = "".join([f"/{segment}" for segment in segments[:length]])
            scope["root_path"] = scope.get("root_path", "") + root
        scope["path_params"] = {**scope.get("path_params", {}), **match.params}
        if scope["type"] == "http":
            if self.is_ours:
                return self.requests.pass_on(self.app, scope, receive, send)
            return self.requests.serve(scope, receive, send)
        if self.is_ours:
            return self.app(scope, receive, send)
        return self._serve_websocket(scope, receive, send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        _blame(f"the mounted application {where(self.app)}", is_foreign=True)
        with cancelled_by_shutdown(receive):
            await self.app(scope, receive, send)


def _blame(who: str, *, is_foreign: bool) -> None:
    """
    Note who is called for the connection of this task.

    Args:
        who: Whom a message names if nobody answers.
        is_foreign: Whether it isn't ours. A cancellation of all that is around the endpoint would
            reach it, too.
    """
    connection = current.get()
    if connection is not None:
        connection.who = who
        if is_foreign:
            connection.around = None
