"""Decoding what a request carries: its query, its headers and its cookies."""

import pytest

from triows._injection.query import RequestData, excerpt, parse_query
from triows._param_error import ParamError


def request(query=b"", headers=()):
    return RequestData(query, headers, {}, max_query_parameters=3)


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (b"", {}),
        (b"a=1&b=2", {"a": ["1"], "b": ["2"]}),
        (b"a=1&a=2", {"a": ["1", "2"]}),
        (b"a=x+y%2B", {"a": ["x y+"]}),
        (b"a", {"a": [""]}),
        (b"&a=1&", {"a": ["1"]}),
    ],
)
def test_a_query_is_decoded_as_browsers_encode_it(query, values):
    parsed = parse_query(query, 10)
    assert parsed.values == values
    assert not parsed.errors


@pytest.mark.parametrize(
    ("query", "message"),
    [(b"a=%zz", "Malformed percent-encoding"), (b"a=%ff", "Not valid UTF-8")],
)
def test_what_can_not_be_decoded_is_an_error_and_never_replaced(query, message):
    parsed = parse_query(query, 10)
    assert parsed.errors == [ParamError("query", "a", message)]
    assert parsed.hides("a")
    assert not parsed.hides("b")


def test_a_name_of_which_one_value_can_not_be_decoded_has_no_value():
    parsed = parse_query(b"a=1&a=%zz&b=2", 10)
    assert parsed.values == {"b": ["2"]}


def test_a_query_with_too_many_pairs_is_not_decoded_at_all():
    parsed = parse_query(b"a=1&b=2&c=3", 2)
    assert parsed.values == {}
    assert parsed.refused
    assert parsed.hides("anything")
    assert [error.message for error in parsed.errors] == ["More than 2 query parameters"]


def test_the_id_of_the_last_event_is_utf_8():
    data = request(headers=[(b"Last-Event-ID", b"\xc3\xa4"), (b"last-event-id", b"\xff")])
    assert data.headers == {"last-event-id": ["\N{LATIN SMALL LETTER A WITH DIAERESIS}", "\udcff"]}


def test_headers_have_their_lines_by_name_in_lower_case():
    data = request(headers=[(b"X-A", b"1"), (b"x-a", b"\xe9")])
    assert data.headers == {"x-a": ["1", "\N{LATIN SMALL LETTER E WITH ACUTE}"]}


def test_cookies_may_come_in_several_lines_and_the_last_of_a_name_counts():
    data = request(headers=[(b"cookie", b"a=1; b=2"), (b"cookie", b"a=3")])
    assert data.cookies == {"a": "3", "b": "2"}


def test_a_part_of_a_request_is_decoded_once():
    data = request(b"a=1")
    assert data.query is data.query


def test_an_excerpt_is_short_and_has_no_control_characters():
    assert excerpt("fine") == "fine"
    assert excerpt("a\nb") == "a\N{REPLACEMENT CHARACTER}b"
    assert excerpt("x" * 201) == "x" * 200 + "..."
