"""
Connections that do only the minimum, for measures in which the client's own cost would matter.

The handshake is sent in one piece, and its answer is recognised without a parser or a task. The
server ends the TCP connection after the closing handshake, as RFC 6455 says.
"""

from __future__ import annotations

import asyncio
from typing import cast

from websockets.utils import accept_key

from .client import PATIENCE

__all__ = ["RawConnection"]

# All connections use one key. Real clients need random keys because of proxies.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = accept_key(KEY).encode()

#: It is masked with zeros. For the server, that is a mask like any other.
CLOSE = b"\x88\x82\0\0\0\0" + (1000).to_bytes(2, "big")


class RawConnection(asyncio.Protocol):
    """
    A connection. It begins before the handshake.

    Args:
        request: The request that :meth:`request` made.
    """

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._head = b""
        self._loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._wanted = 0
        self._enough: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, port: int, request: bytes) -> RawConnection:
        """Connect, and return when the server has accepted."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            transport, connection = await loop.create_connection(
                lambda: cls(request), "127.0.0.1", port
            )
            try:
                await connection._accepted
            except BaseException:
                transport.abort()
                raise
        return connection

    @staticmethod
    def request(port: int, target: str) -> bytes:
        """Make the handshake's request."""
        return (
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()

    async def echo(self, text: bytes) -> None:
        """Send a text message of up to 125 bytes, and wait until as many bytes have come back."""
        self._wanted = 2 + len(text)
        self._enough = self._loop.create_future()
        self._transport.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        async with asyncio.timeout(PATIENCE):
            await self._enough

    async def aclose(self) -> None:
        """Close, and return when the server has ended the connection."""
        self._transport.write(CLOSE)
        async with asyncio.timeout(PATIENCE):
            await self._ended

    def abort(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It behaves like a Transport, but uvloop's class has other bases.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._accepted.done():
            self._head += data
            if b"\r\n\r\n" in self._head:
                self._check()
        elif self._enough is not None and not self._enough.done():
            self._wanted -= len(data)
            if self._wanted <= 0:
                self._enough.set_result(None)

    def _check(self) -> None:
        if self._head.startswith(b"HTTP/1.1 101") and ACCEPT in self._head:
            self._accepted.set_result(None)
        else:
            self._fail(ConnectionError(f"refused: {self._head[:80]!r}"))

    def _fail(self, error: Exception) -> None:
        for waiter in (self._accepted, self._enough):
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionError(f"lost: {exc}"))
        if not self._ended.done():
            self._ended.set_result(None)
