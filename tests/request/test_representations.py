"""How the values of a type are written, and which classes they have."""

from enum import IntEnum, StrEnum
from typing import Any, Literal, NewType, Protocol, TypedDict, TypeVar

import pytest

from triows._request.declared import Declared
from triows._request.representations import (
    STRUCTURED,
    is_binary,
    is_text,
    lines_of,
    unsendable,
    with_charset,
    writers_of,
)
from triows.types import Media

T = TypeVar("T")


class Typed(TypedDict):
    id: int


class Closable(Protocol):
    def close(self) -> None: ...


class Word(StrEnum):
    A = "a"


class Number(IntEnum):
    A = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("type_", [str, Text, Literal["a", "b"], NewType("Name", str)])
def test_some_types_are_text(type_):
    assert is_text(type_)


@pytest.mark.parametrize("type_", [Word, Literal["a", 1], Literal[Word.A], int, Any, str | int])
def test_others_are_not(type_):
    assert not is_text(type_)


def test_bytes_have_three_classes():
    assert all(map(is_binary, (bytes, bytearray, memoryview)))
    assert not is_binary(str)


@pytest.mark.parametrize(
    ("media", "said"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/csv; header=present", "text/csv; header=present"),
        ("image/svg+xml", "image/svg+xml"),
    ],
)
def test_text_says_its_charset(media, said):
    assert with_charset(media) == said


def test_json_is_the_first_choice_for_a_structured_type():
    assert writers_of(Declared(int)) == STRUCTURED
    assert next(iter(STRUCTURED)) == "application/json"


@pytest.mark.parametrize("media", ["application/json-patch", "text/json5", "application/jsonp"])
def test_a_media_type_that_only_looks_like_json_is_refused(media):
    with pytest.raises(ValueError, match="is neither"):
        writers_of(Declared(int, media=Media(media)))


def test_a_line_of_json_is_one_line():
    assert lines_of(Any)({"a": "x\ny\r\u2028"}).count(b"\n") == 1
    assert lines_of(int)(1) == b"1\n"


def test_a_message_says_what_was_yielded():
    error = unsendable(1, "AsyncIterator[str]", "app.py:1 (handler)", verb="yielded")
    assert str(error) == (
        "the handler yielded an instance of int, but is annotated `-> AsyncIterator[str]`\n"
        "  at app.py:1 (handler)"
    )
