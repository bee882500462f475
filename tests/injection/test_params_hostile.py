"""Requests that try to do harm. They result in values or errors, and in nothing else."""

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import attrs
import msgspec
import pytest
from hypothesis import example, given, strategies as st
from starlette.requests import cookie_parser

from tests.injection.kinds import WEBSOCKETS
from triows import types
from triows._cookies import parse_cookies
from triows._injection import query as query_module
from triows._injection.parameter import MISSING
from triows._injection.params import param_spec
from triows._injection.query import RequestData, excerpt, parse_query
from triows._injection.readers import ParamSpec, read_params
from triows._param_error import ParamError
from triows._routing.template import Template

PATH_KEYS = Template.parse("/{p}").by_name

MALFORMED = "Malformed percent-encoding"
NOT_UTF8 = "Not valid UTF-8"


def spec(
    annotation: Any, mark: types.ParamMark | None = None, name: str = "a", default: Any = MISSING
) -> ParamSpec:
    return param_spec(
        name, annotation, default, mark=mark, path_keys=PATH_KEYS, kind=WEBSOCKETS, where="here"
    )


def read(query: bytes, *specs: ParamSpec, limit: int = 100) -> tuple[list[Any], list[ParamError]]:
    return read_params(specs, RequestData(query, [], {}, max_query_parameters=limit))


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"a=x+y", "x y"),
        (b"a=x%2By", "x+y"),
        (b"a=x%20y", "x y"),
        (b"a=%C3%A9", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
        (b"a=\xc3\xa9", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
        (b"%61=1", "1"),
        (b"a", ""),
        (b"a=", ""),
        (b"a=b=c", "b=c"),
        (b"&&b=1&&a=1&", "1"),
        (b"a=x;b=y", "x;b=y"),
        (b"=1&a=2", "2"),
    ],
)
def test_a_query_is_decoded_as_a_form(query: bytes, value: str) -> None:
    assert read(query, spec(str)) == ([value], [])


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        (b"a=%zz", "a", MALFORMED),
        (b"a=%", "a", MALFORMED),
        (b"a=100%&b=1", "a", MALFORMED),
        (b"a=%4", "a", MALFORMED),
        (b"a=%+1", "a", MALFORMED),
        (b"a=%%41", "a", MALFORMED),
        (b"%=1&a=1", "", MALFORMED),
        (b"b=%zz&a=1", "b", MALFORMED),
        (b"a=%ff", "a", NOT_UTF8),
        (b"a=\xff", "a", NOT_UTF8),
        (b"a=%C3", "a", NOT_UTF8),
        (b"a=%ED%A0%80", "a", NOT_UTF8),
        (b"a=%C0%80", "a", NOT_UTF8),
        (b"\xff=1&a=1", "", NOT_UTF8),
    ],
)
def test_a_query_that_can_not_be_decoded_is_one_error(
    query: bytes, name: str, message: str
) -> None:
    assert read(query, spec(str))[1] == [ParamError("query", name, message)]


def test_a_name_that_was_malformed_once_is_malformed() -> None:
    assert read(b"a=1&a=%zz&a=%zz", spec(int))[1] == [ParamError("query", "a", MALFORMED)]


def test_a_default_does_not_hide_a_malformed_value() -> None:
    assert read(b"a=%zz", spec(int, default=1))[1] == [ParamError("query", "a", MALFORMED)]


def test_each_malformed_name_is_reported() -> None:
    _, errors = read(b"a=%zz&b=%ff&c=x", spec(int), spec(int, name="c"))
    assert errors == [
        ParamError("query", "a", MALFORMED),
        ParamError("query", "b", NOT_UTF8),
        ParamError("query", "c", "Expected `int`"),
    ]


def test_a_malformed_query_is_refused_even_if_no_one_reads_it() -> None:
    assert read(b"a=%zz", spec(str, types.Param("header"), "x", ""))[1]


def test_a_query_that_nothing_could_read_is_not_looked_at() -> None:
    assert read(b"a=%zz") == ([], [])


@pytest.mark.parametrize("query", [b"a=1&b=2&a=3", b"a=1&&b=2", b"a&" * 1000, b"b=%zz&" * 10])
def test_too_many_parameters_are_one_error_and_nothing_is_missing(query: bytes) -> None:
    error = ParamError("query", "", "More than 2 query parameters")
    header = ParamError("header", "x", "Missing required parameter")
    _, errors = read(query, spec(int), spec(str, types.Param("header"), "x"), limit=2)
    assert errors == [error, header]


def test_as_many_parameters_as_allowed_are_read() -> None:
    assert read(b"&a=1&b=2&", spec(int), limit=2) == ([1], [])


class Page(msgspec.Struct):
    size: int
    page: int = 1


