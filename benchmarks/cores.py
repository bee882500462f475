"""One core for the servers and another one for the load, where the machine has two."""

from __future__ import annotations

import os
import sys

__all__ = ["CLIENT_CORE", "SERVER_CORE", "pin"]

#: The last two that this process may use: interrupts tend to go to the first. Read once,
#: before anything is pinned.
_CHOSEN: list[int] = sorted(os.sched_getaffinity(0))[-2:] if sys.platform == "linux" else []

#: The core of the servers, and that of the load; None where there is no choice.
CLIENT_CORE, SERVER_CORE = _CHOSEN if len(_CHOSEN) == 2 else (None, None)


def pin(core: int | None) -> None:
    """Keep this process on *core*."""
    if core is not None:
        os.sched_setaffinity(0, {core})
