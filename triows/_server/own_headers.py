"""The headers that the server adds to each response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._headers import header_lines

if TYPE_CHECKING:
    from hypercorn.config import Config

    from triows._transports.pinger import Pinger

__all__ = ["OwnHeaders"]

#: For how many seconds the headers are used: `Date` has whole seconds (RFC 9110 section 5.6.7).
_FRESH = 0.5


class OwnHeaders:
    """
    Makes the headers, at most twice a second, because writing the date takes time.

    Args:
        config: Hypercorn's configuration.
        timer: Says when they are old.
    """

    def __init__(self, config: Config, timer: Pinger) -> None:
        self._config = config
        self._timer = timer
        #: The headers as lines, or ``None`` if they are old.
        self.fresh: bytes | None = None

    def __call__(self) -> bytes:
        """Return the headers as lines."""
        if self.fresh is None:
            self.fresh = header_lines(map(_named, self._config.response_headers("h11")))
            self._timer.add(self, _FRESH)
        return self.fresh

    def on_due(self) -> None:
        """Forget them. The timer calls this."""
        self.fresh = None


def _named(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Say in ``server`` who serves. The configuration names Hypercorn."""
    return (b"server", b"triows") if header[0] == b"server" else header
