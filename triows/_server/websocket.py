"""Serves one connection, from the request that asks for a WebSocket to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import trio
from hypercorn.utils import valid_server_name

from triows._connection.endpoint import log_refusal, refuse
from triows._protocol.upgrade import BadUpgrade, Upgrade, read_upgrade
from triows._reply import Reply, problem
from triows._transports.bridge import Bridge
from triows._transports.stream import StreamTransport

if TYPE_CHECKING:
    from hypercorn.config import Config

    from triows._app import Triows
    from triows._settings import Settings
    from triows._transports.interface import Starter
    from triows._transports.pinger import Pinger
    from triows._transports.turn import Turn
    from triows._transports.wire import Wire
    from triows.types import Scope

    from .h11 import WebSocketRequest
    from .http import Peers

__all__ = ["serve_websocket"]


async def serve_websocket(
    app: Triows,
    config: Config,
    wanted: WebSocketRequest,
    wire: Wire,
    peers: Peers,
    pinger: Pinger,
    turn: Turn,
    tasks: Starter,
    bridges: dict[Bridge, None],
) -> None:
    """
    Answer a handshake, and serve the connection until it ends.

    Args:
        app: The application. It logs its errors itself.
        config: Hypercorn's configuration.
        wanted: The handshake.
        wire: The connection. It is closed when this returns.
        peers: The addresses of its two ends.
        pinger: The server's pinger.
        turn: The server's turn.
        tasks: Runs the tasks of a connection whose application uses ASGI's ``receive`` and
            ``send``.
        bridges: The server's bridges of such connections.
    """
    request = wanted.request
    scope = _scope(config, wanted, peers)

    started = trio.current_time()
    transport: StreamTransport | None = None

    def make(settings: Settings) -> StreamTransport:
        nonlocal transport
        transport = StreamTransport(
            wire,
            upgrade,
            early=wanted.early,
            settings=settings,
            own_headers=lambda: config.response_headers("h11"),
            pinger=pinger,
            turn=turn,
        )
        return transport

    async def log_access() -> None:
        """Write Hypercorn's line for the request when it is over, as for a plain request."""
        if config.accesslog is not None and transport is not None:
            ended = transport.ended
            status = 101 if ended is None or ended.status is None else ended.status
            response: Any = {"status": status, "headers": []}
            # It is only a line in a log, but the configuration may name a logger that takes long.
            with trio.move_on_after(app.timeouts.close, shield=True):
                await config.log.access(cast("Any", scope), response, trio.current_time() - started)

    try:
        upgrade = read_upgrade(request.method, request.http_version, list(request.headers))
        if not valid_server_name(config, cast("Any", request)):
            raise BadUpgrade(404, "this server is not here")
    except BadUpgrade as exc:
        upgrade = Upgrade("", [])
        refusal = problem(exc.status, exc.detail)
        refusal = Reply(exc.status, [*refusal.headers, *exc.headers], refusal.body)
        await refuse(make(app.settings), refusal, app.timeouts)
        log_refusal(scope, exc.status, None, exc.detail)
        await log_access()
        return
    scope["subprotocols"] = upgrade.subprotocols
    bridge = Bridge(make, tasks, app.settings, bridges)
    try:
        await app(scope, bridge.receive, bridge.send)
    finally:
        try:
            await bridge.aclose()
        finally:
            await log_access()


def _scope(config: Config, wanted: WebSocketRequest, peers: Peers) -> Scope:
    request = wanted.request
    path, _, query = request.target.partition(b"?")
    raw = config.h11_pass_raw_headers
    headers: Any = request.headers.raw_items() if raw else request.headers
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.http_version.decode("ascii"),
        "scheme": "wss" if peers.secure else "ws",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": config.root_path,
        "headers": list(headers),
        "client": peers.client,
        "server": peers.server,
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
