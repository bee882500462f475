"""Who is told what becomes of what a server gives to an application."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import Scope

__all__ = ["Watch"]

logger = logging.getLogger("triows")


class Watch:
    """Is told of each scope. This one writes errors to the log; a test wants to see them."""

    def began(self, scope: Scope) -> None:
        """It is about to be served."""

    def failed(self, scope: Scope, exc: BaseException) -> None:
        """Nobody handled this error; called while it is being handled."""
        logger.error("unhandled error in %s %r", scope["type"], scope.get("path"), exc_info=exc)

    def over(self, scope: Scope) -> None:
        """It has been served; everything of it is closed."""
