"""
Packs: classes whose fields are read as parameters.

There are four kinds of class: msgspec's Structs, dataclasses, attrs classes and pydantic's models.
This module hides the differences between them. Classes come in, and :class:`PackField` objects
come out.
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

from triows._pydantic import (
    adapter_of,
    fields_of,
    finite,
    is_model,
    problems,
    schema_of,
    validation_error,
)

from .conversion import error_text, wire_type
from .parameter import MADE_ANEW, MISSING
from .query import BadValue, excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

__all__ = [
    "BadPack",
    "PackField",
    "UnreadableField",
    "has_fields",
    "is_closed",
    "is_made_from",
    "is_pack",
    "model_converter",
    "pack_builder",
    "pack_fields",
    "unwrapped",
]


class UnreadableField(Exception):
    """A field of a pack's class can't be read. The message says what to do instead."""


class BadPack(Exception):
    """
    A pack can't be made from its fields.

    Args:
        problems: The argument that is wrong, or ``None`` if it isn't one alone, and why.
    """

    def __init__(self, problems: Sequence[tuple[str | None, str]]) -> None:
        self.problems = problems
        super().__init__(problems)


@frozen
class PackField:
    """
    A field of a pack.

    Args:
        name: The field's name, as messages show it.
        argument: The name of its argument in the class's ``__init__``.
        wire: Its name in a request. It is the field's name if the class doesn't set another.
        type: Its annotation, evaluated.
        default: The default that all objects of the class share. :data:`.MADE_ANEW` if each object
            gets its own, and :data:`.MISSING` if there is none.
        is_text: Whether the class itself converts it from text, as pydantic's do.
        description: What the class says about it, apart from its annotation.
    """

    name: str
    argument: str
    wire: str
    type: Any
    default: Any
    is_text: bool = False
    description: str = ""


def unwrapped(annotation: Any) -> Any:
    """Return the type without constraints, and without the ``None`` of an optional type."""
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
        issubclass(cls, msgspec.Struct)
        or dataclasses.is_dataclass(cls)
        or attrs.has(cls)
        or is_model(cls)
    )


def has_fields(annotation: Any) -> bool:
    """
    Say whether a type has named parts, as the body of a request has.

    Structs, dataclasses, attrs classes and models do, and ``Param("query")`` reads them field by
    field. Dicts, TypedDicts and NamedTuples do as well, but they can't be read like that.
    """
    annotation = unwrapped(annotation)
    return is_pack(annotation) or _is_record(annotation)


def _is_record(annotation: Any) -> bool:
    cls = get_origin(annotation) or annotation
    if typing.is_typeddict(cls):
        return True
    # The fields are the only thing by which a NamedTuple can be recognised.
    named_tuple = isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")
    return named_tuple or (isinstance(cls, type) and issubclass(cls, Mapping))


def pack_fields(pack: Any) -> list[PackField]:
    """
    List the fields that a pack is made from, without those that ``__init__`` does not take.

    Raises:
        NameError, TypeError, KeyError, AttributeError: An annotation is missing or can't be
        evaluated.
        UnreadableField: A request can't have one of the fields.
    """
    cls = get_origin(pack) or pack
    if is_model(cls):
        return list(_model_fields(cls))
    if issubclass(cls, msgspec.Struct):
        # Only for Structs are the type parameters of a generic class resolved.
        return list(_struct_fields(pack))
    if dataclasses.is_dataclass(cls):
        return list(_dataclass_fields(cls))
    return list(_attrs_fields(cls))


def _struct_fields(cls: Any) -> Iterator[PackField]:
    for info in msgspec.structs.fields(cls):
        default = _default(info.default, missing=msgspec.NODEFAULT, required=info.required)
        yield PackField(info.name, info.name, info.encode_name, info.type, default)


def _default(default: Any, *, missing: object, required: bool) -> Any:
    """Say which default a field has. *missing* is the class's own word for none."""
    if required:
        return MISSING
    return MADE_ANEW if default is missing else default


def _dataclass_fields(cls: Any) -> Iterator[PackField]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for info in dataclasses.fields(cls):
        none: Any = dataclasses.MISSING
        required = info.default is none and info.default_factory is none
        if info.init:
            default = _default(info.default, missing=none, required=required)
            yield PackField(info.name, info.name, info.name, hints[info.name], default)


