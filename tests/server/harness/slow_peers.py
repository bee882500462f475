"""Peers that read at a given speed, in memory and on the virtual clock."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from tests.raw import BINARY, CLOSE, PING, PONG, TEXT, frame, handshake, take_frame
from triows._server.arrival import Addresses, Arrival
from triows._server.config import Config
from triows._server.drain import Drain
from triows._server.serve import run_server
from triows._server.server import Server, open_server
from triows.testing._memory import MemoryEnd, MemoryLink, MemoryReactor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from triows import RequestIds, Triows

__all__ = ["Site", "SlowPeer", "serving"]


class SlowPeer:
    """
    A client that reads a number of bytes per second. When it reads a ping or a close, it answers.

    Args:
        end: The client's end of the connection.
    """

    def __init__(self, end: MemoryEnd) -> None:
        self.end = end
        self.answers_pings = self.answers_closes = True
        #: Everything that it has read.
        self.received = bytearray()
        #: How the connection ended: ``"end"`` or ``"reset"``.
        self.over: str | None = None
        self.messages: list[int] = []
        self.pings = 0
        self.close_code: int | None = None
        # The frame that isn't whole yet.
        self._begun = bytearray()

    async def ask(self, path: str, *lines: bytes) -> None:
        """Ask for a WebSocket, and read the answer's head at once."""
        await self.end.send_all(handshake(path, *lines, host="testserver"))
        await self._read_head()

    async def get(self, path: str) -> None:
        """Ask for a response, and read its head at once."""
        request = b"GET %s HTTP/1.1\r\nhost: testserver\r\nconnection: close\r\n\r\n"
        await self.end.send_all(request % path.encode())
        await self._read_head()

    async def _read_head(self) -> None:
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            head += await self.end.receive_some(1)
        self.head = bytes(head)

    async def read(self, rate: float, *, seconds: float = float("inf"), step: float = 0.25) -> None:
        """Read *rate* bytes per second, for *seconds* or until the end."""
        until = trio.current_time() + seconds
        while self.over is None and trio.current_time() < until:
            await trio.sleep(step)
            with trio.move_on_at(until):
                await self._take(max(1, int(rate * step)))

    async def _take(self, size: int) -> None:
        while size and self.over is None:
            try:
                data = await self.end.receive_some(size)
            except trio.BrokenResourceError:
                self.over = "reset"
                return
            if not data:
                self.over = "end"
                return
            self.received += data
            size -= len(data)
            if b" 101 " in self.head:
                await self._look_at_frames(data)

    async def _look_at_frames(self, data: bytes) -> None:
        self._begun += data
        while (taken := take_frame(self._begun)) is not None:
            await self._answer(taken.opcode, taken.payload)

    async def _answer(self, opcode: int, payload: bytes) -> None:
        if opcode in {TEXT, BINARY}:
            self.messages.append(len(payload))
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big")
            if self.answers_closes:
                await self._reply(CLOSE, payload)
        elif opcode == PING:
            self.pings += 1
            if self.answers_pings:
                await self._reply(PONG, payload)

    async def _reply(self, opcode: int, payload: bytes) -> None:
        try:
            await self.end.send_all(frame(opcode, payload))
        except trio.BrokenResourceError:
            self.over = "reset"


class Site:
    """A server, and how to reach it."""

    def __init__(
        self,
        server: Server,
        reactor: MemoryReactor,
        scope: trio.CancelScope,
        over: trio.Event,
    ) -> None:
        self.server = server
        self._reactor = reactor
        #: Set it to shut the server down.
        self.stop = trio.Event()
        #: Cancel it to end the server at once.
        self.scope = scope
        self.over = over

    def connect(self, buffer: int = 2**16) -> SlowPeer:
        """Connect. Each direction holds *buffer* bytes."""
        link = MemoryLink(buffer, self._reactor)
        addresses = Addresses(("peer", 50_000), ("testserver", 80), secure=False)
        arrival = Arrival(link.wire, addresses)
        self.server.start(lambda: arrival, lambda: link.wire.close(abort=False))
        return SlowPeer(link.client)


@asynccontextmanager
async def serving(
    app: Triows, *, request_ids: RequestIds | None = None, **settings: Any
) -> AsyncIterator[Site]:
    """Serve an application in memory until the end of the block."""
    config = Config()
    config.accesslog = None
    for name, value in settings.items():
        setattr(config, name, value)
    reactor = MemoryReactor()
    over = trio.Event()

    async def run(task_status: trio.TaskStatus[Site]) -> None:
        with trio.CancelScope() as scope:
            opened = open_server(app, config, request_ids=request_ids, reactor=reactor)
            async with app.running(), opened as server:
                site = Site(server, reactor, scope, over)
                async with trio.open_nursery() as nursery:
                    await nursery.start(run_server, server, site.stop.wait, Drain())
                    task_status.started(site)
        over.set()

    async with trio.open_nursery() as nursery:
        yield await nursery.start(run)
        nursery.cancel_scope.cancel()
