"""A server in a process of its own."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Self
from urllib.parse import urlsplit

__all__ = ["HYPERCORN", "PATIENCE", "TRIOWS", "Output", "ServerProcess"]

APPLICATIONS = Path(__file__).parent.parent / "applications"

TRIOWS = [sys.executable, "-m", "triows", "run"]
HYPERCORN = [sys.executable, "-m", "hypercorn", "-k", "trio"]

#: How many seconds a busy machine may take for something. No test waits that long.
PATIENCE = 30


class Output:
    """
    What a process prints. It is read all the time, so the process never has to wait for that.

    Args:
        stream: The end of the pipe.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.lines: list[str] = []
        self._stream = stream
        self._unread: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._stream:
            self.lines.append(line)
            self._unread.put(line)
        self._unread.put(None)

    def wait_for(self, pattern: str) -> str:
        """Wait for a line with a match of *pattern*, and return the match."""
        while (line := self._unread.get(timeout=PATIENCE)) is not None:
            if match := re.search(pattern, line):
                return match[0]
        raise AssertionError(f"it ended without {pattern!r}:\n{''.join(self.lines)}")

    def join(self) -> None:
        """Wait until everything is read. The process must have ended."""
        self._reader.join()

    def close(self) -> None:
        self._reader.join()
        self._stream.close()


class ServerProcess:
    """
    A command that serves. It is ready when it has said where it listens.

    Args:
        command: The command without the application and the address.
        app: The application, as ``module:app``.
        options: Further options.
        host: The host on which it serves.
        port: The port. 0 means any free one.
        folder: The folder in which it runs.
        environment: Further variables of its environment.
    """

    def __init__(
        self,
        command: list[str],
        app: str = "ordinary:app",
        *options: str,
        host: str = "127.0.0.1",
        port: int = 0,
        folder: Path = APPLICATIONS,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._host = host
        self.url = ""
        self._process = subprocess.Popen(
            [*command, app, "--bind", f"{host}:{port}", *options],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._output = Output(self._process.stdout)
        self.lines = self._output.lines

    def __enter__(self) -> Self:
        try:
            self.url = self.wait_for(rf"https?://{re.escape(self._host)}:\d+")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: Any) -> None:
        # Kill the whole session, because Hypercorn's workers outlive their parent.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def stop(self, seconds: float = 5) -> None:
        """End it by a signal if possible."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.__exit__()

    def wait_for(self, pattern: str) -> str:
        """Wait for a line with a match of *pattern*, and return the match."""
        return self._output.wait_for(pattern)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def reach(self, patience: float, context: ssl.SSLContext | None = None) -> socket.socket:
        """
        Connect to it.

        Args:
            patience: How many seconds anything may take.
            context: The context for TLS.
        """
        sock = socket.create_connection(self.address, patience)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return sock
        try:
            return context.wrap_socket(sock, server_hostname=self.address[0])
        except BaseException:
            sock.close()
            raise

    @staticmethod
    def now() -> float:
        """The seconds of its clock, which is the real one."""
        return time.monotonic()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        code = self._process.wait(PATIENCE)
        self._output.join()
        return code
