"""The ASGI scopes of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from attrs import frozen

from triows._request_ids import current

if TYPE_CHECKING:
    from triows._protocol.http11 import Request
    from triows._request_ids import RequestIds
    from triows.types import Scope

    from .arrival import Addresses

__all__ = ["ScopeSettings", "http_scope", "websocket_scope"]

# The versions of the specification that they follow. Applications must not change these.
_HTTP = {"version": "3.0", "spec_version": "2.4"}
_WEBSOCKET = {"version": "3.0", "spec_version": "2.3"}

_PERCENT = ord("%")


@frozen
class ScopeSettings:
    """What a configuration says about scopes."""

    #: Where the application is mounted, for a proxy in front of it.
    root_path: str
    #: Whether applications get the names of headers as they were sent.
    has_raw_headers: bool
    #: Makes the ids of exchanges, or ``None`` if nobody wants any.
    request_ids: RequestIds | None = None

    def state(self, head: Request) -> dict[str, Any]:
        """Make the ``state`` of a scope. From now on, the calling task logs for this exchange."""
        if self.request_ids is None:
            return {}
        request_id = self.request_ids.of(head.headers)
        current.set(request_id)
        return {"request_id": request_id}


def http_scope(head: Request, addresses: Addresses, settings: ScopeSettings) -> Scope:
    """Make the scope of a plain request."""
    path = head.path.decode("ascii")
    scope: Scope = {
        "type": "http",
        "asgi": _HTTP,
        "http_version": head.http_version,
        "method": head.method,
        "scheme": "https" if addresses.secure else "http",
        "path": unquote(path) if _PERCENT in head.path else path,
        "raw_path": head.path,
        "query_string": head.query,
        "root_path": settings.root_path,
        "headers": head.headers_as_sent() if settings.has_raw_headers else head.headers,
        "client": addresses.client,
        "server": addresses.server,
        "state": settings.state(head),
        "extensions": {"http.response.pathsend": {}, "http.response.trailers": {}},
    }
    if addresses.tls is not None:
        scope["extensions"]["tls"] = addresses.tls.extension()
    return scope


def websocket_scope(head: Request, addresses: Addresses, settings: ScopeSettings) -> Scope:
    """Make the scope of a request that asks for a WebSocket, without any subprotocols."""
    path = head.path.decode("ascii")
    scope: Scope = {
        "type": "websocket",
        "asgi": _WEBSOCKET,
        "http_version": head.http_version,
        "scheme": "wss" if addresses.secure else "ws",
        "path": unquote(path) if _PERCENT in head.path else path,
        "raw_path": head.path,
        "query_string": head.query,
        "root_path": settings.root_path,
        "headers": head.headers_as_sent() if settings.has_raw_headers else head.headers,
        "client": addresses.client,
        "server": addresses.server,
        "subprotocols": [],
        "state": settings.state(head),
        "extensions": {"websocket.http.response": {}},
    }
    if addresses.tls is not None:
        scope["extensions"]["tls"] = addresses.tls.extension()
    return scope
