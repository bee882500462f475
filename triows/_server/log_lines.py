"""The log's lines about connections that the server itself ends."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from triows._exchange.log_lines import fields, log_refusal
from triows._log import logger

if TYPE_CHECKING:
    from triows._protocol.http11 import Request
    from triows.types import Scope

    from .arrival import Addresses

__all__ = ["log_closed", "log_cut", "log_refused"]


def log_closed(ends: Addresses, why: str) -> None:
    """Log that a connection was closed before a client could be answered."""
    of = fields(_scope(ends), None, why)
    logger.info("%s closed (%s)", of["peer"], why, extra=of)


def log_cut(ends: Addresses, path: bytes, why: str) -> None:
    """Log that the response for a path can't be completed."""
    of = fields({**_scope(ends), "path": path.decode("ascii")}, None, why)
    logger.info("%s %r response cut: %s", of["peer"], of["path"], why, extra=of)


def log_refused(ends: Addresses, status: int, why: str, head: Request | None = None) -> None:
    """Log that a request was refused before the application was called, or in its place."""
    scope = _scope(ends)
    if head is not None:
        scope["method"] = head.method
        scope["path"] = unquote(head.path.decode("ascii"))
    log_refusal(scope, status, None, why)


def _scope(ends: Addresses) -> Scope:
    return {"client": ends.client, "server": ends.server}
