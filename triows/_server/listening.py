"""Hypercorn's configuration for the command line, and the sockets that it describes."""

from __future__ import annotations

import errno
import logging
import socket
import traceback
from contextlib import ExitStack, suppress
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import Factory, frozen
from hypercorn.config import Config
from hypercorn.utils import repr_socket_addr

from triows._managers import contextmanager
from triows.exceptions import AddressError

from .addresses import check_address
from .newcomers import identity, remove_file
from .proxy import Trusted, is_introduced
from .unix import bind_path, named, path_of, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .lifeline import Inherited
    from .newcomers import Identity
    from .proxy import Proxy

__all__ = ["Heir", "Listener", "configuration", "listening", "listening_by"]

logger = logging.getLogger("triows")


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


def _heir_of_worker(others: Callable[[], bool | None], is_borrowed: bool) -> Heir:
    if others() is not False:
        return Heir.OTHERS
    return Heir.NEXT if is_borrowed else Heir.NOBODY


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
    #: Whether each of its connections begins with a header of the PROXY protocol.
    introduced: bool = False

    def close(self) -> None:
        """
        Close the socket. A second call has no effect.

        The file of a Unix socket that is ours alone is removed before that, so that another server
        can bind the path at once.
        """
        if self.socket.fileno() >= 0:
            if self.heir() is Heir.NOBODY:
                remove_file(self.socket, self.file)
            self.socket.close()

    def end(self) -> None:
        """
        Close the socket, and let nobody else accept from it unless it belongs to somebody else.

        Processes that have it still have it, but TCP clients are refused. A Unix socket whose file
        is removed can't be reached anyway.
        """
        is_tcp = self.socket.family in (socket.AF_INET, socket.AF_INET6)
        if self.socket.fileno() >= 0 and is_tcp and self.heir() is Heir.NOBODY:
            # On Linux, this ends the listening itself. Others may have ended it, or can't.
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RD)
        self.close()

    @property
    def url(self) -> str:
        """The URL at which it can be reached, as Hypercorn writes it."""
        family, own = self.socket.family, self.socket.getsockname()
        is_unix = family == socket.AF_UNIX
        name = f"unix:{named(own)}" if is_unix else repr_socket_addr(family, own)
        return f"{'https' if self.secure else 'http'}://{name}"


def _is_descriptor(address: str) -> bool:
    return address.startswith("fd:")


@contextmanager
def listening(
    config: Config,
    sockets: Sequence[socket.socket] | None = None,
    *,
    proxy: Proxy | None = None,
) -> Iterator[list[Listener]]:
    """
    Listen where *config* says. The sockets are closed at the end of the block.

    Connections that arrive while nobody accepts wait in the kernel, and are not refused.

    Args:
        config: Hypercorn's configuration.
        sockets: Bound sockets, instead of ``config.bind``. They are closed, too.
        proxy: The proxies in front of the server, and at which listeners they introduce clients.

    Raises:
        AddressError: An address can't be bound.
        ValueError: An address can't be read, or is for QUIC; or there is no address and no socket,
            or a socket that isn't bound.
    """
    if config.quic_bind:
        raise ValueError("triows serves HTTP/1.1 only: leave quic_bind out")
    with ExitStack() as stack:
        if sockets is None:
            listeners = _bound(config, proxy, stack)
            _hint_at_trust(proxy, listeners)
            yield listeners
            return
        for sock in sockets:
            stack.callback(sock.close)
        if not sockets:
            raise ValueError("sockets is empty: give at least one socket, or leave sockets out")
        for sock in sockets:
            _listen(config, sock)
        introduced = is_introduced(proxy, None)
        listeners = [
            Listener(sock, config.ssl_enabled, _next, introduced=introduced) for sock in sockets
        ]
        _hint_at_trust(proxy, listeners)
        yield listeners


