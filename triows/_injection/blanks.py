"""
What browsers send of a form that nobody has filled in whole.

A field that was left blank is sent as an empty text, and a box that was ticked as ``on``. A box
that wasn't ticked isn't sent. So in a form, a blank text counts as missing, unless the type can be
made of it. Lists leave out their blank texts.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from triows._pydantic import adapter_of

from .conversion import is_collection, shape

__all__ = ["Filled", "ticked", "without_blanks"]

#: Leaves the blank texts out of those of a field. If nothing is left, the field is missing.
Filled: TypeAlias = Callable[[list[str]], list[str]]


def without_blanks(annotation: Any) -> Filled | None:
    """
    Return what leaves out blank texts, or ``None`` if they count for this type.

    They count if the type is ``str``, or a union with it, or has an empty text among its values.

    Args:
        annotation: As :func:`~.conversion.wire_type` returns it.
    """
    annotation = _without_constraints(annotation)
    if not is_collection(annotation):
        return None if _takes_blank(annotation) else _not_blank
    items = [one for one in get_args(annotation) if one is not ...]
    if not items or any(map(_takes_blank, items)):
        return None
    is_fixed = get_origin(annotation) is tuple and ... not in get_args(annotation)
    # The places in a tuple mean something.
    return _any_or_none if is_fixed else _not_blank


def _not_blank(texts: list[str]) -> list[str]:
    return [text for text in texts if text]


def _any_or_none(texts: list[str]) -> list[str]:
    return texts if any(texts) else []


def _without_constraints(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _takes_blank(annotation: Any) -> bool:
    annotation = _without_constraints(annotation)
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is Union or origin is UnionType:
        return any(map(_takes_blank, members))
    if origin is Literal:
        return "" in members
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return any(one.value == "" for one in annotation)
    if annotation is str or annotation is Any:
        return True
    # What isn't text for us is one of pydantic's own types, such as SecretStr.
    return shape(annotation) is None and _pydantic_takes_blank(annotation)


def _pydantic_takes_blank(annotation: Any) -> bool:
    try:
        adapter_of(annotation).validate_python("")
    except Exception:  # noqa: BLE001 - whatever it is, no value can be made
        return False
    return True


def ticked(annotation: Any, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """
    Let a converter take what browsers send of a ticked box, if the type is a ``bool``.

    Args:
        annotation: As :func:`~.conversion.wire_type` returns it.
        convert: Converts the texts of that type.
    """
    if _without_constraints(annotation) is not bool:
        return convert
    return lambda text: True if text == "on" else convert(text)
