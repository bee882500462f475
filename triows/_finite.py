"""
Numbers that aren't finite, in structured data.

NaN and the infinities would pass comparisons that are meant to keep bad values out, and JSON can't
express them in an answer. msgspec refuses them as numbers of JSON. But it takes them as numbers of
MessagePack, and as texts for a :class:`~decimal.Decimal` or the keys of a dict.
"""

from __future__ import annotations

import dataclasses
import math
import re
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["NOT_FINITE", "NotFinite", "only_finite"]

#: What a peer reads about such a number.
NOT_FINITE = "Expected a finite number"

#: How many of them are told. Nobody reads more, and an answer has to stay small.
MAX_PLACES = 100

_Place: TypeAlias = tuple[Any, ...]

# Data without any of these has no such number. In MessagePack they are floats of 64 and of 32 bits
# whose exponents have all bits set, and texts. In JSON they are texts, which may be escaped.
_FLOATS = rb"\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]"
_TEXTS = rb"[nN][aA][nN]|[iI][nN][fF]|\\u"


class NotFinite(msgspec.ValidationError):
    """There are numbers in the data that aren't finite."""

    def __init__(self, places: list[_Place]) -> None:
        self.places = places
        named = (".".join(map(str, place)) for place in places)
        super().__init__(f"{NOT_FINITE}: {', '.join(named)}")


def only_finite(
    decode: Callable[[Any], Any],
    parse: Callable[[Any], Any],
    *,
    has_floats: bool,
    has_texts: bool,
) -> Callable[[Any], Any]:
    """
    Make a decoder refuse numbers that aren't finite.

    Args:
        decode: The decoder.
        parse: Decodes the same data without a type.
        has_floats: Whether the format can express them as numbers.
        has_texts: Whether numbers in the type may be written as texts.

    Returns:
        A decoder that also raises :exc:`NotFinite`.
    """
    signs = [_FLOATS] * has_floats + [_TEXTS] * has_texts
    if not signs:
        return decode
    has_signs = re.compile(b"|".join(signs)).search

    def decode_finite(data: Any) -> Any:
        try:
            value = decode(data)
        except TypeError:
            # Python can't hash a signaling NaN, which may be in a set or a key.
            if places := [place for place, one in _texts(parse(data)) if one.is_snan()]:
                raise NotFinite(places[:MAX_PLACES]) from None
            raise
        if has_signs(data) and (places := _places(parse(data), value)):
            raise NotFinite(places)
        return value

    return decode_finite


def _places(raw: Any, value: Any) -> list[_Place]:
    """Find them in data without a type, with the help of what was made of it."""
    leaves = _leaves(raw)
    found = [place for place, one in leaves if _is_odd(one)]
    # A text may be meant as one, and an infinite number may be a default of the application's.
    texts = {place for place, _ in _texts(raw)}
    # The items of a set have no order.
    texts |= {place[:-1] for place in texts}
    for place, one in _leaves(value) if texts else ():
        if place in texts and _is_odd(one):
            found.append(place)
    return found[:MAX_PLACES]


def _is_odd(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, Decimal) and not value.is_finite()


def _texts(raw: Any) -> Iterator[tuple[_Place, Decimal]]:
    """Yield the texts that a number which isn't finite could be made of."""
    for place, text in _leaves(raw):
        if isinstance(text, str):
            with suppress(InvalidOperation):
                number = Decimal(text)
                if _is_odd(number):
                    yield place, number


def _leaves(whole: Any) -> Iterator[tuple[_Place, Any]]:
    """Yield what has no parts, with its place. The place of a key is that of its dict."""
    waiting: list[tuple[_Place, Any]] = [((), whole)]
    while waiting:
        place, value = waiting.pop()
        parts = _parts(value)
        if parts is None:
            yield place, value
        else:
            waiting += reversed([((*place, *step), part) for step, part in parts])


def _parts(value: Any) -> Iterable[tuple[_Place, Any]] | None:
    if isinstance(value, dict):
        return [*(((), key) for key in value), *(((key,), part) for key, part in value.items())]
    if isinstance(value, (list, tuple)):
        return (((index,), part) for index, part in enumerate(value))
    if isinstance(value, (set, frozenset)):
        return (((), part) for part in value)
    if isinstance(value, msgspec.Struct):
        return _struct_parts(value)
    if dataclasses.is_dataclass(value) or attrs.has(type(value)):
        names = [one.name for one in _fields(value)]
        return [((name,), getattr(value, name)) for name in names if hasattr(value, name)]
    return None


def _struct_parts(value: msgspec.Struct) -> Iterator[tuple[_Place, Any]]:
    config = value.__struct_config__
    first = 0 if config.tag is None else 1  # a tag is the first item
    for index, one in enumerate(msgspec.structs.fields(value), first):
        yield (index if config.array_like else one.encode_name,), getattr(value, one.name)


def _fields(value: Any) -> Iterable[Any]:
    return attrs.fields(type(value)) if attrs.has(type(value)) else dataclasses.fields(value)
