"""Compares our parser of requests with others, without a server, and keeps where they disagree."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from attrs import define, field

from .attempt import Attempt, read_attempts, write_attempts
from .campaign import ENOUGH, SEEDS
from .parsers import disagreement
from .streams import stream

__all__ = ["Comparison"]


@define
class Comparison:
    """
    Streams of requests, read by three parsers.

    Args:
        seed: Decides what is read.
        seeds: The folder for findings.
    """

    seed: int
    seeds: Path = SEEDS

    #: How many streams were read, and how many seconds that took.
    done: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)
    #: Sentences. Each of them is a reason to fail.
    problems: list[str] = field(factory=list, init=False)
    #: The files of streams that found something, new and old.
    kept: list[str] = field(factory=list, init=False)

    def run(self, seconds: float) -> None:
        """Read the kept streams again, and then new streams for some time."""
        for path in sorted(self.seeds.glob("parsers-*.json")):
            self.replay(path)
        started = time.monotonic()
        while self.seconds < seconds and len(self.problems) < ENOUGH:
            self._read(f"parsers-{self.seed}-{self.done}")
            self.done += 1
            self.seconds = time.monotonic() - started

    def _read(self, name: str) -> None:
        data = stream(Random(name))
        found = disagreement(data)
        if found is not None:
            self.problems.append(found)
            path = self.seeds / f"{name}.json"
            write_attempts(path, found, [Attempt(name, [data], "read")])
            self.kept.append(path.name)

    def replay(self, path: Path) -> bool:
        """Read the stream in a file. Say whether the parsers agree."""
        _, attempts = read_attempts(path)
        data = b"".join(part for attempt in attempts for part in attempt.parts if part is not None)
        if disagreement(data) is None:
            return True
        self.problems.append(f"{path.name} finds something again")
        self.kept.append(path.name)
        return False
