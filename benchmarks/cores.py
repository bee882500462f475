"""Chooses one core for the servers and another for the load, if the machine has two."""

from __future__ import annotations

import os
import sys

__all__ = ["CLIENT_CORE", "SERVER_CORE", "pin"]

#: The last two cores that this process may use, because interrupts usually go to the first. They
#: are read only once, before anything is pinned.
_CHOSEN: list[int] = sorted(os.sched_getaffinity(0))[-2:] if sys.platform == "linux" else []

#: The core of the load, and that of the servers. ``None`` if there aren't two.
CLIENT_CORE, SERVER_CORE = _CHOSEN if len(_CHOSEN) == 2 else (None, None)


def pin(core: int | None) -> None:
    """Keep this process on *core*."""
    if core is not None:
        os.sched_setaffinity(0, {core})
