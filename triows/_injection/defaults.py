"""
Defaults of parameters, made anew for each connection.

Python makes a default once, together with the function. If connections shared it, the next peer
would see what one handler puts into it.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import ipaddress
import re
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    EllipsisType,
    FunctionType,
    MethodType,
    ModuleType,
    NoneType,
    NotImplementedType,
)
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["UncopyableDefault", "default_maker", "is_immutable"]


class UncopyableDefault(Exception):
    """A default can be changed, but can't be copied. The message says why."""


# Classes whose values can't be changed. Subclasses don't count, because they may have attributes.
# A sentinel is often an `object()`, and a copy of it would be a different object.
_IMMUTABLE = (
    NoneType, EllipsisType, NotImplementedType, object, msgspec.UnsetType,
    bool, int, float, complex, str, bytes, range, Decimal, Fraction, UUID,
    datetime, date, time, timedelta, re.Pattern,
    ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network,
    ipaddress.IPv6Network, ipaddress.IPv4Interface, ipaddress.IPv6Interface,
)  # fmt: skip
# Here, subclasses count too. Functions and classes are the application's code, not its data.
_IMMUTABLE_KINDS = (
    enum.Enum, type, tzinfo, PurePath, ModuleType, FunctionType, BuiltinFunctionType,
)  # fmt: skip


@attrs.frozen
class _Frozen:
    """Helps to recognise classes that attrs made frozen. They share the same ``__setattr__``."""


_FROZEN_SETATTR = _Frozen.__setattr__


def default_maker(default: Any) -> Callable[[], Any]:
    """
    Compile a function that returns a default for one connection.

    What can't be changed is returned as it is. Anything else is deep-copied each time. A class
    whose ``__deepcopy__`` returns the same object has decided that all copies are that object, as
    for a sentinel or a registry. So connections share it, even if it can be changed.

    Raises:
        UncopyableDefault: The default can be changed, and can't be deep-copied.
    """
    if is_immutable(default):
        return lambda: default
    if type(default) in (list, set, dict) and all(map(is_immutable, _items(default))):
        copier: Callable[[], Any] = default.copy  # as good as a deep copy, and faster
        return copier
    try:
        if copy.deepcopy(default) is default:
            return lambda: default
    except Exception as exc:
        raise UncopyableDefault(f"{type(exc).__name__}: {exc}") from exc
    return lambda: copy.deepcopy(default)


def _items(value: list[Any] | set[Any] | dict[Any, Any]) -> Iterable[Any]:
    return [*value, *value.values()] if isinstance(value, dict) else value


def is_immutable(value: Any) -> bool:
    """Say whether nothing in a value can be changed, so that connections may share it."""
    cls = type(value)
    if cls in _IMMUTABLE or isinstance(value, _IMMUTABLE_KINDS):
        return True
    if cls is tuple or cls is frozenset:
        return all(map(is_immutable, value))
    if isinstance(value, MethodType):
        return is_immutable(value.__self__)
    return _is_frozen(value) and all(map(is_immutable, _field_values(value)))


def _is_frozen(value: Any) -> bool:
    """Say whether its class doesn't allow its fields to be set."""
    cls = type(value)
    if isinstance(value, msgspec.Struct):
        return value.__struct_config__.frozen
    if dataclasses.is_dataclass(cls):
        frozen: bool = cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
        return frozen
    return attrs.has(cls) and cls.__setattr__ is _FROZEN_SETATTR


def _field_values(value: Any) -> list[Any]:
    fields = getattr(type(value), "__struct_fields__", None) or [
        *getattr(type(value), "__dataclass_fields__", ()),
        *(one.name for one in getattr(type(value), "__attrs_attrs__", ())),
    ]
    return [getattr(value, name, None) for name in fields]
