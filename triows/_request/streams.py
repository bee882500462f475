"""
Results that are sent part by part: what an async generator yields, and how each part is written.

The return annotation says what the items are. :func:`plan_stream` makes a :class:`Stream` of it.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterator,
    Sequence,
)
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from attrs import evolve, frozen

from triows._annotations import mentions, type_name, unnamed
from triows._shapes import classes_of

from .declared import Annotation, Declared, checked_status
from .events import EVENT_HEADERS, EVENT_STREAM, ServerSentEvent, encode_event
from .representations import (
    CANT_WRITE,
    Alternative,
    Write,
    is_binary,
    is_text,
    lines_of,
    unsendable,
    writers_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Stream", "is_iterator", "plan_stream"]

# Each item is a line (https://jsonlines.org). No RFC has the media type. OpenAPI 3.2 names it among
# the sequential ones, and FastAPI sends it, too.
JSON_LINES = "application/jsonl"

_ASYNC = (AsyncGenerator, AsyncIterator, AsyncIterable)
_SYNC = (Generator, Iterator)
_HOW = "`-> EventStream`, or `-> AsyncIterator[...]` of bytes, str or a type for lines of JSON"


@frozen
class Stream:
    """
    How a stream is sent.

    Attributes:
        headers: All but those about its length, which nobody knows.
        encode: Writes one item. Raises :exc:`TypeError` if it isn't of the declared type.
        alternative: What the annotation declares.
    """

    kind: Literal["events", "parts"]
    status: int
    headers: Sequence[tuple[bytes, bytes]]
    encode: Callable[[Any], bytes]
    alternative: Alternative


def is_iterator(type_: Any) -> bool:
    """Say whether it is the type of something that is iterated once."""
    return _origin(type_) in (*_ASYNC, *_SYNC)


def _origin(type_: Any) -> Any:
    type_ = unnamed(type_)
    return get_origin(type_) or type_


def plan_stream(
    annotation: Annotation, members: Sequence[Declared], *, given: Any, is_generator: bool
) -> Stream:
    """
    Decide how a stream is sent.

    Args:
        annotation: For messages.
        members: What is in the annotation.
        given: The status in the decorator.
        is_generator: Whether the handler is a generator function.

    Raises:
        HandlerSignatureError: It can't be sent, or the annotation doesn't say what the items are.
    """
    member = members[0]
    origin, arguments = _origin(member.type), get_args(unnamed(member.type))
    if origin in _SYNC:
        annotation.refuse(
            "the handler is a generator that isn't async: make it `async def`, and annotate it "
            f"{_HOW}"
        )
    if len(members) > 1 or origin not in _ASYNC or not arguments:
        annotation.refuse(f"the handler is a generator: annotate it {_HOW}, and nothing else")
    if not is_generator:
        annotation.refuse(
            f"the handler has no `yield`, so it makes no {type_name(member.type)}: write "
            "`async for item in ...: yield item` in it, or return a StreamingResponse"
        )
    status = given if member.status is None else member.status
    try:
        status = checked_status(200 if status is None else status, has_body=True)
        return _stream(_item(member, arguments[0], annotation), status, annotation)
    except (TypeError, ValueError) as exc:
        annotation.refuse(str(exc))


def _item(member: Declared, type_: Any, annotation: Annotation) -> Declared:
    """Read the type of the items, and add what was written for the whole stream."""
    items = evolve(annotation, value=type_).members()
    if any(one.status is not None for one in items):
        annotation.refuse(
            "a status is for the whole stream, and not for an item: write "
            "`Annotated[AsyncIterator[...], status]`"
        )
    item = items[0] if len(items) == 1 else Declared(type_)
    return evolve(item, media=item.media or member.media)


def _stream(item: Declared, status: int, annotation: Annotation) -> Stream:
    kind: Literal["events", "parts"] = "parts"
    (media, write), *_ = _writers(item).items()
    headers = [(b"content-type", media.encode())]
    if _is_event(item.type):
        kind, headers = "events", [*headers, *EVENT_HEADERS]
    alternative = Alternative(status, item.type, {media: write}, classes_of(item.type))
    encode = _checked(write, alternative.classes, annotation)
    return Stream(kind, status, tuple(headers), encode, alternative)


def _writers(item: Declared) -> dict[str, Write]:
    if _is_event(item.type):
        if item.media is not None:
            raise ValueError(f"events are always {EVENT_STREAM}: leave Media(...) out")
        return {EVENT_STREAM: encode_event}
    if mentions(item.type, ServerSentEvent):
        raise ValueError(
            f"items of {item.name} are lines of JSON: for a stream of events, annotate `-> "
            "EventStream`, and yield nothing but ServerSentEvent"
        )
    if not item.is_json and (is_text(item.type) or is_binary(item.type)):
        return dict(writers_of(item))
    write = lines_of(item.type)
    media = JSON_LINES if item.media is None else item.media.type
    if not media.endswith(("jsonl", "ndjson")):
        raise ValueError(
            f"items of {item.name} are lines of JSON, and {media} is something else: yield str or "
            "bytes"
        )
    return {media: write}


def _is_event(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, ServerSentEvent)


def _checked(write: Write, classes: tuple[type, ...], annotation: Annotation) -> Write:
    def refused(item: Any, reason: object = None) -> TypeError:
        name = type_name(annotation.value)
        return unsendable(item, name, annotation.where, reason, verb="yielded")

    def encode(item: Any) -> bytes:
        if not isinstance(item, classes):
            raise refused(item)
        try:
            return write(item)
        except CANT_WRITE as exc:
            raise refused(item, exc) from exc

    return encode
