"""The log's lines about connections that the server itself ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from triows._log import peer_of
from triows._printable import printable

if TYPE_CHECKING:
    from .arrival import Addresses

__all__ = ["log_closed", "log_cut", "log_refused"]

logger = logging.getLogger("triows")


def log_closed(ends: Addresses, why: str) -> None:
    """Log that a connection was closed before a client could be answered."""
    peer = _peer(ends)
    logger.info("%s closed (%s)", peer, why, extra={"peer": peer})


def log_cut(ends: Addresses, path: str, why: str) -> None:
    """Log that the response for a path can't be completed."""
    peer = _peer(ends)
    logger.info("%s %r response cut: %s", peer, path, why, extra={"peer": peer})


def log_refused(ends: Addresses, status: int, why: str) -> None:
    """Log that a request was refused before the application got it."""
    peer = _peer(ends)
    logger.info(
        "%s refused %d (%s)",
        peer,
        status,
        printable(why),
        extra={"peer": peer, "status": status, "route": None},
    )


def _peer(ends: Addresses) -> str:
    return peer_of({"client": ends.client, "server": ends.server})
