"""The headers that the server adds to each response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from triows._protocol.responses import header_lines

if TYPE_CHECKING:
    from hypercorn.config import Config

__all__ = ["OwnHeaders"]

#: For how many seconds the headers are used: `Date` has whole seconds (RFC 9110 section 5.6.7).
_FRESH = 0.5


class OwnHeaders:
    """
    Makes the headers, at most twice a second, because writing the date takes time.

    Args:
        config: Hypercorn's configuration.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._made = self._write()
        self._made_at = trio.current_time()

    def __call__(self) -> bytes:
        """Return the headers as lines."""
        now = trio.current_time()
        if now - self._made_at > _FRESH:
            self._made, self._made_at = self._write(), now
        return self._made

    def _write(self) -> bytes:
        return header_lines(self._config.response_headers("h11"))
