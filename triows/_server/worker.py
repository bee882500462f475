"""A worker process, seen from its parent."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import trio

from .budget import AIR, Budget
from .lifeline import ALL_DRAINED, DRAINED, LAST, REPLACED, STOPPED, TURN, TURNED, WORN_OUT, written
from .listening import Heir
from .newcomers import LINGER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from .listening import Listener

    #: Returns the command of a worker. Its argument is the one that :func:`.inherited` takes.
    Command: TypeAlias = Callable[[str], Sequence[str]]

__all__ = ["Worker", "close_after", "exit_in_words"]

logger = logging.getLogger("triows")


class Worker:
    """
    A process that serves.

    It has its own process group, so Ctrl-C in a terminal reaches only the parent, which then tells
    the worker to end. If the parent is gone, the worker ends by itself. See :class:`.Lifeline`.

    Args:
        process: The process.
        line: The parent's end of the worker's lifeline.
    """

    def __init__(self, process: trio.Process, line: trio.socket.SocketType) -> None:
        self.pid = process.pid
        self.ready_at: float | None = None
        self.dismissed = False
        self.killed = False
        self.budget = Budget.unknown()
        self._process = process
        self._line = line
        # How often it has said each word. Several tasks wait for one, and one of them listens.
        self._said: Counter[int] = Counter()
        self._listening = trio.Lock()

    @classmethod
    async def start(cls, command: Command, listeners: Sequence[Listener]) -> Self:
        """
        Start a worker.

        If this is cancelled, no process is left behind: either none is started, or it is returned.

        Args:
            command: The command that runs it.
            listeners: Those from which it accepts.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            numbers = [sock.fileno() for sock in (theirs, *(one.socket for one in listeners))]
            try:
                process = await trio.lowlevel.open_process(
                    command(",".join([str(theirs.fileno()), *_written(listeners)])),
                    stdin=subprocess.DEVNULL,
                    pass_fds=numbers,
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, trio.socket.from_stdlib_socket(ours))

    async def wait_ready(self) -> bool:
        """Wait until it accepts connections or has ended. Return whether it accepts them."""
        async with trio.open_nursery() as nursery:
            # A child process of the worker may hold its end of the line open.
            nursery.start_soon(self._cancel_at_exit, nursery.cancel_scope)
            # If it ends before it has read what end() has written, the line is reset.
            with suppress(ConnectionError):
                async with self._listening:
                    report = await self._line.recv(100)
                # The first message is so short that it comes in one piece.
                if report:
                    budget, _, words = report.partition(b"\n")
                    self._said.update(words)
                    self.budget = Budget(*map(float, budget.split()))
                    self.ready_at = trio.current_time()
                    nursery.cancel_scope.cancel()
        return self.ready_at is not None

    async def _cancel_at_exit(self, scope: trio.CancelScope) -> None:
        await self.wait()
        scope.cancel()

    async def wait(self) -> int:
        """Wait until it ends. Return its exit code, or -n if signal n ended it."""
        return await self._process.wait()

    @property
    def is_running(self) -> bool:
        """Whether nobody has seen its end yet."""
        return self._process.returncode is None

    async def wait_turn(self) -> None:
        """
        Wait until its event loop turns, or until it is clear that it ends.

        If this is cancelled, a late answer counts for the next call.
        """
        with suppress(OSError, trio.ClosedResourceError):
            before = self._said[ord(TURNED)]
            await self._line.send(bytes([TURN]))
            await self._wait_said(TURNED, before + 1)

    async def wait_stopped(self) -> None:
        """Wait until it has stopped accepting for good, or until it has ended."""
        await self._wait_once(STOPPED)

    async def wait_drained(self) -> None:
        """Wait until it has drained while it still listens, or until it has ended."""
        await self._wait_once(DRAINED)

    async def wait_worn_out(self) -> None:
        """Wait until it has served as many requests as it may, or until it has ended."""
        await self._wait_once(WORN_OUT)

    async def tell_all_drained(self) -> None:
        """Tell it that it needn't listen any longer because of other workers."""
        with suppress(OSError, trio.ClosedResourceError):  # it has ended by now
            await self._line.send(bytes([ALL_DRAINED]))

    async def _wait_once(self, word: bytes) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_at_exit, nursery.cancel_scope)
            with suppress(OSError, trio.ClosedResourceError):
                if await self._wait_said(word):
                    nursery.cancel_scope.cancel()

    async def _wait_said(self, word: bytes, times: int = 1) -> bool:
        """Wait until it has said *word* so often. Return ``False`` if it can't any more."""
        while self._said[ord(word)] < times:
            async with self._listening:
                if self._said[ord(word)] < times:
                    words = await self._line.recv(100)
                    if not words:
                        return False
                    self._said.update(words)
        return True

    def pass_on(self, signum: int) -> None:
        """Send it a signal to which it only listens while it serves."""
        if self.ready_at is not None:
            self._process.send_signal(signum)

    async def end(self, hurry: trio.Event, number: int = signal.SIGTERM, *, others: bool) -> int:
        """
        Tell it to end, wait until it has, and return what :meth:`wait` returns.

        It is killed if it has not ended within the time that it stated.

        Args:
            hurry: When this is set, the worker is told to end at once.
            number: The first signal. SIGINT gives handlers less time than SIGTERM.
            others: Whether other workers accept from the same sockets after its end. If not, it
                closes them in order.
        """
        self.dismissed = True
        with suppress(OSError):  # it has ended by now
            await self._line.send(bytes([REPLACED if others else LAST]))
        if self.ready_at is None:
            number = signal.SIGTERM  # Python would show a traceback for SIGINT
        self._process.send_signal(number)
        seconds = self.budget.after(number)
        with trio.move_on_after(seconds + AIR):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_at_exit, nursery.cancel_scope)
                await hurry.wait()
                nursery.cancel_scope.cancel()
        if hurry.is_set() and self._process.returncode is None:
            await self._hurry(number)
            seconds = self.budget.at_once
            with trio.move_on_after(seconds + AIR):
                await self.wait()
        if self._process.returncode is None:
            logger.critical("worker %d is killed: it has not ended in %g s", self.pid, seconds)
            self.killed = True
            self._process.kill()
        code = await self.wait()
        self.close()
        return code

    async def _hurry(self, number: int) -> None:
        """
        Tell it to end at once, because of this signal.

        It takes that from the line only, since others may send it signals, too. The signal makes
        Python look at the line during C code that takes signals, such as a regular expression.
        """
        with suppress(OSError):  # it has just ended
            await self._line.send(bytes([number]))
        self._process.send_signal(number)

    def close(self) -> None:
        """Close the line. A worker that still runs then ends."""
        self._line.close()


