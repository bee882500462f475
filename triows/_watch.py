"""The place where errors in the scopes that a server gives to an application are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import exc_info
from ._exchange.log_lines import who
from ._log import logger, peer_of
from ._where import where

if TYPE_CHECKING:
    from .types import Scope

__all__ = ["Watch"]


class Watch:
    """Is told about each scope. This class logs errors. A test client's raises them in the test."""

    #: Whether it wants to know of the scopes without an error. A call for each would take time.
    follows = False

    def began(self, scope: Scope) -> None:
        """Called before a scope is served."""

    def failed(self, scope: Scope, exc: BaseException) -> None:
        """Called in an `except` block, with an error that nobody has handled."""
        # The path comes from the peer. repr() keeps it on one line.
        logger.error(
            "unhandled error in %s %r, peer %s%s",
            scope["type"],
            scope.get("path"),
            peer_of(scope),
            _handler_of(scope),
            exc_info=exc_info(exc),
            extra=who(scope),
        )

    def over(self, scope: Scope) -> None:
        """Called when a scope was served, and everything that belongs to it is closed."""


def _handler_of(scope: Scope) -> str:
    """Say which function handles it, if a route was found."""
    handler = scope.get("endpoint")
    return "" if handler is None else f", handler {where(handler)}"
