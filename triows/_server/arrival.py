"""A connection as it arrives: what reads and writes it, and between whom it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from triows._transports.wire import Wire

    from .tls_extension import Described

__all__ = ["Addresses", "Arrival"]


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


@frozen(eq=False)
class Arrival:
    """A connection that was accepted."""

    wire: Wire
    addresses: Addresses
