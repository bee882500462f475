"""The body of a plain request: read once, whole or in parts, within its limit."""

import contextlib
import tracemalloc
from collections.abc import AsyncIterator
from typing import Annotated

import pytest
import trio
from hypothesis import given, strategies as st

from tests.request.bodies import Parts, body_of
from triows import ClientDisconnect, Param, Route, Triows, Upload, UploadFile
from triows._param_error import ParamError
from triows._request.body import BadBody, BodyTooLarge, RequestBody
from triows.testing import open_app


async def read(body):
    return await body.read()


async def iterate(body):
    return b"".join([part async for part in body])


BOTH_WAYS = pytest.mark.parametrize("take", [read, iterate])


@given(parts=st.lists(st.binary(min_size=1, max_size=5)))
def test_a_body_is_the_same_however_it_is_cut_and_read(parts):
    async def main():
        assert await read(body_of(*parts)) == b"".join(parts)
        assert [part async for part in body_of(*parts)] == parts

    trio.run(main)


async def test_a_body_that_was_read_can_be_read_again_and_iterated_over():
    body = body_of(b"a", b"b")
    assert await body.read() == b"ab"
    assert await body.read() == b"ab"
    assert [part async for part in body] == [b"ab"]
    assert await body.read() == b"ab"


@pytest.mark.parametrize("parts", [[b"a", b"b"], []])
async def test_a_body_that_was_taken_to_its_end_is_not_taken_for_an_empty_one(parts):
    body = body_of(*parts)
    assert [part async for part in body] == parts
    with pytest.raises(StopAsyncIteration):
        await anext(body)
    with pytest.raises(RuntimeError, match="was read part by part, and it comes only once"):
        aiter(body)


async def test_an_iteration_that_has_stopped_is_continued_by_the_next():
    body = body_of(b"a", b"b", b"c")
    assert await anext(body) == b"a"
    assert [part async for part in body] == [b"b", b"c"]


async def test_a_body_of_which_some_was_taken_can_not_be_read_whole():
    body = body_of(b"a", b"b")
    await anext(body)
    with pytest.raises(RuntimeError, match="part by part"):
        await body.read()


async def test_a_body_whose_length_is_known_needs_no_call_to_find_its_end():
    parts = Parts([b"abc"])
    body = RequestBody(parts.receive, headers=[(b"content-length", b"3")], limit=10)
    assert await body.read() == b"abc"
    assert parts.calls == 1


async def test_an_announced_body_of_no_bytes_is_not_waited_for():
    parts = Parts([])
    body = RequestBody(parts.receive, headers=[(b"content-length", b"00")], limit=10)
    assert await body.read() == b""
    assert [part async for part in body] == []
    assert parts.calls == 0


@BOTH_WAYS
async def test_a_body_may_be_as_long_as_its_limit_and_no_longer(take):
    assert await take(body_of(b"ab", b"c", limit=3)) == b"abc"
    body = body_of(b"ab", b"cd", limit=3)
    for _ in range(2):
        with pytest.raises(BodyTooLarge) as caught:
            await take(body)
        assert caught.value.status_code == 413
        assert caught.value.detail == "the body has more than 3 bytes"


async def test_no_part_is_handed_over_that_exceeds_the_limit():
    body = body_of(b"ab", b"cd", limit=3)
    assert await anext(body) == b"ab"
    with pytest.raises(BodyTooLarge):
        await anext(body)


@BOTH_WAYS
async def test_nothing_of_a_body_is_read_that_announces_more_than_its_limit(take):
    parts = Parts([b"abcd"])
    body = RequestBody(parts.receive, headers=[(b"content-length", b"4")], limit=3)
    with pytest.raises(BodyTooLarge):
        body.refuse_early()
    with pytest.raises(BodyTooLarge):
        await take(body)
    assert parts.calls == 0


@pytest.mark.parametrize("length", [b"9" * 20, b"9" * 100_000])
def test_an_announced_length_may_have_any_number_of_digits(length):
    body = body_of(length=length)
    assert body.content_length > 10**18
    with pytest.raises(BodyTooLarge):
        body.refuse_early()


@BOTH_WAYS
@pytest.mark.parametrize("length", [b"-1", b"+1", b"1.5", b"", b" ", b"0x10", b"1, 1", b"\xb2"])
async def test_a_length_that_is_not_a_number_is_the_clients_mistake(take, length):
    body = body_of(b"a", length=length)
    assert body.content_length is None
    with pytest.raises(BadBody) as caught:
        await take(body)
    assert caught.value.status_code == 422
    assert caught.value.errors == (
        ParamError("header", "content-length", "Expected a whole number"),
    )


def test_two_lengths_are_a_mistake_unless_they_are_the_same():
    def lengths(*values):
        headers = [(b"content-length", value) for value in values]
        return RequestBody(Parts([]).receive, headers=headers, limit=10)

    same = lengths(b"5", b"5")
    same.refuse_early()
    assert same.content_length == 5
    with pytest.raises(BadBody):
        lengths(b"5", b"6").refuse_early()