@contextmanager
def listening_by(config: Config, inherited: Inherited) -> Iterator[list[Listener]]:
    """
    Listen as a worker. Its sockets are closed at the end of the block.

    Args:
        config: Hypercorn's configuration. Its addresses have no effect.
        inherited: What the worker got from its parent.
    """
    others = inherited.lifeline.others_go_on
    with ExitStack() as stack:
        for one in inherited.sockets:
            stack.callback(one.socket.close)
        for one in inherited.sockets:
            _listen(config, one.socket)
        yield [
            Listener(
                one.socket,
                config.ssl_enabled and not one.is_plain,
                partial(_heir_of_worker, others, one.is_borrowed),
                introduced=one.is_introduced,
            )
            for one in inherited.sockets
        ]


def _bound(config: Config, proxy: Proxy | None, stack: ExitStack) -> list[Listener]:
    """Bind the addresses of *config*. *stack* closes the sockets."""
    if not config.bind:
        raise ValueError("config.bind has no address: write config.bind = ['127.0.0.1:8000']")
    with_tls = config.bind if config.ssl_enabled else []
    without = config.insecure_bind if config.ssl_enabled else config.bind
    for address in (*with_tls, *without):
        check_address(address)
    return [
        _bind(config, proxy, address, stack, secure=secure)
        for addresses, secure in ((with_tls, True), (without, False))
        for address in addresses
    ]


def _bind(
    config: Config, proxy: Proxy | None, address: str, stack: ExitStack, *, secure: bool
) -> Listener:
    """Bind one address, so that an error can name it, and listen there."""
    try:
        path = path_of(address)
        if path is None:
            (sock,) = config._create_sockets([address])
        else:
            sock = socket.socket(socket.AF_UNIX)
            stack.callback(sock.close)
            bind_path(sock, path, config)
        heir = _next if _is_descriptor(address) else _nobody
        introduced = is_introduced(proxy, address)
        listener = Listener(sock, secure, heir, introduced=introduced)
        stack.callback(listener.close)
        # Do this at once, or the same address could be bound a second time.
        _listen(config, sock)
    except OSError as exc:
        _close_unbound(exc)
        raise AddressError(
            exc.errno, f"can't listen at {address}: {_reason(address, exc)}"
        ) from exc
    return listener


def _hint_at_trust(proxy: Proxy | None, listeners: Sequence[Listener]) -> None:
    """Log where a proxy isn't believed, because nothing else would tell that."""
    if proxy is None or Trusted.by(proxy).covers(None):
        return
    for one in listeners:
        if one.socket.family == socket.AF_UNIX and (proxy.headers or one.introduced):
            logger.info(
                "no proxy that connects to %s is believed: if there is one, add 'unix' to those "
                "that you trust",
                one.url,
            )


def _listen(config: Config, sock: socket.socket) -> None:
    name = sock.getsockname()
    if isinstance(name, tuple) and not name[1]:  # the system would choose one
        raise ValueError(f"{sock!r} is not bound: call its bind() first")
    sock.setblocking(False)
    sock.listen(config.backlog)


def _close_unbound(exc: OSError) -> None:
    """Close the socket that Hypercorn could not bind, because it leaves that to the collector."""
    for frame, _ in traceback.walk_tb(exc.__traceback__):
        sock = frame.f_locals.get("sock")
        if isinstance(sock, socket.socket):
            sock.close()


def _reason(address: str, exc: OSError) -> str:
    """Say in plain words why an address can't be bound."""
    if isinstance(exc, socket.gaierror):
        return f"there is no host of that name ({exc.strerror})"
    path = path_of(address)
    if path is not None and (why := reason(path, exc)) is not None:
        return why
    return _REASONS.get(exc.errno or 0) or exc.strerror or str(exc)


_REASONS = {
    errno.EADDRINUSE: "the address is in use by another process (Address already in use)",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "permission denied; ports below 1024 usually need a privileged user",
    errno.EBADF: "there is no such descriptor",
    errno.ENOTSOCK: "that descriptor isn't a socket",
    errno.EAFNOSUPPORT: "this machine does not support that kind of address",
}
