"""
The command line of the benchmarks.

    make bench                                                  everything, for the docs
    make bench ARGS="echo --servers triows,lihil --size 32"     one question, in seconds
    make bench ARGS="report"                                    the docs, from the stored run
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

import uvloop

from . import document, routing
from .cores import CLIENT_CORE, pin
from .peers import PEERS, Peer, before, choose
from .plans import OURS, PLANS
from .process import StartError
from .results import Run, load, save
from .rounds import Rounds
from .summary import aims
from .table import details

#: The results of every run. They aren't in the repository.
LATEST = Path("build/benchmarks")


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def names(text: str) -> list[str]:
    return text.split(",")


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(dest="command", required=True)

    def measure(
        name: str, text: str, rounds: int = 3, seconds: float = 0.5
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        command.add_argument("--servers", type=names, help=f"of {','.join(PEERS)}")
        command.add_argument("--before", type=Path, help="a checkout of triows to compare with")
        command.add_argument(
            "--rounds", type=int, default=rounds, help="how many rounds for each server and case"
        )
        command.add_argument("--seconds", type=float, default=seconds, help="how long a round is")
        return command

    measure("all", "measure everything, and renew the docs", seconds=0.4)
    echo = measure("echo", "measure messages that come back, per second")
    echo.add_argument(
        "--size", type=numbers, default=[32], help="bytes of a message; for several, 32,1000"
    )
    echo.add_argument(
        "--flight", type=numbers, default=[1, 8], help="messages on their way on each connection"
    )
    echo.add_argument("--connections", type=numbers, default=[32], help="how many")
    fan_out = measure("fanout", "measure deliveries per second, of messages to everyone")
    fan_out.add_argument("--size", type=numbers, default=[32], help="bytes of a message")
    fan_out.add_argument("--connections", type=numbers, default=[500], help="how many")
    handshakes = measure("handshakes", "measure connections that are opened and closed, per second")
    handshakes.add_argument("--at-once", type=int, default=16, help="how many at the same time")
    memory = measure("memory", "measure resident memory per idle connection", rounds=1)
    memory.add_argument("--connections", type=int, default=5000, help="how many")
    latency = measure("latency", "measure p50 and p99 at half load")
    latency.add_argument("--connections", type=int, default=32, help="how many")
    requests = measure("requests", "measure plain requests per second")
    requests.add_argument("--connections", type=int, default=32, help="how many")
    requests.add_argument(
        "--pipelined", type=numbers, default=[1, 16], help="requests that are sent together"
    )
    typed = measure("typed", "measure requests to routes with typed parameters, per second")
    typed.add_argument("--connections", type=int, default=32, help="how many")
    bodies = measure("bodies", "measure uploads and downloads of 1 MB, and files of 10 MB")
    bodies.add_argument("--connections", type=int, default=8, help="how many")
    request_latency = measure("request-latency", "measure p50 and p99 of requests at half load")
    request_latency.add_argument("--connections", type=int, default=32, help="how many")
    measure("cost", "measure what our layers cost, per message and per handshake", rounds=5)
    commands.add_parser("routing", help="compare 10 routes with 10 000")
    report = commands.add_parser("report", help="renew the docs from a stored run")
    report.add_argument("file", nargs="?", type=Path, default=document.RESULTS)
    return whole


def default_servers(command: str) -> list[str]:
    if command == "cost":
        return [name for name in PEERS if name in OURS]
    return [name for name, peer in PEERS.items() if not peer.asked_for]


async def measure(arguments: argparse.Namespace, peers: list[Peer], run: Run) -> None:
    async with Rounds(peers, run) as rounds:
        await rounds.measure(PLANS[arguments.command](arguments))


def allow_many_files() -> None:
    """Allow as many descriptors as the system permits. Servers inherit the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def show(run: Run) -> None:
    text = "\n".join([*(details(run, case) for case in run.cases), aims(run)])
    print(text)
    save(run, LATEST / "results.json")
    (LATEST / "table.md").write_text(text)


def main() -> int:
    arguments = parser().parse_args()
    if arguments.command == "routing":
        routing.main()
        return 0
    if arguments.command == "report":
        document.renew(load(arguments.file))
        return 0
    try:
        peers = choose(arguments.servers or default_servers(arguments.command))
    except ValueError as error:
        parser().error(str(error))
    if arguments.before is not None:
        peers.append(before(arguments.before))
    allow_many_files()
    pin(CLIENT_CORE)
    run = Run.begin(peers, arguments.rounds, arguments.seconds)
    try:
        uvloop.run(measure(arguments, peers, run))
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        show(run)  # even if the run was interrupted
    if arguments.command == "all":
        routing.main()
        if arguments.servers is None and arguments.before is None:
            save(run, document.RESULTS)
            document.renew(load(document.RESULTS))  # its numbers are rounded
    return 1 if any(case.failures for case in run.cases) else 0


if __name__ == "__main__":
    sys.exit(main())
