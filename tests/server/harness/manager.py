"""A service manager, which processes tell what they do."""

from __future__ import annotations

import select
import socket

from .process import PATIENCE

__all__ = ["PlayedManager"]


class PlayedManager:
    """
    The socket of a manager.

    Args:
        address: Where it is. A name that begins with ``@`` is abstract.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(address.replace("@", "\0"))

    def heard(self) -> list[dict[str, str]]:
        """Return what it has been told since the last call."""
        messages: list[dict[str, str]] = []
        while True:
            try:
                messages.append(_read(self.socket.recv(4096)))
            except BlockingIOError:
                return messages

    def hear(self) -> dict[str, str]:
        """Wait for the next thing that it is told."""
        if not select.select([self.socket], [], [], PATIENCE)[0]:
            raise TimeoutError("the manager heard nothing")
        return _read(self.socket.recv(4096))

    def fill(self) -> int:
        """Leave no room for another message. Return how many fill it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(self.address.replace("@", "\0"))
            count = 0
            while True:
                try:
                    sock.send(b"STATUS=full")
                except BlockingIOError:
                    return count
                count += 1


def _read(message: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in message.decode().split("\n"))
