"""Peers that are not ours, behind one small interface."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import trio
import trio_websocket
import websockets.exceptions
import websockets.sync.client
from attrs import frozen

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

__all__ = ["CLIENTS", "Closed"]


class Closed(Exception):
    """The server has closed, with this code and reason."""

    def __init__(self, code: int | None, reason: str | None) -> None:
        super().__init__(code, reason or "")


@frozen
class TrioWebSocket:
    """A connection of trio-websocket's."""

    ws: Any

    async def send(self, message: str | bytes) -> None:
        await self.ws.send_message(message)

    async def receive(self) -> str | bytes:
        try:
            message: str | bytes = await self.ws.get_message()
        except trio_websocket.ConnectionClosed as exc:
            raise Closed(exc.reason.code, exc.reason.reason) from None
        return message


@asynccontextmanager
async def open_trio_websocket(
    url: str, *, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[TrioWebSocket]:
    # open_websocket_url() leaves the socket open where the server closes first.
    parts = urlsplit(url)
    assert parts.hostname is not None
    stream: trio.abc.Stream = await trio.open_tcp_stream(parts.hostname, parts.port or 80)
    if ssl_context is not None:
        stream = trio.SSLStream(
            stream, ssl_context, server_hostname=parts.hostname, https_compatible=True
        )
    resource = f"{parts.path}?{parts.query}"
    async with stream, trio.open_nursery() as nursery:
        connecting = trio_websocket.wrap_client_stream(nursery, stream, parts.netloc, resource)
        async with await connecting as ws:
            yield TrioWebSocket(ws)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except websockets.exceptions.ConnectionClosed as exc:
        close = exc.rcvd
        raise Closed(None if close is None else close.code, close and close.reason) from None


@frozen
class Websockets:
    """A connection of websockets', each of whose calls is made in a thread."""

    ws: Any

    async def send(self, message: str | bytes) -> None:
        with _translated():
            await trio.to_thread.run_sync(self.ws.send, message)

    async def receive(self) -> str | bytes:
        with _translated():
            message: str | bytes = await trio.to_thread.run_sync(self.ws.recv)
        return message


@asynccontextmanager
async def open_websockets(
    url: str, *, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[Websockets]:
    stack = ExitStack()

    def connect() -> Any:
        return stack.enter_context(websockets.sync.client.connect(url, ssl=ssl_context, proxy=None))

    try:
        yield Websockets(await trio.to_thread.run_sync(connect))
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(stack.close)


CLIENTS = {"trio-websocket": open_trio_websocket, "websockets": open_websockets}
