"""
Which types can be read from text, and the functions that do it.

msgspec converts the values, in its lax mode (``strict=False``). This module does as much as
possible at registration, so that at run time a converter is one call. msgspec's rules are for
JSON, so some of them are different here:

* No text is read as ``None``. msgspec reads ``null`` as ``None`` for ``int | None``, but as text
  for ``str | None``. Here a parameter is ``None`` only by its default.
* A :class:`float` or :class:`~decimal.Decimal` is finite. ``nan`` would pass comparisons that are
  meant to keep bad values out.
* ``bytes`` can't be read. msgspec would read base64, which few people expect in a URL.
* Addresses and paths can be read (:mod:`.texts`), and a time may leave out its seconds.

Everything else is as in msgspec. ``true``, ``false``, ``1`` and ``0`` are booleans. ``1e3`` is an
integer. Dates and times are written as in RFC 3339, and durations as in ISO 8601. For datetimes
and durations, a number means seconds. If ``str`` is a member of a union, every text is a ``str``.
"""

from __future__ import annotations

import collections.abc
import enum
import inspect
import math
import operator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import CoroutineType, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)
from uuid import UUID

import msgspec

from triows._annotations import constraints, type_name, unnamed
from triows._where import name_of
from triows.types import ParamMark

from .query import BadValue, excerpt
from .texts import TEXT_TYPES, read_text, text_union, with_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Shape",
    "annotated",
    "converter",
    "decoded",
    "error_text",
    "is_collection",
    "shape",
    "unchanged",
    "wire_type",
]

#: Whether a type is made from one text, or from a list of them.
Shape: TypeAlias = Literal["text", "texts"]

# Tuples, because an annotation need not be hashable.
_SCALARS = (Any, bool, int, float, str, Decimal, UUID, datetime, date, time, timedelta)
_COLLECTIONS = (
    list, set, frozenset, tuple,
    collections.abc.Collection, collections.abc.Sequence, collections.abc.MutableSequence,
    collections.abc.Set, collections.abc.MutableSet,
)  # fmt: skip
# These mean "not given" in a union. No text can mean either of them.
_ABSENT = (None, NoneType, msgspec.UnsetType)

INVALID = "Invalid value"


def wire_type(annotation: Any) -> Any:
    """
    Return the type that text is converted to: without ``None``, and without names for types.

    The constraints (:class:`msgspec.Meta`) stay. So the constraints around ``int | None`` are then
    around ``int``, where msgspec accepts them.

    Raises:
        TypeError: There is a ``Param`` deeper inside the annotation, where nothing looks for it,
            or the type contains itself.
    """
    try:
        return _wire_type(annotation)
    except RecursionError:
        raise TypeError(
            "its type contains itself, and a text doesn't nest: use another type, or decoder="
        ) from None


def _wire_type(annotation: Any) -> Any:
    annotation = unnamed(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if any(isinstance(mark, ParamMark) for mark in args[1:]):
            raise TypeError(
                "its Param(...) is inside the type, where it isn't looked for: put it around the "
                "whole type, as in Annotated[str | None, Param(...)]"
            )
        return annotated(_wire_type(args[0]), *args[1:])
    if origin is Union or origin is UnionType:
        return _subscript(Union, [_wire_type(member) for member in args if member not in _ABSENT])
    if origin is Literal:
        return _subscript(Literal, [value for value in args if value is not None])
    if origin in _COLLECTIONS and args:
        return origin[tuple(item if item is ... else _wire_type(item) for item in args)]
    return annotation


def annotated(annotation: Any, *marks: Any) -> Any:
    """Return ``Annotated[annotation, *marks]`` with those marks that are constraints."""
    metas = constraints(marks)
    return _subscript(Annotated, [annotation, *metas]) if metas else annotation


def _subscript(form: Any, args: list[Any]) -> Any:
    """Return ``form[args]``. If there are no *args*, the annotation only allowed ``None``."""
    return operator.getitem(form, tuple(args)) if args else NoneType


def shape(annotation: Any) -> Shape | None:
    """
    Say whether a type is made from one text or from several.

    This doesn't look at constraints, or at whether the members of a union can be told apart.
    :func:`converter` refuses those, with a better reason than "can't be read".

    Args:
        annotation: As :func:`wire_type` returns it.
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape(args[0])
    if (origin or annotation) in _COLLECTIONS:
        texts = all(item is ... or shape(item) == "text" for item in args)
        return "texts" if texts else None
    return "text" if _is_text(annotation, origin, args) else None


def is_collection(annotation: Any) -> bool:
    """Say whether a :func:`wire_type` has several values, however each of them is made."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return (get_origin(annotation) or annotation) in _COLLECTIONS


def _is_text(annotation: Any, origin: Any, args: tuple[Any, ...]) -> bool:
    if origin is Union or origin is UnionType:
        return all(shape(member) == "text" for member in args)
    if origin is Literal:
        return all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in args)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return True
    return annotation in _SCALARS or annotation in tuple(TEXT_TYPES)


