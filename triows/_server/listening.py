"""Hypercorn's configuration for the command line, and the sockets that it describes."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import traceback
from contextlib import ExitStack
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import Factory, frozen
from hypercorn.config import Config
from hypercorn.utils import repr_socket_addr

from triows._managers import contextmanager
from triows.exceptions import AddressError

from .addresses import check_address
from .newcomers import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .newcomers import Identity

__all__ = ["Heir", "Listener", "configuration", "listening"]


def configuration(**settings: Any) -> Config:
    """Make the configuration that ``triows run`` serves with: these settings of Hypercorn's."""
    config = Config()
    for name, value in settings.items():
        setattr(config, name, value)
    # Hypercorn's messages go to the same log as ours, except its greeting, which would repeat ours.
    config.errorlog = logging.getLogger("hypercorn")
    config.errorlog.setLevel(logging.WARNING)
    return config


class Heir(Enum):
    """Who gets the newcomers of a listener when this process doesn't accept any more."""

    #: Nobody: the listener is ours alone.
    NOBODY = "nobody"
    #: The socket belongs to somebody else, such as systemd. Newcomers wait in its queue until a
    #: process accepts them.
    NEXT = "the next process"
    #: Other processes that serve the same application accept from the same socket.
    OTHERS = "other processes"


def _nobody() -> Heir:
    return Heir.NOBODY


def _next() -> Heir:
    return Heir.NEXT


def _heir_of_worker(others: Callable[[], bool | None], address: str) -> Heir:
    if others() is not False:
        return Heir.OTHERS
    return Heir.NEXT if _is_descriptor(address) else Heir.NOBODY


@frozen
class Listener:
    """A listening socket, which is non-blocking."""

    socket: socket.socket
    #: Whether its connections use TLS.
    secure: bool
    #: Says who gets the newcomers when this process doesn't accept any more.
    heir: Callable[[], Heir] = _nobody
    #: Of a Unix socket, which file it is. Somebody may put another socket in its place.
    file: Identity | None = Factory(lambda self: identity(self.socket), takes_self=True)

    @property
    def url(self) -> str:
        """The URL at which it can be reached, as Hypercorn writes it."""
        name = repr_socket_addr(self.socket.family, self.socket.getsockname())
        return f"{'https' if self.secure else 'http'}://{name}"


def _is_descriptor(address: str) -> bool:
    return address.startswith("fd:")


@contextmanager
def listening(
    config: Config,
    sockets: Sequence[socket.socket] | None = None,
    others: Callable[[], bool | None] | None = None,
) -> Iterator[list[Listener]]:
    """
    Listen where *config* says. The sockets are closed at the end of the block.

    Connections that arrive while nobody accepts wait in the kernel, and are not refused.

    Args:
        config: Hypercorn's configuration.
        sockets: Bound sockets, instead of ``config.bind``. They are closed, too.
        others: For a worker, whose *sockets* are those of ``config.bind``: says whether other
            workers go on when this one ends, or ``None`` if that isn't known.

    Raises:
        AddressError: An address can't be bound.
        ValueError: An address can't be read, or is for QUIC; or there is no address and no socket,
            or a socket that isn't bound.
    """
    if config.quic_bind:
        raise ValueError("triows serves HTTP/1.1 only: leave quic_bind out")
    with ExitStack() as stack:
        if sockets is None:
            yield _bound(config, stack)
            return
        for sock in sockets:
            stack.callback(sock.close)
        if not sockets:
            raise ValueError("sockets is empty: give at least one socket, or leave sockets out")
        for sock in sockets:
            _listen(config, sock)
        if others is None:
            heirs = [_next] * len(sockets)
        else:
            heirs = [partial(_heir_of_worker, others, address) for address in config.bind]
        yield [
            Listener(sock, config.ssl_enabled, heir)
            for sock, heir in zip(sockets, heirs, strict=True)
        ]


def _bound(config: Config, stack: ExitStack) -> list[Listener]:
    """Bind the addresses of *config*. *stack* closes the sockets."""
    if not config.bind:
        raise ValueError("config.bind has no address: write config.bind = ['127.0.0.1:8000']")
    with_tls = config.bind if config.ssl_enabled else []
    without = config.insecure_bind if config.ssl_enabled else config.bind
    for address in (*with_tls, *without):
        check_address(address)
    return [
        Listener(
            _bind(config, address, stack),
            secure,
            _next if _is_descriptor(address) else _nobody,
        )
        for addresses, secure in ((with_tls, True), (without, False))
        for address in addresses
    ]


def _bind(config: Config, address: str, stack: ExitStack) -> socket.socket:
    """Bind one address as Hypercorn does, so that an error can name it, and listen there."""
    try:
        _check_unused(address)
        (sock,) = config._create_sockets([address])
        stack.callback(sock.close)
        # Do this at once, or the same address could be bound a second time.
        _listen(config, sock)
    except OSError as exc:
        _close_unbound(exc)
        raise AddressError(
            exc.errno, f"can't listen at {address}: {_reason(address, exc)}"
        ) from exc
    return sock


def _listen(config: Config, sock: socket.socket) -> None:
    name = sock.getsockname()
    if isinstance(name, tuple) and not name[1]:  # the system would choose one
        raise ValueError(f"{sock!r} is not bound: call its bind() first")
    sock.setblocking(False)
    sock.listen(config.backlog)


def _check_unused(address: str) -> None:
    """
    Refuse the path of a socket at which somebody listens. Hypercorn would put its own there.

    The file of a server that is gone stays behind, and may be replaced.

    Raises:
        OSError: Somebody listens there, or nobody can tell.
    """
    kind, _, path = address.partition(":")
    if kind != "unix" or not _is_socket(path):
        return
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)  # the listener's queue may be full
        code = sock.connect_ex(path)
    if code in {0, errno.EAGAIN, errno.EINPROGRESS, errno.EPROTOTYPE}:
        code = errno.EADDRINUSE
    if code not in {errno.ECONNREFUSED, errno.ENOENT}:
        raise OSError(code, os.strerror(code))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _close_unbound(exc: OSError) -> None:
    """Close the socket that Hypercorn could not bind, because it leaves that to the collector."""
    for frame, _ in traceback.walk_tb(exc.__traceback__):
        sock = frame.f_locals.get("sock")
        if isinstance(sock, socket.socket):
            sock.close()


def _reason(address: str, exc: OSError) -> str:
    """Say in plain words why an address can't be bound."""
    path = address.removeprefix("unix:") if address.startswith("unix:") else None
    if isinstance(exc, socket.gaierror):
        return f"there is no host of that name ({exc.strerror})"
    if path is not None and "too long" in str(exc):
        return "the path is too long for a Unix socket, which may have about 100 characters"
    taken = path is not None and os.path.exists(path) and not _is_socket(path)
    if path is not None and taken and exc.errno in {errno.EADDRINUSE, errno.EISDIR}:
        return f"there is a {'folder' if os.path.isdir(path) else 'file'} of that name"
    if path is not None and exc.errno in {errno.EACCES, errno.EPERM}:
        return f"permission denied to create {path!r}"
    if path is not None and exc.errno == errno.ENOENT:
        return f"there is no folder {os.path.dirname(path)!r}"
    return _REASONS.get(exc.errno or 0) or exc.strerror or str(exc)


_REASONS = {
    errno.EADDRINUSE: "the address is in use by another process (Address already in use)",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "permission denied; ports below 1024 usually need a privileged user",
    errno.EBADF: "there is no such descriptor",
    errno.ENOTSOCK: "that descriptor isn't a socket",
    errno.EAFNOSUPPORT: "this machine does not support that kind of address",
}
