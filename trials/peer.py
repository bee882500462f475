"""A peer that costs as little as possible: a blocking socket, and frames made by hand."""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
from typing import Any, Self

from .frames import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame
from .handshakes import handshake

__all__ = ["Frames", "Peer", "Refused", "connect", "reset"]

#: How many seconds a busy server may take for something.
PATIENCE = 30

# Several addresses, so that there are enough ports for tens of thousands of connections, including
# those that were closed in the last minute. Each address has about 28 000 ports.
_sources = itertools.cycle([f"127.0.0.{number}" for number in range(1, 5)])


def connect(
    address: tuple[str, int], *, timeout: float = PATIENCE, receive_buffer: int | None = None
) -> socket.socket:
    """
    Connect from one of several addresses of this machine, in turn.

    Args:
        address: The address of the server.
        timeout: How many seconds this, and every later operation, may take.
        receive_buffer: How many bytes the system may hold for the peer. With few, a server soon
            notices that nobody reads what it sends.

    Raises:
        OSError: There is no server.
    """
    sock = socket.socket()
    try:
        sock.settimeout(timeout)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        # Without this, the system chooses the port before it knows the destination. Then two
        # connections can't share it.
        sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((next(_sources), 0))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def reset(sock: socket.socket) -> None:
    """Close so that the other side gets a reset instead of an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Refused(Exception):
    """The answer to a handshake wasn't 101. The exception has the head of the answer."""


class Frames:
    """Cuts what a server sends into frames. It only works for valid frames."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = bytearray(data)

    def feed(self, data: bytes) -> None:
        self._data += data

    def next(self) -> tuple[int, bytes] | None:
        """Take the opcode and payload of the next frame, or ``None`` if it isn't complete."""
        data = self._data
        if len(data) < 2:
            return None
        length, start = data[1] & 0x7F, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(data) < start:
                return None
            length = int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            return None
        taken = data[0] & 0x0F, bytes(data[start : start + length])
        del data[: start + length]
        return taken


class Peer:
    """
    A WebSocket connection. Making one does the handshake.

    Args:
        address: The address of the server.
        path: The path, and maybe a query.
        headers: Further lines of the request.
        tls: The context for TLS, if the server uses TLS.
        options: Options of :func:`connect`.

    Raises:
        Refused: The server refused the connection.
        OSError: There is no server, or it took too long.
    """

    def __init__(
        self,
        address: tuple[str, int],
        path: str,
        *headers: tuple[str, str],
        tls: ssl.SSLContext | None = None,
        **options: Any,
    ) -> None:
        self.socket = connect(address, **options)
        try:
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname=address[0])
            self.socket.sendall(handshake(path, *headers))
            self.head, self._frames = self._read_head()
        except BaseException:
            self.socket.close()
            raise

    def _read_head(self) -> tuple[bytes, Frames]:
        data = b""
        while b"\r\n\r\n" not in data:
            received = self.socket.recv(65536)
            if not received:
                raise Refused(data)
            data += received
        head, _, rest = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Refused(head)
        return head, Frames(rest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    @property
    def is_compressing(self) -> bool:
        return b"permessage-deflate" in self.head.lower()

    def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.socket.sendall(frame(TEXT, message.encode()))
        else:
            self.socket.sendall(frame(BINARY, message))

    def receive_frame(self) -> tuple[int, bytes] | None:
        """
        Wait for the next frame's opcode and payload. Return ``None`` at the end.

        Raises:
            OSError: The connection was reset, or nothing came in time.
        """
        while (taken := self._frames.next()) is None:
            data = self.socket.recv(65536)
            if not data:
                return None
            self._frames.feed(data)
        return taken

    def receive(self) -> bytes:
        """
        Wait for a message, and answer pings meanwhile.

        Raises:
            ConnectionError: The connection was closed instead.
            OSError: Nothing came in time.
        """
        while (taken := self.receive_frame()) is not None:
            opcode, payload = taken
            if opcode in {TEXT, BINARY}:
                return payload
            if opcode == PING:
                self.socket.sendall(frame(PONG, payload))
            if opcode == CLOSE:
                raise ConnectionError(f"closed with {payload!r}")
        raise ConnectionError("ended without a close frame")

    def wait_closed(self) -> int | None:
        """Read until the end, and return the code of the close frame, if one came."""
        code = None
        while (taken := self.receive_frame()) is not None:
            if taken[0] == CLOSE:
                code = int.from_bytes(taken[1][:2], "big") if taken[1] else 1005
        return code

    def close(self) -> int | None:
        """Do the closing handshake, and return the server's code."""
        self.socket.sendall(close_frame())
        return self.wait_closed()
