"""
Records: classes whose instances are written field by field, and the types of the fields.

They are msgspec's Structs, dataclasses, attrs classes, NamedTuples and pydantic's classes. A
TypedDict isn't one, because its instances are dicts, but its keys have types as well.
"""

from __future__ import annotations

import dataclasses
import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints, is_typeddict

import attrs
import msgspec

from ._annotations import substituted
from ._pydantic import is_model, written_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["is_record", "keeps_strays", "names_of", "strays_in", "types_of"]


def _is_named_tuple(cls: Any) -> bool:
    # The fields are the only thing by which one can be recognized.
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


# How each kind is recognized, and the names of what is written.
_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Iterable[str]]], ...] = (
    (lambda cls: issubclass(cls, msgspec.Struct), lambda cls: cls.__struct_fields__),
    (is_model, written_names),
    (_is_named_tuple, lambda cls: cls._fields),
    (dataclasses.is_dataclass, lambda cls: [one.name for one in dataclasses.fields(cls)]),
    (attrs.has, lambda cls: [one.name for one in attrs.fields(cls)]),
)


def is_record(cls: Any) -> bool:
    """Say whether it is a class with fields."""
    return isinstance(cls, type) and any(is_one(cls) for is_one, _ in _KINDS)


@lru_cache(maxsize=1024)
def names_of(cls: Any) -> frozenset[str]:
    """Return the names of what is written of an instance. A class that isn't a record has none."""
    return frozenset(name for is_one, names in _KINDS if is_one(cls) for name in names(cls))


def keeps_strays(cls: type) -> bool:
    """
    Say whether instances can have attributes that aren't fields, and are written nevertheless.

    msgspec writes all attributes of an attrs class, except those with an underscore in front: also
    what somebody has set on an instance without slots, and what a ``cached_property`` has kept.
    """
    return attrs.has(cls) and bool(cls.__dictoffset__ or _slots(cls))


def strays_in(value: Any) -> list[str]:
    """List the attributes of an instance for which :func:`keeps_strays` is true."""
    cls: Any = type(value)
    names = [*getattr(value, "__dict__", ()), *(one for one in _slots(cls) if _is_set(value, one))]
    return [one for one in names if not one.startswith("_") and one not in names_of(cls)]


@lru_cache(maxsize=1024)
def _slots(cls: Any) -> frozenset[str]:
    """Return the names of the slots that aren't fields."""
    slots = {name for base in cls.__mro__ for name in vars(base).get("__slots__", ())}
    return frozenset(one for one in slots - names_of(cls) if not one.startswith("_"))


def _is_set(value: Any, slot: str) -> bool:
    try:
        object.__getattribute__(value, slot)  # getattr() would compute a cached_property
    except AttributeError:
        return False
    return True


def types_of(type_: Any) -> dict[str, Any]:
    """
    Return the annotations of a class with fields or a TypedDict, by name.

    The parameters of generic classes are replaced by what was given for them, also in the classes
    that it inherits from.

    Raises:
        NameError: An annotation can't be evaluated.
    """
    cls = get_origin(type_) or type_
    given = dict(zip(getattr(cls, "__parameters__", ()), get_args(type_), strict=False))
    hints = get_type_hints(cls, include_extras=True)
    own = {name: substituted(hints[name], given) for name in inspect.get_annotations(cls)}
    inherited: dict[str, Any] = {}
    for base in reversed(vars(cls).get("__orig_bases__", cls.__bases__)):
        if _has_annotations(get_origin(base) or base):
            inherited = inherited | types_of(substituted(base, given))
    # A TypedDict repeats the annotations of its bases, and doesn't replace parameters in them.
    return hints | (own | inherited if is_typeddict(cls) else inherited | own)


def _has_annotations(cls: Any) -> bool:
    return is_typeddict(cls) or is_record(cls)
