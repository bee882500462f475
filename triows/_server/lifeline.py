"""The connection between a worker and the process that started it, on the worker's side."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import trio
from attrs import astuple, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .budget import Budget

__all__ = [
    "ALL_DRAINED",
    "DRAINED",
    "LAST",
    "REPLACED",
    "STOPPED",
    "TURN",
    "TURNED",
    "WORN_OUT",
    "Inherited",
    "InheritedSocket",
    "Lifeline",
    "inherited",
    "written",
]

#: What the parent writes before it tells a worker to end: whether all workers end, so that nobody
#: accepts connections any more, or another worker has taken its place. No signal has these numbers.
LAST: Final = 0
REPLACED: Final = 255

#: What the parent writes to ask a worker whether its event loop turns.
TURN: Final = 254

#: What the parent writes when each worker that ends has drained: they listen together until then.
ALL_DRAINED: Final = 253

#: What a worker writes: that its event loop has turned, that it has drained and still listens, that
#: it has stopped accepting, and that it has served as many requests as it may.
TURNED: Final = b"\n"
DRAINED: Final = b"d"
STOPPED: Final = b"s"
WORN_OUT: Final = b"w"

#: How often a worker that was told to end looks for that, and the seconds between two looks. A
#: service manager may send its signal to all processes at the same time, so that a worker gets it
#: before the parent has said anything.
_LOOKS, _PAUSE = 10, 0.01


class Lifeline:
    """
    One end of a pair of sockets. When the process at one end is gone, the other end reads EOF.

    Args:
        sock: The worker's end.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        # A thread reads, and the event loop looks at what comes.
        self._reading = threading.Lock()
        self._others_go_on: bool | None = None
        self._all_drained = trio.Event()

    def ready(self, budget: Budget) -> None:
        """Report that connections are accepted, and how long an end may take."""
        with suppress(OSError):  # the parent is gone, and something else notices that
            self._socket.sendall(b"%s\n" % " ".join(map(repr, astuple(budget))).encode())

    def orders(self) -> bytes:
        """
        Return the signals after which the parent wants this worker to end at once.

        :data:`LAST`, :data:`REPLACED`, :data:`TURN` and :data:`ALL_DRAINED` may be among them.
        There are none if the parent is gone. Call it when :meth:`fileno` is readable.
        """
        return self._read(0)

    async def wait_told(self) -> None:
        """Wait until the parent has said whether other workers go on, for a short time."""
        for _ in range(_LOOKS):
            if self.others_go_on() is not None:
                return
            await trio.sleep(_PAUSE)

    def others_go_on(self) -> bool | None:
        """Say whether other workers go on when this one ends; ``None`` if that isn't known."""
        with suppress(BlockingIOError):
            self._read(socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return self._others_go_on

    def _read(self, flags: int) -> bytes:
        with self._reading:
            try:
                written = self._socket.recv(100, flags)
            except BlockingIOError:
                raise
            except OSError:
                written = b""
            if REPLACED in written:
                self._others_go_on = True
            if LAST in written or not written:  # without a parent, all workers end
                self._others_go_on = False
        return written

    def report(self, word: bytes) -> None:
        """Tell the parent one of the words above, in the event loop: it answers :data:`TURN`."""
        with suppress(OSError):  # as above
            self._socket.sendall(word)

    async def wait_all_drained(self) -> None:
        """Say that this worker has drained, and wait until :meth:`note_all_drained` is called."""
        self.report(DRAINED)
        await self._all_drained.wait()

    def note_all_drained(self) -> None:
        """Note that no worker has anything left to drain, or that the parent is gone."""
        self._all_drained.set()

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()


@frozen
class InheritedSocket:
    """
    A listening socket from the parent, with what the worker can't find out.

    The worker's own configuration may be another one by now, because a file can change.
    """

    socket: socket.socket
    #: Whether its connections don't use TLS, although those of other sockets do.
    is_plain: bool
    #: Whether it belongs to somebody else than the parent, such as systemd.
    is_borrowed: bool
    #: Whether its connections begin with a header of the PROXY protocol.
    is_introduced: bool

    @classmethod
    def read(cls, text: str) -> Self:
        """Take over the socket for which the parent has written *text*."""
        number = text.rstrip("".join(_MARKS))
        return cls(socket.socket(fileno=int(number)), *(mark in text for mark in _MARKS))


#: In the order of the attributes.
_MARKS: Final = ("p", "b", "i")


def written(sock: socket.socket, *, is_plain: bool, is_borrowed: bool, is_introduced: bool) -> str:
    """Write what :meth:`InheritedSocket.read` reads."""
    marked = zip(_MARKS, (is_plain, is_borrowed, is_introduced), strict=True)
    return f"{sock.fileno()}{''.join(mark for mark, is_so in marked if is_so)}"


@frozen
class Inherited:
    """What a worker gets from its parent. All workers share the listening sockets."""

    lifeline: Lifeline
    sockets: Sequence[InheritedSocket]


def inherited(texts: str) -> Inherited:
    """
    Become a worker: take over the descriptors with which this process was started.

    From now on SIGHUP has no effect. It is meant for the parent, but some tools send it to every
    process with the same name.

    Args:
        texts: The descriptors as the parent wrote them, separated by commas: the lifeline's,
            then those of the listening sockets.
    """
    line, *listening = (InheritedSocket.read(text) for text in texts.split(","))
    for one in (line, *listening):
        # The application's own child processes must not inherit them: they would keep the
        # address in use and the lifeline open.
        os.set_inheritable(one.socket.fileno(), False)
    # Not SIG_IGN, which the application's child processes would inherit.
    signal.signal(signal.SIGHUP, lambda number, frame: None)
    return Inherited(Lifeline(line.socket), listening)
