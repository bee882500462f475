from __future__ import annotations

import gc
import sys
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from tests.protocol.reading import HEAD_SIZE, events, one_by_one
from triows._protocol import http11
from triows._protocol.http11 import (
    CHUNK_LINE,
    EMPTY_LINES,
    MOST_EXCESS,
    BadRequest,
    RequestReader,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def bodies(data: bytes) -> list[bytes]:
    """The bodies of the requests in a stream that is valid."""
    return [body for _, body, _ in events([data])]


def refusal(data: bytes) -> tuple[int, str]:
    """The status and the detail with which a stream is refused, in one packet and byte by byte."""
    *_, detail, status = events([data])
    assert events(one_by_one(data)) == events([data])
    assert isinstance(status, int), "it is not refused"
    return status, detail


# Requests


def test_a_request_is_read_when_its_last_byte_is_there():
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive(GET[:-1])
    assert reader.next_request() is None
    reader.receive(GET[-1:])
    request = reader.next_request()
    assert (request.method, request.target) == ("GET", b"/")
    assert reader.body_ended
    assert reader.buffered == 0


def test_pipelined_requests_are_read_one_after_another():
    assert bodies(GET + POST + b"hello" + GET) == [b"", b"hello", b""]


def test_the_next_request_cant_be_read_before_the_body():
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive(POST)
    reader.next_request()
    with pytest.raises(RuntimeError, match="read the body first"):
        reader.next_request()


def test_a_packet_of_a_body_is_not_copied():
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive(POST)
    reader.next_request()
    packet = b"hell"
    reader.receive(packet)
    assert reader.next_body() is packet
    assert reader.next_body() == b""
    assert not reader.body_ended


def test_a_body_ends_where_its_length_says():
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive(POST + b"hello, world")
    reader.next_request()
    assert reader.next_body() == b"hello"
    assert reader.body_ended
    assert reader.take_rest() == b", world"
    assert reader.buffered == 0


def test_what_follows_an_upgrade_can_be_taken():
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive(GET + b"\x81")
    reader.receive(b"\x80")
    reader.next_request()
    assert reader.take_rest() == b"\x81\x80"


@pytest.mark.parametrize("count", range(EMPTY_LINES + 1))
def test_a_few_empty_lines_before_a_request_are_ignored(count):
    data = POST + b"hello" + b"\r\n" * count + GET
    assert events(one_by_one(data)) == events([data])
    assert bodies(data) == [b"hello", b""]


def test_an_empty_line_after_a_body_leaves_the_reader_idle():
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive(POST + b"hello\r\n")
    reader.next_request()
    reader.next_body()
    assert reader.next_request() is None
    assert reader.buffered == 0


def test_more_empty_lines_are_refused():
    assert refusal(b"\r\n" * (EMPTY_LINES + 1) + GET)[0] == 400


def test_empty_lines_are_counted_for_each_request():
    data = (b"\r\n" * EMPTY_LINES + GET) * 3
    assert len(bodies(data)) == 3


# Limits


def padded(size: int) -> bytes:
    """A request whose head has so many bytes."""
    head, end = b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n\r\n"
    return head + b"x" * (size - len(head) - len(end)) + end


def test_a_head_may_be_as_long_as_the_limit():
    assert len(bodies(padded(HEAD_SIZE) * 2)) == 2


def test_a_longer_head_is_refused():
    assert refusal(padded(HEAD_SIZE + 1))[0] == 431


def test_a_longer_request_line_is_414():
    assert refusal(b"GET /" + b"a" * HEAD_SIZE + b" HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 414


@pytest.mark.parametrize(
    "beginning", [b"G" * HEAD_SIZE, b"GET / HTTP/1.1\r\nA: ".ljust(HEAD_SIZE, b"a")]
)
def test_a_head_is_refused_when_it_has_too_many_bytes_and_not_at_its_end(beginning):
    assert events([beginning[:-1]]) == []
    assert refusal(beginning)[0] in {414, 431}


@pytest.mark.parametrize("beginning", [b"\x16\x03\x01", b"GET / HTTP/1.1\n", b"GET /\0", b"\r\r"])
def test_what_cant_become_a_head_is_refused_at_once(beginning):
    assert refusal(beginning)[0] == 400


def test_a_refused_reader_refuses_again():
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive(b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    for _ in range(2):
        with pytest.raises(BadRequest):
            reader.next_request()


# Chunks


def chunked(*lines: bytes) -> bytes:
    return CHUNKED + b"\r\n".join(lines)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n07\r\n, world\r\n000\r\n\r\n", b"hello, world"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
        (b'5;a\r\nhello\r\n0;b=c;d="e;\\"\\\\\xff"\r\n\r\n', b"hello"),
        (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
    ],
)
def test_chunks_are_joined(data, body):
    assert bodies(CHUNKED + data + GET) == [body, b""]
    assert events(one_by_one(CHUNKED + data + GET)) == events([CHUNKED + data + GET])


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"g\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5_0\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\t\r\nhello\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5;\r\nhello\r\n",
        b"5;=a\r\nhello\r\n",
        b"5;a=\r\nhello\r\n",
        b"5 ;a\r\nhello\r\n",
        b"5; a\r\nhello\r\n",
        b"5;a =b\r\nhello\r\n",
        b"5;a= b\r\nhello\r\n",
        b"5;a\nhello\r\n",
        b"5;a\rb\r\nhello\r\n",
        b'5;a="\r"\r\nhello\r\n',
        b'5;a="b\r\nhello\r\n',
        b'5;a="b"c\r\nhello\r\n',
        b'5;a="\\\r\n"\r\nhello\r\n',
        b"5,a\r\nhello\r\n",
        b"5;\0\r\nhello\r\n",
        b"5;\xff\r\nhello\r\n",
        b"00000000000000005\r\nhello\r\n",
        b"8000000000000000\r\n",
        b"ffffffffffffffff\r\n",
        b"10000000000000005\r\nhello\r\n",
        b"5;" + b"a" * CHUNK_LINE + b"\r\nhello\r\n",
    ],
)
def test_a_bad_chunk_is_refused(data):
    assert refusal(CHUNKED + data)[0] == 400


