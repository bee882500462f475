"""Peers that are not ours, behind one small interface."""

from __future__ import annotations

from tests.server.clients.aiohttp import open_aiohttp
from tests.server.clients.curl import open_curl
from tests.server.clients.interface import Client, Closed
from tests.server.clients.node import open_node
from tests.server.clients.python import open_trio_websocket, open_websockets

__all__ = ["CLIENTS", "REAL_CLIENTS", "Client", "Closed", "open_websockets"]

#: Those that are at hand in every test.
CLIENTS = {"trio-websocket": open_trio_websocket, "websockets": open_websockets}

#: All that need nothing which lasts longer than a connection, as a browser does.
REAL_CLIENTS = {**CLIENTS, "aiohttp": open_aiohttp, "curl": open_curl, "ws": open_node}
