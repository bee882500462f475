"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .results import Case, Run

__all__ = ["details", "grid"]

#: Below this share of its core a server is not the limit; something else is.
BUSY = 0.9


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay a table out: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def number(value: float) -> str:
    """Three digits that count, thousands apart."""
    if value >= 1000:
        return f"{round(value, -2 if value >= 10000 else -1):,.0f}".replace(",", " ")
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def title(case: Case) -> str:
    """The question, as a heading."""
    p = case.parameters
    match case.measure:
        case "echo":
            return (
                f"echo, {size(p['size'])}, {p['flight']} in flight, "
                f"{p['connections']} connection{'s' if p['connections'] > 1 else ''}"
            )
        case _:
            return case.measure


def size(count: int) -> str:
    """Bytes as people say them."""
    for unit, name in ((1_000_000, "MB"), (1_000, "kB")):
        if count >= unit:
            return f"{count / unit:g} {name}"
    return f"{count} B"


def limit(case: Case, server: str) -> str:
    """What held the best round back."""
    sample = case.best(server)
    if sample is None:
        return ""
    if sample.server_share >= BUSY:
        return "server"
    if sample.client_share >= BUSY:
        return "load"
    if sample.disturbed >= 1 - BUSY:
        return "others"
    return "round trip"


def details(run: Run, case: Case) -> str:
    """One case, with everything one may ask about it."""
    reference = next((name for name in run.servers if name in case.samples), None)
    rows = []
    for name in run.servers:
        if name in case.failures:
            rows.append([name, case.failures[name], *[""] * 7])
            continue
        best, spread, cost = case.best(name), case.spread(name), case.cost(name)
        if best is None or spread is None or cost is None or reference is None:
            continue
        first = case.rate(reference)
        assert first is not None
        rows.append(
            [
                name,
                number(best.rate),
                f"{first / best.rate:.2f}",
                f"{spread:.2f}",
                f"{best.server_share:.0%}",
                f"{best.client_share:.0%}",
                f"{best.disturbed:.0%}",
                f"{cost * 1e6:.1f}",
                limit(case, name),
            ]
        )
    head = [
        *("server", "per second", f"{reference} is", "median/best"),
        *("server CPU", "load CPU", "disturbed", "us CPU each", "limit"),
    ]
    return f"**{title(case)}**\n\n{grid(head, rows)}\n"
