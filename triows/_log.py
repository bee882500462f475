"""The logger ``triows``. Nothing that a peer sends can begin a new line in it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ._printable import printable
from ._traceback import whole_traceback

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["enable", "logger", "peer_of"]

logger = logging.getLogger("triows")


class _WholeLines(logging.Filter):
    """
    Writes the tracebacks of errors, with everything escaped that can't be printed.

    A handler's error often quotes what the peer has sent. Written as it is, a line break in it
    would begin a line that looks like any other line of the log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            # Formatters use this text and make none of their own.
            _, exc, start = record.exc_info
            record.exc_text = whole_traceback(exc, start).rstrip("\n")
        return True


logger.addFilter(_WholeLines())


def enable() -> None:
    """
    Switch our loggers on, if a configuration of logging has switched them off.

    ``logging.config`` disables all loggers that exist and that it doesn't name, unless it is told
    ``disable_existing_loggers=False``. Ours exist since triows was imported. Nobody who writes a
    configuration means to lose the errors of the server. To silence it, set the level.
    """
    for name in ("triows", "triows.frames"):
        logging.getLogger(name).disabled = False


def peer_of(scope: Mapping[str, Any]) -> str:
    """Return the peer's address for the log, or ``unix``; ``?`` if it is not known."""
    client = scope.get("client")
    if client:
        # Middleware may have taken the address from a header, so escape it.
        return f"{printable(str(client[0]))}:{client[1]}"
    server = scope.get("server")
    # The peers of a Unix socket have no address, and its own is a path without a port.
    return "unix" if server and server[1] is None else "?"
