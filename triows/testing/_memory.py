"""
A connection in memory, between two ends in one process. It is for tests.

It behaves as sockets do: each direction holds a limited number of bytes, and a peer can close its
side, reset the connection, or fall silent. The server's end is a
:class:`~triows._transports.wire.Wire` like any other. So tests run the same code as a server
does: handshakes, frames, backpressure, pings, and every way to end a connection.
"""

from __future__ import annotations

import logging
from itertools import count, islice
from typing import TYPE_CHECKING

import trio

from triows._transports.reactor import Readable
from triows._transports.wire import CHUNK, READS

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence

    from triows._transports.interface import Starter
    from triows._transports.wire import Sink

__all__ = ["MemoryEnd", "MemoryLink", "MemoryReactor", "MemoryWire", "Pipe"]

logger = logging.getLogger("triows")

#: How many pieces to write at a time, as on a socket.
_PIECES = 64


class MemoryReactor:
    """
    A :class:`~triows._transports.reactor.Reactor` for connections in memory. It needs one task.

    Each connection has a number of its own in place of the system's file descriptor.
    """

    def __init__(self) -> None:
        self._readers: dict[int, Readable] = {}
        self._paused: set[int] = set()
        # Connections that have something to read, in the order in which it came. The value says
        # whether that is the end.
        self._ready: dict[int, bool] = {}
        self._yielded: list[Readable] = []
        self._numbers = count(1)
        self._wanted = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            # Tasks that were woken in the last step are in the same batch as this one. After this
            # checkpoint, all of them have run.
            await trio.lowlevel.checkpoint()
            yielded, self._yielded = self._yielded, []
            ready, self._ready = self._ready, {}
            for reader in yielded:
                self._call(reader, reader.on_turn)
            for fd, over in ready.items():
                self._read(fd, over=over)

    def _read(self, fd: int, *, over: bool) -> None:
        reader = self._readers.get(fd)
        if reader is None:
            return
        if fd not in self._paused:
            self._call(reader, reader.on_readable)
        elif over:
            self._call(reader, reader.on_hangup)

    @staticmethod
    def _call(reader: Readable, method: Callable[[], None]) -> None:
        try:
            method()
        except Exception:
            # A mistake of ours must not end the other connections.
            logger.exception("unhandled error in reading from a connection")
            reader.on_error()

    def number(self) -> int:
        """Return a number for another connection."""
        return next(self._numbers)

    def note_ready(self, fd: int, *, over: bool) -> None:
        """Note that there is something to read for *fd*. If *over*, that is the end."""
        self._ready[fd] = over
        self._wanted.set()

    def add(self, fd: int, reader: Readable) -> None:
        self._readers[fd] = reader

    def pause(self, fd: int) -> None:
        self._paused.add(fd)

    def resume(self, fd: int) -> None:
        self._paused.discard(fd)

    def discard(self, fd: int) -> None:
        self._readers.pop(fd, None)
        self._paused.discard(fd)

    def yield_turn(self, reader: Readable) -> None:
        self._yielded.append(reader)
        self._wanted.set()


