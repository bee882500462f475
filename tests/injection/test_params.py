"""Parameters of every type are read from every part of a request."""

import dataclasses
import enum
import math
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar
from uuid import UUID

import attrs
import msgspec
import pytest

from tests.injection.kinds import WEBSOCKETS
from triows import types
from triows._injection.parameter import MISSING
from triows._injection.params import param_spec
from triows._injection.query import RequestData
from triows._injection.readers import ParamSpec, read_params
from triows._param_error import ParamError
from triows._routing.template import Template

WHERE = "chat.py:12 (handler)"
Param = types.Param


def spec(
    annotation: Any,
    mark: types.ParamMark | None = None,
    *,
    name: str = "value",
    default: Any = MISSING,
    path: str = "/",
) -> ParamSpec:
    path_keys = Template.parse(path).by_name
    return param_spec(
        name, annotation, default, mark=mark, path_keys=path_keys, kind=WEBSOCKETS, where=WHERE
    )


def request(
    query: str = "",
    headers: Sequence[tuple[bytes, bytes]] = (),
    path: dict[str, str] | None = None,
) -> RequestData:
    return RequestData(query.encode(), headers, path or {}, max_query_parameters=100)


def value_of(param: ParamSpec, data: RequestData) -> Any:
    values, errors = read_params([param], data)
    assert errors == []
    return values[0]


def errors_of(param: ParamSpec, data: RequestData) -> list[ParamError]:
    return read_params([param], data)[1]


def error_of(param: ParamSpec, data: RequestData) -> str:
    (error,) = errors_of(param, data)
    return error.message


def sent(source: str, text: str) -> RequestData:
    """Make a request that has `text` under the name "value" in one of its parts."""
    raw = text.encode("latin-1")
    if source == "path":
        return request(path={"value": text})
    if source == "query":
        return request(f"value={text}".replace("+", "%2B").replace(" ", "+"))
    if source == "header":
        return request(headers=[(b"value", raw)])
    return request(headers=[(b"cookie", b"value=" + raw)])


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


UserId = NewType("UserId", int)
UTC = timezone.utc  # noqa: UP017 - the value is compared, its name is not
ID = "12345678-1234-5678-1234-567812345678"

# A type, a text, its value, a text that doesn't fit, and the message about that.
SCALARS = [
    (int, "-5", -5, "x", "Expected `int`"),
    (int, "1e3", 1000, "1e999", "Number out of range"),
    (int, "9" * 30, int("9" * 30), "9" * 5000, "Integer value out of range"),
    (UserId, "7", 7, "", "Expected `int`"),
    (float, "1.5", 1.5, "x", "Expected `float`"),
    (float, "2", 2.0, "nan", "Expected a finite number"),
    (float, "-0.5", -0.5, "-Infinity", "Expected a finite number"),
    (float | int, "2.5", 2.5, "inf", "Expected a finite number"),
    (bool, "true", True, "yes", "Expected `bool`"),
    (bool, "0", False, "", "Expected `bool`"),
    (Decimal, "1.50", Decimal("1.50"), "x", "Invalid decimal string"),
    (Decimal, "3", Decimal(3), "sNaN", "Expected a finite number"),
    (UUID, ID, UUID(ID), "12345", "Invalid UUID"),
    (
        datetime,
        "2024-02-29T12:00:00Z",
        datetime(2024, 2, 29, 12, tzinfo=UTC),
        "2023-02-29T12:00:00Z",
        "Invalid RFC3339 encoded datetime",
    ),
    (date, "2024-02-29", date(2024, 2, 29), "today", "Invalid RFC3339 encoded date"),
    (time, "12:30:00", time(12, 30), "noon", "Invalid RFC3339 encoded time"),
    (timedelta, "PT90S", timedelta(seconds=90), "soon", "Invalid ISO8601 duration"),
    (Colour, "red", Colour.RED, "blue", "Invalid enum value 'blue'"),
    (Level, "1", Level.LOW, "2", "Invalid enum value 2"),
    (Literal["a", 1], "1", 1, "b", "Invalid enum value 'b'"),
    (Literal["a", None], "a", "a", "null", "Invalid enum value 'null'"),
    (int | bool, "true", True, "x", "Expected `bool | int`"),
    (int | None, "4", 4, "null", "Expected `int`"),
    (Annotated[int | None, msgspec.Meta(ge=3)], "3", 3, "2", "Expected `int` >= 3"),
    (
        Annotated[str, msgspec.Meta(pattern="^[a-z]+$")],
        "abc",
        "abc",
        "a1",
        "Expected `str` matching regex '^[a-z]+$'",
    ),
    (
        Annotated[str, msgspec.Meta(max_length=2)],
        "ab",
        "ab",
        "abc",
        "Expected `str` of length <= 2",
    ),
]
SOURCES: list[types.ParamSource] = ["path", "query", "header", "cookie"]


