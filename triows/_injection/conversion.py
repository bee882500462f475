"""
Which types can be read from text, and the functions that do it.

msgspec does the converting, in its lax mode (``strict=False``). This module asks it
everything it can at registration, so that at run time a converter is one call into
msgspec, and puts right where msgspec's rules for JSON do not suit text from a request:

* ``None`` is never read. msgspec reads ``null`` as ``None`` for ``int | None``, but as
  text for ``str | None``. Here a parameter is ``None`` only by its default.
* A :class:`float` or :class:`~decimal.Decimal` is finite. ``nan`` slips past comparisons
  that were written to keep bad values out.
* ``bytes`` are not read. msgspec would take base64, which few expect in a URL.

Otherwise as msgspec: ``true``, ``false``, ``1`` and ``0`` are booleans; ``1e3`` is an
integer; dates and times are in RFC 3339 form, durations in ISO 8601 form, and for
datetimes and durations a number is taken as seconds. Where a union has ``str`` among its
members every text is a ``str``.
"""

from __future__ import annotations

import collections.abc
import enum
import math
import operator
import typing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NewType,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)
from uuid import UUID

import msgspec

from triows.types import ParamMark

from .query import BadValue, printable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Shape", "converter", "decoded", "error_text", "shape", "type_name", "wire_type"]

#: What a type is made from: one text, or a list of them.
Shape: TypeAlias = Literal["text", "texts"]

# Tuples, because an annotation need not be hashable.
_SCALARS = (Any, bool, int, float, str, Decimal, UUID, datetime, date, time, timedelta)
_COLLECTIONS = (
    list, set, frozenset, tuple,
    collections.abc.Collection, collections.abc.Sequence, collections.abc.MutableSequence,
    collections.abc.Set, collections.abc.MutableSet,
)  # fmt: skip
# What a `type` statement makes; it came with Python 3.12.
_TYPE_ALIAS: Any = getattr(typing, "TypeAliasType", ())
# What stands for "not given" in a union. No text means either of them.
_ABSENT = (None, NoneType, msgspec.UnsetType)

INVALID = "Invalid value"


def wire_type(annotation: Any) -> Any:
    """
    Give the type that text is converted to: no ``None`` in it, and no names for types.

    The constraints (:class:`msgspec.Meta`) stay where they are, so those around
    ``int | None`` come to stand around ``int``, where msgspec takes them.

    Raises:
        TypeError: There is a ``Param`` deeper in the annotation, where nobody looks.
    """
    annotation = _unnamed(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if any(isinstance(mark, ParamMark) for mark in args[1:]):
            raise TypeError(
                "Param(...) has to stand around the whole type: Annotated[T | None, Param(...)]"
            )
        return annotated(wire_type(args[0]), *args[1:])
    if origin is Union or origin is UnionType:
        return _subscript(Union, [wire_type(member) for member in args if member not in _ABSENT])
    if origin is Literal:
        return _subscript(Literal, [value for value in args if value is not None])
    if origin in _COLLECTIONS and args:
        return origin[tuple(item if item is ... else wire_type(item) for item in args)]
    return annotation


def annotated(annotation: Any, *marks: Any) -> Any:
    """Give ``Annotated[annotation, *marks]`` with those of the marks that msgspec reads."""
    constraints = tuple(mark for mark in marks if isinstance(mark, msgspec.Meta))
    return _subscript(Annotated, [annotation, *constraints]) if constraints else annotation


def _unnamed(annotation: Any) -> Any:
    while True:
        if isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, _TYPE_ALIAS):
            annotation = annotation.__value__
        else:
            return annotation


def _subscript(form: Any, args: list[Any]) -> Any:
    """Give ``form[args]``; with nothing left to choose from, only ``None`` was meant."""
    return operator.getitem(form, tuple(args)) if args else NoneType


