"""
The load: picows on uvloop, which is faster than every server here.

Connections are opened with no extension offered, so no server compresses, and with
TCP_NODELAY, which asyncio sets. They are closed with a closing handshake, so that no server
is measured while it handles resets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

__all__ = ["PATIENCE", "TEXT", "Client", "connected"]

TEXT = WSMsgType.TEXT

#: Seconds for an answer, or an end, on a loaded machine. Over it, the sample failed.
PATIENCE = 20

#: Handshakes at the same time, while connections are opened.
AT_ONCE = 16


class Client(WSListener):
    """One connection. What it does with messages is said by its subclasses."""

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
        """Notice the end."""

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
    """Hold *count* connections; outside of a failure all are closed in order."""
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