def marked(annotation: Any, source: types.ParamSource, **options: Any) -> ParamSpec:
    path = "/{value}" if source == "path" else "/"
    return spec(annotation, Param(source, **options), path=path)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("type_", "text", "value", "_bad", "_message"), SCALARS)
def test_a_text_is_converted_to_its_type(
    source: types.ParamSource, type_: Any, text: str, value: Any, _bad: str, _message: str
) -> None:
    found = value_of(marked(type_, source), sent(source, text))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("type_", "_text", "_value", "bad", "message"), SCALARS)
def test_a_text_that_does_not_do_is_an_error(
    source: types.ParamSource, type_: Any, _text: str, _value: Any, bad: str, message: str
) -> None:
    found = errors_of(marked(type_, source), sent(source, bad))
    assert found == [ParamError(source, "value", message)]


@pytest.mark.parametrize("source", ["query", "header", "cookie"])
def test_a_parameter_that_is_not_there_is_missing(source: types.ParamSource) -> None:
    error = ParamError(source, "value", "Missing required parameter")
    assert errors_of(marked(int, source), request("other=1")) == [error]


@pytest.mark.parametrize("source", ["query", "header", "cookie"])
def test_a_default_is_used_for_a_parameter_that_is_not_there(source: types.ParamSource) -> None:
    assert value_of(spec(int | None, Param(source), default=None), request()) is None


@pytest.mark.parametrize("source", ["query", "header", "cookie"])
def test_a_default_does_not_hide_a_bad_value(source: types.ParamSource) -> None:
    assert error_of(spec(int, Param(source), default=5), sent(source, "x")) == "Expected `int`"


def test_a_mutable_default_is_not_shared_between_requests() -> None:
    tags = spec(list[str], default=["a"])
    value_of(tags, request()).append("b")
    assert value_of(tags, request()) == ["a"]


@pytest.mark.parametrize("text", ["null", "None", ""])
def test_a_text_is_never_none(text: str) -> None:
    assert value_of(spec(str | None, default=None), request(f"value={text}")) == text
    assert error_of(spec(int | None, default=None), request(f"value={text}")) == "Expected `int`"


def test_any_is_the_text_as_it_is() -> None:
    assert value_of(spec(Any), request("value=1")) == "1"


def test_a_str_takes_every_text_in_a_union() -> None:
    assert value_of(spec(int | str), request("value=1")) == "1"


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (list[int], [3, 1, 3]),
        (Sequence[int], [3, 1, 3]),
        (set[int], {1, 3}),
        (frozenset[int], frozenset({1, 3})),
        (tuple[int, ...], (3, 1, 3)),
        (tuple[int, str, float], (3, "1", 3.0)),
        (list, ["3", "1", "3"]),
        (list[int] | None, [3, 1, 3]),
        (list[int | None], [3, 1, 3]),
        (Annotated[list[int], msgspec.Meta(max_length=3)], [3, 1, 3]),
    ],
)
@pytest.mark.parametrize("source", ["query", "header"])
def test_a_list_takes_every_value_of_its_name(
    source: types.ParamSource, type_: Any, value: Any
) -> None:
    data = (
        request("value=3&value=1&value=3")
        if source == "query"
        else request(headers=[(b"value", b"3"), (b"value", b"1"), (b"value", b"3")])
    )
    assert value_of(marked(type_, source), data) == value


