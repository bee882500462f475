"""The ways to restart, and what happens to the clients in each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from attrs import evolve, frozen

from tests.server.harness import deployed
from tests.server.harness.process import Output
from tests.server.harness.proxies import Proxy, ProxyProcess
from trials.server import poll

from .clients import CROWD, Act, crowd
from .servers import Pair, Servers, Workers
from .tally import Tally

__all__ = ["COLUMNS", "WAYS", "Result", "Way", "missing", "run"]

#: What is counted, as the head of the table says.
COLUMNS = (
    "websockets",
    "told",
    "refused",
    "cut",
    "GET",
    "GET lost",
    "POST",
    "POST lost",
    "twice",
)

#: The columns that have to be 0.
ZERO = frozenset({"refused", "cut", "GET lost", "POST lost", "twice"})

#: How many seconds a proxy may take until it uses a server again.
RETURN = 30

#: After how many messages of WebSockets the clients are in full swing.
MANY = 20


@frozen
class Way:
    """
    A proxy before servers.

    Args:
        proxy: Makes the proxy for the addresses of the servers.
        servers: What is behind it.
        zero: The columns that have to be 0.
    """

    proxy: Callable[[tuple[str, ...]], Proxy]
    servers: type[Servers] = Pair
    zero: frozenset[str] = ZERO


#: A proxy doesn't repeat a POST if the server has closed a connection that it has kept. So one that
#: doesn't know that the server is about to do so may lose it.
MAY_LOSE = ZERO - {"POST lost"}

_PAIRS = {
    "nginx": Way(deployed.nginx),
    "nginx-kept": Way(partial(deployed.nginx, kept=True), zero=MAY_LOSE),
    "haproxy": Way(deployed.haproxy),
    "haproxy-new": Way(partial(deployed.haproxy, kept=False)),
    "caddy": Way(deployed.caddy),
}
#: A worker that leaves doesn't answer when HAProxy asks the server whether it is ready.
_WORKERS = {
    "nginx-workers": evolve(_PAIRS["nginx"], servers=Workers),
    "nginx-kept-workers": evolve(_PAIRS["nginx-kept"], servers=Workers),
    "haproxy-workers": evolve(_PAIRS["haproxy"], servers=Workers, zero=MAY_LOSE),
    "haproxy-new-workers": evolve(_PAIRS["haproxy-new"], servers=Workers),
    "caddy-workers": evolve(_PAIRS["caddy"], servers=Workers),
}

WAYS: dict[str, Way] = _PAIRS | _WORKERS


@frozen
class Result:
    """
    What happened in one way.

    Args:
        tally: What happened to clients.
        problems: What went wrong with the servers, in sentences.
        seconds: How long it took.
        zero: The columns that have to be 0.
    """

    tally: Tally
    problems: list[str]
    seconds: float
    zero: frozenset[str]

    @property
    def is_fine(self) -> bool:
        return not self.problems and not any(self.tally.counts[column] for column in self.zero)


def missing(way: Way) -> str | None:
    """Return why a way can't be tried here, or ``None``."""
    return way.proxy(("127.0.0.1:1",)).missing()


def run(
    way: Way, restarts: int, logs: Path | None = None, clients: Mapping[Act, int] = CROWD
) -> Result:
    """
    Restart again and again while the clients come.

    Args:
        way: What is restarted.
        restarts: How often.
        logs: A folder for what the proxy and the servers print.
        clients: How many clients there are of each kind.
    """
    begun = time.monotonic()
    tally = Tally()
    with TemporaryDirectory() as folder:
        ledger = Path(folder, "ledger")
        ledger.touch()
        with way.servers(ledger, tally) as servers:
            proxy = ProxyProcess(way.proxy(servers.addresses), "", Path(folder))
            with proxy:
                _check(proxy)
                with crowd(proxy.address, tally, clients):
                    _wait_in_full_swing(tally)
                    for number in range(restarts):
                        _wait_for(servers.restart(number), tally)
        tally.compare(Counter(map(int, ledger.read_text().split())))
        problems = servers.problems + [
            f"a traceback in the log:\n{one.output}"
            for one in servers.all
            if "Traceback" in one.output
        ]
    if logs is not None:
        _write(logs, proxy.output, servers)
    return Result(tally, problems, time.monotonic() - begun, way.zero)


def _check(proxy: ProxyProcess) -> None:
    """
    Make a request through the proxy.

    Raises:
        RuntimeError: The proxy doesn't serve.
    """
    try:
        with urlopen("http://{}:{}/ready".format(*proxy.address), timeout=RETURN):
            pass
    except OSError as exc:
        raise RuntimeError("".join(proxy.output.lines)) from exc


def _wait_in_full_swing(tally: Tally) -> None:
    if not poll(lambda: tally.counts["messages"] > MANY, RETURN):
        tally.mishap("refused", "nobody can chat")


def _wait_for(process: int, tally: Tally) -> None:
    """Wait until clients get answers from a new process."""
    if not poll(lambda: process in tally.processes, RETURN):
        tally.mishap("refused", "nobody comes to a new process")


def _write(folder: Path, proxy: Output, servers: Servers) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "proxy.log").write_text("".join(proxy.lines))
    for number, server in enumerate(servers.all):
        (folder / f"server-{number}.log").write_text(server.output)
