"""The log line of a refusal, and how log lines show a reason. All kinds of exchange use them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from triows._log import logger, peer_of
from triows._printable import printable
from triows._request_ids import id_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triows.types import Scope

__all__ = ["fields", "in_brackets", "log_refusal", "who"]

#: Characters of a reason that the log shows: a few lines of a terminal.
_MOST_SHOWN = 300

#: The first status that refuses something (:rfc:`9110#section-15`).
_REFUSALS = 400


def log_refusal(scope: Scope, status: int, route: str | None, why: str) -> None:
    """
    Log in one line that we have refused or answered a request.

    Args:
        scope: The request. It has no path if nobody could read its head.
        status: The HTTP status.
        route: The template, or ``None`` if there is no route.
        why: The reason, for whoever reads the log. Browsers don't show why they were refused.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    of = fields(scope, route, why)
    # The path comes from the peer. repr() keeps it on one line.
    what = route or (repr(scope["path"]) if "path" in scope else None)
    logger.info(
        "%s %s %d%s",
        " ".join(part for part in (of["peer"], of.get("method"), what) if part),
        "refused" if status >= _REFUSALS else "answered",
        status,
        in_brackets(why),
        extra={**of, "status": status},
    )


def fields(scope: Scope, route: str | None, why: str) -> Mapping[str, str | None]:
    """
    Return what the records of all lines about the end of an exchange have as attributes.

    Args:
        scope: The request.
        route: The template, or ``None`` if there is no route.
        why: The reason of its end.
    """
    return {"route": route, "cause": _shown(why), **who(scope)}


def who(scope: Scope) -> Mapping[str, str]:
    """
    Return what all records about an exchange have as attributes.

    Everything that comes from the peer is escaped, because a format may show it as it is.
    """
    of = {"peer": peer_of(scope)}
    for name in ("method", "path"):
        if (value := scope.get(name)) is not None:
            of[name] = printable(str(value))
    if (request_id := id_in(scope)) is not None:
        of["request_id"] = printable(request_id)  # a middleware may have put it there
    return of


def in_brackets(why: str) -> str:
    """Return a reason as a line of the log shows it: in brackets, or not at all."""
    return f" ({_shown(why)})" if why else ""


def _shown(why: str) -> str:
    return printable(why[:_MOST_SHOWN])  # parts of it may come from the peer
