"""Taking exception groups apart."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "add_note",
    "behind",
    "combined",
    "consists_of",
    "leaves",
    "only",
    "text_of",
    "without",
    "without_cancelled",
]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however deep. An exception that isn't a group is its own leaf."""
    if isinstance(error, BaseExceptionGroup):
        for child in error.exceptions:
            yield from leaves(child)
    else:
        yield error


def consists_of(error: BaseException, *types: type[BaseException]) -> bool:
    """Whether there is nothing but exceptions of *types* in it."""
    return all(isinstance(leaf, types) for leaf in leaves(error))


def behind(error: BaseException) -> Iterator[BaseException]:
    """
    The exceptions that were being handled when *error* was raised, taken apart.

    One that is raised in a ``finally`` takes the place of what it cleans up after, which is
    then found here only.
    """
    waiting, seen = [error], {id(error)}
    while waiting:
        exc = waiting.pop()
        children = exc.exceptions if isinstance(exc, BaseExceptionGroup) else ()
        for one in (exc.__context__, *children):
            if one is not None and id(one) not in seen:
                seen.add(id(one))
                waiting.append(one)
        if exc.__context__ is not None:
            yield from leaves(exc.__context__)


def without(error: BaseException, known: BaseException) -> BaseException | None:
    """
    What is new in *error* to one who has seen *known*.

    A nursery wraps what passes through it in a group: that is the same error, not a new
    one. Returns ``None`` if there is nothing new.
    """
    seen = {id(leaf) for leaf in leaves(known)}
    if not isinstance(error, BaseExceptionGroup):
        return None if id(error) in seen else error
    return error.subgroup(
        lambda exc: not isinstance(exc, BaseExceptionGroup) and id(exc) not in seen
    )


def without_cancelled(error: BaseException) -> BaseException | None:
    """Keep what isn't a cancellation: the same object if nothing of it is one."""
    if isinstance(error, trio.Cancelled):
        return None
    if isinstance(error, BaseExceptionGroup):
        cancelled, rest = error.split(trio.Cancelled)
        return error if cancelled is None else rest
    return error


def only(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """
    The only exception in a group, unless it is a cancellation.

    Raise it outside the ``except`` block: inside, Python would replace its ``__context__``.
    """
    first, *more = leaves(group)
    return None if more or isinstance(first, trio.Cancelled) else first


def text_of(error: BaseException) -> str:
    """The type and text of somebody's exception, which may fail to say it."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - there is nothing better to say
        text = "<its text can't be read>"
    return f"{type(error).__name__}: {text}"


def add_note(error: BaseException, note: str) -> None:
    """Add a note to somebody's exception, unless it refuses: a frozen dataclass does."""
    with suppress(Exception):
        error.add_note(note)


def combined(message: str, errors: Iterable[BaseException]) -> BaseException | None:
    """One exception for all of *errors*: none, the only one itself, or a group."""
    found = list(errors)
    if len(found) <= 1:
        return found[0] if found else None
    return BaseExceptionGroup(message, found)
