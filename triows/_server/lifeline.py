"""The connection between a worker and the process that started it, on the worker's side."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import astuple, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .budget import Budget

__all__ = ["TURN", "Inherited", "Lifeline", "inherited"]

#: Asks a worker whether its event loop turns. No signal has this number.
TURN = 0


class Lifeline:
    """
    One end of a pair of sockets. When the process at one end is gone, the other end reads EOF.

    Args:
        sock: The worker's end.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def ready(self, budget: Budget) -> None:
        """Report that connections are accepted, and how long an end may take."""
        with suppress(OSError):  # the parent is gone, and something else notices that
            self._socket.sendall(b"%s\n" % " ".join(map(repr, astuple(budget))).encode())

    def orders(self) -> bytes:
        """
        Return what the parent wants: :data:`TURN`, or signals after which the worker ends at once.

        It is nothing if the parent is gone. Call it when :meth:`fileno` is readable.
        """
        try:
            return self._socket.recv(100)
        except OSError:
            return b""

    def report_turn(self) -> None:
        """Answer :data:`TURN`. Call it in the event loop: that it runs is the answer."""
        with suppress(OSError):
            self._socket.sendall(b"\n")

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()


@frozen
class Inherited:
    """What a worker gets from its parent. All workers share the listening sockets."""

    lifeline: Lifeline
    sockets: Sequence[socket.socket]


def inherited(numbers: str) -> Inherited:
    """
    Become a worker: take over the descriptors with which this process was started.

    From now on SIGHUP has no effect. It is meant for the parent, but some tools send it to every
    process with the same name.

    Args:
        numbers: The descriptors as the parent wrote them, separated by commas: the lifeline's,
            then those of the listening sockets.
    """
    line, *listening = (socket.socket(fileno=int(number)) for number in numbers.split(","))
    for sock in (line, *listening):
        # The application's own child processes must not inherit them: they would keep the
        # address in use and the lifeline open.
        os.set_inheritable(sock.fileno(), False)
    # Not SIG_IGN, which the application's child processes would inherit.
    signal.signal(signal.SIGHUP, lambda number, frame: None)
    return Inherited(Lifeline(line), listening)
