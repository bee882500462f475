"""
Failures: what a test has failed with, so that two runs of it can be compared.

The message of an error often contains values, which are others in each schedule. So two failures
are the same if errors of the same types were raised at the same lines of the user's code.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import trio

from .places import place_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from .places import Line

__all__ = ["Failure", "frames_of", "leaves", "ungrouped"]


class Failure(NamedTuple):
    """How a test failed: equal to that of another run if it failed in the same way."""

    #: In which phase of the test: ``"setup"``, ``"call"`` or ``"teardown"``.
    phase: str
    #: The type of each error, and the line at which it was raised.
    errors: frozenset[tuple[type[BaseException], Line | None]]

    @classmethod
    def of(cls, phase: str, error: BaseException | None) -> Failure:
        """Describe a failure. There is no error if a test passed that had to fail."""
        found = () if error is None else leaves(error)
        errors = ((type(one), place_in(frames_of(one)).innermost) for one in found)
        return cls(phase, frozenset(errors))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Give the errors in a group of groups, without cancellations."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    elif not isinstance(error, trio.Cancelled):
        yield error


def frames_of(error: BaseException) -> list[tuple[FrameType, int]]:
    """Give the frames that an error has left, the outermost first, and the line in each."""
    found, traceback = [], error.__traceback__
    while traceback is not None:
        found.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return found


@contextmanager
def ungrouped(kinds: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Raise an error of some *kinds* without the group that it comes in."""
    # Trio's nurseries raise groups, and pytest looks at the outermost error only.
    try:
        yield
    except BaseExceptionGroup as group:
        for leaf in leaves(group):
            if isinstance(leaf, kinds):
                raise leaf from None
        raise
