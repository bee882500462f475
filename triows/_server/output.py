"""
What one connection sends: at once if the system takes it, or as fast as the client reads.

The task of a request sends its own response. Whole responses to requests that came together leave
together, and no task waits for those.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import trio

from triows._transports.progress import RATE, SLOW, STALLED, Monitor
from triows._transports.wire import BROKEN, CHUNK
from triows.exceptions import ClientDisconnect

from .files import SHORTER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextvars import Context

    from triows._transports.wire import Wire

    from .files import OpenFile
    from .pool import Worker
    from .services import HTTPServices

__all__ = ["CANCELLED", "Output", "OutputOwner"]

#: How many seconds a response may be kept while other requests are served. Those that are served
#: one after the other, and take longer, don't wait for one another.
_PATIENCE: Final = 0.001

#: Why a response is cut whose task was cancelled while it was sending.
CANCELLED: Final = "cancelled"


class OutputOwner(Protocol):
    """The connection, which knows what else comes."""

    @property
    def expects_response(self) -> bool:
        """Whether a response to a further request may follow soon."""

    def close(self, *, abort: bool = False) -> None:
        """Close the connection."""

    def cut(self, why: str) -> None:
        """Close the connection so that the client sees that something is missing, and log why."""

    def note_written(self) -> None:
        """Note that responses for which no task waits were handed over."""

    def note_taken(self) -> None:
        """Note, from time to time while somebody watches, how the client takes what was sent."""


class _Nobody:
    """The owner after the connection's end. Nothing that it is told matters any more."""

    expects_response = False

    def close(self, *, abort: bool = False) -> None: ...

    def cut(self, why: str) -> None: ...

    def note_written(self) -> None: ...

    def note_taken(self) -> None: ...


_NOBODY = _Nobody()


