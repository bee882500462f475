"""``triows run`` as a process that is watched from outside."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve, frozen

from tests.server.process import TRIOWS, ServerProcess

from .peer import Peer

__all__ = ["Level", "WatchedServer", "poll"]

HERE = Path(__file__).parent.parent

#: Between two looks at what has no event to wait for.
GLANCE = 0.05

#: "Near the level" of memory.
TOLERANCE = 0.1

#: An error's name and message, as the last line of a traceback has them.
ERROR = re.compile(r"^[\s|]*((?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt)\b.*)$", re.MULTILINE)


@frozen
class Level:
    """
    What a server holds when nobody but the one who asks is connected.

    Args:
        tasks: Trio's, all of them.
        connections: Objects of connections that somebody still holds.
        descriptors: Open ones.
        resident: Memory, in bytes, after a garbage collection.
        trimmed: The same after the C library has given free memory back. Not compared: it
            says how much of the former is only kept for later.
    """

    tasks: int
    connections: int
    descriptors: int
    resident: int
    trimmed: int | None = None

    def excess(self, before: Level) -> list[str]:
        """Say what is more than it was *before*, in sentences without a subject."""
        found = [
            f"{getattr(self, name)} {name}, {getattr(before, name)} before"
            for name in ("tasks", "connections", "descriptors")
            if getattr(self, name) > getattr(before, name)
        ]
        if self.resident > before.resident * (1 + TOLERANCE):
            found.append(f"{self.resident / 2**20:.1f} MiB, {before.resident / 2**20:.1f} before")
        return found

    def __str__(self) -> str:
        trimmed = "" if self.trimmed is None else f" ({self.trimmed / 2**20:.1f} trimmed)"
        return (
            f"{self.tasks} tasks, {self.connections} connections, {self.descriptors} "
            f"descriptors, {self.resident / 2**20:.1f} MiB{trimmed}"
        )


def poll(condition: Callable[[], bool], seconds: float) -> bool:
    """Look again and again until *condition* holds, *seconds* at most; say whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(GLANCE)
    return True


class WatchedServer(ServerProcess):
    """
    A server with the route of :mod:`hostile.statistics`, and with ``/echo``.

    Args:
        app: As ``module:app``, from the folder of the project.
        options: For the command.
        tls: How to talk to it, if it serves TLS.
    """

    def __init__(self, app: str, *options: str, tls: ssl.SSLContext | None = None) -> None:
        self._looked_at = self._tracebacks = 0
        super().__init__(TRIOWS, app, *options, folder=HERE)
        self.tls = tls

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def connect(self, path: str, *headers: tuple[str, str], **options: Any) -> Peer:
        """Open a well-behaved connection."""
        return Peer(self.address, path, *headers, tls=self.tls, **options)

    def echoes(self) -> bool:
        """Ask whether it serves a new connection."""
        try:
            with self.connect("/echo", timeout=5) as peer:
                peer.send("still here?")
                return peer.receive() == b"still here?" and peer.close() == 1000
        except Exception:  # noqa: BLE001 - whatever it is, it is no echo
            return False

    # Its log.

    @property
    def tracebacks(self) -> int:
        # Asked for all the time, of a log that may be long: each line is looked at once.
        while self._looked_at < len(self.lines):
            self._tracebacks += "Traceback (most recent call last)" in self.lines[self._looked_at]
            self._looked_at += 1
        return self._tracebacks

    @property
    def last_error(self) -> str:
        """The innermost error that its log ends with, as far as one can tell; numbers left out."""
        found = ERROR.findall(self.output)
        plain = [line for line in found if "ExceptionGroup" not in line]
        last = (plain or found or ["no error in its log"])[-1].strip()
        # So that one that differs in a position or an address only is the same.
        return re.sub(r"0x[0-9a-f]+|\b\d+\b", "N", last)

    # Its process.

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
        with suppress(OSError):  # not everybody may
            Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def ask(self, path: str) -> dict[str, Any]:
        """
        Ask the application for numbers, and wait until the connection is gone on both sides.

        Raises:
            Exception: as :class:`Peer`.
        """
        with self.connect(path) as peer:
            told: dict[str, Any] = json.loads(peer.receive())
            peer.close()
        return told

    def level(self, *, trim: bool = False) -> Level:
        """
        Measure what it holds.

        Args:
            trim: Measure also what it holds when the C library has given back what it can.
        """
        told = self.ask("/statistics")
        resident, descriptors, trimmed = self.resident, self.descriptors, None
        if trim:
            self.ask("/statistics?trim=1")
            trimmed = self.resident
        return Level(told["tasks"], told["connections"], descriptors, resident, trimmed)

    def settled_level(self, seconds: float) -> Level:
        """Measure once nothing has become less for a second, but memory; *seconds* at most."""
        least, since = self.level(), time.monotonic()
        deadline = since + seconds
        while time.monotonic() < min(since + 1, deadline):
            time.sleep(GLANCE)
            now = self.level()
            # The connection that asks comes and goes, so what it adds is not always there.
            lesser = Level(
                tasks=min(now.tasks, least.tasks),
                connections=min(now.connections, least.connections),
                descriptors=min(now.descriptors, least.descriptors),
                resident=now.resident,
            )
            if evolve(lesser, resident=least.resident) != least:
                since = time.monotonic()
            least = lesser
        return least

    def return_to(self, before: Level, seconds: float) -> Level:
        """Measure until it is back at the level *before*, for *seconds* at most."""
        now = self.level()
        deadline = time.monotonic() + seconds
        while now.excess(before) and time.monotonic() < deadline:
            time.sleep(GLANCE)
            now = self.level()
        return now
