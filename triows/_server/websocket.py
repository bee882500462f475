"""One connection from the request that asks for a WebSocket: ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import trio

from triows._connection.endpoint import log_refusal, refuse
from triows._connection.refusal import problem
from triows._protocol.upgrade import BadUpgrade, Upgrade, read_upgrade
from triows._transports.bridge import Bridge
from triows._transports.interface import Refusal
from triows._transports.stream import StreamTransport

if TYPE_CHECKING:
    from hypercorn.config import Config

    from triows._app import Triows
    from triows._settings import Settings
    from triows._transports.interface import Starter
    from triows._transports.pinger import Pinger
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
    tasks: Starter,
) -> None:
    """
    Answer a handshake and serve the connection to its end.

    Args:
        app: The application; it logs its errors itself.
        config: Hypercorn's.
        wanted: The handshake.
        wire: The connection; closed when this returns.
        peers: Its two ends.
        pinger: The server's.
        tasks: For what a connection needs that the application did not take back from its
            middleware.
    """
    request = wanted.request
    scope = _scope(config, wanted, peers)

    used = False

    def make(settings: Settings) -> StreamTransport:
        nonlocal used
        used = True
        return StreamTransport(
            wire,
            upgrade,
            early=wanted.early,
            settings=settings,
            own_headers=lambda: config.response_headers("h11"),
            pinger=pinger,
        )

    try:
        upgrade = read_upgrade(request.method, request.http_version, scope["headers"])
    except BadUpgrade as exc:
        upgrade = Upgrade("", [])
        refusal = problem(exc.status, exc.detail)
        refusal = Refusal(exc.status, [*refusal.headers, *exc.headers], refusal.body)
        await refuse(make(app.settings), refusal, app.timeouts)
        log_refusal(scope, exc.status, None)
        return
    scope["subprotocols"] = upgrade.subprotocols
    bridge = Bridge(make, tasks, app.settings)
    try:
        await app(scope, bridge.receive, bridge.send)
    finally:
        if bridge.is_open:
            with trio.CancelScope(shield=True):  # bounded by aclose()
                await bridge.aclose()
    if not used:  # somebody else's application, mounted in ours
        await refuse(make(app.settings), problem(500), app.timeouts)


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
