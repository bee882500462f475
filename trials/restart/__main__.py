"""Try the ways one after another. Exit with 1 if something is wrong."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from trials.signals import exit_on_sigterm

from .ways import COLUMNS, WAYS, Result, missing, run

#: How many mishaps of a way are told one by one.
TOLD = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="restart-test", description=__doc__)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"of {', '.join(WAYS)} (all)")
    parser.add_argument("--restarts", type=int, default=50, help="how many in each way (50)")
    parser.add_argument("--logs", type=Path, help="a folder for the logs of servers and proxies")
    options = parser.parse_args()
    if unknown := set(options.ways) - WAYS.keys():
        parser.error(f"no such way: {', '.join(unknown)}")
    exit_on_sigterm()
    print("".join([f"{'way':21}", *(f"{name:>11}" for name in ("restarts", *COLUMNS))]))
    fine = True
    for name in options.ways or WAYS:
        if (reason := missing(WAYS[name])) is not None:
            print(f"{name:21}SKIPPED: {reason}")
            continue
        logs = options.logs and options.logs / name
        result = run(WAYS[name], options.restarts, logs)
        print("\n".join(lines(name, options.restarts, result)), flush=True)
        fine = fine and result.is_fine
    return 0 if fine else 1


def lines(name: str, restarts: int, result: Result) -> list[str]:
    """The line of a table, and below it what was wrong."""
    numbers = [restarts, *(result.tally.counts[column] for column in COLUMNS)]
    said = ["".join([f"{name:21}", *(f"{number:>11}" for number in numbers)])]
    for sentence, times in Counter(one.sentence for one in result.tally.mishaps).most_common(TOLD):
        first = next(one for one in result.tally.mishaps if one.sentence == sentence)
        said.append(f"    {times} x {first}")
    said += [f"    FAILED: {problem}" for problem in result.problems]
    if not result.is_fine:
        said.append("    FAILED")
    return said


if __name__ == "__main__":
    sys.exit(main())
