"""ETags, and the 304 for a client that has the body already."""

import pytest
from hypothesis import example, given, strategies as st

from triows._request.etags import conditional, etag_of, is_match

BODY = b"a body"
TAG = etag_of(BODY)
HEADERS = (
    (b"content-type", b"text/plain"),
    (b"vary", b"accept"),
    (b"cache-control", b"max-age=60"),
    (b"set-cookie", b"a=b"),
    (b"content-location", b"/a"),
    (b"content-security-policy", b"default-src 'self'"),
    (b"content-length", b"6"),
)


@given(st.binary(), st.binary())
def test_two_bodies_have_the_same_tag_only_if_they_are_equal(one, other):
    assert (etag_of(one) == etag_of(other)) == (one == other)


def test_a_tag_is_strong_and_the_same_in_every_process():
    assert etag_of(b"") == b'"e3b0c44298fc1c149afbf4c8996fb924"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"*", True),
        (b" * ", True),
        (b'"a"', True),
        (b'W/"a"', True),
        (b'"b", "a"', True),
        (b'"b",W/"a" , "c"', True),
        (b', ,"a",', True),
        (b'"a,b"', False),
        (b'"b"', False),
        (b"", False),
        (b",", False),
        (b"a", False),
        (b'w/"a"', False),
        (b'"a" "b"', False),
        (b'"a", *', False),
        (b'"a", b', False),
        (b'x"a"', False),
        (b'"A"', False),
        (b'"b", "a', False),
    ],
)
@pytest.mark.parametrize("etag", [b'"a"', b'W/"a"'])
def test_tags_are_compared_weakly(header, etag, expected):
    assert is_match(header, etag) is expected


tags = st.binary().map(lambda raw: bytes(one for one in raw if one > 0x20 and one not in b'"\x7f'))


@given(st.lists(st.tuples(st.sampled_from([b"", b"W/"]), tags)), tags)
def test_a_list_matches_if_one_of_its_tags_does(listed, wanted):
    header = b" , ".join(weak + b'"%s"' % tag for weak, tag in listed)
    assert is_match(header, b'"%s"' % wanted) == (wanted in [tag for _, tag in listed])


@given(st.binary() | st.text('W/", *a').map(str.encode))
@example(b", " * 50_000 + b"x")
@example(b'"a", ' * 20_000 + b"x")
@example(b'"' + b"a" * 100_000)
def test_any_bytes_are_read_in_linear_time(header):
    # If not, the 60 seconds for each test would be over long before.
    assert is_match(header, b'"no"') == (header.strip(b" \t") == b"*")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_200_gets_its_tag(method):
    expected = (200, (*HEADERS, (b"etag", TAG)), BODY)
    assert conditional(method, None, (200, HEADERS, BODY)) == expected
    assert conditional(method, b'"other"', (200, HEADERS, BODY)) == expected


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_the_body_gets_a_304_without_what_describes_it(method):
    assert conditional(method, TAG, (200, HEADERS, BODY)) == (
        304,
        (*HEADERS[1:-1], (b"etag", TAG)),
        b"",
    )


@pytest.mark.parametrize(
    ("method", "status"), [("POST", 200), ("GET", 201), ("GET", 404), ("GET", 204)]
)
def test_other_responses_stay_as_they_are(method, status):
    response = (status, HEADERS, BODY)
    assert conditional(method, b"*", response) is response


@pytest.mark.parametrize("own", [b'"own"', b'W/"own"'])
def test_a_tag_of_the_application_wins(own):
    response = (200, ((b"etag", own),), BODY)
    assert conditional("GET", TAG, response) == response
    assert conditional("GET", b'"own"', response) == (304, ((b"etag", own),), b"")
