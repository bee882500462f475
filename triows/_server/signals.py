"""
The signals that end a process that serves, and the thread that takes them.

Python runs a signal handler in the main thread, between two bytecodes, so a handler never runs
while a call into C does not return there. But the interpreter writes the signal's number to a
socket at once (:func:`signal.set_wakeup_fd`), whatever the main thread is doing. A thread reads
that socket. It tells the event loop, and it ends the process if the loop does not react or takes
too long. C code that never releases the GIL stops this thread, too. If such code takes signals, as
regular expressions do, faulthandler's thread ends the process, because that thread doesn't need
the GIL. C code that does neither can only be ended by SIGKILL.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import os
import queue
import selectors
import signal
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from .budget import at_most
from .interrupts import SIGHUP, SIGNALLED, SIGNALS, Echoes, Hangup
from .lifeline import ALL_DRAINED, LAST, REPLACED, TURN, TURNED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from triows._inspection.remains import Remains

    from .budget import Budget
    from .lifeline import Lifeline

__all__ = ["SignalWatch"]

logger = logging.getLogger("triows")

#: Seconds that the event loop may take to notice a signal. A loop that is only busy takes
#: milliseconds. One that takes longer is blocked: nothing in it can be cleaned up.
PATIENCE = 1.0

#: Seconds that a log message may take. The blocked thread may hold a lock of the logging.
LOGGING = 0.5

#: Seconds after which the process ends with all stacks, if even the thread here can't end it. The
#: thread may need twice the time for a log message.
BACKSTOP = 2.0

#: Seconds in which a thread that waits for the GIL gets it, if it can.
_TURN = 0.01

#: Systems limit how long one can wait in one call.
HOUR = 3600.0


class SignalWatch:
    """
    Takes the signals that end a process, and makes sure that it then ends in time.

    The first signal gives the process the time of a graceful end. A signal during the start-up,
    and each signal after the first, gives it the time to end at once. If the event loop does not
    notice such a signal within a second, the process ends right then. In all these cases the
    process exits with 128 + n for the last signal n, without any cleanup.

    A worker may get each signal twice: from its parent, and from a supervisor that signals all
    processes of a service, as systemd does. So only the parent can tell it to end at once, and
    does so by the lifeline.

    Args:
        budget: How long the process may take.
        remains: Says what still runs if that takes longer.
        on_signal: Called in the event loop with the signal's number, and whether to end at once.
        on_reload: Called in the event loop when SIGHUP asks the process to read its files again.
        hangup: What SIGHUP means. A worker leaves it to its parent.
        lifeline: For a worker: the end of its parent counts as a SIGTERM.
    """

    def __init__(
        self,
        budget: Budget,
        remains: Remains,
        on_signal: Callable[[int, bool], None],
        on_reload: Callable[[], None],
        hangup: Hangup,
        lifeline: Lifeline | None = None,
    ) -> None:
        self._started = False
        hears_hangup = lifeline is None and hangup is not Hangup.IGNORED
        self._taken = (*SIGNALS, SIGHUP) if hears_hangup else SIGNALS
        self._ending = self._taken if hangup is Hangup.ENDS else SIGNALS
        self._echoes = Echoes()
        self._on_reload = on_reload
        self._budget = budget
        self._remains = remains
        self._on_signal = on_signal
        self._lifeline = lifeline
        self._token = trio.lowlevel.current_trio_token()
        self._clock = trio.lowlevel.current_clock()
        self._signalled = False
        self._code = 0
        # When the process is ended, and how many seconds that is after the signal.
        self._deadline, self._seconds = math.inf, math.inf
        # By when the loop must have noticed the last signal, and whether the process ends if not.
        self._notice_by, self._last_chance = math.inf, False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """
        Watch for signals in a block, inside :func:`trio.run` in the main thread.

        A time limit that began inside the block still applies after it, because a thread of the
        application may keep the process alive.
        """
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        before = {number: signal.getsignal(number) for number in self._taken}
        # Trio has a socket for its own wake-ups. Instead of that, the thread wakes Trio up.
        trios = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

        def restore(fd: int) -> None:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(fd)

        for number in self._taken:
            signal.signal(number, self._note)
        threading.Thread(target=self._watch, name="triows signals", daemon=True).start()
        _restore_in_forks.append(restore)
        try:
            yield
        finally:
            _restore_in_forks.remove(restore)
            restore(trios)
            self._writer.close()

    @property
    def started(self) -> bool:
        """Whether the start-up is over."""
        return self._started

    def note_started(self, budget: Budget) -> None:
        """Note that from now on the first signal drains the application, within this *budget*."""
        self._budget, self._started = budget, True

    @property
    def seconds_left(self) -> float:
        """How long the process may still take."""
        return self._deadline - self._clock.current_time()

    def end_within(self, seconds: float) -> None:
        """Shorten the time that the process has from now on."""
        self._limit(seconds)
        self._tell_thread(0)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        """
        Handle a signal in Python. This is needed only because Python requires a handler.

        Other code may have replaced the socket, as asyncio does in a synchronous call. If so, this
        puts ours back.
        """
        fd = self._writer.fileno()
        if signal.set_wakeup_fd(fd, warn_on_full_buffer=False) != fd:
            self._tell_thread(number)
        # Some C code, such as a regular expression's search, runs this handler but never lets
        # another thread run. So let the thread run now: it arranges what ends such code.
        threading.Event().wait(_TURN)

    def _tell_thread(self, number: int) -> None:
        with suppress(BlockingIOError):  # it is full, so the thread wakes up anyway
            self._writer.send(bytes([number]))

    # In the thread.

    def _watch(self) -> None:
        with self._reader, selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            if self._lifeline is not None:
                selector.register(self._lifeline, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(self._timeout()):
                    if key.fileobj is self._lifeline:
                        if not self._obey(self._lifeline):
                            selector.unregister(self._lifeline)
                    elif numbers := self._reader.recv(1000):
                        self._take_all(numbers)
                    else:
                        self._outlast()
                        return
                self._check_time()

    def _timeout(self) -> float | None:
        due = min(self._deadline, self._notice_by)
        if due == math.inf:
            return None
        return min(max(due - self._clock.current_time(), 0), HOUR)

    def _outlast(self) -> None:
        """Keep to the deadline after the loop has ended: something may keep the process alive."""
        self._notice_by = math.inf
        self._set_backstop()
        while self._deadline < math.inf:
            self._check_time()
            threading.Event().wait(self._timeout())

    def _obey(self, lifeline: Lifeline) -> bool:
        """Do what the parent wants. Return whether it can want anything else."""
        numbers = lifeline.orders()
        for number in numbers:
            if number == TURN:
                self._call_soon(lambda: lifeline.report(TURNED))
            elif number not in (ALL_DRAINED, LAST, REPLACED):
                self._take(number, at_once=True)
        if ALL_DRAINED in numbers or not numbers:
            self._call_soon(lifeline.note_all_drained)
        if not numbers:
            _log(logging.WARNING, "the process that started this worker is gone")
            self._take_from_anybody(signal.SIGTERM)
        return numbers != b""

    def _take_all(self, numbers: bytes) -> None:
        for number in numbers:
            if number in self._ending:
                if not self._echoes.is_echo(number, self._clock.current_time()):
                    self._take_from_anybody(number)
            elif number in self._taken:
                self._call_soon(self._on_reload)
        # Other signals have handlers too. They run when the main thread wakes up.
        self._call_soon(lambda: None)

    def _take_from_anybody(self, number: int) -> None:
        """Take a signal, whoever has sent it."""
        if self._lifeline is None:
            self._take(number, at_once=self._signalled or not self._started)
        elif not (self._signalled and self._started):  # a worker may get it twice
            self._take(number, at_once=not self._started)

    def _take(self, number: int, *, at_once: bool) -> None:
        self._signalled = True
        self._code = SIGNALLED + number
        self._limit(self._budget.at_once if at_once else self._budget.after(number))
        if not self._last_chance:  # more signals don't postpone it
            self._notice_by, self._last_chance = self._clock.current_time() + PATIENCE, at_once
        self._set_backstop()
        self._call_soon(lambda: self._noticed(number, at_once))

    def _limit(self, seconds: float) -> None:
        deadline = self._clock.current_time() + seconds
        if deadline < self._deadline:
            self._deadline, self._seconds = deadline, seconds

    def _set_backstop(self) -> None:
        """Let a thread without the GIL end the process, with code 1, if this thread can't."""
        due = min(self._deadline, self._notice_by if self._last_chance else math.inf)
        if due < math.inf:
            seconds = due - self._clock.current_time() + BACKSTOP
            faulthandler.dump_traceback_later(max(seconds, BACKSTOP), file=2, exit=True)

    def _call_soon(self, function: Callable[[], None]) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)

    def _check_time(self) -> None:
        now = self._clock.current_time()
        if now >= self._deadline:
            message = "ended after %g s: something in the application has not ended%s"
            self._exit(message, self._seconds, self._what_remains())
        elif now >= self._notice_by:
            self._notice_by = math.inf
            blocked = "the event loop is blocked"
            if self._last_chance:
                message = "ended at once: %s, so nothing can be cleaned up%s"
                self._exit(message, blocked, _text_of(self._remains.blocking))
            message = (
                "shutting down, %s: %s, so nothing can be closed yet "
                "(a second signal ends the process within a second)"
            )
            _log(logging.WARNING, message, at_most(self._seconds), blocked)

    def _what_remains(self) -> str:
        """Describe what still runs, within a time limit."""
        answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        try:
            self._token.run_sync_soon(lambda: answers.put(_tried(self._remains.alive)))
            return answers.get(timeout=LOGGING)
        except trio.RunFinishedError:
            return _text_of(self._remains.threads)
        except queue.Empty:
            return _text_of(self._remains.blocking)

    def _exit(self, message: str, *args: object) -> None:
        try:
            if not _log(logging.CRITICAL, message, *args, last=True):
                _bounded(lambda: os.write(2, f"triows: {message % args}\n".encode()))
        finally:
            os._exit(self._code)

    # In the event loop.

    def _noticed(self, number: int, at_once: bool) -> None:
        self._notice_by, self._last_chance = math.inf, False
        self._set_backstop()
        self._on_signal(number, at_once)


