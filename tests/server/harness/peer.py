"""A peer that sends any bytes, even such as no client library would send."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any, Protocol, Self

from attrs import frozen

from tests.raw import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    close_frame,
    frame,
    handshake,
    take_frame,
)

__all__ = ["Answer", "Bystander", "NoClose", "Peer", "Refused", "Reset", "Socket"]


@frozen
class Answer:
    """An HTTP response. For a 101, it is only the head."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of a header, or ``None``. Several values are joined."""
        lines = [line.partition(b":") for line in self.head.split(b"\r\n")[1:]]
        values = [value.strip() for key, _, value in lines if key.lower() == name.lower()]
        return b", ".join(values) if values else None

    @property
    def problem(self) -> Any:
        return json.loads(self.body)


class Refused(AssertionError):
    """The answer to a handshake wasn't 101."""


class Reset(EOFError):
    """The server has reset the connection."""


class NoClose(AssertionError):
    """The connection ended without a close frame."""


class Socket(Protocol):
    """
    The part of a connection that a peer needs, with the names of the standard library.

    For a server in a process of its own, it is a :class:`socket.socket`. For one in memory, it is a
    :class:`~tests.server.harness.memory.MemorySocket`.
    """

    def settimeout(self, seconds: float | None, /) -> None: ...
    def gettimeout(self) -> float | None: ...
    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def shutdown(self, how: int, /) -> None: ...
    def setsockopt(self, level: int, option: int, value: bytes, /) -> None: ...
    def close(self) -> None: ...


class Peer:
    """
    A connection to a server.

    Args:
        socket: The connection. Its timeout limits everything.
    """

    def __init__(self, socket: Socket) -> None:
        self.socket: Any = socket
        self._patience = socket.gettimeout() or 0
        self._received = bytearray()
        #: The answer to the handshake of :meth:`open`.
        self.answer: Answer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    # Sending.

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_as_far_as_taken(self, data: bytes) -> None:
        """Send to a server that may already have closed the connection, which is allowed."""
        with suppress(ConnectionError, TimeoutError, ssl.SSLError):
            self.socket.sendall(data)

    def finish(self) -> None:
        """Send FIN, which says that nothing more will come."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send RST, and disappear."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # Receiving.

    def _more(self) -> None:
        """
        Receive something.

        Raises:
            EOFError: Nothing more will come, because of FIN, or because of RST (:exc:`Reset`).
            TimeoutError: Nothing came.
        """
        try:
            data = self.socket.recv(2**18)
        except (ConnectionError, ssl.SSLError) as exc:
            raise Reset(str(exc)) from None
        if not data:
            raise EOFError("the server has closed the connection")
        self._received += data

    def wait(self) -> None:
        """Wait until something comes, or the end."""
        with suppress(EOFError):
            self._more()

    def hears_nothing_for(self, seconds: float) -> bool:
        """Wait, and say whether neither data nor the end has come."""
        self.socket.settimeout(seconds)
        try:
            self._more()
        except EOFError:
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(self._patience)
        return False

    def read(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def read_answer(self) -> Answer:
        """Read a response. If it doesn't say how long its body is, read until the end."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            self._more()
        head = self.read(end + 4)[:-4]
        answer = Answer(int(head.split(b" ", 2)[1]), head, b"")
        if answer.status == 101:
            return answer
        size = answer.header(b"content-length")
        body = self.read(int(size)) if size is not None else self.read_rest()
        return Answer(answer.status, head, body)

    def read_rest(self) -> bytes:
        """Read until the end of the TCP connection, which has to come."""
        try:
            while True:
                self._more()
        except EOFError:
            return self.read(len(self._received))

    def read_frame(self) -> Frame:
        while (taken := take_frame(self._received)) is None:
            self._more()
        return taken

    def read_message(self) -> str | bytes:
        """Read a message that consists of one frame."""
        return _message(self.read_frame())

    def read_close(self) -> tuple[int | None, str]:
        """
        Read until the close frame. Return its code and reason.

        Raises:
            NoClose: There was none.
        """
        deadline = time.monotonic() + self._patience
        try:
            while (got := self.read_frame()).opcode != CLOSE:
                if time.monotonic() > deadline:
                    raise NoClose("there was no end of other frames")
        except EOFError as exc:
            raise NoClose(str(exc)) from None
        if not got.payload:
            return None, ""
        return int.from_bytes(got.payload[:2], "big"), got.payload[2:].decode()

    def wait_closed(self) -> int | None:
        """
        Read until the end. Return the code of the close frame, or ``None`` if there was none.

        Raises:
            Reset: The end was a reset.
        """
        code = None
        try:
            while True:
                if (got := self.read_frame()).opcode == CLOSE:
                    code = int.from_bytes(got.payload[:2], "big") if got.payload else 1005
        except Reset:
            raise
        except EOFError:
            return code

    # Both.

    def ask(self, data: bytes) -> Answer:
        """Send a request, and read the response."""
        self.send_as_far_as_taken(data)
        return self.read_answer()

    def open(self, target: str = "/echo", *lines: bytes, behind: bytes = b"") -> Answer:
        """
        Open a WebSocket, with bytes *behind* the handshake in the same packet.

        Raises:
            Refused: The server has refused.
        """
        self.answer = self.ask(handshake(target, *lines) + behind)
        if self.answer.status != 101:
            raise Refused(self.answer)
        return self.answer

    def receive(self) -> str | bytes:
        """Read a message, and answer pings meanwhile."""
        while (got := self.read_frame()).opcode == PING:
            self.send(frame(PONG, got.payload))
        return _message(got)

    def echo(self, text: str) -> None:
        """Send a message, and read the same message. Answer pings meanwhile."""
        self.send(frame(TEXT, text.encode()))
        got = self.receive()
        assert got == text, f"got {got!r} for {text!r}"

    def close(self) -> int | None:
        """Do the closing handshake, wait for the end, and return the server's code."""
        self.send(close_frame())
        return self.wait_closed()


def _message(got: Frame) -> str | bytes:
    assert got.fin, got
    assert got.opcode in (TEXT, BINARY), got
    return got.payload.decode() if got.opcode == TEXT else got.payload


class Bystander(Peer):
    """A well-behaved peer that was connected before, and can say how the server is."""

    def __init__(self, socket: Socket) -> None:
        super().__init__(socket)
        self.open("/census")

    def ask_for(self, what: str) -> Any:
        self.send(frame(TEXT, what.encode(), mask=os.urandom(4)))
        return json.loads(self.read_message())

    def settle(self, level: dict[str, int]) -> dict[str, int]:
        """Wait until there is no more of anything than at *level*. Return what there is then."""
        question = json.dumps({"level": level, "seconds": 6})
        settled: dict[str, int] = self.ask_for(f"settle {question}")
        return settled
