"""
A TCP connection behind one small interface, and the plain one.

Trio's own streams can only wait until bytes can be read or written. To answer at once, a server
has to try without waiting. So the reactor reads a connection, and bytes are written directly to its
non-blocking socket.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import trio

from .reactor import Readable

if sys.platform == "linux":
    import fcntl
    import termios

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Awaitable, Callable, Sequence

    from .interface import Starter
    from .reactor import Reactor

__all__ = [
    "BROKEN",
    "CHUNK",
    "FIN",
    "NOTSENT_LOWAT",
    "PIECES",
    "READS",
    "ROOM",
    "Counted",
    "PlainWire",
    "Sink",
    "SocketWire",
    "Wire",
    "unacknowledged",
]

#: Bytes to read at a time. Hypercorn and asyncio's streams read the same number.
CHUNK = 2**16

#: The end of a TCP connection (FIN), once sent, counts as one more unacknowledged byte. Code that
#: compares with this value can be wrong by one byte of data, which does no harm.
FIN = 1

#: How many chunks to read in one turn of a stream that has filled one before. Reading several takes
#: fewer turns for a large message, and holds up other tasks for a tenth of a millisecond at most.
READS = 4

#: How many waiting pieces to pass to the system in one call. It takes up to 1024 (IOV_MAX).
PIECES = 64

#: How many bytes the system takes that it can't send soon, see :meth:`Wire.make_room`. Others
#: set no limit. The system has one of its own, which grows with the speed of the peer (tcp(7)).
ROOM = 2**20

#: The option of a socket that says this. Python knows the name since 3.12, and the number is that
#: of Linux (netinet/tcp.h).
NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)

# Windows doesn't have it.
_HAS_SENDMSG = hasattr(socket.socket, "sendmsg")

#: The exceptions that mean that a connection is broken.
BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


def unacknowledged(fd: int) -> int:
    """
    Return how many bytes our system has taken and the peer's system hasn't acknowledged yet.

    Only Linux can say this. On other systems it returns 0. For a Unix socket, the number includes
    the system's own bookkeeping.
    """
    if sys.platform != "linux" or fd < 0:
        return 0
    # tcp(7) and unix(7) call this SIOCOUTQ, which is the same number.
    left = fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(left, sys.byteorder)


class Counted(Protocol):
    """A connection that knows how much of what it was given has reached the peer's system."""

    @property
    def taken(self) -> int:
        """How many bytes our system has taken so far."""

    def unacknowledged(self) -> int:
        """
        Return how many of these bytes the peer's system hasn't acknowledged yet.

        Only Linux can say this. On other systems it returns 0.
        """


class Sink(Protocol):
    """Gets what a :class:`Wire` reads. None of its methods wait."""

    def data_received(self, data: bytes) -> None:
        """Take bytes that have arrived. *data* is never empty."""

    def eof_received(self) -> None:
        """Note that there is nothing more to read. The peer closed its side, or the wire broke."""

    def hung_up(self) -> None:
        """
        Note that the peer has closed its side, or that the wire broke, while reading is paused.

        There may still be bytes to read.
        """

    def on_turn(self) -> None:
        """Go on: other tasks have had their turn (see :meth:`Wire.yield_turn`)."""


class Wire(Counted, Protocol):
    """Reads and writes the bytes of one connection. Whoever made it owns it."""

    #: Whether TLS's handshake is over. It is true if there is no TLS.
    secured: bool

    def start(self, nursery: Starter, sink: Sink) -> None:
        """
        Begin to read, or let another sink have what is read from now on.

        If the end was read before, the other sink is told of it, too. If this needs a task, the
        task runs in *nursery* and is shielded until :meth:`close`.
        """

    def pause(self) -> None:
        """Read nothing more for now, but still notice a peer that leaves, if the system can."""

    def resume(self) -> None:
        """Read again after :meth:`pause`."""

    def yield_turn(self) -> None:
        """Let other tasks have a turn, and call the sink's ``on_turn`` after it."""

    def send_nowait(self, data: bytes) -> int:
        """
        Give the system as many bytes as it takes at once, and return how many it took.

        Raises:
            OSError: the connection broke.
        """

    def send_pieces_nowait(self, pieces: Sequence[bytes]) -> int:
        """Do the same for several pieces in a row, without joining them into one."""

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        """
        Wait until the system takes some of the outbox, and return how many bytes it took.

        Args:
            outbox: The pieces to send, at least one. Others may change it during the wait, and
                may even empty it. But a piece of which the system has taken a part stays first.
                So does a piece of a single byte that was offered before: under TLS, it may be
                encrypted already.

        Raises:
            OSError: the connection broke.
            trio.BrokenResourceError: the connection broke, under TLS.
        """

    @property
    def send_file(self) -> Callable[[int, int, int], Awaitable[int]] | None:
        """
        Sends a file without reading it, see :meth:`PlainWire.send_file`, if the system can do that.

        It can't under TLS, because the bytes have to be encrypted.
        """

    def make_room(self) -> None:
        """
        Let the system take more than it can send soon, because more is to be sent than it takes.

        What it takes is out of our hands. So this isn't for messages that should stay few.
        """

    def send_eof(self) -> None:
        """Tell the peer that nothing more will be sent. Reading goes on."""

    def close(self, *, abort: bool) -> None:
        """
        Close the connection. A second call has no effect.

        Args:
            abort: Send a reset, so that the system keeps no data for a peer that doesn't read.
        """


