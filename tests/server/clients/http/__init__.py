"""Clients for plain HTTP that aren't ours, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import httpx2

from tests.server.clients.http.interface import Answer, HTTPClient, Step, body
from tests.server.clients.http.programs import Curl, go, java, node
from tests.server.clients.http.python import Aiohttp, Httpx, Stdlib

__all__ = ["HTTP_CLIENTS", "Answer", "HTTPClient", "Step", "body"]

#: All clients except those that need something longer than a test, as a browser does. Each gets a
#: folder of its own.
HTTP_CLIENTS: Mapping[str, Callable[[Path], HTTPClient]] = {
    "http.client": lambda _: Stdlib(),
    "httpx": lambda _: Httpx(httpx),
    "httpx2": lambda _: Httpx(httpx2),
    "aiohttp": lambda _: Aiohttp(),
    "curl": Curl,
    "node": node,
    "java": java,
    "go": go,
}
