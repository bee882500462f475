"""Measures how long an answer takes if requests come at a fixed rate."""

from __future__ import annotations

import select
import time
from collections import deque
from contextlib import ExitStack
from typing import ClassVar

import attrs

from .client import PATIENCE
from .http_client import Connection, whole_answer
from .process import ServerProcess
from .requests import ASKED, Requests
from .results import Sample

__all__ = ["REFERENCE", "RequestLatency"]

#: Whose half load the others get as well.
REFERENCE = "uvicorn"

#: The share of the time before answers count.
WARM_UP = 0.2

#: What a server needs to keep up with a rate, as a multiple of it. Without that, its queue grows
#: for as long as it is measured.
SPARE = 1.2

QUESTION = ASKED["requests"]


class Timed(Connection):
    """
    Notes how long each answer took.

    Args:
        port: The port of the server.
        poll: What watches all connections.
        whole: How many bytes an answer has.
        took: Takes the results, in seconds.
    """

    def __init__(self, port: int, poll: select.epoll, whole: int, took: list[float]) -> None:
        self._whole = self._missing = whole
        self._took = took
        self.due: deque[float] = deque()
        super().__init__(port, poll)

    def ask(self, due: float) -> None:
        """Send a request that was due at *due*. If it is late, the delay counts, too."""
        self.due.append(due)
        self.send(QUESTION.request)

    def arrived(self, count: int) -> None:
        if not count:
            raise ConnectionError(f"the server has closed: {self.last[-200:]!r}")
        self._missing -= count
        while self._missing <= 0:
            self._took.append(time.perf_counter() - self.due.popleft())
            self._missing += self._whole


@attrs.frozen
class RequestLatency:
    """
    The measure. Small requests are sent at fixed times, whatever has come back.

    A connection that still waits for an answer sends its next request behind the first.

    Args:
        connections: The number of connections, which send in turn.
        capacities: How many requests each server can answer per second. This is measured once, and
            kept from round to round.
        rate: How many are sent per second. By default, half of what the server can answer.
    """

    name: ClassVar[str] = "request_latency"
    most_rounds: ClassVar[int | None] = None

    connections: int
    capacities: dict[str, float]
    rate: int | None = None

    @property
    def parameters(self) -> dict[str, int]:
        asked = {"connections": self.connections}
        return asked if self.rate is None else {**asked, "rate": self.rate}

    def applies(self, server: ServerProcess) -> bool:
        if not self._measure.applies(server):
            return False
        capacity = self.capacities.get(server.peer.name)
        return not (self.rate and capacity and capacity < self.rate * SPARE)

    @property
    def _measure(self) -> Requests:
        return Requests("requests", self.connections)

    async def sample(self, server: ServerProcess, seconds: float) -> Sample:
        rate = self.rate or await self._capacity(server, seconds) / 2
        took: list[float] = []
        whole = whole_answer(server.port, QUESTION)
        with ExitStack() as stack:
            poll = select.epoll()
            stack.callback(poll.close)
            connections = []
            for _ in range(self.connections):
                connections.append(Timed(server.port, poll, whole, took))
                stack.callback(connections[-1].close)
            before, begin = server.usage(), time.perf_counter()
            _drive(poll, connections, rate, begin, seconds)
            passed, used = time.perf_counter() - begin, server.usage() - before
        counted = sorted(took[int(len(took) * WARM_UP) :])
        return Sample(
            count=len(took),
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
        sample = await self._measure.sample(server, seconds)
        name = server.peer.name
        self.capacities[name] = max(sample.rate, self.capacities.get(name, 0))
        return self.capacities[name]


def _drive(
    poll: select.epoll, connections: list[Timed], rate: float, begin: float, seconds: float
) -> None:
    """Send for *seconds*, and wait until everything is answered."""
    by_descriptor = {one.fileno(): one for one in connections}
    sent, count = 0, len(connections)
    while (now := time.perf_counter()) < begin + seconds or any(one.due for one in connections):
        if now > begin + seconds + PATIENCE:
            raise TimeoutError("not everything was answered")
        while sent < min(now - begin, seconds) * rate:
            connections[sent % count].ask(begin + sent / rate)
            sent += 1
        for descriptor, events in poll.poll(0):  # look at the clock all the time
            by_descriptor[descriptor].turn(events)
