"""The loop that accepts connections."""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING

import trio

from triows._transports.wire import NOTSENT_LOWAT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["accept_from", "accept_rest", "prepare"]

logger = logging.getLogger("triows")

#: How many connections to accept before other tasks get a turn.
_ACCEPTS = 32

#: How many seconds to wait if the system has no more descriptors or memory. Trio waits as long.
_PAUSE = 0.1

#: How many connections may wait in the queue of a listener. This is the limit of Linux' default
#: settings (``net.core.somaxconn``).
_MOST_QUEUED = 4096

_NO_CAPACITY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}

#: Errors of accept(2) that concern one connection, which is over by now, and not the listener.
#: Linux passes on errors of the network, and those of a firewall. Trio has the same list. Not
#: every system has all of them.
_GONE = {
    getattr(errno, name)
    for name in (
        *("EPERM", "EPROTO", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH"),
        *("EOPNOTSUPP", "ENETUNREACH", "ENOSR", "ESOCKTNOSUPPORT", "EPROTONOSUPPORT"),
        *("ETIMEDOUT", "ECONNRESET"),
    )
    if hasattr(errno, name)
}


async def accept_from(
    listener: socket.socket,
    start: Callable[[socket.socket], None],
    room: Callable[[], trio.Event | None],
) -> None:
    """
    Accept connections until cancelled, or until another process has ended the listening.

    Args:
        listener: The listening socket. It is not closed.
        start: Called with each connection, which is non-blocking. From then on it owns the
            connection.
        room: Returns ``None`` if there is room for another connection, and otherwise an event that
            is set when there may be.
    """
    complained = False
    while True:
        await trio.lowlevel.wait_readable(listener)
        for _ in range(_ACCEPTS):
            if (full := room()) is not None:
                await full.wait()
                break
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break  # another process was faster, or the peer has gone
            except OSError as exc:
                if exc.errno in _GONE:
                    continue
                if exc.errno == errno.EINVAL:
                    return
                if exc.errno not in _NO_CAPACITY:
                    raise
                if not complained:  # log it once, and not ten times a second
                    logger.error("no connection can be accepted for now: %s", exc)  # noqa: TRY400 - no place in our code is to blame
                    complained = True
                await trio.sleep(_PAUSE)
                break
            complained = False
            connection.setblocking(False)
            start(connection)


def accept_rest(
    listener: socket.socket,
    start: Callable[[socket.socket], None],
    room: Callable[[], trio.Event | None],
) -> None:
    """
    Accept what waits in the queue of a listener that is about to be closed, as far as possible.

    Args:
        listener: As in :func:`accept_from`.
        start: As in :func:`accept_from`.
        room: As in :func:`accept_from`.
    """
    for _ in range(_MOST_QUEUED):
        if room() is not None:
            return
        try:
            connection, _ = listener.accept()
        except (InterruptedError, ConnectionAbortedError):
            continue
        except OSError as exc:
            if exc.errno in _GONE:
                continue
            return  # the queue is empty, or the system has no room
        connection.setblocking(False)
        start(connection)


def prepare(listener: socket.socket) -> None:
    """
    Set what a connection needs. It inherits this from its listener, which saves it the calls.

    Small messages leave at once (``TCP_NODELAY``). The system takes little more than it can send
    soon (``TCP_NOTSENT_LOWAT``), so that a slow peer is noticed. Trio's streams have the same
    values.
    """
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if NOTSENT_LOWAT is not None:
        listener.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, 2**14)
