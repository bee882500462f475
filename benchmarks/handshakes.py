"""Measures how many connections per second can be opened and closed."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import attrs

from .measure import window
from .process import ServerProcess
from .raw import RawConnection
from .results import Sample

__all__ = ["Handshakes"]


@attrs.frozen
class Handshakes:
    """
    The measure: TCP connect, handshake, closing handshake, end of the TCP connection.

    Args:
        at_once: How many run at the same time.
    """

    name: ClassVar[str] = "handshakes"
    most_rounds: ClassVar[int | None] = None

    at_once: int = 16

    @property
    def parameters(self) -> dict[str, int]:
        return attrs.asdict(self)

    def applies(self, server: ServerProcess) -> bool:
        return server.peer.echo is not None

    async def sample(self, server: ServerProcess, seconds: float) -> Sample:
        request = RawConnection.request(server.port, server.peer.echo)
        done = 0
        going = True

        async def one_after_another() -> None:
            nonlocal done
            while going:
                connection = await RawConnection.open(server.port, request)
                await connection.aclose()
                done += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(self.at_once):
                group.create_task(one_after_another())
            await asyncio.sleep(seconds / 4)
            sample = await window(server, seconds, lambda: done)
            going = False
        return sample
