"""The line that the log gets for each connection."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from triows._counted import counted
from triows._exchange.log_lines import fields, in_brackets, log_refusal
from triows._log import logger, peer_of
from triows._printable import printable

if TYPE_CHECKING:
    from triows._exchange.lifetime import Lifetime
    from triows._transports.interface import Transport
    from triows.types import Scope

__all__ = ["log_close", "log_end"]


def log_close(scope: Scope, code: int, why: str) -> None:
    """Log the close of a connection that no route has served, in one line."""
    logger.info(
        "%s %r closed %d%s",
        peer_of(scope),
        scope["path"],
        code,
        in_brackets(why),
        extra={**fields(scope, None, why), "code": code},
    )


def log_end(path: str, scope: Scope, transport: Transport, lifetime: Lifetime) -> None:
    """Log the end of a connection, in one line."""
    if not logger.isEnabledFor(logging.INFO):
        return
    traffic = transport.traffic
    ended = transport.ended
    code, reason = (ended.code, ended.reason) if ended else (1006, "")
    if ended is not None and ended.status is not None:
        log_refusal(scope, ended.status, path, ended.why or lifetime.why)
        return
    duration = trio.current_time() - lifetime.started
    # The reason may come from the peer. %r keeps it on one line.
    logger.info(
        "%s %s closed %d %r%s after %.3f s, received %s (%s), sent %d (%s)",
        peer_of(scope),
        path,
        code,
        reason,
        in_brackets(lifetime.why),
        duration,
        counted(traffic.messages_received, "message"),
        counted(traffic.bytes_received, "byte"),
        traffic.messages_sent,
        counted(traffic.bytes_sent, "byte"),
        extra={
            **fields(scope, path, lifetime.why),
            "code": code,
            "reason": printable(reason),
            "duration": duration,
            "messages_received": traffic.messages_received,
            "bytes_received": traffic.bytes_received,
            "messages_sent": traffic.messages_sent,
            "bytes_sent": traffic.bytes_sent,
        },
    )
