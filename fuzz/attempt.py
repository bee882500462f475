"""What one connection does, as data, and doing it."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import field, frozen

from hostile.peer import connect

__all__ = ["ENDS", "HEAD", "Attempt", "perform", "read_attempts", "write_attempts"]

#: In place of something to send: wait for the head of an answer first.
HEAD = None

#: How it ends. ``close``: with what has come unread, which makes it a reset if something has.
#: ``half``: say that nothing will follow, and read until the end. ``read``: see what comes,
#: then close. The first is the fastest.
ENDS = ("close", "half", "half", "read", "reset")

#: Seconds for an answer that may never come: a peer that goes on waiting for us owes none.
ANSWER = 0.05

#: Seconds for the head of an answer, which mostly comes.
HEAD_ANSWER = 0.25

#: Seconds for the server to take what is sent.
SENDING = 1

#: Seconds for it to take the connection. Attempts that close at once may fill its queue, and
#: then the system tries again after one second, and after two more.
CONNECTING = 10


@frozen
class Attempt:
    """
    One connection's doings.

    Args:
        name: Its category and number.
        parts: What is sent, in packets, and where the head of an answer is waited for.
        end: One of :data:`ENDS`.
        inside_tls: Where the server speaks TLS: whether the parts are sent through it.
    """

    name: str
    parts: tuple[bytes | None, ...] = field(converter=tuple)
    end: str
    inside_tls: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            # Each character is a byte, which leaves what is text readable.
            "parts": [part if part is None else part.decode("latin-1") for part in self.parts],
            "end": self.end,
            "inside_tls": self.inside_tls,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Attempt:
        parts = [part if part is None else part.encode("latin-1") for part in found["parts"]]
        return cls(found["name"], parts, found["end"], found["inside_tls"])


def write_attempts(path: Path, found: str, attempts: list[Attempt]) -> None:
    """Keep what found something."""
    text = json.dumps(
        {
            "found": found,
            "replay": f'make fuzz ARGS="--replay fuzz/seeds/{path.name}"',
            "attempts": [attempt.to_json() for attempt in attempts],
        },
        indent=1,
    )
    path.write_text(text + "\n", encoding="ascii")


def read_attempts(path: Path) -> tuple[str, list[Attempt]]:
    """
    Read what :func:`write_attempts` has written: what was found, and by what.

    Raises:
        OSError: it can't be read.
    """
    kept = json.loads(path.read_text("ascii"))
    return kept["found"], [Attempt.from_json(one) for one in kept["attempts"]]


def perform(attempt: Attempt, address: tuple[str, int], tls: ssl.SSLContext) -> None:
    """
    Do it; an answer of any kind, and none, is fine.

    Args:
        attempt: What to do.
        address: Whereto.
        tls: For attempts inside of it.

    Raises:
        ConnectionRefusedError: there is no server.
    """
    try:
        sock = connect(address, timeout=CONNECTING)
    except ConnectionRefusedError:
        raise
    except OSError:
        return  # its queue is full, or it has just ended; others look after both
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
        pass  # it has closed, or does not read any more
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
        # Below TLS, if there is TLS: a peer that is cut off says no farewell.
        socket.socket.shutdown(sock, socket.SHUT_WR)
        while sock.recv(65536):
            pass
    elif how == "read":
        sock.recv(65536)
    elif how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
