"""The stages. Each starts a server, does something to it, and reports what it has seen."""

from __future__ import annotations

import math
import re
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.raw import BINARY, TEXT, frame
from trials.server import Level, WatchedServer, poll

from .abuse import FINE, KINDS
from .bodies import bodies
from .crowd import Crowd

__all__ = ["STAGES", "Findings"]

APP, PATIENT = "trials.soak.application:app", "trials.soak.application:patient"

CYCLES = 10_000
ECHOED = 10**9
ABUSIVE = 1000
CONNECTIONS = 2000

#: The share of each stage after which memory has its usual level.
WARM_UP = 0.1

#: How many threads play peers.
PEERS = 8

#: How many seconds leftovers have to go away. It is longer than all timeouts.
SETTLING = 20

#: The sizes of messages in bytes: a small one, a medium one, and the largest that is allowed.
SIZES = (1000, 2**16, 2**20)

#: The receive buffer of a peer that doesn't read. It is small, to save the system's memory.
LITTLE = 4096

#: How many seconds a send may take that is given up after one second, with 2000 at a time.
CANCELLED_WITHIN = 2


class Findings:
    """What a stage reports."""

    def __init__(self) -> None:
        self.problems = 0

    def say(self, sentence: str) -> None:
        print(f"    {sentence}", flush=True)

    def check(self, fine: bool, sentence: str) -> None:
        """Report a sentence, and whether what it says is fine."""
        self.problems += not fine
        self.say(sentence if fine else f"FAILED: {sentence}")


# What is given back.


def cycles(findings: Findings, scale: float) -> None:
    with WatchedServer(APP) as server:
        _compare(findings, server, lambda share: _cycle(server, math.ceil(CYCLES * scale * share)))


def _cycle(server: WatchedServer, count: int) -> str:
    ends = (_close, _leave, _reset, _leave_early)
    _everywhere(lambda number: ends[number % len(ends)](server), range(count))
    return f"{count} connections"


def _close(server: WatchedServer) -> None:
    with server.connect("/echo") as peer:
        peer.echo("hello")
        peer.close()


def _leave(server: WatchedServer) -> None:
    with server.connect("/echo") as peer:
        peer.echo("hello")


def _reset(server: WatchedServer) -> None:
    with server.connect("/echo") as peer:
        peer.send(frame(TEXT, b"hello"))
        peer.reset()


def _leave_early(server: WatchedServer) -> None:
    with server.connect("/echo") as peer:
        peer.send(frame(BINARY, b"half of it", length=20))


def echo(findings: Findings, scale: float) -> None:
    with WatchedServer(APP) as server:
        _compare(findings, server, lambda share: _echo(server, ECHOED * scale * share))


def _echo(server: WatchedServer, size: float) -> str:
    payloads = [secrets.token_bytes(size) for size in SIZES]
    messages = [
        (payload, frame(BINARY, payload, mask=secrets.token_bytes(4))) for payload in payloads
    ]
    rounds = math.ceil(size / sum(SIZES) / PEERS)

    def converse(_: int) -> None:
        with server.connect("/echo") as peer:
            for payload, sent in messages * rounds:
                peer.send(sent)
                if peer.receive() != payload:
                    raise ValueError("another message came back")
            peer.close()

    _everywhere(converse, range(PEERS))
    return f"{rounds * PEERS * sum(SIZES) / 1e6:.0f} MB"


def abusive(findings: Findings, scale: float) -> None:
    outcomes: Counter[tuple[str, str]] = Counter()
    with WatchedServer(APP) as server:

        def act(share: float) -> str:
            outcomes.clear()
            return _abuse(server, math.ceil(ABUSIVE * scale * share), outcomes)

        # Python keeps an arena of small objects as long as any object in it lives. So the level
        # depends on how many connections were open at a time, and the warm-up opens as many.
        _compare(findings, server, act, warm_up=1)
    for (kind, answer), times in sorted(outcomes.items()):
        findings.check(answer in FINE, f"{times} x {kind}: {answer}")


