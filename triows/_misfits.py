"""
Everything in a value that doesn't fit its type.

msgspec stops at the first thing that doesn't fit. That is fast, and enough to refuse a value. But
whoever has sent it wants to know the rest, too. So this goes through a value that msgspec has
refused, with msgspec's description of the type, and asks msgspec again about each part.

Values come in as msgspec makes them if nobody asks for a type. What comes out are places and
sentences. Only a limited number of them is looked for, and a limited number of levels down.
"""

from __future__ import annotations

import datetime
import decimal
import operator
import uuid
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union

import msgspec
from attrs import field, frozen
from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["MISSING", "UNKNOWN", "Misfits", "Place", "Problem", "first_of"]

#: Where something in the data is: the names of fields and the numbers of items that lead to it.
Place: TypeAlias = tuple[Any, ...]

#: A place, and a sentence about it.
Problem: TypeAlias = tuple[Place, str]

#: How many problems are listed. Nobody reads more, and an answer has to stay small.
MAX_PROBLEMS = 100

#: How many steps a place has if everything there is listed. Whatever is deeper inside a part is
#: converted again for each level around it, so this limits the time.
MAX_DEPTH = 16

MISSING = "Missing required field"
UNKNOWN = "Unknown field"
_MORE = f"There are more mistakes than these {MAX_PROBLEMS}"

# How many items of a list are asked about at once. If all of them fit, as most do, that takes a
# tenth of the time.
_CHUNK = 1000

_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")


def first_of(problems: Iterable[Problem]) -> list[Problem]:
    """Return the first 100 problems. If there are more, the last one says so."""
    found = list(islice(problems, MAX_PROBLEMS + 1))
    if len(found) > MAX_PROBLEMS:
        found[MAX_PROBLEMS:] = [((), _MORE)]
    return found


@frozen(eq=False)
class Misfits:
    """
    Finds what doesn't fit a type.

    Args:
        info: msgspec's description of the type.
        convert: Converts a value to a type, as :func:`msgspec.convert` does.
    """

    info: inspect.Type
    convert: Callable[[Any, Any], Any]
    # By the identity of the description, because a description can't be hashed.
    _types: dict[int, Any] = field(factory=dict, init=False)

    def find(
        self, value: Any, tell: Callable[[msgspec.ValidationError], Sequence[Problem]]
    ) -> list[Problem]:
        """
        List what doesn't fit. See :func:`first_of`.

        It is empty if all of it fits, or if only a mistake in the application's own checks says
        that it doesn't.

        Args:
            value: The value.
            tell: Says what is in msgspec's error about a part.
        """
        return first_of(_Search(self, tell).within(self.info, value, ()))

    def fault(self, type_: Any, value: Any) -> msgspec.ValidationError | None:
        """Return what msgspec says about a value, if it doesn't fit."""
        try:
            self.convert(value, type_)
        except msgspec.ValidationError as exc:
            return exc
        except Exception:  # noqa: BLE001 - see below
            # A check of the application's has a mistake, or the value can't be a key. If that is
            # all that is wrong, the first reading has raised it.
            return None
        return None

    def type_of(self, info: Any) -> Any:
        """Return the type that msgspec has described."""
        known = self._types.get(id(info))
        if known is None:
            known = self._types[id(info)] = self._made(info)
        return known

    def _made(self, info: Any) -> Any:
        if isinstance(info, inspect.Metadata):
            return self.type_of(info.type)
        make = _TYPES.get(type(info))
        # All other types are classes, and msgspec keeps them in the description.
        made = make(self.type_of, info) if make is not None else getattr(info, "cls", Any)
        given = {name: getattr(info, name, None) for name in _CONSTRAINTS}
        given = {name: value for name, value in given.items() if value is not None}
        return Annotated[made, msgspec.Meta(**given)] if given else made


def _plain(type_: Any) -> Callable[[Callable[[Any], Any], Any], Any]:
    return lambda _type_of, _info: type_


def _generic(type_: Any, *names: str) -> Callable[[Callable[[Any], Any], Any], Any]:
    return lambda type_of, info: _of(type_, *(type_of(getattr(info, name)) for name in names))


def _of(type_: Any, *arguments: Any) -> Any:
    """Return ``type_[arguments]``, which isn't known before the program runs."""
    return operator.getitem(type_, arguments)


#: How to make a type of its description.
_TYPES: dict[type, Callable[[Callable[[Any], Any], Any], Any]] = {
    inspect.NoneType: _plain(None),
    inspect.BoolType: _plain(bool),
    inspect.IntType: _plain(int),
    inspect.FloatType: _plain(float),
    inspect.StrType: _plain(str),
    inspect.BytesType: _plain(bytes),
    inspect.ByteArrayType: _plain(bytearray),
    inspect.MemoryViewType: _plain(memoryview),
    inspect.DateTimeType: _plain(datetime.datetime),
    inspect.TimeType: _plain(datetime.time),
    inspect.DateType: _plain(datetime.date),
    inspect.TimeDeltaType: _plain(datetime.timedelta),
    inspect.UUIDType: _plain(uuid.UUID),
    inspect.DecimalType: _plain(decimal.Decimal),
    inspect.ExtType: _plain(msgspec.msgpack.Ext),
    inspect.ListType: _generic(list, "item_type"),
    inspect.SetType: _generic(set, "item_type"),
    inspect.FrozenSetType: _generic(frozenset, "item_type"),
    inspect.VarTupleType: lambda type_of, info: _of(tuple, type_of(info.item_type), ...),
    inspect.TupleType: lambda type_of, info: _of(tuple, *map(type_of, info.item_types)),
    inspect.DictType: _generic(dict, "key_type", "value_type"),
    inspect.LiteralType: lambda _type_of, info: _of(Literal, *info.values),
    inspect.UnionType: lambda type_of, info: _of(Union, *map(type_of, info.types)),
}


