"""The log's lines about connections that the server itself ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote

from triows._exchange.log_lines import fields, in_brackets, log_refusal
from triows._protocol.handshake import MOST_SHOWN

if TYPE_CHECKING:
    from triows._protocol.http11 import Request
    from triows.types import Scope

    from .arrival import Addresses

__all__ = ["log_closed", "log_cut", "log_other_host", "log_refused"]

logger = logging.getLogger("triows")


def log_closed(ends: Addresses, why: str) -> None:
    """Log that a connection was closed before a client could be answered."""
    of = fields(_scope(ends), None, why)
    logger.info("%s closed%s", of["peer"], in_brackets(why), extra=of)


def log_cut(ends: Addresses, path: str, why: str) -> None:
    """Log that the response for a path can't be completed."""
    of = fields({**_scope(ends), "path": path}, None, why)
    logger.info("%s %r response cut: %s", of["peer"], path, why, extra=of)


def log_refused(ends: Addresses, status: int, why: str, head: Request | None = None) -> None:
    """
    Log that a request was refused before the application got it, or in its place.

    Args:
        ends: The two ends of the connection.
        status: The HTTP status.
        why: The reason.
        head: The request, if it could be read.
    """
    scope = _scope(ends)
    if head is not None:
        scope["method"] = head.method
        scope["path"] = unquote(head.path.decode("ascii"))
    log_refusal(scope, status, None, why)


def log_other_host(ends: Addresses, status: int, head: Request) -> None:
    """Log that a request was refused because its host isn't served here."""
    host = next((value for name, value in head.headers if name == b"host"), b"")
    shown = host[:MOST_SHOWN].decode("latin-1")
    log_refused(ends, status, f"its host isn't in server_names: {shown!r}", head)


def _scope(ends: Addresses) -> Scope:
    return {"client": ends.client, "server": ends.server}
