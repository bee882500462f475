"""Where a server listens: its sockets, their names, and the loop that accepts."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import trio
from attrs import frozen
from hypercorn.utils import repr_socket_addr

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from hypercorn.config import Config

__all__ = ["Listener", "accept_from", "bind"]

logger = logging.getLogger("triows")

#: Connections to accept before other tasks get a turn.
_AT_ONCE = 32

#: Seconds to wait when the system has no more descriptors or memory, as Trio does.
_PAUSE = 0.1

_NO_CAPACITY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


@frozen
class Listener:
    """A socket that listens, without blocking."""

    socket: socket.socket
    secure: bool

    @property
    def url(self) -> str:
        """Where it listens."""
        name = repr_socket_addr(self.socket.family, self.socket.getsockname())
        return f"{'https' if self.secure else 'http'}://{name}"


def bind(config: Config, sockets: Sequence[socket.socket] | None) -> list[Listener]:
    """
    Listen where the configuration says.

    Args:
        config: Hypercorn's.
        sockets: Bound already, in place of ``config.bind``; owned from now on.

    Raises:
        OSError: an address can't be bound.
        ValueError: an address for QUIC.
    """
    if config.quic_bind:
        raise ValueError("triows serves HTTP/1.1 only: leave quic_bind out")
    if sockets is None:
        made = config.create_sockets()
        secure, insecure = made.secure_sockets, made.insecure_sockets
    elif config.ssl_enabled:
        secure, insecure = list(sockets), []
    else:
        secure, insecure = [], list(sockets)
    listeners = [
        *(Listener(one, True) for one in secure),
        *(Listener(one, False) for one in insecure),
    ]
    for one in (*secure, *insecure):
        one.setblocking(False)
        one.listen(config.backlog)
    return listeners


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
