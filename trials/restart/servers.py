"""The servers that are restarted: two processes, or one with four workers."""

from __future__ import annotations

import re
import signal
import socket
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.server.harness.process import TRIOWS, ServerProcess

from .tally import Tally

__all__ = ["Pair", "Servers", "Workers"]

ROOT = Path(__file__).parents[2]

APP = "trials.restart.application:app"


class Servers(ABC):
    """
    What is behind the proxy.

    Args:
        ledger: The file in which they write down which POSTs they have carried out.
        tally: Is told what is done to them.
    """

    #: Where they listen. No connection begins at one of these addresses, so no other program can
    #: take a port there while a server is away.
    HOSTS: tuple[str, ...]
    #: Further options of the command.
    OPTIONS: tuple[str, ...] = ()

    def __init__(self, ledger: Path, tally: Tally) -> None:
        self._tally = tally
        # Let Python keep what it compiles, whatever the environment says. A server that compiles
        # everything when it starts is slow.
        self._environment = {"TRIALS_RESTART_LEDGER": str(ledger), "PYTHONDONTWRITEBYTECODE": ""}
        #: Every process that there was.
        self.all: list[ServerProcess] = []
        #: What went wrong, in sentences.
        self.problems: list[str] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._stack = stack
            self._running = [self._started(host, _free_port(host)) for host in self.HOSTS]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._stack.close()

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple("{}:{}".format(*one.address) for one in self._running)

    @abstractmethod
    def restart(self, number: int) -> int:
        """
        Restart something for the time *number*, and wait until it serves again.

        Returns:
            A process that the proxy has to use before there is another restart.
        """

    def _started(self, host: str, port: int) -> ServerProcess:
        server = ServerProcess(
            TRIOWS,
            APP,
            *self.OPTIONS,
            host=host,
            port=port,
            folder=ROOT,
            environment=self._environment,
        )
        self.all.append(server)
        return self._stack.enter_context(server)


class Pair(Servers):
    """Two processes. One restarts while the other serves."""

    HOSTS = ("127.0.0.2", "127.0.0.3")

    def restart(self, number: int) -> int:
        place = number % 2
        old = self._running[place]
        self._tally.mark(f"SIGTERM to {old.address[0]}")
        old.send_signal(signal.SIGTERM)
        if code := old.wait():
            self.problems.append(f"the process ended with {code}:\n{old.output}")
        self._tally.mark(f"the end of {old.address[0]}")
        self._running[place] = new = self._started(*old.address)
        return new.pid


class Workers(Servers):
    """One server with four workers, which it replaces on SIGHUP."""

    HOSTS = ("127.0.0.2",)
    OPTIONS = ("--workers", "4")

    def restart(self, number: int) -> int:
        (server,) = self._running
        self._tally.mark("SIGHUP")
        server.send_signal(signal.SIGHUP)
        said = server.wait_for("all workers are new|replacing stops here.*")
        if said != "all workers are new":
            self.problems.append(f"{said}:\n{server.output}")
        ready = re.findall(r"worker (\d+) is ready", server.output)
        return int(ready[-1])


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
