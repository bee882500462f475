"""
Functions that take apart exceptions, and groups of them.

The exceptions belong to an application, so their classes may do anything. ``derive()`` may fail,
and so may any attribute, even ``__class__``. Nothing here calls what such a class defines, except
for the text, and if that fails there is a substitute. So the code that decides how a connection
ends can rely on these functions.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

__all__ = [
    "add_note",
    "behind",
    "children_of",
    "combined",
    "consists_of",
    "exc_info",
    "is_a",
    "leaves",
    "only",
    "says_only",
    "text_of",
    "unwrapped",
    "without",
    "without_cancelled",
    "without_stray",
]


E = TypeVar("E", bound=BaseException)


def is_a(error: BaseException, *types: type[E]) -> TypeGuard[E]:
    """
    Say whether it is of one of these types.

    ``isinstance()`` would ask the exception for its ``__class__``, too.
    """
    return issubclass(type(error), types)


def _read(error: BaseException, name: str) -> Any:
    """Read an attribute that every exception or group has, even if its class overrides it."""
    owner = BaseException if hasattr(BaseException, name) else BaseExceptionGroup
    return getattr(owner, name).__get__(error)


def children_of(error: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions right below a group, and nothing for any other."""
    children: tuple[BaseException, ...] = ()
    if is_a(error, BaseExceptionGroup):
        children = _read(error, "exceptions")
    return children


def exc_info(
    error: BaseException,
) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """Return ``exc_info`` for a logger, without asking the exception itself for its traceback."""
    return type(error), error, _read(error, "__traceback__")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group, however deep, or the exception itself if it isn't one."""
    waiting = [error]
    while waiting:
        exc = waiting.pop()
        if is_a(exc, BaseExceptionGroup):
            waiting += reversed(children_of(exc))
        else:
            yield exc


def consists_of(error: BaseException, *types: type[BaseException]) -> bool:
    """Say whether it consists only of exceptions of *types*."""
    return all(is_a(leaf, *types) for leaf in leaves(error))


def behind(error: BaseException) -> Iterator[BaseException]:
    """
    Yield the exceptions that were being handled when *error* was raised, taken apart.

    If a ``finally`` raises, its exception replaces the one that it cleans up after. That one can
    then be found only here.
    """
    waiting, seen = [error], {id(error)}
    while waiting:
        exc = waiting.pop()
        context = _read(exc, "__context__")
        for one in (context, *children_of(exc)):
            if one is not None and id(one) not in seen:
                seen.add(id(one))
                waiting.append(one)
        if context is not None:
            yield from leaves(context)


def says_only(
    error: BaseException,
    *types: type[BaseException],
    after: tuple[type[BaseException], ...] = (),
) -> bool:
    """Say whether it consists of *types*, and is raised over nothing but these and *after*."""
    return consists_of(error, *types) and all(is_a(one, *types, *after) for one in behind(error))


def _kept(error: BaseException, keep: Callable[[BaseException], bool]) -> BaseException | None:
    """Return *error* with only the leaves to keep. If these are all, return *error* itself."""
    if not is_a(error, BaseExceptionGroup):
        return error if keep(error) else None
    groups: list[BaseException] = [error]
    for group in groups:  # those inside a group follow it
        groups += [child for child in children_of(group) if is_a(child, BaseExceptionGroup)]
    parts: dict[int, BaseException | None] = {}
    for group in reversed(groups):
        children = children_of(group)
        rest = []
        for child in children:
            if is_a(child, BaseExceptionGroup):
                part = parts[id(child)]
            else:
                part = child if keep(child) else None
            if part is not None:
                rest.append(part)
        if len(rest) == len(children) and all(map(_is, rest, children)):
            parts[id(group)] = group
        else:
            parts[id(group)] = _part_of(group, rest) if rest else None
    return parts[id(error)]


def _is(one: object, other: object) -> bool:
    return one is other


def _part_of(group: BaseException, rest: list[BaseException]) -> BaseException:
    """Make a group of some of its exceptions, without ``derive()``, because that may fail."""
    part = BaseExceptionGroup(_read(group, "message"), rest)
    part.__traceback__ = _read(group, "__traceback__")
    part.__context__ = _read(group, "__context__")
    part.__cause__ = _read(group, "__cause__")
    part.__suppress_context__ = _read(group, "__suppress_context__")
    with suppress(Exception):
        for note in getattr(group, "__notes__", ()):
            part.add_note(note)
    return part


def without(error: BaseException, known: BaseException) -> BaseException | None:
    """
    Return what is in *error* and not in *known*. Return ``None`` if there is nothing new.

    A nursery wraps what passes through it in a group. That is the same error, not a new one.
    """
    seen = {id(leaf) for leaf in leaves(known)}
    return _kept(error, lambda leaf: id(leaf) not in seen)


def without_cancelled(error: BaseException) -> BaseException | None:
    """Leave out cancellations. If there are none, return the same object."""
    return _kept(error, lambda leaf: not is_a(leaf, trio.Cancelled))


def without_stray(error: BaseException) -> BaseException:
    """
    Leave out cancellations that belong to no cancel scope any more.

    Code that keeps a :exc:`trio.Cancelled` and raises it later does that. A nursery around it would
    take it for its own cancellation, and end with all its tasks. Call this in the task that raised
    the error, where that is caught.

    Returns:
        The same object, if it has none of these. If it has nothing else, a RuntimeError that says
        so.
    """
    real = without_cancelled(error)
    if real is error or trio.current_effective_deadline() == -math.inf:
        return error
    if real is None:
        real = RuntimeError(
            "trio.Cancelled was raised, and nothing has cancelled this task: it belongs to a scope "
            "that is over. Let it leave the scope that it was raised in"
        )
        real.__cause__ = error
    return real


def only(group: BaseException) -> BaseException | None:
    """
    Return the only exception in a group, unless it is a cancellation.

    Raise it outside the ``except`` block. Inside, Python would replace its ``__context__``.
    """
    first, *more = leaves(group)
    return None if more or is_a(first, trio.Cancelled) else first


def unwrapped(error: BaseException) -> BaseException:
    """Take off the groups with one exception that nurseries have put around it."""
    while len(children := children_of(error)) == 1:
        (error,) = children
    return error


def text_of(error: BaseException) -> str:
    """Return an exception's type and text, even if its class raises when asked for them."""
    return f"{_name_of(type(error))}: {_text_of(error)}"


def _name_of(cls: type[BaseException]) -> str:
    """Return the name of a class, even if its metaclass overrides that."""
    name: str = type.__dict__["__name__"].__get__(cls)
    return name


def _text_of(error: BaseException) -> str:
    try:
        return str.__str__(str(error))
    except Exception:  # noqa: BLE001 - there is nothing better to say
        return "<its text can't be read>"


def add_note(error: BaseException, note: str) -> None:
    """Add a note to somebody's exception, unless it refuses: a frozen dataclass does."""
    with suppress(Exception):
        error.add_note(note)


def combined(message: str, errors: Iterable[BaseException]) -> BaseException | None:
    """Combine *errors* into one exception: ``None``, the only one itself, or a group."""
    found = list(errors)
    if len(found) <= 1:
        return found[0] if found else None
    return BaseExceptionGroup(message, found)