def test_a_pack_is_not_made_from_a_refused_query() -> None:
    _, errors = read(b"size=1&x=%zz&y=1", spec(Page, types.Param("query")), limit=2)
    assert [error.message for error in errors] == ["More than 2 query parameters"]
    _, errors = read(b"size=1&page=%zz", spec(Page, types.Param("query")))
    assert errors == [ParamError("query", "page", MALFORMED)]


def test_nothing_of_a_query_with_too_many_parameters_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decode(raw: bytes) -> str:
        raise AssertionError(raw)

    monkeypatch.setattr(query_module, "_decode", decode)
    assert parse_query(b"a=%41&" * 200_000, 100).refused
    with pytest.raises(AssertionError):  # this proves that the patch replaces the decoding
        parse_query(b"a=%41", 100)


@pytest.mark.parametrize("unit", [b"%41", b"+", b"%zz", b"%", b"=", b"\xff", b"\xc3\xa9", b"x"])
def test_a_megabyte_in_one_parameter_is_read_or_refused(unit: bytes) -> None:
    query = b"a=" + unit * (2**20 // len(unit))
    _, errors = read(query, spec(Literal["x", "y"]))
    assert len(errors) == 1
    assert len(errors[0].message) < 300


def test_what_is_shown_of_the_peers_text_is_short_and_printable() -> None:
    _, errors = read(b"a=%00%1b[31m%E2%80%AE" + b"x" * 500, spec(Literal["x"]))
    (error,) = errors
    assert error.message.isprintable()
    assert len(error.message) <= 203
    assert excerpt("a\nb") == "a\N{REPLACEMENT CHARACTER}b"
    assert excerpt("fine") == "fine"


def test_a_value_that_imitates_an_error_message_is_shown_as_it_is() -> None:
    _, errors = read(b"a=x', got `str` - at `$[0][7]`", spec(Literal["x"]))
    assert errors[0].message == 'Invalid enum value "x\', got `str` - at `$[0][7]`"'


@given(st.text(st.sampled_from('ab=;" \\0178\n\xe9'), max_size=12))
@example('a="\\\\042"; b="\\"; c=""; =; d')
def test_cookies_are_read_as_starlette_reads_them(header: str) -> None:
    assert parse_cookies(header) == cookie_parser(header)


class Colour(enum.Enum):
    RED = "red"


TYPES: list[Any] = [
    str, int, float, bool, decimal.Decimal, uuid.UUID, datetime.datetime, datetime.date,
    datetime.time, datetime.timedelta, Colour, Literal["a", 1], int | None, float | bool,
    Annotated[str, msgspec.Meta(pattern="^a", max_length=3)], Annotated[int, msgspec.Meta(ge=3)],
]  # fmt: skip
SPECS = [
    param_spec("p", type_, MISSING, mark=None, path_keys=PATH_KEYS, kind=WEBSOCKETS, where="here")
    for type_ in TYPES
]
SPECS += [
    spec(type_, types.Param(source)) for type_ in TYPES for source in ("query", "header", "cookie")
]
SPECS += [
    spec(list[type_], types.Param(source)) for type_ in TYPES for source in ("query", "header")
]
SPECS += [spec(Page, types.Param(source)) for source in ("query", "header", "cookie")]

# Texts that the types almost accept. Random bytes never come close.
likely = st.sampled_from(
    [
        b"1",
        b"-1.5e9",
        b"nan",
        b"red",
        b"P1D",
        b"2020-01-01T00:00:00Z",
        b"%",
        b"%41",
        b"%ff",
        b"null",
    ]
)
raw = st.one_of(st.binary(max_size=30), likely, st.lists(likely).map(b"".join))
pairs = st.lists(st.tuples(st.sampled_from([b"a", b"size", b"%61", b"b", b""]), raw), max_size=6)
queries = st.one_of(st.binary(), pairs.map(lambda pairs: b"&".join(b"=".join(p) for p in pairs)))
names = st.sampled_from([b"a", b"A", b"size", b"cookie"])
cookies = st.one_of(raw, raw.map(lambda value: b'a="' + value + b'"; size=' + value))
headers = st.lists(st.tuples(names, st.one_of(raw, cookies)), max_size=5)


@pytest.mark.unmeasured
@given(queries, headers, st.one_of(st.text(), st.text(st.characters())))
@example(b"a=1e999999999", [(b"cookie", b'a="\\777"')], "\ud800")
@example(b"a=" + b"9" * 5000, [], "1e-999999999")
def test_any_request_gives_values_or_errors_fit_to_be_shown(
    query: bytes, headers: list[tuple[bytes, bytes]], path: str
) -> None:
    data = RequestData(query, headers, {"p": path}, max_query_parameters=5)
    values, errors = read_params(SPECS, data)
    assert len(values) == len(SPECS)
    assert len(set(errors)) == len(errors)
    for error in errors:
        assert error.message
        for text in attrs.astuple(error):
            assert text.isprintable()
            assert len(text) <= 203
        assert "Traceback" not in error.message
        assert "<class" not in error.message
        assert "msgspec" not in error.message