def _text_of(function: Callable[[], str]) -> str:
    """Get a text from something that may block."""
    texts: list[str] = []
    _bounded(lambda: texts.append(_tried(function)))
    return texts[0] if texts else ""


def _tried(function: Callable[[], str]) -> str:
    """Get a text to write behind a line. Whatever goes wrong, that line has to be written."""
    try:
        text = function()
    except Exception as exc:  # noqa: BLE001 - the loop goes on meanwhile, for example
        return f" ({type(exc).__name__} while looking for what runs)"
    return f":\n{text}" if text else ""


def _log(level: int, message: str, *args: object, last: bool = False) -> bool:
    """Log within a time limit, and say whether that worked. The *last* message flushes the rest."""

    def log() -> None:
        logger.log(level, message, *args)
        if last:
            logging.shutdown()

    return _bounded(log)


def _bounded(function: Callable[[], object]) -> bool:
    """Run something that may block, in a thread, and wait for it for a limited time."""

    def run() -> None:
        with suppress(Exception):
            function()
        done.set()

    done = threading.Event()
    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError:
        if threading.main_thread().is_alive():  # the system has no room for a thread
            return False
        # Python 3.12 starts no thread after the main one has ended. Then this one has nothing else
        # to do, and if it blocks, the backstop ends the process.
        run()
    return done.wait(LOGGING)


# If the application forks a process, for example with multiprocessing, the child has the socket,
# too, but not the thread. A signal to the child would then end its parent. So the child restores
# the old handlers, and signals are blocked until it has done so. Python can't unregister functions
# for forks, so these are registered only once.
_restore_in_forks: list[Callable[[int], None]] = []
_forking = threading.local()


def _before_fork() -> None:
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*SIGNALS, SIGHUP))


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _after_fork_in_child() -> None:
    for restore in _restore_in_forks:
        restore(-1)
    _after_fork()


if sys.platform != "win32":
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork_in_child,
    )
