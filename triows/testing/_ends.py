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
    """Bytes to and from a server. :class:`~triows.testing._memory.MemoryEnd` is one."""

    @property
    def fault(self) -> str:
        """How the test's network broke the connection. Empty if it didn't."""

    @property
    def has_arrived(self) -> bool:
        """Whether all that was sent has arrived at the server, as far as the client knows."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """
        Wait for bytes. ``b""`` means the end. Cancelling this loses no bytes.

        Raises:
            trio.BrokenResourceError: the connection was reset.
        """

    async def send_all(self, data: bytes) -> None:
        """
        Wait until all of *data* is on its way. If this is cancelled, some of it may be.

        Raises:
            trio.BrokenResourceError: the connection is over.
        """

    def send_eof(self) -> None:
        """Close the client's side. What the server sends can still be read."""

    def close(self) -> None:
        """Close both sides. The server still gets what was sent."""

    def reset(self) -> None:
        """
        Reset the connection.

        The server still gets what was sent. What the server sent and nobody has read is lost.
        """


class SocketEnd:
    """
    An :class:`End` on a TCP connection.

    Args:
        stream: The connection. This object owns it from now on.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    @classmethod
    async def connect(cls, host: str, port: int, buffer: int) -> Self:
        """
        Connect.

        Args:
            host: An address of this machine.
            port: The port on which a server listens.
            buffer: About how many bytes the client's system holds in each direction. The system
                rounds it up. The server's system has buffers of its own.

        Raises:
            OSError: Nobody listens there.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            # Set them before connecting, because TCP negotiates the window then.
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, buffer)
            await sock.connect((host, port))
        except ConnectionResetError as exc:
            sock.close()
            # The connection was in the queue of a server that has stopped.
            raise ConnectionRefusedError("the server has stopped listening") from exc
        except BaseException:
            sock.close()
            raise
        return cls(trio.SocketStream(sock))

    @property
    def fault(self) -> str:
        return ""

    @property
    def has_arrived(self) -> bool:
        return True

    @property
    def address(self) -> tuple[str, int]:
        """The client's address, which the server sees."""
        host, port, *_ = self._stream.socket.getsockname()
        return host, port

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes) -> None:
        await self._stream.send_all(data)

    def send_eof(self) -> None:
        with suppress(OSError):  # the connection is broken
            self._stream.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._stream.socket.close()

    def reset(self) -> None:
        with suppress(OSError):  # the connection is closed already
            linger = struct.pack("ii", 1, 0)
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._stream.socket.close()
