"""The interface that tests need of any WebSocket client."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

import trio

from tests.server.harness.process import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

__all__ = ["Client", "Closed", "Loop"]

T = TypeVar("T")


class Closed(Exception):
    """The server has closed, with this code and reason."""

    def __init__(self, code: int | None, reason: str | None) -> None:
        super().__init__(code, reason or "")


class Client(Protocol):
    """An open connection."""

    #: What it can't do, and why.
    cannot: ClassVar[Mapping[str, str]] = {}

    @property
    def subprotocol(self) -> str | None: ...

    async def send(self, message: str | bytes) -> None: ...

    async def send_fragments(self, fragments: Sequence[str] | Sequence[bytes]) -> None:
        """Send one message, each of these in a frame of its own."""

    async def receive(self) -> str | bytes:
        """
        Receive a message.

        Raises:
            Closed: The server has closed.
        """

    async def ping(self) -> None:
        """Send a ping, and wait for the pong."""

    async def close(self, code: int, reason: str) -> None:
        """Close, with the closing handshake."""


class Loop:
    """An asyncio event loop in a thread, for clients that need one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run_sync(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await trio.to_thread.run_sync(self.run_sync, coroutine)
