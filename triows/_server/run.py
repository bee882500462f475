"""Serving an application as a process: until a signal comes."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

import trio
from hypercorn.config import Config

from triows._errors import leaves

from .serve import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Sequence

    from triows._app import Triows

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
) -> int:
    """
    Serve until SIGINT or SIGTERM: drain on the first, stop at once on a second.

    Args:
        app: The application.
        name: What the log calls it.
        bind: Addresses: ``host:port``, or ``unix:path``.
        certfile: A certificate chain, to serve TLS.
        keyfile: Its private key.

    Returns:
        The exit code: 0 after a graceful end, 128 + n if a second signal n was needed.

    A process that the server below holds beyond the time that was announced is ended, with
    128 + n for the signal n that was the last.

    Raises:
        BaseException: as :func:`serve`.
    """
    config = Config()
    config.bind = list(bind)
    config.certfile, config.keyfile = certfile, keyfile
    # HTTP/2 would bring WebSockets over it, which Hypercorn can't serve safely.
    config.alpn_protocols = ["http/1.1"]
    # What Hypercorn logs goes where everything goes, but its own greeting, which ours repeats.
    config.errorlog = logging.getLogger("hypercorn")
    config.errorlog.setLevel(logging.WARNING)
    try:
        return trio.run(_serve_until_signalled, app, config, name)
    except BaseExceptionGroup as group:
        # The nurseries of this module wrap what passes through them.
        (first, *more) = leaves(group)
        if more:
            raise
        raise first from None


async def _serve_until_signalled(app: Triows, config: Config, name: str) -> int:
    process = _Process(app)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.watch, signals, nursery)
            urls = await nursery.start(process.serve, config, nursery)
            process.started = True
            logger.info("serving %s on %s", name, ", ".join(urls))
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
        self, config: Config, nursery: trio.Nursery, task_status: trio.TaskStatus[list[str]]
    ) -> None:
        """Serve until the first signal's drain is over; then *nursery* ends."""
        await serve(self._app, config, shutdown_trigger=self._stop.wait, task_status=task_status)
        nursery.cancel_scope.cancel()

    async def watch(self, signals: AsyncIterable[int], nursery: trio.Nursery) -> None:
        """Drain on the first signal, or give up a start-up; cancel everything on the second."""
        async for number in signals:
            app = self._app
            # With what Hypercorn waits for plain HTTP, and some air.
            budget = app.drain_budget + app.timeouts.teardown + Config.graceful_timeout + 1
            if self._stop.is_set() or not self.started:
                if self._stop.is_set():
                    self.code = SIGNALLED + number
                nursery.cancel_scope.cancel()
                _exit_after(app.timeouts.close + 2 * app.timeouts.teardown + 1, SIGNALLED + number)
            else:
                logger.info("shutting down, for %g s at most", budget)
                _exit_after(budget, SIGNALLED + number)
            self._stop.set()


def _exit_after(seconds: float, code: int) -> None:
    """
    End the process, whatever it does then.

    Hypercorn shields its writes, so a peer that never reads would hold it for ever. By then
    every handler was cancelled and every resource had its time; only sockets are left.
    """

    def give_up() -> None:
        logger.critical("ended after %g s: the server below still waits for a peer", seconds)
        logging.shutdown()
        os._exit(code)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True  # an exit that is in time does not wait for it
    timer.start()
