"""Hypercorn's configuration as the command line has it, and the sockets that it asks for."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from attrs import frozen
from hypercorn.config import Config
from hypercorn.utils import repr_socket_addr

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

__all__ = ["Listener", "configuration", "listening"]


def configuration(bind: Sequence[str], certfile: str | None, keyfile: str | None) -> Config:
    """Make the configuration that ``triows run`` serves with."""
    config = Config()
    config.bind = list(bind)
    config.certfile, config.keyfile = certfile, keyfile
    # What Hypercorn logs goes where everything goes, but its own greeting, which ours repeats.
    config.errorlog = logging.getLogger("hypercorn")
    config.errorlog.setLevel(logging.WARNING)
    return config


@frozen
class Listener:
    """A socket that listens, without blocking."""

    socket: socket.socket
    #: Whether TLS is spoken there.
    secure: bool

    @property
    def url(self) -> str:
        """How it is reached, as Hypercorn writes it."""
        name = repr_socket_addr(self.socket.family, self.socket.getsockname())
        return f"{'https' if self.secure else 'http'}://{name}"


@contextmanager
def listening(
    config: Config, sockets: Sequence[socket.socket] | None = None
) -> Iterator[list[Listener]]:
    """
    Listen where *config* says; at the end of the block the sockets are closed.

    What arrives while nobody accepts waits in the kernel, so that nobody is refused.

    Args:
        config: Hypercorn's.
        sockets: Bound already, in place of ``config.bind``; closed as the others.

    Raises:
        OSError: an address can't be bound.
        ValueError: an address is for QUIC.
    """
    if config.quic_bind:
        raise ValueError("triows serves HTTP/1.1 only: leave quic_bind out")
    secure: Sequence[socket.socket] = ()
    insecure: Sequence[socket.socket] = ()
    if sockets is None:
        made = config.create_sockets()
        secure, insecure = made.secure_sockets, made.insecure_sockets
    elif config.ssl_enabled:
        secure = sockets
    else:
        insecure = sockets
    with ExitStack() as stack:
        for sock in (*secure, *insecure):
            stack.callback(sock.close)
        for sock in (*secure, *insecure):
            sock.setblocking(False)
            sock.listen(config.backlog)
        yield [
            *(Listener(sock, secure=True) for sock in secure),
            *(Listener(sock, secure=False) for sock in insecure),
        ]
