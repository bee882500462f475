"""Measures how many deliveries per second a server makes if messages go to everyone."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import attrs
from picows import WSFrame, WSTransport

from .client import PATIENCE, TEXT, Client, connected
from .measure import window
from .process import ServerProcess
from .results import Sample

__all__ = ["FanOut"]


class Audience:
    """
    All members of a fan-out. When the last one has got a message, the next is sent.

    Args:
        payload: The message.
    """

    def __init__(self, payload: bytes) -> None:
        self.going = True
        self.idle = asyncio.Event()
        self._payload = payload
        self._members: list[Member] = []
        self._missing = 0

    def start(self, members: list[Member]) -> None:
        """Send the first message."""
        self._members = members
        self._send()

    def _send(self) -> None:
        self._missing = len(self._members)
        self._members[0].transport.send(TEXT, self._payload)

    @property
    def delivered(self) -> int:
        """How many messages all members together have got."""
        return sum(member.received for member in self._members)

    def delivery(self) -> None:
        """Note one delivery."""
        self._missing -= 1
        if not self._missing:
            if self.going:
                self._send()
            else:
                self.idle.set()


class Member(Client):
    """One member of the audience."""

    def __init__(self, audience: Audience) -> None:
        super().__init__()
        self.received = 0
        self._delivery = audience.delivery

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        # This has no calls either, for speed.
        if frame.msg_type == TEXT and frame.fin:
            self.received += 1
            self._delivery()
        else:
            super().on_ws_frame(transport, frame)

    def message(self, frame: WSFrame) -> None:
        if frame.fin:
            self.received += 1
            self._delivery()


@attrs.frozen
class FanOut:
    """
    The measure. One member sends, and all of them get it, again and again.

    Args:
        size: The size of the message, in bytes.
        connections: How many members get it.
    """

    name: ClassVar[str] = "fanout"
    most_rounds: ClassVar[int | None] = None

    size: int
    connections: int

    @property
    def parameters(self) -> dict[str, int]:
        return attrs.asdict(self)

    def applies(self, server: ServerProcess) -> bool:
        return server.peer.fan_out is not None

    async def sample(self, server: ServerProcess, seconds: float) -> Sample:
        assert server.peer.fan_out is not None
        audience = Audience(b"a" * self.size)
        async with connected(
            lambda: Member(audience), server.port, server.peer.fan_out, self.connections
        ) as members:
            audience.start(members)
            await asyncio.sleep(seconds / 4)
            sample = await window(server, seconds, lambda: audience.delivered)
            audience.going = False
            async with asyncio.timeout(PATIENCE):
                await audience.idle.wait()
            if len({member.received for member in members}) > 1:
                raise ValueError("not everyone got every message")
        return sample
