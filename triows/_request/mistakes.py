"""
What people write into a return annotation that says nothing there, and what they mean.

Most of it means a status: ``-> 201``, ``Annotated[User, "created"]``, ``tuple[User, 201]``. A
handler with such an annotation would answer with another status, or with other data, and nobody
would notice before a client does.
"""

from __future__ import annotations

import inspect
import re
from http import HTTPStatus
from types import EllipsisType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    Optional,
    Union,
    get_args,
    get_origin,
)

from starlette.responses import Response

from triows._annotations import others_than_types, type_name
from triows._phrases import PHRASES
from triows._where import name_of
from triows.exceptions import HTTPException
from triows.status import NAMES, number
from triows.types import HTML, IgnoreMark, JSONMark, Media, ParamMark, UseMark

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["problem_of_mark", "problem_of_type", "problem_of_value"]

_STATUSES = range(100, 600)

_MARKS = (UseMark, ParamMark, IgnoreMark)


def _status_in(thing: object) -> int | None:
    """Return the number of a status, if it is one, however it is written."""
    found = number(thing)
    return found if found in _STATUSES else None


# Types.


def problem_of_type(part: Any) -> str | None:
    """
    Say what is wrong with a member of a return annotation that names no type, or means a status.

    Args:
        part: The member, without ``Annotated`` around it. It isn't inside ``JSON[...]``.
    """
    if (found := _status_in(part)) is not None:
        literal = f". If it returns this number, write `JSON[{type_name(part)}]`"
        return (
            f"{found} is a status without a type: write `Annotated[TYPE, {found}]` with the type "
            f"of what the handler returns, or `Annotated[None, {found}]` if it returns nothing"
            + literal
            * (get_origin(part) is Literal)
        )
    if isinstance(part, tuple) or get_origin(part) is tuple:
        items = part if isinstance(part, tuple) else get_args(part)
        beside = next((shown for shown in map(_status_beside, items) if shown), None)
        if beside is not None:
            return _problem_of_tuple(items, beside)
    return problem_of_value(part)


def _status_beside(item: Any) -> str | None:
    """Return how a status is written that is an item of a tuple, as in Flask."""
    if item is HTTPStatus:
        return "HTTPStatus.CREATED"
    found = _status_in(item)
    return None if found is None else str(found)


def _problem_of_tuple(items: Iterable[Any], found: str) -> str:
    body = next((type_name(one) for one in items if not _status_beside(one)), "TYPE")
    return (
        "a tuple is sent as a list, and a status in it is an item as any other: write "
        f"`-> Annotated[{body}, {found}]`, and return the {body} alone. For headers, return one of "
        "Starlette's responses"
    )


_NOT_ALONE = (Annotated, ClassVar, Final, Literal, Optional, Union)


def problem_of_value(part: Any) -> str | None:
    """Say that something in a member isn't a type, if that is so."""
    is_other = isinstance(part, (EllipsisType, Media, *_MARKS)) or inspect.isroutine(part)
    is_bare = any(one is part for one in _NOT_ALONE) or get_origin(part) in (ClassVar, Final)
    other = part if is_other or is_bare else next(others_than_types(part), None)
    if other is None:
        return None
    name = name_of(other) if inspect.isroutine(other) else getattr(other, "__name__", repr(other))
    return f"{name} isn't a type: write the type of what the handler returns"


# Marks.


def problem_of_mark(mark: Any, name: str) -> str | None:
    """
    Say what is wrong with something in ``Annotated`` that says nothing there, if anything is.

    Args:
        mark: It.
        name: The name of the type in front of it.
    """
    if isinstance(mark, _MARKS):
        return "use(), Param() and Ignore are for parameters and factories: take it out"
    if (meant := _meant_by(mark)) is not None:
        shown = getattr(mark, "__name__", repr(mark))
        return f"Annotated[{name}, ...] has {shown}, which says no status: write {meant}"
    if mark == HTML or (get_origin(mark) is Annotated and JSONMark() in get_args(mark)):
        return f"Annotated[{name}, ...] has a type beside it: write `HTML`, or `JSON[{name}]`"
    cls = mark if isinstance(mark, type) else type(mark)
    if issubclass(cls, HTTPException | Response):
        return (
            f"Annotated[{name}, ...] has {cls.__name__}, which does nothing there: write "
            f"`{name} | {cls.__name__}`"
        )
    return None


def _meant_by(mark: Any) -> str | None:
    """Return what to write for a mark that looks like a status, and isn't one."""
    if isinstance(mark, str):
        return _named_by(mark)
    if isinstance(mark, float):
        return str(int(mark)) if mark in _STATUSES else None
    if inspect.ismodule(mark) or mark is HTTPStatus:
        return "status.CREATED, for example"
    several = get_args(mark) if get_origin(mark) is Literal else mark
    if isinstance(several, list | tuple | set | frozenset) and several:
        found = [_status_in(one) for one in several]
        if None not in found:
            return str(found[0]) if len(found) == 1 else f"`{_one_of_each(found)}`"
    return None


def _one_of_each(found: Iterable[int | None]) -> str:
    return " | ".join(f"Annotated[TYPE, {one}]" for one in found)


def _word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


#: The names of statuses, by each word for them.
_WORDS = {
    **{_word(PHRASES[code]): name for code, name in NAMES.items() if code in PHRASES},
    **{_word(name): name for name in NAMES.values()},
}

# "201", "201 Created", "status.CREATED", "HTTP_201_CREATED".
_WRITTEN = re.compile(r"(?:status_|http_)*(?P<code>[1-5]\d\d)?_?(?P<word>.*)")


def _named_by(text: str) -> str | None:
    """Return the status that a string names. Any other string may be a text about the type."""
    match = _WRITTEN.fullmatch(_word(text))
    if match is None:
        return None
    code, word = match["code"], match["word"]
    name = NAMES.get(int(code)) if code and not word else _WORDS.get(word)
    if name is None:
        return code if not word else None
    return f"status.{name}"
