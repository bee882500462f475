"""
Pydantic's classes: models, and dataclasses made with pydantic's decorator.

Nothing here imports pydantic. We recognize its classes by their validator and their serializer. An
application that gives us such a class has imported pydantic itself.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from ._annotations import unnamed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "adapter_of",
    "complete_adapter_of",
    "fields_of",
    "finite",
    "from_json",
    "hasty",
    "is_model",
    "mentions_model",
    "problems",
    "schema_of",
    "validation_error",
    "written",
    "written_names",
]

INVALID = "Invalid value"

#: How many errors :func:`problems` lists. Pydantic takes about a kilobyte to list one of them.
MAX_LISTED = 1000

_UNKNOWN: Any = object()

# The entries of pydantic's description of a type that describe other types, alone or in lists and
# dicts.
_INNER = frozenset(
    {
        "schema", "items_schema", "keys_schema", "values_schema", "extras_schema",
        "extras_keys_schema", "lax_schema", "strict_schema", "json_schema", "python_schema",
        "arguments_schema", "fields", "choices", "steps", "definitions",
    }
)  # fmt: skip
_COLLECTIONS = ("list", "tuple", "set", "frozenset")

# How pydantic reads numbers if a class doesn't say it.
_FINITE = {"allow_inf_nan": False}

# Words in the types of errors whose texts name classes of the application. A peer must not see
# these texts.
_ABOUT_CLASSES = ("instance", "subclass", "class", "model", "callable", "dataclass")

# Part of a value, in the text of an error about writing it. It may be a secret.
_QUOTED = re.compile(r"input_value=.*?, (?=input_type=)", re.DOTALL)


def is_model(annotation: Any) -> bool:
    """Say whether it is a class that pydantic validates: a model or a pydantic dataclass."""
    return isinstance(annotation, type) and hasattr(annotation, "__pydantic_validator__")


def mentions_model(annotation: Any) -> bool:
    """
    Say whether pydantic has to read a type, because it contains a model or pydantic's metadata.

    This doesn't look into the fields of other classes.
    """
    try:
        return _mentions(annotation)
    except RecursionError:  # an alias that contains itself
        return False


def _mentions(annotation: Any) -> bool:
    annotation = unnamed(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return False
    if origin is Annotated:
        marks = (type(mark).__module__.partition(".")[0] for mark in args[1:])
        return "pydantic" in marks or _mentions(args[0])
    return is_model(annotation) or any(map(_mentions, args))


def adapter_of(annotation: Any) -> Any:
    """Make pydantic's ``TypeAdapter``. Only for a type for which :func:`mentions_model` is true."""
    return sys.modules["pydantic"].TypeAdapter(annotation)


def finite(schema: Any) -> Any:
    """
    Make a validator that takes only finite numbers.

    A class or a field that says ``allow_inf_nan=True`` has its way.

    Args:
        schema: Pydantic's description of a type.
    """
    return _validator(_changed(schema, {}))


def hasty(validator: Any, schema: Any) -> Any:
    """
    Make a validator that refuses a list at its first wrong item, and sets and tuples likewise.

    An error takes pydantic several hundred bytes, and there may be one for each byte or two of the
    data.

    Args:
        validator: What :func:`finite` makes of the same type. The new one makes the same values. If
            pydantic can't make it, this one is returned.
        schema: Pydantic's description of the type.
    """
    # None of that is promised by pydantic, so whatever it says, there is the other validator.
    with suppress(Exception):
        return _validator(_changed(schema, {"fail_fast": True}))
    return validator


def _validator(schema: Any) -> Any:
    make = sys.modules["pydantic_core"].SchemaValidator
    try:
        # Don't take the own validators of the models inside.
        return make(schema, _FINITE, _use_prebuilt=False)
    except TypeError:  # pydantic 2.12 always does, so those have their own rules
        return make(schema, _FINITE)


def _changed(schema: Any, for_lists: Mapping[str, Any]) -> Any:
    """Copy pydantic's description of a type, and set options of the classes and lists in it."""
    if isinstance(schema, (list, tuple)):
        return type(schema)(_changed(one, for_lists) for one in schema)
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    # Among the fields of a class, there may be one with this name.
    is_schema = isinstance(kind, str)
    copied = {
        name: _changed(one, for_lists) if name in _INNER or not is_schema else one
        for name, one in schema.items()
    }
    if is_schema and "config" in copied:
        copied["config"] = _FINITE | copied["config"]
    return {**copied, **for_lists} if is_schema and kind in _COLLECTIONS else copied


def from_json(data: bytes) -> Any:
    """Read what pydantic takes for JSON, without a type. What can't be read is ``None``."""
    try:
        return sys.modules["pydantic_core"].from_json(data)
    except ValueError:
        return None