@pytest.mark.parametrize(
    ("type_", "query", "message"),
    [
        (list[int], "value=1&value=x", "Item 2: Expected `int`"),
        (list[float], "value=1&value=nan", "Expected a finite number"),
        (list[int | None], "value=null", "Item 1: Expected `int`"),
        (tuple[int, int], "value=1", "Expected a list of length 2, got 1"),
        (
            Annotated[list[int], msgspec.Meta(max_length=1)],
            "value=1&value=2",
            "Expected a list of length <= 1",
        ),
        (
            list[Annotated[int, msgspec.Meta(ge=5)]],
            "value=5&value=4",
            "Item 2: Expected `int` >= 5",
        ),
    ],
)
def test_an_error_in_a_list_names_the_item(type_: Any, query: str, message: str) -> None:
    assert error_of(spec(type_), request(query)) == message


def test_an_empty_list_is_missing() -> None:
    assert error_of(spec(list[int]), request()) == "Missing required parameter"
    assert value_of(spec(list[int], default=()), request()) == ()


def test_a_single_value_given_several_times_in_the_query_is_an_error() -> None:
    message = "Given 3 times, expected once"
    assert error_of(spec(str), request("value=1&value=2&value=1")) == message


def test_header_lines_of_one_name_are_joined_with_commas() -> None:
    data = request(headers=[(b"Accept", b"a/b"), (b"accept", b"c/d")])
    assert value_of(spec(str, Param("header"), name="accept"), data) == "a/b, c/d"


def test_a_headers_name_has_hyphens_for_underscores() -> None:
    param = spec(str, Param("header"), name="user_agent")
    assert param.known.alias == "user-agent"
    assert value_of(param, request(headers=[(b"user-agent", b"curl")])) == "curl"


def test_a_headers_alias_is_found_in_any_case() -> None:
    param = spec(str, Param("header", alias="X_Token"))
    assert value_of(param, request(headers=[(b"x_TOKEN", b"t")])) == "t"
    assert errors_of(param, request())[0].name == "x_token"


def test_a_header_is_read_as_latin_1() -> None:
    data = request(headers=[(b"value", b"\xe9")])
    assert value_of(spec(str, Param("header")), data) == "\N{LATIN SMALL LETTER E WITH ACUTE}"


def test_a_cookie_is_found_among_others_and_in_several_lines() -> None:
    data = request(headers=[(b"cookie", b"a=1; value=2"), (b"cookie", b"c=3")])
    read, _ = read_params([marked(int, "cookie"), spec(int, Param("cookie"), name="c")], data)
    assert read == [2, 3]


@pytest.mark.parametrize("source", ["query", "cookie"])
def test_an_alias_is_the_name_on_the_wire(source: types.ParamSource) -> None:
    param = spec(int, Param(source, alias="max-users"))
    data = request("max-users=3", [(b"cookie", b"max-users=3")])
    assert value_of(param, data) == 3
    assert errors_of(param, request("value=3"))[0].name == "max-users"


def test_the_path_is_read_before_the_query() -> None:
    param = spec(int, name="room", path="/{room}")
    assert param.known.source == "path"
    assert value_of(param, request("room=2", path={"room": "1"})) == 1


def test_an_alias_can_name_a_key_of_the_path() -> None:
    param = spec(int, Param(alias="room_id"), path="/{room_id}")
    assert (param.known.source, param.known.alias) == ("path", "room_id")


def test_a_mark_can_read_the_query_though_the_path_has_the_name() -> None:
    assert spec(int, Param("query"), path="/{value}").known.source == "query"


