"""Noticing that a peer has gone while nothing is read from it."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import socket

__all__ = ["unacknowledged", "wait_hangup"]


async def wait_hangup(sock: socket.socket) -> None:
    """
    Wait until the peer has closed its side or reset the connection, whatever is unread.

    A socket with unread bytes is always readable, so Trio can't be asked to wait for just
    this. An epoll object that knows nothing else can, and is itself something to wait for
    (epoll(7)). Elsewhere than on Linux it waits for ever, and a peer that is gone is noticed
    when what it sent has been taken.
    """
    if sys.platform != "linux":  # pragma: no cover
        await trio.sleep_forever()
    with select.epoll() as epoll:
        # A reset and an error are always told.
        epoll.register(sock, select.EPOLLRDHUP)
        try:
            await trio.lowlevel.wait_readable(epoll.fileno())
        finally:
            trio.lowlevel.notify_closing(epoll.fileno())


def unacknowledged(sock: socket.socket) -> bool:
    """
    Whether something that was sent has not reached the peer's system yet.

    Elsewhere than on Linux it is not known, and taken for no.
    """
    if sys.platform != "linux":  # pragma: no cover
        return False
    import fcntl  # noqa: PLC0415 - not on every platform
    import termios  # noqa: PLC0415

    # SIOCOUTQ, which is TIOCOUTQ by another name: tcp(7), unix(7).
    left = fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(left, sys.byteorder) > 0
