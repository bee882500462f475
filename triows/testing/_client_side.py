"""
The client's side of a connection: it reads, writes, and misbehaves on request.

It uses one of the two ends: in memory or on a socket. So a test works in the same way with both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from triows._transports.wire import BROKEN, CHUNK

from ._events import EventLog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from triows._transports.interface import Starter

    from ._ends import End

__all__ = ["ClientSide"]

#: How many chunks may be on their way at a time, in one direction.
_ON_THE_WAY = 64


class _LongWay:
    """
    One direction of a connection with a delay. The order stays the same.

    Args:
        deliver: Called with each chunk when it arrives.
    """

    def __init__(self, deliver: Callable[[bytes], Awaitable[None]]) -> None:
        #: Cancelled when the connection is over.
        self.scope = trio.CancelScope()
        self._deliver = deliver
        self._enter, self._leave = trio.open_memory_channel[tuple[float, bytes]](_ON_THE_WAY)

    async def send(self, chunk: bytes, seconds: float) -> None:
        """Let a chunk arrive in so many seconds."""
        await self._enter.send((trio.current_time() + seconds, chunk))

    async def run(self) -> None:
        """Deliver until the connection is over."""
        with self.scope:
            async for due, chunk in self._leave:
                await trio.sleep_until(due)
                with suppress(*BROKEN):  # the reading task sees the error, too
                    await self._deliver(chunk)


class ClientSide(ABC):
    """
    The client's side of one connection. A subclass knows the protocol.

    Args:
        end: The connection. This object owns it from now on.
        tasks: Runs the tasks of a connection with a delay.
    """

    def __init__(self, end: End, tasks: Starter) -> None:
        self.events = EventLog()
        #: Set when nothing more will come.
        self.over = trio.Event()
        self.has_vanished = False
        self._end = end
        self._tasks = tasks
        self._life = trio.CancelScope()
        # Around the wait for bytes. The event exists while the client doesn't read.
        self._receiving = trio.CancelScope()
        self._stopped: trio.Event | None = None
        self._delay = 0.0
        self._ways: tuple[_LongWay, _LongWay] | None = None
        self._sending = trio.Lock()

    # What a subclass adds.

    @abstractmethod
    async def _take(self, data: bytes) -> None:
        """Process bytes from the server, or the end if *data* is empty."""

    @property
    @abstractmethod
    def _is_full(self) -> bool:
        """Whether the client has no room for more, so that it doesn't read."""

    @abstractmethod
    async def _wait_room(self) -> None:
        """Wait until the test has taken something."""

    @abstractmethod
    def _ended(self, *, cut: bool) -> None:
        """Wake all who wait, because the connection is over. *cut*: the client hasn't ended it."""

    # What a test may ask.

    @property
    def is_silent(self) -> bool:
        """Whether the client doesn't read, so that the server has to notice that by itself."""
        return self._stopped is not None

    @property
    def fault(self) -> str:
        """How the test's network broke the connection. Empty if it didn't."""
        return self._end.fault

    @property
    def has_arrived(self) -> bool:
        """Whether all that was sent has arrived at the server, as far as the client knows."""
        return self._end.has_arrived

    # Reading.

    async def run(self) -> None:
        """Read until the connection is over, or until :meth:`abandon`. This never raises."""
        try:
            with self._life:
                await self._read()
        finally:
            for way in self._ways or ():
                way.scope.cancel()
            self._ways = None  # they refer to this object
            self._note_over("the connection is over")
            self._end.close()

    async def _read(self) -> None:
        with suppress(*BROKEN):
            while data := await self._receive():
                if self._ways is None:
                    await self._take(data)
                else:
                    await self._ways[0].send(data, self._delay)
            if self._ways is None:
                await self._take_end()
            else:
                await self._ways[0].send(b"", self._delay)
                await self.over.wait()
            return
        self._note_over("the connection was reset", cut=True)

    async def _take_end(self) -> None:
        await self._take(b"")
        self._note_over("the server closed the connection", cut=True)

    async def _receive(self) -> bytes:
        while True:
            if self._stopped is not None:
                await self._stopped.wait()
            elif self._is_full:
                await self._wait_room()
            else:
                with trio.CancelScope() as self._receiving:
                    return await self._end.receive_some(CHUNK)

    async def _arrive(self, data: bytes) -> None:
        """Take a chunk that was on its way, when the client reads."""
        while self._stopped is not None:
            await self._stopped.wait()
        await (self._take(data) if data else self._take_end())

    async def _depart(self, data: bytes) -> None:
        """Send a chunk that was on its way, unless the client has vanished meanwhile."""
        if not self.has_vanished:
            await self._end.send_all(data)

    def _note_over(self, how: str, *, cut: bool = False) -> None:
        if self.over.is_set():
            return
        self.over.set()
        self.events.add(f"{how} ({self.fault})" if self.fault else how)
        self._ended(cut=cut)

    # Writing.

    async def _write(self, make: Callable[[], bytes]) -> None:
        """
        Send what *make* returns. It is called when nobody else is sending.

        If this is cancelled before that, nothing is made and nothing is sent. If it is cancelled
        later, the connection is cut, because nothing can be sent after half of something.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        async with self._sending:
            data = make()
            try:
                if self.has_vanished:
                    await trio.lowlevel.checkpoint()
                elif self._ways is not None:
                    await self._ways[1].send(data, self._delay)
                else:
                    await self._end.send_all(data)
            except trio.Cancelled:
                self.reset()
                raise

    def send_eof(self) -> None:
        """Close the client's side of the connection, unless the client has vanished."""
        if not self.has_vanished:
            self._end.send_eof()

    # Faults.

    def vanish(self) -> None:
        """Send nothing more, and read nothing more."""
        self.events.add("vanished")
        self.has_vanished = True
        self.stop_reading(noted=False)

    def stop_reading(self, *, noted: bool = True) -> None:
        """Stop reading."""
        if noted:
            self.events.add("stopped reading")
        if self._stopped is None:
            self._stopped = trio.Event()
            self._receiving.cancel()

    def resume_reading(self) -> None:
        """Read again."""
        if self._stopped is not None and not self.has_vanished:
            self.events.add("reads again")
            self._stopped.set()
            self._stopped = None

    def reset(self) -> None:
        """Cut the connection."""
        self.events.add("reset the connection")
        self._end.reset()
        self._note_over("the connection was reset")
        self._life.cancel()

    def delay(self, seconds: float) -> None:
        """From now on, let everything that is sent in either direction take this long."""
        self.events.add(f"everything takes {seconds:g} s from now on")
        self._delay = seconds
        if self._ways is None:
            self._ways = _LongWay(self._arrive), _LongWay(self._depart)
            for way in self._ways:
                self._tasks.start_soon(way.run, name="<long way>")

    def abandon(self) -> None:
        """End the connection without a word."""
        if not self.over.is_set():
            self._end.reset()
        self._life.cancel()
