"""The page of the docs: its tables, between two markers, and its plot."""

from __future__ import annotations

from pathlib import Path

from . import plot
from .results import Run
from .summary import summary

__all__ = ["RESULTS", "renew"]

ROOT = Path(__file__).parents[1]

#: The run that the page shows.
RESULTS = ROOT / "benchmarks/results.json"
PAGE = ROOT / "docs/benchmarks.md"
PICTURE = ROOT / "docs/images/benchmarks.png"

BEGIN, END = "<!-- begin: made by make bench -->", "<!-- end: made by make bench -->"


def renew(run: Run) -> None:
    """
    Put the results of *run* into the page.

    Raises:
        ValueError: The page has no markers.
    """
    page = PAGE.read_text()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} needs the lines {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{summary(run)}\n{END}{after}")
    plot.draw(run, PICTURE)
    print(f"renewed {PAGE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)}")
