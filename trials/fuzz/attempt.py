"""Describes as data what one connection does, and does it."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import field, frozen

from trials.server import connect

__all__ = ["ENDS", "HEAD", "Attempt", "perform", "read_attempts", "write_attempts"]

#: Among the parts to send, this means: wait for the head of an answer first.
HEAD = None

#: How an attempt ends. ``close``: close without reading. If something has come, that is a reset.
#: ``half``: close only our side, and read until the end. ``read``: read what comes, and then close.
#: The first is the fastest.
ENDS = ("close", "half", "half", "read", "reset")

#: How many seconds to wait for an answer. It may never come, because the server may wait for us.
ANSWER = 0.05

#: How many seconds to wait for the head of an answer, which usually comes.
HEAD_ANSWER = 0.25

#: How many seconds the server has to take what is sent.
SENDING = 1

#: How many seconds connecting may take. Attempts that close at once may fill the server's queue.
#: Then the system tries again after one second, and after two more.
CONNECTING = 10


@frozen
class Attempt:
    """
    What one connection does.

    Args:
        name: Its category and number.
        parts: The packets to send. :data:`HEAD` among them means to wait for an answer.
        end: One of :data:`ENDS`.
        inside_tls: Whether to send the parts through TLS, if the server uses TLS.
    """

    name: str
    parts: tuple[bytes | None, ...] = field(converter=tuple)
    end: str
    inside_tls: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            # Each character is a byte, so text stays readable.
            "parts": [part if part is None else part.decode("latin-1") for part in self.parts],
            "end": self.end,
            "inside_tls": self.inside_tls,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Attempt:
        parts = [part if part is None else part.encode("latin-1") for part in found["parts"]]
        return cls(found["name"], parts, found["end"], found["inside_tls"])


def write_attempts(path: Path, found: str, attempts: list[Attempt]) -> None:
    """Store the attempts that found something."""
    text = json.dumps(
        {
            "found": found,
            "replay": f'make fuzz ARGS="--replay trials/fuzz/seeds/{path.name}"',
            "attempts": [attempt.to_json() for attempt in attempts],
        },
        indent=1,
    )
    path.write_text(text + "\n", encoding="ascii")


def read_attempts(path: Path) -> tuple[str, list[Attempt]]:
    """
    Read a file of :func:`write_attempts`. Return what was found, and the attempts.

    Raises:
        OSError: The file can't be read.
    """
    kept = json.loads(path.read_text("ascii"))
    return kept["found"], [Attempt.from_json(one) for one in kept["attempts"]]


def perform(attempt: Attempt, address: tuple[str, int], tls: ssl.SSLContext) -> None:
    """
    Carry out an attempt. Any answer is fine, and so is none.

    Args:
        attempt: The attempt.
        address: The address of the server.
        tls: The context for attempts inside TLS.

    Raises:
        ConnectionRefusedError: There is no server.
    """
    try:
        sock = connect(address, timeout=CONNECTING)
    except ConnectionRefusedError:
        raise
    except OSError:
        return  # the server's queue is full, or it has just ended; others check that
    sock.settimeout(SENDING)
    try:
        if attempt.inside_tls:
            sock = tls.wrap_socket(sock, server_hostname=address[0])
        for part in attempt.parts:
            if part is HEAD:
                _read_head(sock)
            else:
                sock.sendall(part)
        _end(sock, attempt.end)
    except OSError:
        pass  # the server has closed, or doesn't read any more
    finally:
        sock.close()


def _read_head(sock: socket.socket) -> None:
    sock.settimeout(HEAD_ANSWER)
    data = b""
    with suppress(TimeoutError):
        while b"\r\n\r\n" not in data and (received := sock.recv(65536)):
            data += received
    sock.settimeout(SENDING)


def _end(sock: socket.socket, how: str) -> None:
    sock.settimeout(ANSWER)
    if how == "half":
        # Do this below TLS, because a peer whose connection is cut doesn't close TLS.
        socket.socket.shutdown(sock, socket.SHUT_WR)
        while sock.recv(65536):
            pass
    elif how == "read":
        sock.recv(65536)
    elif how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
