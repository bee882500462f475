"""The last events of a connection, for error messages."""

from __future__ import annotations

from collections import deque

import trio

__all__ = ["EventLog", "shown"]

#: How many events are kept. These are enough to see what led to the last one.
_KEPT = 10

#: How many characters of a message are shown.
_SHOWN = 60


def shown(message: str | bytes) -> str:
    """Describe a message in the log. A long message is cut."""
    kind = "text" if isinstance(message, str) else "bytes"
    if len(message) <= _SHOWN:
        return f"{kind} {message!r}"
    return f"{kind} {message[:_SHOWN]!r}... ({len(message)} in all)"


class EventLog:
    """The last events of a connection, with the seconds since it began."""

    def __init__(self) -> None:
        self._began = trio.current_time()
        self._events: deque[tuple[float, str]] = deque(maxlen=_KEPT)
        self._dropped = 0

    def add(self, event: str) -> None:
        """Add an event that happens now."""
        self._dropped += len(self._events) == _KEPT
        self._events.append((trio.current_time() - self._began, event))

    def __str__(self) -> str:
        lines = [f"  {seconds:10.3f} s  {event}" for seconds, event in self._events]
        if self._dropped:
            lines.insert(0, f"  ({self._dropped} earlier events)")
        now = trio.current_time() - self._began
        return "\n".join([*lines, f"  {now:10.3f} s  now"])
