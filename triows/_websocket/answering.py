"""Answers what middleware and mounted applications leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._errors import without_cancelled
from triows._exchange.log_lines import log_refusal
from triows._reply import problem, try_later
from triows._transports.connection import ASGIConnection, connection_of_both, current
from triows._transports.relay import Relay

from .log_lines import log_close

if TYPE_CHECKING:
    from triows.types import ASGIApp, Receive, Scope, Send

__all__ = ["answered"]


async def answered(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    who: str,
    is_wrapped: bool,
    shutdown_code: int,
    patience: float,
) -> None:
    """
    Call an application for a WebSocket, and answer the peer if it doesn't.

    Args:
        app: The application, with its middlewares around it.
        scope: The connection's scope.
        receive: The server's function.
        send: The server's function.
        who: What messages call the middlewares.
        is_wrapped: Whether there are any.
        shutdown_code: The close code if this is cancelled.
        patience: How long another server may take for the answer, in seconds.

    Raises:
        WebSocketStateError: Nobody has answered, or the application was called although a
            middleware had answered.
        BaseException: What the application raised.
    """
    connection = connection_of_both(receive, send)
    if connection is None:
        connection = Relay(scope, receive, send, patience=patience)
    if is_wrapped:
        connection.around = None  # what cancels the endpoint must not cancel a middleware
    if connection is current.get():  # a triows application that is mounted in another one
        await app(scope, receive, send)
        return
    connection.who = who
    token = current.set(connection)
    cancelled = False
    try:
        await app(scope, connection.receive, connection.send)
        connection.check_answered()
    except BaseException as exc:
        cancelled = without_cancelled(exc) is None
        raise
    finally:
        current.reset(token)
        if connection.endpoint is None:
            await _finish(connection, scope, shutdown_code if cancelled else None)


async def _finish(connection: ASGIConnection, scope: Scope, shutdown_code: int | None) -> None:
    """
    Answer what was left open, and write the connection's line if no endpoint does.

    Args:
        connection: The connection.
        scope: Its scope.
        shutdown_code: The close code, if the application was cancelled.
    """
    if shutdown_code is None:
        ended = await connection.finish(1011, _FAILED)
    else:
        ended = await connection.finish(shutdown_code, _GOING)
    if connection.has_line:
        return
    why = "" if connection.misuse is None else str(connection.misuse)
    if ended is None:
        ended = connection.ended
        if ended is None:
            return  # another server knows it
        if ended.status is not None:
            why = f"{connection.who} has refused it"
    why = why or ended.why
    above = current.get()
    if above is not None:  # the application in which this one is mounted
        above.has_line = True
    if ended.status is not None:
        log_refusal(scope, ended.status, None, why)
    else:
        log_close(scope, ended.code, why)


# Made once, because they are the same for all connections.
_FAILED = problem(500)
_GOING = try_later("the server is shutting down")
