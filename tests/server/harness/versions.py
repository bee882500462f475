"""An application in a folder of its own. A test changes its file while it is served."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from attrs import field, frozen

__all__ = ["Versions"]

VERSION = """
import os
from pathlib import Path

import trio

from triows import Timeouts, Triows, WebSocket, WebSocketRoute

version, echo, stubborn = map(WebSocketRoute, ("version", "echo", "stubborn"))


@version.endpoint
async def tell(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send({version!r})


@echo.endpoint
async def answer(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


@stubborn.endpoint
async def stay(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send("here")
    await trio.sleep_forever()


async def lifespan(app):
    {starting}
    yield
    {ending}


app = Triows(
    version, echo, stubborn, lifespan=lifespan, timeouts=Timeouts(close=0.2, teardown=0.2)
)
"""


@frozen
class Versions:
    """
    The application ``versions:app``.

    Args:
        folder: The folder in which it is.
    """

    folder: Path
    _seconds: Iterator[int] = field(init=False, factory=lambda: count(int(time.time())))

    def write(self, version: str, *, starting: str = "pass", ending: str = "pass") -> None:
        """Write a version that says its name, with statements for its start-up and shutdown."""
        text = VERSION.format(version=version, starting=starting, ending=ending)
        self.write_text(text)

    def write_text(self, text: str) -> None:
        """
        Write any text. Readers and watchers see the whole change at once.

        Each version is a second newer than the one before. If two had the same length and were
        written in the same second, Python would run what it has compiled of the old one.
        """
        new = self.folder / "versions.new"
        new.write_text(text)
        second = next(self._seconds)
        os.utime(new, (second, second))
        new.rename(self.folder / "versions.py")
