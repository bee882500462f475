"""
Packs: classes whose fields are read as parameters of their own.

Three kinds of class are asked the same questions here, and answer alike: msgspec's
Structs, dataclasses and attrs classes. Classes come in, :class:`PackField` comes out.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import attrs
import msgspec
from attrs import frozen

from .conversion import wire_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["PackField", "has_fields", "is_made_from", "is_pack", "pack_fields", "unwrapped"]


@frozen
class PackField:
    """
    A field of a pack.

    Args:
        name: What a person calls it.
        argument: What the ``__init__`` of its class calls it.
        wire: What its class says it is called outside; the name if it says nothing.
        type: Its annotation, evaluated.
        required: Whether the class has no default for it.
    """

    name: str
    argument: str
    wire: str
    type: Any
    required: bool


def unwrapped(annotation: Any) -> Any:
    """Give the type without constraints, and without the ``None`` of an optional."""
    try:
        annotation = wire_type(annotation)
    except TypeError:
        return annotation
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def is_pack(annotation: Any) -> bool:
    """Say whether an :func:`unwrapped` type can be read field by field."""
    cls = get_origin(annotation) or annotation
    return isinstance(cls, type) and (
        issubclass(cls, msgspec.Struct) or dataclasses.is_dataclass(cls) or attrs.has(cls)
    )


def has_fields(annotation: Any) -> bool:
    """
    Say whether a type has parts by name, as the body of a request has.

    That is a Struct, dataclass or attrs class, which ``Param("query")`` reads field by
    field, and a dict, TypedDict or NamedTuple, which can't be read so.
    """
    annotation = unwrapped(annotation)
    return is_pack(annotation) or _is_record(annotation)


def _is_record(annotation: Any) -> bool:
    cls = get_origin(annotation) or annotation
    if typing.is_typeddict(cls):
        return True
    # A NamedTuple leaves no other trace than its fields.
    named_tuple = isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")
    return named_tuple or (isinstance(cls, type) and issubclass(cls, Mapping))


def pack_fields(pack: Any) -> list[PackField]:
    """
    List the fields that a pack is made from; those that ``__init__`` does not take are left out.

    Raises:
        NameError, TypeError, KeyError, AttributeError: An annotation is missing or can't
            be evaluated.
    """
    cls = get_origin(pack) or pack
    if issubclass(cls, msgspec.Struct):
        # Of the three only Structs resolve the parameters of a generic class.
        return list(_struct_fields(pack))
    if dataclasses.is_dataclass(cls):
        return list(_dataclass_fields(cls))
    return list(_attrs_fields(cls))


def _struct_fields(cls: Any) -> Iterator[PackField]:
    for info in msgspec.structs.fields(cls):
        yield PackField(info.name, info.name, info.encode_name, info.type, info.required)


def _dataclass_fields(cls: Any) -> Iterator[PackField]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for info in dataclasses.fields(cls):
        missing = info.default is dataclasses.MISSING
        required = missing and info.default_factory is dataclasses.MISSING
        if info.init:
            yield PackField(info.name, info.name, info.name, hints[info.name], required)


def _attrs_fields(cls: Any) -> Iterator[PackField]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for info in attrs.fields(cls):
        # An alias is attrs' own word for how a field is called by those who give it. The
        # one it makes itself is the name without underscores in front.
        name = info.name.lstrip("_")
        alias = info.alias or name
        if info.init:
            yield PackField(name, alias, alias, hints[info.name], info.default is attrs.NOTHING)


def is_made_from(pack: Any, arguments: Collection[str]) -> bool:
    """
    Say whether a pack's ``__init__`` takes these arguments and needs no others.

    It is not so with dataclasses that have an ``InitVar``, or an ``__init__`` by hand.
    """
    parameters = inspect.signature(get_origin(pack) or pack).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return True
    names = {parameter.name for parameter in parameters}
    needed = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    return needed <= set(arguments) <= names
