"""Serving an application as a task of somebody's nursery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from triows._errors import leaves

from .listening import listening
from .server import Server
from .tls import tls_context
from .watchdog import blocks_named

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence

    from hypercorn.config import Config

    from triows._app import Triows

__all__ = ["run_server", "serve"]


async def serve(
    app: Triows,
    config: Config,
    *,
    shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
    sockets: Sequence[socket.socket] | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Serve *app* with Hypercorn, in the caller's Trio program.

        urls = await nursery.start(triows.serve, app, config)

    Cancelling it cancels the handlers, tells their peers 1001, exits their resources and
    then the application's; it takes ``timeouts.close`` and twice ``timeouts.teardown`` at
    most. For a graceful end use *shutdown_trigger*.

    Args:
        app: The application. Its start-up runs before, and its shutdown after, everything.
        config: Hypercorn's; ``bind``, ``certfile`` and so on. ``workers`` has no effect here.
        shutdown_trigger: When it returns, new connections are refused, the live ones are
            drained as :meth:`Triows.drain` says, and the server ends.
        sockets: Bound already, to listen at in place of ``config.bind``, and perhaps shared
            with other processes; closed at the end. A server that shuts down leaves new
            connections to the others.
        task_status: Started with the URLs that the server listens on.

    Raises:
        OSError: an address can't be bound.
        BaseException: what the application's start-up or shutdown raised, or a resource of
            the application that gave way meanwhile.
    """
    tls = tls_context(config)
    try:
        # Around everything: a start-up or a shutdown may block, too.
        with blocks_named(app):
            async with app.running():
                with listening(config, sockets) as listeners:
                    server = Server(app, config, tls, listeners)
                    refusing = sockets is None
                    await run_server(server, shutdown_trigger, task_status, refusing=refusing)
    except BaseExceptionGroup as group:
        # The nurseries wrap what passes through them.
        (only, *more) = leaves(group)
        if more or isinstance(only, trio.Cancelled):
            raise
        raise only from None


async def run_server(
    server: Server,
    shutdown_trigger: Callable[[], Awaitable[object]] | None,
    task_status: trio.TaskStatus[list[str]],
    *,
    refusing: bool,
) -> None:
    """
    Run a server until it is cancelled, or until a trigger, and then to its end.

    Args:
        server: Of an application that is running.
        shutdown_trigger: As for :func:`serve`.
        task_status: The same.
        refusing: As for :meth:`Server.shut_down`.
    """
    async with trio.open_nursery() as nursery:

        async def shut_down_after(trigger: Callable[[], Awaitable[object]]) -> None:
            await trigger()
            await server.shut_down(refusing=refusing)

        if shutdown_trigger is not None:
            nursery.start_soon(shut_down_after, shutdown_trigger)
        nursery.start_soon(shut_down_after, server.wait_worn_out)
        task_status.started(server.urls)
        await server.run()
        nursery.cancel_scope.cancel()
