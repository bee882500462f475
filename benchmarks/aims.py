"""The aims of triows, and whether a run reaches them."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .results import Case, Run
from .table import held_back, title

__all__ = ["Verdict", "verdicts"]

OURS = "triows"

#: The measure, its parameters, the server that we are compared with, and how many times as fast as
#: that we want to be.
FASTER: tuple[tuple[str, dict[str, int], str, float], ...] = (
    ("echo", {"size": 32, "connections": 32, "flight": 8}, "lihil", 1.3),
    ("echo", {"size": 32, "connections": 32, "flight": 8}, "hypercorn", 8),
    ("echo", {"size": 32, "connections": 32, "flight": 8}, "picows", 0.9),
    ("echo", {"size": 32, "connections": 32, "flight": 1}, "lihil", 0.95),
    ("echo", {"size": 32, "connections": 32, "flight": 1}, "hypercorn", 5),
    ("echo", {"size": 32, "connections": 32, "flight": 1}, "picows", 0.5),
    ("fanout", {"size": 32, "connections": 500}, "bare-loop", 0.8),
    ("fanout", {"size": 32, "connections": 500}, "websockets-uvloop", 1.4),
    ("handshakes", {}, "hypercorn", 1),
    ("handshakes", {}, "websockets-uvloop", 1),
    ("handshakes", {}, "lihil", 1.3),
    # A mounted application also has a grace at a shutdown, and a line in the log.
    ("requests", {"pipelined": 1}, "uvicorn", 1),
    ("requests", {"pipelined": 16}, "uvicorn", 1),
    ("typed", {}, "lihil", 1.3),
    ("typed", {}, "fastapi", 4),
    ("typed_bodies", {}, "lihil", 1.2),
    ("typed_bodies", {}, "fastapi", 3),
    ("uploads", {}, "uvicorn", 1),
    ("downloads", {}, "uvicorn", 1),
    ("files", {}, "uvicorn", 1.3),
)

#: The same for the engine without a framework: bare ASGI, as the other server runs it.
BARE: tuple[tuple[str, dict[str, int], str, float], ...] = (
    ("requests", {"pipelined": 1}, "uvicorn", 1.3),
    ("requests", {"pipelined": 16}, "uvicorn", 1.3),
)

#: How many kB an idle connection may take, with a server of ours.
MEMORY = {OURS: 15, "triows-typed": 20}

#: Costs per message within this ratio count as the same. Two rounds of one server differ as much.
SAME = 1.03


@attrs.frozen
class Verdict:
    """
    An aim, and the result.

    Args:
        aim: The aim in words.
        wanted: The wanted ratio, as text.
        rate: The measured ratio of rates, or of memory.
        cost: The ratio of the servers' times on their core. ``None`` if that says nothing.
        held: Whether it was reached: "yes", "no", or "by core time" if it was reached only by
            that, while something other than the servers' core was the limit.
        limit: What limited either server, if it wasn't its core.
    """

    aim: str
    wanted: str
    rate: float
    cost: float | None
    held: str
    limit: str


def speed(case: Case, ours: str, theirs: str) -> float | None:
    """Return how many times as fast *ours* is."""
    mine, other = case.rate(ours), case.rate(theirs)
    return mine / other if mine and other else None


def thrift(case: Case, ours: str, theirs: str) -> float | None:
    """Return how many times as long *theirs* is on its core for the same work."""
    mine, other = case.cost(ours), case.cost(theirs)
    return other / mine if mine and other else None


def limit(case: Case, *names: str) -> str:
    """Say what limited these servers, if it wasn't their core."""
    found = {held_back(best) for name in names if (best := case.best(name))} - {"server"}
    return ", ".join(sorted(found)) or "server"


def verdicts(run: Run) -> Iterator[Verdict]:
    """Check all aims about which *run* says something."""
    for measure, parameters, peer, wanted in FASTER:
        yield from _faster(run.of(measure, **parameters), peer, wanted)
    for measure, parameters, peer, wanted in BARE:
        yield from _faster(run.of(measure, **parameters), peer, wanted, ours="engine")
    yield from _worst(run.of("echo"), "quart-trio", 3.0)
    for case in run.of("handshakes"):
        yield from _faster([case], "engine", 0.85, ours="triows-typed")
    for case in run.of("echo", size=32, connections=32, flight=8):
        yield from _framework(case, SAME)
    for case in run.of("memory"):
        yield from _small(case)
    for case in run.of("request_latency"):
        yield from _quick(case, "uvicorn")


def _worst(cases: list[Case], peer: str, wanted: float) -> Iterator[Verdict]:
    """Yield the worst case that the servers limit, and the worst of the others."""
    known = [case for case in cases if speed(case, OURS, peer) is not None]
    for name, limited in (
        ("of the echoes that the servers limit", True),
        ("of the other echoes", False),
    ):
        chosen = [case for case in known if (limit(case, OURS, peer) == "server") is limited]
        if chosen:
            worst = min(chosen, key=lambda case: speed(case, OURS, peer) or 0)
            yield from _faster([worst], peer, wanted, prefix=f"the worst {name}: ")


def _faster(
    cases: list[Case], peer: str, wanted: float, prefix: str = "", ours: str = OURS
) -> Iterator[Verdict]:
    for case in cases:
        ratio, cost = speed(case, ours, peer), thrift(case, ours, peer)
        if ratio is None:
            continue
        limited_by = limit(case, ours, peer)
        held = "yes" if ratio >= wanted else "no"
        if held == "no" and limited_by != "server" and (cost or 0) >= wanted:
            held = "by core time"
        with_ours = "" if ours == OURS else f"{ours} "
        aim = f"{prefix}{title(case)}, {with_ours}compared with {peer}"
        yield Verdict(aim, f">= {wanted:g}", ratio, cost, held, limited_by)


def _small(case: Case) -> Iterator[Verdict]:
    for name, wanted in MEMORY.items():
        echoed = case.value(name, "echoed")
        if echoed is not None:
            size = echoed / 1e3
            held = "yes" if size <= wanted else "no"
            aim = f"kB of memory per idle connection of {name}"
            yield Verdict(aim, f"<= {wanted}", size, None, held, "")


def _quick(case: Case, peer: str) -> Iterator[Verdict]:
    """Compare the p99 at the same rate."""
    mine, other = case.value(OURS, "p99"), case.value(peer, "p99")
    if "rate" in case.parameters and mine and other:
        ratio = mine / other
        held = "yes" if ratio <= 1 else "no"
        yield Verdict(f"p99, {title(case)}, compared with {peer}", "<= 1", ratio, None, held, "")


def _framework(case: Case, wanted: float) -> Iterator[Verdict]:
    """
    Compare the cost of typed parameters and a resource with the engine without a framework.

    The time on the core decides. The two servers do nearly the same, and this time differs less
    from round to round than rates do.
    """
    lowest = "engine" if "engine" in case.samples else OURS
    slower, cost = speed(case, lowest, "triows-typed"), thrift(case, lowest, "triows-typed")
    if slower and cost:
        yield Verdict(
            f"{title(case)}: cost of typed parameters and a resource, compared with {lowest}",
            f"<= {wanted:g}",
            slower,
            cost,
            "yes" if cost <= wanted else "no",
            limit(case, lowest, "triows-typed"),
        )
