"""Everything that doesn't fit a type is found, with its place, whatever the type is made of."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pytest
from hypothesis import example, given, strategies as st
from msgspec import UNSET, Meta, UnsetType, inspect

from triows._misfits import MAX_DEPTH, Misfits, first_of
from triows._structured import JSON, MESSAGE_PACK, reading_of

T = TypeVar("T")

Short = Annotated[str, Meta(max_length=3)]
Positive = Annotated[int, Meta(gt=0, description="how many")]


class Colour(enum.Enum):
    RED = "red"


class Item(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    item_name: Short
    price: Positive = 1
    of_colour: Colour | None = None

    def __post_init__(self) -> None:
        if self.item_name == "bad":
            raise ValueError("a bad name")
        if self.item_name == "odd":
            raise LookupError("a mistake")


class Row(msgspec.Struct, array_like=True):
    a: int
    b: str = ""


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    bark: str
    friends: list[Cat | Dog] = []


class Closed(msgspec.Struct, tag="closed", forbid_unknown_fields=True):
    a: int


class Move(msgspec.Struct, tag="m", array_like=True):
    to: int


class Stay(msgspec.Struct, tag="s", array_like=True):
    pass


class Box(msgspec.Struct, Generic[T]):
    value: T


class Tree(msgspec.Struct):
    name: str = ""
    children: list[Tree] = []


@dataclass
class Data:
    size: int
    made: list[int] = field(default_factory=list)


@attrs.define
class Attrs:
    size: int = attrs.field(validator=attrs.validators.le(9))


class Record(TypedDict):
    size: int
    note: NotRequired[str]


class Pair(NamedTuple):
    first: int
    second: str = ""


class Scalars(msgspec.Struct):
    at: datetime.datetime
    day: datetime.date
    id: uuid.UUID
    cost: decimal.Decimal
    data: bytes
    one_of: Literal[1, 3]
    ratio: float | None
    maybe: bool | UnsetType = UNSET
    any: Any = None
    text: Annotated[str, Meta(pattern="^a")] = "a"


FORMATS = [(JSON, msgspec.json.encode), (MESSAGE_PACK, msgspec.msgpack.encode)]
MISSING = "Missing required field"


def problems(type_: Any, value: Any, format_: Any = JSON, encode: Any = msgspec.json.encode) -> Any:
    reading = reading_of(type_, format_, "")
    data = encode(value)
    with pytest.raises(reading.faults) as caught:
        reading.read(data)
    return reading.problems(caught.value, data, str)


@pytest.mark.parametrize(("format_", "encode"), FORMATS)
@pytest.mark.parametrize(
    ("type_", "value", "found"),
    [
        (Item, {}, [("itemName", MISSING)]),
        (
            Item,
            {"itemName": 5, "price": 0, "ofColour": "x", "item_name": "a"},
            [
                ("itemName", "Expected `str`, got `int`"),
                ("price", "Expected `int` >= 1"),
                ("ofColour", "Invalid enum value 'x'"),
                ("item_name", "Unknown field"),
            ],
        ),
        (
            list[Item],
            [{"itemName": "a"}, {"itemName": "bad"}, {"itemName": "long"}, 5, {}],
            [
                ("1", "a bad name"),
                ("2.itemName", "Expected `str` of length <= 3"),
                ("3", "Expected `object`, got `int`"),
                ("4.itemName", MISSING),
            ],
        ),
        (
            dict[str, list[Item]] | None,
            {"a": [], "b": [{}], "c": 5},
            [("b.0.itemName", MISSING), ("c", "Expected `array`, got `int`")],
        ),
        (dict[Short, int], {"abcd": ""}, [
            ("abcd", "Key: Expected `str` of length <= 3"), ("abcd", "Expected `int`, got `str`"),
        ]),
        (Annotated[list[int], Meta(min_length=2)], [1], [("", "Expected `array` of length >= 2")]),
        (Annotated[list[int], Meta(min_length=2)], [""], [("0", "Expected `int`, got `str`")]),
        (Row, ["", 5], [("0", "Expected `int`, got `str`"), ("1", "Expected `str`, got `int`")]),
        (Row, {"a": ""}, [("", "Expected `array`, got `object`")]),
        (Closed, {"type": "closed", "b": 1}, [("a", MISSING), ("b", "Unknown field")]),
        (Cat, {"type": "Dog"}, [
            ("type", "Invalid enum value 'Dog'"), ("lives", MISSING),
        ]),
        (
            Cat | Dog | None,
            {"type": "Dog", "friends": [{"type": "Cat"}, {"type": "x"}, {}, 5]},
            [
                ("bark", MISSING),
                ("friends.0.lives", MISSING),
                ("friends.1.type", "Invalid value 'x'"),
                ("friends.2.type", MISSING),
                ("friends.3", "Expected `object`, got `int`"),
            ],
        ),
        (Move | Stay, ["m", "x"], [("1", "Expected `int`, got `str`")]),
        (Move | Stay, ["x"], [("0", "Invalid value 'x'")]),
        (Box[int], {"value": ""}, [("value", "Expected `int`, got `str`")]),
        (Box[Box[int]], {"value": {}}, [("value.value", MISSING)]),
        (Data, {"made": ["", 1, ""]}, [
            ("size", MISSING),
            ("made.0", "Expected `int`, got `str`"), ("made.2", "Expected `int`, got `str`"),
        ]),
        (list[Attrs], [{}, {"size": "a"}], [
            ("0.size", MISSING), ("1.size", "Expected `int`, got `str`"),
        ]),
        (Record, {"note": 5}, [("note", "Expected `str`, got `int`"), ("size", MISSING)]),
        (Pair, ["", 5], [("0", "Expected `int`, got `str`"), ("1", "Expected `str`, got `int`")]),
        (tuple[int, str], ["", 5], [
            ("0", "Expected `int`, got `str`"), ("1", "Expected `str`, got `int`"),
        ]),
        (tuple[int, ...], ["", 5], [("0", "Expected `int`, got `str`")]),
        (set[int], [1, "", ""], [
            ("1", "Expected `int`, got `str`"), ("2", "Expected `int`, got `str`"),
        ]),
        (frozenset[int], [""], [("0", "Expected `int`, got `str`")]),
        (int | list[int], [""], [("0", "Expected `int`, got `str`")]),
        (int | list[int], {}, [("", "Expected `int | array`, got `object`")]),
        (
            Scalars,
            {
                "at": "x", "day": "x", "id": "x", "cost": "x", "data": "*", "one_of": 2,
                "ratio": "x", "maybe": None, "any": [], "text": "b",
            },
            [
                ("at", "Invalid RFC3339 encoded datetime"),
                ("day", "Invalid RFC3339 encoded date"),
                ("id", "Invalid UUID"),
                ("cost", "Invalid decimal string"),
                ("one_of", "Invalid enum value 2"),
                ("ratio", "Expected `float | null`, got `str`"),
                ("maybe", "Expected `bool`, got `null`"),
                ("text", "Expected `str` matching regex '^a'"),
            ],
        ),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_found_with_its_place(type_, value, found, format_, encode):
    if type_ is Scalars and format_ is JSON:
        found = [*found[:4], ("data", "Invalid base64 encoded string"), *found[4:]]
    told = [
        (".".join(map(str, place)), text) for place, text in problems(type_, value, format_, encode)
    ]
    if type_ is Scalars:
        told = [one for one in told if one[0] != "data" or format_ is JSON]
    assert told == found


def test_the_key_of_a_json_object_may_be_a_number():
    assert problems(dict[int, int], {"1": 1, "2": ""}) == [(("2",), "Expected `int`, got `str`")]
    assert problems(dict[int, int], {"x": 1}) == [(("x",), "Key: Expected `int`, got `str`")]


def test_a_field_that_appears_twice_and_is_wrong_once_is_told_as_msgspec_says():
    reading = reading_of(Data, JSON, "")
    data = b'{"size": "x", "size": 1}'
    with pytest.raises(msgspec.ValidationError) as caught:
        reading.read(data)
    assert reading.problems(caught.value, data, str) == [(("size",), "Expected `int`, got `str`")]


@pytest.mark.parametrize("data", [b'[{"size": ""}', b'[{"size": ""}] x', b'[{"size": ""}, \xff]'])
def test_what_is_malformed_behind_a_mistake_leaves_that_one_alone(data):
    reading = reading_of(list[Data], JSON, "")
    with pytest.raises(msgspec.DecodeError) as caught:
        reading.read(data)
    assert len(reading.problems(caught.value, data, str)) == 1


def test_a_mistake_in_the_applications_checks_is_not_told_and_does_not_hide_others():
    found = problems(list[Item], [{}, {"itemName": "odd"}, {"itemName": 5}])
    assert [place for place, _ in found] == [(0, "itemName"), (2, "itemName")]


def test_what_is_deep_is_told_as_msgspec_says():
    value: Any = {"children": [{"name": 1}, {"name": 2}]}
    for _ in range(MAX_DEPTH):
        value = {"children": [value]}
    ((place, text),) = problems(Tree, value)
    assert place == ("children", 0) * MAX_DEPTH + ("children", 0, "name")
    assert text == "Expected `str`, got `int`"


def test_a_long_list_is_searched_to_its_end():
    value = [0] * 5000
    value[0] = value[999] = value[1000] = value[4999] = ""
    places = [place for place, _ in problems(list[int], value)]
    assert places == [(0,), (999,), (1000,), (4999,)]


def test_the_search_ends_with_a_hundred_and_a_sentence_that_there_are_more():
    calls = 0

    def convert(value, type_):
        nonlocal calls
        calls += 1
        return msgspec.convert(value, type_)

    found = Misfits(inspect.type_info(list[int]), convert).find([""] * 100_000, problems_of)
    assert len(found) == 101
    assert found[100] == ((), "There are more mistakes than these 100")
    assert calls < 110
    assert first_of(found[:100]) == found[:100]


def problems_of(error: msgspec.ValidationError) -> list[Any]:
    return [((), str(error))]


# Values that fit are drawn together with one to whose parts something was done.

leaves = {
    "int": (int, 5), "str": (Short, "a"), "positive": (Positive, 2), "colour": (Colour, "red"),
    "optional": (int | None, None),
}  # fmt: skip


@st.composite
def planted(draw: Any, depth: int = 3) -> tuple[Any, Any, list[tuple[Any, ...]]]:
    """Draw a type, a value, and the places in the value that don't fit the type."""
    kind = draw(st.sampled_from(["leaf", "list", "dict", "tuple", "struct"] if depth else ["leaf"]))
    if kind == "leaf":
        type_, value = leaves[draw(st.sampled_from(sorted(leaves)))]
        is_wrong = draw(st.booleans())
        return type_, {"wrong": []} if is_wrong else value, [()] if is_wrong else []
    if kind in ("list", "dict"):
        # All items have one type, and each of them is wrong or isn't.
        type_, good, places = draw(planted(depth - 1))
        count = draw(st.integers(1, 3))
        keys: list[Any] = list(range(count)) if kind == "list" else list("abc"[:count])
        value = [good] * count if kind == "list" else dict.fromkeys(keys, good)
        made = list[type_] if kind == "list" else dict[str, type_]
        return made, value, [(key, *place) for key in keys for place in places]
    parts = [draw(planted(depth - 1)) for _ in range(draw(st.integers(1, 3)))]
    if kind == "tuple":
        made = tuple[tuple(part[0] for part in parts)]
        value = [part[1] for part in parts]
        named = list(enumerate(parts))
    else:
        is_missing = draw(st.booleans())
        fields = [(name, part[0]) for name, part in zip("abc", parts, strict=False)]
        made = msgspec.defstruct("Made", [*fields, *([("gone", int)] if is_missing else [])])
        value = {name: part[1] for name, part in zip("abc", parts, strict=False)}
        named = list(zip("abc", parts, strict=False))
        if is_missing:
            return made, value, [*_under(named), ("gone",)]
    return made, value, _under(named)


