"""A connection as it arrives: what reads and writes it, and between whom it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._transports.wire import Wire

    from .tls_extension import Described

__all__ = ["Addresses", "Arrival", "Preface"]


@frozen
class Addresses:
    """The two ends of a connection, as in ASGI scopes."""

    #: ``None`` on a Unix socket.
    client: tuple[str, int] | None
    #: The path and ``None`` on a Unix socket.
    server: tuple[str, int | None] | None
    secure: bool
    #: What applications see of TLS, if this process has it from the peer itself.
    tls: Described | None = None
    #: Whether a proxy has made the connection for somebody whose address it hasn't told. Then
    #: ``client`` is the proxy, and what it is believed doesn't hold for what comes from there.
    is_hidden: bool = False


class Preface(Protocol):
    """What has to be read before the wire is started. It says between whom the connection is."""

    def start(self, introduce: Callable[[Addresses], None], close: Callable[[], None]) -> None:
        """
        Begin to read. One of the two is called, once, unless the connection is closed before.

        Args:
            introduce: Called with the two ends. From then on, the preface reads nothing.
            close: Closes the connection, because it can't be served.
        """

    def fail(self, why: str) -> None:
        """Close the connection, and log why."""

    def end(self) -> None:
        """Close the connection, and log that if something has come of what had to be read."""


@frozen(eq=False)
class Arrival:
    """A connection that was accepted."""

    wire: Wire
    addresses: Addresses
    #: What comes before everything else, if a proxy introduces its client.
    preface: Preface | None = None
