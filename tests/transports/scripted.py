"""An ASGI server. The test plays the peer."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from triows import Limits, Timeouts
from triows._transports.asgi import ASGITransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["ScriptedServer", "accepted", "opened"]

CONNECT = {"type": "websocket.connect"}
DENIALS = {"websocket.http.response": {}}


class ScriptedServer:
    """
    ASGI's two functions.

    Args:
        queue: How many events may wait for the application. With more, :meth:`put` blocks, as in
            Hypercorn.
        extensions: The extensions that the server claims to have.
    """

    def __init__(
        self, queue: float = math.inf, extensions: dict[str, Any] | None = DENIALS
    ) -> None:
        self.scope = {"type": "websocket", "extensions": extensions}
        #: The events that the application has sent and the server has taken.
        self.sent: list[Any] = []
        self.receives = 0
        self.closed = trio.Event()
        #: If there is one, sends wait for it, shielded if the test wants that.
        self.gate: trio.Event | None = None
        self.shielded = False
        self.sends_fail = False
        self._into, self._events = trio.open_memory_channel[Any](queue)

    async def receive(self) -> Any:
        self.receives += 1
        return await self._events.receive()

    async def send(self, event: Any) -> None:
        if self.gate is not None:
            with trio.CancelScope(shield=self.shielded):
                await self.gate.wait()
        await trio.lowlevel.checkpoint()
        if self.sends_fail:
            raise ConnectionError("the socket is gone")
        self.sent.append(event)
        if event["type"] == "websocket.close":
            self.closed.set()

    # The peer.

    async def put(self, event: Any) -> None:
        await self._into.send(event)

    async def says(self, *messages: str | bytes) -> None:
        for message in messages:
            key = "text" if isinstance(message, str) else "bytes"
            await self.put({"type": "websocket.receive", key: message})

    async def leaves(self, code: int | None = 1006, reason: str = "") -> None:
        await self.put({"type": "websocket.disconnect", "code": code, "reason": reason})

    def breaks(self) -> None:
        """Break the server's own connection."""
        self._into.close()

    async def answers_the_close(self) -> None:
        """Wait for the application's close, and leave."""
        await self.closed.wait()
        await self.leaves(1000)

    @property
    def messages(self) -> list[str | bytes]:
        """The messages among what was sent."""
        events = [event for event in self.sent if event["type"] == "websocket.send"]
        return [event.get("text", event.get("bytes")) for event in events]

    @property
    def kinds(self) -> list[str]:
        return [event["type"].removeprefix("websocket.") for event in self.sent]


@asynccontextmanager
async def opened(
    server: ScriptedServer, *, limits: Limits | None = None, timeouts: Timeouts | None = None
) -> AsyncIterator[ASGITransport]:
    """Open a transport on *server*, and run its tasks. It isn't accepted yet."""
    transport = ASGITransport(
        server.scope,
        server.receive,
        server.send,
        limits=limits or Limits(),
        timeouts=timeouts or Timeouts(),
    )
    async with trio.open_nursery() as nursery:
        transport.start(nursery)
        try:
            yield transport
        finally:
            with trio.CancelScope(shield=True):
                await transport.aclose(linger=0)
            # The end would wait for sends that are shielded.
            if server.gate is not None:
                server.gate.set()


@asynccontextmanager
async def accepted(server: ScriptedServer, **settings: Any) -> AsyncIterator[ASGITransport]:
    """Open and accept a transport. Forget what was sent for that."""
    async with opened(server, **settings) as transport:
        await server.put(CONNECT)
        await transport.accept(None, [])
        server.sent.clear()
        yield transport