def converter(annotation: Any) -> Callable[[Any], Any]:
    """
    Compile the conversion to a type.

    Args:
        annotation: As :func:`wire_type` returns it, with a known :func:`shape`.

    Returns:
        A function from a text, or a list of texts, to the value. It raises :exc:`BadValue` if
        there is no such value.

    Raises:
        TypeError: msgspec can't do it: a constraint does not fit the type, or a union has two
            members that are both written as text.
    """
    if annotation is str or annotation is Any:
        return unchanged
    convert = _with_msgspec(annotation)
    if _mentions(annotation, (float, Decimal)):
        convert = _finite(convert)
    return _completed(annotation, convert)


def unchanged(text: Any) -> Any:
    """Return the text, or texts, as they are."""
    return text


def _with_msgspec(annotation: Any) -> Callable[[Any], Any]:
    # msgspec compiles the conversion to a Struct once, and keeps it with the class. For an
    # Annotated or a list[int] it would do so at each call, which takes twice as long.
    box: Any = msgspec.defstruct("Box", [("value", _one_custom(annotation))], array_like=True)
    # msgspec compiles on first use. Making a decoder is a use that needs no value.
    msgspec.json.Decoder(box)
    hook = read_text if _mentions(annotation, tuple(TEXT_TYPES)) else None

    def convert(raw: Any) -> Any:
        try:
            return msgspec.convert((raw,), box, strict=False, dec_hook=hook).value
        except msgspec.ValidationError as exc:
            raise BadValue(_reason(str(exc))) from None
        except UnicodeError:
            # Lone surrogates. Our own sources don't make them, but another router may.
            raise BadValue("Not valid text") from None

    return convert


