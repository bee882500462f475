"""
Messages in JSON: from text to a type and back.

msgspec reads and writes them. Where a type has to do with pydantic, pydantic does.
Decoders are compiled when a type is first asked for, and kept. A type that no message could be
converted to is the application's mistake, a :exc:`TypeError`; a message that doesn't fit its
type is the peer's, an :exc:`~triows.InvalidMessage`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union

import msgspec
from attrs import field, frozen
from msgspec import inspect

from ._annotations import constrained, type_name
from ._pydantic import adapter_of, is_model, mentions_model, problems, validation_error
from .exceptions import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

__all__ = ["decoder_of", "encoded"]

_UNIONS = (UnionType, type(Union[int, str]))  # noqa: UP007 - the class of this spelling is meant
# What msgspec makes of JSON when no type is asked for.
_PLAIN = (dict, list, str, int, float, bool, NoneType)
_CLASSES = "a msgspec.Struct, a dataclass, an attrs class, a TypedDict or a pydantic model"
_BY_HAND = "or leave the type out and convert the value yourself"


def decoder_of(type_: Any) -> Callable[[str | bytes], Any]:
    """
    Give the function that reads messages as a type.

    It raises :exc:`~triows.InvalidMessage` for a message that isn't JSON or doesn't fit.

    Raises:
        TypeError: No message can be converted to this type. The text says why.
    """
    # Unions are equal in any order, and pydantic prefers what comes first.
    order = type_.__args__ if type(type_) in _UNIONS else None
    try:
        return _kept(type_, order)
    except TypeError:
        if _is_hashable(type_):
            raise
    # Metadata in Annotated may be anything, a list too. Such a type is found as the same object.
    return _kept(_Same(type_), None)


def _is_hashable(type_: Any) -> bool:
    try:
        hash(type_)
    except TypeError:
        return False
    return True


@frozen
class _Same:
    """An object that equals itself only."""

    value: Any = field(eq=id, hash=True)


@lru_cache(maxsize=256)
def _kept(type_: Any, _order: Any) -> Callable[[str | bytes], Any]:
    if isinstance(type_, _Same):
        type_ = type_.value
    return _pydantic_decoder(type_) or _msgspec_decoder(type_)


def _msgspec_decoder(type_: Any) -> Callable[[str | bytes], Any]:
    try:
        type_ = constrained(type_)
        decoder = msgspec.json.Decoder(type_, dec_hook=_validated)
        unknown = next(_unknown(inspect.type_info(type_), set()), None)
    except RecursionError:
        raise _refused(
            type_, f"an alias in it contains itself: make {_CLASSES} of it, {_BY_HAND}"
        ) from None
    except (TypeError, ValueError, NameError, AttributeError) as exc:
        # msgspec repeats the whole type at the end, modules and all.
        reason = str(exc).partition(" - type ")[0].partition("\n")[0]
        raise _refused(type_, f"{reason}. Change the type, {_BY_HAND}") from exc
    if unknown is not None:
        raise _refused(type_, unknown)

    def decode(message: str | bytes) -> Any:
        try:
            return decoder.decode(message)
        except (msgspec.DecodeError, UnicodeError) as exc:
            raise InvalidMessage(str(exc)) from None
        except RecursionError:
            raise InvalidMessage("nested too deeply") from None

    return decode


def _refused(type_: Any, reason: str) -> TypeError:
    return TypeError(f"JSON can't be read as {type_name(type_)}: {reason}")


def _unknown(info: Any, seen: set[int]) -> Iterator[str]:
    """Say of each class in a type why no message can be converted to it, if that is so."""
    if isinstance(info, (tuple, list)):
        for item in info:
            yield from _unknown(item, seen)
    if not isinstance(info, (inspect.Type, inspect.Field)) or id(info) in seen:
        return
    seen.add(id(info))
    cls: Any = getattr(info, "cls", None)
    if isinstance(info, inspect.CustomType) and not (is_model(cls) or _is_plain(cls)):
        yield _why_unknown(cls)
    if isinstance(info, inspect.DataclassType) and is_model(cls):
        # msgspec would set its fields without asking pydantic.
        yield (
            f"{cls.__qualname__} is a dataclass of pydantic's inside a class that isn't: make it a "
            "pydantic.BaseModel, or make the outer class one of pydantic's, too"
        )
    for name in info.__struct_fields__:
        yield from _unknown(getattr(info, name), seen)


def _why_unknown(cls: Any) -> str:
    name = cls.__qualname__
    if cls.__module__ == "collections.abc":
        return f"{name} doesn't say which class to make: use list, tuple, set or dict"
    return (
        f"{name} is a class that neither msgspec nor pydantic knows: make it {_CLASSES}, {_BY_HAND}"
    )


def _is_plain(cls: Any) -> bool:
    """
    Whether what JSON is made of are instances of the class, as of ``object``.

    Not of a generic one: msgspec would not look at its items.
    """
    return not hasattr(cls, "__class_getitem__") and any(issubclass(one, cls) for one in _PLAIN)


def _validated(cls: Any, value: Any) -> Any:
    """Let pydantic make a model inside a class of another kind."""
    if not is_model(cls):
        return value
    # As JSON, since pydantic's rules for that differ from those for Python's objects. msgspec
    # would be faster, and refuses numbers that it has read itself.
    try:
        return cls.__pydantic_validator__.validate_json(json.dumps(value))
    except validation_error() as exc:
        raise ValueError(_detail(exc)) from None


def _pydantic_decoder(type_: Any) -> Callable[[str | bytes], Any] | None:
    """Let pydantic read the whole message, if that is what the type asks for, and it can."""
    if not mentions_model(type_):
        return None
    try:
        adapter = adapter_of(type_)
        if not getattr(adapter, "pydantic_complete", True):
            adapter.rebuild(raise_errors=True)
    except Exception as exc:
        # Whatever it is, it is about the type. Pydantic doesn't know Structs and attrs
        # classes. msgspec does, and leaves to pydantic what is pydantic's.
        if is_model(type_):
            reason = str(exc).partition("\n")[0]
            raise _refused(type_, f"pydantic refuses the class: {reason}") from exc
        return None
    validate, invalid = adapter.validate_json, validation_error()

    def decode(message: str | bytes) -> Any:
        try:
            return validate(message)
        except invalid as exc:
            raise InvalidMessage(_detail(exc)) from None

    return decode


def _detail(exc: Any) -> str:
    return "; ".join(
        f"{'.'.join(map(str, place))}: {text}" if place else text
        for place, text in problems(exc, str)
    )


def encoded(data: Any) -> bytes:
    """
    Write a value as JSON, compact.

    Raises:
        TypeError: There is something in it that JSON can't express.
    """
    cls: Any = type(data)
    if cls is not dict and _is_known_model(cls):
        # msgspec would write a dataclass of pydantic's with the fields that it excludes.
        written: bytes = cls.__pydantic_serializer__.to_json(data)
        return written
    return _encoder.encode(data)


# To find that a class doesn't have an attribute takes longer than to write a short message.
@lru_cache(maxsize=256)
def _is_known_model(cls: Hashable) -> bool:
    return is_model(cls)


def _plain(value: Any) -> Any:
    """Give what msgspec can write in place of what it doesn't know."""
    if is_model(type(value)):
        return type(value).__pydantic_serializer__.to_python(value, mode="json")
    if isinstance(value, type):
        raise TypeError(f"JSON can't express the class {value.__qualname__}: give an instance")
    if isinstance(value, (tuple, list, dict, set, frozenset)):
        # Otherwise msgspec knows them.
        raise TypeError(
            f"the keys of a JSON object are texts and numbers, not a {type(value).__name__}"
        )
    raise TypeError(
        f"JSON can't express an instance of {type(value).__qualname__}: send it as a str, a "
        f"number, a list or a dict, or make its class {_CLASSES}"
    )


_encoder = msgspec.json.Encoder(enc_hook=_plain)
