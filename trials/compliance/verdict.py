"""Judges the reports of a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attrs import frozen

__all__ = ["COLUMNS", "Case", "read_reports", "table", "wrong"]

#: The possible results of a case, in the order of the table. ERROR means that it could not run.
COLUMNS = (
    "OK",
    "NON-STRICT",
    "INFORMATIONAL",
    "UNIMPLEMENTED",
    "FAILED",
    "ERROR",
    "UNCLEAN",
)

#: Autobahn's names for a wrong close.
BAD_CLOSES = frozenset({"FAILED", "UNCLEAN", "WRONG CODE"})

#: These results are always wrong. Others are wrong only if the reference does better.
FAILURES = frozenset({"FAILED", "ERROR"})


@frozen
class Case:
    """
    The result of one case.

    Args:
        number: The number, such as ``9.3.1``.
        behavior: The result for the messages.
        close: The result for the closing handshake.
    """

    number: str
    behavior: str
    close: str

    @property
    def is_failed(self) -> bool:
        return self.behavior in FAILURES

    @property
    def is_unclean(self) -> bool:
        return self.close in BAD_CLOSES

    @property
    def is_worse_than_could_be(self) -> bool:
        """Whether something is wrong that may be wrong in the reference, too."""
        return self.is_unclean or self.behavior == "UNIMPLEMENTED"

    @property
    def sort_key(self) -> list[int]:
        return [int(part) for part in self.number.split(".")]

    def __str__(self) -> str:
        return f"{self.number}: {self.behavior}, close {self.close}"


def read_reports(folder: Path) -> list[Case]:
    """
    Read the index that the runner has written, in the order of the cases.

    Raises:
        OSError: There is no index.
    """
    # The index is by the server's name in its answers. A server that leaves its name out of some
    # answers is listed twice.
    agents = json.loads((folder / "index.json").read_text())
    return sorted(
        (
            Case(number, result["behavior"], result["behaviorClose"])
            for results in agents.values()
            for number, result in results.items()
        ),
        key=lambda case: case.sort_key,
    )


def table(cases: Iterable[Case]) -> Iterator[str]:
    """Count the results by class of cases. Only UNCLEAN is about the close."""
    counts: dict[str, Counter[str]] = {}
    for case in cases:
        for row in (case.number.partition(".")[0], "all"):
            counter = counts.setdefault(row, Counter())
            counter[case.behavior] += 1
            counter["UNCLEAN"] += case.is_unclean
    counts["all"] = counts.pop("all", Counter())  # this moves it to the end
    yield "cases  " + "  ".join(COLUMNS)
    for row, counter in counts.items():
        cells = (str(counter[column] or "-").rjust(len(column)) for column in COLUMNS)
        yield row.rjust(5) + "  " + "  ".join(cells)


def wrong(cases: Iterable[Case], reference: Mapping[str, Case]) -> list[Case]:
    """
    Pick the cases whose results are wrong.

    Args:
        cases: Our results.
        reference: The reference's results for the cases in which ours could be better.
    """
    return [case for case in cases if case.is_failed or _is_worse(case, reference)]


def _is_worse(case: Case, reference: Mapping[str, Case]) -> bool:
    if not case.is_worse_than_could_be:
        return False
    other = reference.get(case.number)
    if other is None:
        return True
    return (case.is_unclean and not other.is_unclean) or (
        case.behavior == "UNIMPLEMENTED" != other.behavior
    )
