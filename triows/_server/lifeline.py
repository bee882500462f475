"""A worker's side of what ties it to the process that started it."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import trio
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .budget import Budget

__all__ = ["Inherited", "Lifeline", "inherited"]


class Lifeline:
    """
    One end of a pair of sockets: when the process at one is gone, the other reads an end.

    Args:
        sock: The worker's end.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def ready(self, budget: Budget) -> None:
        """Say that the start-up has run and connections are accepted, and how an end is timed."""
        with suppress(OSError):  # the parent is gone, as wait_gone() says soon
            self._socket.sendall(b"%r %r\n" % (budget.graceful, budget.at_once))

    async def wait_gone(self) -> None:
        """Wait until the parent's process is gone, however it ended."""
        self._socket.setblocking(False)
        # It never says anything: what can be read is the end.
        await trio.lowlevel.wait_readable(self._socket)


@frozen
class Inherited:
    """What a worker is given. Its listening sockets are shared with the other workers."""

    lifeline: Lifeline
    sockets: Sequence[socket.socket]


def inherited(numbers: str) -> Inherited:
    """
    Become a worker: take over the descriptors that this process was started with.

    SIGHUP does nothing from here on. It is meant for the parent, but some send it to every
    process of the name.

    Args:
        numbers: As the parent wrote them: the lifeline's, then those of the listening
            sockets, with commas between.
    """
    line, *listening = (socket.socket(fileno=int(number)) for number in numbers.split(","))
    for sock in (line, *listening):
        # They were inherited once; the application's own child processes would keep the
        # address in use, and the lifeline open.
        os.set_inheritable(sock.fileno(), False)
    # Not SIG_IGN, which the application's child processes would inherit.
    signal.signal(signal.SIGHUP, lambda number, frame: None)
    return Inherited(Lifeline(line), listening)
