"""Serving an application as a process: until a signal comes."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

import trio

from triows._errors import only
from triows._inspection.signals import print_on_signal

from .budget import Budget
from .listening import configuration
from .serve import serve

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterable, Sequence

    from hypercorn.config import Config

    from triows._app import Triows

    from .lifeline import Inherited

__all__ = ["run"]

logger = logging.getLogger("triows")

# As shells report a process that a signal ended.
SIGNALLED = 128


def run(
    app: Triows,
    name: str,
    *,
    bind: Sequence[str],
    certfile: str | None = None,
    keyfile: str | None = None,
    inherited: Inherited | None = None,
    tree_signal: int | None = None,
) -> int:
    """
    Serve until SIGINT or SIGTERM: drain on the first, stop at once on a second.

    Args:
        app: The application.
        name: What the log calls it.
        bind: Addresses: ``host:port``, or ``unix:path``.
        certfile: A certificate chain, to serve TLS.
        keyfile: Its private key.
        inherited: For a worker: what it accepts from, instead of *bind*, and what ties it to
            its parent. It drains when the parent is gone, too.
        tree_signal: A signal that has what is alive printed, from the start-up to the end.

    Returns:
        The exit code: 0 after a graceful end, 128 + n if a second signal n was needed.

    A process that is still there when the announced time is over is ended, with 128 + n for the
    signal n that was the last.

    Raises:
        BaseException: as :func:`serve`.
    """
    config = configuration(bind, certfile, keyfile)
    try:
        return trio.run(_serve_observed, app, config, name, inherited, tree_signal)
    except BaseExceptionGroup as group:
        # The nurseries of this module wrap what passes through them.
        error = only(group)
        if error is None:
            raise
    raise error


async def _serve_observed(
    app: Triows,
    config: Config,
    name: str,
    inherited: Inherited | None,
    tree_signal: int | None,
) -> int:
    """Serve until signalled, and print the tree at another signal, if there is one for it."""
    if tree_signal is None:
        return await _serve_until_signalled(app, config, name, inherited)
    async with trio.open_nursery() as nursery:
        # Around all, so that a start-up or an end that hangs can be looked at.
        await nursery.start(print_on_signal, app, tree_signal)
        code = await _serve_until_signalled(app, config, name, inherited)
        nursery.cancel_scope.cancel()
    return code


async def _serve_until_signalled(
    app: Triows, config: Config, name: str, inherited: Inherited | None
) -> int:
    process = _Process(app)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.watch, signals, nursery)
            if inherited is None:
                urls = await nursery.start(process.serve, config, None, nursery)
                logger.info("serving %s on %s", name, ", ".join(urls))
            else:
                nursery.start_soon(process.watch_parent, inherited, nursery)
                await nursery.start(process.serve, config, inherited.sockets, nursery)
                inherited.lifeline.ready(Budget.of(app))
            process.started = True
    return process.code


class _Process:
    """
    The server as a process: what signals do to it, and its exit code.

    Args:
        app: The application.
    """

    def __init__(self, app: Triows) -> None:
        self.started = False
        self.code = 0
        self._app = app
        self._stop = trio.Event()

    async def serve(
        self,
        config: Config,
        sockets: Sequence[socket.socket] | None,
        nursery: trio.Nursery,
        task_status: trio.TaskStatus[list[str]],
    ) -> None:
        """Serve until the first signal's drain is over; then *nursery* ends."""
        await serve(
            self._app,
            config,
            sockets=sockets,
            shutdown_trigger=self._stop.wait,
            task_status=task_status,
        )
        nursery.cancel_scope.cancel()

    async def watch(self, signals: AsyncIterable[int], nursery: trio.Nursery) -> None:
        """Drain on the first signal, or give up a start-up; cancel everything on the second."""
        async for number in signals:
            self._end(number, nursery)

    async def watch_parent(self, inherited: Inherited, nursery: trio.Nursery) -> None:
        """Take the end of the parent for a signal."""
        await inherited.lifeline.wait_gone()
        logger.warning("the process that started this worker is gone")
        self._end(signal.SIGTERM, nursery)

    def _end(self, number: int, nursery: trio.Nursery) -> None:
        budget = Budget.of(self._app)
        if self._stop.is_set() or not self.started:
            if self._stop.is_set():
                self.code = SIGNALLED + number
            nursery.cancel_scope.cancel()
            _exit_after(budget.at_once, SIGNALLED + number)
        else:
            logger.info("shutting down, for %g s at most", budget.graceful)
            _exit_after(budget.graceful, SIGNALLED + number)
        self._stop.set()


def _exit_after(seconds: float, code: int) -> None:
    """
    End the process, whatever it does then.

    By then every handler was cancelled and every resource had its time. What can't be ended by
    that is an application that blocks the event loop, or shields itself without a deadline.
    """

    def give_up() -> None:
        logger.critical(
            "ended after %g s: something of the application has not ended",
            seconds,
        )
        logging.shutdown()
        os._exit(code)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True  # an exit that is in time does not wait for it
    timer.start()