class Pipe:
    """
    Bytes on their way in one direction.

    The pipe is two buffers in one. Its first half is in the reader's system, which has
    acknowledged those bytes. The second half is in the writer's system. As on Linux, a writer that
    had to wait goes on only when a third of the whole is free again. So a slow reader makes it
    wait for a long time.

    Args:
        size: How many bytes it holds.
    """

    __slots__ = (
        "_changed",
        "_data",
        "_lost",
        "_size",
        "_was_full",
        "fault",
        "is_broken",
        "is_over",
        "on_change",
        "taken",
    )

    def __init__(self, size: int) -> None:
        #: How many bytes were put, in all.
        self.taken = 0
        #: Whether the writer has said that nothing more will come.
        self.is_over = False
        #: Whether the connection is broken. Nothing can be written any more. The reader gets what
        #: came before, and then the error.
        self.is_broken = False
        #: How the network broke the connection. Empty if it didn't.
        self.fault = ""
        #: Called when there is something to read, or the end.
        self.on_change: Callable[[], None] | None = None
        self._size = size
        self._data = bytearray()
        self._was_full = False
        # How many bytes will never be acknowledged.
        self._lost = 0
        # Made by whoever waits.
        self._changed: trio.Event | None = None

    def __len__(self) -> int:
        return len(self._data)

    def put(self, data: bytes | memoryview) -> int:
        """
        Add as many bytes as there is room for, and return how many that were.

        Raises:
            ConnectionResetError: the pipe is broken or over.
        """
        if self._takes_no_more():
            raise ConnectionResetError
        taken = min(len(data), self._room())
        self._was_full = taken < len(data)
        if taken:
            self.taken += taken
            self._carry(data if taken == len(data) else memoryview(data)[:taken])
        return taken

    def _carry(self, data: bytes | memoryview) -> None:
        """Hand bytes over to the reader."""
        self._data += data
        self._change()

    def _takes_no_more(self) -> bool:
        return self.is_over or self.is_broken

    def _room(self) -> int:
        return self._size - len(self._data)

    def unacknowledged(self) -> int:
        """Return how many bytes were put and haven't reached the reader's system."""
        return self._lost + self._beyond()

    def _beyond(self) -> int:
        return max(0, len(self._data) - (self._size + 1) // 2)

    def _is_writable(self) -> bool:
        free = self._room()
        return free >= (self._size + 2) // 3 if self._was_full else free > 0

    def take(self, size: int) -> bytes:
        """Take as many bytes as there are, at most *size*."""
        if len(self._data) <= size:
            data, self._data = self._data, bytearray()
        else:
            data = self._data[:size]
            del self._data[:size]
        if data:
            self._wake()
        return bytes(data)

    def end(self) -> None:
        """Note that nothing more will be written. What is on its way still arrives."""
        self.is_over = True
        self._change()

    def cut(self) -> None:
        """
        Break the connection. What is on its way still arrives.

        Between two systems close to each other, it would have arrived already, and Linux delivers
        what it has received before it reports a reset.
        """
        self._break()

    def abort(self) -> None:
        """Break the connection, and drop what hasn't reached the reader's system."""
        if beyond := self._beyond():
            self._lost += beyond
            del self._data[-beyond:]
        self.cut()

    def drop(self) -> None:
        """Break the connection from the reading side. Nobody will read what is on its way."""
        self._lost += self._beyond()
        self._data.clear()
        self._break()

    def _break(self) -> None:
        self.is_broken = True
        self._change()

    def _change(self) -> None:
        if self.on_change is not None:
            self.on_change()
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait_readable(self) -> None:
        """Wait for bytes, or the end."""
        await trio.lowlevel.checkpoint()
        while not (self._data or self.is_over or self.is_broken):
            await self._wait()

    async def wait_writable(self) -> None:
        """Wait for room, or the end."""
        await trio.lowlevel.checkpoint()
        while not (self._is_writable() or self._takes_no_more()):
            await self._wait()

    async def _wait(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()


def pair(size: int) -> tuple[Pipe, Pipe]:
    """Make two pipes that hold *size* bytes each."""
    return Pipe(size), Pipe(size)


class MemoryLink:
    """
    A connection in memory, with its two ends.

    Args:
        size: How many bytes each direction holds, in the buffers of both systems together.
        reactor: Reads for the server's end.
        pipes: Makes the directions to the server and to the client.
    """

    def __init__(
        self, size: int, reactor: MemoryReactor, pipes: Callable[[int], tuple[Pipe, Pipe]] = pair
    ) -> None:
        to_server, to_client = pipes(size)
        #: The client's end.
        self.client = MemoryEnd(to_client, to_server)
        #: The server's end.
        self.wire = MemoryWire(to_server, to_client, reactor)


class MemoryEnd:
    """
    The client's end.

    Args:
        incoming: Bytes from the server.
        outgoing: Bytes to the server.
    """

    def __init__(self, incoming: Pipe, outgoing: Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """
        Wait for bytes. ``b""`` means the end. Cancelling this loses no bytes.

        Raises:
            trio.BrokenResourceError: the connection was reset.
        """
        await self._incoming.wait_readable()
        if self._incoming.is_broken and not len(self._incoming):
            raise trio.BrokenResourceError("the connection was reset")
        return self._incoming.take(CHUNK if max_bytes is None else max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """
        Wait until all of *data* is on its way. If this is cancelled, some of it may be.

        Raises:
            trio.BrokenResourceError: the connection is over.
        """
        left = memoryview(data)
        while True:
            await self._outgoing.wait_writable()
            try:
                left = left[self._outgoing.put(left) :]
            except ConnectionResetError as exc:
                raise trio.BrokenResourceError("the connection is over") from exc
            if not left:
                return

    @property
    def fault(self) -> str:
        return self._incoming.fault or self._outgoing.fault

    @property
    def has_arrived(self) -> bool:
        return not self._outgoing.unacknowledged()

    def send_eof(self) -> None:
        """Close the client's side. What the server sends can still be read."""
        self._outgoing.end()

    def close(self) -> None:
        """Close both sides. The server still gets what was sent."""
        self._outgoing.end()
        self._incoming.drop()

    def reset(self) -> None:
        """
        Reset the connection.

        The server still gets what was sent. What the server sent and nobody has read is lost.
        """
        self._outgoing.cut()
        self._incoming.drop()


class MemoryWire(Readable):
    """
    The server's end as a :class:`~triows._transports.wire.Wire`.

    Args:
        incoming: Bytes from the client.
        outgoing: Bytes to the client.
        reactor: Says when there is something to read.
    """

    secured = True
    send_file = None

    def __init__(self, incoming: Pipe, outgoing: Pipe, reactor: MemoryReactor) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._reactor = reactor
        self._number = reactor.number()
        self._is_paused = False
        self._is_closed = False
        # Removed when the wire is closed, because the sink refers to the wire.
        self._sink: Sink | None = None

    def start(self, nursery: Starter, sink: Sink) -> None:
        self._sink = sink
        self._reactor.add(self._number, self)
        self._incoming.on_change = self._note_change
        self._look()

    def _note_change(self) -> None:
        over = self._incoming.is_over or self._incoming.is_broken
        self._reactor.note_ready(self._number, over=over)

    def _look(self) -> None:
        """Tell the reactor about bytes that came while it wasn't listening."""
        if len(self._incoming) or self._incoming.is_over or self._incoming.is_broken:
            self._note_change()

    def pause(self) -> None:
        self._is_paused = True
        self._reactor.pause(self._number)
        if self._incoming.is_over or self._incoming.is_broken:
            # The end came with what was just read, and nothing will come after it.
            self._note_change()

    def resume(self) -> None:
        self._is_paused = False
        self._reactor.resume(self._number)
        self._look()

    def yield_turn(self) -> None:
        self._reactor.yield_turn(self)

    def make_room(self) -> None:
        """Do nothing: the test has said how much room there is."""

    # Called by the reactor.

    def on_readable(self) -> None:
        """Read what is there, up to a limit."""
        sink = self._sink
        if sink is None:
            return
        for _ in range(READS):
            data = self._incoming.take(CHUNK)
            if not data:
                break
            sink.data_received(data)
            if self._is_paused or self._is_closed:
                return
        if len(self._incoming):
            self._note_change()
        elif self._incoming.is_over or self._incoming.is_broken:
            self.on_error()

    def on_hangup(self) -> None:
        """Pass on that the peer closed its side or reset the connection during a pause."""
        if self._sink is not None:
            self._sink.hung_up()

    def on_turn(self) -> None:
        """Go on: other tasks have had their turn."""
        if self._sink is not None:
            self._sink.on_turn()

    def on_error(self) -> None:
        """Stop reading, because this is the end or the sink has raised."""
        self._reactor.discard(self._number)
        if self._sink is not None:
            self._sink.eof_received()

    # Writing.

    def send_nowait(self, data: bytes) -> int:
        return self._outgoing.put(data)

    def send_pieces_nowait(self, pieces: Sequence[bytes]) -> int:
        return self._outgoing.put(b"".join(pieces))

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        await self._outgoing.wait_writable()
        sent = 0
        for piece in islice(outbox, _PIECES):  # others may have emptied it during the wait
            taken = self._outgoing.put(piece)
            sent += taken
            if taken < len(piece):
                break
        return sent

    def send_eof(self) -> None:
        if not self._is_closed:
            self._outgoing.end()

    @property
    def taken(self) -> int:
        return self._outgoing.taken

    def unacknowledged(self) -> int:
        return self._outgoing.unacknowledged()

    def close(self, *, abort: bool) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._reactor.discard(self._number)
        self._incoming.on_change = self._sink = None
        if abort:
            self._outgoing.abort()
        else:
            self._outgoing.end()
        self._incoming.drop()