def test_a_chunk_of_any_length_that_is_allowed_may_begin():
    assert events([CHUNKED + b"7fffffffffffffff\r\nhello"])[1:] == ["incomplete"]


def test_the_data_before_a_bad_chunk_is_read():
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive(CHUNKED + b"5\r\nhello\r\nnot a size")
    reader.next_request()
    assert reader.next_body() == b"hello"
    for _ in range(2):
        with pytest.raises(BadRequest):
            reader.next_body()


def test_chunks_may_not_be_mostly_extensions():
    chunk = b"1;" + b"a" * 100 + b"\r\nx\r\n"
    count = MOST_EXCESS // 100
    assert bodies(CHUNKED + chunk * 100 + b"0\r\n\r\n") == [b"x" * 100]
    assert refusal(CHUNKED + chunk * count + chunk * count)[0] == 400
    body = CHUNKED + chunk * count + b"0\r\n\r\n"
    assert bodies(body * 3) == [b"x" * count] * 3


def test_tiny_chunks_without_extensions_may_be_many():
    assert bodies(CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n") == [b"x" * 10_000]


# Trailers


def trailers(data: bytes) -> list[tuple[bytes, bytes]]:
    (_, _, found), *_ = events([data])
    assert events(one_by_one(data)) == events([data])
    return found


def test_trailers_are_kept():
    data = CHUNKED + b"0\r\nDigest: abc\r\nX:\r\n\r\n" + GET
    assert trailers(data) == [(b"digest", b"abc"), (b"x", b"")]
    assert bodies(data) == [b"", b""]


@pytest.mark.parametrize(
    "name", [b"Content-Length", b"transfer-encoding", b"HOST", b"Connection", b"Trailer"]
)
def test_trailers_that_would_change_the_request_are_refused(name):
    status, detail = refusal(CHUNKED + b"0\r\n" + name + b": 5\r\n\r\n")
    assert status == 400
    assert name.lower().decode() in detail


@pytest.mark.parametrize(
    "lines",
    [
        b"a\r\n\r\n",
        b"a : b\r\n\r\n",
        b"a: b\n\r\n",
        b" a: b\r\n\r\n",
        b"a: b\r\n c\r\n\r\n",
        b"a: \0\r\n\r\n",
        b"\n",
        b"\r\r",
        b"a: b\r\r\n",
    ],
)
def test_malformed_trailers_are_refused(lines):
    assert refusal(CHUNKED + b"0\r\n" + lines)[0] == 400


def test_trailers_have_the_limit_of_a_head():
    fits = b"a: ".ljust(HEAD_SIZE - 4, b"b") + b"\r\n\r\n"
    assert trailers(CHUNKED + b"0\r\n" + fits)
    assert refusal(CHUNKED + b"0\r\nb" + fits)[0] == 431
    assert refusal(CHUNKED + b"0\r\n" + b"a" * HEAD_SIZE)[0] == 431


@pytest.mark.parametrize("cut", [one_by_one, lambda data: [data]])
def test_an_idle_reader_holds_no_bytes(cut):
    reader = RequestReader(head_size=10_000)
    for packet in cut(padded(9000) + CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"):
        reader.receive(packet)
        while (not reader.body_ended and reader.next_body()) or (
            reader.body_ended and reader.next_request() is not None
        ):
            pass
    assert reader.body_ended
    assert reader.next_request() is None
    assert [
        one for one in gc.get_referents(reader) if one and not isinstance(one, (int, type))
    ] == []
    assert sys.getsizeof(reader) < 150


# How much work it is


class Counting(bytearray):
    """Counts the bytes that are searched and copied."""

    seen = 0

    def find(self, what: bytes, start: int, end: int) -> int:  # type: ignore[override]
        Counting.seen += max(min(end, len(self)) - start, 0)
        return super().find(what, start, end)

    def __getitem__(self, place: slice) -> Counting:  # type: ignore[override]
        found = super().__getitem__(place)
        Counting.seen += len(found)
        return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    "data",
    [
        padded(10_000),
        GET[:-2] + b"a: b\r\n" * 180,
        b"GET /" + b"a" * 9000,
        CHUNKED + b"0\r\n" + b"a: ".ljust(9000, b"b") + b"\r\n\r\n",
        POST.replace(b"5", b"5000") + b"x" * 5000,
        CHUNKED + b"1000\r\n" + b"x" * 4096 + b"\r\n0\r\n\r\n",
    ],
)
def test_bytes_that_come_one_by_one_are_not_searched_again_each_time(monkeypatch, data):
    monkeypatch.setattr(http11, "bytearray", Counting, raising=False)
    monkeypatch.setattr(Counting, "seen", 0)
    assert events(one_by_one(data), head_size=10_000) is not None
    assert 0 < Counting.seen < 12 * len(data)


# However the bytes are cut

PIECES = [
    GET,
    POST + b"hello",
    CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b"x",
    b" ",
    padded(HEAD_SIZE),
    padded(HEAD_SIZE + 1),
    b"G" * (HEAD_SIZE - 10),
    b"GET / HTTP/1.1\r\n",
    b"0\r\n",
    b"5\r\n",
    b"\r\n\r\n",
    b"Host: a\r\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join), st.data())
def test_packets_make_no_difference(data, drawn):
    places = drawn.draw(st.lists(st.integers(0, len(data)), max_size=8))
    bounds = [0, *sorted(places), len(data)]
    whole = events([data])
    assert events([data[start:stop] for start, stop in pairwise(bounds)]) == whole
    assert events(one_by_one(data)) == whole


@given(st.lists(st.sampled_from(PIECES), max_size=6))
def test_reading_at_once_makes_no_difference(packets):
    assert events(packets, at_once=True) == events(packets)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"GET  /\r\n\r\n", b"\0", b"\r\r\n\r\n"]
)
def test_what_is_refused_at_once_is_refused_again(data):
    reader = RequestReader(head_size=HEAD_SIZE)
    with pytest.raises(BadRequest) as first:
        reader.receive_request(data)
    with pytest.raises(BadRequest) as second:
        reader.next_request()
    assert str(first.value) == str(second.value)


def test_a_whole_packet_leaves_the_reader_idle():
    reader = RequestReader(head_size=HEAD_SIZE)
    assert reader.receive_request(GET) is not None
    assert reader.body_ended
    assert reader.buffered == 0


def test_a_whole_head_cant_be_read_before_the_body():
    reader = RequestReader(head_size=HEAD_SIZE)
    reader.receive_request(POST)
    with pytest.raises(RuntimeError, match="read the body first"):
        reader.receive_request(GET)