class Output:
    """
    Writes to one connection. Only one task at a time does, and the others wait.

    Args:
        owner: The connection. It calls :meth:`close` when it's closed.
        wire: Writes.
        services: The server's.
        context: The context of a task that writes what no other task waits for.
    """

    __slots__ = (
        "_context",
        "_has_room",
        "_held",
        "_held_size",
        "_is_closed",
        "_monitor",
        "_owner",
        "_rest",
        "_services",
        "_too_slow",
        "_waiting",
        "_waiting_tasks",
        "_wire",
        "has_begun",
        "is_writing",
    )

    def __init__(
        self, owner: OutputOwner, wire: Wire, services: HTTPServices, context: Context
    ) -> None:
        #: Whether a task writes what the system hasn't taken at once.
        self.is_writing = False
        #: Set when a request begins, and until its response is kept. Those that were kept before
        #: wait for it.
        self.has_begun = False
        self._owner: OutputOwner = owner
        self._wire = wire
        self._services = services
        self._context = context
        self._is_closed = False
        # Whether the system takes more than it can send soon.
        self._has_room = False
        # Whole responses that leave together with the next one.
        self._held: list[bytes] = []
        self._held_size = 0
        # What is left of responses for which no task waits.
        self._rest: deque[bytes | memoryview] | None = None
        # The others while a task writes, in the order in which they came.
        self._waiting_tasks: trio.lowlevel.ParkingLot | None = None
        # Around the wait for a slow client.
        self._waiting: trio.CancelScope | None = None
        self._monitor: Monitor | None = None
        self._too_slow: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether everything was handed over to the system."""
        return not (self._held or self.is_writing)

    def close(self) -> None:
        """Stop, because the connection is closed. Tasks that write are told."""
        self._is_closed = True
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None  # they refer to each other
        if self._waiting is not None:
            self._waiting.cancel()
        self._held.clear()
        self._owner = _NOBODY  # they refer to each other

    # Whole responses, for which no task waits.

    def hold(self, response: bytes) -> bool:
        """
        Keep a whole response until the end of the turn, if that isn't far.

        This is for requests that come many at a time. Those of one connection leave in one system
        call. Those of several leave one after the other when all were made, because a system call
        throws what makes them out of the processor's caches.

        Returns:
            Whether it was kept. It isn't if no further request waits.
        """
        services = self._services
        cork = services.cork
        size = self._held_size + len(response)
        if (
            not (services.pool.jobs or self._owner.expects_response)
            or self.is_writing
            or size > CHUNK
            or not cork.is_open
        ):
            return False
        if not self._held:
            cork.add(self)
        self._held.append(response)
        self._held_size = size
        self.has_begun = False
        if services.now() - cork.began > _PATIENCE:
            cork.flush()
        return True

    def write_whole(self, response: bytes) -> deque[bytes | memoryview] | None:
        """Keep a whole response, or send it as :meth:`write_nowait` does."""
        if self.hold(response):
            return None
        if self._held or self.is_writing:
            return self.write_nowait([response])
        try:
            sent = self._wire.send_nowait(response)
        except OSError as exc:
            gone = self._gone(exc)
        else:
            return None if sent == len(response) else _after([response], sent)
        raise gone

    def flush(self) -> None:
        """Send the responses that were kept, unless another one may come in this turn."""
        if self.has_begun and self._held:
            self.has_begun = False
            self._services.cork.add(self)
        else:
            self.send_held()

    def give_up(self) -> None:
        """End the connection, because there is a bug in it."""
        self._owner.close(abort=True)

    def send_held(self) -> None:
        """Send the responses that were kept."""
        if self._held and not self._is_closed:
            try:
                rest = self.write_nowait([])
            except ClientDisconnect:
                return
            if rest:
                self._go_on_later(rest)

    def write_last(self, response: bytes) -> bool:
        """
        Send a whole response without waiting, behind those that the client hasn't taken yet.

        Returns:
            Whether it is sent. It can't be if a task that can be cancelled writes at the moment.

        Raises:
            ClientDisconnect: The client has gone.
        """
        if self._rest is not None:
            self._rest.append(response)
        elif self.is_writing:
            return False
        else:
            rest = self.write_nowait([response])
            if rest:
                self._go_on_later(rest)
        return True

    def _go_on_later(self, rest: deque[bytes | memoryview]) -> None:
        """Let a task write what the system hasn't taken."""
        self._rest, self.is_writing = rest, True
        self._services.pool.start(partial(self._write_later, rest), self._context)

    async def _write_later(self, rest: deque[bytes | memoryview], _worker: Worker) -> None:
        try:
            await self._write(rest)
        finally:
            self._rest = None
            self._end_writing()
            if rest and not self._is_closed:
                self._owner.cut(self._too_slow or CANCELLED)
            elif not self._is_closed:
                self._owner.note_written()

    # What a task waits for.

    def write_nowait(self, pieces: list[bytes]) -> deque[bytes | memoryview] | None:
        """
        Send as much as the system takes at once, behind what was kept.

        Returns:
            What is left for :meth:`write_rest`.

        Raises:
            ClientDisconnect: The client has gone.
        """
        if self._held:
            pieces = self._held + pieces
            self._held, self._held_size = [], 0
        if self.is_writing:
            return deque(pieces)
        try:
            if len(pieces) == 1:
                size = len(pieces[0])
                sent = self._wire.send_nowait(pieces[0])
            else:
                size = sum(map(len, pieces))
                sent = self._wire.send_pieces_nowait(pieces)
        except OSError as exc:
            gone = self._gone(exc)
        else:
            return None if sent == size else _after(pieces, sent)
        raise gone

    def _gone(self, cause: OSError) -> ClientDisconnect:
        """
        Close the connection, which doesn't take any more. Return what its user is told.

        Raise it after the ``except``: whoever finds an error behind a disconnect takes it for one
        of the application that somebody has to know.
        """
        self._owner.close()
        gone = ClientDisconnect("the client has gone")
        gone.__cause__ = cause
        return gone

    async def write(self, data: bytes) -> None:
        """Send data, and wait while the client is slow. See :meth:`write_rest`."""
        if data and (rest := self.write_nowait([data])):
            await self.write_rest(rest)

    async def write_rest(self, pieces: deque[bytes | memoryview]) -> None:
        """
        Send the rest, and wait while the client is slow.

        If this is cancelled, the connection is cut.

        Raises:
            ClientDisconnect: The client has gone, or is too slow.
        """
        try:
            if self.is_writing:
                await self._queue().park()
            self.is_writing = True
            try:
                await self._write(pieces)
            finally:
                self._end_writing()
        finally:
            # Whoever was cancelled while it waited for its turn leaves a gap, too.
            if pieces and not self._is_closed:
                self._owner.cut(self._too_slow or CANCELLED)
        if pieces:
            raise ClientDisconnect(self._too_slow or "the client has gone")

    async def wait_written(self) -> None:
        """Wait until those have written that want to by now."""
        if self.is_writing:
            await self._queue().park()
            self._end_writing()

    def _queue(self) -> trio.lowlevel.ParkingLot:
        if self._waiting_tasks is None:
            self._waiting_tasks = trio.lowlevel.ParkingLot()
        return self._waiting_tasks

    def _end_writing(self) -> None:
        # The next one has its turn from now on, so that nobody writes before it.
        if self._waiting_tasks:
            self._waiting_tasks.unpark()
        else:
            self.is_writing = False

    async def _write(self, pieces: deque[bytes | memoryview]) -> None:
        if self._is_closed:
            return
        self._make_room()
        monitor = self.watch()
        try:
            with trio.CancelScope() as self._waiting:
                while pieces:
                    _drop(pieces, await self._wire.send_some(pieces))
        except BROKEN:
            self._owner.close()
        finally:
            self._waiting = None
            monitor.stop()

    def _make_room(self) -> None:
        # For small parts, every wait for the client would be a turn of the loop and a system call.
        if not (self._has_room or self._is_closed):
            self._has_room = True
            self._wire.make_room()

    async def write_file(self, file: OpenFile, size: int) -> None:
        """
        Send the first bytes of a file, and wait while the client is slow. See :meth:`write_rest`.

        Raises:
            ClientDisconnect: The client has gone, or is too slow.
            OSError: The file can't be read.
        """
        self._make_room()
        offset = 0
        while offset < size:
            offset += await self._write_part(file, offset, size - offset)

    async def _write_part(self, file: OpenFile, offset: int, size: int) -> int:
        send_file = self._wire.send_file
        if send_file is None:
            data = await file.read(offset, size)
            if self._is_closed:
                raise ClientDisconnect("the client has gone")
            await self.write(data)
            return len(data)
        monitor, ended = self.watch(), False
        sent = 0
        try:
            with trio.CancelScope() as self._waiting:
                sent = await send_file(file.descriptor, offset, size)
                ended = not sent
        except BROKEN:
            self._owner.close()
        finally:
            self._waiting = None
            monitor.stop()
            if not (sent or self._is_closed):
                self._owner.cut(SHORTER if ended else self._too_slow or CANCELLED)
        if ended:
            raise OSError(SHORTER)
        if self._is_closed:
            raise ClientDisconnect(self._too_slow or "the client has gone")
        return sent

    # The client's progress.

    def watch(self) -> Monitor:
        """Watch the client's progress from now on."""
        if self._monitor is None:
            services = self._services
            self._monitor = Monitor(
                self._acknowledged, services.pinger, services.timeouts.send, self._note_progress
            )
        self._monitor.start()
        return self._monitor

    def _acknowledged(self) -> int:
        return self._wire.taken - self._wire.unacknowledged()

    def _note_progress(self, why: str | None) -> None:
        """Called by the monitor, with the reason if the client is too slow."""
        if why is None:
            if not self.is_writing:
                self._owner.note_taken()
            return
        self._too_slow = {
            STALLED: f"the client took nothing for {self._services.timeouts.send:g} s",
            SLOW: f"the client took less than {RATE} bytes a second",
        }[why]
        if self._waiting is not None:
            self._waiting.cancel()
        else:
            self._owner.cut(self._too_slow)

    def stop_watching(self) -> None:
        """Watch the client's progress no longer."""
        if self._monitor is not None:
            self._monitor.stop()


def _after(pieces: Sequence[bytes], sent: int) -> deque[bytes | memoryview]:
    """Return what is left of some pieces."""
    left: deque[bytes | memoryview] = deque(pieces)
    _drop(left, sent)
    return left


def _drop(pieces: deque[bytes | memoryview], sent: int) -> None:
    """Remove the bytes that were sent from the front."""
    while sent and len(pieces[0]) <= sent:
        sent -= len(pieces.popleft())
    if sent:
        pieces[0] = memoryview(pieces[0])[sent:]
