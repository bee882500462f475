"""Measures the server's resident memory per idle connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import ClassVar

import attrs

from .process import ServerProcess
from .raw import RawConnection
from .results import Sample

__all__ = ["Memory"]

#: How many handshakes, or echoes, run at the same time.
AT_ONCE = 32
#: How many connections are opened, used and closed first, so that caches and pools are filled.
WARM_UP = 20

TEXT = b"a" * 32


@attrs.frozen
class Memory:
    """
    The measure. It uses a fresh server.

    Args:
        connections: How many connections there are.

    It measures twice: when all are accepted, and when each has echoed one short message.
    """

    name: ClassVar[str] = "memory"
    most_rounds: ClassVar[int | None] = 1

    connections: int

    @property
    def parameters(self) -> dict[str, int]:
        return attrs.asdict(self)

    def applies(self, server: ServerProcess) -> bool:
        return server.peer.echo is not None

    async def sample(self, server: ServerProcess, seconds: float) -> Sample:
        begin = time.perf_counter()
        async with AsyncExitStack() as stack:
            fresh = await stack.enter_async_context(ServerProcess(server.peer))
            request = RawConnection.request(fresh.port, fresh.peer.echo)
            open_: list[RawConnection] = []

            async def connect() -> None:
                connection = await RawConnection.open(fresh.port, request)
                stack.callback(connection.abort)
                open_.append(connection)

            await _repeat(connect, WARM_UP)
            for connection in open_:
                await connection.echo(TEXT)
                await connection.aclose()
            open_.clear()

            before = fresh.resident_bytes()
            await _repeat(connect, self.connections)
            accepted = fresh.resident_bytes()
            waiting = iter(list(open_))
            await _repeat(lambda: next(waiting).echo(TEXT), self.connections)
            echoed = fresh.resident_bytes()
        return Sample(
            count=self.connections,
            seconds=time.perf_counter() - begin,
            values={
                "accepted": (accepted - before) / self.connections,
                "echoed": (echoed - before) / self.connections,
            },
        )


async def _repeat(act: Callable[[], Awaitable[None]], times: int) -> None:
    """Do it a number of times, :data:`AT_ONCE` at the same time."""
    left = iter(range(times))

    async def worker() -> None:
        for _ in left:
            await act()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
