"""Serving an application as a task of somebody's nursery."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import hypercorn.trio
import trio

from triows._errors import leaves

from .sockets import serve_sockets

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence

    from hypercorn.config import Config
    from hypercorn.typing import ASGIFramework

    from triows._app import Triows
    from triows.types import Receive, Scope, Send

__all__ = ["serve"]


async def serve(
    app: Triows,
    config: Config,
    *,
    sockets: Sequence[socket.socket] | None = None,
    shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
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
        sockets: Stream sockets that listen already, to accept from instead of ``bind``. They
            are served with TLS if the configuration has a certificate, and closed when the
            server stops accepting. Others may accept from them too.
        shutdown_trigger: When it returns, new connections are refused, the live ones are
            drained as :meth:`Triows.drain` says, and the server ends.
        task_status: Started with the URLs that the server listens on.

    Raises:
        OSError: an address can't be bound.
        BaseException: what the application's start-up or shutdown raised, or a resource of
            the application that gave way meanwhile.
    """

    async def drained() -> None:
        assert shutdown_trigger is not None
        await shutdown_trigger()
        await app.drain()

    try:
        async with app.running():
            if sockets is not None:
                await serve_sockets(app, config, sockets, shutdown_trigger, task_status)
                return
            await hypercorn.trio.serve(
                cast("ASGIFramework", _Connections(app)),
                config,
                shutdown_trigger=None if shutdown_trigger is None else drained,
                task_status=task_status,
                mode="asgi",
            )
    except BaseExceptionGroup as group:
        # Hypercorn's nurseries wrap what passes through them.
        (only, *more) = leaves(group)
        if more or isinstance(only, trio.Cancelled):
            raise
        raise only from None


class _Connections:
    """The application without its lifespan, which :func:`serve` runs itself, around Hypercorn."""

    def __init__(self, app: Triows) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
