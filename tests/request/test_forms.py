"""Forms: whole bodies become texts and files by name."""

from __future__ import annotations

import contextlib

import httpx
import pytest
import trio
from hypothesis import given, strategies as st

from tests.request.bodies import Parts, body_of, cut
from tests.request.multiparts import FORM, TYPE, form, part
from triows import ClientDisconnect
from triows._param_error import ParamError
from triows._request.body import BadBody, BodyTooLarge, RequestBody
from triows._request.forms import FormReader, form_media
from triows._request.media import UnsupportedMedia
from triows._request.upload import Upload
from triows._settings import Limits

URLENCODED = b"application/x-www-form-urlencoded"


async def read(*parts, type_=URLENCODED, limits=None):
    limits = limits or Limits()
    return await FormReader(body_of(*parts, type_=type_, limit=limits.body), limits).read()


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
    assert (await FormReader(body, Limits()).read()).values == {}
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


# A form is one, whoever is cancelled.

BOTH_TYPES = pytest.mark.parametrize(
    ("body", "type_"), [(FORM, TYPE), (b"title=a%0D%0A--+XyZ&title=&photo=1", URLENCODED)]
)


@given(
    places=st.lists(st.integers(0, 300), max_size=8),
    cancelled=st.sets(st.integers(0, 8), max_size=4),
)
@BOTH_TYPES
def test_a_reader_that_is_cancelled_between_the_parts_of_the_body_loses_nothing(
    body, type_, places, cancelled
):
    async def main():
        expected = await read(body, type_=type_)
        parts = Parts(cut(body, places))
        scopes = {number: trio.CancelScope() for number in sorted(cancelled)}

        async def receive():
            if scope := scopes.pop(parts.calls, None):
                scope.cancel()
                await trio.lowlevel.checkpoint()
            return await parts.receive()

        source = RequestBody(receive, headers=[(b"content-type", type_)], limit=1000)
        reader = FormReader(source, Limits())
        for scope in [*scopes.values()]:
            with scope:
                await reader.read()
        form_ = await reader.read()
        assert form_.values == expected.values
        assert await files_in(form_) == await files_in(expected)

    trio.run(main)


@pytest.mark.parametrize("turns", range(40))
@BOTH_TYPES
async def test_a_reader_that_is_cancelled_in_any_turn_loses_nothing(body, type_, turns):
    expected = await read(body, type_=type_)
    reader = FormReader(body_of(*cut(body, range(0, 300, 9)), type_=type_), Limits())
    with trio.CancelScope() as scope:

        async def cancel():
            for _ in range(turns):
                await trio.lowlevel.cancel_shielded_checkpoint()
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            await reader.read()
    form_ = await reader.read()
    assert form_.values == expected.values
    assert await files_in(form_) == await files_in(expected)


@BOTH_TYPES
async def test_a_form_is_the_same_object_each_time(body, type_):
    reader = FormReader(body_of(body, type_=type_), Limits())
    assert await reader.read() is await reader.read()


@BOTH_TYPES
async def test_only_one_task_reads_a_form_at_a_time(body, type_, nursery):
    parts = Parts(cut(body, [20, 100]))
    parts.gate = trio.Event()
    source = RequestBody(parts.receive, headers=[(b"content-type", type_)], limit=1000)
    reader = FormReader(source, Limits())
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(trio.BusyResourceError):
        await reader.read()
    with pytest.raises(trio.BusyResourceError):
        await anext(source)
    parts.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (await reader.read()).values["title"] == ["a\r\n-- XyZ", ""]


@pytest.mark.parametrize("turns", range(20))
async def test_a_task_that_comes_while_a_form_is_parsed_takes_nothing_of_it(turns, nursery):
    reader = FormReader(body_of(FORM, type_=TYPE), Limits())

    async def come_later():
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        with contextlib.suppress(trio.BusyResourceError):
            await reader.read()

    nursery.start_soon(come_later)
    form_ = await reader.read()
    assert form_.values == {"title": ["a\r\n-- XyZ", ""]}
    assert await files_in(form_) == {"photo": [("a.png", "image/png", b"\r\n--Xy\xff" * 3)]}


@pytest.mark.parametrize(
    ("parts", "type_", "limits", "error"),
    [
        ([b"{}"], b"application/json", {}, UnsupportedMedia),
        ([b"a=1"], None, {}, UnsupportedMedia),
        ([FORM], b"multipart/form-data", {}, BadBody),
        ([b"no boundary", FORM], TYPE, {}, BadBody),
        ([FORM[:100]], TYPE, {}, BadBody),
        ([FORM[:9], b"\r\n\x00", FORM[9:]], TYPE, {}, BadBody),
        ([FORM[:60], FORM[60:]], TYPE, {"parts": 2}, BodyTooLarge),
        ([FORM[:60], FORM[60:]], TYPE, {"body": 100}, BodyTooLarge),
        ([b"a=1&b=2"], URLENCODED, {"parts": 1}, BodyTooLarge),
        ([b"a=1", b"b"], URLENCODED, {"body": 3}, BodyTooLarge),
    ],
)
async def test_a_form_that_was_refused_is_refused_again_in_the_same_way(
    parts, type_, limits, error
):
    limits = Limits(**limits)
    reader = FormReader(body_of(*parts, type_=type_, limit=limits.body), limits)
    said = []
    for _ in range(3):
        with pytest.raises(error) as caught:
            await reader.read()
        said.append((str(caught.value), getattr(caught.value, "errors", None)))
    assert said[0] == said[1] == said[2]


@BOTH_TYPES
async def test_a_client_that_leaves_in_the_middle_of_a_form_has_left_for_good(body, type_):
    parts = Parts([body[:50]])

    async def receive():
        if not parts.left:
            await trio.lowlevel.checkpoint()
            raise ClientDisconnect
        return await parts.receive()

    reader = FormReader(
        RequestBody(receive, headers=[(b"content-type", type_)], limit=1000), Limits()
    )
    for _ in range(2):
        with pytest.raises(ClientDisconnect):
            await reader.read()


async def upload_of(body):
    return [part.name async for part in Upload(body, Limits())]


async def form_of(body):
    return (await FormReader(body, Limits()).read()).values


async def stream_of(body):
    return [part async for part in body]


async def first_of(body):
    return await anext(body)


async def first_part_of(body):
    return await anext(Upload(body, Limits()))


WAYS = {
    "part by part": (stream_of, first_of),
    "by an Upload": (upload_of, first_part_of),
    "as a form": (form_of,),
}


@pytest.mark.parametrize(
    ("first", "then", "way"),
    [
        (first, then, way)
        for way, firsts in WAYS.items()
        for first in firsts
        for other, thens in WAYS.items()
        for then in (*thens, RequestBody.read)
        if way != other
    ],
)
async def test_what_was_taken_in_one_way_can_not_be_taken_in_another(first, then, way):
    body = body_of(*cut(FORM, [50]), type_=TYPE)
    await first(body)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=f"was read {way}, and it comes only once"):
            await then(body)


async def test_what_was_taken_part_by_part_is_no_form_whatever_its_type():
    body = body_of(b"a=1", type_=URLENCODED)
    assert await stream_of(body) == [b"a=1"]
    with pytest.raises(RuntimeError, match="part by part"):
        await form_of(body)


@pytest.mark.parametrize("take", [upload_of, form_of, stream_of])
async def test_a_body_that_was_read_whole_can_be_taken_in_one_way_more(take):
    expected = await take(body_of(FORM, type_=TYPE))
    body = body_of(FORM, type_=TYPE)
    assert await body.read() == FORM
    assert await take(body) == expected
    assert await body.read() == FORM
