"""Serving an application as a process: until a signal comes."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

import trio
from hypercorn.config import Config

from .serve import serve

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    return trio.run(_serve_until_signalled, app, config, name)


async def _serve_until_signalled(app: Triows, config: Config, name: str) -> int:
    stop = trio.Event()
    code = 0
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                nonlocal code
                async for number in signals:
                    if stop.is_set():
                        code = SIGNALLED + number
                        nursery.cancel_scope.cancel()
                    else:
                        logger.info(
                            "shutting down: draining connections, for %g s at most",
                            app.drain_budget,
                        )
                        stop.set()

            async def run_server(task_status: trio.TaskStatus[list[str]]) -> None:
                await serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            urls = await nursery.start(run_server)
            logger.info("serving %s on %s", name, ", ".join(urls))
    return code
