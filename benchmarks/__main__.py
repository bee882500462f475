"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvloop

from .cores import CLIENT_CORE, pin
from .echo import Echo
from .peers import PEERS, choose
from .results import Run, save
from .rounds import Rounds
from .table import details

OUTPUT = Path("build/benchmarks")


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def names(text: str) -> list[str]:
    return text.split(",")


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--servers", type=names, default=list(PEERS), help="of: " + ", ".join(PEERS)
    )
    common.add_argument("--rounds", type=int, default=3, help="per server and case")
    common.add_argument("--seconds", type=float, default=0.5, help="per round")
    whole = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)
    echo = commands.add_parser("echo", parents=[common], help="messages per second")
    echo.add_argument("--size", type=numbers, default=[32], help="bytes, as in 32,1000,1000000")
    echo.add_argument("--flight", type=numbers, default=[1, 8], help="per connection")
    echo.add_argument("--connections", type=numbers, default=[32])
    return whole


async def measure(arguments: argparse.Namespace) -> Run:
    peers = choose(arguments.servers)
    run = Run.begin(peers, arguments.rounds, arguments.seconds)
    async with Rounds(peers, run) as rounds:
        await rounds.measure(
            Echo(size, flight, connections)
            for size in arguments.size
            for connections in arguments.connections
            for flight in arguments.flight
        )
    return run


def main() -> int:
    arguments = parser().parse_args()
    pin(CLIENT_CORE)
    run = uvloop.run(measure(arguments))
    text = "\n".join(details(run, case) for case in run.cases)
    print(text)
    save(run, OUTPUT / "results.json")
    (OUTPUT / "table.md").write_text(text)
    return 1 if any(case.failures for case in run.cases) else 0


if __name__ == "__main__":
    sys.exit(main())
