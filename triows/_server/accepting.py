"""The loop that accepts connections."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["accept_from"]

logger = logging.getLogger("triows")

#: Connections to accept before other tasks get a turn.
_AT_ONCE = 32

#: Seconds to wait when the system has no more descriptors or memory, as Trio does.
_PAUSE = 0.1

_NO_CAPACITY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}

#: What accept(2) tells of one connection, which is over by now, and not of the listener: Linux
#: passes on errors of the network, and those of a firewall; as Trio. Not all are everywhere.
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
    Accept connections until cancelled.

    Args:
        listener: Where; it is not closed.
        start: Given each connection, non-blocking; it owns it then.
        room: ``None`` if there is room for a further connection; else an event that is set
            when there may be.
    """
    complained = False
    while True:
        await trio.lowlevel.wait_readable(listener)
        for _ in range(_AT_ONCE):
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
                if exc.errno not in _NO_CAPACITY:
                    raise
                if not complained:  # once, not ten times a second
                    logger.error("no connection can be accepted for now: %s", exc)  # noqa: TRY400 - nor a place in our code
                    complained = True
                await trio.sleep(_PAUSE)
                break
            complained = False
            connection.setblocking(False)
            start(connection)
