from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from triows._headers import SteadyHeaders, encode_headers


def test_headers_are_a_mapping_or_pairs_of_str_or_of_bytes():
    encoded = [(b"x-a", b"1"), (b"x-b", b"2")]
    assert encode_headers({"X-A": "1", "X-B": "2"}) == encoded
    assert encode_headers([("X-A", "1"), ("X-B", "2")]) == encoded
    assert encode_headers([(b"X-A", b"1"), (b"X-B", b"2")]) == encoded


def test_a_header_may_come_twice():
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    assert encode_headers(cookies) == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]


@pytest.mark.parametrize("value", ["", "a", "a b\tc", 'a;b="c"', "caf\xe9", "!", "~", "[::1]:80"])
def test_a_value_may_have_visible_characters_and_blanks_inside(value):
    assert encode_headers({"x-a": value}) == [(b"x-a", value.encode("latin-1"))]


@pytest.mark.parametrize(
    "value",
    [
        "a\r\nSet-Cookie: b=1",
        "a\n",
        "\na",
        "a\rb",
        "a\0",
        "\x7f",
        "a\x1f",
        " a",
        "a ",
        "\ta",
        "\N{GREEK SMALL LETTER ALPHA}",
        "\ud800",
        b"a\r\nb: c",
        b"a\0",
    ],
)
def test_a_value_that_could_be_taken_for_more_is_refused(value):
    name = "x-a" if isinstance(value, str) else b"x-a"
    with pytest.raises(ValueError, match="characters that are not allowed in a header"):
        encode_headers([(name, value)])


@pytest.mark.parametrize(
    "name",
    ["", " ", "x a", "x:a", "x-a ", "x\r\ny", "x\0", "\xe9", "x(", b"x\n", b":status", b""],
)
def test_a_name_that_is_no_token_is_refused(name):
    value = "1" if isinstance(name, str) else b"1"
    with pytest.raises(ValueError, match="can't be a header's name"):
        encode_headers([(name, value)])


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "upgrade",
        "Content-Length",
        "TRANSFER-ENCODING",
        "Sec-WebSocket-Accept",
        "sec-websocket-protocol",
        "Sec-WebSocket-Extensions",
        b"SEC-WEBSOCKET-ACCEPT",
    ],
)
def test_what_the_handshake_writes_itself_is_refused(name):
    value = "1" if isinstance(name, str) else b"1"
    with pytest.raises(ValueError, match=r"the server writes the header .* itself: leave it out"):
        encode_headers([(name, value)])


@pytest.mark.parametrize("pair", [("x-a", 1), (1, "a"), ("x-a", None), (bytearray(b"x"), b"1")])
def test_what_is_no_text_is_a_type_error(pair):
    with pytest.raises(TypeError, match="headers are str or bytes"):
        encode_headers([pair])


@given(st.binary(max_size=8) | st.text(max_size=8), st.binary() | st.text())
def test_no_header_ends_its_line(name, value):
    try:
        ((raw_name, raw_value),) = encode_headers([(name, value)])
    except ValueError:
        return
    assert not set(raw_name + raw_value) & set(b"\r\n\0")
    assert b":" not in raw_name


def test_steady_headers_are_pairs_with_lines_that_were_written_once():
    headers = SteadyHeaders([(b"Vary", b"accept"), (b"content-type", b"text/plain")])
    assert headers == ((b"vary", b"accept"), (b"content-type", b"text/plain"))
    assert headers.lines == b"vary: accept\r\ncontent-type: text/plain\r\n"


@pytest.mark.parametrize("name", [b"content-length", b"connection", b"a b"])
def test_steady_headers_refuse_what_a_response_decides(name):
    with pytest.raises(ValueError, match="header"):
        SteadyHeaders([(name, b"1")])
