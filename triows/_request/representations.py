"""
Representations: how the values of one type are written, and under which media types.

A :class:`~triows._request.declared.Declared` member comes in. Functions come out that write bytes,
by media type, with the classes that a value must have.
"""

from __future__ import annotations

import inspect
from enum import Enum
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeAlias,
    get_args,
    get_origin,
)

from attrs import frozen
from starlette.responses import Response

from triows._annotations import unnamed
from triows._json import AS_IT_IS, Writing, writing_of
from triows._shapes import BINARY as BINARY_CLASSES, Misfit
from triows.status import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .declared import Declared

__all__ = [
    "BINARY",
    "CANT_WRITE",
    "STRUCTURED",
    "TEXT",
    "Alternative",
    "Write",
    "is_binary",
    "is_text",
    "lines_of",
    "unsendable",
    "with_charset",
    "writers_of",
]

Write: TypeAlias = "Callable[[Any], bytes]"


def _utf8(text: Any) -> bytes:
    return str.encode(text)


def _structured(writing: Writing) -> Mapping[str, Write]:
    # MessagePack has been registered as ``application/vnd.msgpack``, and most clients use the two
    # other names. A client gets the name that it asks for.
    return {
        "application/json": writing.json,
        "application/msgpack": writing.message_pack,
        "application/vnd.msgpack": writing.message_pack,
        "application/x-msgpack": writing.message_pack,
    }


#: Structured values of any type.
STRUCTURED = _structured(AS_IT_IS)
TEXT: Mapping[str, Write] = {"text/plain; charset=utf-8": _utf8}
BINARY: Mapping[str, Write] = {"application/octet-stream": bytes}

#: What writing raises for a value that can't be written: a class that nobody knows; half of a
#: surrogate pair; a number that is too big for MessagePack; a list that contains itself.
CANT_WRITE = (TypeError, ValueError, OverflowError, RecursionError)


@frozen
class Alternative:
    """
    One of the responses that a handler can make.

    Attributes:
        status: ``None`` if a response of Starlette's says it.
        type: What the body is made from. ``None`` if there is no body.
        writers: What writes the body, by media type, the best one first.
        classes: The classes of the values that this alternative is for.
        is_response: Whether the value is a response of Starlette's.
    """

    status: int | None
    type: Any
    writers: Mapping[str, Write]
    classes: tuple[type, ...]
    is_response: bool = False

    @property
    def media_types(self) -> tuple[str, ...]:
        """The media types that the body can have. None if there is no body."""
        return tuple(self.writers)

    @property
    def is_structured(self) -> bool:
        """Whether the client chooses between JSON and MessagePack."""
        return len(self.writers) > 1


def writers_of(member: Declared) -> Mapping[str, Write]:
    """
    Return how the values of a member are written, by media type, the best one first.

    Raises:
        ValueError: They can't have the media type that was given.
        TypeError: No value of the type can be written.
    """
    media = None if member.media is None else member.media.type
    if not member.is_json and is_text(member.type):
        return {with_charset(media): _utf8} if media else TEXT
    if not member.is_json and is_binary(member.type):
        return {media: bytes} if media else BINARY
    writing = writing_of(member.type)
    return {media: _by_media(writing, media, member.name)} if media else _structured(writing)


def with_charset(media: str) -> str:
    """Say that a text is in UTF-8, as ours is."""
    return f"{media}; charset=utf-8" if media.startswith("text/") and "=" not in media else media


def _by_media(writing: Writing, media: str, name: str) -> Write:
    subtype = media.partition(";")[0].partition("/")[2].lower()
    for ending, write in {"json": writing.json, "msgpack": writing.message_pack}.items():
        if subtype == ending or subtype.endswith((f"+{ending}", f".{ending}", f"-{ending}")):
            return write
    raise ValueError(
        f"{name} is written as JSON or MessagePack, and {media} is neither: return a str or bytes, "
        "or one of Starlette's responses"
    )


def lines_of(type_: Any) -> Write:
    """
    Return what writes each value of a type as a line of JSON, which has no line break inside.

    Raises:
        TypeError: No value of the type can be written.
    """
    write = writing_of(type_).json
    return lambda value: write(value) + b"\n"


def is_text(type_: Any) -> bool:
    """Say whether all values of the type are text. Those of an enum aren't: they are JSON."""
    type_ = unnamed(type_)
    if get_origin(type_) is Literal:
        return all(type(value) is str for value in get_args(type_))
    return isinstance(type_, type) and issubclass(type_, str) and not issubclass(type_, Enum)


def is_binary(type_: Any) -> bool:
    """Say whether all values of the type are bytes."""
    type_ = unnamed(type_)
    return isinstance(type_, type) and issubclass(type_, BINARY_CLASSES)


def unsendable(
    value: Any,
    annotation: str,
    where: str,
    reason: object = None,
    *,
    verb: Literal["returned", "yielded"] = "returned",
) -> TypeError:
    """
    Make the error for a value that can't be sent as the handler's annotation says.

    Args:
        value: What the handler returned or yielded.
        annotation: Its return annotation, as it was written.
        where: ``file:line (name)`` of the handler.
        reason: Why it can't be written, if its class is right.
        verb: What the handler did with it.
    """
    return TypeError(f"{_problem(value, annotation, reason, verb)}\n  at {where}")


def _problem(value: Any, annotation: str, reason: object, verb: str) -> str:
    if inspect.iscoroutine(value):
        value.close()  # Python would warn of it, too
        return f"the handler {verb} the coroutine of {value.__qualname__}(): `await` that first"
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return (
            f"the handler {verb} the generator of {value.__qualname__}(): return a list, or make "
            "the handler an async generator itself, annotated `-> AsyncIterator[...]`"
        )
    if isinstance(value, BaseException):
        return f"the handler {verb} a {_class(value)}: `raise` it"
    if isinstance(reason, Misfit):
        return f"what the handler {verb} can't be sent: {reason.told(verb.removesuffix('ed'))}"
    if isinstance(reason, RecursionError):
        return f"what the handler {verb} can't be sent: it is nested too deeply, or contains itself"
    if reason is not None:
        return f"what the handler {verb} can't be sent: {reason}"
    shown = "None" if value is None else f"an instance of {_class(value)}"
    if isinstance(value, tuple) and any(number(one) in range(100, 600) for one in value):
        return (
            f"the handler {verb} a tuple, but is annotated `-> {annotation}`: for a status, "
            f"annotate `-> Annotated[{annotation}, status.CREATED]`, for example, and return the "
            "value alone"
        )
    if isinstance(value, Response):
        return (
            f"the handler {verb} {shown}, but is annotated `-> {annotation}`: add `| Response` "
            "to the annotation"
        )
    return f"the handler {verb} {shown}, but is annotated `-> {annotation}`" + (
        f": return that, or annotate `-> {_joined(annotation, value)}`" * (verb == "returned")
    )


def _class(value: object) -> str:
    return type(value).__qualname__


def _joined(annotation: str, value: object) -> str:
    """Write an annotation that would allow the value, too."""
    name = "None" if value is None else _class(value)
    return name if annotation in ("None", "NoReturn", "Never") else f"{annotation} | {name}"
