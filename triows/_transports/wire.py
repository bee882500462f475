"""
A TCP connection, plain or under TLS, behind one small interface.

Trio's own streams wait before they say that nothing can be done; a server that answers at
once wants to try first. So the reactor reads a plain connection, and writing uses its
non-blocking socket directly. TLS goes through Trio's stream, which can only wait: it has a
task that reads, and nothing is written at once.
"""

from __future__ import annotations

import errno
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
    from collections.abc import Sequence

    from .interface import Starter
    from .reactor import Reactor

__all__ = [
    "BROKEN",
    "CHUNK",
    "FIN",
    "READS",
    "Counted",
    "CountedStream",
    "PlainWire",
    "Sink",
    "TLSWire",
    "Wire",
    "unacknowledged",
]

#: Bytes to read at a time. Hypercorn and asyncio take as many: enough for a busy stream, and
#: not so many that the others wait.
CHUNK = 2**16

#: What the end of a connection adds to the bytes that are not acknowledged, once it is sent. A
#: single byte more or less makes no difference to anybody else.
FIN = 1

#: How often to read at a time while there is more than that: a large message takes fewer
#: turns, and the others wait for a tenth of a millisecond at most.
READS = 4

#: Pieces to write at a time, when they had to wait; the system takes 1024 (IOV_MAX).
_PIECES = 64

# Windows has none.
_HAS_SENDMSG = hasattr(socket.socket, "sendmsg")

#: What tells that a connection is broken.
BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


def unacknowledged(fd: int) -> int:
    """
    Bytes that a socket's system has taken and the peer's system has not acknowledged.

    Elsewhere than on Linux this is not known, and taken for none. On a Unix socket it includes
    what the system needs for itself.
    """
    if sys.platform != "linux" or fd < 0:
        return 0
    # SIOCOUTQ, which is TIOCOUTQ by another name: tcp(7), unix(7).
    left = fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(left, sys.byteorder)


class Counted(Protocol):
    """A connection that knows how much of what it was given has reached the peer's system."""

    @property
    def taken(self) -> int:
        """Bytes that our system has taken so far."""

    def unacknowledged(self) -> int:
        """
        Bytes of those that the peer's system has not acknowledged yet.

        Where this is not known (elsewhere than on Linux), it is none.
        """


class Sink(Protocol):
    """Who is given what a :class:`Wire` reads. Nothing here waits."""

    def data_received(self, data: bytes) -> None:
        """Some bytes have come; not none."""

    def eof_received(self) -> None:
        """There is nothing more to read: the peer has closed its side, or the wire broke."""

    def hung_up(self) -> None:
        """The same is true of what has not been read yet, because reading is paused."""

    def on_turn(self) -> None:
        """The others have had their turn, see :meth:`Wire.yield_turn`."""


class Wire(Counted, Protocol):
    """The bytes of one connection, owned by whoever made it."""

    #: Whether :meth:`send_some` leaves it unusable when it is cancelled.
    breaks_when_cancelled: bool

    def start(self, nursery: Starter, sink: Sink) -> None:
        """Begin to read, if need be in a task of *nursery*, which is shielded until close()."""

    def pause(self) -> None:
        """Read nothing more for now, but notice a peer that leaves, where the system tells."""

    def resume(self) -> None:
        """Read again."""

    def yield_turn(self) -> None:
        """Give the others a turn, and call the sink's ``on_turn`` then."""

    def send_nowait(self, data: bytes) -> int:
        """
        Give bytes to the system, as many as it takes at once; it may be none.

        Raises:
            OSError: the connection broke.
        """

    def send_pieces_nowait(self, pieces: Sequence[bytes]) -> int:
        """The same for several pieces, one after the other, which are not put together."""

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        """
        Wait until the system takes some of what waits; how many bytes it took.

        Args:
            outbox: Not empty. It may change while this waits, and be empty in the end; what has
                been taken in part stays its first piece.

        Raises:
            OSError: the connection broke.
            trio.BrokenResourceError: the same, under TLS.
        """

    def send_eof(self) -> None:
        """Say that nothing more will be sent; reading goes on."""

    def close(self, *, abort: bool) -> None:
        """
        Close the connection; no effect once it is.

        Args:
            abort: With a reset, so that the system keeps nothing for a peer that does not read.
        """