def test_the_constraints_of_param_and_meta_both_hold() -> None:
    param = spec(Annotated[int, msgspec.Meta(ge=2)], Param(le=4))
    assert error_of(param, request("value=1")) == "Expected `int` >= 2"
    assert error_of(param, request("value=5")) == "Expected `int` <= 4"
    assert value_of(param, request("value=3")) == 3


def test_every_error_is_reported() -> None:
    params = [
        spec(int, name="room", path="/{room}"),
        spec(int, name="limit"),
        spec(bool, name="flag"),
        spec(str, Param("header"), name="x_token"),
        spec(str, Param("cookie"), name="session"),
        spec(str, name="fine"),
    ]
    data = request("limit=x&flag=1&flag=0&fine=1", path={"room": "x"})
    values, errors = read_params(params, data)
    assert len(values) == len(params)
    assert [attrs.asdict(error) for error in errors] == [
        {"location": "path", "name": "room", "message": "Expected `int`"},
        {"location": "query", "name": "limit", "message": "Expected `int`"},
        {"location": "query", "name": "flag", "message": "Given 2 times, expected once"},
        {"location": "header", "name": "x-token", "message": "Missing required parameter"},
        {"location": "cookie", "name": "session", "message": "Missing required parameter"},
    ]


def test_an_error_that_two_parameters_share_is_reported_once() -> None:
    params = [spec(int), spec(int, default=None)]
    assert len(read_params(params, request("value=x"))[1]) == 1


def test_two_parameters_that_ask_for_the_same_are_equal() -> None:
    assert len({spec(int, default=5), spec(int, default=5)}) == 1
    assert len({spec(list[int]), spec(list[int])}) == 1
    other = [
        spec(int),
        spec(str),
        spec(int, default=1),
        spec(int, default=True),
        marked(int, "header"),
    ]
    assert len(set(other)) == 5


# Decoders


def half(text: str) -> float:
    return int(text) / 2


def test_a_decoder_replaces_the_conversion() -> None:
    assert value_of(spec(float, Param(decoder=half)), request("value=5")) == 2.5


def test_a_decoder_of_a_list_gets_one_text() -> None:
    param = spec(list[int], Param("cookie", decoder=lambda text: text.split(".")))
    assert value_of(param, sent("cookie", "1.2")) == ["1", "2"]
    query = spec(list[int], Param(decoder=lambda text: text.split(".")))
    assert error_of(query, request("value=1&value=2")) == "Given 2 times, expected once"


def test_a_decoders_value_error_is_shown() -> None:
    message = "invalid literal for int() with base 10: 'x'"
    assert error_of(spec(int, Param(decoder=half)), request("value=x")) == message


@pytest.mark.parametrize(
    "error",
    [TypeError("<class 'app.Secret'>"), UnicodeDecodeError("x", b"", 0, 1, "y"), ValueError()],
)
def test_errors_that_speak_of_python_are_not_shown(error: Exception) -> None:
    class Decoder:
        def __init__(self, text: str) -> None:
            raise error

    assert error_of(spec(int, Param(decoder=Decoder)), request("value=1")) == "Invalid value"


@pytest.mark.parametrize("decoder", [lambda text: {}[text], lambda text: text + 1])
def test_another_error_of_a_decoder_is_the_applications(decoder: Any) -> None:
    param = spec(int, Param(decoder=decoder))
    with pytest.raises((KeyError, TypeError)):
        read_params([param], request("value=1"))


# Packs


class StructPage(msgspec.Struct):
    size: Annotated[int, msgspec.Meta(le=100)]
    order_by: str = "name"
    tags: list[str] = []
    since: date | None = None


@dataclasses.dataclass
class DataPage:
    size: Annotated[int, msgspec.Meta(le=100)]
    order_by: str = "name"
    tags: list[str] = dataclasses.field(default_factory=list)
    since: date | None = None
    seen: int = dataclasses.field(default=0, init=False)


@attrs.frozen
class AttrsPage:
    size: Annotated[int, Param(le=100)]
    order_by: str = "name"
    tags: list[str] = attrs.field(factory=list)
    since: date | None = None


