"""Who learns what becomes of the scopes that a server gives to an application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import exc_info
from ._log import logger

if TYPE_CHECKING:
    from .types import Scope

__all__ = ["Watch"]


class Watch:
    """Learns about each scope. This one logs errors; that of a test raises them there."""

    def began(self, scope: Scope) -> None:
        """A scope is about to be served."""

    def failed(self, scope: Scope, exc: BaseException) -> None:
        """Nobody handled this error. Called from the `except` block that caught it."""
        logger.error(
            "unhandled error in %s %r", scope["type"], scope.get("path"), exc_info=exc_info(exc)
        )

    def over(self, scope: Scope) -> None:
        """A scope has been served, and everything that belongs to it is closed."""
