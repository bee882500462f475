"""
Messages in JSON: from text to a type and back. Values as MessagePack, by the same rules.

msgspec reads and writes them, or pydantic if a type has something of pydantic in it. Decoders are
compiled when somebody first asks for a type, and kept. If no message could be converted to a type,
that is the application's mistake, a :exc:`TypeError`. If a message doesn't fit its type, that is
the peer's mistake, an :exc:`~triows.InvalidMessage`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from inspect import iscoroutine
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

import msgspec
from attrs import field, frozen
from msgspec import inspect

from ._annotations import constrained, type_name, unnamed
from ._pydantic import adapter_of, is_model, mentions_model, problems, validation_error
from .exceptions import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

__all__ = ["check_expressible", "decoder_of", "encoded", "packed"]

_UNIONS = (UnionType, type(Union[int, str]))  # noqa: UP007 - this spelling has a class of its own
# The classes that msgspec makes from JSON if nobody asks for a type.
_PLAIN = (dict, list, str, int, float, bool, NoneType)
_CLASSES = "a msgspec.Struct, a dataclass, an attrs class, a TypedDict or a pydantic model"
_BY_HAND = "or leave the type out and convert the value yourself"


def decoder_of(type_: Any) -> Callable[[str | bytes], Any]:
    """
    Return a function that converts messages to a type.

    It raises :exc:`~triows.InvalidMessage` for a message that isn't JSON or doesn't fit.

    Raises:
        TypeError: No message can be converted to this type. The text says why.
    """
    # Two unions are equal whatever their order. But pydantic prefers the first member that fits,
    # so the order is part of the cache's key.
    order = type_.__args__ if type(type_) in _UNIONS else None
    try:
        return _kept(type_, order)
    except TypeError:
        if _is_hashable(type_):
            raise
    # Metadata in Annotated may be anything, for example a list, which can't be hashed. The cache
    # finds such a type only if it is the same object.
    return _kept(_Same(type_), None)


def _is_hashable(type_: Any) -> bool:
    try:
        hash(type_)
    except TypeError:
        return False
    return True


@frozen
class _Same:
    """A wrapper that is equal only to a wrapper of the same object."""

    value: Any = field(eq=id, hash=True)


@lru_cache(maxsize=256)
def _kept(type_: Any, _order: Any) -> Callable[[str | bytes], Any]:
    if isinstance(type_, _Same):
        type_ = type_.value
    return _pydantic_decoder(type_) or _msgspec_decoder(type_)


def _msgspec_decoder(type_: Any) -> Callable[[str | bytes], Any]:
    if (name := _string_in(type_)) is not None:
        raise _refused(type_, f"{name!r} is a string, not a type: give the class itself, {name}")
    try:
        type_ = constrained(type_)
        decoder = msgspec.json.Decoder(type_, dec_hook=_validated)
        unknown = next(_unknown(inspect.type_info(type_)), None)
    except RecursionError:
        raise _refused(
            type_, f"an alias in it contains itself: make {_CLASSES} of it, {_BY_HAND}"
        ) from None
    except (TypeError, ValueError, NameError, AttributeError) as exc:
        # At the end, msgspec repeats the whole type with its modules. Leave that out.
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


def _string_in(type_: Any) -> str | None:
    """Return the first string in the place of a class. Nothing says which class it names."""
    if isinstance(type_, ForwardRef):
        return type_.__forward_arg__
    if isinstance(type_, str):
        return type_
    arguments = () if get_origin(type_) is Literal else get_args(type_)
    if get_origin(type_) is Annotated:
        arguments = arguments[:1]
    return next((name for one in arguments if (name := _string_in(one)) is not None), None)


def _refused(type_: Any, reason: str) -> TypeError:
    return TypeError(f"JSON can't be read as {type_name(type_)}: {reason}")


def _unknown(info: Any) -> Iterator[str]:
    """For each class in a type that no message can be converted to, say why."""
    for one in _parts(info, set()):
        cls: Any = getattr(one, "cls", None)
        if isinstance(one, inspect.CustomType) and not (is_model(cls) or _is_plain(cls)):
            yield _why_unknown(cls)
        if isinstance(one, inspect.DataclassType) and is_model(cls):
            # msgspec would set its fields without asking pydantic.
            yield (
                f"{cls.__qualname__} is a dataclass of pydantic's inside a class that isn't: make "
                "it a pydantic.BaseModel, or make the outer class one of pydantic's, too"
            )


def _parts(info: Any, seen: set[int]) -> Iterator[Any]:
    """Return msgspec's descriptions of all types in a type, the outer ones first."""
    if isinstance(info, (tuple, list)):
        for item in info:
            yield from _parts(item, seen)
    if not isinstance(info, (inspect.Type, inspect.Field)) or id(info) in seen:
        return
    seen.add(id(info))
    yield info
    for name in info.__struct_fields__:
        yield from _parts(getattr(info, name), seen)


def _why_unknown(cls: Any) -> str:
    name = cls.__qualname__
    if cls.__module__ == "collections.abc":
        return f"{name} doesn't say which class to make: use list, tuple, set or dict"
    return (
        f"{name} is a class that neither msgspec nor pydantic knows: make it {_CLASSES}, {_BY_HAND}"
    )


