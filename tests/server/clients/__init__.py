"""Clients that aren't ours, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from attrs import frozen

from tests.server.clients.aiohttp import Aiohttp, open_aiohttp
from tests.server.clients.curl import Curl, open_curl
from tests.server.clients.interface import Client, Closed
from tests.server.clients.node import Node, open_node
from tests.server.clients.python import (
    TrioWebSocket,
    Websockets,
    open_trio_websocket,
    open_websockets,
)

__all__ = ["CLIENTS", "REAL_CLIENTS", "Client", "Closed", "RealClient", "open_websockets"]


@frozen
class RealClient:
    """How to open a connection with a client, and what the client can't do."""

    kind: type[Client]
    open: Callable[..., AbstractAsyncContextManager[Client]]

    def __call__(self, url: str, **how: Any) -> AbstractAsyncContextManager[Client]:
        return self.open(url, **how)

    def skip_if_it_cannot(self, what: str) -> None:
        reason = self.kind.cannot.get(what)
        if reason is not None:
            pytest.skip(f"{self.kind.__name__} can't {what}: {reason}")


#: The clients that every test can use.
CLIENTS = {"trio-websocket": open_trio_websocket, "websockets": open_websockets}

#: All clients except those that need something longer than a connection, as a browser does.
REAL_CLIENTS = {
    "trio-websocket": RealClient(TrioWebSocket, open_trio_websocket),
    "websockets": RealClient(Websockets, open_websockets),
    "aiohttp": RealClient(Aiohttp, open_aiohttp),
    "curl": RealClient(Curl, open_curl),
    "ws": RealClient(Node, open_node),
}
