"""
Makes tests fail that sleep or listen on sockets without the marker ``real_socket``.

A test that sleeps wastes time on a fast machine, and fails on a slow one. Test things that take
time with Trio's ``MockClock`` (the fixture ``autojump_clock``), and wait for things with an event.
Sleeps inside triows don't count. Listening sockets always count, except in another process, where
they aren't seen.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from types import FrameType

__all__ = [
    "pytest_runtest_call",
    "pytest_runtest_protocol",
    "pytest_runtest_teardown",
    "watched_sleeps",
    "watched_sockets",
]

ROOT = Path(__file__).parent.parent

_time_sleep, _trio_sleep, _listen = time.sleep, trio.sleep, socket.socket.listen

#: Where the current test has slept.
_slept: list[str] = []

#: The addresses on which it has listened.
_listened: list[str] = []


def _is_a_tests(frame: FrameType) -> bool:
    """Whether the tests are to blame: the frame is in the project, or it is a task that sleeps."""
    path = Path(frame.f_code.co_filename)
    if "site-packages" in path.parts:
        return frame.f_globals["__name__"].startswith("trio.")
    return path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "triows")


def _note(frame: FrameType, seconds: float) -> None:
    if seconds > 0 and _is_a_tests(frame):
        path = Path(frame.f_code.co_filename)
        _slept.append(f"{path.name}:{frame.f_lineno}, for {seconds} s")


def _watched_time_sleep(seconds: float) -> None:
    _note(sys._getframe(1), seconds)
    _time_sleep(seconds)


# This isn't an `async def`, so that the frame above is the caller's.
def _watched_trio_sleep(seconds: float) -> Awaitable[None]:
    if not isinstance(trio.lowlevel.current_clock(), MockClock):
        _note(sys._getframe(1), seconds)
    return _trio_sleep(seconds)


def watched_sleeps() -> list[str]:
    """Where the current test has slept on the real clock since the last call of this."""
    slept = _slept.copy()
    _slept.clear()
    return slept


def _watched_listen(listener: socket.socket, *args: int) -> None:
    _listened.append(str(listener.getsockname()))
    _listen(listener, *args)


def watched_sockets() -> list[str]:
    """Where the current test has listened since the last call of this."""
    listened = _listened.copy()
    _listened.clear()
    return listened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("real_socket") is None:
            patch.setattr(time, "sleep", _watched_time_sleep)
            patch.setattr(trio, "sleep", _watched_trio_sleep)
            patch.setattr(socket.socket, "listen", _watched_listen)
        return (yield)


def _complain() -> None:
    if listened := watched_sockets():
        pytest.fail(f"it listened at {'; '.join(listened)} without real_socket", pytrace=False)
    if slept := watched_sleeps():
        pytest.fail(f"it slept on the real clock: {'; '.join(slept)}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    outcome = yield
    _complain()
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, Any, Any]:
    outcome = yield
    _complain()
    return outcome