def _is_plain(cls: Any) -> bool:
    """
    Say whether values from JSON are instances of the class, as they are of ``object``.

    A generic class doesn't count, because msgspec would not check its items.
    """
    return not hasattr(cls, "__class_getitem__") and any(issubclass(one, cls) for one in _PLAIN)


def _validated(cls: Any, value: Any) -> Any:
    """Let pydantic make a model that is inside a class of another kind."""
    if not is_model(cls):
        return value
    # Give pydantic JSON again, because its rules for JSON differ from those for Python objects.
    # json.dumps() is slower than msgspec, but msgspec can't write all numbers that it can read.
    try:
        return cls.__pydantic_validator__.validate_json(json.dumps(value))
    except validation_error() as exc:
        raise ValueError(_detail(exc)) from None


def _pydantic_decoder(type_: Any) -> Callable[[str | bytes], Any] | None:
    """Let pydantic read the whole message, if the type asks for that and pydantic can do it."""
    if not mentions_model(type_):
        return None
    try:
        adapter = adapter_of(type_)
        if not getattr(adapter, "pydantic_complete", True):
            adapter.rebuild(raise_errors=True)
    except Exception as exc:
        # Whatever pydantic raises, the type is the reason. Pydantic doesn't know Structs and attrs
        # classes. msgspec knows them, and lets pydantic read the models inside them.
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
    Write a value as compact JSON.

    Raises:
        TypeError: JSON can't express something in it.
    """
    cls: Any = type(data)
    if cls is not dict and _is_known_model(cls):
        # In a dataclass of pydantic's, msgspec would also write the fields that are excluded.
        written: bytes = cls.__pydantic_serializer__.to_json(data)
        return written
    return _encoder.encode(data)


def packed(data: Any) -> bytes:
    """
    Write a value as MessagePack, by the same rules.

    Raises:
        TypeError: It can't express something in it.
    """
    cls: Any = type(data)
    if cls is not dict and _is_known_model(cls):
        data = cls.__pydantic_serializer__.to_python(data, mode="json")
    return _packer.encode(data)


def check_expressible(type_: Any) -> None:
    """
    Check that JSON can express values of a type, as far as the type says.

    Raises:
        TypeError: It can't express any. The text says why.
    """
    _check_expressible(type_, is_inside=False)


def _check_expressible(type_: Any, *, is_inside: bool) -> None:
    type_ = unnamed(type_)
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Literal:
        return
    if isinstance(type_, str | ForwardRef):
        name = _string_in(type_)
        raise TypeError(f"{name!r} is a string, not a type: give the class itself, {name}")
    is_same = origin is Annotated or origin in (Union, UnionType)
    for one in arguments[:1] if origin is Annotated else arguments:
        _check_expressible(one, is_inside=is_inside or not is_same)
    cls = origin or type_
    if isinstance(cls, type) and cls is not Any and not is_same:
        _check_class(cls, is_inside=is_inside)


def _check_class(cls: type, *, is_inside: bool) -> None:
    try:
        outer, *inner = _parts(inspect.type_info(cls), set())
    except (TypeError, ValueError, NameError, AttributeError):
        return  # msgspec can write more than it can read, such as unions of structs
    for one in [outer, *inner]:
        found: Any = getattr(one, "cls", None)
        # An instance of an abstract class may be one of the classes that msgspec knows.
        if isinstance(one, inspect.CustomType) and not (
            is_model(found) or any(issubclass(known, found) for known in _PLAIN)
        ):
            raise TypeError(
                f"JSON can't express {type_name(found)}: make it {_CLASSES}, or annotate what is "
                "really there"
            )
        if (
            isinstance(one, inspect.DataclassType)
            and is_model(found)
            and (is_inside or one is not outer)
        ):
            # msgspec would also write the fields that pydantic excludes.
            raise TypeError(
                f"{type_name(found)} is a dataclass of pydantic's inside a type that isn't: make "
                "it a pydantic.BaseModel"
            )


# Asking a class for an attribute that it doesn't have takes longer than writing a short message.
@lru_cache(maxsize=256)
def _is_known_model(cls: Hashable) -> bool:
    return is_model(cls)


def _plain(value: Any) -> Any:
    """Replace a value that msgspec doesn't know by one that it can write."""
    if is_model(type(value)):
        return type(value).__pydantic_serializer__.to_python(value, mode="json")
    if iscoroutine(value):
        value.close()  # Python would warn of it, too
        raise TypeError("JSON can't express a coroutine: `await` that first")
    if isinstance(value, type):
        raise TypeError(f"JSON can't express the class {value.__qualname__}: give an instance")
    if isinstance(value, (tuple, list, dict, set, frozenset)):
        # msgspec knows these classes, so it must have met one as the key of a dict.
        raise TypeError(
            f"the keys of a JSON object must be str or numbers, not a {type(value).__name__}"
        )
    raise TypeError(
        f"JSON can't express an instance of {type(value).__qualname__}: send it as a str, a "
        f"number, a list or a dict, or make its class {_CLASSES}"
    )


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_packer = msgspec.msgpack.Encoder(enc_hook=_plain)
