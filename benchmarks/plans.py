"""What each command measures, in order."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from .echo import Echo
from .fan_out import FanOut
from .handshakes import Handshakes
from .latency import Latency
from .measure import Measure
from .memory import Memory
from .request_latency import REFERENCE, RequestLatency
from .requests import Requests

__all__ = ["OURS", "PLANS"]

#: What `cost` compares: the layers of triows, the lowest first, if they exist.
OURS = ("engine", "triows", "triows-typed")

#: Sizes, connections and messages in flight of `all`. 1 MB on 500 connections is left out: that is
#: half a gigabyte on its way, and takes a slow server seconds per message.
ECHOES: tuple[tuple[int, tuple[int, ...], tuple[int, ...]], ...] = (
    (32, (1, 32, 500), (1, 8)),
    (1_000, (1, 32, 500), (1, 8)),
    (64_000, (1, 32), (1, 8)),
    (64_000, (500,), (1,)),
    (1_000_000, (1,), (1, 8)),
    (1_000_000, (32,), (1,)),
)


def echo(arguments: argparse.Namespace) -> Iterator[Measure]:
    for size in arguments.size:
        for connections in arguments.connections:
            for flight in arguments.flight:
                yield Echo(size, flight, connections)


def fan_out(arguments: argparse.Namespace) -> Iterator[Measure]:
    for size in arguments.size:
        for connections in arguments.connections:
            yield FanOut(size, connections)


def handshakes(arguments: argparse.Namespace) -> Iterator[Measure]:
    yield Handshakes(arguments.at_once)


def memory(arguments: argparse.Namespace) -> Iterator[Measure]:
    yield Memory(arguments.connections)


def latency(arguments: argparse.Namespace) -> Iterator[Measure]:
    return _latency(32, arguments.connections)


def _latency(size: int, connections: int) -> Iterator[Measure]:
    capacities: dict[str, float] = {}
    yield Latency(size, connections, capacities)
    if len(capacities) > 1:
        # The same rate for all: half of what the slowest can do, which is known by now.
        yield Latency(size, connections, capacities, round(min(capacities.values()) / 2))


def requests(arguments: argparse.Namespace) -> Iterator[Measure]:
    for pipelined in arguments.pipelined:
        yield Requests("requests", arguments.connections, pipelined)


def typed(arguments: argparse.Namespace) -> Iterator[Measure]:
    return _typed(arguments.connections)


def _typed(connections: int) -> Iterator[Measure]:
    yield Requests("typed", connections)
    yield Requests("typed_bodies", connections)


def bodies(arguments: argparse.Namespace) -> Iterator[Measure]:
    yield from _bodies(arguments.connections)


def _bodies(connections: int) -> Iterator[Measure]:
    for name in ("uploads", "downloads", "files"):
        yield Requests(name, connections)


def request_latency(arguments: argparse.Namespace) -> Iterator[Measure]:
    return _request_latency(arguments.connections)


def _request_latency(connections: int) -> Iterator[Measure]:
    capacities: dict[str, float] = {}
    yield RequestLatency(connections, capacities)
    if len(capacities) > 1:
        # The same rate for all that can keep up with it.
        most = capacities.get(REFERENCE, min(capacities.values()))
        yield RequestLatency(connections, capacities, round(most / 2))


def cost(_arguments: argparse.Namespace) -> Iterator[Measure]:
    yield Echo(32, 1, 32)
    yield Echo(32, 8, 32)
    yield Handshakes()


def everything(_arguments: argparse.Namespace) -> Iterator[Measure]:
    for size, connections, flights in ECHOES:
        for count in connections:
            for flight in flights:
                yield Echo(size, flight, count)
    yield FanOut(32, 500)
    yield Handshakes()
    yield from _latency(32, 32)
    yield Memory(5000)
    yield Requests("requests", 32)
    yield Requests("requests", 32, 16)
    yield from _typed(32)
    yield from _bodies(8)
    yield from _request_latency(32)


#: By the name of the command.
PLANS: dict[str, Callable[[argparse.Namespace], Iterator[Measure]]] = {
    "echo": echo,
    "fanout": fan_out,
    "handshakes": handshakes,
    "memory": memory,
    "requests": requests,
    "typed": typed,
    "bodies": bodies,
    "request-latency": request_latency,
    "latency": latency,
    "cost": cost,
    "all": everything,
}
