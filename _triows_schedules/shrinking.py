"""
Shrinks a failing schedule: most of its choices don't matter for the failure.

A schedule makes a choice in each batch of several tasks. The choices before and after those that
matter can be the plain ones: tasks run in the order in which they were started, and a call that
need not give others a turn gives none. What is left is short, and the trace of such a run is easier
to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["shrunk"]


def shrunk(choices: int, fails: Callable[[range], bool]) -> range:
    """
    Find a short range of choices that is enough for the failure.

    Args:
        choices: How many choices the failing run has made. They are numbered from 1.
        fails: Runs the test with these choices, and the plain ones for the rest. It is called about
            twice as often as *choices* has binary digits.

    Returns:
        A range for which *fails* was true, or all of the choices. It is empty if the plain choices
        fail as well.
    """
    if fails(range(0)):
        return range(0)
    # Each end is found by halving. That need not give the shortest range, since a test may fail for
    # several reasons. But what is returned has failed.
    passing, last = 0, choices
    while last - passing > 1:
        middle = (passing + last) // 2
        if fails(range(1, middle + 1)):
            last = middle
        else:
            passing = middle
    first, passing = 1, last + 1
    while passing - first > 1:
        middle = (first + passing) // 2
        if fails(range(middle, last + 1)):
            first = middle
        else:
            passing = middle
    return range(first, last + 1)
