"""Connecting to an application in one step, where a test needs no more of its client."""

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
    """Open *app*, as ``open_app``, for the calls of :func:`connect` in the block."""
    async with open_app(app, **options) as client:
        _clients[app] = client
        try:
            yield client
        finally:
            del _clients[app]


@asynccontextmanager
async def connect(app: Triows, url: str, **options: Any) -> AsyncIterator[WebSocketSession]:
    """
    Connect to *app*, which is opened for that if it is not.

    Args:
        app: The application.
        url: Where to connect.
        options: As for ``AppClient.websocket_connect``.
    """
    if (client := _clients.get(app)) is not None:
        async with client.websocket_connect(url, **options) as session:
            yield session
        return
    async with opened(app) as client, client.websocket_connect(url, **options) as session:
        yield session
