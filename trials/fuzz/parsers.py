"""
What three parsers make of the same requests: ours, h11, and llhttp (of Node, here in httptools).

They disagree if two of them accept a request, but with another method, target, header or body, or
if they see its end in different places. Requests are smuggled past a proxy like that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import h11
import httptools
from attrs import define, field

from triows._protocol.http11 import BadRequest, Request, RequestReader

__all__ = [
    "Reading",
    "Readings",
    "difference",
    "disagreement",
    "read_by_h11",
    "read_by_llhttp",
    "read_by_us",
]

#: How many bytes a head may have. No stream is longer, so that it makes no difference.
HEAD_SIZE = 2**20

#: Headers whose values parsers normalize. What they mean shows in the body. The host of a target
#: takes the place of Host, but only our parser does that.
NORMALIZED = {b"content-length", b"transfer-encoding", b"host"}


@define
class Reading:
    """What a parser has read of one request."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    is_whole: bool = False


@define
class Readings:
    """What a parser has read of a stream."""

    requests: list[Reading] = field(factory=list)
    #: Whether it has refused the rest, from within the last request or after it.
    refuses: bool = False
    #: Whether it doesn't read on because the last request ends the connection or its protocol.
    has_ended: bool = False


def _comparable(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower(), value.strip(b" \t"))
        for name, value in headers
        if name.lower() not in NORMALIZED
    ]


# Ours


def read_by_us(data: bytes) -> Readings:
    readings = Readings()
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive(data)
    try:
        while not readings.has_ended and (request := reader.next_request()) is not None:
            _read_ours(reader, request, readings)
            if not reader.body_ended:
                break
    except BadRequest:
        readings.refuses = True
    return readings


def _read_ours(reader: RequestReader, request: Request, readings: Readings) -> None:
    reading = Reading(request.method, request.target, _comparable(request.headers))
    readings.requests.append(reading)
    while part := reader.next_body():
        reading.body += part
    reading.is_whole = reader.body_ended
    readings.has_ended = not request.keep_alive or request.upgrade


# h11


def read_by_h11(data: bytes) -> Readings:
    readings = Readings()
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_SIZE)
    connection.receive_data(data)
    try:
        while _read_h11(connection, readings):
            pass
    except h11.RemoteProtocolError:
        readings.refuses = True
    return readings


def _read_h11(connection: h11.Connection, readings: Readings) -> bool:
    """Read the next event. Return whether there may be another."""
    event = connection.next_event()
    if isinstance(event, h11.Request):
        headers = _comparable(list(event.headers))
        readings.requests.append(Reading(event.method.decode(), event.target, headers))
    elif isinstance(event, h11.Data):
        readings.requests[-1].body += bytes(event.data)
    elif isinstance(event, h11.EndOfMessage):
        readings.requests[-1].is_whole = True
        connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        if connection.our_state is h11.MUST_CLOSE:
            readings.has_ended = True
            return False
        connection.start_next_cycle()
    else:
        return False  # it needs more bytes
    return True


# llhttp


class _Events:
    """Called by llhttp."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.readings = Readings()
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.in_trailers = False

    def on_message_begin(self) -> None:
        self.target, self.headers, self.in_trailers = b"", [], False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_trailers:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.in_trailers = True
        method = self.parser.get_method().decode()
        headers = _comparable(self.headers)
        self.readings.requests.append(Reading(method, self.target, headers))

    def on_body(self, part: bytes) -> None:
        self.readings.requests[-1].body += part

    def on_message_complete(self) -> None:
        self.readings.requests[-1].is_whole = True


def read_by_llhttp(data: bytes) -> Readings:
    events = _Events()
    try:
        events.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        events.readings.has_ended = True
    except httptools.HttpParserError:
        events.readings.refuses = True
    return events.readings


OTHERS: dict[str, Callable[[bytes], Readings]] = {"h11": read_by_h11, "llhttp": read_by_llhttp}


def disagreement(data: bytes) -> str | None:
    """Say about which request our parser disagrees with another one that accepts it, and how."""
    ours = read_by_us(data)
    for name, read in OTHERS.items():
        found = difference(ours, read(data))
        if found is not None:
            return f"{name} reads {data!r} differently: {found}"
    return None


def difference(ours: Readings, theirs: Readings) -> str | None:
    """Say how two parsers differ, as far as neither refuses what the other one reads."""
    for number, our in enumerate(ours.requests):
        if number >= len(theirs.requests):
            is_clear = theirs.refuses or theirs.has_ended
            return None if is_clear else f"request {number} is not there"
        their = theirs.requests[number]
        if (our.method, our.target, our.headers) != (their.method, their.target, their.headers):
            return f"{our} and {their}"
        if _is_open(ours, number) or (_is_open(theirs, number) and not their.is_whole):
            return None
        if our != their:
            return f"{our} and {their}"
    if ours.refuses or ours.has_ended or len(theirs.requests) == len(ours.requests):
        return None
    return f"request {len(ours.requests)} is not there for us"


def _is_open(readings: Readings, number: int) -> bool:
    """Say whether a request is the last one, and what follows its head is not settled."""
    is_last = number + 1 == len(readings.requests)
    return is_last and (
        readings.has_ended or (readings.refuses and not readings.requests[-1].is_whole)
    )
