"""A peer that is as cheap as can be: a blocking socket, and frames by hand."""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
from typing import Any, Self

from .frames import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame
from .handshakes import handshake

__all__ = ["Frames", "Peer", "Refused", "connect", "reset"]

#: Seconds for what a busy server may take long for.
PATIENCE = 30

# So that tens of thousands of connections, and of those that were closed a minute ago, have
# a port: there are about 28 000 for each address.
_sources = itertools.cycle([f"127.0.0.{number}" for number in range(1, 5)])


def connect(
    address: tuple[str, int], *, timeout: float = PATIENCE, receive_buffer: int | None = None
) -> socket.socket:
    """
    Connect from one of several addresses of this machine, in turn.

    Args:
        address: Whereto.
        timeout: Seconds for this and for every later operation.
        receive_buffer: Bytes that the system may hold for the peer, which a server that
            sends without being read is to feel soon.

    Raises:
        OSError: there is nobody.
    """
    sock = socket.socket()
    try:
        sock.settimeout(timeout)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        # Else the port is chosen before the destination is known, and can't be shared.
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
    """The answer to a handshake was another one than 101: its head."""


class Frames:
    """What a server sends, cut into frames. No promise is made for what is no frame."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = bytearray(data)

    def feed(self, data: bytes) -> None:
        self._data += data

    def next(self) -> tuple[int, bytes] | None:
        """Take the opcode and payload of one, or nothing if it isn't complete."""
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
    A connection whose handshake is done when it is made.

    Args:
        address: Whereto.
        path: With a query, if it likes.
        headers: Further lines of the request.
        tls: To speak TLS.
        options: As of :func:`connect`.

    Raises:
        Refused: the server wouldn't have it.
        OSError: there is no server, or it took too long.
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
        Wait for the next frame's opcode and payload; ``None`` at the end.

        Raises:
            OSError: the connection was reset, or nothing came in time.
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
            ConnectionError: it was closed instead.
            OSError: nothing came in time.
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
