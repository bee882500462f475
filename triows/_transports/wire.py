"""
A TCP connection, plain or under TLS, by one small interface.

Trio's own streams wait before they say that nothing can be done; a server that answers at
once wants to try first. So a plain connection is read and written on its non-blocking socket
directly. TLS goes through Trio's stream, which can only wait.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from collections import deque

__all__ = ["PlainWire", "TLSWire", "Wire"]

#: Bytes to read at a time. Hypercorn and asyncio take 64 KiB, too: large enough for a busy
#: stream, small enough not to hold the others up.
CHUNK = 2**16

#: Pieces to write at a time, when they had to wait; the system takes 1024 (IOV_MAX).
_PIECES = 64


class Wire(Protocol):
    """The bytes of one connection. One task reads, one writes."""

    #: The socket below, to ask the system about it.
    socket: socket.socket
    #: Whether :meth:`send_some` leaves it unusable when it is cancelled.
    breaks_when_cancelled: bool

    async def receive(self) -> bytes:
        """
        Wait for bytes; nothing at the end. Cancelling it loses none.

        Raises:
            OSError: the connection broke.
            trio.BrokenResourceError: the same, under TLS.
        """

    def send_nowait(self, data: bytes) -> int:
        """
        Give bytes to the system, as many as it takes at once; it may be none.

        Raises:
            OSError: the connection broke.
        """

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        """
        Wait until the system takes some of what waits; how many bytes it took.

        Args:
            outbox: Not empty. It may change while this waits, but for its first piece.

        Raises:
            OSError: the connection broke.
            trio.BrokenResourceError: the same, under TLS.
        """

    def send_eof(self) -> None:
        """Say that nothing more will be sent; reading goes on."""

    def close(self, *, abort: bool) -> None:
        """
        Close the connection.

        Args:
            abort: With a reset, so that the system keeps nothing for a peer that does not read.
        """


class PlainWire:
    """A :class:`Wire` on a socket: non-blocking, connected, and owned from now on."""

    breaks_when_cancelled = False

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    async def receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self.socket)
            with suppress(BlockingIOError):  # woken for nothing
                return self.socket.recv(CHUNK)

    def send_nowait(self, data: bytes) -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        while True:
            await trio.lowlevel.wait_writable(self.socket)
            with suppress(BlockingIOError):
                return self.socket.sendmsg(list(islice(outbox, _PIECES)))

    def send_eof(self) -> None:
        _shut_down(self.socket)

    def close(self, *, abort: bool) -> None:
        _close(self.socket, abort=abort)


class TLSWire:
    """
    A :class:`Wire` under TLS.

    Args:
        stream: After its handshake.
        sock: The socket below it, owned from now on.
    """

    # Its send_all() has encrypted it, and can't tell how much of it went out.
    breaks_when_cancelled = True

    def __init__(self, stream: trio.SSLStream[trio.SocketStream], sock: socket.socket) -> None:
        self.socket = sock
        self._stream = stream

    async def receive(self) -> bytes:
        return bytes(await self._stream.receive_some(CHUNK))

    def send_nowait(self, data: bytes) -> int:
        return 0

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        first = outbox[0]
        await self._stream.send_all(first)
        return len(first)

    def send_eof(self) -> None:
        # TLS can't be closed half by Trio's stream. As HTTPS does, TCP is: the peer has our
        # close frame, which is authentic, and expects nothing more.
        _shut_down(self.socket)

    def close(self, *, abort: bool) -> None:
        _close(self.socket, abort=abort)


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # it broke before
        sock.shutdown(socket.SHUT_WR)


def _close(sock: socket.socket, *, abort: bool) -> None:
    if sock.fileno() < 0:
        return
    trio.lowlevel.notify_closing(sock)
    if abort:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
