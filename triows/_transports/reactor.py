"""
One task that reads for many connections.

With Trio's own streams, each connection has a task that waits until its socket is readable. That
costs a system call before each wait, and two task switches for each message: one to the task that
reads, and one to the task that receives. Here we tell the system once what to watch. One task
wakes up for all sockets that are readable, and reads each in a call. A message then goes directly
to the task that waits for it. An idle connection needs no task for reading.

This needs Linux, where a program can wait for an epoll object itself (epoll(7)). On other systems,
:class:`TaskReactor` does the same with a task for each connection.
"""

from __future__ import annotations

import logging
import os
import select
import sys
from contextlib import suppress
from typing import Protocol

import trio

from triows._errors import exc_info

__all__ = ["EpollReactor", "Reactor", "Readable", "TaskReactor", "new_reactor"]

logger = logging.getLogger("triows")

#: Sockets to read before other tasks get a turn: about 5 us each, so a few milliseconds.
_SOCKETS = 512


class Readable(Protocol):
    """A connection for which a reactor reads."""

    __slots__ = ()

    def on_readable(self) -> None:
        """Called when there is something to read, or the end, or an error."""

    def on_hangup(self) -> None:
        """Called when the peer closed its side or reset the connection while reading was paused."""

    def on_turn(self) -> None:
        """Called when other tasks have had a turn since :meth:`Reactor.yield_turn`."""

    def on_error(self) -> None:
        """Called when another method has raised, which is a bug in triows. Give up the peer."""


class Reactor(Protocol):
    """Tells connections, in one task, when they can read. Only :meth:`run` waits."""

    async def run(self, *, task_status: trio.TaskStatus[None] = ...) -> None:
        """
        Read until cancelled. Nothing is read before this runs.

        It has to run longer than the connections for which it reads.
        """

    def add(self, fd: int, reader: Readable) -> None:
        """Begin to read from *fd*. Nobody else may read from it."""

    def pause(self, fd: int) -> None:
        """Read nothing for now, but still notice a peer that leaves."""

    def resume(self, fd: int) -> None:
        """Read again after :meth:`pause`."""

    def discard(self, fd: int) -> None:
        """Forget *fd*. Call this before closing it. An unknown *fd* has no effect."""

    def yield_turn(self, reader: Readable) -> None:
        """Call its ``on_turn``, once, when other tasks have had a turn."""


class EpollReactor:
    """A :class:`Reactor` that needs one task for all sockets."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Readable] = {}
        self._paused: set[int] = set()
        # The connections that go on in the next turn.
        self._yielded: list[Readable] = []
        # Written to when there are some. Nothing else wakes a task that waits for sockets.
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        fd = self._epoll.fileno()
        task_status.started()
        try:
            while True:
                await trio.lowlevel.wait_readable(fd)
                if self._yielded:
                    # Tasks that were woken in the last step are in the same batch as this one, in
                    # random order. After this checkpoint, all of them have run.
                    await trio.lowlevel.checkpoint()
                    self._take_turns()
                self._read(self._epoll.poll(0, _SOCKETS))
        finally:
            trio.lowlevel.notify_closing(fd)
            self._epoll.close()
            os.close(self._bell)

    def _read(self, events: list[tuple[int, int]]) -> None:
        readers, paused = self._readers, self._paused
        for fd, flags in events:
            reader = readers.get(fd)
            if reader is None:  # discarded a moment ago, or the bell
                continue
            try:
                if fd not in paused:
                    reader.on_readable()
                elif flags & ~select.EPOLLIN:
                    # Otherwise epoll would report it again and again.
                    self._epoll.unregister(fd)
                    reader.on_hangup()
            except Exception as exc:  # noqa: BLE001 - logged
                _give_up(reader, exc)

    def _take_turns(self) -> None:
        os.eventfd_read(self._bell)
        readers, self._yielded = self._yielded, []
        for reader in readers:
            _take_turn(reader)

    def add(self, fd: int, reader: Readable) -> None:
        self._readers[fd] = reader
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLRDHUP)

    def pause(self, fd: int) -> None:
        if fd in self._readers and fd not in self._paused:
            self._paused.add(fd)
            self._watch(fd, select.EPOLLRDHUP)

    def resume(self, fd: int) -> None:
        if fd in self._paused:
            self._paused.discard(fd)
            self._watch(fd, select.EPOLLIN | select.EPOLLRDHUP)

    def _watch(self, fd: int, flags: int) -> None:
        try:
            self._epoll.modify(fd, flags)
        except FileNotFoundError:  # it has hung up
            self._epoll.register(fd, flags)

    def discard(self, fd: int) -> None:
        if self._readers.pop(fd, None) is not None:
            self._paused.discard(fd)
            with suppress(FileNotFoundError):  # it has hung up
                self._epoll.unregister(fd)

    def yield_turn(self, reader: Readable) -> None:
        if not self._yielded:
            os.eventfd_write(self._bell, 1)
        self._yielded.append(reader)


class TaskReactor:
    """
    A :class:`Reactor` that needs a task for each socket.

    While a socket is paused, it doesn't notice if the peer leaves.
    """

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._scopes: dict[int, trio.CancelScope] = {}
        self._paused: dict[int, trio.Event] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def _read(self, fd: int, reader: Readable, scope: trio.CancelScope) -> None:
        with scope:
            # After discard(), the number may belong to another connection, even before this task
            # has started.
            while self._scopes.get(fd) is scope:
                if (paused := self._paused.get(fd)) is not None:
                    await paused.wait()
                    continue
                await trio.lowlevel.wait_readable(fd)
                if fd in self._paused or self._scopes.get(fd) is not scope:
                    continue  # a task that was woken together with this one has done that
                try:
                    reader.on_readable()
                except Exception as exc:  # noqa: BLE001 - logged
                    _give_up(reader, exc)

    def add(self, fd: int, reader: Readable) -> None:
        assert self._nursery is not None
        scope = self._scopes[fd] = trio.CancelScope()
        self._nursery.start_soon(self._read, fd, reader, scope, name="<triows reader>")

    def pause(self, fd: int) -> None:
        if fd in self._scopes:
            self._paused.setdefault(fd, trio.Event())

    def resume(self, fd: int) -> None:
        if (paused := self._paused.pop(fd, None)) is not None:
            paused.set()

    def discard(self, fd: int) -> None:
        if (scope := self._scopes.pop(fd, None)) is not None:
            scope.cancel()
            self._paused.pop(fd, None)

    def yield_turn(self, reader: Readable) -> None:
        async def turn() -> None:
            await trio.lowlevel.checkpoint()  # as in EpollReactor.run()
            _take_turn(reader)

        assert self._nursery is not None
        self._nursery.start_soon(turn, name="<triows turn>")


def _take_turn(reader: Readable) -> None:
    try:
        reader.on_turn()
    except Exception as exc:  # noqa: BLE001 - logged
        _give_up(reader, exc)


def _give_up(reader: Readable, exc: Exception) -> None:
    """Give up one connection, so that a mistake of ours doesn't end the others."""
    logger.error("unhandled error in reading from a connection", exc_info=exc_info(exc))
    reader.on_error()


def new_reactor() -> Reactor:
    """Make the fastest reactor that this system supports."""
    return EpollReactor() if sys.platform == "linux" else TaskReactor()
