"""Which types can be read from text, and what a text becomes."""

import enum
from datetime import datetime, time, timezone
from decimal import Decimal
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal, NewType

import msgspec
import pytest

from triows._injection.conversion import (
    annotated,
    converter,
    decoded,
    error_text,
    is_collection,
    shape,
    unchanged,
    wire_type,
)
from triows._injection.query import BadValue
from triows.types import Param

UserId = NewType("UserId", int)
least = msgspec.Meta(ge=1)


class Colour(enum.Enum):
    RED = "red"


class Later:
    async def __call__(self, text: str) -> str: ...


async def later(text: str) -> str: ...


def yielding(text: str):
    yield text


# Types


@pytest.mark.parametrize(
    ("annotation", "wire"),
    [
        (int, int),
        (int | None, int),
        (UserId | None, int),
        (list[UserId | None], list[int]),
        (Literal["a", None], Literal["a"]),
        (Annotated[int | None, least], Annotated[int, least]),
        (Annotated[int, "no constraint"], int),
        (None, None),
    ],
)
def test_text_is_converted_to_the_type_without_none_and_without_names(annotation, wire):
    assert wire_type(annotation) == wire


def test_a_param_inside_a_type_is_refused():
    with pytest.raises(TypeError, match="inside the type, where it isn't looked for"):
        wire_type(Annotated[str, Param("header")] | None)


def test_only_constraints_are_put_around_a_type():
    assert annotated(int, "words", least) == Annotated[int, least]
    assert annotated(int, "words", None) is int


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, "text"),
        (Any, "text"),
        (int | str, "text"),
        (Literal["a", 1], "text"),
        (Literal[True], None),
        (Colour, "text"),
        (IPv4Address, "text"),
        (Annotated[int, least], "text"),
        (list[int], "texts"),
        (tuple[int, ...], "texts"),
        (frozenset[Colour], "texts"),
        (list, "texts"),
        (list[list[int]], None),
        (list[int] | int, None),
        (dict[str, int], None),
        (object, None),
    ],
)
def test_a_type_is_made_from_one_text_from_several_or_from_none(annotation, expected):
    assert shape(annotation) == expected


def test_a_collection_is_one_however_its_items_are_made():
    assert is_collection(Annotated[list[object], least])
    assert not is_collection(int)


# Values


@pytest.mark.parametrize(
    ("annotation", "raw", "value"),
    [
        (int, "1e3", 1000),
        (bool, "1", True),
        (str | int, "1", "1"),
        (Colour, "red", Colour.RED),
        (Decimal, "1.50", Decimal("1.50")),
        (list[int], ["1", "2"], [1, 2]),
        (time, "10:30", time(10, 30)),
        (datetime, "2026-01-01T10:30Z", datetime(2026, 1, 1, 10, 30, tzinfo=timezone.utc)),  # noqa: UP017
        (tuple[str, time], ["10:30", "10:30"], ("10:30", time(10, 30))),
        (IPv4Address | IPv6Address, "::1", IPv6Address("::1")),
    ],
)
def test_a_text_is_converted_to_the_type(annotation, raw, value):
    assert converter(wire_type(annotation))(raw) == value


@pytest.mark.parametrize(
    ("annotation", "raw", "message"),
    [
        (int, "x", "Expected `int`"),
        (float, "nan", "Expected a finite number"),
        (list[float], ["1", "inf"], "Expected a finite number"),
        (Annotated[int, least], "0", "Expected `int` >= 1"),
        (list[int], ["1", "x"], "Item 2: Expected `int`"),
        (tuple[int, int], ["1"], "Expected a list of length 2, got 1"),
        (int, "\ud800", "Not valid text"),
    ],
)
def test_what_can_not_be_converted_is_told_to_who_wrote_the_address(annotation, raw, message):
    with pytest.raises(BadValue) as caught:
        converter(annotation)(raw)
    assert str(caught.value) == message


def test_text_needs_no_conversion():
    assert converter(str) is converter(Any) is unchanged
    assert unchanged("null") == "null"


def test_two_types_that_are_both_written_as_any_text_are_refused():
    with pytest.raises(TypeError, match="it isn't clear when a text is a IPv4Address"):
        converter(wire_type(IPv4Address | int))


# Decoders


def test_a_decoder_makes_the_value():
    assert decoded(partial(int, base=16))("ff") == 255


@pytest.mark.parametrize(
    ("decoder", "says"),
    [
        (7, "takes a function"),
        (later, "is async"),
        (Later(), "is async"),
        (Later, "give an object of it"),
        (yielding, "yields"),
        (lambda text, base: text, "is called with the text alone"),
    ],
)
def test_what_can_not_be_a_decoder_is_refused(decoder, says):
    with pytest.raises(TypeError, match=says):
        decoded(decoder)


def test_the_text_of_a_decoders_value_error_is_for_the_peer():
    def decode(text: str) -> str:
        raise ValueError("too old")

    with pytest.raises(BadValue, match="too old"):
        decoded(decode)("x")


def test_a_type_error_is_the_peers_mistake_only_in_a_class():
    class Checked:
        def __init__(self, text: str) -> None:
            raise TypeError("Checked.text")

    def mistaken(text: str) -> str:
        raise TypeError("unsupported operand")

    with pytest.raises(BadValue, match="Invalid value"):
        decoded(Checked)("x")
    with pytest.raises(TypeError, match="unsupported operand"):
        decoded(mistaken)("x")


def test_a_decoder_around_an_async_function_is_an_error_of_the_application():
    def decode(text: str) -> Any:
        return later(text)

    with pytest.raises(RuntimeError, match="returned a coroutine"):
        decoded(decode)("x")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("too old"), "too old"),
        (ValueError("too old", "attribute"), "too old"),
        (ValueError(), "Invalid value"),
        (ValueError(7), "Invalid value"),
        (TypeError("Class.name"), "Invalid value"),
        (UnicodeEncodeError("ascii", "x", 0, 1, "codec"), "Invalid value"),
    ],
)
def test_a_peer_sees_sentences_and_no_names_of_classes(error, text):
    assert error_text(error) == text
