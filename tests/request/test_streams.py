"""Results that are sent part by part: what is declared, and how each part is written."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterator
from typing import Annotated, Any, NewType

import msgspec
import pydantic
import pytest

from triows import HandlerSignatureError
from triows._request.events import EventStream, ServerSentEvent
from triows._request.results import plan_result
from triows._request.streams import is_iterator
from triows.types import HTML, JSON, Media

WHERE = "app.py:1 (handler)"


class Row(msgspec.Struct):
    id: int


class MoreRow(Row):
    password: str = "secret"


class Model(pydantic.BaseModel):
    id: int = pydantic.Field(alias="ID")


class MoreModel(Model):
    password: str = "secret"


class Tick(ServerSentEvent):
    pass


def planned(annotation, **options):
    found = plan_result(annotation, is_generator=True, where=WHERE, **options)
    assert found.kind == found.stream.kind
    return found.stream


@pytest.mark.parametrize(
    ("annotation", "media", "item", "part"),
    [
        (AsyncIterator[bytes], "application/octet-stream", b"a", b"a"),
        (AsyncIterator[bytes], "application/octet-stream", bytearray(b"a"), b"a"),
        (AsyncGenerator[str, None], "text/plain; charset=utf-8", "ä", "ä".encode()),
        (AsyncIterable[Row], "application/jsonl", Row(1), b'{"id":1}\n'),
        (AsyncIterator[Row | None], "application/jsonl", None, b"null\n"),
        (AsyncIterator[Any], "application/jsonl", "a", b'"a"\n'),
        (AsyncIterator[Model], "application/jsonl", MoreModel(ID=1), b'{"ID":1}\n'),
        (AsyncIterator[list[Any]], "application/jsonl", [Row(1)], b'[{"id":1}]\n'),
        (AsyncIterator[JSON[str]], "application/jsonl", "a", b'"a"\n'),
        (AsyncIterator[HTML], "text/html; charset=utf-8", "a", b"a"),
        (AsyncIterator[str | int], "application/jsonl", "a", b'"a"\n'),
        (AsyncIterator[Annotated[bytes, "a doc"]], "application/octet-stream", b"a", b"a"),
        (Annotated[AsyncIterator[bytes], Media("video/mp4")], "video/mp4", b"a", b"a"),
        (
            Annotated[AsyncIterator[str], Media("text/csv")],
            "text/csv; charset=utf-8",
            "a",
            b"a",
        ),
        (
            Annotated[AsyncIterator[Row], Media("application/x-ndjson")],
            "application/x-ndjson",
            Row(1),
            b'{"id":1}\n',
        ),
    ],
)
def test_parts_are_written_as_their_type_says(annotation, media, item, part):
    stream = planned(annotation)
    assert stream.kind == "parts"
    assert stream.headers == ((b"content-type", media.encode()),)
    assert stream.encode(item) == part
    assert stream.status == 200


@pytest.mark.parametrize("annotation", [EventStream, AsyncIterator[Tick]])
def test_events_are_neither_stored_nor_kept_by_proxies(annotation):
    stream = planned(annotation)
    assert stream.kind == "events"
    assert dict(stream.headers) == {
        b"content-type": b"text/event-stream",
        b"cache-control": b"no-store",
        b"x-accel-buffering": b"no",
    }
    assert stream.encode(Tick("a")) == b"data: a\n\n"


def test_a_stream_may_have_a_status():
    assert planned(Annotated[AsyncIterator[bytes], 206]).status == 206
    assert planned(AsyncIterator[bytes], status=201).status == 201
    assert planned(Annotated[EventStream, 206], status=201).status == 206


def test_a_stream_is_data_for_descriptions():
    one = planned(AsyncIterator[Row]).alternative
    assert (one.status, one.type, one.media_types) == (200, Row, ("application/jsonl",))


@pytest.mark.parametrize(
    ("annotation", "item", "message"),
    [
        (AsyncIterator[bytes], "a", "yielded an instance of str"),
        (AsyncIterator[str], None, "yielded None"),
        (AsyncIterator[Row], {"id": 1}, "yielded an instance of dict"),
        (AsyncIterator[Row], MoreRow(1), "yielded can't be sent: it is .*: yield Row"),
        (AsyncIterator[list[Row]], [MoreRow(1)], r"yielded can't be sent: \[0\] is an instance"),
        (AsyncIterator[str], "\ud800", "what the handler yielded can't be sent: .*surrogates"),
        (AsyncIterator[Any], 1j, "can't be sent: JSON can't express an instance of complex"),
        (EventStream, ServerSentEvent(1j), "can't be sent: JSON can't express an instance"),
        (EventStream, "a", r"yielded an instance of str, but is annotated `-> AsyncGenerator"),
    ],
)
def test_an_item_of_another_type_is_an_error_with_the_place(annotation, item, message):
    with pytest.raises(TypeError, match=message) as caught:
        planned(annotation).encode(item)
    assert str(caught.value).endswith(f"  at {WHERE}")


@pytest.mark.parametrize(
    ("annotation", "is_generator", "message"),
    [
        (Iterator[bytes], True, "make it `async def`"),
        (Generator[bytes, None, None], False, "make it `async def`"),
        (inspect.Signature.empty, True, "the handler is a generator: annotate it"),
        (int, True, "the handler is a generator: annotate it `-> EventStream`"),
        (AsyncIterator, True, "the handler is a generator: annotate it"),
        (AsyncIterator[bytes] | None, True, "and nothing else"),
        (AsyncIterator[bytes], False, r"has no `yield`, so it makes no AsyncIterator\[bytes\]"),
        (Annotated[AsyncIterator[bytes], 204], True, "a 204 has no body"),
        (AsyncIterator[complex], True, "JSON can't express complex"),
        (Annotated[AsyncIterator[Row], Media("text/csv")], True, "and text/csv is something else"),
        (AsyncIterator[ServerSentEvent | str], True, "yield nothing but ServerSentEvent"),
        (AsyncIterator[list[ServerSentEvent]], True, "yield nothing but ServerSentEvent"),
        (AsyncIterator[Annotated[str, 201]], True, "a status is for the whole stream"),
        (AsyncIterator[201], True, "201 isn't a type"),
        (AsyncIterator[dict[tuple[int, int], int]], True, "the keys of a JSON object"),
        (Annotated[EventStream, Media("text/plain")], True, r"leave Media\(...\) out"),
    ],
)
def test_what_can_not_be_streamed_is_refused_with_the_place(annotation, is_generator, message):
    with pytest.raises(HandlerSignatureError, match=message) as caught:
        plan_result(annotation, is_generator=is_generator, where=WHERE)
    assert caught.value.where == WHERE


def test_an_alias_of_an_iterator_is_one():
    assert is_iterator(NewType("Parts", AsyncIterator[bytes]))
    assert not is_iterator(list[int])