def _reset_on_close(sock: Any) -> None:
    """Let closing a socket send a reset, so that the system keeps nothing for its peer."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class CountedStream(trio.abc.HalfCloseableStream):
    """
    A stream on a socket that is :class:`Counted`, and can be cut.

    Trio's own does not tell how much of what it is sending the system has taken. One task may
    send at a time, which is not checked.

    Args:
        sock: Connected.
    """

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.taken = 0
        self._socket = sock
        self._stream = trio.SocketStream(sock)
        self._has_sent_eof = False

    def unacknowledged(self) -> int:
        return unacknowledged(self._socket.fileno())

    def cut(self) -> None:
        """Let :meth:`aclose` reset the connection."""
        _reset_on_close(self._socket)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._has_sent_eof:
            raise trio.ClosedResourceError("nothing can be sent after the end")
        left = memoryview(data)
        if not left:
            await self._stream.send_all(left)
        while left:
            try:
                sent = await self._socket.send(left)
            except OSError as exc:
                if exc.errno in {errno.EBADF, errno.ENOTSOCK}:
                    raise trio.ClosedResourceError("this socket was closed here") from None
                raise trio.BrokenResourceError(f"the connection broke: {exc}") from exc
            self.taken += sent
            left = left[sent:]

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        self._has_sent_eof = True
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _SocketWire(Readable):
    """What both kinds do with the socket itself, and with the reactor's calls."""

    __slots__ = ("_fd", "_reactor", "_sink", "_socket")

    _sink: Sink

    def __init__(self, sock: socket.socket, reactor: Reactor) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._reactor = reactor

    def yield_turn(self) -> None:
        self._reactor.yield_turn(self)

    def send_eof(self) -> None:
        with suppress(OSError):  # it broke before
            self._socket.shutdown(socket.SHUT_WR)

    def on_hangup(self) -> None:
        self._sink.hung_up()

    def on_turn(self) -> None:
        if self._socket.fileno() >= 0:
            self._sink.on_turn()

    def on_error(self) -> None:
        self._reactor.discard(self._fd)
        self._sink.eof_received()

    def unacknowledged(self) -> int:
        return unacknowledged(self._fd)

    def close(self, *, abort: bool) -> None:
        if self._socket.fileno() < 0:
            return
        self._reactor.discard(self._fd)
        trio.lowlevel.notify_closing(self._fd)
        self._fd = -1  # soon another connection's
        del self._sink
        if abort:
            _reset_on_close(self._socket)
        self._socket.close()


class PlainWire(_SocketWire):
    """
    A :class:`Wire` on a socket.

    Args:
        sock: Connected and non-blocking.
        reactor: Reads for it.
    """

    __slots__ = ("_is_paused", "taken")

    breaks_when_cancelled = False

    def __init__(self, sock: socket.socket, reactor: Reactor) -> None:
        super().__init__(sock, reactor)
        self.taken = 0
        self._is_paused = False

    def start(self, nursery: Starter, sink: Sink) -> None:
        self._sink = sink
        self._reactor.add(self._fd, self)

    def pause(self) -> None:
        self._is_paused = True
        self._reactor.pause(self._fd)

    def resume(self) -> None:
        self._is_paused = False
        self._reactor.resume(self._fd)

    def on_readable(self) -> None:
        """Read what is there, or some of it if that is much; called by the reactor."""
        for _ in range(READS):
            try:
                data = self._socket.recv(CHUNK)
            except BlockingIOError:
                return  # woken for nothing
            except OSError:
                data = b""
            if not data:
                self._reactor.discard(self._fd)
                self._sink.eof_received()
                return
            self._sink.data_received(data)
            if len(data) < CHUNK or self._is_paused or self._fd < 0:
                return

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

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        while True:
            await trio.lowlevel.wait_writable(self._fd)
            # Meanwhile all of it may have been dropped. Else the system takes some, or was
            # woken for nothing.
            sent = self.send_pieces_nowait(list(islice(outbox, _PIECES)))
            if sent or not outbox:
                return sent


class TLSWire(_SocketWire):
    """
    A :class:`Wire` under TLS.

    Args:
        stream: After its handshake.
        sock: The socket below it.
        reactor: Notices a peer that leaves while reading is paused.
    """

    # Its send_all() has encrypted it, and can't be told to go on where it was.
    breaks_when_cancelled = True

    def __init__(
        self, stream: trio.SSLStream[CountedStream], sock: socket.socket, reactor: Reactor
    ) -> None:
        super().__init__(sock, reactor)
        self._stream = stream
        self._reading = trio.CancelScope(shield=True)
        # While reading is paused: set when it goes on.
        self._paused: trio.Event | None = None

    @property
    def taken(self) -> int:
        return self._stream.transport_stream.taken

    def start(self, nursery: Starter, sink: Sink) -> None:
        self._sink = sink
        nursery.start_soon(self._read, sink, name="<triows TLS reader>")

    async def _read(self, sink: Sink) -> None:
        with self._reading:
            with suppress(*BROKEN):
                while data := bytes(await self._stream.receive_some(CHUNK)):
                    sink.data_received(data)
                    if self._paused is not None:
                        self._reactor.add(self._fd, self)
                        self._reactor.pause(self._fd)
                        await self._paused.wait()
                        self._reactor.discard(self._fd)
            sink.eof_received()

    def on_readable(self) -> None:
        """The stream reads; the reactor only looks for a peer that leaves meanwhile."""

    def pause(self) -> None:
        if self._paused is None:
            self._paused = trio.Event()

    def resume(self) -> None:
        if self._paused is not None:
            self._paused.set()
            self._paused = None

    def send_nowait(self, data: bytes) -> int:
        return 0

    def send_pieces_nowait(self, pieces: Sequence[bytes]) -> int:
        return 0

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        # Not all of a large frame at once: it would be encrypted, and held twice.
        piece = memoryview(outbox[0])[:CHUNK]
        await self._stream.send_all(piece)
        return len(piece)

    # send_eof(): TLS can't be closed half by Trio's stream. As with HTTPS, TCP is: the peer
    # has our close frame, which is authentic, and expects nothing more.

    def close(self, *, abort: bool) -> None:
        self._reading.cancel()
        super().close(abort=abort)
