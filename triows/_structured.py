"""
Structured data: from JSON or MessagePack to a type.

msgspec reads it, or pydantic if a type has something of pydantic in it. If no data could be
converted to a type, that is the application's mistake, a :exc:`TypeError` when a :class:`Reading`
is made. What a reading raises is the peer's mistake. Whoever reads decides what to say about it.
"""

from __future__ import annotations

import json
import re
from functools import partial
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ForwardRef,
    Literal,
    get_args,
    get_origin,
)

import msgspec
from attrs import frozen
from msgspec import inspect

from ._annotations import constrained, type_name
from ._finite import NOT_FINITE, NotFinite, only_finite
from ._misfits import MISSING, UNKNOWN, Misfits, Place, first_of
from ._pydantic import (
    INVALID,
    complete_adapter_of,
    finite,
    from_json,
    hasty,
    is_model,
    problems,
    schema_of,
    validation_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "AS_IT_IS",
    "CLASSES",
    "JSON",
    "MESSAGE_PACK",
    "PLAIN",
    "Format",
    "Reading",
    "parts_of",
    "reading_of",
    "string_in",
]

#: What JSON and MessagePack can express, for messages about types that they can't.
CLASSES = "a msgspec.Struct, a dataclass, an attrs class, a TypedDict or a pydantic model"

#: The classes that msgspec makes if nobody asks for a type.
PLAIN = (dict, list, str, int, float, bool, NoneType)

#: How many bytes data may have of which everything that is wrong is listed. To find that, data of
#: this size may take 50 ms more, and 40 MB for a moment.
MAX_LISTED = 2**17

# What msgspec raises for data that isn't well-formed or doesn't fit. The last is for data that is
# nested too deeply.
_FAULTS = (msgspec.DecodeError, UnicodeError, RecursionError)
_TOO_DEEP = "nested too deeply"

