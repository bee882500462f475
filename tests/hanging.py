"""
Shows where a test hangs, if it runs in a process of pytest-xdist.

pytest-timeout ends a process in which a test hangs. It prints all stacks to the terminal, but the
processes of pytest-xdist have none. Their standard error is that of the whole run.
"""

from __future__ import annotations

import faulthandler
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_timeout import Settings

__all__ = ["pytest_configure", "pytest_timeout_cancel_timer", "pytest_timeout_set_timer"]

_STDERR = pytest.StashKey[int]()
_TIMER = pytest.StashKey[threading.Timer]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # it is one of these processes
        # While a test runs, what is written to the other descriptor is captured.
        config.stash[_STDERR] = os.dup(2)


def pytest_timeout_set_timer(item: pytest.Item, settings: Settings) -> Any:
    stderr = item.config.stash.get(_STDERR, None)
    if stderr is None:
        return None  # leave it to pytest-timeout
    timer = threading.Timer(settings.timeout, _end, [stderr, item.nodeid, settings.timeout])
    timer.daemon = True
    item.stash[_TIMER] = timer
    timer.start()
    return True


def pytest_timeout_cancel_timer(item: pytest.Item) -> None:
    if timer := item.stash.get(_TIMER, None):
        timer.cancel()


def _end(stderr: int, test: str, seconds: float) -> None:
    os.write(stderr, f"\n{test} hangs: it has taken {seconds:g} s. All stacks:\n".encode())
    faulthandler.dump_traceback(stderr)
    os._exit(1)
