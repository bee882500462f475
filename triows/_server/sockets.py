"""
Accepting from sockets that other processes accept from as well.

Hypercorn accepts until a drain is over, and refuses whom it accepted meanwhile. Here the
accepting ends first, so that the others take who comes, and those who were accepted but have
not been answered yet are served as before.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState

from .listening import urls_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from hypercorn.config import Config
    from hypercorn.typing import ASGIFramework

    from triows._app import Triows
    from triows.types import Receive, Scope, Send

__all__ = ["serve_sockets"]

# Seconds that a connection may take to be answered after the accepting has ended. Who came
# by chance is answered in milliseconds; who sends nothing must not hold the shutdown up.
LINGER = 0.5

_answered: ContextVar[trio.Event] = ContextVar("_answered")


async def serve_sockets(
    app: Triows,
    config: Config,
    sockets: Sequence[socket.socket],
    shutdown_trigger: Callable[[], Awaitable[object]] | None,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """Serve as :func:`.serve`, between the application's start-up and shutdown."""
    tls = config.create_ssl_context()
    listeners: list[trio.abc.Listener[Any]] = []
    for sock in sockets:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        listeners.append(
            listener if tls is None else trio.SSLListener(listener, tls, https_compatible=True)
        )
    context = WorkerContext(None)
    asgi = ASGIWrapper(cast("ASGIFramework", partial(_noting_answers, app)))
    unanswered: set[trio.Event] = set()

    async def handle(stream: Any) -> None:
        answered = trio.Event()
        _answered.set(answered)
        unanswered.add(answered)
        try:
            state = ConnectionState(LifespanState({}))
            await TCPServer(asgi, config, context, cast("Any", state), stream)
        finally:
            answered.set()
            unanswered.discard(answered)

    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            serve_all = partial(trio.serve_listeners, handler_nursery=connections)
            accepting.start_soon(serve_all, handle, listeners)
            task_status.started(urls_of(sockets, tls=tls is not None))
            await (shutdown_trigger or trio.sleep_forever)()
            accepting.cancel_scope.cancel()
        with trio.move_on_after(LINGER):
            for answered in tuple(unanswered):
                await answered.wait()
        await app.drain()
        await context.terminated.set()
        connections.cancel_scope.deadline = trio.current_time() + config.graceful_timeout


async def _noting_answers(app: Triows, scope: Scope, receive: Receive, send: Send) -> None:
    async def send_noting(message: MutableMapping[str, Any]) -> None:
        await send(message)
        _answered.get().set()

    await app(scope, receive, send_noting)
