"""What people are told about a schedule, in words."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from .places import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from .failures import Failure
    from .running import Run
    from .seeds import Seed
    from .trace import Story, Switch

__all__ = ["command", "interrupted", "plural", "switches", "told", "unlike"]

_PLAIN = "the tasks of each round run in the order in which they were started"

#: The columns of the switches.
_HEADING = (f"{'time':>9}", "where it went on", "task", "woken by")

#: How wide a column gets. What is longer moves the rest of its own line only.
_WIDEST = 40

#: Whose the steps are that are left out.
_OWNERS = {Owner.SYSTEM: "Trio", Owner.RUNNER: "the test runner", Owner.TRIOWS: "triows"}

_CAUSES = (
    "So something besides the schedule decides. It may be a thread, a socket, the real clock, "
    "`uuid`, `secrets` or `os.urandom`, the order of a set of strings (set PYTHONHASHSEED to fix "
    "it), `id()` or an address, or something that an earlier run left behind."
)


def told(run: Run, seed: Seed, again: str) -> Iterator[str]:
    """
    Tell about the schedule under which a test has failed, in lines.

    Args:
        run: The run that has failed.
        seed: The seed that repeats it.
        again: The command that repeats it.
    """
    line = f"This test failed under the schedule {seed}"
    yield f"{line}, in its {_ordinal(run.number)} run" if run.of > 1 else line
    if seed.choices is not None:
        yield _chosen(seed.choices)
        if besides := run.schedule.besides | ({"`random`"} if run.draws else set()):
            yield f"The seed also decided what {' and '.join(sorted(besides))} did."
    yield from _held(run)
    if run.schedule.outside:
        what = " and ".join(sorted(run.schedule.outside))
        yield (
            f"The schedule did not decide everything: the test used {what}. It may end differently "
            "when you run it again."
        )
    yield f"Run it again: {again}"


def _chosen(choices: range) -> str:
    """Tell how little of a schedule matters."""
    if not choices:
        return f"It needs no special order: it also fails in the plain order, in which {_PLAIN}."
    if len(choices) == 1:
        what = f"choice {choices[0]} matters"
    else:
        what = f"choices {choices[0]} to {choices[-1]} matter"
    return f"Only its {what}. It fails even if all others are plain: {_PLAIN}."


def _held(run: Run) -> Iterator[str]:
    """Tell whether the failure depends on tasks that were held back."""
    if not run.schedule.held:
        return
    held = "ready tasks are held back over several rounds, which Trio never does"
    if run.fair_runs:
        yield (
            f"It relies on Trio's fairness: it fails if {held}. Without that, it did not fail in "
            f"this way under {plural(run.fair_runs, 'schedule')}."
        )
    else:
        yield (
            f"With --triows-unfair, {held}. Run the test under many schedules without it to see "
            "whether it fails then, too."
        )


def command(item: pytest.Item, seed: Seed, *, unfair: bool) -> str:
    """Give the command that repeats a test under a schedule, for the folder of this command."""
    # Names of tests are relative to pytest's root folder, which may be another one.
    start = item.config.invocation_params.dir
    try:
        path = os.path.relpath(item.path, start)
    except ValueError:  # another drive of Windows
        path = str(item.path)
    _, colons, name = item.nodeid.partition("::")
    options = ["--triows-unfair"] if unfair else []
    return shlex.join(["pytest", f"{path}{colons}{name}", "--triows-schedule", str(seed), *options])


def unlike(run: Run, again: Failure | None) -> str:
    """Tell that a test ended differently when it was run again."""
    how = "It did not fail" if again is None else "It failed in another way"
    told = f"{how} when it was run again under the same schedule."
    return told if run.schedule.outside else f"{told} {_CAUSES}"


def switches(story: Story, choices: range | None, least: int) -> tuple[str, str]:
    """
    Make the section of a report with the last task switches.

    The steps of Trio, triows and the test runner are left out, unless the choices decided them. If
    there are no others, all are shown.

    Args:
        story: What happened until the failure.
        choices: The choices that matter. Their switches are shown as well, and marked.
        least: How many switches are shown at the end.
    """
    every = story.switches
    marked = [i for i, one in enumerate(every) if choices and one.is_chosen_by(choices)]
    told = sorted({i for i, one in enumerate(every) if one.is_users}.union(marked))
    if not any(one.is_users for one in every):
        told = list(range(len(every)))
    last = told[max(len(told) - least, 0) :]
    first = last[0] if len(last) < len(told) else 0
    shown = [*[i for i in marked if i < first][:least], *last]
    lines = _lines(every, shown, set(marked), first)
    if marked:
        lines.insert(0, "The choices decided the lines with >. All other lines are in plain order.")
    title = (
        f"the last {len(every) - first} of {plural(story.number, 'task switch', 'task switches')}"
    )
    return f"{title} before the failure", "\n".join(lines)


def _lines(every: list[Switch], shown: list[int], marked: set[int], first: int) -> list[str]:
    """Give the heading, a line for each switch that is shown, and one for those between them."""
    rows: list[tuple[str, ...]] = [_HEADING, *(_cells(every[i]) for i in shown)]
    widths = [
        max(len(cell) for cell in column if len(cell) <= _WIDEST)
        for column in zip(*rows, strict=True)
    ]
    if every and every[0].time is None:
        rows, widths = [row[1:] for row in rows], widths[1:]
    texts = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines = [f"  {texts[0]}"]
    end = min(first, *shown) if shown else first
    for i, text in zip(shown, texts[1:], strict=True):
        lines += _left_out(every[end:i])
        lines.append(f"{'>' if i in marked else ' '} {text}")
        end = i + 1
    return lines + _left_out(every[end:])


def _cells(switch: Switch) -> tuple[str, ...]:
    """Tell of a switch, in the order of the columns."""
    time = "" if switch.time is None else f"{switch.time:9.3f}"
    woken_by = "" if switch.woken_by is None else str(switch.woken_by)
    return time, str(switch.place), str(switch.task), woken_by


def _left_out(switches: list[Switch]) -> list[str]:
    """Tell what is left out between two lines, in one line or none."""
    if not switches:
        return []
    number = len(switches)
    if any(one.is_users for one in switches):
        return [f"  ... {plural(number, 'more switch', 'more switches')}"]
    owners = sorted({one.place.owner for one in switches})
    return [f"  ... {plural(number, 'step')} of {' and '.join(_OWNERS[one] for one in owners)}"]


def interrupted(item: pytest.Item, run: Run) -> str:
    """Tell that somebody has stopped a test."""
    if run.is_again:
        which = " when it was run again after it had failed,"
    else:
        which = f" in its {_ordinal(run.number)} run," if run.of > 1 else ""
    return f"{item.nodeid} was interrupted{which} under the schedule {run.schedule.source_seed}"


def plural(n: int, one: str, more: str = "") -> str:
    """Count things."""
    return f"{n} {one}" if n == 1 else f"{n} {more or one + 's'}"


def _ordinal(n: int) -> str:
    """Write a number as in "the 3rd"."""
    ending = "th" if n % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