PAGES = [StructPage, DataPage, AttrsPage]


@pytest.mark.parametrize("page", PAGES)
def test_a_pack_is_read_field_by_field(page: Any) -> None:
    param = spec(page, Param("query"))
    data = request("size=10&tags=a&tags=b&since=2024-01-01")
    assert value_of(param, data) == page(10, "name", ["a", "b"], date(2024, 1, 1))
    assert param.known.type_name == page.__name__
    assert [part.alias for part in param.known.fields] == ["size", "order_by", "tags", "since"]


@pytest.mark.parametrize("page", PAGES)
def test_the_defaults_of_a_pack_are_made_anew_for_each_request(page: Any) -> None:
    param = spec(page, Param("query"))
    value_of(param, request("size=1")).tags.append("x")
    assert value_of(param, request("size=1")) == page(1)


@pytest.mark.parametrize("page", PAGES)
def test_every_error_in_a_pack_is_reported_under_its_fields_name(page: Any) -> None:
    found = errors_of(spec(page, Param("query")), request("size=101&since=x&order_by=a&order_by=b"))
    assert [(error.name, error.message) for error in found] == [
        ("size", "Expected `int` <= 100"),
        ("order_by", "Given 2 times, expected once"),
        ("since", "Invalid RFC3339 encoded date"),
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_pack_with_a_required_field_is_required(page: Any) -> None:
    param = spec(page, Param("query"))
    assert param.known.required
    assert errors_of(param, request()) == [
        ParamError("query", "size", "Missing required parameter")
    ]


@pytest.mark.parametrize("page", PAGES)
def test_the_default_of_a_pack_is_used_if_none_of_its_fields_is_given(page: Any) -> None:
    param = spec(page | None, Param("query"), default=None)
    assert value_of(param, request("other=1")) is None
    assert value_of(param, request("size=1")) == page(1)
    assert error_of(param, request("order_by=x")) == "Missing required parameter"


def test_a_pack_of_defaults_needs_no_query() -> None:
    class Page(msgspec.Struct):
        size: int = 10
        seed: float = msgspec.field(default_factory=lambda: math.pi)

    param = spec(Page, Param("query"))
    assert not param.known.required
    assert value_of(param, request()) == Page(10, math.pi)


def test_a_pack_can_be_read_from_headers() -> None:
    class Client(msgspec.Struct):
        user_agent: str
        trace: str = msgspec.field(name="X_Trace")
        accept: list[str] = []

    headers = [(b"user-agent", b"curl"), (b"x_trace", b"1"), (b"accept", b"a"), (b"accept", b"b")]
    found = value_of(spec(Client, Param("header")), request(headers=headers))
    assert found == Client("curl", "1", ["a", "b"])


def test_a_private_attribute_has_hyphens_in_a_header_too() -> None:
    @attrs.frozen
    class Client:
        _user_agent: str

    found = value_of(spec(Client, Param("header")), request(headers=[(b"user-agent", b"curl")]))
    assert found == Client("curl")


def test_a_pack_can_be_read_from_cookies() -> None:
    data = request(headers=[(b"cookie", b"low=1; high=2; more=3")])
    assert value_of(spec(DataSpan, Param("cookie")), data) == DataSpan(1, 2)


def test_the_fields_of_a_pack_are_called_what_their_class_says() -> None:
    class Page(msgspec.Struct, rename="camel"):
        page_size: int
        order: str = msgspec.field(name="sort-by")

    @attrs.frozen
    class Other:
        page_size: Annotated[int, Param(alias="pageSize")]
        order: str = attrs.field(alias="sort")

    page, errors = read_params(
        [spec(Page, Param("query")), spec(Other, Param("query"))],
        request("pageSize=1&sort-by=a&sort=b"),
    )
    assert errors == []
    assert page == [Page(1, "a"), Other(1, sort="b")]


def test_a_field_of_a_pack_can_have_a_decoder() -> None:
    class Page(msgspec.Struct):
        ids: Annotated[list[int], Param(decoder=lambda text: [int(n) for n in text.split(",")])]

    assert value_of(spec(Page, Param("query")), request("ids=1,2")) == Page([1, 2])


def test_a_generic_struct_is_a_pack() -> None:
    item = TypeVar("item")

    class Range(msgspec.Struct, Generic[item]):
        low: item

    assert value_of(spec(Range[int], Param("query")), request("low=3")) == Range(3)


def test_an_unset_field_stays_unset() -> None:
    class Page(msgspec.Struct):
        size: int | msgspec.UnsetType = msgspec.UNSET

    param = spec(Page, Param("query"))
    assert value_of(param, request()).size is msgspec.UNSET
    assert value_of(param, request("size=3")).size == 3


def test_a_default_of_attrs_may_look_at_the_object() -> None:
    @attrs.frozen
    class Page:
        size: int
        limit: int = attrs.field()

        @limit.default
        def _(self) -> int:
            return self.size * 2

    assert value_of(spec(Page, Param("query")), request("size=3")) == Page(3, 6)


def test_a_field_that_init_does_not_take_is_not_read() -> None:
    @attrs.define
    class Page:
        size: int
        seen: int = attrs.field(default=0, init=False)

    assert value_of(spec(Page, Param("query")), request("size=3&seen=5")) == Page(3)


def test_a_pack_may_have_an_init_that_takes_any_keywords() -> None:
    @dataclasses.dataclass(init=False)
    class Page:
        size: int

        def __init__(self, **given: int) -> None:
            self.size = given["size"] + 1

    assert value_of(spec(Page, Param("query")), request("size=3")).size == 4


class StructSpan(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        check(self.low, self.high)


@dataclasses.dataclass
class DataSpan:
    low: int
    high: int

    def __post_init__(self) -> None:
        check(self.low, self.high)


@attrs.define
class AttrsSpan:
    low: int
    high: int

    def __attrs_post_init__(self) -> None:
        check(self.low, self.high)


def check(low: int, high: int) -> None:
    if low > high:
        raise ValueError("low is above high")
    if low == 0:
        raise TypeError("unsupported operand for <class 'app.Secret'>")
    if low < 0:
        raise KeyError("a bug")


@pytest.mark.parametrize("span", [StructSpan, DataSpan, AttrsSpan])
def test_the_packs_own_check_is_reported_under_the_parameters_name(span: Any) -> None:
    param = spec(span, Param("query"), name="span")
    assert errors_of(param, request("low=3&high=2")) == [
        ParamError("query", "span", "low is above high")
    ]
    assert error_of(param, request("low=0&high=2")) == "Invalid value"
    with pytest.raises(KeyError):
        read_params([param], request("low=-1&high=2"))


def test_a_validator_of_attrs_shows_its_sentence_only() -> None:
    @attrs.define
    class Page:
        name: str = attrs.field(validator=attrs.validators.matches_re("[a-z]+"))

    message = error_of(spec(Page, Param("query")), request("name=1"))
    assert message.startswith("'name' must match regex '[a-z]+'")
    assert "Attribute" not in message


# The table that `triows routes` shows


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        (int, "int"),
        (int | None, "int | None"),
        (list[str], "list[str]"),
        (Sequence[Decimal], "Sequence[Decimal]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Annotated[int, msgspec.Meta(ge=1)], "int"),
        (list[Annotated[Colour, "x"] | None], "list[Colour | None]"),
        (UserId, "UserId"),
        (Any, "Any"),
    ],
)
def test_a_type_is_named_as_a_person_writes_it(type_: Any, name: str) -> None:
    assert spec(type_).known.type_name == name


def test_a_spec_keeps_the_type_with_its_constraints() -> None:
    assert spec(int | None, Param(ge=1)).known.type == Annotated[int | None, msgspec.Meta(ge=1)]
    assert spec(int).known.required
    assert not spec(int, default=None).known.required
