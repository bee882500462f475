"""The stored results: everything that tables and plots need, and nothing else."""

from __future__ import annotations

import json
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import msgspec

from .peers import Peer

__all__ = ["Case", "Machine", "Run", "Sample", "load", "save"]


@attrs.frozen
class Sample:
    """
    One measurement of one server.

    Args:
        count: How many operations were done: messages, deliveries, handshakes.
        seconds: How long it took.
        server: For how many seconds the server was on its core.
        server_waiting: For how many seconds it was ready to run, while its core was taken.
        client: For how many seconds the load was on its core.
        client_waiting: For how many seconds the load was ready to run, while its core was taken.
        values: Further results, by name: bytes, latencies.
    """

    count: int
    seconds: float
    server: float = 0
    server_waiting: float = 0
    client: float = 0
    client_waiting: float = 0
    values: dict[str, float] = attrs.field(factory=dict)

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.count / self.seconds

    @property
    def cost(self) -> float:
        """Seconds on the server's core per operation."""
        return self.server / self.count

    @property
    def server_share(self) -> float:
        """The share of the time that the server was on its core. Near 1, it is the limit."""
        return self.server / self.seconds

    @property
    def client_share(self) -> float:
        """The share of the time that the load was on its core."""
        return self.client / self.seconds

    @property
    def disturbed(self) -> float:
        """The share of the time that one of them waited because others had its core."""
        return max(self.server_waiting, self.client_waiting) / self.seconds


@attrs.frozen
class Case:
    """
    One question, which is asked of all servers in turn.

    Args:
        measure: The kind of measure.
        parameters: Its parameters.
        samples: The rounds, by the server's name.
        failures: What went wrong, by the server's name.
    """

    measure: str
    parameters: dict[str, int]
    samples: dict[str, list[Sample]] = attrs.field(factory=dict)
    failures: dict[str, str] = attrs.field(factory=dict)

    def best(self, server: str) -> Sample | None:
        """
        Choose the round with the highest rate.

        Other work on the machine can only make a round slower. So for every server, the fastest
        round is the one nearest to the truth.
        """
        samples = self.samples.get(server)
        return max(samples, key=lambda sample: sample.rate) if samples else None

    def rate(self, server: str) -> float | None:
        """The rate of the best round."""
        best = self.best(server)
        return best.rate if best else None

    def cost(self, server: str) -> float | None:
        """The lowest cost of a round, in seconds per operation."""
        samples = self.samples.get(server)
        return min(sample.cost for sample in samples) if samples else None

    def spread(self, server: str) -> float | None:
        """The median rate divided by the best. It is near 1 if the rounds agree."""
        samples = self.samples.get(server)
        if not samples:
            return None
        rates = [sample.rate for sample in samples]
        return statistics.median(rates) / max(rates)

    def value(self, server: str, name: str) -> float | None:
        """The lowest value of a further result in all rounds: bytes or seconds."""
        samples = self.samples.get(server)
        return min(sample.values[name] for sample in samples) if samples else None


@attrs.frozen
class Machine:
    """The machine on which it was measured."""

    system: str
    processor: str
    cores: int
    python: str

    @classmethod
    def this(cls) -> Machine:
        return cls(
            system=f"{platform.system()} {platform.release().split('-')[0]}",
            processor=_processor(),
            cores=os.cpu_count() or 0,
            python=f"{platform.python_implementation()} {platform.python_version()}",
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


@attrs.frozen
class Run:
    """
    A whole run.

    Args:
        machine: The machine.
        servers: The servers' names, in order.
        versions: The versions of the distributions that took part.
        rounds: How often each case was measured.
        seconds: How long each round was.
        cases: The results.
    """

    machine: Machine
    servers: list[str]
    versions: dict[str, str]
    rounds: int
    seconds: float
    cases: list[Case] = attrs.field(factory=list)

    @classmethod
    def begin(cls, peers: list[Peer], rounds: int, seconds: float) -> Run:
        names = {"picows", "uvloop"}.union(*(peer.distributions for peer in peers))
        return cls(
            Machine.this(),
            [peer.name for peer in peers],
            {name: version(name) for name in sorted(names)},
            rounds,
            seconds,
        )

    def of(self, measure: str, **parameters: int) -> list[Case]:
        """The cases of one kind, with these parameters and any others."""
        return [
            case
            for case in self.cases
            if case.measure == measure and parameters.items() <= case.parameters.items()
        ]


def save(run: Run, path: Path) -> None:
    """Keep *run* as JSON, a case on each line."""
    content = attrs.asdict(run)
    cases = ",\n".join(json.dumps(_rounded(case)) for case in content.pop("cases"))
    head = json.dumps(content, indent=1).removesuffix("\n}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head},\n "cases": [\n{cases}\n]\n}}\n')


def _rounded(value: Any) -> Any:
    """Leave out digits that say nothing."""
    match value:
        case float():
            return float(f"{value:.5g}")
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list():
            return [_rounded(item) for item in value]
    return value


def load(path: Path) -> Run:
    """Read a file of :func:`save`."""
    return msgspec.json.decode(path.read_text(), type=Run)
