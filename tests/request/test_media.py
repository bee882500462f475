"""Media types, as clients write them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from triows._request.media import MediaType, UnsupportedMedia, parse_media_type


@pytest.mark.parametrize(
    ("value", "media"),
    [
        (b"application/json", MediaType("application/json", {})),
        (b"Application/JSON", MediaType("application/json", {})),
        (b" text/plain ", MediaType("text/plain", {})),
        (b"text/plain;charset=UTF-8", MediaType("text/plain", {"charset": "UTF-8"})),
        (b"text/plain ; Charset=x ; ; b=2;", MediaType("text/plain", {"charset": "x", "b": "2"})),
        (b'a/b; c="d;e=f"', MediaType("a/b", {"c": "d;e=f"})),
        (rb'a/b; c="\"\\"', MediaType("a/b", {"c": '"\\'})),
        (b'a/b; c=""', MediaType("a/b", {"c": ""})),
    ],
)
def test_a_media_type_has_an_essence_and_parameters(value, media):
    assert parse_media_type(value) == media


@pytest.mark.parametrize(
    "value",
    [
        b"", b"text", b"text/", b"/plain", b"*", b"text/plain, text/html", b"text/plain charset=x",
        b"a/b; c", b"a/b; c=", b'a/b; c="', b'a/b; c="d', b'a/b; c="\\"', b"a/b; c = d",
        b"a/b; =d", b"a/b; c=d e", b"a/b; c=1; c=2", b"a/b; c=1; C=1", b"\xff/\xff", b"a/b; c=\xff",
    ],
)  # fmt: skip
def test_what_is_malformed_or_ambiguous_is_no_media_type(value):
    assert parse_media_type(value) is None


@pytest.mark.parametrize(
    ("value", "is_utf_8"),
    [
        (b"a/b", True),
        (b"a/b; charset=UTF-8", True),
        (b"a/b; charset=utf8", True),
        (b"a/b; charset=us-ascii", True),
        (b"a/b; charset=latin1", False),
        (b"a/b; charset=", False),
    ],
)
def test_a_media_type_may_name_its_charset(value, is_utf_8):
    media = parse_media_type(value)
    assert (media is not None and media.is_utf_8) == is_utf_8


@given(value=st.binary() | st.binary().map(lambda end: b"a/b;" + end))
def test_any_bytes_are_a_media_type_or_not(value):
    media = parse_media_type(value)
    assert media is None or "/" in media.essence


def test_a_refusal_says_what_is_accepted():
    refusal = UnsupportedMedia(["application/json", "application/msgpack"])
    assert refusal.status_code == 415
    assert refusal.headers == {"Accept": "application/json, application/msgpack"}
    assert refusal.detail == (
        "the body must have one of these types: application/json, application/msgpack"
    )
