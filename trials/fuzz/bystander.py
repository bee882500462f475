"""A peer that isn't part of the attack, and must not notice it."""

from __future__ import annotations

import threading
import time

from trials.server import UNSERVED, WatchedServer

__all__ = ["Bystander"]

#: How many seconds an echo may take while every core of the machine is busy with the attack.
PATIENCE = 5

#: Seconds between two echoes.
PAUSE = 0.01


class Bystander:
    """
    A connection that echoes all the time, in a thread.

    Args:
        server: A server with ``/echo``.
    """

    def __init__(self, server: WatchedServer) -> None:
        self.echoes = 0
        #: How many seconds the slowest echo took.
        self.slowest = 0.0
        #: What happened to it, if anything did.
        self.harm: str | None = None
        self._peer = server.connect("/echo", timeout=PATIENCE)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.wait(PAUSE):
                self._echo(f"bystander {self.echoes}")
        except Exception as exc:  # noqa: BLE001 - every error counts as harm
            self.harm = f"{type(exc).__name__}: {exc}"

    def _echo(self, message: str) -> None:
        begun = time.monotonic()
        self._peer.echo(message)
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.echoes += 1

    def stop(self) -> None:
        """Stop, with a closing handshake if it is still connected."""
        self._stop.set()
        self._thread.join()
        with self._peer:
            if self.harm is None:
                try:
                    self._peer.close()
                except UNSERVED as exc:
                    self.harm = f"at its close, {type(exc).__name__}: {exc}"
