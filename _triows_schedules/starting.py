"""Reads pytest's options, and starts to run tests under schedules if Trio is as expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import seeds
from .summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["BASE", "NAME", "load", "summary_of", "wrong_markers"]

#: What turns schedules off: ``-p no:triows-schedules``.
NAME = "triows-schedules"

#: What a process of pytest-xdist gets the seed of the whole run by.
BASE = "triows_seed"

#: How many task switches the report of a failure shows.
_SHOWN = 30


def summary_of(config: pytest.Config) -> Summary:
    """
    Make what is told at the end. It has the seed of the whole run.

    Raises:
        pytest.UsageError: An option is wrong.
    """
    given = _read("--triows-schedule", config.option.triows_schedule, seeds.parsed)
    base = _read("triows_seed", config.getini("triows_seed") or None, seeds.parsed_number)
    if base is None:
        base = getattr(config, "workerinput", {}).get(BASE)
    return Summary(given, seeds.fresh() if base is None else base)


def load(config: pytest.Config, summary: Summary) -> None:
    """
    Register :class:`.plugin.Schedules`, or note why tests run without schedules.

    Raises:
        pytest.UsageError: An option is wrong.
    """
    option = config.option
    count = _read("--triows-schedules", option.triows_schedules, seeds.parsed_count)
    switches = _read("--triows-switches", option.triows_switches, seeds.parsed_count)
    try:
        from . import plugin  # noqa: PLC0415 - Trio may be too new, or not there

        summary.problems = plugin.problems()
    except ImportError as exc:
        summary.problems = [str(exc)]
    if not summary.problems:
        options = plugin.Options(
            summary.given, summary.base, count, option.triows_unfair, switches or _SHOWN
        )
        config.pluginmanager.register(plugin.Schedules(config, options, summary), NAME)


def _read(name: str, text: str | None, read: Callable[[str], T]) -> T | None:
    try:
        return None if text is None else read(text)
    except ValueError as exc:
        raise pytest.UsageError(f"{name}: {exc}") from None


def wrong_markers(items: Iterable[pytest.Item]) -> list[str]:
    """Tell which tests have a marker ``schedules`` that is wrong."""
    found: list[str] = []
    for item in items:
        marker = item.get_closest_marker("schedules")
        try:
            if marker is not None:
                seeds.count_in(marker)
        except ValueError as exc:
            file, line, name = item.location
            found.append(f"{file}:{(line or 0) + 1}: {name}: {exc}")
    return found
