"""
Serving an application during development: a new process starts when a file changes.

watchfiles reports the changes. Its ``run_process`` could do the rest, but it binds the address
again each time, tells the process twice to end after Ctrl-C, and shows a traceback after a second
Ctrl-C.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from typing import TYPE_CHECKING

import trio
import watchfiles

from .budget import AIR, INTERRUPT_GRACE
from .interrupts import SIGHUP, SIGNALLED, SIGNALS, Echoes, Hangup
from .listening import listening
from .notify import NOBODY, Notifier, turns
from .worker import Worker, close_after, exit_in_words

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence

    from hypercorn.config import Config

    from .listening import Listener
    from .notify import Manager
    from .proxy import Proxy
    from .worker import Command

__all__ = ["run_again"]

logger = logging.getLogger("triows")


class _ApplicationFilter(watchfiles.PythonFilter):
    """Accepts Python files that aren't part of a library, whatever the environment is called."""

    ignore_dirs = (*watchfiles.PythonFilter.ignore_dirs, "site-packages")


def run_again(
    command: Command,
    name: str,
    config: Config,
    *,
    manager: Manager = NOBODY,
    folder: str | None = None,
    proxy: Proxy | None = None,
    tree_signal: int | None = None,
) -> int:
    """
    Serve with a process that is replaced when a Python file changes.

    The addresses stay bound meanwhile, so clients wait instead of being refused. If a process
    fails to start, or crashes, the next change replaces it.

    Args:
        command: The command that runs the process, given the descriptors that it inherits.
        name: What the log calls the application.
        config: Hypercorn's configuration.
        manager: The service manager that has started this one.
        folder: A folder to watch, in addition to the current one.
        proxy: The proxies in front of the server.
        tree_signal: A signal that is passed on to the process.

    Returns:
        The exit code: 0 after a signal that ends it, 128 + n if a second signal n was needed.

    Raises:
        OSError: An address can't be bound.
    """
    # Otherwise it would log its own line for each change, next to ours.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    with listening(config, proxy=proxy) as addresses:
        return trio.run(Reloader(command, name, addresses, folder, manager, tree_signal).run)


class Reloader:
    """
    The parent process.

    Args:
        command: As in :func:`run_again`.
        name: As in :func:`run_again`.
        addresses: The listeners from which the process accepts.
        folder: As in :func:`run_again`.
        manager: As in :func:`run_again`.
        tree_signal: As in :func:`run_again`.
    """

    def __init__(
        self,
        command: Command,
        name: str,
        addresses: Sequence[Listener],
        folder: str | None,
        manager: Manager,
        tree_signal: int | None,
    ) -> None:
        self._command = command
        self._addresses = addresses
        urls = ", ".join(one.url for one in addresses)
        self._serving = f"serving {name} on {urls}, reloading after each change"
        self._notifier = Notifier(manager)
        self._folders = watched(folder)
        self._tree_signal = tree_signal
        self._worker: Worker | None = None
        self._hangup = Hangup.of_this_process()
        self._echoes = Echoes()
        self._code = 0
        self._stop = trio.Event()
        self._hurry = trio.Event()
        self._stopped_at = 0.0

    async def run(self) -> int:
        """Serve until a signal ends it, and return the exit code."""
        others = () if self._tree_signal is None else (self._tree_signal,)
        if self._hangup is not Hangup.IGNORED:
            others = (*others, SIGHUP)
        with trio.open_signal_receiver(*SIGNALS, *others) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take, signals)
                nursery.start_soon(self._notifier.run, turns)
                logger.info("%s", self._serving)
                self._notifier.tell_ready(self._serving)
                await self._serve()
                nursery.cancel_scope.cancel()
            logger.info("ended after %.1f s", trio.current_time() - self._stopped_at)
        return self._code

    async def _take(self, signals: AsyncIterable[int]) -> None:
        async for number in signals:
            if number == self._tree_signal:
                if self._worker is not None:
                    self._worker.pass_on(number)
            elif number == SIGHUP and self._hangup is Hangup.RELOADS:
                message = "SIGHUP has no effect: a change of a file starts the process again"
                logger.info("%s", message)
                self._notifier.tell_reloading(message)
                self._notifier.tell_ready(self._serving)
            elif not self._echoes.is_echo(number, trio.current_time()):
                self._end_all(number)

    def _end_all(self, number: int) -> None:
        if self._stop.is_set():
            self._code = SIGNALLED + number
            self._hurry.set()
        else:
            self._stopped_at = trio.current_time()
            self._notifier.tell_stopping("shutting down", math.inf)
        self._stop.set()

    async def _serve(self) -> None:
        changes = watchfiles.awatch(
            *self._folders, watch_filter=_ApplicationFilter(), stop_event=self._stop
        )
        async with trio.open_nursery() as nursery:
            worker = await Worker.start(self._command, self._addresses)
            nursery.start_soon(self._report, worker)
            async for change in changes:
                logger.info("changed: %s", names_of(change))
                await self._end(worker)
                if not self._stop.is_set():
                    worker = await Worker.start(self._command, self._addresses)
                    nursery.start_soon(self._report, worker)
            nursery.start_soon(close_after, [worker], self._addresses)
            await self._end(worker)

    async def _report(self, worker: Worker) -> None:
        """Say how the start-up went, and later that the process has ended by itself."""
        self._worker = worker
        if await worker.wait_ready():
            logger.info("serving by process %d", worker.pid)
        code = await worker.wait()
        if not worker.dismissed:
            logger.error("the process ended: %s; waiting for a change", exit_in_words(code))

    async def _end(self, worker: Worker) -> None:
        """Let *worker* drain for a short time, then end it at once, even if it is blocked."""
        hurry = trio.Event()
        async with trio.open_nursery() as nursery:

            async def lose_patience() -> None:
                with trio.move_on_after(INTERRUPT_GRACE + AIR):
                    await self._hurry.wait()
                hurry.set()

            nursery.start_soon(lose_patience)
            await worker.end(hurry, signal.SIGINT, others=not self._stop.is_set())
            nursery.cancel_scope.cancel()


def watched(folder: str | None) -> list[str]:
    """Return the folders to watch: the current one, and *folder* if it is outside of that."""
    here = os.getcwd()
    there = here if folder is None else os.path.abspath(folder)
    return [here] if f"{there}{os.sep}".startswith(f"{here}{os.sep}") else [here, there]


def names_of(changes: Iterable[tuple[watchfiles.Change, str]]) -> str:
    """Name the files that have changed, relative to this folder."""
    return ", ".join(sorted({os.path.relpath(path) for _, path in changes}))
