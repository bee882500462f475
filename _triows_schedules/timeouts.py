"""
Tells the schedule of a test that ends together with its process.

By its method "thread", pytest-timeout prints the name and the stack of each thread when a test
takes too long, and ends the process. There is no report. So a thread has the schedule in its name.
"""

from __future__ import annotations

import threading

__all__ = ["NamedThread"]

#: Seconds that the thread gets to end.
_MOMENT = 1.0


class NamedThread:
    """A thread that waits, and whose name tells something."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, text: str) -> None:
        """Make *text* the thread's name, and start the thread if it isn't there."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._over.wait, daemon=True)
            self._thread.start()
        self._thread.name = text

    def end(self) -> None:
        """Let the thread end."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(_MOMENT)
