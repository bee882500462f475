"""Numbers that aren't finite: where they are found, and what is none."""

from __future__ import annotations

import dataclasses
import json
import math
from decimal import Decimal
from typing import Annotated, Any, Literal

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, strategies as st
from pydantic_core import SchemaValidator

from triows._finite import NOT_FINITE, NotFinite, only_finite
from triows._structured import JSON, MESSAGE_PACK, reading_of

REACHES_INSIDE = "_use_prebuilt" in str(SchemaValidator.__text_signature__)

ODD = [math.nan, math.inf, -math.inf]
ODD_TEXTS = ["NaN", "nan", "-sNaN12", "inf", "-Infinity", " +INF ", "nAn"]


class Prices(msgspec.Struct, rename="camel"):
    top_price: float = math.inf
    net_price: Decimal = Decimal("Infinity")
    note: str = ""
    kind: Literal["nan", "x"] = "x"
    known: set[Decimal] = set()
    by_price: dict[Decimal, int] = {}
    by_size: dict[float, int] = {}


class Row(msgspec.Struct, array_like=True, tag=True):
    number: Decimal
    name: str = ""


@dataclasses.dataclass
class Data:
    number: Decimal


@attrs.define
class Attrs:
    number: Decimal


class Model(pydantic.BaseModel):
    number: float = 0
    any_number: Annotated[float, pydantic.Field(allow_inf_nan=True)] = 0


class Models(msgspec.Struct):
    models: list[Model]


class Open(pydantic.BaseModel, allow_inf_nan=True):
    number: float = 0
    model: Model | None = None


class Tree(pydantic.BaseModel):
    number: float = 0
    trees: list[Tree] = []


def places_in(type_: Any, value: Any, format_=JSON) -> Any:
    encode = msgspec.msgpack.encode if format_ is MESSAGE_PACK else json.dumps
    data = encode(value)
    data = data.encode() if isinstance(data, str) else data
    reading = reading_of(type_, format_, "")
    try:
        reading.read(data)
    except reading.faults as exc:
        return [place for place, _ in reading.problems(exc, data, str)]
    return []


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("format_", [JSON, MESSAGE_PACK])
@pytest.mark.parametrize(
    ("type_", "value", "place"),
    [
        (float, lambda odd: odd, ()),
        (Any, lambda odd: odd, ()),
        (list[float], lambda odd: [1, odd], (1,)),
        (tuple[int, float], lambda odd: [1, odd], (1,)),
        (Prices, lambda odd: {"topPrice": odd}, ("topPrice",)),
        (Model, lambda odd: {"number": odd}, ("number",)),
        (Models, lambda odd: {"models": [{}, {"number": odd}]}, ("models", 1, "number")),
        (Open, lambda odd: {"model": {"number": odd}}, ("model", "number")),
        (Tree, lambda odd: {"trees": [{"trees": [{"number": odd}]}]},
         ("trees", 0, "trees", 0, "number")),
        (dict[str, Model], lambda odd: {"a": {"number": odd}}, ("a", "number")),
        (Annotated[float, pydantic.Field(gt=-math.inf)], lambda odd: odd, ()),
    ],
)  # fmt: skip
def test_such_a_number_is_refused_wherever_it_is(type_, value, place, odd, format_):
    if type_ in (Open, Tree, dict[str, Model]) and not REACHES_INSIDE:
        pytest.skip("pydantic 2.12 uses the own validators of the models inside")
    found = places_in(type_, value(odd), format_)
    if format_ is JSON and type_ not in (Model, Open, Tree, dict[str, Model]):
        # NaN isn't JSON for msgspec, so it knows no place.
        assert found
    else:
        assert [[*map(str, one)] for one in found] == [[*map(str, place)]]


@pytest.mark.parametrize("odd", ODD_TEXTS)
@pytest.mark.parametrize("format_", [JSON, MESSAGE_PACK])
@pytest.mark.parametrize(
    ("type_", "value", "place"),
    [
        (Decimal, lambda odd: odd, ()),
        (Prices, lambda odd: {"netPrice": odd, "note": odd}, ("netPrice",)),
        (Row, lambda odd: ["Row", odd], (1,)),
        (list[Data], lambda odd: [{"number": "1"}, {"number": odd}], (1, "number")),
        (Attrs, lambda odd: {"number": odd}, ("number",)),
        (Data | None, lambda odd: {"number": odd}, ("number",)),
        (Model, lambda odd: {"number": odd.strip().replace("s", "").rstrip("12")}, ("number",)),
    ],
)
def test_such_a_text_is_refused_where_a_number_is_made_of_it(type_, value, place, odd, format_):
    assert places_in(type_, value(odd), format_) == [place]


