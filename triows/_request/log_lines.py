"""The line of the log that tells how a plain request has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._counted import counted
from triows._exchange.log_lines import fields, in_brackets, log_refusal
from triows._log import logger
from triows._reply import respond

from .guard import note_line

if TYPE_CHECKING:
    from triows._reply import Reply
    from triows.types import Scope, Send

    from .exchange import RequestExchange

__all__ = ["answer", "log_end"]


async def answer(scope: Scope, send: Send, reply: Reply, route: str | None = None) -> None:
    """
    Answer a request for which there is no exchange, and log that in one line.

    Args:
        scope: The request.
        send: ASGI's function.
        reply: The answer.
        route: The template, or ``None`` if there is no route.
    """
    try:
        await respond(send, reply)
    finally:  # the client may have left
        note_line()
        log_refusal(scope, reply.status, route, reply.why)


def log_end(exchange: RequestExchange) -> None:
    """Log the end of a request, in one line."""
    transport, scope = exchange.transport, exchange.scope
    of, duration = fields(scope, exchange.served.path, exchange.why), exchange.duration
    status = transport.status if transport.refused_with is None else transport.refused_with
    answered = "not answered" if status is None else f"answered {status}"
    # Method and path come from the client. %r keeps them on one line.
    logger.info(
        "%s %s %r %s%s after %.3f s, received %s, sent %s",
        of["peer"],
        of.get("method"),
        str(scope.get("path")),
        answered,
        in_brackets(exchange.why),
        duration,
        counted(transport.received, "byte"),
        counted(transport.sent, "byte"),
        extra={
            **of,
            "status": status,
            "duration": duration,
            "bytes_received": transport.received,
            "bytes_sent": transport.sent,
        },
    )