def _one_custom(annotation: Any) -> Any:
    """Replace unions of types that msgspec doesn't know, because it accepts at most one of them."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return annotated(_one_custom(args[0]), *args[1:])
    if origin is Union:
        customs = [member for member in args if member in tuple(TEXT_TYPES)]
        others = [member for member in args if member not in customs]
        if customs and others:
            raise TypeError(
                f"it isn't clear when a text is a {type_name(customs[0])} and when it is a "
                f"{type_name(others[0])}"
            )
        if customs:
            return text_union(*customs)
    if origin in _COLLECTIONS and args:
        return origin[tuple(item if item is ... else _one_custom(item) for item in args)]
    return annotation


def _reason(message: str) -> str:
    """
    Turn msgspec's message into a message for a person who wrote a URL.

    Everything on the wire is text, so ", got `str`" at the end would only confuse. The path in the
    message starts at our own wrapper: "$[0][2]" is the third item.
    """
    head, _, path = message.rpartition(" - at `$[0]")
    head = head.removesuffix(", got `str`").replace("`array` of length", "a list of length")
    index = path.strip("[]`")
    return excerpt(f"Item {int(index) + 1}: {head}" if index.isdigit() else head)


def _mentions(annotation: Any, types: tuple[Any, ...]) -> bool:
    return annotation in types or (
        get_origin(annotation) is not Literal
        and any(_mentions(arg, types) for arg in get_args(annotation))
    )


def _completed(annotation: Any, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a converter accept times without seconds, if the type has times."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _completed(args[0], convert)
    if not _mentions(annotation, (datetime, time)):
        return convert
    if origin not in _COLLECTIONS:
        return lambda raw: convert(with_seconds(raw))
    if origin is not tuple or args[-1] is ...:
        return lambda raw: convert([with_seconds(text) for text in raw])
    # Other items of a tuple may be any text, even one that looks like a time.
    timed = {index for index, item in enumerate(args) if _mentions(item, (datetime, time))}
    return lambda raw: convert(
        [with_seconds(text) if index in timed else text for index, text in enumerate(raw)]
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
    """
    Make a converter from the application's own function. See :func:`error_text`.

    Raises:
        TypeError: It can't be called with one text. The message says what to do instead.
    """
    check_decoder(decoder)
    # A class may check its arguments' types, as attrs' validators do. In a function, a TypeError is
    # a mistake.
    theirs = (ValueError, TypeError) if isinstance(decoder, type) else (ValueError,)

    def convert(raw: Any) -> Any:
        try:
            value = decoder(raw)
        except theirs as exc:
            raise BadValue(error_text(exc)) from exc
        if type(value) is CoroutineType:
            # A plain function around an async one can't be recognised before it is called.
            value.close()
            raise RuntimeError(
                f"the decoder {name_of(decoder)} returned a coroutine, and a decoder can't await: "
                "make what it calls a plain function"
            )
        return value

    return convert


def check_decoder(decoder: Any) -> None:
    """
    Refuse a decoder that can't be called with one text, or that would not return a value.

    Raises:
        TypeError: The message says what to do instead.
    """
    if not callable(decoder):
        raise TypeError(
            f"decoder= takes a function that is called with the text, not {decoder!r}: give the "
            "function itself, such as decoder=json.loads"
        )
    if isinstance(decoder, type) and any("__call__" in vars(cls) for cls in decoder.__mro__):
        raise TypeError(
            f"the decoder {name_of(decoder)} is a class whose objects are functions: give an "
            f"object of it, as in decoder={decoder.__name__}()"
        )
    called = None if isinstance(decoder, type) else getattr(decoder, "__call__", None)  # noqa: B004
    inner = decoder.__func__ if isinstance(decoder, staticmethod) else None
    for function in (decoder, called, inner):
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"the decoder {name_of(decoder)} is async, and nothing awaits while parameters "
                "are read: write `def`, or await in a factory, with use(...)"
            )
        if inspect.isgeneratorfunction(function):
            raise TypeError(
                f"the decoder {name_of(decoder)} yields, so it would give a generator: let it "
                "return the value"
            )
    try:
        signature = inspect.signature(decoder)
    except (TypeError, ValueError):  # a function written in C without a signature
        return
    try:
        signature.bind("text")
    except TypeError:
        raise TypeError(
            f"the decoder {name_of(decoder)} takes {signature}, and a decoder is called with the "
            "text alone: write `def decoder(text)`, or bind the others with functools.partial"
        ) from None


def error_text(exc: ValueError | TypeError) -> str:
    """
    Say what the peer may see of an error in the application's own checks.

    The text of a :exc:`ValueError` is meant for whoever sent the value, so the peer sees it. The
    text of a :exc:`TypeError` usually comes from Python and names classes, and that of a
    :exc:`UnicodeError` names codecs. For those, the peer only learns that the value can't be used.
    """
    # attrs' validators put the attribute and its class after the sentence.
    text = exc.args[0] if exc.args else ""
    if isinstance(exc, (TypeError, UnicodeError)) or not isinstance(text, str) or not text:
        return INVALID
    return excerpt(text)
