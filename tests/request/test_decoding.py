"""From the bytes of a body to a type: what is taken, and what a peer reads about the rest."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
from collections.abc import Hashable
from typing import Annotated, Any, Literal, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, strategies as st

from tests.request.bodies import body_of
from triows._request.body import BadBody
from triows._request.decoding import body_decoder
from triows._request.media import UnsupportedMedia

JSON = b"application/json"
MESSAGE_PACK = b"application/msgpack"


class Size(msgspec.Struct):
    width: Annotated[int, msgspec.Meta(ge=0)]
    note: str = ""

    def __post_init__(self):
        if self.note == "bad":
            raise ValueError("a bad note - at `$.x`")
        if self.note == "odd":
            raise TypeError("Size.__post_init__ can't do that")


class Box(msgspec.Struct):
    items: list[Size]
    sizes: dict[str, Size] = {}
    numbers: dict[int, int] = {}


@dataclasses.dataclass
class Data:
    width: int


@attrs.define
class Attrs:
    width: int


class Record(TypedDict):
    width: int


class Model(pydantic.BaseModel):
    width: int
    at: datetime.date | None = None

    @pydantic.field_validator("width")
    @classmethod
    def _check(cls, value):
        if value == 13:
            raise ValueError("13 brings bad luck")
        return value


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    name: str


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    bark: int


class Zoo(pydantic.BaseModel):
    any: list[Cat | Dog] = []
    told: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")] | None = None
    ages: dict[str, int] = {}


class StructOfModel(msgspec.Struct):
    models: list[Model]
    pet: Cat | None = None


class Team(pydantic.BaseModel):
    models: list[Model]


class StructOfTeam(msgspec.Struct):
    team: Team


class Photo(pydantic.BaseModel):
    taken: datetime.datetime
    data: bytes


class Album(msgspec.Struct):
    photos: list[Photo]


class Colour(enum.Enum):
    RED = "red"


class Unknown:
    pass


CLASSES = [Size, Data, Attrs, Record, Model]
FORMATS = [(JSON, msgspec.json.encode), (MESSAGE_PACK, msgspec.msgpack.encode)]


def decode(type_, data, content_type=JSON, **options):
    body = body_of(type_=content_type)
    return body_decoder(type_, **options).choose(body)(data)


def problems(type_, data, content_type=JSON):
    with pytest.raises(BadBody) as caught:
        decode(type_, data, content_type)
    assert caught.value.status_code == 422
    assert all(one.location == "body" for one in caught.value.errors)
    return [(one.name, one.message) for one in caught.value.errors]


@pytest.mark.parametrize(("media", "encode"), FORMATS)
@pytest.mark.parametrize("type_", CLASSES)
def test_a_class_is_made_of_json_or_of_message_pack(type_, media, encode):
    value = decode(type_, encode({"width": 5}), media)
    assert value == ({"width": 5} if type_ is Record else type_(width=5))


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json", b"APPLICATION/JSON", b"application/json; charset=utf-8",
        b"application/problem+json", b"application/vnd.x+json;a=b",
    ],
)  # fmt: skip
def test_json_has_several_names(content_type):
    assert decode(Size, b'{"width": 5}', content_type) == Size(5)


@pytest.mark.parametrize(
    "content_type", [MESSAGE_PACK, b"application/x-msgpack", b"application/vnd.msgpack"]
)
def test_message_pack_has_several_names(content_type):
    assert decode(Size, b"\x81\xa5width\x05", content_type) == Size(5)


@pytest.mark.parametrize(
    "content_type",
    [
        b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x",
        b"text/json", b"image/svg+json", b"json", b"", b"*/*", b"application/json, text/plain",
        b"application/json; charset=utf-16", b"application/octet-stream", b"\xff",
    ],
)  # fmt: skip
def test_another_type_of_body_is_refused_before_it_is_read(content_type):
    with pytest.raises(UnsupportedMedia) as caught:
        body_decoder(Size).choose(body_of(type_=content_type))
    assert caught.value.headers == {"Accept": "application/json, application/msgpack"}


def test_a_body_without_a_type_is_refused_because_any_page_can_send_it():
    with pytest.raises(UnsupportedMedia):
        decode(Size, b'{"width": 5}', None)


def test_a_default_stands_for_an_empty_body():
    for content_type in (JSON, MESSAGE_PACK, None):
        assert decode(Size, b"", content_type, default=lambda: 7) == 7
        assert problems(Size, b"", content_type) == [("", "Missing required body")]


def test_what_is_announced_to_be_empty_has_no_type():
    body = body_of(type_=b"text/plain", length=b"0")
    assert body_decoder(Size, default=lambda: 7).choose(body)(b"") == 7


def test_none_has_to_be_sent_or_be_the_default():
    assert decode(Size | None, b"null") is None
    assert decode(Size | None, b"", default=lambda: None) is None
    assert problems(Size | None, b"") == [("", "Missing required body")]


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b'{"items": [{"width": "a"}]}', "items.0.width", "Expected `int`, got `str`"),
        (b'{"items": [{"width": -1}]}', "items.0.width", "Expected `int` >= 0"),
        (b'{"items": [{}]}', "items.0.width", "Missing required field"),
        (b'{"items": 5}', "items", "Expected `array`, got `int`"),
        (b"5", "", "Expected `object`, got `int`"),
        (b'{"items": [], "sizes": {"a": 5}}', "sizes.a", "Expected `object`, got `int`"),
        (b'{"items": [], "numbers": {"a": 5}}', "numbers.a", "Key: Expected `int`, got `str`"),
        (b'{"items": [{"width": 1, "note": "bad"}]}', "items.0", "a bad note - at `$.x`"),
        (b'{"items": [{"width": 1, "note": "odd"}]}', "items.0", "Invalid value"),
        (b'{"items": []', "", "Input data was truncated"),
        (b'{"items": []} x', "", "JSON is malformed: trailing characters (byte 15)"),
        (b"\xff", "", "JSON is malformed: invalid character (byte 0)"),
        (b'{"items": [{"width": 1, "note": "\xff"}]}', "", "Not valid UTF-8"),
    ],
)
def test_a_peer_reads_where_a_mistake_is_and_what(data, place, message):
    assert problems(Box, data) == [(place, message)]


class Closed(pydantic.BaseModel, extra="forbid"):
    a: int = 0
    inner: Closed | None = None


@pytest.mark.parametrize("odd", [b"1e400", b"NaN", b"-Infinity"])
def test_numbers_that_are_not_json_do_not_hide_the_names_of_other_mistakes(odd):
    told = problems(Closed, b'{"a": %s, "inner": {"b": %s}, "c": 1}' % (odd, odd))
    assert told == [
        ("a", "Input should be a finite number"),
        ("inner.b", "Extra inputs are not permitted"),
        ("c", "Extra inputs are not permitted"),
    ]


class Weight(msgspec.Struct):
    grams: float
    price: decimal.Decimal = decimal.Decimal()


class WeightModel(pydantic.BaseModel):
    grams: float
    price: decimal.Decimal = decimal.Decimal()


@pytest.mark.parametrize("type_", [Weight, WeightModel])
@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
def test_numbers_are_finite_whatever_reads_them(type_, odd):
    data = msgspec.msgpack.encode({"grams": odd, "price": "NaN"})
    assert [name for name, _ in problems(type_, data, MESSAGE_PACK)] == ["grams", "price"]
    assert [name for name, _ in problems(type_, b'{"grams": 1e400}')] == ["grams"]
    assert [name for name, _ in problems(type_, b'{"grams": 1, "price": "NaN"}')] == ["price"]


def test_a_peer_reads_all_that_pydantic_lists_and_no_names_of_classes():
    data = b'{"any": [{"kind": "cat"}, 5], "told": {"kind": "dog", "bark": "?"}, "ages": {"a": ""}}'
    found = problems(Zoo, data)
    assert found == [
        ("any.0.name", "Field required"),
        ("any.0.kind", "Input should be 'dog'"),
        ("any.0.bark", "Field required"),
        ("any.1", "Invalid value"),
        (
            "told.bark",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        ("ages.a", "Input should be a valid integer, unable to parse string as an integer"),
    ]


@pytest.mark.parametrize(("media", "encode"), FORMATS)
def test_a_model_inside_another_class_has_all_its_mistakes_too(media, encode):
    data = encode({"models": [{"width": 1}, {"width": "a", "at": "b"}]})
    assert [place for place, _ in problems(StructOfModel, data, media)] == [
        "models.1.width",
        "models.1.at",
    ]
    team = {"team": {"models": [{"width": "a"}, {"width": "b"}]}}
    assert [place for place, _ in problems(StructOfTeam, encode(team), media)] == [
        "team.models.0.width",
        "team.models.1.width",
    ]
    # If there is too much, pydantic stops at the first.
    team["team"]["models"] *= 10_000
    ((place, _),) = problems(StructOfTeam, encode(team), media)
    assert place == "team.models.0.width"
    data = encode({"models": [{"width": 13}]})
    assert problems(StructOfModel, data, media) == [("models.0.width", "13 brings bad luck")]


def test_a_model_is_made_of_what_message_pack_can_express_and_json_can_not():
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    photo = {"taken": now, "data": b"\xff"}
    made = Photo(**photo)
    assert decode(Photo, msgspec.msgpack.encode(photo), MESSAGE_PACK) == made
    album = msgspec.msgpack.encode({"photos": [photo]})
    assert decode(Album, album, MESSAGE_PACK) == Album([made])


def test_a_value_of_another_class_than_was_asked_for_is_invalid():
    assert decode(Hashable, b"5") == 5
    assert problems(Hashable, b"[]") == [("", "Invalid value")]


MORE = ("", "There are more mistakes than these 100")


class Numbers(msgspec.Struct):
    all: list[int]


class NumbersModel(pydantic.BaseModel):
    all: list[int]


@pytest.mark.parametrize("type_", [Numbers, NumbersModel])
def test_a_hundred_mistakes_are_listed_and_that_there_are_more(type_):
    def numbers(count):
        return problems(type_, msgspec.json.encode({"all": [""] * count}))

    assert [place for place, _ in numbers(100)] == [f"all.{index}" for index in range(100)]
    assert numbers(101)[100:] == [MORE]
    assert len(numbers(1000)) == 101


def test_very_many_mistakes_that_pydantic_finds_are_only_counted():
    data = msgspec.json.encode({"all": [""] * 1001})
    assert problems(NumbersModel, data) == [("", "1001 values can't be used")]


@pytest.mark.parametrize(("media", "encode"), FORMATS)
@pytest.mark.parametrize("type_", [Numbers, NumbersModel])
def test_of_a_very_large_body_the_first_mistake_is_told(type_, media, encode):
    data = encode({"all": [1] * 200_000 + ["", ""]})
    ((place, _),) = problems(type_, data, media)
    assert place == "all.200000"


def test_what_a_peer_reads_of_its_own_text_is_short_and_printable():
    data = json.dumps({"ages": {"a" * 1000: "", "\x1b[2J": ""}}).encode()
    places = [place for place, _ in problems(Zoo, data)]
    assert places == ["ages." + "a" * 195 + "...", "ages.\N{REPLACEMENT CHARACTER}[2J"]
    ((_, message),) = problems(Colour, json.dumps("b" * 1000).encode())
    assert len(message) == 203


@pytest.mark.parametrize("type_", [Any, dict[str, Any], Box, Model, Zoo])
@pytest.mark.parametrize(
    "opening", [b"[", b'{"items":', b'{"any":[{"name":', b"\x91", b"\x81\xa1a"]
)
def test_a_body_may_nest_as_deep_as_a_megabyte_allows_and_is_refused(type_, opening):
    data = opening * (2**20 // len(opening))
    media = JSON if opening.isascii() else MESSAGE_PACK
    ((_, message),) = problems(type_, data, media)
    assert message


@pytest.mark.parametrize("type_", [Any, dict[Any, Any], Zoo])
def test_a_map_can_not_be_a_key(type_):
    ((place, message),) = problems(type_, b"\x81\x80\x00", MESSAGE_PACK)
    assert place == ""
    assert message.startswith("MessagePack data is malformed: ")


def test_what_is_nested_too_deeply_says_so():
    assert problems(Any, b"[" * 100_000) == [("", "Nested too deeply")]


NAMES = ["Size", "Box", "Data", "Attrs", "Record", "Model", "Cat", "Dog", "Zoo", "StructOf"]


@given(data=st.binary())
def test_bytes_at_random_are_refused_without_a_name_of_a_class(data):
    for type_ in (Box, Model, Zoo, StructOfModel, Colour, Any, dict[str, Any]):
        for media, _ in FORMATS:
            try:
                decode(type_, data, media)
            except BadBody as exc:
                told = repr([(one.name, one.message) for one in exc.errors])
                assert not any(name in told for name in NAMES)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["items", "any", "told", "width", "kind", "name", "models", "pet"]), inner
    ),
)  # fmt: skip


@given(value=values)
def test_values_that_do_not_fit_are_refused_without_a_name_of_a_class(value):
    for type_ in (Box, Model, Zoo, StructOfModel):
        try:
            decode(type_, json.dumps(value).encode())
        except BadBody as exc:
            told = repr([(one.name, one.message) for one in exc.errors])
            assert not any(name in told for name in NAMES)


# Bodies that are taken as they are.


@pytest.mark.parametrize("content_type", [None, b"image/png", b"application/json", b"nonsense"])
def test_bytes_are_taken_whatever_their_type(content_type):
    assert decode(bytes, b"\xff", content_type) == b"\xff"
    assert decode(bytes | None, b"\xff", content_type) == b"\xff"
    assert decode(bytes, b"", content_type) == b""


@pytest.mark.parametrize("content_type", [None, b"text/csv", b"application/json"])
def test_text_is_taken_whatever_its_type(content_type):
    text = "\N{SNOWMAN}"
    assert decode(str, text.encode(), content_type) == text
    assert decode(str, b"", content_type) == ""


@pytest.mark.parametrize(
    "charset", ["utf-8", "UTF-16", "windows-1252", "iso-8859-15", "gb18030", "shift_jis", "koi8-u"]
)
def test_text_may_have_another_charset(charset):
    text = "\N{CYRILLIC SMALL LETTER A}" if charset == "koi8-u" else "a"
    assert decode(str, text.encode(charset), f"text/plain; charset={charset}".encode()) == text


@pytest.mark.parametrize("charset", ["klingon", "base64", "zlib", "punycode", "idna", "utf-7", "/"])
def test_a_charset_that_is_not_known_is_refused(charset):
    with pytest.raises(UnsupportedMedia) as caught:
        decode(str, b"a", f'text/plain; charset="{charset}"'.encode())
    assert caught.value.headers == {"Accept": "text/plain; charset=utf-8"}


def test_text_whose_type_can_not_be_read_is_refused():
    with pytest.raises(UnsupportedMedia, match="isn't a media type"):
        decode(str, b"a", b"text/plain; charset=utf-8; charset=utf-16")


def test_text_has_to_be_in_the_charset_that_it_names():
    assert problems(str, b"\xff", None) == [("", "Not valid UTF-8")]
    assert problems(str, b"a", b"a/b; charset=utf-16") == [("", "Not valid UTF-16")]


def test_what_is_taken_as_it_is_has_constraints_and_a_default_too():
    short = Annotated[str, msgspec.Meta(min_length=2)]
    assert decode(short, b"ab") == "ab"
    assert problems(short, b"") == [("", "Expected `str` of length >= 2")]
    assert problems(Annotated[bytes, pydantic.Field(max_length=1)], b"ab") == [
        ("", "Data should have at most 1 byte")
    ]
    assert decode(short, b"", default=lambda: "none") == "none"


@pytest.mark.parametrize("type_", [int, list[int], Any, decimal.Decimal, str | int, list[str]])
def test_everything_else_is_json(type_):
    with pytest.raises(UnsupportedMedia):
        decode(type_, b"5", b"text/plain")


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (Unknown, "JSON can't be read as Unknown: Unknown is a class that neither"),
        (Annotated[str, msgspec.Meta(ge=1)], "a body can't be read as str: Can only set"),
    ],
)
def test_a_type_that_no_body_can_be_made_into_is_refused_at_registration(type_, message):
    with pytest.raises(TypeError) as caught:
        body_decoder(type_)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("or ask for bytes and convert them yourself")


def test_a_decoder_says_what_it_takes():
    assert body_decoder(Size).media_types == ("application/json", "application/msgpack")
    assert body_decoder(str).media_types == ("*/*",)


# The application's own function


def own(data: bytes) -> int:
    if data == b"odd":
        raise ValueError("an odd number")
    return int(data) if data else -1


@pytest.mark.parametrize("content_type", [None, JSON, b"text/csv", b"not a type"])
def test_the_applications_function_takes_any_body(content_type):
    assert decode(int, b"12", content_type, own=own) == 12


def test_it_says_what_is_wrong_by_a_value_error():
    with pytest.raises(BadBody) as caught:
        decode(int, b"odd", own=own)
    assert [(one.name, one.message) for one in caught.value.errors] == [("", "an odd number")]


def test_it_is_not_called_for_a_body_that_may_be_missing_and_is():
    assert decode(int, b"", own=own, default=lambda: 7) == 7
    assert decode(int, b"", own=own) == -1
