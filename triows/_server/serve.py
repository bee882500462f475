"""Serves an application as a task in a nursery of your program."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from triows._arguments import SERVING, hinting
from triows._errors import only
from triows._log import enable
from triows._loop import check_trio

from .access import keep_lines_whole
from .drain import Drain
from .listening import listening
from .mistakes import (
    check_app,
    check_config,
    check_drain,
    check_proxy,
    check_request_ids,
    check_sockets,
    check_trigger,
    wait_triggered,
)
from .server import open_server
from .tls import credentials
from .watchdog import blocks_named

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from hypercorn.config import Config

    from triows._app import Triows
    from triows._request_ids import RequestIds

    from .listening import Listener
    from .proxy import Proxy
    from .server import Server

    #: Waits until the server has to end, and shuts it down.
    Ending: TypeAlias = Callable[[Server], Awaitable[None]]

__all__ = ["run_server", "serve", "serve_until"]

#: The default, so that a call without a configuration gets a message that says what to write.
_MISSING: Any = None


@hinting(SERVING)
async def serve(
    app: Triows,
    config: Config = _MISSING,
    *,
    shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
    sockets: Sequence[socket.socket] | None = None,
    drain: Drain | None = None,
    proxy: Proxy | None = None,
    request_ids: RequestIds | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Serve *app* as a task of your Trio program.

        urls = await nursery.start(triows.serve, app, config)

    If you cancel it, the handlers are cancelled, their peers get 1001, their resources exit, and
    then the application's resources exit. That takes ``timeouts.close``, and ``timeouts.teardown``
    twice: once for the connections, and once for the application. For a graceful end, use
    *shutdown_trigger*.

    Args:
        app: The application. Its start-up runs first, and its shutdown last.
        config: Hypercorn's configuration: ``bind``, ``certfile`` and so on. ``workers`` has no
            effect here.
        shutdown_trigger: An async function. When it returns, the server stops listening, drains the
            live connections as :meth:`Triows.drain` says, and ends.
        sockets: Bound sockets, to listen on instead of ``config.bind``. Other processes may share
            them. They are closed at the end. A server that shuts down leaves new connections to
            the other processes, or in the queue for the next one.
        drain: What a shutdown does with newcomers and with idle connections.
        proxy: The proxies in front of the server, and what they say about their clients. By
            default, nothing of that is read.
        request_ids: Gives each exchange an id, for the log. By default, there are none.
        task_status: Started with the URLs on which the server listens.

    Raises:
        TypeError: An argument is something other than what it takes. The message says what to
            write.
        ValueError: An address can't be read, or the settings for TLS don't fit together.
        RuntimeError: Trio does not run, or the application is served already.
        AddressError: An address can't be bound, for example because it is in use.
        OSError: A certificate can't be used.
        BaseException: What the application's start-up or shutdown raised, or a resource of the
            application that failed meanwhile.
    """
    check_trio("triows.serve", "write trio.run(triows.serve, app, config)")
    await trio.lowlevel.checkpoint()
    check_app(app, "triows.serve")
    check_config(config)
    check_sockets(sockets)
    check_proxy(proxy, config, sockets)
    check_trigger(shutdown_trigger)
    check_drain(drain)
    check_request_ids(request_ids)

    drain = drain or Drain()
    ending = partial(_shut_down_after, shutdown_trigger, drain)
    await serve_until(
        ending,
        drain,
        app,
        config,
        partial(listening, config, sockets, proxy=proxy),
        proxy=proxy,
        request_ids=request_ids,
        task_status=task_status,
    )


async def serve_until(
    ending: Ending,
    drain: Drain,
    app: Triows,
    config: Config,
    opening: Callable[[], AbstractContextManager[list[Listener]]],
    *,
    proxy: Proxy | None = None,
    request_ids: RequestIds | None = None,
    worn_out: Ending | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Serve until *ending* has shut the server down.

    Args:
        ending: Decides when the server ends, and how.
        drain: How it ends if it has served as many requests as it may.
        app: As in :func:`serve`.
        config: As in :func:`serve`.
        opening: Listens for a block.
        proxy: As in :func:`serve`.
        request_ids: As in :func:`serve`.
        worn_out: Waits until the server has served as many requests as it may, and does something
            about it. By default, it shuts the server down.
        task_status: As in :func:`serve`.
    """
    keep_lines_whole(config)  # this carries out what it says about logging
    enable()
    tls = credentials(config)
    error: BaseException | None = None
    try:
        # This is around everything, because a start-up or a shutdown may block, too.
        with blocks_named(app):
            async with app.running():
                enable()  # the start-up may have set up logging
                with opening() as listeners:
                    opened = open_server(
                        app,
                        config,
                        tls=tls,
                        listeners=listeners,
                        proxy=proxy,
                        request_ids=request_ids,
                    )
                    async with opened as server:
                        await _run_until(ending, worn_out or _worn_out(drain), server, task_status)
    except BaseExceptionGroup as group:
        # The nurseries wrap what passes through them.
        error = only(group)
        if error is None:
            raise
    if error is not None:
        raise error


async def run_server(
    server: Server,
    shutdown_trigger: Callable[[], Awaitable[object]] | None,
    drain: Drain,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """
    Let a server go on until a trigger, and then until it has ended.

    Args:
        server: The server of an application that is running.
        shutdown_trigger: As in :func:`serve`.
        drain: As in :func:`serve`.
        task_status: As in :func:`serve`.
    """
    ending = partial(_shut_down_after, shutdown_trigger, drain)
    await _run_until(ending, _worn_out(drain), server, task_status)


def _worn_out(drain: Drain) -> Ending:
    async def worn_out(server: Server) -> None:
        await _shut_down_after(server.wait_worn_out, drain, server)

    return worn_out


async def _shut_down_after(
    trigger: Callable[[], Awaitable[object]] | None, drain: Drain, server: Server
) -> None:
    if trigger is not None:
        await wait_triggered(trigger)
        await server.shut_down(drain)
        await server.warn_of_rest()


async def _run_until(
    ending: Ending, worn_out: Ending, server: Server, task_status: trio.TaskStatus[list[str]]
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ending, server)
        nursery.start_soon(worn_out, server)
        task_status.started(server.urls)
        await server.wait_ended()
        nursery.cancel_scope.cancel()
