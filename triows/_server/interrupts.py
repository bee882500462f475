"""
The signals that end a process, and their effect while no server runs.

That is during imports, or after the server has ended. A signal then ends the process at once.

Usually the system does that. It makes an exception for the first process of a container (PID 1): if
such a process has no handler for a signal, the signal is dropped. So that process gets a handler.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
from contextlib import contextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = [
    "SIGHUP",
    "SIGNALLED",
    "SIGNALS",
    "Echoes",
    "Hangup",
    "ending_by_signals",
    "ending_whatever_runs",
]

#: A shell reports a process that signal n ended as 128 + n.
SIGNALLED = 128

#: The signals that always end a process that serves. SIGQUIT does what SIGTERM does, because it
#: also ends nginx in order. Windows lacks it.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGQUIT") if hasattr(signal, name)
)

#: The signal with several meanings. Where the system lacks it, as Windows does, it never comes.
SIGHUP: int = getattr(signal, "SIGHUP", 0)


class Hangup(Enum):
    """What SIGHUP means to a process."""

    #: The process was started with ``nohup``, for example.
    IGNORED = auto()
    #: The terminal of the process was closed.
    ENDS = auto()
    #: The process has no terminal. As for most services, the signal means: read your files again.
    RELOADS = auto()

    @classmethod
    def of_this_process(cls) -> Hangup:
        """
        Find out what it means. Call this at the start of the process.

        When the signal comes, the system has already taken the terminal away.
        """
        if not SIGHUP or signal.getsignal(SIGHUP) is signal.SIG_IGN:
            return cls.IGNORED
        return cls.ENDS if _has_terminal() else cls.RELOADS


def _has_terminal() -> bool:
    """Say whether the process has a controlling terminal, wherever its output goes."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


#: Seconds in which several SIGINTs, or several SIGHUPs, count as one. After Ctrl-C, the terminal
#: signals all of its processes, and a wrapper such as ``uv run``, ``make`` or ``npm`` passes its
#: own signal on. A person takes longer to press the keys again. When a terminal is closed, its
#: shell signals the processes that it has started, and so does the system.
ECHO = 0.1

_ECHOED = (signal.SIGINT, SIGHUP)


class Echoes:
    """Tells a second signal of a terminal from an echo of the first."""

    def __init__(self) -> None:
        self._counted_at = dict.fromkeys(_ECHOED, -math.inf)

    def is_echo(self, number: int, now: float) -> bool:
        """
        Say whether a signal is an echo.

        Args:
            number: The signal. Only SIGINT has echoes, and SIGHUP if it ends the process: whoever
                sends SIGTERM twice means it.
            now: When it came, in seconds.
        """
        if number not in _ECHOED:
            return False
        is_echo = now - self._counted_at[number] < ECHO
        if not is_echo:
            self._counted_at[number] = now
        return is_echo


def _is_first() -> bool:
    return os.getpid() == 1


def _end(number: int, _frame: FrameType | None = None) -> None:
    os._exit(SIGNALLED + number)


def _read_nothing(_number: int, _frame: FrameType | None = None) -> None:
    """Stay: a process that hasn't read its files yet has nothing to read again."""


#: What may end a process that serves nothing.
_ENDING = (*SIGNALS, SIGHUP) if SIGHUP else SIGNALS


@contextmanager
def ending_by_signals() -> Iterator[None]:
    """
    Let :data:`SIGNALS` end the process at once, without a traceback.

    SIGHUP does so only if it means that the terminal was closed. A server that runs in the block
    has handlers of its own meanwhile. A signal that is ignored, as SIGINT is for commands in the
    background of a shell, stays ignored.
    """
    ending = _end if _is_first() else signal.SIG_DFL
    reloads = Hangup.of_this_process() is Hangup.RELOADS
    before = {
        number: signal.signal(number, _read_nothing if number == SIGHUP and reloads else ending)
        for number in _ENDING
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
                    if number in _ENDING and signal.getsignal(number) is _end:
                        os._exit(SIGNALLED + number)

    threading.Thread(target=watch, name="triows start", daemon=True).start()
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
