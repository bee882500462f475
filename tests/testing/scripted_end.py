"""An end of a connection whose other side is the test."""

from __future__ import annotations

import trio
from websockets.protocol import SERVER, Protocol

__all__ = ["ScriptedEnd"]


class ScriptedEnd:
    """An end whose other side is the test."""

    fault = ""
    has_arrived = True

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[bytes](100)
        self.sent = bytearray()
        #: How the client has ended it: "eof", "closed", "reset".
        self.ends: list[str] = []
        #: Cleared while the server doesn't take anything.
        self.takes = trio.Event()
        self.takes.set()

    def says(self, data: bytes) -> None:
        self._send.send_nowait(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = await self._receive.receive()
        if data == b"RST":
            raise trio.BrokenResourceError
        return data

    async def send_all(self, data: bytes) -> None:
        await self.takes.wait()
        self.sent += data

    def send_eof(self) -> None:
        self.ends.append("eof")

    def close(self) -> None:
        self.ends.append("closed")

    def reset(self) -> None:
        self.ends.append("reset")

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """What the client has sent, as a server reads it."""
        server = Protocol(SERVER)
        server.receive_data(bytes(self.sent))
        assert server.parser_exc is None
        return [(one.opcode, bytes(one.data)) for one in server.events_received()]