def _reset_on_close(sock: Any) -> None:
    """Make closing a socket send a reset, so that the system keeps no data for its peer."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class SocketWire(Readable):
    """The part that is the same with and without TLS: the socket, and the reactor's calls."""

    __slots__ = (
        "_fd",
        "_has_begun",
        "_has_ended",
        "_is_over",
        "_is_paused",
        "_reactor",
        "_sink",
        "_socket",
        "_waiting",
    )

    _sink: Sink

    def __init__(self, sock: socket.socket, reactor: Reactor) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._reactor = reactor
        self._is_paused = False
        # Whether reading has begun, and whether the peer has said its last.
        self._has_begun = self._has_ended = False
        # Whether the sink still has to be told of that.
        self._is_over = False
        # How many tasks wait until the system takes more.
        self._waiting = 0

    def start(self, nursery: Starter, sink: Sink) -> None:
        self._sink = sink
        if self._has_ended:
            self._is_over = True
            self._tell_end_soon()
        elif not self._has_begun:
            self._has_begun = True
            self._reactor.add(self._fd, self)

    def pause(self) -> None:
        self._is_paused = True
        self._reactor.pause(self._fd)

    def resume(self) -> None:
        self._is_paused = False
        if self._is_over:
            self._tell_end_soon()
        else:
            self._reactor.resume(self._fd)

    def _tell_end_soon(self) -> None:
        # Not at once: whoever causes this doesn't expect to be called back.
        self._reactor.yield_turn(LastWord(self))

    def yield_turn(self) -> None:
        self._reactor.yield_turn(self)

    def make_room(self) -> None:
        if NOTSENT_LOWAT is not None:
            with suppress(OSError):  # the connection is broken, or isn't TCP
                self._socket.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, ROOM)

    def send_eof(self) -> None:
        with suppress(OSError):  # the connection is already broken
            self._socket.shutdown(socket.SHUT_WR)

    def on_hangup(self) -> None:
        self._sink.hung_up()

    def on_turn(self) -> None:
        if self._socket.fileno() >= 0:
            self._sink.on_turn()

    def on_error(self) -> None:
        self._has_ended = True
        self._reactor.discard(self._fd)
        self._sink.eof_received()

    def _receive(self, size: int) -> bytes:
        """
        Read up to so many bytes. At the end, tell the sink.

        Returns:
            What was read. It is empty at the end, and if there was nothing to read after all.
        """
        try:
            data = self._socket.recv(size)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.on_error()
        return data

    def tell_end(self) -> None:
        """Tell the sink that the peer has said its last, once, unless reading is paused."""
        if self._is_over and not self._is_paused and self._fd >= 0:
            self._is_over = False
            self.on_error()

    def unacknowledged(self) -> int:
        return unacknowledged(self._fd)

    async def _wait_writable(self) -> None:
        self._waiting += 1
        try:
            await trio.lowlevel.wait_writable(self._fd)
        finally:
            self._waiting -= 1

    def close(self, *, abort: bool) -> None:
        if self._socket.fileno() < 0:
            return
        self._reactor.discard(self._fd)
        if self._waiting:  # Trio would ask the system about a socket that it doesn't know
            trio.lowlevel.notify_closing(self._fd)
        self._fd = -1  # the system may soon give the number to another connection
        if self._has_begun:
            del self._sink
        if abort:
            _reset_on_close(self._socket)
        self._socket.close()


class LastWord(Readable):
    """Takes a turn of the reactor for a wire, apart from those that its sink asks for."""

    __slots__ = ("_wire",)

    def __init__(self, wire: SocketWire) -> None:
        self._wire = wire

    def on_turn(self) -> None:
        self._wire.tell_end()

    def on_error(self) -> None:
        self._wire.on_error()

    # The reactor calls these only for what was added to it.

    def on_readable(self) -> None: ...

    def on_hangup(self) -> None: ...


class PlainWire(SocketWire):
    """
    A :class:`Wire` on a socket.

    Args:
        sock: A connected, non-blocking socket.
        reactor: Says when there is something to read.
    """

    __slots__ = ("_most", "taken")

    secured = True

    def __init__(self, sock: socket.socket, reactor: Reactor) -> None:
        super().__init__(sock, reactor)
        self.taken = 0
        # How many bytes to read in the next turn.
        self._most = CHUNK

    def on_readable(self) -> None:
        """Read what is there, up to a limit. The reactor calls this."""
        data = self._receive(self._most)
        if data:
            # Nobody has to join what is read at once.
            self._most = CHUNK if len(data) < CHUNK else READS * CHUNK
            self._sink.data_received(data)

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return 0
        self.taken += sent
        return sent

    def send_pieces_nowait(self, pieces: Sequence[bytes | memoryview]) -> int:
        if not _HAS_SENDMSG:  # pragma: no cover
            return self.send_nowait(b"".join(pieces))
        try:
            sent = self._socket.sendmsg(pieces)
        except BlockingIOError:
            return 0
        self.taken += sent
        return sent

    async def send_file(self, file: int, offset: int, size: int) -> int:
        """
        Wait until the system takes a part of a file, and return how many bytes it took.

        The disk may have to be waited for, so a thread does this.

        Args:
            file: The file's descriptor.
            offset: Where the part begins.
            size: How many bytes it has at most.

        Raises:
            OSError: The connection broke, or the file can't be read.
        """
        while True:
            await self._wait_writable()
            # If the connection is closed meanwhile, the system may give its number to another one.
            own = os.dup(self._fd)
            try:
                sent = await trio.to_thread.run_sync(os.sendfile, own, file, offset, size)
            except BlockingIOError:
                continue
            finally:
                os.close(own)
            self.taken += sent
            return sent

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        while True:
            await self._wait_writable()
            # If nothing was sent, either the outbox was emptied during the wait, or the socket
            # wasn't writable after all.
            sent = self.send_pieces_nowait(list(islice(outbox, PIECES)))
            if sent or not outbox:
                return sent