async def close_after(workers: Sequence[Worker], listeners: Sequence[Listener]) -> None:
    """
    Close the parent's listeners at the end of all workers, when these have stopped accepting.

    With ``Drain(listen=True)``, workers go on listening until all have drained, and are told then.

    The first worker that has stopped has emptied the queues, and nobody has come since. The others
    have a moment to do so, too. Then TCP clients are refused, even if a worker that is blocked
    still has the sockets.

    Args:
        workers: Those that were told that nobody goes on.
        listeners: Those from which they accept.
    """
    with trio.CancelScope() as scope:

        async def wait(worker: Worker) -> None:
            await worker.wait_stopped()
            scope.deadline = min(scope.deadline, trio.current_time() + LINGER)

        async with trio.open_nursery() as beside:
            beside.start_soon(_tell_when_drained, workers)
            async with trio.open_nursery() as nursery:
                for worker in workers:
                    nursery.start_soon(wait, worker)
            beside.cancel_scope.cancel()
    for one in listeners:
        one.end()


async def _tell_when_drained(workers: Sequence[Worker]) -> None:
    async with trio.open_nursery() as nursery:
        for worker in workers:
            nursery.start_soon(worker.wait_drained)
    for worker in workers:
        await worker.tell_all_drained()


def _written(listeners: Sequence[Listener]) -> list[str]:
    is_secure = any(one.secure for one in listeners)
    return [
        written(
            one.socket,
            is_plain=is_secure and not one.secure,
            is_borrowed=one.heir() is Heir.NEXT,
            is_introduced=one.introduced,
        )
        for one in listeners
    ]


def exit_in_words(code: int) -> str:
    """Say what an exit code means: ``exit code 3``, or ``SIGSEGV``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
