"""Measures how many messages come back per second."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import attrs
from picows import WSFrame, WSTransport

from .client import PATIENCE, TEXT, Client, connected
from .measure import window
from .process import ServerProcess
from .results import Sample

__all__ = ["Echo"]

#: How long servers warm up before the window: at least this share of it.
WARM_UP = 0.3


class EchoClient(Client):
    """
    Keeps a number of messages on their way.

    Args:
        payload: The message.
    """

    def __init__(self, payload: bytes) -> None:
        super().__init__()
        self.received = 0  # in bytes, because a server may send fragments
        self.owed = 0
        self.going = False  # from the first answer to the end
        self.answered = asyncio.Event()
        self.idle = asyncio.Event()
        self._payload = payload

    def start(self, flight: int) -> None:
        """Send *flight* messages, and one more for each that comes back."""
        self.owed = flight
        for _ in range(flight):
            self.transport.send(TEXT, self._payload)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        # The common case comes first and without a call, because it decides the load's speed.
        if frame.msg_type == TEXT and frame.fin and self.going:
            self.received += frame.payload_size
            transport.send(TEXT, self._payload)
        else:
            super().on_ws_frame(transport, frame)

    def message(self, frame: WSFrame) -> None:
        self.received += frame.payload_size
        if not frame.fin:
            return
        if not self.answered.is_set():
            self.answered.set()
            self.going = True
        if self.going:
            self.transport.send(TEXT, self._payload)
            return
        self.owed -= 1
        if not self.owed:
            self.idle.set()

    def lost(self) -> None:
        self.answered.set()
        self.idle.set()


@attrs.frozen
class Echo:
    """
    The measure.

    Args:
        size: The size of a message, in bytes.
        flight: How many messages are on their way at the same time, per connection.
        connections: How many connections there are.
    """

    name: ClassVar[str] = "echo"
    most_rounds: ClassVar[int | None] = None

    size: int
    flight: int
    connections: int

    @property
    def parameters(self) -> dict[str, int]:
        return attrs.asdict(self)

    def applies(self, server: ServerProcess) -> bool:
        return server.peer.echo is not None

    async def sample(self, server: ServerProcess, seconds: float) -> Sample:
        payload = b"a" * self.size

        def make() -> EchoClient:
            return EchoClient(payload)

        def count() -> float:
            return sum(client.received for client in clients) / self.size

        async with connected(make, server.port, server.peer.echo, self.connections) as clients:
            for client in clients:
                client.start(self.flight)
            await asyncio.sleep(seconds * WARM_UP)
            async with asyncio.timeout(PATIENCE):
                for client in clients:
                    await client.answered.wait()
            # Wait for at least one answer to each, because a server may read from all connections
            # before it answers any of them.
            sample = await window(server, seconds, count, self.connections * self.flight)
            for client in clients:
                client.going = False
            async with asyncio.timeout(PATIENCE):
                for client in clients:
                    await client.idle.wait()
            if lost := sum(client.owed != 0 for client in clients):
                raise ConnectionError(f"{lost} of {self.connections} connections were lost")
        if sum(client.received for client in clients) % self.size:
            raise ValueError("what came back is not what was sent")
        return sample
