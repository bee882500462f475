"""
Server-sent events: what a handler yields, and the bytes of an event.

The format is in the WHATWG's HTML standard, section 9.2:
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any, TypeAlias

from attrs import Attribute, field, frozen

from triows._json import encoded

__all__ = [
    "EVENT_HEADERS",
    "EVENT_STREAM",
    "KEEPALIVE",
    "EventStream",
    "ServerSentEvent",
    "encode_event",
]

EVENT_STREAM = "text/event-stream"

EVENT_HEADERS = (
    # A stored stream is of no use to anybody. Others often send `no-cache`, which allows a cache to
    # store it, and asks only that the cache checks it again before it uses it.
    (b"cache-control", b"no-store"),
    # nginx would otherwise keep events until its buffer is full:
    # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    (b"x-accel-buffering", b"no"),
)

#: A comment. Clients ignore it, and proxies see that the connection is in use (section 9.2.7).
KEEPALIVE = b": \n\n"

# The only characters that end a line (section 9.2.5). str.splitlines() knows more, such as U+2028.
_LINE_END = re.compile(r"\r\n|\r|\n")


def _no_bytes(instance: object, attribute: Attribute[Any], value: Any) -> None:
    # msgspec would write them in Base64, which is hardly what anybody means.
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"data is text, or what JSON can express, not {type(value).__name__}")


def _one_line(instance: object, attribute: Attribute[str | None], value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} is a str, not {type(value).__name__}")
    if _LINE_END.search(value):
        raise ValueError(f"{attribute.name} can't have a line break: {value!r}")


def _id(instance: object, attribute: Attribute[str | None], value: Any) -> None:
    _one_line(instance, attribute, value)
    if value is not None and "\0" in value:
        # Section 9.2.6: a client ignores such an id.
        raise ValueError(f"an id can't have a NUL: {value!r}")


def _milliseconds(instance: object, attribute: Attribute[int | None], value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"retry is an int, in milliseconds, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"retry is a time in milliseconds, so it can't be {value}")


@frozen
class ServerSentEvent:
    """
    An event for a browser's ``EventSource``. A handler that returns an ``EventStream`` yields it.

    Args:
        data: A str is sent as it is, line by line. Anything else is sent as JSON. An event without
            data has an empty text, so that browsers dispatch it.
        event: The type of the event. Browsers call it ``message`` if there is none.
        id: What the client sends as ``Last-Event-ID`` when it connects again. An empty one makes it
            send none.
        retry: How long the client waits before it connects again, in milliseconds.

    Raises:
        ValueError: ``event`` or ``id`` has a line break, ``id`` has a NUL, or ``retry`` is
            negative.
        TypeError: An argument has the wrong type.
    """

    data: Any = field(default="", validator=_no_bytes)
    event: str | None = field(default=None, validator=_one_line)
    id: str | None = field(default=None, validator=_id)
    retry: int | None = field(default=None, validator=_milliseconds)


#: What an async generator handler returns if it yields events.
EventStream: TypeAlias = AsyncGenerator[ServerSentEvent, None]


def encode_event(event: ServerSentEvent) -> bytes:
    """
    Write an event, with the empty line that ends it.

    Raises:
        TypeError: JSON can't express the data.
        UnicodeEncodeError: A text has half of a surrogate pair.
    """
    data = event.data
    head = ""
    if event.event is not None:
        head = f"event: {event.event}\n"
    if event.id is not None:
        head = f"{head}id: {event.id}\n"
    if event.retry is not None:
        head = f"{head}retry: {event.retry}\n"
    if not isinstance(data, str):
        # msgspec and pydantic write JSON without line breaks.
        return b"%sdata: %s\n\n" % (head.encode(), encoded(data))
    lines = _LINE_END.sub("\ndata: ", data)
    return f"{head}data: {lines}\n\n".encode()
