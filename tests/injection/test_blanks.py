"""Forms as browsers send them: fields that were left blank, and boxes that were ticked."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, strategies as st

from triows import Param, Route, Triows
from triows._injection.blanks import ticked, without_blanks
from triows._injection.conversion import converter, wire_type
from triows.testing import open_app


class Colour(enum.Enum):
    RED = "red"


class Choice(enum.Enum):
    NOTHING = ""
    RED = "red"


DEFAULT = object()
MISSING = "Missing required parameter"


def app_of(annotation: Any, default: Any = DEFAULT) -> Triows:
    async def handler(value: Any) -> dict[str, str]:
        return {"value": repr(value)}

    handler.__annotations__["value"] = Annotated[annotation, Param("form")]
    if default is not DEFAULT:
        handler.__defaults__ = (default,)
    route = Route("")
    route.post(handler)
    return Triows(route)


async def sent(app: Triows, fields: dict[str, Any], *, in_parts: bool = False) -> Any:
    files = {"other": ("a.txt", b"a")} if in_parts else None
    async with open_app(app) as client:
        response = await client.post("/", data=fields, files=files)
    told = response.json()
    if response.status_code == 200:
        return told["value"]
    assert response.status_code == 422
    return [(one["location"], one["name"], one["message"]) for one in told["errors"]]


NOT_TEXT = [
    int, int | None, float, bool, Decimal, UUID, date, date | None, datetime, timedelta, Colour,
    Literal["a", "b"], Literal["a"] | None, Path, int | float, Annotated[int, msgspec.Meta(gt=0)],
    Annotated[int, pydantic.Field(gt=0)], Annotated[int | None, pydantic.Field(gt=0)], list[int],
    set[date], tuple[int, ...], tuple[int, int],
]  # fmt: skip


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("annotation", NOT_TEXT)
async def test_a_blank_is_missing_for_whatever_is_no_text(annotation, in_parts):
    blank = {"value": ""}
    assert await sent(app_of(annotation, None), blank, in_parts=in_parts) == "None"
    found = await sent(app_of(annotation), blank, in_parts=in_parts)
    assert found == [("form", "value", MISSING)]


@pytest.mark.parametrize("annotation", [str, str | None, int | str, Literal["", "a"], Choice, Any])
async def test_a_blank_is_a_value_where_the_type_has_it(annotation):
    value = "<Choice.NOTHING: ''>" if annotation is Choice else "''"
    assert await sent(app_of(annotation, None), {"value": ""}) == value


async def test_a_blank_text_that_is_too_short_is_said_to_be():
    short = Annotated[str, msgspec.Meta(min_length=1)]
    found = await sent(app_of(short, "none"), {"value": ""})
    assert found == [("form", "value", "Expected `str` of length >= 1")]


@pytest.mark.parametrize(
    ("annotation", "texts", "value"),
    [
        (list[int], ["1", "", "2"], "[1, 2]"),
        (set[int], ["", "1"], "{1}"),
        (tuple[int, ...], ["", "1"], "(1,)"),
        (list[str], ["a", "", "b"], "['a', '', 'b']"),
        (list[str], [""], "['']"),
        (list, ["", "a"], "['', 'a']"),
        (int, ["", "1"], "1"),
    ],
)
async def test_lists_leave_out_blanks_that_are_no_values(annotation, texts, value):
    assert await sent(app_of(annotation, None), {"value": texts}) == value


async def test_the_places_in_a_tuple_keep_their_meaning():
    found = await sent(app_of(tuple[int, int], None), {"value": ["", "1"]})
    assert found == [("form", "value", "Item 1: Expected `int`")]
    pair = app_of(tuple[int, str], None)
    assert await sent(pair, {"value": ["1", ""]}) == "(1, '')"


async def test_a_field_that_is_given_twice_is_still_refused():
    found = await sent(app_of(int, None), {"value": ["1", "", "2"]})
    assert found == [("form", "value", "Given 2 times, expected once")]


@pytest.mark.parametrize("annotation", [bool, bool | None, Annotated[bool, "documented"]])
@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"value": "on"}, "True"),
        ({}, "False"),
        ({"value": "true"}, "True"),
        ({"value": "0"}, "False"),
    ],
)
async def test_a_box_is_true_if_it_is_ticked_and_not_sent_otherwise(annotation, fields, value):
    assert await sent(app_of(annotation, default=False), fields) == value


async def test_only_what_a_box_sends_is_added():
    found = await sent(app_of(bool, default=False), {"value": "yes"})
    assert found == [("form", "value", "Expected `bool`")]
    on_or_off = app_of(Literal["on", "off"])
    assert await sent(on_or_off, {"value": "on"}) == "'on'"


# Packs


class Struct(msgspec.Struct):
    text: str = "none"
    days: int = 1
    day: date | None = None
    news: bool = False
    sizes: list[int] = []


@dataclasses.dataclass
class Data:
    text: str = "none"
    days: int = 1
    day: date | None = None
    news: bool = False
    sizes: list[int] = dataclasses.field(default_factory=list)


@attrs.define
class Attrs:
    text: str = "none"
    days: int = 1
    day: date | None = None
    news: bool = False
    sizes: list[int] = attrs.field(factory=list)


class Model(pydantic.BaseModel):
    text: str = "none"
    days: int = 1
    day: date | None = None
    news: bool = False
    sizes: list[int] = []


PACKS = [Struct, Data, Attrs, Model]
BLANK = {"text": "", "days": "", "day": "", "sizes": ["", ""]}


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("pack", PACKS)
async def test_in_a_pack_a_blank_field_has_its_default(pack, in_parts):
    assert await sent(app_of(pack), BLANK, in_parts=in_parts) == repr(pack(text=""))
    fields = {**BLANK, "news": "on", "sizes": ["1", ""]}
    made = pack(text="", news=True, sizes=[1])
    assert await sent(app_of(pack), fields, in_parts=in_parts) == repr(made)


@pytest.mark.parametrize("pack", PACKS)
async def test_a_pack_with_nothing_but_blanks_is_missing(pack):
    app = app_of(pack | None, None)
    assert await sent(app, {"days": "", "day": "", "sizes": ""}) == "None"
    assert await sent(app, {"days": "", "text": ""}) == repr(pack(text=""))


class Needs(msgspec.Struct):
    days: int


class NeedsModel(pydantic.BaseModel):
    days: int


@pytest.mark.parametrize("pack", [Needs, NeedsModel])
async def test_a_blank_field_that_a_pack_needs_is_missing(pack):
    assert await sent(app_of(pack), {"days": ""}) == [("form", "days", MISSING)]


class Others(pydantic.BaseModel):
    secret: pydantic.SecretStr | None = None
    url: pydantic.HttpUrl | None = None


async def test_pydantic_says_whether_its_own_types_take_a_blank():
    made = Others(secret=pydantic.SecretStr(""))
    assert await sent(app_of(Others), {"secret": "", "url": ""}) == repr(made)


# Elsewhere


async def test_a_blank_in_a_query_is_a_value():
    async def handler(days: int = 1, news: bool = False) -> None:
        pass

    route = Route("")
    route.get(handler)
    async with open_app(Triows(route)) as client:
        response = await client.get("/?days=&news=on")
    assert [one["message"] for one in response.json()["errors"]] == [
        "Expected `int`",
        "Expected `bool`",
    ]


async def test_a_decoder_gets_a_blank():
    async def handler(value: Annotated[int, Param("form", decoder=len)] = 7) -> int:
        return value

    route = Route("")
    route.post(handler)
    async with open_app(Triows(route)) as client:
        assert (await client.post("/", data={"value": ""})).json() == 0


texts = st.lists(st.sampled_from(["", "1", "a"]), max_size=4)


@given(annotation=st.sampled_from([*NOT_TEXT, str, list[str], Choice]), given_=texts)
def test_blanks_are_all_that_is_left_out(annotation, given_):
    leave_out: Callable[[list[str]], list[str]] | None = without_blanks(wire_type(annotation))
    left = given_ if leave_out is None else leave_out(given_)
    assert left == [text for text in given_ if text] or left == given_
    if leave_out is not None:
        assert leave_out([""] * len(given_)) == []


def test_nothing_but_a_bool_is_ticked():
    assert ticked(bool, converter(bool))("on") is True
    assert ticked(str, str)("on") == "on"
