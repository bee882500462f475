"""
One task that reads for many connections.

Trio's own way is a task for each connection that waits until its socket is readable. That
costs a system call to say so, before each wait, and two task switches for each message: one
to the reader, one to who receives. Here the system is told once what to watch, one task is
woken for all sockets that are readable, and each is read in a call: the message then goes
straight to the task that waits for it. Idle connections need no task for it at all.

It is for Linux, whose epoll objects can themselves be waited for (epoll(7)). Elsewhere
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
_AT_ONCE = 512


class Readable(Protocol):
    """What a reactor reads for."""

    __slots__ = ()

    def on_readable(self) -> None:
        """There is something to read, or the end, or an error."""

    def on_hangup(self) -> None:
        """The peer has closed its side, or reset the connection, while reading was paused."""

    def on_turn(self) -> None:
        """The others have had a turn since :meth:`Reactor.yield_turn`."""

    def on_error(self) -> None:
        """One of the above has raised: a mistake of ours. The connection is to be given up."""


class Reactor(Protocol):
    """Calls those who want to read, in one task. All methods but :meth:`run` return at once."""

    async def run(self, *, task_status: trio.TaskStatus[None] = ...) -> None:
        """
        Read until cancelled; nothing is read before.

        It has to outlive all for whom it reads.
        """

    def add(self, fd: int, reader: Readable) -> None:
        """Read from *fd*, which is left alone by everybody else's reading."""

    def pause(self, fd: int) -> None:
        """Read nothing, but notice a peer that leaves."""

    def resume(self, fd: int) -> None:
        """Read again."""

    def discard(self, fd: int) -> None:
        """Forget *fd*, before it is closed; no effect if it is not known."""

    def yield_turn(self, reader: Readable) -> None:
        """Call its ``on_turn``, once, when other tasks have had a turn."""


class EpollReactor:
    """A :class:`Reactor` of one task."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Readable] = {}
        self._paused: set[int] = set()
        # Who goes on in the next turn.
        self._yielded: list[Readable] = []
        # Written to when there are some, as nothing else wakes a task that waits for sockets.
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        fd = self._epoll.fileno()
        task_status.started()
        try:
            while True:
                await trio.lowlevel.wait_readable(fd)
                if self._yielded:
                    # Who was woken in the last step is in the same batch as this one; who is
                    # first in it is random.
                    await trio.lowlevel.checkpoint()
                    self._take_turns()
                for ready, flags in self._epoll.poll(0, _AT_ONCE):
                    reader = self._readers.get(ready)
                    if reader is not None:  # None: discarded a moment ago, or the bell
                        self._read(ready, flags, reader)
        finally:
            trio.lowlevel.notify_closing(fd)
            self._epoll.close()
            os.close(self._bell)

    def _read(self, fd: int, flags: int, reader: Readable) -> None:
        try:
            if fd not in self._paused:
                reader.on_readable()
            elif flags & ~select.EPOLLIN:
                # It would be told again and again.
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
    """A :class:`Reactor` of one task for each socket. It notices no peer while it is paused."""

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
            # After discard() it may be another connection's, also before this has begun.
            while self._scopes.get(fd) is scope:
                if (paused := self._paused.get(fd)) is not None:
                    await paused.wait()
                    continue
                await trio.lowlevel.wait_readable(fd)
                if fd in self._paused or self._scopes.get(fd) is not scope:
                    continue  # by who was woken together with it
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
            await trio.lowlevel.checkpoint()  # as above
            _take_turn(reader)

        assert self._nursery is not None
        self._nursery.start_soon(turn, name="<triows turn>")


def _take_turn(reader: Readable) -> None:
    try:
        reader.on_turn()
    except Exception as exc:  # noqa: BLE001 - logged
        _give_up(reader, exc)


def _give_up(reader: Readable, exc: Exception) -> None:
    """Keep a mistake of ours from what it does not concern."""
    logger.error("unhandled error in reading from a connection", exc_info=exc_info(exc))
    reader.on_error()


def new_reactor() -> Reactor:
    """The fastest there is here."""
    return EpollReactor() if sys.platform == "linux" else TaskReactor()
