"""What a signal does to a trial."""

from __future__ import annotations

import signal
import sys

__all__ = ["exit_on_sigterm"]


def exit_on_sigterm() -> None:
    """Let SIGTERM raise :exc:`SystemExit`, so that no server outlives this process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
