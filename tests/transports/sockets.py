"""Real sockets for the tests of wires, and a sink that keeps what it gets."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from triows._transports.reactor import new_reactor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from triows._transports.reactor import Reactor

__all__ = [
    "PATIENCE",
    "MiB",
    "Sink",
    "narrow",
    "reset",
    "running",
    "settled",
    "socketpair",
    "tcp",
    "trio_socket",
]

#: How many seconds anything may take.
PATIENCE = 5

MiB = 2**20


class Sink:
    """Keeps what it gets, and reports when there is something new."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.chunks: list[int] = []
        self.calls: list[str] = []
        #: Called when data arrives.
        self.then: Callable[[], None] = lambda: None
        self._news = trio.Event()

    def data_received(self, data: bytes) -> None:
        assert data
        self.data += data
        self.chunks.append(len(data))
        self.then()
        self._tell()

    def eof_received(self) -> None:
        self._call("eof")

    def hung_up(self) -> None:
        self._call("hangup")

    def on_turn(self) -> None:
        self._call("turn")

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def wait_until(self, true: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE):
            while not true():
                await self._news.wait()

    async def wait_data(self, size: int) -> None:
        await self.wait_until(lambda: len(self.data) >= size)

    async def wait_call(self, name: str) -> None:
        await self.wait_until(lambda: name in self.calls)


def socketpair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def tcp() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
        ours, _ = listener.accept()
    return ours, theirs


@asynccontextmanager
async def running(
    sockets: tuple[socket.socket, socket.socket], make_reactor: Callable[[], Reactor] = new_reactor
) -> AsyncIterator[tuple[Reactor, trio.Nursery]]:
    """Run a reactor, and a nursery for a wire on the first of two sockets."""
    ours, theirs = sockets
    reactor = make_reactor()
    try:
        ours.setblocking(False)
        theirs.setblocking(False)
        async with trio.open_nursery() as nursery:
            await nursery.start(reactor.run)
            async with trio.open_nursery() as connection:
                yield reactor, connection
            nursery.cancel_scope.cancel()
    finally:
        ours.close()
        theirs.close()


def trio_socket(sock: socket.socket) -> Any:
    return trio.socket.from_stdlib_socket(sock)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def narrow() -> tuple[socket.socket, socket.socket]:
    """Make a TCP connection with small buffers, so that a test can fill them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.socket()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14)
        theirs.settimeout(PATIENCE)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**17)
    return ours, theirs


async def settled(count: Callable[[], int]) -> int:
    """Wait until a number of the system has stayed the same for a moment."""
    last, same = count(), 0
    with trio.fail_after(PATIENCE):
        while same < 1000:
            await trio.lowlevel.checkpoint()
            same = same + 1 if count() == last else 0
            last = count()
    return last
