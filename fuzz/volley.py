"""Many attempts side by side, until a time is over or the server shows that it minds."""

from __future__ import annotations

import itertools
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable

from hostile.server import WatchedServer

from .attempt import Attempt, perform

__all__ = ["SIDE_BY_SIDE", "Volley"]

#: Connections side by side. They mostly wait, for the server or for nothing to come.
SIDE_BY_SIDE = 24

#: Seconds between two looks at the server.
GLANCE = 0.02


class Volley:
    """
    What threads send to a server, numbered.

    Args:
        make: Makes the attempt of a number.
        numbers: The next number, for all threads.
        tls: For attempts inside of TLS.
    """

    def __init__(
        self, make: Callable[[int], Attempt], numbers: itertools.count[int], tls: ssl.SSLContext
    ) -> None:
        #: Attempts that were begun, that were made, and the time that was spent with them.
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
        """What may have done it, if something has just happened; the likeliest first."""
        numbers = [*self._current.values(), *reversed(self._recent)]
        return [self._make(number) for number in dict.fromkeys(numbers)]

    def fire(self, server: WatchedServer, seconds: float) -> bool:
        """Send for some time, or until the server minds; say whether it does."""
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
                # It has ended: this one is innocent, and whoever looks at it will see it.
                del self._current[slot]
                self._stop.wait(GLANCE)
            else:
                self.done += 1
                self._recent.append(number)


def _minds(server: WatchedServer) -> bool:
    """Whether it has ended or logged a traceback, now or before."""
    return not server.is_running or server.tracebacks > 0
