"""Measures how long an echo takes if the server has half as much to do as it could do."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import ClassVar

import attrs
from picows import WSFrame

from .client import PATIENCE, TEXT, Client, connected
from .echo import Echo
from .process import ServerProcess
from .results import Sample

__all__ = ["Latency"]

#: The share of the time before answers count.
WARM_UP = 0.2


class TimedClient(Client):
    """
    Notes how long each echo took.

    Args:
        payload: The message.
        took: Takes the results, in seconds.
    """

    def __init__(self, payload: bytes, took: list[float]) -> None:
        super().__init__()
        self._payload = payload
        self._took = took
        self._due: deque[float] = deque()
        self.idle = asyncio.Event()
        self.idle.set()

    def send(self, due: float) -> None:
        """Send a message that was due at *due*. If it is late, the delay counts, too."""
        self._due.append(due)
        self.idle.clear()
        self.transport.send(TEXT, self._payload)

    def message(self, frame: WSFrame) -> None:
        if frame.fin:
            self._took.append(time.perf_counter() - self._due.popleft())
            if not self._due:
                self.idle.set()

    def lost(self) -> None:
        self.idle.set()


@attrs.frozen
class Latency:
    """
    The measure. Messages are sent at fixed times, whatever has come back.

    So if a server stalls, everything that it kept waiting counts. The load looks at the clock all
    the time, because a timer would be less exact than what is measured.

    Args:
        size: The size of a message, in bytes.
        connections: The number of connections, which send in turn.
        capacities: How many messages each server can echo per second, with one in flight per
            connection. This is measured once, and kept from round to round.
        rate: How many messages are sent per second. By default, half of what the server can do.
    """

    name: ClassVar[str] = "latency"
    most_rounds: ClassVar[int | None] = None

    size: int
    connections: int
    capacities: dict[str, float]
    rate: int | None = None

    @property
    def parameters(self) -> dict[str, int]:
        asked = {"size": self.size, "connections": self.connections}
        return asked if self.rate is None else {**asked, "rate": self.rate}

    def applies(self, server: ServerProcess) -> bool:
        return server.peer.echo is not None

    async def sample(self, server: ServerProcess, seconds: float) -> Sample:
        rate = self.rate or await self._capacity(server, seconds) / 2
        took: list[float] = []
        payload = b"a" * self.size
        async with connected(
            lambda: TimedClient(payload, took), server.port, server.peer.echo, self.connections
        ) as clients:
            before = server.usage()
            begin = time.perf_counter()
            await _drive(clients, rate, begin, seconds)
            async with asyncio.timeout(PATIENCE):
                for client in clients:
                    await client.idle.wait()
            passed, used = time.perf_counter() - begin, server.usage() - before
        count = len(took)
        counted = sorted(took[int(count * WARM_UP) :])
        return Sample(
            count=count,
            seconds=passed,
            server=used.on_core,
            server_waiting=used.waiting,
            values={
                "rate": rate,
                "p50": counted[len(counted) // 2],
                "p99": counted[len(counted) * 99 // 100],
            },
        )

    async def _capacity(self, server: ServerProcess, seconds: float) -> float:
        sample = await Echo(self.size, 1, self.connections).sample(server, seconds)
        name = server.peer.name
        self.capacities[name] = max(sample.rate, self.capacities.get(name, 0))
        return self.capacities[name]


async def _drive(clients: list[TimedClient], rate: float, begin: float, seconds: float) -> None:
    sent = 0
    while (now := time.perf_counter()) < begin + seconds:
        while sent < (now - begin) * rate:
            clients[sent % len(clients)].send(begin + sent / rate)
            sent += 1
        await asyncio.sleep(0)  # let the loop check the sockets once
