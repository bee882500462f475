"""Reads pytest's options, and starts to run tests under schedules if Trio is as expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import seeds

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["load"]


def load(config: pytest.Config) -> None:
    """
    Register :class:`.plugin.Schedules`, or tell why tests run without schedules.

    Raises:
        pytest.UsageError: An option is wrong.
    """
    option = config.option
    given = _read("--triows-schedule", option.triows_schedule, seeds.parsed)
    count = _read("--triows-schedules", option.triows_schedules, _count)
    ini = config.getini("triows_seed")
    base = _read("triows_seed", ini or None, seeds.parsed_number)
    try:
        from . import plugin  # noqa: PLC0415 - Trio may be too new, or not there

        problems = plugin.problems()
    except ImportError as exc:
        problems = [str(exc)]
    if problems:
        config.pluginmanager.register(_Without(problems), "triows-schedules")
        return
    if base is None:
        base = seeds.fresh()
    schedules = plugin.Schedules(config, given, base, count or 1, unfair=option.triows_unfair)
    config.pluginmanager.register(schedules, "triows-schedules")


def _read(name: str, text: str | None, read: Callable[[str], T]) -> T | None:
    try:
        return None if text is None else read(text)
    except ValueError as exc:
        raise pytest.UsageError(f"{name}: {exc}") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text)):
        raise ValueError(f"the number of schedules is a whole number from 1 on, not {text!r}")
    return int(text)


class _Without:
    """
    Tells that tests run without schedules.

    Args:
        problems: What is missing.
    """

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell it where it is seen."""
        terminalreporter.write_line(
            "triows: the tests ran without schedules, because triows does not know this release of "
            f"Trio. It does not find: {', '.join(self._problems)}",
            yellow=True,
        )
