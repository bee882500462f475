"""Attacks a server with one category, looks for harm, and keeps what caused it."""

from __future__ import annotations

import itertools
import math
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from attrs import define, evolve, field, frozen

from trials.server import UNSERVED, Level, WatchedServer, poll

from . import endpoints, frames, handshakes, http2, noise, proxies, requests, streams, tls
from .attempt import Attempt, perform, read_attempts, write_attempts
from .bystander import Bystander
from .volley import SIDE_BY_SIDE, Volley

__all__ = ["CATEGORIES", "SEEDS", "Campaign", "Certificate"]

SEEDS = Path(__file__).parent / "seeds"

CATEGORIES = {
    "handshakes": handshakes.make,
    "random": noise.make,
    "frames": frames.make,
    "http2": http2.make,
    "tls": tls.make,
    "requests": requests.make,
    "pipelines": streams.make,
    "endpoints": endpoints.make,
    "forwarded": proxies.make_forwarded,
    "introduced": proxies.make_introduced,
}

#: Categories whose server has options, and how connections to it begin. Every peer is a proxy that
#: it trusts.
_TRUSTED = ("--forwarded-allow-ips", "127.0.0.0/8")
SERVERS = {
    "forwarded": (("--proxy-headers", *_TRUSTED), b""),
    "introduced": (
        ("--forwarded-header", "--proxy-protocol", "all", *_TRUSTED),
        proxies.INTRODUCTION,
    ),
}

#: How many seconds the leftovers of an attempt have to go away. It is more than any timeout of the
#: application, and than the server's timeout for a request's head.
SETTLING = 20

#: After this share of the time, and at most this many seconds, memory has its usual level.
WARM_UP, LONGEST_WARM_UP = 0.25, 10

#: After this many findings, it isn't worth going on.
ENOUGH = 25

#: How many seconds a server may take to end after it was harmed.
DYING = 3

#: If something is left, this many of the first attempts are searched for the reason. When nothing
#: has gone away for this many seconds, what is still there counts as left.
LEAK_SEARCH, LEAKING = 2000, 8

#: How often a kept attempt is sent again.
REPLAYS = 5

#: The finding under which such an attempt is kept.
LEFT = "tasks or sockets left"

#: For how many findings the attempt that caused it is searched. The others are only counted.
TRACED = 5

#: How many suspects are sent again together, before they are sent one by one.
BATCH = 8


@frozen
class Certificate:
    """Everything that a server and a client need for TLS."""

    options: tuple[str, ...]
    context: ssl.SSLContext


