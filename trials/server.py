"""``triows run`` as a process that is watched from outside."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from tests.server.harness.peer import Peer
from tests.server.harness.process import TRIOWS, ServerProcess

__all__ = ["UNSERVED", "Level", "WatchedServer", "connect", "poll"]

ROOT = Path(__file__).parent.parent

#: Seconds between two looks at something that has no event to wait for.
GLANCE = 0.05

#: How much more memory still counts as the same level.
TOLERANCE = 0.1

#: The last line of a traceback, with the error's name and message.
ERROR = re.compile(r"^[\s|]*((?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt)\b.*)$", re.MULTILINE)


@frozen
class Level:
    """
    What a server holds when only the connection that asks is open.

    Args:
        tasks: How many Trio tasks there are.
        connections: How many objects of connections something still refers to.
        descriptors: How many descriptors are open.
        resident: The resident memory in bytes, after a garbage collection.
        trimmed: The same after the C library has given free memory back. It isn't compared. It
            shows how much of the resident memory is only kept for later.
    """

    tasks: int
    connections: int
    descriptors: int
    resident: int
    trimmed: int | None = None

    def excess(self, before: Level) -> list[str]:
        """Say what is more than *before*, in sentences without a subject."""
        found = [
            f"{getattr(self, name)} {name}, {getattr(before, name)} before"
            for name in ("tasks", "connections", "descriptors")
            if getattr(self, name) > getattr(before, name)
        ]
        if self.resident > before.resident * (1 + TOLERANCE):
            found.append(f"{self.resident / 2**20:.1f} MiB, {before.resident / 2**20:.1f} before")
        return found

    def has_less_than(self, other: Level) -> bool:
        """Say whether there is less of anything except memory."""
        return self.with_the_least_of(other) != evolve(
            other, resident=self.resident, trimmed=self.trimmed
        )

    def with_the_least_of(self, other: Level) -> Level:
        """Take the lesser number of everything except memory."""
        return evolve(
            self,
            tasks=min(self.tasks, other.tasks),
            connections=min(self.connections, other.connections),
            descriptors=min(self.descriptors, other.descriptors),
        )

    def __str__(self) -> str:
        trimmed = "" if self.trimmed is None else f" ({self.trimmed / 2**20:.1f} trimmed)"
        return (
            f"{self.tasks} tasks, {self.connections} connections, {self.descriptors} "
            f"descriptors, {self.resident / 2**20:.1f} MiB{trimmed}"
        )


#: What a peer raises that isn't served as it should be.
UNSERVED = (OSError, EOFError, AssertionError)

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


def poll(condition: Callable[[], bool], seconds: float) -> bool:
    """Check again and again until *condition* is true, for *seconds* at most. Return the result."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(GLANCE)
    return True


class WatchedServer(ServerProcess):
    """
    A server with the route of :mod:`trials.statistics`, and with ``/echo``.

    Args:
        app: The application, as ``module:app`` in the project's folder.
        options: Options of the command.
        tls: The client's context, if it serves TLS.
        begin: What well-behaved peers send before everything else.
    """

    def __init__(
        self, app: str, *options: str, tls: ssl.SSLContext | None = None, begin: bytes = b""
    ) -> None:
        self._looked_at = self._tracebacks = 0
        super().__init__(TRIOWS, app, *options, folder=ROOT)
        self.tls = tls
        self._begin = begin

    def connect(self, path: str, *lines: bytes, **options: Any) -> Peer:
        """
        Open a well-behaved connection.

        Args:
            path: The path, and maybe a query.
            lines: Further header lines of the handshake.
            options: Options of :func:`connect`.

        Raises:
            OSError, EOFError, AssertionError: The server doesn't serve it.
        """
        sock = connect(self.address, **options)
        try:
            sock.sendall(self._begin)
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_hostname=self.address[0])
            peer = Peer(sock)
            peer.open(path, *lines)
        except BaseException:
            sock.close()
            raise
        return peer

    def echoes(self) -> bool:
        """Say whether it serves a new connection."""
        try:
            with self.connect("/echo", timeout=5) as peer:
                peer.echo("still here?")
                return peer.close() == 1000
        except Exception:  # noqa: BLE001 - any error means that it doesn't echo
            return False

    # The log.

    @property
    def tracebacks(self) -> int:
        # This is called all the time, and the log may be long. So look at each line only once.
        while self._looked_at < len(self.lines):
            self._tracebacks += "Traceback (most recent call last)" in self.lines[self._looked_at]
            self._looked_at += 1
        return self._tracebacks

    @property
    def last_error(self) -> str:
        """The innermost error at the end of its log, if that can be found, without numbers."""
        found = ERROR.findall(self.output)
        plain = [line for line in found if "ExceptionGroup" not in line]
        last = (plain or found or ["no error in its log"])[-1].strip()
        # Without numbers, errors that differ only in a position or an address are equal.
        return re.sub(r"0x[0-9a-f]+|\b\d+\b", "N", last)

    # The process.

    def _status(self, key: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        (kibibytes,) = re.findall(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
        return int(kibibytes) * 1024

    @property
    def resident(self) -> int:
        return self._status("VmRSS")

    @property
    def peak(self) -> int:
        """The most resident memory since :meth:`forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        with suppress(OSError):  # the system may not allow it
            Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def ask(self, path: str) -> dict[str, Any]:
        """
        Ask the application for numbers, and wait until the connection is gone on both sides.

        The result also has the descriptors that are open meanwhile, with that of the connection.

        Raises:
            OSError, EOFError, AssertionError: The server doesn't answer.
        """
        with self.connect(path) as peer:
            told: dict[str, Any] = json.loads(peer.receive())
            # The server may close its end a moment later than the client. As long as the connection
            # is open, its descriptor counts each time.
            told["descriptors"] = self.descriptors
            peer.close()
        return told

    def level(self, *, trim: bool = False) -> Level:
        """
        Measure what it holds.

        Args:
            trim: Whether to measure also what it holds after the C library has given memory back.
        """
        told = self.ask("/statistics")
        resident, descriptors, trimmed = self.resident, told["descriptors"], None
        if trim:
            self.ask("/statistics?trim=1")
            trimmed = self.resident
        return Level(told["tasks"], told["connections"], descriptors, resident, trimmed)

    def settled_level(self, seconds: float) -> Level:
        """Measure when nothing except memory has decreased for a second, or after *seconds*."""
        least, since = self.level(), time.monotonic()
        deadline = since + seconds
        while time.monotonic() < min(since + 1, deadline):
            time.sleep(GLANCE)
            now = self.level()
            if now.has_less_than(least):
                since = time.monotonic()
            # The connection that asks comes and goes, so what it adds isn't always there.
            least = now.with_the_least_of(least)
        return least

    def return_to(self, before: Level, seconds: float) -> Level:
        """
        Measure until the level is as *before*, or until nothing but memory decreases any more.

        Args:
            before: The level.
            seconds: If nothing has decreased for this long, nothing will. A busy machine may take
                longer than this for all of it.
        """
        now = least = self.level()
        since = time.monotonic()
        while now.excess(before) and time.monotonic() < since + seconds:
            time.sleep(GLANCE)
            now = self.level()
            if now.has_less_than(least):
                since = time.monotonic()
            least = now.with_the_least_of(least)
        return now
