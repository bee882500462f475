"""
Messages in JSON: from text to a type and back. Values as MessagePack, by the same rules.

Decoders are compiled when somebody first asks for a type, and kept. If no message could be
converted to a type, that is the application's mistake, a :exc:`TypeError`. If a message doesn't fit
its type, that is the peer's mistake, an :exc:`~triows.InvalidMessage`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from inspect import iscoroutine
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

import msgspec
from attrs import field, frozen
from msgspec import inspect

from ._annotations import type_name, unnamed
from ._pydantic import complete_adapter_of, is_model, mentions_model, written
from ._shapes import Shape, shape_of
from ._structured import CLASSES, JSON, PLAIN, parts_of, reading_of, string_in
from .exceptions import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = [
    "AS_IT_IS",
    "Writing",
    "check_expressible",
    "decoder_of",
    "encoded",
    "packed",
    "writing_of",
]

_UNIONS = (UnionType, type(Union[int, str]))  # noqa: UP007 - this spelling has a class of its own


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
    reading = reading_of(type_, JSON, "leave the type out and convert the value yourself")
    read, faults = reading.read, reading.faults

    def decode(message: str | bytes) -> Any:
        try:
            return read(message)
        except faults as exc:
            raise InvalidMessage(reading.detail(exc)) from None

    return decode


def encoded(data: Any, *, strict: bool = False) -> bytes:
    """
    Write a value as compact JSON.

    Args:
        data: The value.
        strict: Whether it is an error if a model of pydantic's has a part that isn't as the model
            says. Otherwise, pydantic warns, and writes the part as it is.

    Raises:
        TypeError: JSON can't express something in it.
        ValueError: Pydantic can't write something in it.
    """
    cls: Any = type(data)
    if cls is not dict and _is_known_model(cls):
        # In a dataclass of pydantic's, msgspec would also write the fields that are excluded.
        text: bytes = written(cls.__pydantic_serializer__.to_json, data, strict=strict)
        return text
    return (_strict_encoder if strict else _encoder).encode(data)


def packed(data: Any, *, strict: bool = False) -> bytes:
    """
    Write a value as MessagePack, by the same rules.

    Raises:
        TypeError: It can't express something in it.
        ValueError: Pydantic can't write something in it.
    """
    cls: Any = type(data)
    if cls is not dict and _is_known_model(cls):
        data = _plain(data, strict=strict)
    return (_strict_packer if strict else _packer).encode(data)


@frozen(eq=False)
class Writing:
    """
    How values are written.

    Attributes:
        json: Writes a value as JSON.
        message_pack: Writes it as MessagePack.
    """

    json: Callable[[Any], bytes]
    message_pack: Callable[[Any], bytes]


#: How a value is written if nothing is known of its type.
AS_IT_IS = Writing(encoded, packed)


def writing_of(type_: Any) -> Writing:
    """
    Compile how the values of a type are written. This takes long, so keep what it returns.

    Nothing is written but what the type says. Where it expects an object with fields, a value of
    another class raises :exc:`~triows._shapes.Misfit`, a :exc:`TypeError`. Pydantic writes its
    models by the type, so it leaves out what a subclass has added. It raises :exc:`ValueError` for
    a value that isn't as its model says.

    Raises:
        TypeError: No value of the type can be written. The text says why.
    """
    try:
        return _writing_of(type_)
    except RecursionError:
        raise TypeError(
            f"{type_name(type_)} has an alias in it that contains itself: make {CLASSES} of it"
        ) from None


def _writing_of(type_: Any) -> Writing:
    check_expressible(type_)
    # Pydantic takes an Iterable for a generator, and doesn't write a list as one.
    adapter = None if _mentions_iterable(type_) else complete_adapter_of(type_)
    shape = shape_of(type_, is_cut=adapter is not None)
    if adapter is not None:
        writing = _by_adapter(adapter)
    elif shape is not None:
        writing = Writing(partial(encoded, strict=True), partial(packed, strict=True))
    else:
        return AS_IT_IS
    if shape is None:
        return writing
    # Of an instance of this class, nothing has to be asked.
    is_plain = adapter is None and not is_model(shape.exact)
    exactly = Writing(_encoder.encode, _packer.encode) if is_plain else writing
    return Writing(
        _checked(writing.json, exactly.json, shape),
        _checked(writing.message_pack, exactly.message_pack, shape),
    )


def _checked(
    write: Callable[[Any], bytes], write_exact: Callable[[Any], bytes], shape: Shape
) -> Callable[[Any], bytes]:
    exact, fit, check = shape.exact, shape.fit, shape.check

    def checked(value: Any) -> bytes:
        if type(value) is exact:
            return write_exact(value)
        try:
            if not fit((value,)):
                check(value)
        except RecursionError:
            _check_deeply(check, value)
        return write(value)

    return checked


# msgspec reads nearly as many levels as Python's limit allows calls. For each of them, the checks
# make up to five calls.
_DEEPER = 10

_deepening = threading.Lock()


def _check_deeply(check: Callable[[Any], None], value: Any) -> None:
    """
    Check a value that has more levels than Python's limit lets the checks walk down.

    Whatever can be read can be written again, so its checks must not fail for their own depth.
    Python's limit is for the whole process. To other threads, a higher one means nothing for the
    moment.

    Raises:
        RecursionError: It has many more, or contains itself.
    """
    with _deepening:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit * _DEEPER)
        try:
            check(value)
        finally:
            sys.setrecursionlimit(limit)


def _by_adapter(adapter: Any) -> Writing:
    to_json, to_python = adapter.serializer.to_json, adapter.serializer.to_python
    return Writing(
        partial(written, to_json, strict=True),
        lambda value: _packer.encode(written(to_python, value, strict=True, mode="json")),
    )


def _mentions_iterable(type_: Any) -> bool:
    type_ = unnamed(type_)
    return get_origin(type_) is Iterable or any(map(_mentions_iterable, get_args(type_)))


def check_expressible(type_: Any) -> None:
    """
    Check that JSON can express values of a type, as far as the type says.

    Raises:
        TypeError: It can't express any. The text says why.
    """
    _check_expressible(type_, is_inside=False)
    if not mentions_model(type_):  # pydantic writes any key as a text
        _check_keys(type_)


def _check_expressible(type_: Any, *, is_inside: bool) -> None:
    type_ = unnamed(type_)
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Literal:
        return
    if isinstance(type_, str | ForwardRef):
        name = string_in(type_)
        raise TypeError(f"{name!r} is a string, not a type: give the class itself, {name}")
    is_same = origin is Annotated or origin in (Union, UnionType)
    for one in arguments[:1] if origin is Annotated else arguments:
        _check_expressible(one, is_inside=is_inside or not is_same)
    cls = origin or type_
    if isinstance(cls, type) and cls is not Any and not is_same:
        _check_class(cls, is_inside=is_inside)


def _known(type_: Any) -> inspect.Type | None:
    """Return what msgspec knows of a type."""
    try:
        return inspect.type_info(type_)
    except (TypeError, ValueError, NameError, AttributeError):
        return None  # msgspec can write more than it can read, such as unions of structs


#: What the key of a JSON object can't be. Its encoder would meet each of them for the first time
#: when a request is answered.
_NO_KEYS: Mapping[type[inspect.Type], str] = {
    inspect.NoneType: "None",
    inspect.BoolType: "a bool",
    inspect.TupleType: "a tuple",
    inspect.VarTupleType: "a tuple",
    inspect.NamedTupleType: "a tuple",
    inspect.ListType: "a list",
    inspect.SetType: "a set",
    inspect.FrozenSetType: "a set",
    inspect.DictType: "a dict",
    inspect.TypedDictType: "a dict",
    inspect.StructType: "an object",
    inspect.DataclassType: "an object",
}


def _check_keys(type_: Any) -> None:
    type_ = unnamed(type_)
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Literal:
        return
    for one in arguments[:1] if origin is Annotated else arguments:
        _check_keys(one)
    cls = origin or type_
    if not isinstance(cls, type):
        return
    if issubclass(cls, Mapping) and arguments:
        _check_key(_known(arguments[0]))
    for one in parts_of(_known(cls)):
        if isinstance(one, inspect.DictType):
            _check_key(one.key_type)


def _check_key(info: inspect.Type | None) -> None:
    for one in info.types if isinstance(info, inspect.UnionType) else (info,):
        if one is not None and type(one) in _NO_KEYS:
            raise TypeError(
                f"the keys of a JSON object must be str or numbers, not {_NO_KEYS[type(one)]}: "
                "use a str, or send a list of pairs"
            )


def _check_class(cls: type, *, is_inside: bool) -> None:
    outer, *inner = [*parts_of(_known(cls))] or [None]
    for one in [outer, *inner]:
        found: Any = getattr(one, "cls", None)
        # An instance of an abstract class may be one of the classes that msgspec knows.
        if isinstance(one, inspect.CustomType) and not (
            is_model(found) or any(issubclass(known, found) for known in PLAIN)
        ):
            raise TypeError(
                f"JSON can't express {type_name(found)}: make it {CLASSES}, or annotate what is "
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


def _plain(value: Any, *, strict: bool = False) -> Any:
    """Replace a value that msgspec doesn't know by one that it can write."""
    cls: Any = type(value)
    if is_model(cls):
        return written(cls.__pydantic_serializer__.to_python, value, strict=strict, mode="json")
    if iscoroutine(value):
        value.close()  # Python would warn of it, too
        raise TypeError("JSON can't express a coroutine: `await` that first")
    if isinstance(value, type):
        raise TypeError(f"JSON can't express the class {value.__qualname__}: give an instance")
    if value is None or isinstance(value, (bool, tuple, list, dict, set, frozenset)):
        # msgspec knows these classes, so it must have met one as the key of a dict.
        shown = "None" if value is None else f"a {type(value).__name__}"
        raise TypeError(f"the keys of a JSON object must be str or numbers, not {shown}")
    raise TypeError(
        f"JSON can't express an instance of {type(value).__qualname__}: send it as a str, a "
        f"number, a list or a dict, or make its class {CLASSES}"
    )


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_packer = msgspec.msgpack.Encoder(enc_hook=_plain)
_strict_encoder = msgspec.json.Encoder(enc_hook=partial(_plain, strict=True))
_strict_packer = msgspec.msgpack.Encoder(enc_hook=partial(_plain, strict=True))