def _abuse(server: WatchedServer, count: int, outcomes: Counter[tuple[str, str]]) -> str:
    """Let half of them send too much, and half read too little."""

    def misbehave(number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        outcomes[kind.__name__, kind(server)] += 1

    _everywhere(misbehave, range(count // 2))
    _never_read(server, count - count // 2, outcomes)
    return f"{count} peers"


def _never_read(server: WatchedServer, count: int, outcomes: Counter[tuple[str, str]]) -> None:
    before = server.descriptors
    with Crowd(server, count, ["/flood"], receive_buffer=LITTLE):
        poll(lambda: server.descriptors <= before, SETTLING)
        # A peer that doesn't read can't see the end. The server's descriptors show it.
        held = max(server.descriptors - before, 0)
    for answer, times in (("dropped", count - held), ("held", held)):
        if times:
            outcomes["never_reading", answer] += times


def _compare(
    findings: Findings,
    server: WatchedServer,
    act: Callable[[float], str],
    *,
    warm_up: float = WARM_UP,
) -> None:
    """Do a part as a warm-up, and then everything. Compare what the server holds after each."""
    act(warm_up)
    before = server.settled_level(SETTLING)
    server.forget_peak()
    begun = time.monotonic()
    said = act(1)
    findings.say(f"{said}, in {time.monotonic() - begun:.0f} s")
    after = server.return_to(before, SETTLING)
    peak = server.peak
    findings.say(f"before: {before}")
    findings.say(f"after:  {after}, at most {peak / 2**20:.1f} MiB meanwhile")
    findings.say(f"the C library could give back {_kept(server, after):.1f} MiB")
    excess = after.excess(before)
    findings.check(not excess, "; ".join(excess) or "nothing is left")
    _check_log(findings, server)
    findings.check(server.echoes(), "it still echoes")


def _kept(server: WatchedServer, level: Level) -> float:
    trimmed = server.level(trim=True).trimmed
    return 0.0 if trimmed is None else (level.resident - trimmed) / 2**20


def _check_log(findings: Findings, server: WatchedServer) -> None:
    found = server.tracebacks
    findings.check(not found, f"{found} tracebacks" + (f", {server.last_error}" if found else ""))


def _everywhere(act: Callable[[int], None], numbers: Iterable[int]) -> None:
    """Call it with all numbers, several at a time."""
    with ThreadPoolExecutor(PEERS) as threads:
        for _ in threads.map(act, numbers):
            pass


# How the server ends.


def shutdown(findings: Findings, scale: float) -> None:
    count = math.ceil(CONNECTIONS * scale)
    with WatchedServer(PATIENT) as server:
        paths = ("/echo", "/tick", "/echo", "/work")
        with Crowd(server, count, paths) as crowd:
            early = crowd.read(1)
            findings.check(not early, f"before the signal, {_codes(early)} had ended")
            stopped = _Stopped(server)
            codes = crowd.read(stopped.budget + 5)
            stopped.wait()
        findings.check(codes == Counter({1001: count}), f"{count} clients saw {_codes(codes)}")
        stopped.report(findings, count)


def stalled(findings: Findings, scale: float) -> None:
    count = math.ceil(CONNECTIONS * scale)
    with WatchedServer(PATIENT) as server:
        with Crowd(server, count, ["/flood"], receive_buffer=LITTLE):
            poll(lambda: server.ask("/tally")["cancelled"] >= count, 60)
            told = server.ask("/tally")
            findings.check(
                told["cancelled"] == count and told["slowest"] <= CANCELLED_WITHIN,
                f"{told['cancelled']} of {count} sends were given up after 1 s, "
                f"the slowest after {told['slowest']:.2f} s",
            )
            findings.say(f"the process holds {server.resident / 2**20:.1f} MiB")
            stopped = _Stopped(server)
            stopped.wait()
        stopped.report(findings, count)


class _Stopped:
    """A server that was sent SIGTERM."""

    def __init__(self, server: WatchedServer) -> None:
        self._server = server
        self._begun = time.monotonic()
        self._seconds = math.inf
        self._code: int | None = None
        server.send_signal(signal.SIGTERM)
        said = server.wait_for(r"for [\d.]+ s at most")
        self.budget = float(said.split()[1])
        # A thread notices the end at once, whatever else happens.
        self._waiting = threading.Thread(target=self._wait, daemon=True)
        self._waiting.start()

    def _wait(self) -> None:
        self._code = self._server.wait()
        self._seconds = time.monotonic() - self._begun

    def wait(self) -> None:
        self._waiting.join(self.budget + 10)

    def report(self, findings: Findings, count: int) -> None:
        findings.check(
            self._seconds <= self.budget,
            f"ended after {self._seconds:.1f} s, of {self.budget:g} s that were announced",
        )
        findings.check(self._code == 0, f"exit code {self._code}")
        found = re.search(r"resources: (\d+) entered, (\d+) exited", self._server.output)
        told = found[0] if found else "no word of its resources"
        fine = found is not None and int(found[1]) == int(found[2]) >= count
        findings.check(fine, told)
        _check_log(findings, self._server)


def _codes(codes: Counter[int | None]) -> str:
    return ", ".join(f"{times} x {code or 'no code'}" for code, times in codes.items()) or "nothing"


STAGES: dict[str, Callable[[Findings, float], None]] = {
    "cycles": cycles,
    "echo": echo,
    "abuse": abusive,
    "bodies": partial(bodies, app=APP),
    "shutdown": shutdown,
    "stalled": stalled,
}
