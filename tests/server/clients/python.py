"""trio-websocket and websockets."""

from __future__ import annotations

import ssl
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import trio
import trio_websocket
import websockets.exceptions
import websockets.sync.client
from attrs import frozen

from tests.server.clients.interface import Closed
from tests.server.harness.process import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

__all__ = ["open_trio_websocket", "open_websockets"]


def _context(cafile: str | None) -> ssl.SSLContext | None:
    return None if cafile is None else ssl.create_default_context(cafile=cafile)


@frozen
class TrioWebSocket:
    """A connection of trio-websocket."""

    cannot: ClassVar[Mapping[str, str]] = {"send_fragments": "it sends each message in one frame"}

    ws: Any

    @property
    def subprotocol(self) -> str | None:
        subprotocol: str | None = self.ws.subprotocol
        return subprotocol

    async def send(self, message: str | bytes) -> None:
        await self.ws.send_message(message)

    async def receive(self) -> str | bytes:
        try:
            message: str | bytes = await self.ws.get_message()
        except trio_websocket.ConnectionClosed as exc:
            raise Closed(exc.reason.code, exc.reason.reason) from None
        return message

    async def ping(self) -> None:
        await self.ws.ping()

    async def close(self, code: int, reason: str) -> None:
        await self.ws.aclose(code, reason)


@asynccontextmanager
async def open_trio_websocket(
    url: str, *, cafile: str | None = None, subprotocols: Sequence[str] = ()
) -> AsyncIterator[TrioWebSocket]:
    # If the server closes first, open_websocket_url() leaves the socket open.
    parts = urlsplit(url)
    assert parts.hostname is not None
    stream: trio.abc.Stream = await trio.open_tcp_stream(parts.hostname, parts.port or 80)
    if (context := _context(cafile)) is not None:
        stream = trio.SSLStream(
            stream, context, server_hostname=parts.hostname, https_compatible=True
        )
    resource = f"{parts.path}?{parts.query}"
    async with stream, trio.open_nursery() as nursery:
        connecting = trio_websocket.wrap_client_stream(
            nursery,
            stream,
            parts.netloc,
            resource,
            subprotocols=subprotocols or None,
            max_message_size=2**24,
        )
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
    """A connection of websockets. Each of its calls runs in a thread."""

    cannot: ClassVar[Mapping[str, str]] = {}

    ws: Any

    @property
    def subprotocol(self) -> str | None:
        subprotocol: str | None = self.ws.subprotocol
        return subprotocol

    async def send(self, message: str | bytes) -> None:
        with _translated():
            await trio.to_thread.run_sync(self.ws.send, message)

    async def send_fragments(self, fragments: Sequence[str] | Sequence[bytes]) -> None:
        with _translated():
            await trio.to_thread.run_sync(self.ws.send, iter(fragments))

    async def receive(self) -> str | bytes:
        with _translated():
            message: str | bytes = await trio.to_thread.run_sync(self.ws.recv)
        return message

    async def ping(self) -> None:
        assert await trio.to_thread.run_sync(self.ws.ping().wait, PATIENCE)

    async def close(self, code: int, reason: str) -> None:
        await trio.to_thread.run_sync(self.ws.close, code, reason)


@asynccontextmanager
async def open_websockets(
    url: str, *, cafile: str | None = None, subprotocols: Sequence[str] = ()
) -> AsyncIterator[Websockets]:
    stack = ExitStack()

    def connect() -> Any:
        return stack.enter_context(
            websockets.sync.client.connect(
                url,
                ssl=_context(cafile),
                subprotocols=subprotocols or None,
                max_size=2**24,
                proxy=None,
            )
        )

    try:
        yield Websockets(await trio.to_thread.run_sync(connect))
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(stack.close)
