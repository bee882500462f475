"""
Reading a return annotation: the types in it, with the status and the media type of each.

An annotation comes in. :class:`Declared` members come out. What they mean for the response is
decided in ``results.py``.
"""

from __future__ import annotations

import re
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from attrs import evolve, frozen

from triows._annotations import expanded, type_name
from triows.exceptions import HandlerSignatureError
from triows.status import number
from triows.types import JSONMark, Media

from .mistakes import problem_of_mark, problem_of_type, problem_of_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

__all__ = ["Annotation", "Declared", "checked_status"]

_UNIONS = (Union, UnionType)
_LOOKS_LIKE_MEDIA = re.compile(r"[a-z]+/[-+.\w]+")

# What is wrong with statuses that no handler can give to a result.
_NO_BODY = {
    204: "a 204 has no body (RFC 9110 section 15.3.5)",
    205: "a 205 has no body (RFC 9110 section 15.3.6)",
}
_NOT_MODIFIED = (
    "304 says that there is no body, and that the client has one already. Routes with etag=True "
    "send it by themselves"
)


@frozen
class Declared:
    """One member of a return annotation. A plain annotation is the only member."""

    #: Without marks. It is :class:`~types.NoneType` for ``None``.
    type: Any = None
    #: The one that was written for it, or for the union around it.
    status: int | None = None
    media: Media | None = None
    #: Whether ``JSON[...]`` was written.
    is_json: bool = False
    #: Whether it is a bare ``None`` beside other members. That one is JSON's null.
    is_null: bool = False

    @property
    def name(self) -> str:
        return type_name(self.type)


@frozen
class Annotation:
    """
    A return annotation, with what messages about it need.

    Args:
        value: The annotation, evaluated.
        where: ``file:line (name)`` of the handler.
    """

    value: Any
    where: str

    def refuse(self, problem: str) -> NoReturn:
        raise HandlerSignatureError(f"the return annotation: {problem}", self.where)

    def refuse_given(self, status: Any, problem: str) -> NoReturn:
        """Refuse what was given to the decorator."""
        raise HandlerSignatureError(f"status={number(status) or status!r}: {problem}", self.where)

    def members(self) -> list[Declared]:
        """
        List the members, in their order.

        Raises:
            HandlerSignatureError: There is a mark that means nothing, or two that contradict.
        """
        return list(self._members(self.value, Declared()))

    def _members(self, part: Any, so_far: Declared) -> Iterator[Declared]:
        part = expanded(part)
        if get_origin(part) is Annotated:
            inner, *marks = get_args(part)
            yield from self._members(inner, self._marked(so_far, marks, type_name(part)))
        elif get_origin(part) in _UNIONS and not so_far.is_json:
            for member in get_args(part):
                yield from self._members(member, evolve(so_far, is_null=True))
        else:
            problem = problem_of_value(part) if so_far.is_json else problem_of_type(part)
            if problem is not None:
                self.refuse(problem)
            type_ = NoneType if part is None else part
            is_null = so_far.is_null and type_ is NoneType and not so_far.is_json
            yield evolve(so_far, type=type_, is_null=is_null)

    def _marked(self, so_far: Declared, marks: list[Any], name: str) -> Declared:
        statuses = [mark for mark in marks if number(mark) is not None]
        media = [mark for mark in marks if isinstance(mark, Media)]
        self._check_marks(marks, len(statuses), len(media), name)
        if statuses:
            try:
                status = checked_status(statuses[0])
            except ValueError as exc:
                self.refuse(str(exc))
            so_far = evolve(so_far, status=status, is_null=False)
        return evolve(
            so_far,
            media=media[0] if media else so_far.media,
            is_json=so_far.is_json or any(isinstance(mark, JSONMark) for mark in marks),
        )

    def _check_marks(self, marks: list[Any], statuses: int, media: int, name: str) -> None:
        if statuses > 1 or media > 1:
            what = "statuses" if statuses > 1 else "media types"
            self.refuse(f"Annotated[{name}, ...] has two {what}: leave one")
        for mark in marks:
            if mark is Media:
                self.refuse('Media says nothing without a type: write Media("image/png")')
            if isinstance(mark, str) and _LOOKS_LIKE_MEDIA.fullmatch(mark):
                self.refuse(f"a string means nothing here: write Media({mark!r})")
            if number(mark) is None and (problem := problem_of_mark(mark, name)) is not None:
                self.refuse(problem)


def checked_status(status: Any, *, has_body: bool = False) -> int:
    """
    Return the number of a status that a handler can give to its result.

    Args:
        status: What :func:`triows.status.code` takes.
        has_body: Whether the result has a body.

    Raises:
        ValueError: It isn't a status, or not one for a result. The text says why.
    """
    found = number(status)
    if found is None or not 100 <= found <= 599:
        shown = status if found is None else found
        raise ValueError(f"{shown!r} isn't a status: write status.CREATED, for example, or 201")
    if found < 200:
        raise ValueError(
            f"{found} comes before the response (RFC 9110 section 15.2): a result has a status "
            "from 200"
        )
    if found == 304:
        raise ValueError(_NOT_MODIFIED)
    if has_body and found in _NO_BODY:
        raise ValueError(f"{_NO_BODY[found]}: annotate `-> None`, or choose another status")
    return found
