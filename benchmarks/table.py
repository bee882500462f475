"""One case as a Markdown table, with everything that one may ask about it."""

from __future__ import annotations

from collections.abc import Sequence

from .results import Case, Run, Sample

__all__ = ["ASKED", "BUSY", "details", "grid", "held_back", "number", "size", "title"]

#: Below this share of its core a server is not the limit; something else is.
BUSY = 0.9


#: What plain requests ask for, by the name of the measure.
ASKED = {
    "requests": "small requests",
    "typed": "typed requests",
    "typed_bodies": "typed requests with body and resource",
    "uploads": "uploads of 1 MB",
    "downloads": "downloads of 1 MB",
    "files": "files of 10 MB",
}


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay a table out: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def number(value: float) -> str:
    """Three digits that count, thousands apart."""
    if value >= 1000:
        return f"{round(value, -2 if value >= 10000 else -1):,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def size(count: int) -> str:
    """Bytes as people say them."""
    for unit, name in ((1_000_000, "MB"), (1_000, "kB")):
        if count >= unit:
            return f"{count / unit:g} {name}"
    return f"{count} B"


def title(case: Case) -> str:
    """The question."""
    p = case.parameters
    connections = f"{p.get('connections')} connection{'s' if p.get('connections') != 1 else ''}"
    match case.measure:
        case "echo":
            return f"echo, {size(p['size'])}, {p['flight']} in flight, {connections}"
        case "fanout":
            return f"fan-out, {size(p['size'])} to {connections}"
        case "handshakes":
            return f"handshakes, {p['at_once']} at a time"
        case "memory":
            return f"memory, {connections}"
        case "latency":
            load = f"{number(p['rate'])} messages/s" if "rate" in p else "half of its own rate"
            return f"latency, {size(p['size'])}, {connections}, {load}"
        case "request_latency":
            load = f"{number(p['rate'])} requests/s" if "rate" in p else "half of its own rate"
            return f"latency of small requests, {connections}, {load}"
        case name if name in ASKED:
            pipelined = f", {p['pipelined']} pipelined" if p["pipelined"] > 1 else ""
            return f"{ASKED[name]}, {connections}{pipelined}"
    raise ValueError(f"no such measure: {case.measure}")


def held_back(sample: Sample) -> str:
    """
    Say what held a sample back.

    The server's core; the load's; other processes of the machine; or none of them: then both
    sides waited for the kernel to hand messages over.
    """
    if sample.server_share >= BUSY:
        return "server"
    if sample.client_share >= BUSY:
        return "load"
    if sample.disturbed >= 1 - BUSY:
        return "others"
    return "kernel"


def details(run: Run, case: Case) -> str:
    """The table of a case, under its question."""
    names = [name for name in run.servers if name in case.samples]
    head, rows = COLUMNS.get(case.measure, _rates)(case, names)
    failed = [f"\n{name} failed: {text}" for name, text in case.failures.items()]
    return f"**{title(case)}**\n\n{grid(head, rows)}\n" + "\n".join(failed)


def _rates(case: Case, names: list[str]) -> tuple[list[str], list[list[str]]]:
    reference = "triows" if "triows" in names else "".join(names[:1])
    rows = []
    for name in names:
        best, spread, cost = case.best(name), case.spread(name), case.cost(name)
        first, least = case.rate(reference), case.cost(reference)
        assert best is not None
        assert first is not None
        rows.append(
            [
                name,
                number(best.rate),
                f"{first / best.rate:.2f}",
                f"{(cost or 0) * 1e6:.1f}",
                f"{cost / least:.2f}" if least and cost else "",
                f"{spread:.2f}",
                f"{best.server_share:.0%}",
                f"{best.client_share:.0%}",
                f"{best.disturbed:.0%}",
                held_back(best),
            ]
        )
    head = [
        *("server", "per second", f"{reference} is"),
        *("us CPU each", f"{reference} is", "median/best"),
        *("server CPU", "load CPU", "disturbed", "limit"),
    ]
    return head, rows


def _memory(case: Case, names: list[str]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name in names:
        values = [case.value(name, key) or 0 for key in ("accepted", "echoed")]
        rows.append([name, *(f"{value / 1e3:.1f}" for value in values)])
    return ["server", "kB accepted", "kB after one echo"], rows


def _latency(case: Case, names: list[str]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name in names:
        rate, p50, p99 = (case.value(name, key) or 0 for key in ("rate", "p50", "p99"))
        disturbed = min(sample.disturbed for sample in case.samples[name])
        rows.append(
            [name, number(rate), f"{p50 * 1e3:.2f}", f"{p99 * 1e3:.2f}", f"{disturbed:.0%}"]
        )
    return ["server", "per second", "p50 ms", "p99 ms", "disturbed"], rows


#: How the table of a measure is made, if it isn't about rates.
COLUMNS = {"memory": _memory, "latency": _latency, "request_latency": _latency}