def complete_adapter_of(annotation: Any) -> Any | None:
    """
    Make an adapter for a whole type, if the type asks for pydantic and pydantic can do it.

    Raises:
        TypeError: It is a class of pydantic's that can't be used. The text says why.
    """
    if not mentions_model(annotation):
        return None
    try:
        adapter = adapter_of(annotation)
        if not getattr(adapter, "pydantic_complete", True):
            adapter.rebuild(raise_errors=True)
    except Exception as exc:
        # Whatever pydantic raises, the type is the reason. Pydantic doesn't know Structs and attrs
        # classes. msgspec knows them, and leaves the models inside them to pydantic.
        if is_model(annotation):
            reason = str(exc).partition("\n")[0]
            raise TypeError(f"pydantic refuses the class: {reason}. Change it") from exc
        return None
    return adapter


def fields_of(cls: Any) -> Mapping[str, Any]:
    """
    Return pydantic's description of each field, by name.

    Raises:
        NameError: An annotation can't be evaluated.
    """
    _complete(cls)
    fields: Mapping[str, Any] = cls.__pydantic_fields__
    return fields


def schema_of(cls: Any) -> Any:
    """
    Return pydantic's description of a model.

    Raises:
        NameError: An annotation can't be evaluated.
    """
    _complete(cls)
    return cls.__pydantic_core_schema__


def _complete(cls: Any) -> None:
    if not getattr(cls, "__pydantic_complete__", True):
        rebuild = (
            getattr(cls, "model_rebuild", None)
            or sys.modules["pydantic.dataclasses"].rebuild_dataclass
        )
        rebuild(*([] if hasattr(cls, "model_rebuild") else [cls]))


def written_names(cls: Any) -> list[str]:
    """Return the names of what pydantic writes of a model: its fields, and those it computes."""
    return [*fields_of(cls), *cls.__pydantic_decorators__.computed_fields]


def written(write: Callable[..., Any], value: Any, *, strict: bool, **options: Any) -> Any:
    """
    Write a value with a method of pydantic's serializers, with the aliases of its fields.

    Args:
        write: The method.
        value: What to write.
        strict: Whether a part that isn't as its type says is an error. Otherwise, pydantic warns.
        options: What else the method takes.

    Raises:
        ValueError: The value can't be written. The text doesn't quote it.
    """
    if strict:
        options["warnings"] = "error"
    try:
        return write(value, by_alias=True, **options)
    except sys.modules["pydantic_core"].PydanticSerializationError as exc:
        text = " ".join(_QUOTED.sub("", str(exc)).split())
        raise ValueError(text) from exc.__cause__


def validation_error() -> type[ValueError]:
    """Return pydantic's error for a value that doesn't fit. Pydantic must be imported already."""
    found: type[ValueError] = sys.modules["pydantic_core"].ValidationError
    return found


def problems(
    exc: Any, text_of: Callable[[Any], str], value: Any = _UNKNOWN
) -> list[tuple[tuple[Any, ...], str]]:
    """
    List the errors in a :func:`validation_error`: where each is, and its text for the peer.

    If there are more than 1000, this only says how many. There may be tens of thousands, and
    pydantic can't list some of them.

    Args:
        exc: The error.
        text_of: Returns the text of an error that one of the model's own checks raised.
        value: What doesn't fit. If it is given, the places lead to something in it, and nothing is
            listed twice. Otherwise a place may have the name of a class, because pydantic says
            which member of a union it has tried.
    """
    count = exc.error_count()
    if count > MAX_LISTED:
        return [((), f"{count} values can't be used")]
    found = [
        (error["loc"] if value is _UNKNOWN else _place_in(value, error), _sentence(error, text_of))
        for error in exc.errors(include_url=False, include_input=False)
    ]
    return found if value is _UNKNOWN else list(dict.fromkeys(found))


def _place_in(value: Any, error: Mapping[str, Any]) -> tuple[Any, ...]:
    """Leave out what isn't a key or an index: the members of unions, and pydantic's own words."""
    *steps, last = error["loc"] or (None,)
    place = []
    for step in (*steps, last):
        is_key = isinstance(value, dict) and step in value
        if is_key or (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            value = value[step]
            place.append(step)
    if error["type"] == "missing":
        place.append(last)
    return tuple(place)


def _sentence(error: Mapping[str, Any], text_of: Callable[[Any], str]) -> str:
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, Exception):
        return text_of(raised)
    if any(word in error["type"].split("_") for word in _ABOUT_CLASSES):
        return INVALID
    message: str = error["msg"]
    return message
