"""Measures how many plain requests are answered per second, on connections that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from .http_client import POSSIBLE, Load, Question
from .measure import window
from .process import ServerProcess
from .results import Sample

__all__ = ["ASKED", "Requests"]

BODY = b"a" * 1_000_000

#: A small body, whose three fields are read into a class of the framework, and sent back.
USER = b'{"name":"Ada","age":36,"tags":["admin","analyst"]}'

#: What is asked, by the name of the measure. ``servers/bare_http.py`` answers all of it, except
#: ``typed_bodies``.
ASKED: Mapping[str, Question] = MappingProxyType(
    {
        "requests": Question.of("GET", "/small", b"", b"Hello, world!"),
        "typed": Question.of("GET", "/u/7?q=ada", b"", b'{"id":7,"q":"ada"}'),
        "typed_bodies": Question.of("POST", "/u/7", USER, USER, "application/json"),
        "uploads": Question.of("POST", "/upload", BODY, b"1000000"),
        "downloads": Question.of("GET", "/download", b"", BODY),
        "files": Question.of("GET", "/file", b"", BODY * 10),
    }
)


@attrs.frozen
class Requests:
    """
    The measure.

    Args:
        name: What is asked, of :data:`ASKED`.
        connections: How many connections there are.
        pipelined: How many requests each sends without waiting for answers.
    """

    name: str
    connections: int
    pipelined: int = 1

    most_rounds = None

    @property
    def parameters(self) -> dict[str, int]:
        return {"connections": self.connections, "pipelined": self.pipelined}

    def applies(self, server: ServerProcess) -> bool:
        return POSSIBLE and self.name in server.peer.plain

    async def sample(self, server: ServerProcess, seconds: float) -> Sample:
        with Load(server.port, ASKED[self.name], self.connections, self.pipelined) as load:
            load.start()
            await load.drive(seconds / 4)
            sample = await window(server, seconds, lambda: load.done, pass_time=load.drive)
            await load.finish()
        return sample