# A step in the path that msgspec puts after its sentence, as in `$.items[0].size`. It writes
# `[...]` for the value of any key of a dict.
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.([^.\[]+)")

# Sentences of msgspec's that name a field which belongs to the place.
_ABOUT_A_FIELD = (
    (re.compile(r"Object missing required field `(.*)`", re.DOTALL), MISSING),
    (re.compile(r"Object contains unknown field `(.*)`", re.DOTALL), UNKNOWN),
)


class _Unreadable(Exception):
    """A type can't be read. The message says why, and what to do instead."""


class _Several(ValueError):
    """What pydantic said about a model that is inside a class of another kind."""

    def __init__(self, error: Any, value: Any) -> None:
        self.error = error
        self.value = value
        super().__init__(_joined(problems(error, str)))


@frozen(eq=False)
class Format:
    """
    A way to write data as bytes.

    Args:
        name: What messages call it.
        decoder: The class that reads it, as msgspec's do.
        validate: Lets pydantic's validator read it.
        validate_value: Lets pydantic's validator read a value that msgspec has read.
    """

    name: str
    decoder: Callable[..., Any]
    validate: Callable[[Any], Callable[[Any], Any]]
    validate_value: Callable[[Any, Any], Any]

    def parse(self, data: Any) -> Any:
        """Read data without a type. What can't be read is ``None``."""
        try:
            return self.decoder(Any, dec_hook=None).decode(data)
        except _FAULTS:
            return None


def _validate_json_value(validator: Any, value: Any) -> Any:
    # Give pydantic JSON again, because its rules for JSON differ from those for Python objects.
    # json.dumps() is slower than msgspec, but msgspec can't write all numbers that it can read.
    return validator.validate_json(json.dumps(value))


class _MessagePackDecoder:
    """msgspec's decoder, which let an error of Python's out before 0.22."""

    def __init__(self, type_: Any, dec_hook: Any) -> None:
        self._decode = msgspec.msgpack.Decoder(type_, dec_hook=dec_hook).decode

    def decode(self, data: Any) -> Any:
        try:
            return self._decode(data)
        except TypeError as exc:
            if "unhashable" not in str(exc):
                raise
            raise msgspec.DecodeError("MessagePack data is malformed: a key is a map") from None


def _validate_message_pack(validator: Any) -> Callable[[Any], Any]:
    # MessagePack has bytes and times, as Python has, so pydantic's rules for Python objects apply.
    validate, decode = validator.validate_python, _MessagePackDecoder(Any, None).decode
    return lambda data: validate(decode(data))


JSON = Format(
    "JSON", msgspec.json.Decoder, lambda validator: validator.validate_json, _validate_json_value
)
MESSAGE_PACK = Format(
    "MessagePack",
    _MessagePackDecoder,
    _validate_message_pack,
    lambda validator, value: validator.validate_python(value),
)


class _Converter:
    """Like msgspec's decoders, but what it decodes is a value already."""

    def __init__(self, type_: Any, dec_hook: Any) -> None:
        msgspec.json.Decoder(type_, dec_hook=dec_hook)  # refuses what msgspec doesn't know
        self.decode = partial(msgspec.convert, type=type_, dec_hook=dec_hook)


#: For text and bytes that are already there, and only have to fulfil constraints.
AS_IT_IS = Format(
    "a body",
    _Converter,
    lambda validator: validator.validate_python,
    lambda validator, value: validator.validate_python(value),
)


@frozen(eq=False)
class Reading:
    """
    How to read a type.

    Args:
        read: Makes a value of data. If the data can't be read, this raises one of the *faults*.
        faults: The exceptions that are the peer's mistake. Any other is the application's.
        format: What it reads.
        misfits: Finds everything that is wrong, if the reading stops at the first mistake.
    """

    read: Callable[[Any], Any]
    faults: tuple[type[Exception], ...]
    format: Format
    misfits: Misfits | None = None

    def detail(self, fault: Any) -> str:
        """Say everything that one of the faults says, for the log. It may quote types."""
        if isinstance(fault, RecursionError):
            return _TOO_DEEP
        return str(fault) if isinstance(fault, _FAULTS) else _joined(problems(fault, str))

    def problems(
        self, fault: Any, data: bytes, text_of: Callable[[Any], str]
    ) -> list[tuple[Place, str]]:
        """
        List what is wrong, for the peer: where it is in the data, and a sentence.

        The sentences name no classes. They may quote the data. There are at most 100, and one that
        says that there are more. If the data isn't well-formed, or larger than 128 KiB, only the
        first mistake is listed. Pydantic lists those of the first wrong item of each list then.

        Args:
            fault: The exception, one of the faults.
            data: What couldn't be read.
            text_of: Returns the text of an error that one of the application's own checks raised.
        """
        if isinstance(fault, RecursionError):
            return [((), _TOO_DEEP.capitalize())]
        if isinstance(fault, UnicodeError):
            return [((), "Not valid UTF-8")]
        if isinstance(fault, NotFinite):
            return [(place, NOT_FINITE) for place in fault.places]
        if isinstance(fault, msgspec.DecodeError):
            return self._all(fault, data, text_of) or _msgspec_problems(fault, text_of)
        # Pydantic reads more than JSON has, such as NaN.
        parse = from_json if self.format is JSON else self.format.parse
        return first_of(problems(fault, text_of, parse(data)))

    def _all(
        self, fault: msgspec.DecodeError, data: bytes, text_of: Callable[[Any], str]
    ) -> list[tuple[Place, str]]:
        """Go through the whole data, if it is well-formed and not too large."""
        is_misfit = isinstance(fault, msgspec.ValidationError) and len(data) <= MAX_LISTED
        value = self.format.parse(data) if self.misfits is not None and is_misfit else None
        if self.misfits is None or value is None:
            return []
        return self.misfits.find(value, partial(_msgspec_problems, text_of=text_of))


def _joined(found: list[tuple[Place, str]]) -> str:
    return "; ".join(
        f"{'.'.join(map(str, place))}: {text}" if place else text for place, text in found
    )


def _msgspec_problems(
    fault: msgspec.DecodeError, text_of: Callable[[Any], str]
) -> list[tuple[Place, str]]:
    """Find the path in msgspec's sentence. It stops at the first mistake, so there is only one."""
    raised: Any = fault.__cause__  # by one of the application's own checks
    # What that says may look like a path, too.
    said = str(fault).removeprefix(str(raised)) if raised else str(fault)
    sentence, at, path = said.rpartition(" - at `")
    place = _steps(path) if at else ()
    if isinstance(raised, _Several):
        found = problems(raised.error, text_of, raised.value)
        return first_of((place + inner, text) for inner, text in found)
    return [(place, text_of(raised))] if raised else [_about(place, sentence if at else path)]


def _about(place: Place, sentence: str) -> tuple[Place, str]:
    """Take the name of a field out of a sentence, and add it to the place."""
    for pattern, short in _ABOUT_A_FIELD:
        if found := pattern.fullmatch(sentence):
            return (*place, found[1]), short
    return place, sentence


def _steps(path: str) -> Place:
    """Split msgspec's path. It begins with ``$``, or with ``key` in `$`` if a key is wrong."""
    return tuple(
        "*" if index == "..." else int(index) if index else name
        for index, name in _STEP.findall(path.rpartition("$")[2].removesuffix("`"))
    )


def reading_of(type_: Any, format_: Format, by_hand: str) -> Reading:
    """
    Compile how to read a type. This takes long, so keep what it returns.

    Args:
        type_: The type.
        format_: What it is read from.
        by_hand: What to do if the type can't be read and can't be changed, for the error.

    Raises:
        TypeError: No data can be converted to this type. The text says why.
    """
    try:
        return _by_pydantic(type_, format_) or _by_msgspec(type_, format_)
    except _Unreadable as exc:
        raise TypeError(
            f"{format_.name} can't be read as {type_name(type_)}: {exc}, or {by_hand}"
        ) from exc.__cause__


def _by_msgspec(type_: Any, format_: Format) -> Reading:
    if (name := string_in(type_)) is not None:
        raise _Unreadable(f"{name!r} is a string, not a type: give the class itself, {name}")
    try:
        type_ = constrained(type_)
        validators: dict[Any, Any] = {}
        decoder = format_.decoder(type_, dec_hook=partial(_validated, format_, validators))
        info = inspect.type_info(type_)
        unknown = next(_unknown(info), None)
        patient = {cls: finite(schema_of(cls)) for cls in _models_in(info)}
        validators |= {cls: hasty(one, schema_of(cls)) for cls, one in patient.items()}
    except RecursionError:
        raise _Unreadable(f"an alias in it contains itself: make {CLASSES} of it") from None
    except (TypeError, ValueError, NameError, AttributeError) as exc:
        # At the end, msgspec repeats the whole type with its modules. Leave that out.
        reason = str(exc).partition(" - type ")[0].partition("\n")[0]
        raise _Unreadable(f"{reason}. Change the type") from exc
    if unknown is not None:
        raise _Unreadable(unknown)
    # This has no hasty validators. The keys of JSON are texts.
    hook = partial(_validated, format_, patient)
    convert = partial(msgspec.convert, dec_hook=hook, str_keys=format_ is JSON)
    decode = only_finite(
        decoder.decode,
        _parse_json if format_ is JSON else format_.parse,
        has_floats=format_ is MESSAGE_PACK,
        has_texts=any(map(_may_be_text, parts_of(info))),
    )
    return Reading(decode, _FAULTS, format_, Misfits(info, convert))


# Unlike msgspec, this reads numbers that are too large. They may be in what the type leaves out.
_parse_json = partial(json.loads, parse_int=float)


def _may_be_text(info: Any) -> bool:
    """Say whether a number of this type, or a key in it, may be written as a text."""
    if isinstance(info, inspect.DictType):
        return any(isinstance(one, inspect.FloatType) for one in parts_of(info.key_type))
    return isinstance(info, inspect.DecimalType)


def _models_in(info: Any) -> Iterator[Any]:
    found: Iterator[Any] = (getattr(one, "cls", None) for one in parts_of(info))
    return filter(is_model, found)


def string_in(type_: Any) -> str | None:
    """Return the first string in the place of a class. Nothing says which class it names."""
    if isinstance(type_, ForwardRef):
        return type_.__forward_arg__
    if isinstance(type_, str):
        return type_
    arguments = () if get_origin(type_) is Literal else get_args(type_)
    if get_origin(type_) is Annotated:
        arguments = arguments[:1]
    return next((name for one in arguments if (name := string_in(one)) is not None), None)


def _unknown(info: Any) -> Iterator[str]:
    """For each class in a type that no data can be converted to, say why."""
    for one in parts_of(info):
        cls: Any = getattr(one, "cls", None)
        if isinstance(one, inspect.CustomType) and not (is_model(cls) or _is_plain(cls)):
            yield _why_unknown(cls)
        if isinstance(one, inspect.DataclassType) and is_model(cls):
            # msgspec would set its fields without asking pydantic.
            yield (
                f"{cls.__qualname__} is a dataclass of pydantic's inside a class that isn't: make "
                "it a pydantic.BaseModel, or make the outer class one of pydantic's, too"
            )


def parts_of(info: Any) -> Iterator[Any]:
    """Return msgspec's descriptions of all types in a type, the outer ones first."""
    return _parts(info, set())


def _parts(info: Any, seen: set[int]) -> Iterator[Any]:
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
    return f"{name} is a class that neither msgspec nor pydantic knows: make it {CLASSES}"


def _is_plain(cls: Any) -> bool:
    """
    Say whether values from JSON are instances of the class, as they are of ``object``.

    A generic class doesn't count, because msgspec would not check its items.
    """
    return not hasattr(cls, "__class_getitem__") and any(issubclass(one, cls) for one in PLAIN)


def _validated(format_: Format, validators: Mapping[Any, Any], cls: Any, value: Any) -> Any:
    """
    Let pydantic make a model that is inside a class of another kind.

    Args:
        format_: What the value was read from.
        validators: Those of all models in the type.
        cls: The class that msgspec doesn't know.
        value: What msgspec has read.
    """
    if not is_model(cls):
        if not isinstance(value, cls):  # msgspec would name the class
            raise ValueError(INVALID)
        return value
    try:
        return format_.validate_value(validators[cls], value)
    except validation_error() as exc:
        raise _Several(exc, value) from None


def _by_pydantic(type_: Any, format_: Format) -> Reading | None:
    """Let pydantic read the whole message, if the type asks for that and pydantic can do it."""
    try:
        adapter = complete_adapter_of(type_)
    except TypeError as exc:
        raise _Unreadable(str(exc)) from exc.__cause__
    if adapter is None:
        return None
    validator = finite(adapter.core_schema)
    whole = format_.validate(validator)
    early = format_.validate(hasty(validator, adapter.core_schema))

    def read(data: Any) -> Any:
        return (whole if len(data) <= MAX_LISTED else early)(data)

    return Reading(read, (validation_error(), *_FAULTS), format_)
