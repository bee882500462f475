"""
What one connection sends: at once if the system takes it, or as fast as the client reads.

The task of a request sends its own response. Whole responses to requests that came together leave
together, and no task waits for those.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

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

__all__ = ["Output", "OutputOwner"]


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
        "_held",
        "_held_size",
        "_is_closed",
        "_monitor",
        "_owner",
        "_rest",
        "_services",
        "_too_slow",
        "_waiting",
        "_wire",
        "_written",
        "has_begun",
        "is_writing",
    )

    def __init__(
        self, owner: OutputOwner, wire: Wire, services: HTTPServices, context: Context
    ) -> None:
        #: Whether a task writes what the system hasn't taken at once.
        self.is_writing = False
        #: Set when a request begins. A response that is kept then waits for its response, too.
        self.has_begun = False
        self._owner: OutputOwner = owner
        self._wire = wire
        self._services = services
        self._context = context
        self._is_closed = False
        # Whole responses that leave together with the next one.
        self._held: list[bytes] = []
        self._held_size = 0
        # What is left of responses for which no task waits.
        self._rest: deque[bytes | memoryview] | None = None
        # What others wait for while a task writes.
        self._written: trio.Event | None = None
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
        Keep a whole response until the end of the turn.

        This is for requests that come many at a time. Those of one connection leave in one system
        call. Those of several leave one after the other when all were made, because a system call
        throws what makes them out of the processor's caches.

        Returns:
            Whether it was kept. It isn't if no further request waits.
        """
        if (
            not (self._owner.expects_response or self._services.pool.is_crowded)
            or self.is_writing
            or self._held_size + len(response) > CHUNK
            or not self._services.cork.is_open
        ):
            return False
        if not self._held:
            self._services.cork.add(self)
        self._held.append(response)
        self._held_size += len(response)
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
            self._owner.close()
            raise ClientDisconnect("the client has gone") from exc
        return None if sent == len(response) else _after([response], sent)

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
                self._write_soon(self._take_held())
            except ClientDisconnect:
                return

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
            self._write_soon([*self._take_held(), response])
        return True

    def _take_held(self) -> list[bytes]:
        held, self._held, self._held_size = self._held, [], 0
        return held

    def _write_soon(self, pieces: list[bytes]) -> None:
        rest = self.write_nowait(pieces)
        if rest:
            self._rest, self.is_writing = rest, True
            job = partial(self._write_later, rest)
            self._services.pool.start(job, self._context)

    async def _write_later(self, rest: deque[bytes | memoryview], _worker: Worker) -> None:
        try:
            await self._write(rest)
        finally:
            self._rest = None
            self._end_writing()
            if rest and not self._is_closed:
                self._owner.cut(self._too_slow or "cancelled")
            elif not self._is_closed:
                self._owner.note_written()

    # What a task waits for.

    def write_nowait(self, pieces: list[bytes]) -> deque[bytes | memoryview] | None:
        """
        Send as much as the system takes at once.

        Returns:
            What is left for :meth:`write_rest`.

        Raises:
            ClientDisconnect: The client has gone.
        """
        if self._held:
            pieces = self._take_held() + pieces
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
            self._owner.close()
            raise ClientDisconnect("the client has gone") from exc
        return None if sent == size else _after(pieces, sent)

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
            await self.wait_written()
            self.is_writing = True
            try:
                await self._write(pieces)
            finally:
                self._end_writing()
        finally:
            # Whoever was cancelled while it waited for its turn leaves a gap, too.
            if pieces and not self._is_closed:
                self._owner.cut(self._too_slow or "cancelled")
        if pieces:
            raise ClientDisconnect(self._too_slow or "the client has gone")

    async def wait_written(self) -> None:
        """Wait until no other task is writing."""
        while self.is_writing:
            if self._written is None:
                self._written = trio.Event()
            await self._written.wait()

    def _end_writing(self) -> None:
        self.is_writing = False
        if self._written is not None:
            self._written.set()
            self._written = None

    async def _write(self, pieces: deque[bytes | memoryview]) -> None:
        if self._is_closed:
            return
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

    async def write_file(self, file: OpenFile) -> None:
        """
        Send a file, and wait while the client is slow. See :meth:`write_rest`.

        Raises:
            ClientDisconnect: The client has gone, or is too slow.
            OSError: The file can't be read.
        """
        offset = 0
        while offset < file.size:
            offset += await self._write_part(file, offset)

    async def _write_part(self, file: OpenFile, offset: int) -> int:
        send_file = self._wire.send_file
        if send_file is None:
            data = await file.read(offset)
            if self._is_closed:
                raise ClientDisconnect("the client has gone")
            await self.write(data)
            return len(data)
        monitor, ended = self.watch(), False
        sent = 0
        try:
            with trio.CancelScope() as self._waiting:
                sent = await send_file(file.descriptor, offset, file.size - offset)
                ended = not sent
        except BROKEN:
            self._owner.close()
        finally:
            self._waiting = None
            monitor.stop()
            if not (sent or self._is_closed):
                self._owner.cut(SHORTER if ended else self._too_slow or "cancelled")
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
