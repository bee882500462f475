"""What a process took from the machine: time on a core, time waiting for one, memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import attrs

__all__ = ["Usage", "resident_bytes", "session_of", "usage"]

PROC = Path("/proc")


@attrs.frozen
class Usage:
    """
    Seconds since the process began, of all its threads.

    Args:
        on_core: Running.
        waiting: Ready to run, while the core was taken: the noise of a shared machine.
    """

    on_core: float
    waiting: float

    def __sub__(self, before: Usage) -> Usage:
        return Usage(self.on_core - before.on_core, self.waiting - before.waiting)

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.on_core + other.on_core, self.waiting + other.waiting)


def session_of(leader: int) -> list[int]:
    """Find the processes of a session, by the process that opened it."""
    found = []
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError, IndexError):
                # After the name, which may contain anything: state, parent, group, session.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader:
                    found.append(int(folder.name))
    return found


def usage(pids: list[int]) -> Usage:
    """Add up the processes. Zero where the kernel does not say (other than Linux)."""
    total = Usage(0, 0)
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in (PROC / str(pid) / "task").iterdir():
                on_core, waiting, _ = map(int, (task / "schedstat").read_text().split())
                total += Usage(on_core / 1e9, waiting / 1e9)
    return total


def resident_bytes(pids: list[int]) -> int:
    """Add up the resident memory of the processes."""
    pages = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            pages += int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
