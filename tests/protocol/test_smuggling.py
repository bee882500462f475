"""What must not pass: requests that other servers would understand differently."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, strategies as st

from tests.protocol.reading import events, one_by_one
from tests.protocol.smuggled import SMUGGLED
from trials.fuzz.parsers import (
    Reading,
    Readings,
    difference,
    disagreement,
    read_by_h11,
    read_by_llhttp,
    read_by_us,
)
from trials.fuzz.streams import stream


@pytest.mark.parametrize(("data", "status"), SMUGGLED.values(), ids=SMUGGLED)
def test_an_attack_is_refused_before_what_it_hides(data, status):
    *read, detail, answer = events([data], head_size=8192)
    assert answer == status, detail
    assert [request.path for request, _, _ in read] in ([], [b"/"])
    assert events(one_by_one(data), head_size=8192) == [*read, detail, answer]


@given(st.integers(0, 2**64))
def test_no_other_parser_reads_a_request_differently(seed):
    assert disagreement(stream(Random(seed))) is None


@given(st.lists(st.sampled_from([data for data, _ in SMUGGLED.values()]), min_size=1, max_size=2))
def test_no_other_parser_reads_attacks_differently(attacks):
    assert disagreement(b"".join(attacks)) is None


VALID = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a?b=c HTTP/1.1\r\nHost: a.example:80\r\nUser-Agent: x y/z (a; b)\r\nAccept: */*\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:3   \r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost:a\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost:a\r\nTransfer-Encoding:Chunked\r\n\r\n3;a\r\nabc\r\n0\r\nX:y\r\n\r\n",
    b"DELETE / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \xe4\r\nZ:\tz\t\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
]


@pytest.mark.parametrize("data", VALID)
def test_all_parsers_read_valid_requests_alike(data):
    ours, h11, llhttp = read_by_us(data), read_by_h11(data), read_by_llhttp(data)
    assert len(ours.requests) == 1
    assert ours.requests[0].is_whole
    assert ours.requests == h11.requests == llhttp.requests


def test_most_streams_are_odd_in_a_few_places_only():
    found = [read_by_us(stream(Random(seed))) for seed in range(200)]
    assert 50 < sum(not readings.refuses for readings in found) < 180
    assert sum(len(readings.requests) > 1 for readings in found) > 30


# Whether a difference would be found

FIRST = Reading("GET", b"/", [], b"abc", is_whole=True)
BEGUN = Reading("GET", b"/", [], b"a")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Readings([FIRST]), Readings([Reading("PUT", b"/", [], b"abc", is_whole=True)])),
        (Readings([FIRST]), Readings([Reading("GET", b"/b", [], b"abc", is_whole=True)])),
        (Readings([FIRST]), Readings([Reading("GET", b"/", [], b"", is_whole=True)])),
        (Readings([FIRST]), Readings([BEGUN])),
        (Readings([BEGUN]), Readings([FIRST])),
        (Readings([FIRST]), Readings([])),
        (Readings([FIRST, FIRST]), Readings([FIRST])),
        (Readings([FIRST, FIRST]), Readings([FIRST, BEGUN])),
        (Readings([FIRST]), Readings([FIRST, FIRST])),
    ],
)
def test_a_difference_is_found(ours, theirs):
    assert difference(ours, theirs) is not None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Readings([FIRST]), Readings([FIRST])),
        (Readings([BEGUN], refuses=True), Readings([FIRST])),
        (Readings([], refuses=True), Readings([FIRST])),
        (Readings([FIRST]), Readings([], refuses=True)),
        (Readings([FIRST]), Readings([BEGUN], refuses=True)),
        (Readings([FIRST], has_ended=True), Readings([FIRST, FIRST])),
        (Readings([FIRST, FIRST]), Readings([FIRST], has_ended=True)),
    ],
)
def test_a_refusal_is_no_difference(ours, theirs):
    assert difference(ours, theirs) is None