def _under(named: list[tuple[Any, Any]]) -> list[tuple[Any, ...]]:
    return [(step, *place) for step, (_, _, places) in named for place in places]


@given(planted())
def test_every_planted_mistake_is_found_and_nothing_else(drawn):
    type_, value, places = drawn
    found = Misfits(inspect.type_info(type_), msgspec.convert).find(value, problems_of)
    assert [place for place, _ in found] == places[:100] + [()] * (len(places) > 100)


TYPES = [
    Item, list[Item], dict[str, Item], dict[int, Row], Cat | Dog, Move | Stay, Box[list[int]],
    Tree, Data, Attrs, Record, Pair, Scalars, tuple[int, str], set[int], int | list[Row] | None,
    Annotated[dict[str, int], Meta(max_length=1)], list[Cat | Dog] | dict[str, Any],
]  # fmt: skip
NAMES = [
    "itemName", "price", "ofColour", "a", "b", "type", "lives", "bark", "friends", "value", "name",
    "children", "size", "made", "at", "data", "1",
]  # fmt: skip

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.sampled_from(["", "Cat", "Dog", "m", "s", "red", "bad", "abcd"]) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
)  # fmt: skip


@given(value=values, type_=st.sampled_from(TYPES), in_json=st.booleans())
@example(value={"type": ["Cat"]}, type_=Cat | Dog, in_json=True)
@example(value=[["m"]], type_=Move | Stay, in_json=True)
@example(value={"type": {}}, type_=Cat, in_json=False)
def test_something_is_found_if_and_only_if_msgspec_refuses_the_value(value, type_, in_json):
    format_, encode = FORMATS[0] if in_json else FORMATS[1]
    try:
        data = encode(value)
    except OverflowError:  # MessagePack has no integers of more than 64 bits
        return
    convert = partial(msgspec.convert, str_keys=in_json)
    found = Misfits(inspect.type_info(type_), convert).find(format_.parse(data), problems_of)
    try:
        format_.decoder(type_, dec_hook=None).decode(data)
    except msgspec.ValidationError:
        assert found
    else:
        assert not found


def test_an_ordered_dict_is_no_class_that_msgspec_describes_with_parts():
    found = Misfits(inspect.type_info(list[int]), msgspec.convert).find(OrderedDict(), problems_of)
    assert found == [((), "Expected `array`, got `object`")]
