"""The short way to read parameters comes to the same as the general one, or to nothing."""

from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from triows._injection.conversion import converter
from triows._injection.parameter import MISSING, Parameter
from triows._injection.plain import PlainText, read_plain
from triows._injection.query import RequestData
from triows._injection.readers import ParamSpec, read_params, text_reader
from triows._injection.sources import PATH, QUERY

TO_INT = converter(int)
TEXTS = [
    PlainText(is_path=True, alias="id", convert=TO_INT, default=None),
    PlainText(is_path=False, alias="a", convert=TO_INT, default=None),
    PlainText(is_path=False, alias="b", convert=TO_INT, default=lambda: 7),
]


def read(query: bytes, *, path: Any = None, most: int = 3) -> list[Any] | None:
    return read_plain(TEXTS, {"id": "1"} if path is None else path, query, most)


def test_values_come_in_the_order_of_the_parameters():
    assert read(b"b=3&a=2") == [1, 2, 3]


def test_a_default_is_made_if_the_request_has_no_value():
    assert read(b"a=2") == [1, 2, 7]


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"b=3",
        b"a=x",
        b"a=2&a=2",
        b"a=%32",
        b"a=2&c=+",
        b"a=2&c=\xc3\xbc",
        b"a=2&&b=3",
        b"a=2&",
        b"a=2&b=3&c=4&d=5",
    ],
)
def test_what_is_unusual_is_left_to_the_general_way(query):
    assert read(query) is None


def test_a_path_that_a_middleware_has_replaced_may_lack_a_value():
    assert read(b"a=2", path={}) is None


def spec(text: PlainText) -> ParamSpec:
    source = PATH if text.is_path else QUERY
    default = MISSING if text.default is None else text.default()
    known = Parameter(text.alias, source.name, text.alias, int, default)
    return ParamSpec(known, text_reader(source, text.alias, "text", text.convert, text.default))


PIECES = st.sampled_from(["a", "b", "c", "=", "&", "1", "2", "x", "%31", "+", "-", "\u00fc"])


@given(
    st.lists(PIECES, max_size=12).map("".join),
    st.sampled_from(["1", "x", "", "-5"]),
)
@example("a=1&b=2", "1")
def test_what_it_reads_is_what_the_general_way_reads(query, number):
    raw = query.encode()
    short = read(raw, path={"id": number})
    if short is None:
        return
    data = RequestData(raw, [], {"id": number}, max_query_parameters=3)
    assert read_params([spec(text) for text in TEXTS], data) == (short, [])
