"""The line of the log that tells how a plain request has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._counted import counted
from triows._exchange.log_lines import in_brackets
from triows._log import logger, peer_of
from triows._printable import printable

if TYPE_CHECKING:
    from .exchange import RequestExchange

__all__ = ["log_end"]


def log_end(exchange: RequestExchange) -> None:
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
