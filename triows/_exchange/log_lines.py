"""The log line of a refusal, and how log lines show a reason. All kinds of exchange use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._log import logger, peer_of
from triows._printable import printable

if TYPE_CHECKING:
    from triows.types import Scope

__all__ = ["in_brackets", "log_refusal"]

#: Characters of a reason that the log shows: a few lines of a terminal.
_MOST_SHOWN = 300


def log_refusal(scope: Scope, status: int, route: str | None, why: str) -> None:
    """
    Log a refusal, in one line.

    Args:
        scope: The request.
        status: The HTTP status.
        route: The template, or ``None`` if there is no route.
        why: The reason, for whoever reads the log. Browsers don't show why they were refused.
    """
    # The path comes from the peer. repr() keeps it on one line.
    logger.info(
        "%s %s refused %d%s",
        peer_of(scope),
        repr(scope["path"]) if route is None else route,
        status,
        in_brackets(why),
        extra={"route": route, "peer": peer_of(scope), "status": status},
    )


def in_brackets(why: str) -> str:
    """Return a reason as a line of the log shows it: in brackets, or not at all."""
    # Parts of it may come from the peer.
    return f" ({printable(why[:_MOST_SHOWN])})" if why else ""
