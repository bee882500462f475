"""
The load: picows on uvloop, which is faster than every server here.

The client offers no extensions, so no server compresses. asyncio sets TCP_NODELAY. Connections end
with a closing handshake, so that no server handles resets while it is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

__all__ = ["PATIENCE", "TEXT", "Client", "connected"]

TEXT = WSMsgType.TEXT

#: How many seconds an answer, or an end, may take on a busy machine. After that, the sample failed.
PATIENCE = 20

#: How many handshakes run at the same time while connections are opened.
AT_ONCE = 16


class Client(WSListener):
    """One connection. Subclasses say what it does with messages."""

    transport: WSTransport

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()
        self.lost()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type in (TEXT, WSMsgType.CONTINUATION):
            self.message(frame)
        # picows answers pings itself.

    def message(self, frame: WSFrame) -> None:
        """Take a message, or a part of one."""
        raise NotImplementedError

    def lost(self) -> None:
        """Called at the end of the connection."""

    async def aclose(self) -> None:
        """Close, and wait until the server has closed."""
        if not self.closed.is_set():
            self.transport.send_close(WSCloseCode.OK)
            async with asyncio.timeout(PATIENCE):
                await self.closed.wait()


C = TypeVar("C", bound=Client)


@asynccontextmanager
async def connected(
    make: Callable[[], C], port: int, target: str, count: int
) -> AsyncIterator[list[C]]:
    """Hold *count* connections. Unless something fails, all end with a closing handshake."""
    gate = asyncio.Semaphore(AT_ONCE)
    clients: list[C] = []

    async def connect() -> None:
        async with gate:
            _, client = await ws_connect(
                make, f"ws://127.0.0.1:{port}{target}", websocket_handshake_timeout=PATIENCE
            )
        clients.append(client)  # type: ignore[arg-type]

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(connect())
        yield clients
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.aclose())
    finally:
        for client in clients:
            if not client.closed.is_set():
                client.transport.disconnect(graceful=False)
