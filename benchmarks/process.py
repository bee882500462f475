"""A server as a process of its own, for ``async with``. It runs on its own core."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from .cores import SERVER_CORE
from .peers import Peer
from .usage import Usage, resident_bytes, session_of, usage

__all__ = ["ServerProcess", "StartError"]

ROOT = Path(__file__).parents[1]

#: How many seconds a start may take on a busy machine.
PATIENCE = 30


class StartError(Exception):
    """A server ended before it was ready, or was not ready in time."""


class ServerProcess:
    """
    A running server. Use it in ``async with``.

    At the end, it is killed together with all processes that it started. If this process dies, the
    kernel kills it.

    Args:
        peer: Which server it is.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._pids: list[int] = []

    async def __aenter__(self) -> Self:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __aexit__)
        try:
            self._process = self._spawn()
            await self._wait_ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [part.format(port=self.port) for part in self.peer.command]
        # Without this, the new process would inherit the core of this one.
        core = "any" if SERVER_CORE is None else str(SERVER_CORE)
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.launch", core, str(self.peer.folder), *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    async def __aexit__(self, *exc_info: object) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._log is not None:
            self._log.close()

    async def _wait_ready(self) -> None:
        assert self._process is not None
        async with asyncio.timeout(PATIENCE):
            while True:
                if self._process.poll() is not None:
                    raise StartError(f"{self.peer.name} ended:\n{self.output}")
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        self._pids = session_of(self._process.pid)

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """What it printed last."""
        assert self._log is not None
        self._log.seek(0)
        return self._log.read()[-4000:].decode(errors="replace")

    def usage(self) -> Usage:
        """What it has used since its start."""
        return usage(self._pids)

    def resident_bytes(self) -> int:
        """How much memory it holds now."""
        return resident_bytes(self._pids)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