def test_a_request_without_these_headers_has_announced_nothing():
    body = body_of()
    body.refuse_early()
    assert body.content_length is None
    assert body.content_type is None


def test_two_content_types_do_not_hide_each_other():
    headers = [(b"content-type", b"a/b"), (b"content-type", b"c/d")]
    body = RequestBody(Parts([]).receive, headers=headers, limit=10)
    assert body.content_type == b"a/b, c/d"


@BOTH_WAYS
async def test_a_client_that_leaves_in_the_middle_is_the_readers_to_notice(take):
    async def receive():
        await trio.lowlevel.checkpoint()
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        await take(RequestBody(receive, headers=[], limit=10))


@BOTH_WAYS
async def test_a_reader_that_is_cancelled_loses_nothing(take, autojump_clock):
    parts = Parts([b"a", b"b", b"c"])
    body = RequestBody(parts.receive, headers=[], limit=10)
    parts.gate = trio.Event()
    with trio.move_on_after(1) as scope:
        await take(body)
    assert scope.cancelled_caught
    parts.gate.set()
    assert await take(body) == b"abc"


async def test_a_read_that_is_cancelled_keeps_what_has_come(autojump_clock):
    parts = Parts([b"a", b"b", b"c"])

    async def receive():
        if parts.calls == 2:
            parts.gate = trio.Event()
        return await parts.receive()

    body = RequestBody(receive, headers=[], limit=10)
    with trio.move_on_after(1):
        await body.read()
    parts.gate.set()
    assert [part async for part in body] == [b"ab", b"c"]


@BOTH_WAYS
async def test_only_one_task_reads_at_a_time(take, autojump_clock):
    parts = Parts([b"a", b"b"])
    body = RequestBody(parts.receive, headers=[], limit=10)
    parts.gate = trio.Event()
    got = []

    async def first():
        got.append(await take(body))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        for other in (read, iterate):
            with pytest.raises(trio.BusyResourceError):
                await other(body)
        parts.gate.set()
    assert got == [b"ab"]


async def test_a_body_in_very_many_parts_takes_no_more_memory_than_its_bytes():
    left = iter(range(50_000))

    async def receive():
        return b"%04x" % number if (number := next(left, None)) is not None else b""

    body = RequestBody(receive, headers=[], limit=2**20)
    tracemalloc.start()
    try:
        whole = await body.read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(whole) == 200_000
    assert peak < 800_000


@BOTH_WAYS
@pytest.mark.parametrize(
    "body",
    [
        lambda: body_of(b"a", length=b"x"),
        lambda: body_of(b"a", length=b"2", limit=1),
        lambda: body_of(b"a", length=b"0"),
        body_of,
    ],
)
async def test_reading_is_a_checkpoint_however_it_ends(take, body):
    with trio.testing.assert_checkpoints(), contextlib.suppress(BadBody, BodyTooLarge):
        await take(body())


# Compressed bodies


async def of_json(numbers: Annotated[list[int], Param("body")]) -> int:
    return len(numbers)


async def of_field(title: Annotated[str, Param("form")]) -> int:
    return len(title)


async def of_file(file: UploadFile) -> int:
    return len(await file.read())


async def of_upload(upload: Upload) -> int:
    return len([part async for part in upload])


async def of_text(text: Annotated[str, Param("body")]) -> int:
    return len(text)


async def of_bytes(data: bytes) -> int:
    return len(data)


async def of_parts(parts: AsyncIterator[bytes]) -> int:
    return sum([len(part) async for part in parts])


FORM = "multipart/form-data; boundary=b"


async def answer_to_coded(handler, content_type, coding, content=b"[1]"):
    route = Route("")
    route.post(handler)
    headers = {"content-type": content_type, "content-encoding": coding}
    async with open_app(Triows(route)) as client:
        return await client.post("/", content=content, headers=headers)


@pytest.mark.parametrize(
    ("handler", "content_type"),
    [
        (of_json, "application/json"),
        (of_field, "application/x-www-form-urlencoded"),
        (of_file, FORM),
        (of_upload, FORM),
        (of_text, "text/plain"),
    ],
)
@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity"])
async def test_a_compressed_body_is_refused_if_it_would_be_read(handler, content_type, coding):
    answer = await answer_to_coded(handler, content_type, coding)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert answer.json()["detail"] == "the body must have no Content-Encoding"


@pytest.mark.parametrize("handler", [of_bytes, of_parts])
async def test_compressed_bytes_are_taken_as_they_are(handler):
    answer = await answer_to_coded(handler, "application/json", "gzip", b"packed")
    assert answer.json() == 6


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_that_is_not_compressed_may_say_so(coding):
    assert (await answer_to_coded(of_json, "application/json", coding)).json() == 1
