"""A run as a page: first the ratios, then the numbers that they are made of."""

from __future__ import annotations

from .aims import OURS, speed, thrift, verdicts
from .peers import PEERS
from .results import Case, Run, Sample
from .table import ASKED, grid, held_back, number, size

__all__ = ["aims", "summary"]

#: After a rate that the server's core did not limit.
MARKS = {"server": "", "load": " l", "others": " o", "kernel": " k"}

MISSING = "-"


def summary(run: Run) -> str:
    """Everything about *run*, as Markdown."""
    messages = [case for case in run.cases if case.measure in ("echo", "fanout", "handshakes")]
    requests = [case for case in run.cases if case.measure in ASKED]
    parts = [
        _where(run),
        _ratios(run, messages),
        _rates(run, messages, "Messages, deliveries and handshakes"),
        _others(run),
        _ratios(run, requests),
        _rates(run, requests, "Plain requests"),
        _latencies(run),
        aims(run),
    ]
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


def _servers(run: Run, cases: list[Case]) -> list[str]:
    """The servers about which *cases* say something."""
    return [
        name
        for name in run.servers
        if any(name in case.samples or name in case.failures for case in cases)
    ]


def _ratios(run: Run, cases: list[Case]) -> str:
    servers = _servers(run, cases)
    if OURS not in servers:
        return ""
    peers = [name for name in servers if name not in (OURS, "triows-typed", "engine")]
    rows = []
    for case in cases:
        cells = []
        for peer in peers:
            ratio, cost = speed(case, OURS, peer), thrift(case, OURS, peer)
            cells.append(f"{ratio:.2f} ({cost:.2f})" if ratio and cost else MISSING)
        rows.append([_short(case), *cells])
    return (
        "**The speed of triows, compared with each of the others.** 2.00 means twice as fast. The "
        "number in brackets compares the servers' time on their core for the same work.\n\n"
        + grid(["", *peers], rows)
    )


def _rates(run: Run, cases: list[Case], what: str) -> str:
    servers = _servers(run, cases)
    rows = [[_short(case), *(_rate(case, name) for name in servers)] for case in cases]
    if not rows:
        return ""
    return (
        f"**{what} per second.** A letter marks a rate that the "
        "server's core did not limit: `k` if the kernel's hand-over between two idle sides took "
        "the time, `l` if the load did, and `o` if other processes of the machine did.\n\n"
        + grid(["", *servers], rows)
    )


def _rate(case: Case, name: str) -> str:
    if name in case.failures:
        return "failed"
    best: Sample | None = case.best(name)
    return number(best.rate) + MARKS[held_back(best)] if best else MISSING


def _others(run: Run) -> str:
    cases = [*run.of("memory"), *run.of("latency")]
    return _table(
        run,
        cases,
        "**Memory, and latency.** The latency is that of an echo of 32 B on 32 connections, at "
        "half of the rate that each server can reach, and at half of what the slowest can reach.",
    )


def _latencies(run: Run) -> str:
    return _table(
        run,
        run.of("request_latency"),
        "**The latency of small requests** on 32 connections, at half of the rate that each server "
        "can reach, and at half of what uvicorn can reach, for all servers that keep up with that.",
    )


def _table(run: Run, cases: list[Case], text: str) -> str:
    """A table with a row for each server, and columns for each value."""
    if not cases:
        return ""
    servers = _servers(run, cases)
    columns = [column for case in cases for column in _columns(case)]
    head = ["", *(name for name, *_ in columns)]
    rows = [[server, *(_value(server, *column) for _, *column in columns)] for server in servers]
    return f"{text}\n\n{grid(head, rows)}"


def _columns(case: Case) -> list[tuple[str, Case, str, float, str]]:
    """For each value: the head of the column, where it is, its name, its factor and its format."""
    if case.measure == "memory":
        return [
            ("kB per idle connection", case, "accepted", 1e-3, ".1f"),
            ("after an echo", case, "echoed", 1e-3, ".1f"),
        ]
    load = f"{number(case.parameters['rate'])}/s" if "rate" in case.parameters else "half load"
    return [(f"{name} ms, {load}", case, name, 1e3, ".2f") for name in ("p50", "p99")]


def _value(server: str, case: Case, name: str, scale: float, form: str) -> str:
    value = case.value(server, name)
    return MISSING if value is None else format(value * scale, form)


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


def _short(case: Case) -> str:
    p = case.parameters
    match case.measure:
        case "echo":
            return f"echo {size(p['size'])}, {p['connections']} x {p['flight']}"
        case "fanout":
            return f"fan-out {size(p['size'])} to {p['connections']}"
        case name if name in ASKED:
            return f"{ASKED[name]}, {p['connections']} x {p['pipelined']}"
    return "handshakes"
