"""Many attempts at the same time, until a time is over or the server shows harm."""

from __future__ import annotations

import itertools
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable

from trials.server import WatchedServer

from .attempt import Attempt, perform

__all__ = ["SIDE_BY_SIDE", "Volley"]

#: How many connections there are at the same time. Most of the time, they wait.
SIDE_BY_SIDE = 24

#: Seconds between two looks at the server.
GLANCE = 0.02


class Volley:
    """
    The numbered attempts that threads send to a server.

    Args:
        make: Makes the attempt with a number.
        numbers: The numbers, which all threads share.
        tls: The context for attempts inside TLS.
    """

    def __init__(
        self, make: Callable[[int], Attempt], numbers: itertools.count[int], tls: ssl.SSLContext
    ) -> None:
        #: How many attempts have begun, and how many are done. ``seconds`` says how long they took.
        self.started = self.done = 0
        self.seconds = 0.0
        self._make = make
        self._numbers = numbers
        self._tls = tls
        self._stop = threading.Event()
        self._current: dict[int, int] = {}
        self._recent: deque[int] = deque(maxlen=4 * SIDE_BY_SIDE)

    @property
    def suspects(self) -> list[Attempt]:
        """List the attempts that may have caused what just happened, the most likely first."""
        numbers = [*self._current.values(), *reversed(self._recent)]
        return [self._make(number) for number in dict.fromkeys(numbers)]

    def fire(self, server: WatchedServer, seconds: float) -> bool:
        """Send for some time, or until the server is harmed. Say whether it was."""
        self._stop.clear()
        begun = time.monotonic()
        threads = [
            threading.Thread(target=self._work, args=(slot, server.address), daemon=True)
            for slot in range(SIDE_BY_SIDE)
        ]
        for thread in threads:
            thread.start()
        while not (minds := _minds(server)) and time.monotonic() < begun + seconds:
            time.sleep(GLANCE)
        self._stop.set()
        for thread in threads:
            thread.join()
        self.seconds += time.monotonic() - begun
        return minds

    def _work(self, slot: int, address: tuple[str, int]) -> None:
        while not self._stop.is_set():
            number = next(self._numbers)
            self.started = max(self.started, number + 1)
            self._current[slot] = number
            try:
                perform(self._make(number), address, self._tls)
            except ConnectionRefusedError:
                # The server had already ended, so this attempt isn't the reason.
                del self._current[slot]
                self._stop.wait(GLANCE)
            else:
                self.done += 1
                self._recent.append(number)


def _minds(server: WatchedServer) -> bool:
    """Say whether the server has ended, or has logged a traceback at any time."""
    return not server.is_running or server.tracebacks > 0
