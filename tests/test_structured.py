"""Readings: what they make of data, and what they say about what doesn't fit."""

from __future__ import annotations

import threading

import msgspec
import pydantic
import pytest

from triows._structured import AS_IT_IS, JSON, MESSAGE_PACK, reading_of


class Model(pydantic.BaseModel):
    size: int


class Pair(msgspec.Struct):
    a: Model
    b: object = None


def fault_of(reading, data):
    with pytest.raises(reading.faults) as caught:
        reading.read(data)
    return caught.value


FORMATS = [(JSON, msgspec.json.encode), (MESSAGE_PACK, msgspec.msgpack.encode)]


@pytest.mark.parametrize(("format_", "encode"), FORMATS)
@pytest.mark.parametrize(
    ("type_", "fits", "made", "wrong", "place"),
    [
        (Model, {"size": 5}, Model(size=5), {"size": "x"}, ("size",)),
        (Pair, {"a": {"size": 5}}, Pair(Model(size=5)), {"a": {"size": "x"}}, ("a", "size")),
    ],
)
def test_a_reading_makes_a_value_or_raises_a_fault(
    format_, encode, type_, fits, made, wrong, place
):
    reading = reading_of(type_, format_, "do it")
    assert reading.read(encode(fits)) == made
    data = encode(wrong)
    assert reading.problems(fault_of(reading, data), data, str) == [
        (place, "Input should be a valid integer, unable to parse string as an integer")
    ]


def test_the_log_gets_a_sentence_with_the_path_and_the_peer_gets_them_apart():
    reading = reading_of(list[int], JSON, "do it")
    fault = fault_of(reading, b'["x"]')
    assert reading.detail(fault) == "Expected `int`, got `str` - at `$[0]`"
    assert reading.problems(fault, b'["x"]', str) == [((0,), "Expected `int`, got `str`")]


def test_what_is_nested_too_deeply_is_a_fault():
    reading = reading_of(object, JSON, "do it")
    fault = fault_of(reading, b"[" * 100_000)
    assert reading.detail(fault) == "nested too deeply"


def test_a_value_that_is_there_already_is_only_checked():
    reading = reading_of(str, AS_IT_IS, "do it")
    assert reading.read("a") == "a"
    assert reading.problems(fault_of(reading, b"a"), b"a", str)


def test_an_error_of_the_applications_is_not_the_peers():
    class Odd(pydantic.BaseModel):
        size: int

        @pydantic.field_validator("size")
        @classmethod
        def _check(cls, value):
            raise TypeError("a mistake")

    for format_, encode in FORMATS:
        with pytest.raises(TypeError, match="a mistake"):
            reading_of(Odd, format_, "do it").read(encode({"size": 1}))


def test_a_type_that_can_not_be_read_is_refused_with_what_to_do_instead():
    with pytest.raises(TypeError, match=r"^MessagePack can't be read as Thread: .*, or do it$"):
        reading_of(threading.Thread, MESSAGE_PACK, "do it")


def test_data_of_which_nothing_can_be_made_has_no_places():
    assert JSON.parse(b"{") is None
    assert JSON.parse(b'{"a": 1}') == {"a": 1}
