"""The table of sources: one row says all that is different about a part of a request."""

from typing import Annotated, Any, get_args

import attrs
import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.injection.kinds import WEBSOCKETS
from triows._injection.parameter import MISSING
from triows._injection.params import param_spec
from triows._injection.query import RequestData
from triows._injection.readers import read_params
from triows._injection.sources import COOKIE, FORM, HEADER, PATH, QUERY, SOURCES, UnusableName
from triows._param_error import ParamError
from triows._routing.template import Template
from triows.exceptions import HandlerSignatureError
from triows.types import Param, ParamMark, ParamSource


def request(query=b"", headers=(), path=None):
    return RequestData(query, headers, path or {}, max_query_parameters=100)


def read(annotation, source, data, alias=None):
    # Param() checks the source, and knows only those of the table. A mark doesn't.
    mark = ParamMark(source=source, alias=alias, decoder=None, constraint=None)
    spec = param_spec(
        "value", annotation, MISSING, mark=mark, path_keys={}, kind=WEBSOCKETS, where="chat.py:12"
    )
    (value,), errors = read_params([spec], data)
    return errors or value


def refused(annotation, source, *, path="/"):
    keys = Template.parse(path).by_name
    with pytest.raises(HandlerSignatureError) as caught:
        param_spec(
            "value",
            annotation,
            MISSING,
            mark=Param(source),
            path_keys=keys,
            kind=WEBSOCKETS,
            where="chat.py:12",
        )
    return caught.value.message


class Page(msgspec.Struct):
    size: int


def test_the_table_has_a_row_for_each_word_that_param_takes():
    assert {*SOURCES, "body"} == {*get_args(ParamSource)}
    assert all(source.name == name for name, source in SOURCES.items())


@pytest.mark.parametrize("source", ["form"])
def test_a_handshake_has_no_body_to_read_from(source):
    assert refused(str, source) == (
        f'parameter `value`: a WebSocket handshake has no body for Param("{source}") to read'
    )


def test_each_source_has_its_own_values():
    data = request(b"a=1", [(b"X-A", b"2"), (b"cookie", b"a=3")], {"a": "4"})
    assert QUERY.values(data) == {"a": ["1"]}
    assert HEADER.values(data) == {"x-a": ["2"], "cookie": ["a=3"]}
    assert COOKIE.values(data) == {"a": "3"}
    assert PATH.values(data) == {"a": "4"}


def test_a_name_of_the_query_has_one_text_and_lines_of_a_header_are_joined():
    assert HEADER.joined(["a", "b"]) == "a, b"
    twice = request(b"value=a&value=b", [(b"value", b"a"), (b"value", b"b")])
    assert read(str, "header", twice) == "a, b"
    assert read(str, "query", twice) == [
        ParamError("query", "value", "Given 2 times, expected once")
    ]


@pytest.mark.parametrize("type_", [str, Any, str | None, list[str], list[Any]])
def test_a_header_that_has_to_be_utf_8_is_that_or_is_refused(type_):
    def last(raw):
        data = request(headers=[(b"last-event-id", raw)])
        return read(type_, "header", data, "Last-Event-ID")

    for text in ("1", "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "\N{SNOWMAN}"):
        assert last(text.encode()) in (text, [text])
    for raw in (b"\xff", b"a\xc3", b"\xed\xa0\x80"):
        assert last(raw) == [ParamError("header", "last-event-id", "Not valid UTF-8")]


@pytest.mark.parametrize("source", [QUERY, HEADER])
def test_a_list_is_read_from_a_source_in_which_a_name_has_several_texts(source):
    data = request(b"value=1&value=2", [(b"value", b"1"), (b"value", b"2")])
    assert read(list[int], source.name, data) == [1, 2]


@pytest.mark.parametrize("source", [PATH, COOKIE])
def test_a_list_is_refused_where_a_name_has_one_text_with_what_to_do(source):
    message = refused(list[int], source.name, path="/{value}")
    assert source.instead_of_list.format(alias="value") in message


def test_a_headers_name_is_made_with_hyphens_in_lower_case():
    assert HEADER.named("user_agent", None) == "user-agent"
    assert HEADER.named("token", "X_Token") == "x_token"
    with pytest.raises(UnusableName, match="can't be the name of a header"):
        HEADER.named("token", "x token")


@pytest.mark.parametrize("source", [PATH, QUERY, COOKIE])
def test_other_names_are_used_as_they_are(source):
    assert source.named("User_Agent", None) == "User_Agent"
    assert source.named("value", "x token") == "x token"


@pytest.mark.parametrize(
    "name", ["a;b", "a=b", " a", "a ", "a\t", "a\r\n", "\x00", "ä", "€", "\ud800", "\xa0a"]
)
def test_a_cookie_has_a_name_that_can_arrive(name):
    with pytest.raises(UnusableName, match="can't be the name of a cookie"):
        COOKIE.named("value", name)


@given(st.text(min_size=1, alphabet=st.characters(max_codepoint=0x200)))
def test_a_cookie_arrives_under_each_name_that_is_taken(name):
    try:
        COOKIE.named("value", name)
    except UnusableName:
        return
    data = request(headers=[(b"cookie", f"x=1; {name}=2; y=3".encode())])
    assert COOKIE.values(data)[name] == "2"


@pytest.mark.parametrize("source", [QUERY, FORM])
def test_half_of_a_surrogate_pair_can_not_arrive(source):
    with pytest.raises(UnusableName, match="UTF-8 has no bytes for half of a surrogate pair"):
        source.named("value", "a\ud800")


def test_only_the_query_has_names_that_an_error_hides():
    data = request(b"a=%zz&b=1", [(b"cookie", b"c=1")])
    assert QUERY.hides(data, "a")
    assert not QUERY.hides(data, "b")
    assert not any(source.hides(data, "a") for source in (PATH, HEADER, COOKIE))


def test_a_pack_is_refused_in_the_path():
    assert "has no body to make a Page from" in refused(Page, "path", path="/{value}")


@pytest.mark.parametrize("source", [HEADER, COOKIE])
def test_a_closed_pack_is_refused_where_clients_send_what_nobody_asked_for(source):
    class Closed(msgspec.Struct, forbid_unknown_fields=True):
        size: int

    assert f"every client sends {source.name}s" in refused(Closed, source.name)


def test_a_new_source_is_one_row(monkeypatch):
    fragment = attrs.evolve(
        QUERY,
        name="fragment",
        values=lambda data: {"size": ["7"], "value": ["1", "2"]},
        hides=lambda data, name: False,
    )
    monkeypatch.setitem(SOURCES, "fragment", fragment)

    class Closed(msgspec.Struct, forbid_unknown_fields=True):
        size: int

    assert read(list[int], "fragment", request()) == [1, 2]
    assert read(Annotated[Page, "text"], "fragment", request()) == Page(7)
    assert read(Closed, "fragment", request()) == [
        ParamError("fragment", "value", "Unknown parameter")
    ]
    assert read(str, "fragment", request()) == [
        ParamError("fragment", "value", "Given 2 times, expected once")
    ]