def _attrs_fields(cls: Any) -> Iterator[PackField]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for info in attrs.fields(cls):
        # attrs calls the name of the argument an alias. By default, it is the field's name without
        # the underscores in front.
        name = info.name.lstrip("_")
        alias = info.alias or name
        if info.init:
            made = isinstance(info.default, attrs.Factory)  # type: ignore[arg-type]
            default = MADE_ANEW if made else info.default
            default = MISSING if default is attrs.NOTHING else default
            yield PackField(name, alias, alias, hints[info.name], default)


def _model_fields(cls: Any) -> Iterator[PackField]:
    config = _model_config(cls)
    for name, info in fields_of(cls).items():
        wire = info.validation_alias
        if wire is not None and not isinstance(wire, str):
            raise UnreadableField(
                f"its field `{name}` has the alias {wire!r}: give it one name, as in "
                'Field(alias="size")'
            )
        wire = wire or name
        type_ = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        argument = name if config.get("validate_by_alias") is False else wire
        # Pydantic copies the defaults that can be changed.
        default = MISSING if info.is_required() else MADE_ANEW
        described = info.description or ""
        yield PackField(name, argument, wire, type_, default, is_text=True, description=described)


def _model_config(cls: Any) -> Mapping[str, Any]:
    config: Mapping[str, Any] = (
        getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None) or {}
    )
    return config


def is_closed(pack: Any) -> bool:
    """Say whether a pack's class forbids names that it has no fields for."""
    cls = get_origin(pack) or pack
    if is_model(cls):
        return _model_config(cls).get("extra") == "forbid"
    return issubclass(cls, msgspec.Struct) and cls.__struct_config__.forbid_unknown_fields


def pack_builder(pack: Any) -> Callable[[dict[str, Any]], Any]:
    """
    Return the function that makes a pack from its arguments.

    It raises :exc:`BadPack` if the class's own checks refuse them.
    """
    if is_model(get_origin(pack) or pack):
        return _model_builder(pack)

    def build(arguments: dict[str, Any]) -> Any:
        try:
            return pack(**arguments)
        except (ValueError, TypeError) as exc:
            raise BadPack([(None, error_text(exc))]) from exc

    return build


def _model_builder(cls: Any) -> Callable[[dict[str, Any]], Any]:
    validate, invalid = finite(schema_of(cls)).validate_python, validation_error()

    def build(arguments: dict[str, Any]) -> Any:
        try:
            # Everything is text here, and a strict model would not accept a text for a number.
            return validate(arguments, strict=False)
        except invalid as exc:
            raise BadPack([_problem(*one) for one in problems(exc, error_text)]) from exc

    return build


def model_converter(annotation: Any) -> Callable[[Any], Any]:
    """Compile the conversion to a type with metadata of pydantic. See :func:`.converter`."""
    validator, invalid = finite(adapter_of(annotation).core_schema), validation_error()

    def convert(raw: Any) -> Any:
        try:
            return validator.validate_python(raw, strict=False)
        except invalid as exc:
            place, text = problems(exc, error_text)[0]
            raise BadValue(_problem(("", *place), text)[1]) from None

    return convert


def _problem(place: tuple[Any, ...], text: str) -> tuple[str | None, str]:
    """Name the field, and the item of a list, as our own errors do."""
    item = next((one for one in place[1:] if isinstance(one, int)), None)
    return (
        str(place[0]) if place else None,
        excerpt(text if item is None else f"Item {item + 1}: {text}"),
    )


def is_made_from(pack: Any, arguments: Collection[str]) -> bool:
    """
    Say whether a pack's ``__init__`` takes these arguments and needs no others.

    That isn't true for dataclasses with an ``InitVar``, or with an ``__init__`` of their own.
    """
    if is_model(get_origin(pack) or pack):
        return True  # its validator calls __init__
    parameters = inspect.signature(get_origin(pack) or pack).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return True
    names = {parameter.name for parameter in parameters}
    needed = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    return needed <= set(arguments) <= names
