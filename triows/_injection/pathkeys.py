"""
Checks whether the keys of a path can fill the parameters that take them.

``{id:int}`` only matches digits, so a parameter ``id: UUID`` would refuse every value.
"""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Union, get_args, get_origin
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PathKey", "can_fill", "key_for", "type_for"]


class PathKey(Protocol):
    """A ``{name:converter}`` of a path template."""

    @property
    def converter_name(self) -> str:
        """The converter's name."""

    @property
    def builtin(self) -> bool:
        """Whether the converter is one of Starlette's."""

    def accepts(self, text: str) -> bool:
        """Whether it matches a text."""


_NUMBERS = ("7", "1.5")
_V4, _V6 = "192.0.2.1", "2001:db8::1"

# Examples of how values of a type are written, one for each form. For a type that isn't here, any
# text may be a value.
_FORMS: dict[Any, tuple[str, ...]] = {
    bool: ("true", "1"),
    int: ("7",),
    float: _NUMBERS,
    Decimal: _NUMBERS,
    UUID: ("12345678-1234-5678-1234-567812345678",),
    # A number is taken as seconds.
    datetime: ("2026-01-01T10:30:00Z", *_NUMBERS),
    timedelta: ("PT90S", *_NUMBERS),
    date: ("2026-01-01",),
    time: ("10:30:00",),
    IPv4Address: (_V4,),
    IPv6Address: (_V6,),
    IPv4Network: (_V4, f"{_V4}/32"),
    IPv6Network: (_V6, f"{_V6}/128"),
    IPv4Interface: (_V4, f"{_V4}/32"),
    IPv6Interface: (_V6, f"{_V6}/128"),
}

# The types of Starlette's own converters.
_TYPES: dict[str, Any] = {"int": int, "float": float, "uuid": UUID}


def can_fill(key: PathKey, annotation: Any) -> bool:
    """
    Say whether any text that a key matches can be converted to the type.

    Args:
        key: The key. If its converter is the application's own, it may match anything.
        annotation: The type, as :func:`.conversion.wire_type` returns it.
    """
    forms = _forms(annotation)
    return not key.builtin or forms is None or any(map(key.accepts, forms))


def _forms(annotation: Any) -> Sequence[str] | None:
    """Say how values of a type are written. ``None`` means that any text may be one."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _forms(args[0])
    if origin is Literal:
        return [str(value) for value in args]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(member.value) for member in annotation]
    if origin is Union or origin is UnionType:
        members = [_forms(member) for member in args]
        forms = [form for member in members for form in member or ()]
        return None if None in members else forms
    return next((forms for type_, forms in _FORMS.items() if type_ is annotation), None)


def type_for(key: PathKey) -> type:
    """Return the type that a parameter for a key usually has."""
    found: type = _TYPES.get(key.converter_name, str) if key.builtin else str
    return found


def key_for(name: str, annotation: Any) -> str:
    """Write the key from which a parameter of a type can be read."""
    converter = next((word for word, type_ in _TYPES.items() if type_ is annotation), None)
    return f"{{{name}:{converter}}}" if converter else f"{{{name}}}"
