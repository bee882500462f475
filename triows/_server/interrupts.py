"""
Lets signals end the process while no server runs: during imports, or after the server has ended.

Usually the system does that. It makes an exception for the first process of a container (PID 1): if
such a process has no handler for a signal, the signal is dropped. So that process gets a handler.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["SIGNALLED", "SIGNALS", "ending_by_signals", "ending_whatever_runs"]

#: A shell reports a process that signal n ended as 128 + n.
SIGNALLED = 128

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _is_first() -> bool:
    return os.getpid() == 1


def _end(number: int, _frame: FrameType | None = None) -> None:
    os._exit(SIGNALLED + number)


@contextmanager
def ending_by_signals() -> Iterator[None]:
    """
    Let SIGINT and SIGTERM end the process at once, without a traceback.

    A server that runs in the block has handlers of its own meanwhile. A signal that is ignored, as
    SIGINT is for commands in the background of a shell, stays ignored.
    """
    ending = _end if _is_first() else signal.SIG_DFL
    before = {
        number: signal.signal(number, ending)
        for number in SIGNALS
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            # A thread may keep the first process alive even now, so a signal must still end it.
            if handler is not signal.SIG_DFL or not _is_first():
                signal.signal(number, handler)


@contextmanager
def ending_whatever_runs() -> Iterator[None]:
    """
    Let the signals also end a first process that runs C code, inside :func:`ending_by_signals`.

    Python runs handlers between two bytecodes only. But the interpreter writes the signal's number
    to a socket at once, and a thread reads it. Trio needs that socket, so leave the block before
    you start it.
    """
    if not _is_first():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        with reader:
            while numbers := reader.recv(100):
                for number in numbers:
                    if number in SIGNALS and signal.getsignal(number) is _end:
                        os._exit(SIGNALLED + number)

    threading.Thread(target=watch, name="triows start", daemon=True).start()
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
