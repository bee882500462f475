"""Readers take values from a request, and report everything that is wrong with it."""

import msgspec
import pytest

from triows._injection.conversion import converter
from triows._injection.parameter import MISSING, Parameter
from triows._injection.query import RequestData
from triows._injection.readers import ParamSpec, omitted, pack_reader, read_params, text_reader
from triows._injection.sources import COOKIE, QUERY
from triows._param_error import ParamError


def request(query=b"", cookie=b""):
    return RequestData(query, [(b"cookie", cookie)], {}, max_query_parameters=100)


def number(name, default=None, *, source=QUERY, kind="text"):
    """Make a parameter that is an int, or a list of them, without `param_spec`."""
    convert = converter(int if kind == "text" else list[int])
    known = Parameter(name, source.name, name, int, MISSING if default is None else default)
    return ParamSpec(known, text_reader(source, name, kind, convert, default))


def test_values_come_in_the_order_of_the_parameters():
    data = request(b"b=2&a=1", b"c=3")
    specs = [number("a"), number("b"), number("c", source=COOKIE)]
    assert read_params(specs, data) == ([1, 2, 3], [])


def test_a_default_is_made_if_the_request_has_no_value():
    assert read_params([number("a", lambda: 7)], request()) == ([7], [])


def test_all_errors_are_reported_each_once():
    specs = [number("a"), number("b"), number("a", lambda: 0), number("c")]
    _, errors = read_params(specs, request(b"a=x&b=1&b=2"))
    assert errors == [
        ParamError("query", "a", "Expected `int`"),
        ParamError("query", "b", "Given 2 times, expected once"),
        ParamError("query", "c", "Missing required parameter"),
    ]


def test_a_query_that_can_not_be_decoded_is_an_error_whatever_is_read():
    assert read_params([number("c", source=COOKIE)], request(b"a=%zz", b"c=1"))[1] == [
        ParamError("query", "a", "Malformed percent-encoding")
    ]


def test_nothing_is_decoded_if_there_are_no_parameters():
    assert read_params([], request(b"a=%zz")) == ([], [])


def test_a_value_that_could_not_be_decoded_is_not_said_to_be_missing_too():
    _, errors = read_params([number("a")], request(b"a=%zz"))
    assert [error.message for error in errors] == ["Malformed percent-encoding"]


class Span(msgspec.Struct):
    first: int
    last: int = 9

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("the last comes first")


def span(default=None):
    parts = [number("first"), number("last", omitted)]
    return pack_reader(QUERY, "span", Span, parts, default)


@pytest.mark.parametrize(
    ("query", "value"), [(b"first=1&last=2", Span(1, 2)), (b"first=1", Span(1, 9))]
)
def test_a_pack_is_made_of_its_fields_and_its_class_fills_in_the_others(query, value):
    errors = []
    assert span()(request(query), errors) == value
    assert errors == []


def test_a_packs_default_is_taken_only_if_none_of_its_fields_is_given():
    errors = []
    whole = Span(3, 4)
    assert span(lambda: whole)(request(b"other=1"), errors) is whole
    assert errors == []
    span(lambda: whole)(request(b"last=1"), errors)
    assert errors == [ParamError("query", "first", "Missing required parameter")]


def test_what_a_packs_own_check_says_is_reported_under_the_packs_name():
    errors = []
    span()(request(b"first=2&last=1"), errors)
    assert errors == [ParamError("query", "span", "the last comes first")]


def test_a_pack_whose_fields_have_errors_is_not_made():
    errors = []
    span()(request(b"first=x&last=y"), errors)
    assert [error.name for error in errors] == ["first", "last"]


def test_a_closed_pack_refuses_names_that_no_other_parameter_reads():
    parts = [number("first")]
    known = Parameter("span", "query", "span", Span, MISSING, fields=(parts[0].known,), closed=True)
    closed = ParamSpec(known, pack_reader(QUERY, "span", Span, parts, None))
    # The cookie of that name is another parameter.
    specs = [closed, number("page"), number("last", source=COOKIE)]
    _, errors = read_params(specs, request(b"first=1&page=1&last=3&x\n=1", b"last=1"))
    assert errors == [
        ParamError("query", "last", "Unknown parameter"),
        ParamError("query", "x\N{REPLACEMENT CHARACTER}", "Unknown parameter"),
    ]
