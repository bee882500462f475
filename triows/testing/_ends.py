"""The client's end of a connection: in memory, or a socket of this machine."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from typing import Self

__all__ = ["End", "SocketEnd"]


class End(Protocol):
    """Bytes to and from a server. :class:`~triows._transports.memory.MemoryEnd` is one."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """
        Wait for bytes; none are the end. Cancelling it loses none.

        Raises:
            trio.BrokenResourceError: the connection was cut.
        """

    async def send_all(self, data: bytes) -> None:
        """
        Wait until all of *data* is on its way. Cancelled, an unknown part of it is.

        Raises:
            trio.BrokenResourceError: the connection is over.
        """

    def send_eof(self) -> None:
        """Close the client's side; what the server sends still comes."""

    def close(self) -> None:
        """Close it, after all that was sent."""

    def reset(self) -> None:
        """Cut it, behind what was sent; what the server sent and was not read is lost."""


class SocketEnd:
    """
    An :class:`End` on a TCP connection.

    Args:
        stream: The connection, owned from now on.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    @classmethod
    async def connect(cls, host: str, port: int, buffer: int) -> Self:
        """
        Connect.

        Args:
            host: An address of this machine.
            port: Where a server listens.
            buffer: Bytes that the client's system holds in each direction, about: the system
                rounds it up, and the server's has buffers of its own.

        Raises:
            OSError: nobody listens there.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            # Before it is connected, for the window is agreed on then.
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, buffer)
            await sock.connect((host, port))
        except ConnectionResetError as exc:
            sock.close()
            # It was in the queue of a server that went away.
            raise ConnectionRefusedError("the server has stopped listening") from exc
        except BaseException:
            sock.close()
            raise
        return cls(trio.SocketStream(sock))

    @property
    def address(self) -> tuple[str, int]:
        """What the server sees as its peer."""
        host, port, *_ = self._stream.socket.getsockname()
        return host, port

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes) -> None:
        await self._stream.send_all(data)

    def send_eof(self) -> None:
        with suppress(OSError):  # it is broken
            self._stream.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._stream.socket.close()

    def reset(self) -> None:
        with suppress(OSError):  # it is closed
            linger = struct.pack("ii", 1, 0)
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._stream.socket.close()
