"""A run as a page: first the ratios, then the numbers that they are made of."""

from __future__ import annotations

from .aims import OURS, speed, thrift, verdicts
from .peers import PEERS
from .results import Case, Run, Sample
from .table import grid, held_back, number, size

__all__ = ["aims", "summary"]

#: After a rate that the server's core did not limit.
MARKS = {"server": "", "load": " l", "others": " o", "kernel": " k"}

MISSING = "-"


def summary(run: Run) -> str:
    """Everything about *run*, as Markdown."""
    parts = [_where(run), _ratios(run), _echoes(run), _others(run), aims(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _where(run: Run) -> str:
    machine = run.machine
    versions = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    servers = "\n".join(
        f"- `{name}`: {PEERS[name].title if name in PEERS else name}" for name in run.servers
    )
    return (
        f"{machine.processor}, {machine.cores} cores, {machine.system}, {machine.python}; "
        f"rounds: {run.rounds}, of {run.seconds:g} s each.\n"
        f"{versions}.\n\n{servers}"
    )


def _ratios(run: Run) -> str:
    peers = [
        name for name in run.servers if name != OURS and name not in ("triows-typed", "engine")
    ]
    rows = []
    for case in _rated(run):
        cells = []
        for peer in peers:
            ratio, cost = speed(case, OURS, peer), thrift(case, OURS, peer)
            cells.append(f"{ratio:.2f} ({cost:.2f})" if ratio and cost else MISSING)
        rows.append([_short(case), *cells])
    if not rows:
        return ""
    return (
        "**The speed of triows, compared with each of the others.** 2.00 means twice as fast. The "
        "number in brackets compares the servers' time on their core for the same work.\n\n"
        + grid(["", *peers], rows)
    )


def _echoes(run: Run) -> str:
    rows = [[_short(case), *(_rate(case, name) for name in run.servers)] for case in _rated(run)]
    if not rows:
        return ""
    return (
        "**Messages, deliveries and handshakes per second.** A letter marks a rate that the "
        "server's core did not limit: `k` if the kernel's hand-over between two idle sides took "
        "the time, `l` if the load did, and `o` if other processes of the machine did.\n\n"
        + grid(["", *run.servers], rows)
    )


def _rate(case: Case, name: str) -> str:
    if name in case.failures:
        return "failed"
    best: Sample | None = case.best(name)
    return number(best.rate) + MARKS[held_back(best)] if best else MISSING


def _others(run: Run) -> str:
    columns: list[tuple[str, list[str]]] = []
    for case in run.of("memory"):
        columns += [
            ("kB per idle connection", _values(run, case, "accepted", 1e-3, ".1f")),
            ("after an echo", _values(run, case, "echoed", 1e-3, ".1f")),
        ]
    for case in run.of("latency"):
        load = f"{number(case.parameters['rate'])}/s" if "rate" in case.parameters else "half load"
        columns += [
            (f"p50 ms, {load}", _values(run, case, "p50", 1e3, ".2f")),
            (f"p99 ms, {load}", _values(run, case, "p99", 1e3, ".2f")),
        ]
    if not columns:
        return ""
    head = ["", *(name for name, _ in columns)]
    rows = [[server, *(cells[i] for _, cells in columns)] for i, server in enumerate(run.servers)]
    return (
        "**Memory, and latency.** The latency is that of an echo of 32 B on 32 connections, at "
        "half of the rate that each server can reach, and at half of what the slowest can reach."
        "\n\n" + grid(head, rows)
    )


def _values(run: Run, case: Case, name: str, scale: float, form: str) -> list[str]:
    values = [case.value(server, name) for server in run.servers]
    return [MISSING if value is None else format(value * scale, form) for value in values]


def aims(run: Run) -> str:
    """The aims, and whether *run* reached them. Empty if it says nothing about them."""
    rows = [
        [
            verdict.aim,
            verdict.wanted,
            f"{verdict.rate:.2f}",
            MISSING if verdict.cost is None else f"{verdict.cost:.2f}",
            verdict.held,
            verdict.limit,
        ]
        for verdict in verdicts(run)
    ]
    if not rows:
        return ""
    head = ["", "wanted", "measured", "by core time", "reached", "limited by"]
    return f"**What we aimed at, and what we reached.**\n\n{grid(head, rows)}"


def _rated(run: Run) -> list[Case]:
    return [case for case in run.cases if case.measure in ("echo", "fanout", "handshakes")]


def _short(case: Case) -> str:
    p = case.parameters
    match case.measure:
        case "echo":
            return f"echo {size(p['size'])}, {p['connections']} x {p['flight']}"
        case "fanout":
            return f"fan-out {size(p['size'])} to {p['connections']}"
    return "handshakes"
