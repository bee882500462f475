"""What triows aims at, and whether a run holds it."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .results import Case, Run
from .table import held_back, title

__all__ = ["Verdict", "verdicts"]

OURS = "triows"

#: By how much the cost of a message may differ, and be called the same: what two rounds of
#: one server differ by.
SAME = 1.03


@attrs.frozen
class Verdict:
    """
    An aim and how it went.

    Args:
        aim: A sentence's worth.
        wanted: The ratio, as text.
        rate: The ratio that was measured, of rates or of memory.
        cost: The same by the servers' time on their core, if that says something.
        held: Whether it was reached.
        limit: What held either server back, if it was not its core.
    """

    aim: str
    wanted: str
    rate: float
    cost: float | None
    held: bool
    limit: str


def speed(case: Case, ours: str, theirs: str) -> float | None:
    """How many times as fast *ours* is."""
    mine, other = case.rate(ours), case.rate(theirs)
    return mine / other if mine and other else None


def thrift(case: Case, ours: str, theirs: str) -> float | None:
    """How many times as much *theirs* is on its core for the same."""
    mine, other = case.cost(ours), case.cost(theirs)
    return other / mine if mine and other else None


def limit(case: Case, *names: str) -> str:
    """What held these back, if it was not their core."""
    found = {held_back(best) for name in names if (best := case.best(name))} - {"server"}
    return ", ".join(sorted(found)) or "server"


def verdicts(run: Run) -> Iterator[Verdict]:
    """Look at all aims that *run* can say something about."""
    for peer, flight, wanted in (
        ("lihil", 8, 1.3),
        ("hypercorn", 8, 8.0),
        ("lihil", 1, 0.95),
        ("hypercorn", 1, 5.0),
    ):
        yield from _faster(run.of("echo", size=32, connections=32, flight=flight), peer, wanted)
    ratios = [
        (ratio, case)
        for case in run.of("echo")
        if (ratio := speed(case, OURS, "quart-trio")) is not None
    ]
    if ratios:
        _, worst = min(ratios, key=lambda pair: pair[0])
        yield from _faster([worst], "quart-trio", 3.0, prefix="any echo; the worst: ")
    yield from _faster(run.of("handshakes"), "hypercorn", 1.0)
    for case in run.of("memory"):
        mine, other = case.value(OURS, "echoed"), case.value("hypercorn", "echoed")
        if mine and other:
            ratio = mine / other
            yield Verdict(
                "memory per idle connection, to hypercorn's",
                "<= 1.2",
                ratio,
                None,
                ratio <= 1.2,
                "",
            )
    for cases, wanted in (
        (run.of("echo", size=32, connections=32, flight=8), SAME),
        (run.of("handshakes"), 1.25),
    ):
        for case in cases:
            yield from _framework(case, wanted)


def _faster(cases: list[Case], peer: str, wanted: float, prefix: str = "") -> Iterator[Verdict]:
    for case in cases:
        ratio = speed(case, OURS, peer)
        if ratio is not None:
            yield Verdict(
                f"{prefix}{title(case)}, to {peer}",
                f">= {wanted:g}",
                ratio,
                thrift(case, OURS, peer),
                ratio >= wanted,
                limit(case, OURS, peer),
            )


def _framework(case: Case, wanted: float) -> Iterator[Verdict]:
    """The cost of typed parameters and a resource, to the engine without a framework."""
    lowest = "engine" if "engine" in case.samples else OURS
    slower, cost = speed(case, lowest, "triows-typed"), thrift(case, lowest, "triows-typed")
    if slower and cost:
        yield Verdict(
            f"{title(case)}: the cost of typed parameters and a resource, to {lowest}",
            f"<= {wanted:g}",
            slower,
            cost,
            # Two servers that do nearly the same: their time says more than their rates.
            cost <= wanted,
            limit(case, lowest, "triows-typed"),
        )