@frozen(eq=False)
class _Search:
    """One search. See :meth:`Misfits.find`."""

    misfits: Misfits
    tell: Callable[[msgspec.ValidationError], Sequence[Problem]]

    def within(self, info: Any, value: Any, place: Place) -> Iterator[Problem]:
        """Yield what doesn't fit in a part of the value, with its place in the whole."""
        fault = self.misfits.fault(self.misfits.type_of(info), value)
        if fault is None:
            return
        is_found = False
        if len(place) < MAX_DEPTH:
            for problem in self._parts(info, value, place):
                is_found = True
                yield problem
        if not is_found:
            # All parts fit, so it is about this value as a whole.
            for inner, text in self.tell(fault):
                yield (*place, *inner), text

    def _parts(self, info: Any, value: Any, place: Place) -> Iterator[Problem]:
        member = _member(info, value)
        search = _search_of(member, value)
        return iter(()) if search is None else search(self, member, value, place)

    def fields(self, info: Any, value: dict[Any, Any], place: Place) -> Iterator[Problem]:
        """Search the fields of an object."""
        known = {one.encode_name for one in info.fields}
        tag = getattr(info, "tag", None)
        if tag is not None:
            known.add(info.tag_field)
            fault = self.misfits.fault(Literal[tag], value.get(info.tag_field, tag))
            if fault is not None:
                yield from (((*place, info.tag_field), text) for _, text in self.tell(fault))
        for one in info.fields:
            name = one.encode_name
            if name in value:
                yield from self.within(one.type, value[name], (*place, name))
            elif one.required:
                yield (*place, name), MISSING
        if getattr(info, "forbid_unknown_fields", False):
            yield from (((*place, name), UNKNOWN) for name in value if name not in known)

    def positions(self, info: Any, value: list[Any], place: Place) -> Iterator[Problem]:
        """Search an array whose items have types of their own."""
        is_tuple = isinstance(info, inspect.TupleType)
        types = info.item_types if is_tuple else [one.type for one in info.fields]
        # A tag is the first item.
        first = 0 if getattr(info, "tag", None) is None else 1
        for index, (type_, item) in enumerate(zip(types, value[first:], strict=False), first):
            yield from self.within(type_, item, (*place, index))

    def items(self, info: Any, value: list[Any], place: Place) -> Iterator[Problem]:
        """Search an array whose items all have one type."""
        type_ = _of(list, self.misfits.type_of(info.item_type))
        for index, item in self._suspects(value, list, type_):
            yield from self.within(info.item_type, item, (*place, index))

    def entries(self, info: Any, value: dict[Any, Any], place: Place) -> Iterator[Problem]:
        """Search the keys and values of a dict."""
        keys = self.misfits.type_of(info.key_type)
        type_ = _of(dict, keys, self.misfits.type_of(info.value_type))
        for _, (key, item) in self._suspects(list(value.items()), dict, type_):
            # In JSON, a number is a text if it is a key, so msgspec has to see it as one.
            fault = self.misfits.fault(_of(dict, keys, Any), {key: None})
            if fault is not None:
                yield from (((*place, key), f"Key: {text}") for _, text in self.tell(fault))
            yield from self.within(info.value_type, item, (*place, key))

    def _suspects(
        self, parts: list[Any], whole: Callable[[list[Any]], Any], type_: Any
    ) -> Iterator[tuple[int, Any]]:
        """Yield the parts that may not fit, with their numbers."""
        for start in range(0, len(parts), _CHUNK):
            chunk = parts[start : start + _CHUNK]
            if self.misfits.fault(type_, whole(chunk)) is not None:
                yield from enumerate(chunk, start)


def _member(info: Any, value: Any) -> Any:
    """Return the member of a union that a value is meant for, if that is known."""
    if isinstance(info, inspect.Metadata):
        return _member(info.type, value)
    if not isinstance(info, inspect.UnionType):
        return info
    members = [_member(one, value) for one in info.types]
    members = [one for one in members if _search_of(one, value) is not None]
    # msgspec allows only one that has no tag.
    if len(members) > 1:
        members = [one for one in members if _has_tag(one, value)]
    return members[0] if len(members) == 1 else None


def _has_tag(info: Any, value: Any) -> bool:
    tag = getattr(info, "tag", None)
    if tag is None:
        return False
    told = value.get(info.tag_field) if isinstance(value, dict) else next(iter(value), None)
    return bool(told == tag)


_Part: TypeAlias = "Callable[[_Search, Any, Any, Place], Iterator[Problem]]"


def _search_of(info: Any, value: Any) -> _Part | None:
    """Return how to search a value, if its parts are known from the description of its type."""
    search = _SEARCHES.get((type(value), type(info)))
    is_other = isinstance(info, inspect.StructType) and info.array_like is isinstance(value, dict)
    return None if is_other else search


#: The same by the class of the value and of the description.
_SEARCHES: dict[tuple[type, type], _Part] = {
    (dict, inspect.StructType): _Search.fields,
    (dict, inspect.DataclassType): _Search.fields,
    (dict, inspect.TypedDictType): _Search.fields,
    (dict, inspect.DictType): _Search.entries,
    (list, inspect.StructType): _Search.positions,
    (list, inspect.NamedTupleType): _Search.positions,
    (list, inspect.TupleType): _Search.positions,
    (list, inspect.ListType): _Search.items,
    (list, inspect.VarTupleType): _Search.items,
    (list, inspect.SetType): _Search.items,
    (list, inspect.FrozenSetType): _Search.items,
}
