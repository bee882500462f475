"""Multipart bodies without I/O: what the parts are, and which bodies are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tests.request.bodies import cut
from tests.request.multiparts import BOUNDARY, FORM, TYPE, form, part
from triows._request.body import BadBody, BodyTooLarge
from triows._request.media import UnsupportedMedia, parse_media_type
from triows._request.multipart import MultipartReader, boundary_of


def parts_of(*data, max_parts=1000, boundary=BOUNDARY):
    """Read a whole body. Each part becomes its head and its content."""
    reader = MultipartReader(boundary, max_parts)
    events = []
    for piece in data:
        events += reader.feed(piece)
    reader.end()
    parts = []
    while events:
        head, end = events[0], events.index(None)
        assert all(events[1:end])
        parts.append((head, b"".join(events[1:end])))
        del events[: end + 1]
    return parts


def head_of(disposition, *headers):
    ((head, _),) = parts_of(form(part(disposition, b"", *headers)))
    return head


def message_of(*data):
    with pytest.raises(BadBody) as caught:
        parts_of(*data)
    (error,) = caught.value.errors
    assert (error.location, error.name) == ("form", "")
    return error.message.removeprefix("Malformed multipart/form-data: ")


@given(places=st.lists(st.integers(0, 400), max_size=8))
def test_a_body_has_the_same_parts_however_it_is_cut(places):
    found = [(one.name, one.filename, content) for one, content in parts_of(*cut(FORM, places))]
    assert found == [
        ("title", None, b"a\r\n-- XyZ"),
        ("photo", "a.png", b"\r\n--Xy\xff" * 3),
        ("title", None, b""),
    ]


def test_a_body_may_come_byte_by_byte():
    assert parts_of(*cut(FORM, range(len(FORM)))) == parts_of(FORM)


def outcome(*data):
    try:
        return [(head.name, head.filename, content) for head, content in parts_of(*data)]
    except (BadBody, BodyTooLarge):
        return "refused"


NOISE = st.sampled_from([b"\r\n", b"--", b"XyZ", b"\n", b"--XyZ", b"\r", b":", b"a", b"\xff", b";"])


@given(
    begin=st.integers(0, len(FORM)),
    end=st.integers(0, len(FORM)),
    noise=st.lists(NOISE).map(b"".join),
    places=st.lists(st.integers(0, 400), max_size=8),
)
def test_a_damaged_body_is_read_or_refused_alike_however_it_is_cut(begin, end, noise, places):
    body = FORM[:begin] + noise + FORM[end:]
    assert outcome(*cut(body, places)) == outcome(body)


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        (b'; name="a"', "a", None),
        (b"; name=a", "a", None),
        (b'; name=""', "", None),
        (b'; NAME="a"; FileName="b"', "a", "b"),
        (b';name="a" ;  filename="b";', "a", "b"),
        (b'; filename="b"; name="a"', "a", "b"),
        (b'; name="a"; filename=""', "a", ""),
        (b'; name="a;b=c"', "a;b=c", None),
        ('; name="\N{SNOWMAN}"; filename="\N{SNOWMAN}"'.encode(), "\N{SNOWMAN}", "\N{SNOWMAN}"),
        (rb'; name="a"; filename="..\..\x"', "a", r"..\..\x"),
        (rb'; name="a"; filename="C:\dir\x.png"', "a", r"C:\dir\x.png"),
        (b'; name="a"; filename="/etc/passwd"', "a", "/etc/passwd"),
        # Browsers.
        (b'; name="a%22b%0D%0Ac%41"', 'a"b\r\nc%41', None),
        (rb'; name="a\"', "a\\", None),
        (rb'; name="a"; filename="b\"', "a", "b\\"),
        # Clients that escape.
        (rb'; name="a\"b"', 'a"b', None),
        (rb'; name="a\"; filename=\"b"', 'a"; filename="b', None),
        (rb'; name="a\"b\\"; filename="c\"d"', 'a"b\\', 'c"d'),
    ],
)
def test_names_are_read_as_browsers_and_other_clients_write_them(disposition, name, filename):
    head = head_of(disposition)
    assert (head.name, head.filename) == (name, filename)


def test_an_encoded_filename_is_forbidden_and_ignored():
    head = head_of(b"; name=a; filename*=UTF-8''b")
    assert head.filename is None
    assert head_of(b"; name=a; filename=c; filename*=UTF-8''b").filename == "c"


@pytest.mark.parametrize(
    "disposition",
    [
        b"", b";", b"; filename=a", b"; name", b"; name=", b'; name="a', b'; name="a"b',
        b"; name=a b", b"; name=a; name=b", b"; name=a; filename=b; filename=c", b'; name*="a"',
        b'; name="a" filename="b"', b"; name=a, filename=b",
    ],
)  # fmt: skip
def test_a_part_whose_name_is_missing_or_ambiguous_is_refused(disposition):
    assert message_of(form(part(disposition, b""))) == "a part has no name"


def test_a_head_has_all_its_headers():
    head = head_of(b"; name=a", b"Content-Type: text/plain; charset=UTF-8", b"X-Note:  b")
    assert head.content_type == "text/plain; charset=UTF-8"
    assert head.headers["x-note"] == "b"
    assert head_of(b"; name=a").content_type is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (FORM[:-4], "the last boundary is missing"),
        (FORM[:60], "the last boundary is missing"),
        (b"--Xy", "the last boundary is missing"),
        (b"{}" * 10, "the first boundary is missing"),
        (b"preamble\r\n" + FORM, "the first boundary is missing"),
        (FORM[1:], "the first boundary is missing"),
        (FORM.replace(b"\r\n", b"\n"), "invalid line break after first boundary"),
        (form(b"\r\n"), "missing Content-Disposition segment header"),
        (form(b"Content-Disposition: attachment; name=a\r\n\r\n"), None),
        (form(b"Content-Disposition\r\n\r\n"), "malformed segment header"),
        (form(b"Content-Disposition: \xff\r\n\r\n"), "segment header failed to decode"),
        (form(part(b"; name=a", b"", b"A b: c")), "invalid segment header name"),
        (form(part(b"; name=a", b"", b"A: b\nC: d")), None),
        (form(part(b"; name=a", b"", b"\nA: b")), "a control character in the head of a part"),
        (form(part(b"; name=a", b"", b"A: \0")), "a control character in the head of a part"),
        (form(part(b"; name=a", b"", b"Content-Length: -1")), None),
        (form(part(b"; name=a", b"xyz", b"Content-Length: 1")), None),
        (form(part(b"; name=a", b"", b"Content-Length: " + b"9" * 4000)), None),
        (form(part(b"; name=a", b"", b"X: 1", b"x: 2")), "a header appears twice in a part"),
        (
            form(part(b"; name=a", b"", b"Content-Disposition: form-data; name=b")),
            "a header appears twice in a part",
        ),
        (
            form(part(b"; name=a", b"YQ==", b"Content-Transfer-Encoding: base64")),
            "a part has a Content-Transfer-Encoding",
        ),
        (form(part(b"; name=a", b"b\r\n--XyZ c")), "unexpected bytes after boundary"),
    ],
)
def test_a_malformed_body_is_refused_with_a_reason(body, message):
    found = message_of(body)
    assert message is None or found == message
    assert message_of(*cut(body, range(len(body))))


def test_what_changes_nothing_is_allowed():
    assert head_of(b"; name=a", b"Content-Transfer-Encoding: BINARY").name == "a"
    assert parts_of(b"\r\n" + FORM) == parts_of(FORM)
    assert parts_of(FORM + b"epilogue", b"more") == parts_of(FORM)
    assert parts_of(form()) == parts_of() == []


def test_a_reader_that_has_refused_a_body_goes_on_to_refuse_it():
    reader = MultipartReader(BOUNDARY, 1)
    for data in (b"--XyZ\r\nnonsense\r\n", FORM):
        with pytest.raises(BadBody, match="malformed segment header"):
            list(reader.feed(data))
    for _ in range(2):
        with pytest.raises(BadBody, match="malformed segment header"):
            reader.end()


def test_a_reader_that_has_refused_the_beginning_does_not_take_it_for_an_empty_body():
    reader = MultipartReader(BOUNDARY, 1)
    with pytest.raises(BadBody, match="the first boundary is missing"):
        list(reader.feed(b"nonsense"))
    with pytest.raises(BadBody, match="the first boundary is missing"):
        reader.end()


def test_there_may_be_as_many_parts_as_the_limit_says():
    one = part(b"; name=a", b"")
    assert len(parts_of(form(one, one), max_parts=2)) == 2
    with pytest.raises(BodyTooLarge) as caught:
        parts_of(form(*[one] * 10_000), max_parts=2)
    assert caught.value.detail == "the form has more than 2 fields and files"


@pytest.mark.parametrize(
    "headers",
    [
        [b"X: " + b"a" * 4100],
        [b"X%d: a" % number for number in range(8)],
        [b"X%d: " % number + b"a" * 4000 for number in range(3)],
        [b"X: " + b"a" * 3000, *[b" " + b"a" * 3000] * 5],
    ],
)
def test_the_head_of_a_part_is_bounded(headers):
    body = form(part(b"; name=a", b"", *headers))
    for pieces in ([body], cut(body, range(0, len(body), 100))):
        with pytest.raises(BodyTooLarge) as caught:
            parts_of(*pieces)
        assert caught.value.detail == "the headers of a part are more than 8, or too long"


def test_a_head_without_end_is_refused_when_it_is_too_long():
    reader = MultipartReader(BOUNDARY, 1)
    list(reader.feed(b"--XyZ\r\nX: "))
    for _ in range(4):
        list(reader.feed(b"a" * 1000))
    with pytest.raises(BodyTooLarge):
        list(reader.feed(b"a" * 1000))


def test_a_name_may_be_as_long_as_that_of_a_file():
    name = "\N{SNOWMAN}" * 255
    assert head_of(f'; name="a"; filename="{name}"'.encode()).filename == name


@pytest.mark.parametrize("boundary", [b"x", b"x" * 70, b'"a b:c"', b"'()+_,-./:=?"])
def test_a_boundary_has_up_to_70_characters(boundary):
    quoted = boundary if boundary.startswith(b'"') else b'"%s"' % boundary
    found = boundary_of(parse_media_type(b"multipart/form-data; boundary=" + quoted))
    assert found == boundary.strip(b'"')
    assert len(parts_of(FORM.replace(b"--XyZ", b"--" + found), boundary=found)) == 3


@pytest.mark.parametrize(
    "parameter",
    [b"", b'; boundary=""', b"; boundary=" + b"x" * 71,
     b"; boundary=" + b"x" * 2**20, b'; boundary="\xe9"', b'; boundary="a\r\nb"', b"; charset=a"],
    ids=lambda it: it[:20],
)  # fmt: skip
def test_a_boundary_that_is_missing_or_not_allowed_is_refused(parameter):
    with pytest.raises(BadBody) as caught:
        boundary_of(parse_media_type(b"multipart/form-data" + parameter))
    (error,) = caught.value.errors
    assert (error.location, error.name) == ("header", "content-type")
    assert error.message == "Expected a boundary of 1 to 70 characters"


@pytest.mark.parametrize(
    "value", [b"multipart/mixed; boundary=x", b"a/b", b"", TYPE + b"; boundary=b"]
)
def test_only_form_data_has_parts(value):
    with pytest.raises(UnsupportedMedia) as caught:
        boundary_of(parse_media_type(value))
    assert caught.value.headers == {"Accept": "multipart/form-data"}