def test_pydantic_makes_no_such_number_of_a_text_in_a_class_of_another_kind():
    found = places_in(Models, {"models": [{"number": "nan"}]})
    assert [[*map(str, one)] for one in found] == [["models", "0", "number"]]


@pytest.mark.parametrize("odd", ODD_TEXTS)
@pytest.mark.parametrize("name", ["known", "byPrice"])
def test_what_is_in_a_set_or_a_key_is_told_with_the_name_of_the_whole(odd, name):
    value = [odd] if name == "known" else {odd: 1}
    found = places_in(Prices, {name: value})
    assert [place[:1] for place in found] == [(name,)]


def test_floats_that_are_keys_are_found_too():
    assert places_in(Prices, {"bySize": {"nan": 1}}) == [("bySize",)]
    assert places_in(Prices, {"bySize": {math.inf: 1}}, MESSAGE_PACK) == [("bySize",)]


@pytest.mark.parametrize("format_", [JSON, MESSAGE_PACK])
@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Prices, {}),
        (Prices, {"note": "NaN", "kind": "nan"}),
        (Prices, {"topPrice": 1.5, "netPrice": "1e400", "note": "inf"}),
        (str, "NaN"),
        (Any, "NaN"),
        (Model, {"any_number": math.nan}),
        (Open, {"number": math.inf, "model": {}}),
        (Annotated[float, pydantic.Field(allow_inf_nan=True)], math.inf),
    ],
)
def test_texts_defaults_and_what_a_class_allows_are_taken(type_, value, format_):
    assert places_in(type_, value, format_) == []


def test_an_escaped_text_is_found():
    reading = reading_of(Decimal, JSON, "")
    with pytest.raises(NotFinite):
        reading.read(rb'"\u004ean"')


def test_a_number_that_is_too_large_in_what_the_type_leaves_out_hides_nothing():
    reading = reading_of(Data, JSON, "")
    for other in (b"1e400", b"9" * 5000):
        with pytest.raises(NotFinite):
            reading.read(b'{"number":"NaN","other":%s}' % other)


def test_only_some_are_told():
    found = places_in(list[float], [math.nan] * 200, MESSAGE_PACK)
    assert found == [(index,) for index in range(100)]


def test_the_log_and_the_peer_read_what_is_expected():
    reading = reading_of(Prices, MESSAGE_PACK, "")
    data = msgspec.msgpack.encode({"topPrice": math.nan})
    with pytest.raises(NotFinite) as caught:
        reading.read(data)
    assert reading.detail(caught.value) == "Expected a finite number: topPrice"
    assert reading.problems(caught.value, data, str) == [(("topPrice",), NOT_FINITE)]


def test_a_decoder_of_what_can_not_have_them_is_as_it_was():
    assert only_finite(len, len, has_floats=False, has_texts=False) is len


def test_a_mistake_of_the_applications_is_not_hidden():
    def decode(data):
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        only_finite(decode, json.loads, has_floats=False, has_texts=True)(b'"NaN"')


@given(
    value=st.recursive(
        st.floats() | st.binary() | st.text() | st.integers(0, 9),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_messagepack_without_such_a_number_is_taken_and_no_other(value):
    def is_odd(one):
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        return (isinstance(one, float) and not math.isfinite(one)) or any(map(is_odd, inner))

    assert bool(places_in(Any, value, MESSAGE_PACK)) is is_odd(value)


def test_a_float_of_32_bits_is_found():
    reading = reading_of(Any, MESSAGE_PACK, "")
    for data in (b"\xca\x7f\x80\x00\x00", b"\xca\xff\xc0\x00\x00"):
        with pytest.raises(NotFinite):
            reading.read(data)
    assert reading.read(b"\xca\x7f\x7f\xff\xff") > 3e38