def shape(annotation: Any) -> Shape | None:
    """
    Say what a type is made from.

    Constraints are not looked at, nor whether the members of a union can be told apart:
    both are :func:`converter`'s to refuse, with a better reason than "can't be read".

    Args:
        annotation: As :func:`wire_type` gives it.
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape(args[0])
    if (origin or annotation) in _COLLECTIONS:
        texts = all(item is ... or shape(item) == "text" for item in args)
        return "texts" if texts else None
    return "text" if _is_text(annotation, origin, args) else None


def _is_text(annotation: Any, origin: Any, args: tuple[Any, ...]) -> bool:
    if origin is Union or origin is UnionType:
        return all(shape(member) == "text" for member in args)
    if origin is Literal:
        return all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in args)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return True
    return annotation in _SCALARS


def type_name(annotation: Any) -> str:
    """Write a type as a person would in a signature, without modules and constraints."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is ...:
        return "..."
    if annotation is None or annotation is NoneType:
        return "None"
    if origin is Annotated:
        return type_name(args[0])
    if origin is Union or origin is UnionType:
        return " | ".join(type_name(member) for member in args)
    if origin is Literal:
        return f"Literal[{', '.join(repr(value) for value in args)}]"
    name = getattr(origin or annotation, "__name__", None) or str(annotation)
    return f"{name}[{', '.join(type_name(arg) for arg in args)}]" if args else name


def converter(annotation: Any) -> Callable[[Any], Any]:
    """
    Compile the conversion to a type.

    Args:
        annotation: As :func:`wire_type` gives it, of a known :func:`shape`.

    Returns:
        A function from text, or a list of texts, to the value. It raises
        :exc:`BadValue` if there is none.

    Raises:
        TypeError: msgspec can't do it: a constraint does not fit the type, or a union
            has two members that are both written as text.
    """
    if annotation is str or annotation is Any:
        return _unchanged
    # msgspec compiles the plan for a Struct once and keeps it with the class; that for an
    # Annotated or a list[int] it makes anew at each call, which takes twice as long.
    box = msgspec.defstruct("Box", [("value", annotation)], array_like=True)
    # The plan is made on first use. This is a use that needs no value.
    msgspec.json.Decoder(box)
    return _finite(_converter(box)) if _has_fractions(annotation) else _converter(box)


def _unchanged(text: Any) -> Any:
    return text


def _converter(box: Any) -> Callable[[Any], Any]:
    def convert(raw: Any) -> Any:
        try:
            return msgspec.convert((raw,), box, strict=False).value
        except msgspec.ValidationError as exc:
            raise BadValue(_reason(str(exc))) from None
        except UnicodeError:
            # Lone surrogates. None of our sources makes them, a foreign router may.
            raise BadValue("Not valid text") from None

    return convert


def _reason(message: str) -> str:
    """
    Make msgspec's message one for a person who wrote a URL.

    Everything on the wire is text, so ", got `str`" at the end only confuses. The path
    is from the box's own point of view: "$[0][2]" is the third item.
    """
    head, _, path = message.rpartition(" - at `$[0]")
    head = head.removesuffix(", got `str`").replace("`array` of length", "a list of length")
    index = path.strip("[]`")
    return printable(f"Item {int(index) + 1}: {head}" if index.isdigit() else head)


def _has_fractions(annotation: Any) -> bool:
    if annotation is float or annotation is Decimal:
        return True
    return get_origin(annotation) is not Literal and any(
        _has_fractions(arg) for arg in get_args(annotation)
    )


def _finite(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert_finite(raw: Any) -> Any:
        value = convert(raw)
        if not _is_finite(value):
            raise BadValue("Expected a finite number")
        return value

    return convert_finite


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Decimal):
        return value.is_finite()
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_is_finite(item) for item in value)
    return True


def decoded(decoder: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Make a converter of the application's own function; see :func:`error_text`."""

    def convert(raw: Any) -> Any:
        try:
            return decoder(raw)
        except (ValueError, TypeError) as exc:
            raise BadValue(error_text(exc)) from exc

    return convert


def error_text(exc: ValueError | TypeError) -> str:
    """
    Say what the peer is told about an error in the application's own checks.

    A :exc:`ValueError`'s text is meant for whoever gave the value, and shown. A
    :exc:`TypeError`'s is Python's own most of the time and speaks of classes, and that of
    a :exc:`UnicodeError` of codecs; for those the peer learns only that it won't do.
    """
    # attrs' validators put the attribute and its class after the sentence.
    text = exc.args[0] if exc.args else ""
    if isinstance(exc, (TypeError, UnicodeError)) or not isinstance(text, str) or not text:
        return INVALID
    return printable(text)
