"""Hypercorn's configuration as the command line has it, and the sockets that it asks for."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import frozen
from hypercorn.config import Config
from hypercorn.utils import repr_socket_addr

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

__all__ = ["Listening", "configuration", "listening", "urls_of"]


def configuration(bind: Sequence[str], certfile: str | None, keyfile: str | None) -> Config:
    """Make the configuration that ``triows run`` serves with."""
    config = Config()
    config.bind = list(bind)
    config.certfile, config.keyfile = certfile, keyfile
    # HTTP/2 would bring WebSockets over it, which Hypercorn can't serve safely.
    config.alpn_protocols = ["http/1.1"]
    # What Hypercorn logs goes where everything goes, but its own greeting, which ours repeats.
    config.errorlog = logging.getLogger("hypercorn")
    config.errorlog.setLevel(logging.WARNING)
    return config


def urls_of(sockets: Sequence[socket.socket], *, tls: bool) -> list[str]:
    """Name the addresses of listening sockets as Hypercorn does."""
    scheme = "https" if tls else "http"
    return [f"{scheme}://{repr_socket_addr(sock.family, sock.getsockname())}" for sock in sockets]


@frozen
class Listening:
    """Sockets that listen, and the URLs they are reached by."""

    sockets: Sequence[socket.socket]
    urls: Sequence[str]


@contextmanager
def listening(config: Config) -> Iterator[Listening]:
    """
    Listen where *config* says, in a process that does not accept itself.

    What arrives while nobody accepts waits in the kernel, so that nobody is refused.

    Raises:
        OSError: an address can't be bound.
    """
    made = config.create_sockets()
    sockets = [*made.secure_sockets, *made.insecure_sockets]
    try:
        for sock in sockets:
            sock.listen(config.backlog)
        yield Listening(sockets, urls_of(sockets, tls=config.ssl_enabled))
    finally:
        for sock in sockets:
            sock.close()
