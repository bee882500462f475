"""Uploads: parts that are read as they come, and files that are there."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest
import starlette.datastructures
import trio
from hypothesis import given, strategies as st
from starlette.datastructures import Headers

from tests.request.bodies import Parts, body_of, cut
from tests.request.multiparts import FORM, TYPE, form, part
from triows import ClientDisconnect
from triows._request.body import BadBody, BodyTooLarge, RequestBody
from triows._request.media import UnsupportedMedia
from triows._request.upload import Upload, UploadFile
from triows._settings import Limits

ABC = [part(b"; name=%s; filename=f" % name, name * 10) for name in (b"a", b"b", b"c")]


def upload_of(*parts, limits=None, type_=TYPE):
    limits = limits or Limits()
    return Upload(body_of(*parts, type_=type_, limit=limits.body), limits)


async def all_of(upload):
    return [(one.name, one.filename, await one.read(1000)) async for one in upload]


@given(places=st.lists(st.integers(0, 400), max_size=8))
def test_an_upload_has_the_same_parts_however_it_is_cut(places):
    async def main():
        assert await all_of(upload_of(*cut(FORM, places))) == [
            ("title", None, b"a\r\n-- XyZ"),
            ("photo", "a.png", b"\r\n--Xy\xff" * 3),
            ("title", None, b""),
        ]

    trio.run(main)


@given(
    places=st.lists(st.integers(0, 400), max_size=8),
    reads=st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_what_is_left_of_a_part_is_skipped(places, reads):
    async def main():
        upload, names = upload_of(*cut(form(*ABC), places)), []
        for count in reads:
            one = await anext(upload)
            names.append(one.name)
            for _ in range(count):
                with contextlib.suppress(StopAsyncIteration):
                    assert set(await anext(one)) == {ord(one.name)}
        assert names == ["a", "b", "c"]
        assert [one async for one in upload] == []

    trio.run(main)


async def test_a_part_has_its_name_its_type_and_its_headers():
    one = await anext(upload_of(form(part(b"; name=a; filename=b", b"", b"Content-Type: c/d"))))
    assert (one.name, one.filename, one.content_type) == ("a", "b", "c/d")
    assert one.headers == Headers(
        {"content-disposition": "form-data; name=a; filename=b", "content-type": "c/d"}
    )


async def test_a_part_comes_in_chunks_as_the_client_sends_it():
    body = form(part(b"; name=a", b"0123456789"))
    middle = body.index(b"5")
    upload = upload_of(body[:middle], body[middle:])
    async for one in upload:
        assert [chunk async for chunk in one] == [b"01234", b"56789"]
        assert [chunk async for chunk in one] == []
        assert await one.read(0) == b""


async def test_nothing_is_read_before_somebody_asks():
    parts = Parts(cut(FORM, range(len(FORM))))
    body = RequestBody(parts.receive, headers=[(b"content-type", TYPE)], limit=1000)
    upload = Upload(body, Limits())
    assert parts.calls == 0
    one = await anext(upload)
    assert parts.calls == FORM.index(b"\r\n\r\n") + 4
    await anext(one)
    # What could be the beginning of a boundary is held back, and nothing else.
    assert parts.calls == FORM.index(b"\r\n\r\n") + 5


async def test_a_part_is_over_when_the_next_is_asked_for():
    upload = upload_of(form(*ABC))
    first = await anext(upload)
    with pytest.raises(BodyTooLarge):
        await first.read(5)
    await anext(upload)
    with pytest.raises(RuntimeError, match="the next part was asked for"):
        await first.read(10)
    with pytest.raises(RuntimeError, match="the next part was asked for"):
        await anext(first)


async def test_the_last_part_is_over_when_there_is_no_next():
    (one,) = [one async for one in upload_of(form(*ABC[:1]))]
    with pytest.raises(RuntimeError, match="the next part was asked for"):
        await one.read(10)


async def test_a_part_is_read_within_a_limit():
    upload = upload_of(form(*ABC))
    one = await anext(upload)
    with pytest.raises(BodyTooLarge) as caught:
        await one.read(9)
    assert caught.value.detail == "the part 'a' has more than 9 bytes"
    assert await one.read(10) == b"a" * 10
    assert await one.read(10) == b""


async def test_what_was_too_long_to_read_is_still_there_to_iterate_over():
    async for one in upload_of(form(*ABC[:1])):
        with pytest.raises(BodyTooLarge):
            await one.read(9)
        with trio.testing.assert_checkpoints():
            assert await anext(one) == b"a" * 10
        assert [chunk async for chunk in one] == []


async def test_the_rest_of_a_part_is_read_after_a_chunk():
    body = form(part(b"; name=a", b"0123456789"))
    middle = body.index(b"5")
    async for one in upload_of(body[:middle], body[middle:]):
        assert await anext(one) == b"01234"
        assert await one.read(5) == b"56789"


async def test_the_whole_body_is_read_so_that_the_connection_can_go_on():
    parts = Parts([FORM, b"epilogue", b"more"])
    body = RequestBody(parts.receive, headers=[(b"content-type", TYPE)], limit=1000)
    assert len(await all_of(Upload(body, Limits()))) == 3
    assert parts.left == []


@pytest.mark.parametrize("size", [0, 50, 230])
async def test_the_body_is_within_its_limit(size):
    with pytest.raises(BodyTooLarge, match=f"the body has more than {len(FORM) - 1} bytes"):
        await all_of(upload_of(FORM[:size] or FORM, FORM[size:], limits=Limits(body=len(FORM) - 1)))


async def test_there_are_no_more_parts_than_the_limit_says():
    upload = upload_of(form(*ABC), limits=Limits(parts=2))
    await anext(upload)
    await anext(upload)
    with pytest.raises(BodyTooLarge, match="more than 2 fields and files"):
        await anext(upload)


async def test_a_part_without_end_is_refused():
    upload = upload_of(FORM[:-6])
    await anext(upload)
    await anext(upload)
    with pytest.raises(BadBody):
        await all_of(upload)
    with pytest.raises(BadBody):
        await anext(upload)


async def test_an_empty_body_has_no_parts():
    assert await all_of(upload_of()) == []


@pytest.mark.parametrize(
    ("type_", "error"),
    [
        (None, UnsupportedMedia),
        (b"application/json", UnsupportedMedia),
        (b"multipart/form-data", BadBody),
        (b"multipart/form-data; boundary=" + b"x" * 2**20, BadBody),
    ],
    ids=["none", "json", "no boundary", "a megabyte"],
)
def test_a_body_that_is_not_a_form_is_refused_before_it_is_read(type_, error):
    with pytest.raises(error):
        upload_of(type_=type_)


async def test_a_client_that_leaves_in_the_middle_is_noticed_in_the_part():
    parts = Parts([FORM[:70]])

    async def receive():
        if not parts.left:
            await trio.lowlevel.checkpoint()
            raise ClientDisconnect
        return await parts.receive()

    body = RequestBody(receive, headers=[(b"content-type", TYPE)], limit=1000)
    one = await anext(Upload(body, Limits()))
    with pytest.raises(ClientDisconnect):
        await one.read(100)


@pytest.mark.parametrize("moment", range(12))
async def test_a_reader_that_is_cancelled_loses_nothing(moment, autojump_clock):
    body = form(part(b"; name=a", b"0123456789"), part(b"; name=b", b"x"))
    parts = Parts(cut(body, range(0, len(body), 10)))

    async def receive():
        if parts.calls == moment:
            parts.gate = trio.Event()
        return await parts.receive()

    upload = Upload(RequestBody(receive, headers=[(b"content-type", TYPE)], limit=1000), Limits())
    got, one = {}, None
    with trio.move_on_after(1) as scope:
        one = await anext(upload)
        got[one.name] = await one.read(10)
        async for one in upload:
            got[one.name] = await one.read(10)
    assert scope.cancelled_caught
    if parts.gate is not None:
        parts.gate.set()
    if one is not None and one.name not in got:
        got[one.name] = await one.read(10)
    async for one in upload:
        got[one.name] = await one.read(10)
    assert got == {"a": b"0123456789", "b": b"x"}


async def test_only_one_task_reads_at_a_time(autojump_clock):
    parts = Parts([FORM])
    parts.gate = trio.Event()
    body = RequestBody(parts.receive, headers=[(b"content-type", TYPE)], limit=1000)
    upload = Upload(body, Limits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anext, upload)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(upload)
        parts.gate.set()


async def test_an_upload_holds_no_more_than_a_chunk():
    head = b"--XyZ\r\n" + part(b"; name=a; filename=b", b"")
    count, chunk = 300, b"\r\n--X" * 13_000

    async def pieces():
        yield head
        for _ in range(count):
            yield bytes(bytearray(chunk))
        yield b"\r\n--XyZ--\r\n"

    source = pieces()

    async def receive():
        await trio.lowlevel.checkpoint()
        return await anext(source, b"")

    body = RequestBody(receive, headers=[(b"content-type", TYPE)], limit=2**30)
    size = 0
    tracemalloc.start()
    try:
        async for one in Upload(body, Limits()):
            async for piece in one:
                size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == count * len(chunk)
    assert peak < 6 * len(chunk)


@pytest.mark.parametrize("form_", [FORM, FORM[:-8], b"x" * 50])
async def test_reading_is_a_checkpoint_however_it_ends(form_):
    upload = upload_of(form_)
    while True:
        try:
            with trio.testing.assert_checkpoints():
                one = await anext(upload)
            with trio.testing.assert_checkpoints():
                await one.read(100)
            with trio.testing.assert_checkpoints(), contextlib.suppress(StopAsyncIteration):
                await anext(one)
        except (StopAsyncIteration, BadBody):
            break


async def test_a_file_is_read_in_memory_as_starlettes_is():
    file = UploadFile(b"0123456789", "a.png", Headers({"content-type": "image/png"}))
    assert isinstance(file, starlette.datastructures.UploadFile)
    assert (file.filename, file.size, file.content_type) == ("a.png", 10, "image/png")
    assert await file.read(4) == b"0123"
    assert await file.read() == b"456789"
    await file.seek(8)
    await file.write(b"abcd")
    assert file.size == 12
    await file.seek(0)
    assert await file.read() == b"01234567abcd"
    await file.close()
    with pytest.raises(ValueError, match="closed"):
        await file.read()


async def test_a_file_needs_no_thread(monkeypatch):
    monkeypatch.setattr(starlette.datastructures, "run_in_threadpool", None)
    file = UploadFile(b"0", "a", Headers())
    for call in (file.read, lambda: file.write(b"1"), lambda: file.seek(0), file.close):
        with trio.testing.assert_checkpoints():
            await call()
