"""aiohttp, in a thread with an event loop."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import aiohttp
from attrs import frozen

from tests.server.clients.interface import Closed, Loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

__all__ = ["open_aiohttp"]


@frozen
class Aiohttp:
    """A connection of aiohttp."""

    cannot: ClassVar[Mapping[str, str]] = {"send_fragments": "it sends each message in one frame"}

    loop: Loop
    ws: aiohttp.ClientWebSocketResponse

    @property
    def subprotocol(self) -> str | None:
        return self.ws.protocol

    async def send(self, message: str | bytes) -> None:
        send: Any = self.ws.send_str if isinstance(message, str) else self.ws.send_bytes
        await self.loop.run(send(message))

    async def _receive(self) -> aiohttp.WSMessage:
        while True:
            message = await self.ws.receive()
            if message.type is not aiohttp.WSMsgType.PING:
                return message
            await self.ws.pong(message.data)

    async def receive(self) -> str | bytes:
        message = await self.loop.run(self._receive())
        if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            data: str | bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise Closed(message.data, message.extra)
        raise Closed(self.ws.close_code, str(message))

    async def ping(self) -> None:
        async def ping() -> None:
            await self.ws.ping(b"are you there?")
            message = await self._receive()
            assert (message.type, bytes(message.data)) == (
                aiohttp.WSMsgType.PONG,
                b"are you there?",
            )

        await self.loop.run(ping())

    async def close(self, code: int, reason: str) -> None:
        await self.loop.run(self.ws.close(code=code, message=reason.encode()))


@asynccontextmanager
async def open_aiohttp(
    url: str, *, cafile: str | None = None, subprotocols: Sequence[str] = ()
) -> AsyncIterator[Aiohttp]:
    with Loop() as loop:

        async def connect() -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
            session = aiohttp.ClientSession()
            context = ssl.create_default_context(cafile=cafile) if cafile else True
            try:
                return session, await session.ws_connect(
                    url, protocols=subprotocols, ssl=context, autoping=False, max_msg_size=2**24
                )
            except BaseException:
                await session.close()
                raise

        session, ws = await loop.run(connect())
        socket = ws.get_extra_info("socket")

        async def disconnect() -> None:
            await ws.close()
            await session.close()
            # TLS takes a while to close, and aiohttp doesn't wait for that.
            while socket is not None and socket.fileno() != -1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        try:
            yield Aiohttp(loop, ws)
        finally:
            loop.run_sync(disconnect())
