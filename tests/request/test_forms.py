"""Forms: whole bodies become texts and files by name."""

from __future__ import annotations

import contextlib

import httpx
import pytest
import trio
from hypothesis import given, strategies as st

from tests.request.bodies import body_of, cut
from tests.request.multiparts import FORM, TYPE, form, part
from triows._param_error import ParamError
from triows._request.body import BadBody, BodyTooLarge
from triows._request.forms import form_media, read_form
from triows._request.media import UnsupportedMedia
from triows._settings import Limits

URLENCODED = b"application/x-www-form-urlencoded"


async def read(*parts, type_=URLENCODED, limits=None):
    limits = limits or Limits()
    return await read_form(body_of(*parts, type_=type_, limit=limits.body), limits)


async def files_in(form):
    return {
        name: [(one.filename, one.content_type, await one.read()) for one in files]
        for name, files in form.files.items()
    }


# httpx quotes these in another way than browsers do.
names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\%"), min_size=1, max_size=5
)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(fields=st.dictionaries(names, st.lists(texts, min_size=1, max_size=3)), data=st.data())
def test_a_form_that_httpx_encodes_is_the_same_however_it_is_cut(fields, data):
    request = httpx.Request("POST", "http://a", data=fields)
    body = request.read()

    async def main():
        places = data.draw(st.lists(st.integers(0, len(body)), max_size=5))
        type_ = request.headers.get("content-type", "").encode() or URLENCODED
        form = await read(*cut(body, places), type_=type_)
        assert form.values == fields
        assert not form.errors
        assert not form.files

    trio.run(main)


@given(
    fields=st.dictionaries(names, texts, max_size=3),
    files=st.dictionaries(names, st.tuples(names, st.binary(max_size=300)), min_size=1, max_size=3),
    data=st.data(),
)
def test_files_that_httpx_encodes_are_the_same_however_they_are_cut(fields, files, data):
    request = httpx.Request("POST", "http://a", data=fields, files=files)
    body, type_ = request.read(), request.headers["content-type"].encode()

    async def main():
        places = data.draw(st.lists(st.integers(0, len(body)), max_size=5))
        form = await read(*cut(body, places), type_=type_)
        assert form.values == {name: [text] for name, text in fields.items()}
        assert {
            name: [one[::2] for one in given] for name, given in (await files_in(form)).items()
        } == {name: [file] for name, file in files.items()}

    trio.run(main)


async def test_fields_and_files_keep_their_order():
    form_ = await read(FORM + b"epilogue", type_=TYPE)
    assert form_.values == {"title": ["a\r\n-- XyZ", ""]}
    assert await files_in(form_) == {"photo": [("a.png", "image/png", b"\r\n--Xy\xff" * 3)]}


async def test_an_input_without_a_file_is_left_out_and_an_empty_file_is_not():
    form_ = await read(
        form(
            part(b'; name="a"; filename=""', b"", b"Content-Type: application/octet-stream"),
            part(b'; name="b"; filename="b"', b""),
            part(b'; name="c"; filename=""', b"c"),
        ),
        type_=TYPE,
    )
    assert await files_in(form_) == {"b": [("b", None, b"")], "c": [("", None, b"c")]}


async def test_a_form_is_utf_8_whatever_it_says():
    form_ = await read(
        form(
            part(b"; name=_charset_", b"iso-8859-1"),
            part(b"; name=a", b"\xc3\xa9"),
            part(b"; name=b", b"b", b"Content-Type: text/plain; charset=utf-8"),
            part(b"; name=c", b"{}", b"Content-Type: application/json"),
        ),
        type_=TYPE,
    )
    e_acute = "\N{LATIN SMALL LETTER E WITH ACUTE}"
    assert form_.values == {"_charset_": ["iso-8859-1"], "a": [e_acute], "b": ["b"], "c": ["{}"]}


@pytest.mark.parametrize(
    "bad",
    [
        part(b"; name=a", b"\xff"),
        part(b"; name=a", b"a", b"Content-Type: text/plain; charset=latin1"),
    ],
)
async def test_a_field_that_can_not_be_decoded_is_an_error_in_its_place(bad):
    form_ = await read(form(part(b"; name=a", b"1"), bad, part(b"; name=b", b"2")), type_=TYPE)
    assert form_.values == {"b": ["2"]}
    assert form_.errors == [ParamError("form", "a", "Not valid UTF-8")]
    assert form_.hides("a")
    assert not form_.hides("b")


async def test_an_encoded_form_is_decoded_as_strictly_as_a_query():
    form_ = await read(b"a=1&a=%zz&b=x+y%2B&c=%ff&c=%fe")
    assert form_.values == {"b": ["x y+"]}
    assert form_.errors == [
        ParamError("form", "a", "Malformed percent-encoding"),
        ParamError("form", "c", "Not valid UTF-8"),
    ]
    assert form_.hides("a")


@pytest.mark.parametrize("type_", [None, URLENCODED, TYPE, b"text/plain"])
async def test_an_empty_body_is_a_form_without_fields(type_):
    body = body_of(type_=type_, length=b"0")
    assert (await read_form(body, Limits())).values == {}
    if type_ != b"text/plain":
        assert (await read(type_=type_)).values == {}


@pytest.mark.parametrize(
    "type_",
    [b"application/json", b"text/plain", b"multipart/mixed; boundary=a", b"nonsense",
     URLENCODED + b"; charset=latin1", TYPE + b"; charset=utf-16"],
)  # fmt: skip
def test_another_type_of_body_is_refused_before_it_is_read(type_):
    with pytest.raises(UnsupportedMedia) as caught:
        form_media(body_of(type_=type_))
    assert caught.value.headers == {
        "Accept": "multipart/form-data, application/x-www-form-urlencoded"
    }


async def test_a_body_without_a_type_is_refused():
    with pytest.raises(UnsupportedMedia):
        await read(b"a=1", type_=None)


async def test_a_form_has_no_more_fields_than_the_limit_says():
    limits = Limits(parts=2)
    assert len((await read(b"&a=1&b=2&", limits=limits)).values) == 2
    one = part(b"; name=a", b"")
    for body, type_ in [(b"a=1&b=2&c=3", URLENCODED), (form(one, one, one), TYPE)]:
        with pytest.raises(BodyTooLarge) as caught:
            await read(body, type_=type_, limits=limits)
        assert caught.value.detail == "the form has more than 2 fields and files"


@pytest.mark.parametrize(("body", "type_"), [(b"a=" + b"1" * 300, URLENCODED), (FORM, TYPE)])
async def test_a_form_has_no_more_bytes_than_the_limit_says(body, type_):
    with pytest.raises(BodyTooLarge):
        await read(*cut(body, range(0, 300, 50)), type_=type_, limits=Limits(body=200))


async def test_a_malformed_form_is_refused():
    with pytest.raises(BadBody):
        await read(FORM[:-6], type_=TYPE)
    with pytest.raises(BadBody):
        await read(FORM, type_=b"multipart/form-data")


async def test_what_a_peer_reads_of_a_name_is_short_and_printable():
    name = b"\x1b" + b"a" * 1000
    form_ = await read(form(part(b'; name="%s"' % name[1:], b"\xff")), type_=TYPE)
    assert form_.errors[0].name == "a" * 200 + "..."


@given(body=st.binary(), type_=st.sampled_from([URLENCODED, TYPE]))
def test_bytes_at_random_are_a_form_or_are_refused(body, type_):
    async def main():
        with contextlib.suppress(BadBody, BodyTooLarge):
            await read(body, type_=type_)

    trio.run(main)