@define
class Campaign:
    """
    A category against a server of its own.

    Args:
        category: One of :data:`CATEGORIES`.
        seed: Decides what is sent.
        certificate: The certificate for the category ``tls``.
        seeds: The folder for findings.
        app: The application, as ``module:app``.
    """

    category: str
    seed: int
    certificate: Certificate
    seeds: Path = SEEDS
    app: str = "trials.fuzz.application:app"

    #: How many attempts were made, and how many seconds they took.
    done: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)
    #: How often the server ended.
    deaths: int = field(default=0, init=False)
    #: The last line of each traceback in its log, and how often it came.
    errors: Counter[str] = field(factory=Counter, init=False)
    #: Sentences. Each of them is a reason to fail.
    problems: list[str] = field(factory=list, init=False)
    #: The files of attempts that found something, new and old.
    kept: list[str] = field(factory=list, init=False)
    #: What the server held before and after, if it lived that long.
    levels: tuple[Level, Level] | None = field(default=None, init=False)
    slowest_echo: float = field(default=0.0, init=False)

    def make(self, number: int) -> Attempt:
        name = f"{self.category}-{self.seed}-{number}"
        return CATEGORIES[self.category](Random(name), name)

    def server(self) -> WatchedServer:
        if self.category == "tls":
            certificate = self.certificate
            return WatchedServer(self.app, *certificate.options, tls=certificate.context)
        options, begin = SERVERS.get(self.category, ((), b""))
        return WatchedServer(self.app, *options, begin=begin)

    # The attack.

    def run(self, seconds: float) -> None:
        """Send the kept attempts again, and then new attempts for some time."""
        for path in sorted(self.seeds.glob(f"{self.category}-*.json")):
            self.replay(path)
        volley = Volley(self.make, itertools.count(), self.certificate.context)
        while volley.seconds < seconds and self.errors.total() < ENOUGH:
            self._attack(volley, seconds)
        self.done, self.seconds = volley.done, volley.seconds
        if self.deaths:
            self.problems.append(f"the server ended {self.deaths} times")
        if self.errors:
            self.problems.append(f"{self.errors.total()} servers ended or logged a traceback")
        if self.levels is not None and _left(*self.levels):
            self._record_leak(volley.started)

    def _attack(self, volley: Volley, seconds: float) -> None:
        """Attack one server until it is harmed, or until *seconds* are over in total."""
        with self.server() as server:
            try:
                minded = self._compare(volley, server, seconds)
            except UNSERVED as exc:
                # It doesn't serve a well-behaved peer any more.
                minded = True
                if not _dies(server):
                    self.problems.append(f"no answer: {type(exc).__name__}: {exc}")
            death = minded and _dies(server)
        if minded:
            self._record(server.last_error, volley.suspects, death=death)

    def _compare(self, volley: Volley, server: WatchedServer, seconds: float) -> bool:
        """Measure, attack, and measure again. Say whether the server was harmed."""
        fresh = server.settled_level(SETTLING)
        left = seconds - volley.seconds
        if self._fire(volley, server, min(WARM_UP * left, LONGEST_WARM_UP)):
            return True
        warm = server.settled_level(SETTLING)
        # There have to be as many tasks and sockets as before the attack. Memory grows at first,
        # because some is kept for later, so it is compared with that after the first attempts.
        before = evolve(fresh, resident=warm.resident)
        if self._fire(volley, server, seconds - volley.seconds):
            return True
        after = server.return_to(before, SETTLING)
        self.levels = before, after
        self.problems += [f"left: {what}" for what in after.excess(before)]
        if not server.echoes():
            self.problems.append("no echo on a new connection")
        return server.tracebacks > 0

    def _fire(self, volley: Volley, server: WatchedServer, seconds: float) -> bool:
        """Fire while a bystander watches. Say whether the server was harmed."""
        bystander = Bystander(server)
        try:
            minded = volley.fire(server, seconds)
        finally:
            bystander.stop()
        self.slowest_echo = max(self.slowest_echo, bystander.slowest)
        # If the server dies, that harms the bystander, too, but counts only as a death.
        if bystander.harm is not None and not minded and not (minded := _dies(server)):
            self.problems.append(f"a bystander was harmed: {bystander.harm}")
        return minded

    def _record(self, error: str, suspects: Sequence[Attempt], *, death: bool) -> None:
        self.deaths += death
        self.errors[error] += 1
        if self.errors[error] > 1 or len(self.errors) > TRACED:
            return
        guilty = self._trace(suspects)
        if guilty is None:
            self.problems.append(f"not traced to one of {len(suspects)} attempts: {error}")
            return
        path = self.seeds / f"{guilty.name}.json"
        write_attempts(path, f"{'death: ' if death else ''}{error}", [guilty])
        self.kept.append(path.name)

    def _record_leak(self, count: int) -> None:
        """Keep an attempt that leaves something behind, if one of the first ones does."""
        attempts = [self.make(number) for number in range(min(count, LEAK_SEARCH))]
        while len(attempts) > 1:
            half = attempts[: len(attempts) // 2]
            attempts = half if self._leaks(half) else attempts[len(half) :]
        if attempts and self._leaks(attempts):
            path = self.seeds / f"{attempts[0].name}.json"
            write_attempts(path, LEFT, attempts)
            self.kept.append(path.name)

    # Finding the attempt that caused it.

    def _leaks(self, attempts: Sequence[Attempt]) -> bool:
        """Send attempts to a fresh server. Say whether it keeps holding something."""
        # Send as many at a time as before, and repeat them if they are few: it may be a race
        # that rarely happens.
        sent = [*attempts] * math.ceil(2 * SIDE_BY_SIDE / len(attempts))
        with self.server() as server, ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
            # Memory doesn't count here.
            before = evolve(server.settled_level(SETTLING), resident=sys.maxsize)
            try:
                for _ in threads.map(self._perform, sent, itertools.repeat(server)):
                    pass
                return bool(server.return_to(before, LEAKING).excess(before))
            except UNSERVED:
                return False  # the server has ended, which is a different finding

    def _trace(self, suspects: Sequence[Attempt]) -> Attempt | None:
        """Find the attempt that caused it, if it was a single one, by sending them again."""
        batch = self._guilty_batch(suspects)
        for number in self._mindful(batch):
            # It was this attempt, or the one before if the harm showed a moment later.
            for guilty in batch[max(number - 1, 0) : number + 1][::-1]:
                if any(True for _ in self._mindful([guilty])):
                    return guilty
            break
        return None

    def _guilty_batch(self, suspects: Sequence[Attempt]) -> Sequence[Attempt]:
        """Find a few attempts that cause it together, by sending them at the same time."""
        with self.server() as server, ThreadPoolExecutor(BATCH) as threads:
            for start in range(0, len(suspects), BATCH):
                batch = suspects[start : start + BATCH]
                for sent in [threads.submit(self._perform, one, server) for one in batch]:
                    sent.exception()  # if the server is gone, that is noticed below
                if not server.echoes() or server.tracebacks:
                    return suspects[max(start - BATCH, 0) : start + BATCH]
        return suspects

    def _perform(self, attempt: Attempt, server: WatchedServer) -> None:
        perform(attempt, server.address, self.certificate.context)

    def _mindful(self, attempts: Sequence[Attempt]) -> Iterator[int]:
        """Send attempts one by one to a fresh server. Yield the numbers of those that harm it."""
        with self.server() as server:
            for number, attempt in enumerate(attempts):
                before = server.tracebacks
                try:
                    self._perform(attempt, server)
                except ConnectionRefusedError:
                    yield number
                    return
                if not server.echoes() or server.tracebacks > before:
                    yield number
                    if not server.is_running:
                        return
            # Wait a moment, because harm may show late.
            if attempts and not _stays_well(server):
                yield len(attempts) - 1

    def replay(self, path: Path) -> bool:
        """Send the attempts in a file. Say whether none of them harmed the server."""
        found, attempts = read_attempts(path)
        # Send them several times, because it may be a race.
        fine = next(self._mindful([*attempts] * REPLAYS), None) is None
        if fine and not (found == LEFT and self._leaks(attempts)):
            return True
        self.problems.append(f"{path.name} finds something again")
        self.kept.append(path.name)
        return False


def _left(before: Level, after: Level) -> list[str]:
    """Say what is left, except memory."""
    return evolve(after, resident=0).excess(before)


def _dies(server: WatchedServer) -> bool:
    """Say whether the server has ended or is ending. It may tell its peers first."""
    return poll(lambda: not server.is_running, DYING)


def _stays_well(server: WatchedServer) -> bool:
    before = server.tracebacks
    time.sleep(0.3)
    return server.is_running and server.echoes() and server.tracebacks == before
