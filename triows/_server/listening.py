"""Hypercorn's configuration as the command line has it, and the sockets that it asks for."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from attrs import frozen
from hypercorn.config import Config
from hypercorn.utils import repr_socket_addr

from triows._managers import contextmanager

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

    from hypercorn.config import Sockets

__all__ = ["Listener", "check_address", "configuration", "listening"]


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


def check_address(address: str) -> None:
    """
    Refuse an address that would be read as another, or as all of them.

    Args:
        address: As ``config.bind`` has them: ``host:port``, ``[host]:port``, a host alone (port
            8000, Hypercorn's), ``unix:path`` or ``fd://number``.

    Raises:
        ValueError: with what to write instead.
    """
    kind, _, rest = address.partition(":")
    if kind == "unix" and not rest:
        raise ValueError("an address 'unix:' needs a path, as in 'unix:/run/app.sock'")
    if kind == "unix" or (kind == "fd" and rest.removeprefix("//").isdigit()):
        return
    host, _, port = address.rpartition(":") if ":" in address else (address, "", "8000")
    named = host if host.startswith("[") == host.endswith("]") else ""
    if not named or not port.isdigit() or not int(port) <= 65535:
        raise ValueError(
            f"{address!r} is no address: write 'host:port' with a port up to 65535, "
            "'[::1]:8000' or 'unix:/run/app.sock'"
        )


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
        ValueError: an address is none, or is for QUIC; there is no socket, or one is not bound.
    """
    if config.quic_bind:
        raise ValueError("triows serves HTTP/1.1 only: leave quic_bind out")
    secure: Sequence[socket.socket] = ()
    insecure: Sequence[socket.socket] = ()
    if sockets is None:
        made = _create(config)
        secure, insecure = made.secure_sockets, made.insecure_sockets
    elif config.ssl_enabled:
        secure = sockets
    else:
        insecure = sockets
    with ExitStack() as stack:
        for sock in (*secure, *insecure):
            stack.callback(sock.close)
        _check_bound([*secure, *insecure])
        for sock in (*secure, *insecure):
            sock.setblocking(False)
            sock.listen(config.backlog)
        yield [
            *(Listener(sock, secure=True) for sock in secure),
            *(Listener(sock, secure=False) for sock in insecure),
        ]


def _create(config: Config) -> Sockets:
    addresses = [*config.bind, *config.insecure_bind]
    for address in addresses:
        check_address(address)
    try:
        return config.create_sockets()
    except OSError as exc:
        exc.add_note(f"while binding {', '.join(addresses)}")
        raise


def _check_bound(sockets: Sequence[socket.socket]) -> None:
    if not sockets:
        raise ValueError("there is no socket to listen at: give one, or leave sockets out")
    for sock in sockets:
        name = sock.getsockname()
        if isinstance(name, tuple) and not name[1]:  # the system would choose
            raise ValueError(f"{sock!r} is not bound: call its bind() before")
