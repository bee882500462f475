"""Connects to an application in one step, for tests that need nothing else of the client."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from triows.testing import open_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from triows import Triows
    from triows.testing import AppClient, WebSocketSession

__all__ = ["connect", "opened"]

_clients: WeakKeyDictionary[Triows, AppClient] = WeakKeyDictionary()


@asynccontextmanager
async def opened(app: Triows, **options: Any) -> AsyncIterator[AppClient]:
    """Open *app* as ``open_app`` does. In the block, :func:`connect` uses it."""
    async with open_app(app, **options) as client:
        _clients[app] = client
        try:
            yield client
        finally:
            del _clients[app]


@asynccontextmanager
async def connect(app: Triows, url: str, **options: Any) -> AsyncIterator[WebSocketSession]:
    """
    Connect to *app*. Open it first if it isn't open.

    Args:
        app: The application.
        url: The URL to connect to.
        options: Options for ``AppClient.websocket_connect``.
    """
    if (client := _clients.get(app)) is not None:
        async with client.websocket_connect(url, **options) as session:
            yield session
        return
    async with opened(app) as client, client.websocket_connect(url, **options) as session:
        yield session
