"""An ASGI server of which the test plays the client."""

from __future__ import annotations

import math
from typing import Any

import trio

from triows import ClientDisconnect

__all__ = ["START", "Server", "body"]

START = {"type": "http.response.start", "status": 201, "headers": []}


class Server:
    """ASGI's two functions."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.client_is_gone = False
        #: If there is one, sends wait for it.
        self.gate: trio.Event | None = None
        self._into, self._events = trio.open_memory_channel[Any](math.inf)

    async def receive(self) -> Any:
        return await self._events.receive()

    async def send(self, event: Any) -> None:
        await trio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.client_is_gone:
            raise ClientDisconnect
        self.sent.append(event)

    def put(self, event: Any) -> None:
        self._into.send_nowait(event)

    def leave(self) -> None:
        self.put({"type": "http.disconnect"})

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}
