"""Large bodies in both directions: as fast as possible, slowly, and with clients that leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from tests.server.harness.peer import Peer
from trials.server import WatchedServer, connect, poll

if TYPE_CHECKING:
    from .stages import Findings

__all__ = ["bodies"]

MiB = 2**20

#: How many bytes a fast body has, and how many a second a slow one, for so many seconds.
SIZE, RATE, SECONDS = 10**9, 2 * MiB, 20

#: How much memory a body may take on its way. The buffers on both sides are much smaller.
ALLOWED = 8 * MiB

#: How many clients leave in the middle of each kind.
LEAVERS = 50

#: How many seconds the server has to notice that they have.
NOTICED = 20

BLOCK = bytes(2**16)

PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


@frozen
class Kind:
    """
    A way to carry a body.

    Args:
        line: The method and the path.
        media: The header line that a request needs.
        before: What comes before the content of a request.
        after: What comes behind it.
    """

    line: str
    media: str = "Accept: */*"
    before: bytes = b""
    after: bytes = b""

    def head(self, size: int, *lines: str) -> bytes:
        target = f"{self.line}?size={size} HTTP/1.1"
        return "\r\n".join([target, "Host: 127.0.0.1", self.media, *lines, "", ""]).encode()

    def ask(self, server: WatchedServer, size: int) -> Peer:
        """Send all of a request but its content."""
        peer = Peer(connect(server.address))
        length = len(self.before) + size + len(self.after)
        lines = [] if self.line.startswith("GET") else [f"Content-Length: {length}"]
        peer.send(self.head(size, *lines) + self.before)
        return peer


UPLOADS = {
    "parts": Kind("PUT /body"),
    "upload": Kind("POST /body", "Content-Type: multipart/form-data; boundary=b", PART, TAIL),
}
DOWNLOADS = {
    "stream": Kind("GET /body/stream"),
    "response": Kind("GET /body/response"),
    "file": Kind("GET /body/file"),
}

#: Waits until the body may go on, after so many bytes.
Pace = Callable[[int], None]


def _at_once() -> Pace:
    return lambda _: None


def _slowly() -> Pace:
    begun = time.monotonic()

    def wait(done: int) -> None:
        time.sleep(max(begun + done / RATE - time.monotonic(), 0))

    return wait


def _upload(server: WatchedServer, kind: Kind, size: int, pace: Pace) -> bool:
    with kind.ask(server, size) as peer:
        for done in range(0, size, len(BLOCK)):
            peer.send(BLOCK[: size - done])
            pace(done)
        peer.send(kind.after)
        return peer.read_answer().body == b"%d" % size


def _download(server: WatchedServer, kind: Kind, size: int, pace: Pace) -> bool:
    with kind.ask(server, size) as peer:
        done = 0
        while done < size:
            data = peer.socket.recv(len(BLOCK))
            if not data:
                return False
            done += len(data)
            pace(done)
        return True


def bodies(findings: Findings, scale: float, app: str) -> None:
    """
    Send large bodies, and compare the memory with what the server holds without one.

    Args:
        findings: What the stage reports.
        scale: How much of it to do.
        app: The application.
    """
    size, little = int(SIZE * scale), int(RATE * SECONDS * scale)
    with WatchedServer(app) as server:
        for kinds, carry in ((UPLOADS, _upload), (DOWNLOADS, _download)):
            for name, kind in kinds.items():
                carry(server, kind, len(BLOCK), _at_once())  # whatever is made only once
                for how, amount, pace in (("", size, _at_once), ("slow ", little, _slowly)):
                    _watch(
                        findings,
                        server,
                        f"{how}{name} of {amount / 1e6:.0f} MB",
                        lambda: carry(server, kind, amount, pace()),  # noqa: B023 - called at once
                    )
        for name, kind in {**UPLOADS, **DOWNLOADS}.items():
            _leave(findings, server, name, kind, max(int(LEAVERS * scale), 2))
        findings.check(not server.tracebacks, f"{server.tracebacks} tracebacks")
        findings.check(server.echoes(), "it still echoes")


def _watch(findings: Findings, server: WatchedServer, what: str, act: Callable[[], bool]) -> None:
    before = server.resident
    server.forget_peak()
    begun = time.monotonic()
    findings.check(act(), f"{what}, in {time.monotonic() - begun:.1f} s")
    grown = server.peak - before
    findings.check(grown < ALLOWED, f"    and at most {grown / MiB:.1f} MiB more meanwhile")


def _leave(findings: Findings, server: WatchedServer, name: str, kind: Kind, count: int) -> None:
    for number in range(count):
        peer = kind.ask(server, 10**9)
        if kind in UPLOADS.values():
            peer.send(BLOCK)
        else:
            peer.read(1)
        if number % 2:
            peer.reset()
        else:
            peer.socket.close()
    told = {"entered": 0, "exited": -1}

    def all_exited() -> bool:
        told.update(server.ask("/tally"))
        return told["entered"] == told["exited"]

    fine = poll(all_exited, NOTICED)
    findings.check(fine, f"{count} clients left in the middle of {name}: {told}")
