"""Taking exception groups apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["behind", "combined", "consists_of", "leaves", "without", "without_cancelled"]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however deep; an exception that is none, itself."""
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
    """Keep what is no cancellation: the same object if nothing of it is one."""
    if isinstance(error, trio.Cancelled):
        return None
    if isinstance(error, BaseExceptionGroup):
        cancelled, rest = error.split(trio.Cancelled)
        return error if cancelled is None else rest
    return error


def combined(message: str, errors: Iterable[BaseException]) -> BaseException | None:
    """One exception for all of *errors*: none, the only one itself, or a group."""
    found = list(errors)
    if len(found) <= 1:
        return found[0] if found else None
    return BaseExceptionGroup(message, found)
