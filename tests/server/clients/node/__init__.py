"""Node's ws, in a process of its own. Lines of JSON tell it what to do."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import trio
from attrs import frozen

from tests.server.clients.interface import Closed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

__all__ = ["missing", "open_node"]

FOLDER = Path(__file__).parent


def missing() -> str | None:
    """Return why it can't be used here, or ``None``."""
    if shutil.which("node") is None:
        return "no Node here: apt-get install nodejs npm"
    if not (FOLDER / "node_modules" / "ws").is_dir():
        return "Node's ws is not installed: make node"
    return None


class Lines:
    """Lines of JSON from a stream."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._received = bytearray()

    async def read(self) -> Any:
        while (end := self._received.find(b"\n")) < 0:
            data = await self._stream.receive_some()
            assert data, "the client has ended"
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return json.loads(line)


def _expressed(message: str | bytes) -> dict[str, str]:
    if isinstance(message, str):
        return {"text": message}
    return {"binary": base64.b64encode(message).decode()}


@frozen
class Node:
    """A connection of ws."""

    cannot: ClassVar[Mapping[str, str]] = {}

    commands: trio.abc.SendStream
    events: Lines
    subprotocol: str | None

    async def _command(self, command: str, **arguments: Any) -> None:
        line = json.dumps({"command": command, **arguments})
        await self.commands.send_all(line.encode() + b"\n")

    async def _event(self, kind: str) -> Any:
        event = await self.events.read()
        if event["event"] == "close":
            raise Closed(event["code"], event["reason"])
        assert event["event"] == kind, event
        return event

    async def send(self, message: str | bytes) -> None:
        await self._command("send", fragments=[_expressed(message)])

    async def send_fragments(self, fragments: Sequence[str] | Sequence[bytes]) -> None:
        await self._command("send", fragments=[_expressed(one) for one in fragments])

    async def receive(self) -> str | bytes:
        event = await self._event("message")
        if "binary" in event:
            return base64.b64decode(event["binary"])
        text: str = event["text"]
        return text

    async def ping(self) -> None:
        await self._command("ping", text="are you there?")
        assert (await self._event("pong"))["text"] == "are you there?"

    async def close(self, code: int, reason: str) -> None:
        await self._command("close", code=code, reason=reason)
        try:
            while True:
                await self._event("message")
        except Closed:
            pass


@asynccontextmanager
async def open_node(
    url: str, *, cafile: str | None = None, subprotocols: Sequence[str] = ()
) -> AsyncIterator[Node]:
    command = ["node", str(FOLDER / "client.mjs"), url, cafile or "", *subprotocols]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with process.stdout, process.stdin:
        try:
            lines = Lines(process.stdout)
            opened = await lines.read()
            assert opened["event"] == "open", opened
            yield Node(process.stdin, lines, opened["subprotocol"] or None)
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
