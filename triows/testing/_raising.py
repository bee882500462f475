"""Raises the errors of a test and of its application as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from triows._errors import combined, is_a, leaves, without_cancelled
from triows.exceptions import Disconnected

from ._blocked import LoopBlocked

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["is_cancelled", "raise_all"]


def is_cancelled(error: BaseException | None) -> bool:
    """Say whether a cancellation is all, or a part, of an error."""
    return error is not None and without_cancelled(error) is not error


def raise_all(message: str, errors: Iterable[BaseException | None]) -> None:
    """
    Raise several errors as one: nothing, the only one itself, or a group.

    If nothing else went wrong, a cancellation is raised by itself. If there are errors, it is in
    the same group. Alone it would be caught further out, and the errors would be lost.
    """
    found = list({id(error): error for error in errors if error is not None}.values())
    for leaf in [leaf for error in found for leaf in leaves(error)]:
        if is_a(leaf, KeyboardInterrupt, LoopBlocked):
            raise leaf  # all other errors are consequences of it
    if any(is_cancelled(error) for error in found):
        parts = [leaf for error in found for leaf in leaves(error)]
        cancelled = [leaf for leaf in parts if is_a(leaf, trio.Cancelled)]
        # The application was cancelled, too. So it isn't news that it has closed connections.
        ends = (trio.Cancelled, Disconnected)
        found = [leaf for leaf in parts if not is_a(leaf, *ends)] + [*cancelled[:1]]
    error = combined(message, found)
    if error is not None:
        raise error
