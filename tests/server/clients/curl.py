"""libcurl through pycurl. The wheel of pycurl has a libcurl with WebSockets."""

from __future__ import annotations

import select
import time
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pycurl
import trio
from attrs import define

from tests.server.clients.interface import Closed
from tests.server.harness.process import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

__all__ = ["open_curl"]

T = TypeVar("T")


@define
class Curl:
    """A connection of libcurl. It answers pings only during a receive."""

    cannot: ClassVar[Mapping[str, str]] = {}

    curl: Any
    subprotocol: str | None = None

    def _when_ready(self, call: Callable[[], T], writing: bool = False) -> T:
        socket = self.curl.getinfo(pycurl.ACTIVESOCKET)
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            with suppress(BlockingIOError):
                return call()
            select.select([socket], [socket] if writing else [], [], left)
        raise TimeoutError

    def _send(self, data: bytes, flags: int) -> None:
        # If a frame is sent in several calls, each call needs the flags of the first.
        left = memoryview(data)
        while True:
            sent = self._when_ready(partial(self.curl.ws_send, left, flags), writing=True)
            left = left[sent:]
            if not left:
                return

    def _read_frame(self) -> tuple[int, bytes]:
        data = b""
        while True:
            part, meta = self._when_ready(lambda: self.curl.ws_recv(2**16))
            data += part
            if meta.bytesleft == 0:
                return meta.flags, data

    def _receive(self) -> str | bytes:
        message = b""
        while True:
            try:
                flags, data = self._read_frame()
            except pycurl.error as exc:
                raise Closed(None, str(exc)) from None
            if flags & pycurl.WS_CLOSE:
                raise Closed(int.from_bytes(data[:2], "big") or None, data[2:].decode())
            if flags & pycurl.WS_PING:
                self._send(data, pycurl.WS_PONG)
            if flags & (pycurl.WS_PING | pycurl.WS_PONG):
                continue
            message += data
            if not flags & pycurl.WS_CONT:
                return message.decode() if flags & pycurl.WS_TEXT else message

    @staticmethod
    def _encoded(message: str | bytes) -> tuple[bytes, int]:
        if isinstance(message, str):
            return message.encode(), pycurl.WS_TEXT
        return message, pycurl.WS_BINARY

    async def send(self, message: str | bytes) -> None:
        await trio.to_thread.run_sync(self._send, *self._encoded(message))

    async def send_fragments(self, fragments: Sequence[str] | Sequence[bytes]) -> None:
        def send() -> None:
            for left, fragment in reversed([*enumerate(reversed(fragments))]):
                data, flags = self._encoded(fragment)
                self._send(data, flags | (pycurl.WS_CONT if left else 0))

        await trio.to_thread.run_sync(send)

    async def receive(self) -> str | bytes:
        return await trio.to_thread.run_sync(self._receive)

    async def ping(self) -> None:
        def ping() -> None:
            self._send(b"are you there?", pycurl.WS_PING)
            flags, data = self._read_frame()
            assert flags & pycurl.WS_PONG
            assert data == b"are you there?"

        await trio.to_thread.run_sync(ping)

    async def close(self, code: int, reason: str) -> None:
        def close() -> None:
            self._when_ready(lambda: self.curl.ws_close(code, reason), writing=True)
            with suppress(Closed):
                while True:
                    self._receive()

        await trio.to_thread.run_sync(close)


@asynccontextmanager
async def open_curl(
    url: str, *, cafile: str | None = None, subprotocols: Sequence[str] = ()
) -> AsyncIterator[Curl]:
    curl = pycurl.Curl()
    try:
        client = Curl(curl)

        def read_header(line: bytes) -> None:
            name, _, value = line.decode().partition(":")
            if name.lower() == "sec-websocket-protocol":
                client.subprotocol = value.strip()

        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.CONNECT_ONLY, 2)
        # libcurl's own pongs wait until the next send, and a client that only receives never sends.
        curl.setopt(pycurl.WS_OPTIONS, pycurl.WS_NOAUTOPONG)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.TIMEOUT, PATIENCE)
        curl.setopt(pycurl.HEADERFUNCTION, read_header)
        if subprotocols:
            offer = f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}"
            curl.setopt(pycurl.HTTPHEADER, [offer])
        if cafile is not None:
            curl.setopt(pycurl.CAINFO, cafile)
        await trio.to_thread.run_sync(curl.perform)
        yield client
    finally:
        curl.close()
