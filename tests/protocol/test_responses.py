from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h11
import pytest
from hypothesis import given, strategies as st

from triows._headers import SteadyHeaders
from triows._protocol import responses
from triows._protocol.heads import Request, read_head
from triows._protocol.responses import (
    CONTINUE,
    JOINED,
    LONGEST_KNOWN,
    MOST_KNOWN,
    ResponseWriter,
    header_lines,
    response_head,
    whole_response,
)
from triows._reply import problem, upgrade_required

OWN = b"date: Sat, 28 Nov 2026 00:00:00 GMT\r\nserver: t\r\n"
TEXT = (b"content-type", b"text/plain")


def request(*lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> Request:
    return read_head(b"\r\n".join([method + b" / HTTP/" + version, b"Host: a", *lines]))


GET, HEAD, OLD = request(), request(method=b"HEAD"), request(version=b"1.0")
TAKES_TRAILERS = request(b"TE: gzip, Trailers")


def started(
    *headers: tuple[bytes, bytes], to: Request | None = GET, status: int = 200, own: bytes = b""
) -> ResponseWriter:
    writer = ResponseWriter(to, own)
    writer.start(status, headers)
    return writer


def written(writer: ResponseWriter, *parts: bytes) -> bytes:
    """Write a body in parts, of which the last is the end. Return all bytes."""
    pieces = [piece for part in parts[:-1] for piece in writer.body(part, more=True)]
    return b"".join([*pieces, *writer.body(parts[-1], more=False)])


# Responses that are known at once


def test_a_small_response_is_one_piece():
    writer = started(TEXT, own=OWN)
    assert writer.body(b"hello", more=False) == [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n" + OWN + b"\r\nhello"
    ]
    assert (writer.begun, writer.ended, writer.keep_alive) == (True, True, True)


def test_a_large_body_is_not_copied():
    body = b"x" * (JOINED + 1)
    head, piece = started().body(body, more=False)
    assert head == b"HTTP/1.1 200 OK\r\ncontent-length: 16385\r\n\r\n"
    assert piece is body


def test_a_status_without_a_phrase_keeps_its_blank():
    # RFC 9112 section 4: the phrase may be missing, but not the space before it.
    assert response_head(499, []) == b"HTTP/1.1 499 \r\n\r\n"
    assert written(started(status=799), b"").startswith(b"HTTP/1.1 799 \r\n")


def test_the_head_of_another_protocol_has_its_headers_as_they_are():
    assert (
        response_head(101, [(b"upgrade", b"websocket"), (b"x-a", b"1")])
        == b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nx-a: 1\r\n\r\n"
    )


def test_headers_keep_their_order_and_may_come_twice():
    cookies = [(b"set-cookie", b"a=1"), (b"X-A", b""), (b"set-cookie", b"b=2")]
    assert b"\r\nset-cookie: a=1\r\nx-a: \r\nset-cookie: b=2\r\n" in written(started(*cookies), b"")


def test_a_bytearray_may_be_changed_afterwards():
    body = bytearray(JOINED + 1)
    _, piece = started().body(body, more=False)
    assert type(piece) is bytes


def test_a_text_is_no_body():
    writer = started()
    with pytest.raises(TypeError):
        writer.body("x" * JOINED * 2, more=False)  # type: ignore[arg-type]
    assert not writer.begun


@pytest.mark.parametrize("name", [b"date", b"Server"])
def test_an_application_may_set_what_the_server_would_set(name):
    head = written(started((name, b"x"), own=OWN), b"")
    assert head.count(b"\r\n" + name.lower() + b": ") == 1
    assert b"\r\n" + name.lower() + b": x\r\n" in head


# How bodies end


def test_a_body_in_parts_is_chunked():
    writer = started()
    assert writer.body(b"hello", more=True) == [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    ]
    assert writer.body(b"", more=True) == []
    assert writer.body(b"x" * 16, more=False) == [b"10\r\nxxxxxxxxxxxxxxxx\r\n0\r\n\r\n"]


def test_the_end_may_have_no_data():
    assert written(started(), b"a", b"").endswith(b"\r\n\r\n1\r\na\r\n0\r\n\r\n")


def test_the_head_may_be_sent_before_any_data():
    writer = started()
    assert writer.body(b"", more=True) == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]
    assert writer.body(b"", more=False) == [b"0\r\n\r\n"]


def test_a_large_chunk_is_not_copied():
    writer = started()
    writer.body(b"", more=True)
    data = b"x" * 2**16
    before, piece, after = writer.body(data, more=True)
    assert (before, after) == (b"10000\r\n", b"\r\n")
    assert piece is data


def test_a_body_in_parts_ends_the_connection_in_1_0():
    writer = started(to=request(b"Connection: keep-alive", version=b"1.0"))
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    assert written(writer, b"a", b"b") == head + b"ab"
    assert not writer.keep_alive


def test_a_declared_length_is_kept_in_parts():
    writer = started((b"Content-Length", b" 05 "))
    assert written(writer, b"he", b"", b"llo") == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    )


@pytest.mark.parametrize(
    ("length", "part", "more"),
    [(b"5", b"hello!", True), (b"5", b"hell", False), (b"0", b"x", False)],
)
def test_a_wrong_length_is_noticed_before_the_head_is_out(length, part, more):
    writer = started((b"content-length", length))
    with pytest.raises(ValueError, match="than its content-length"):
        writer.body(part, more=more)
    assert not writer.begun


@pytest.mark.parametrize(("part", "more"), [(b"hello", True), (b"hel", False), (b"", False)])
def test_a_wrong_length_may_be_noticed_late(part, more):
    writer = started((b"content-length", b"5"))
    writer.body(b"h", more=True)
    with pytest.raises(ValueError, match="than its content-length"):
        writer.body(part, more=more)
    assert writer.begun
    assert not writer.ended


@pytest.mark.parametrize("value", [b"", b"-1", b"5, 5", b"x", b"5 5", b"9" * 20, b"\xb2"])
def test_a_length_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="content-length is one number"):
        started((b"content-length", value))


def test_two_lengths_are_refused():
    with pytest.raises(ValueError, match="content-length is one number"):
        started((b"content-length", b"5"), (b"Content-Length", b"5"))


def test_an_application_does_not_frame_the_body():
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n"
    assert written(started((b"Transfer-Encoding", b"chunked")), b"x") == head + b"x"


# Responses without a body


@pytest.mark.parametrize(
    ("status", "to", "declared", "parts", "framing"),
    [
        (204, GET, None, [b"dropped"], b""),
        (204, GET, b"7", [b""], b""),
        (204, GET, None, [b"a", b"b"], b""),
        (205, GET, None, [b"dropped"], b"content-length: 0\r\n"),
        (205, GET, b"7", [b"dropped"], b"content-length: 0\r\n"),
        (304, GET, None, [b""], b""),
        (304, GET, b"7", [b""], b"content-length: 7\r\n"),
        (200, HEAD, b"7", [b""], b"content-length: 7\r\n"),
        (200, HEAD, b"7", [b"hello, world"], b"content-length: 7\r\n"),
        (200, HEAD, None, [b"dropped"], b"content-length: 7\r\n"),
        (200, HEAD, None, [b""], b""),
        (200, HEAD, None, [b"a", b"b"], b""),
        (204, HEAD, b"7", [b""], b""),
    ],
)
def test_some_responses_have_no_body(status, to, declared, parts, framing):
    headers = [] if declared is None else [(b"content-length", declared)]
    writer = started(*headers, to=to, status=status)
    head, *rest = written(writer, *parts).partition(b"\r\n")
    assert b"".join(rest) == b"\r\n" + framing + b"\r\n"
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert writer.keep_alive
    assert not writer.has_body


def test_a_large_body_is_dropped_too():
    writer = started(to=HEAD)
    assert len(writer.body(b"x" * 2 * JOINED, more=True)) == 1
    assert writer.body(b"x" * 2 * JOINED, more=False) == []


# Bodies that the caller sends itself


def test_a_file_has_what_is_around_it():
    writer = started((b"content-length", b"100000"))
    before, after = writer.around(100_000, more=False)
    assert before == b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
    assert (after, writer.has_body, writer.ended) == (b"", True, True)


def test_a_file_may_be_a_chunk():
    writer = started()
    assert writer.around(16, more=True)[0].endswith(b"\r\n\r\n10\r\n")
    assert writer.around(17, more=False) == (b"11\r\n", b"\r\n0\r\n\r\n")


# Ends that are held


def is_complete(data: bytes, to: Request) -> bool:
    """Say whether h11 takes a response for complete while its connection is open."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=to.method, target="/", headers=[("host", "a")]))
    client.send(h11.EndOfMessage())
    if data:  # nothing would be the end of the connection
        client.receive_data(data)
    while (event := client.next_event()) is not h11.NEED_DATA:
        if isinstance(event, h11.EndOfMessage):
            return True
    return False


@given(
    parts=st.lists(st.binary(max_size=3) | st.just(b"x" * JOINED)),
    to=st.sampled_from([GET, HEAD, OLD]),
    status=st.sampled_from([200, 204, 304]),
    is_declared=st.booleans(),
)
def test_a_client_that_is_held_has_not_all_before_the_end(parts, to, status, is_declared):
    headers = [(b"content-length", b"%d" % sum(map(len, parts)))] if is_declared else []
    held, usual = (started(*headers, to=to, status=status) for _ in range(2))
    held.hold_end()
    before = [piece for part in parts for piece in held.body(part, more=True)]
    assert not is_complete(b"".join(before), to)
    assert held.begun == bool(before)
    end = held.body(b"", more=False)
    assert held.ended
    assert b"".join(before + end) == written(usual, *parts, b"")
    assert held.sent == (sum(map(len, parts)) if held.has_body else 0)


def test_a_response_whose_whole_body_is_held_has_not_begun():
    writer = started((b"content-length", b"5"))
    writer.hold_end()
    assert writer.body(b"hello", more=True) == []
    assert (writer.begun, writer.sent) == (False, 0)
    assert writer.body(b"", more=False)[0].endswith(b"\r\n\r\nhello")


def test_nothing_takes_the_place_of_what_is_held():
    writer = started((b"content-length", b"5"))
    writer.hold_end()
    writer.body(b"hello", more=True)
    assert writer.whole(b"world") is None
    with pytest.raises(ValueError, match="longer than its content-length"):
        writer.around(5, more=False)
    with pytest.raises(ValueError, match="longer than its content-length"):
        writer.body(b"world", more=False)


# The connection


@pytest.mark.parametrize(
    ("to", "headers", "line", "keep_alive"),
    [
        (GET, [], b"", True),
        (GET, [(b"connection", b"keep-alive")], b"", True),
        (GET, [(b"Connection", b"x, Close")], b"connection: x, close\r\n", False),
        (GET, [(b"connection", b"Upgrade")], b"connection: Upgrade\r\n", True),
        (GET, [(b"connection", b"a"), (b"connection", b"b")], b"connection: a, b\r\n", True),
        (request(b"Connection: close"), [], b"connection: close\r\n", False),
        (OLD, [], b"connection: close\r\n", False),
        (
            request(b"Connection: keep-alive", version=b"1.0"),
            [],
            b"connection: keep-alive\r\n",
            True,
        ),
        (None, [], b"connection: close\r\n", False),
        (None, [(b"connection", b"keep-alive")], b"connection: close\r\n", False),
    ],
)
def test_the_client_is_told_whether_the_connection_ends(to, headers, line, keep_alive):
    writer = started(*headers, to=to)
    start = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"
    assert written(writer, b"") == start + line + b"\r\n"
    assert writer.keep_alive is keep_alive


def test_the_server_may_end_the_connection():
    writer = started()
    writer.keep_alive = False
    assert b"\r\nconnection: close\r\n" in written(writer, b"")


def test_connection_is_a_list_of_tokens():
    with pytest.raises(ValueError, match="list of tokens"):
        started((b"connection", b"close\r\nx: y"))


# What an application must not send


@pytest.mark.parametrize("control", [*range(9), *range(10, 32), 127])
def test_a_value_has_no_control_characters(control):
    for name in (b"x-a", b"content-type", b"date"):
        with pytest.raises(ValueError, match=name.decode()):
            started((b"set-cookie", b" a=b "), (name, b"a%cb" % control))


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=c", b"a\n", b"\r\n", b"\r\n\r\n<script>"])
def test_headers_cant_be_injected(value):
    for name in (b"location", b"x-a"):
        with pytest.raises(ValueError, match="not allowed in a header"):
            started((name, value))


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"\xe4", b" a", b":status"])
def test_a_name_is_a_token(name):
    with pytest.raises(ValueError, match="can't be a header's name"):
        started((name, b"a"))


@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize(
    "header",
    [
        ("x-a", b"b"),
        (b"x-a", "b"),
        (b"content-length", 5),
        (b"content-type", None),
        (b"x-a", bytearray(b"b")),
        (b"content-type", bytearray(b"b")),
        (b"content-length", bytearray(b"5")),
        (bytearray(b"x-a"), b"b"),
    ],
)
def test_a_header_is_a_pair_of_bytes(header, kind):
    with pytest.raises(TypeError, match="pair of bytes"):
        started(kind(header))


def test_something_else_than_a_pair_is_no_header():
    with pytest.raises(TypeError, match="pair of bytes"):
        started(5)


def test_a_header_may_be_a_list():
    assert b"\r\nx-a: b\r\n" in written(started([b"x-a", b"b"], [b"x-a", b"b"]), b"")


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 1000])
def test_a_status_is_that_of_a_final_response(status):
    with pytest.raises(ValueError, match="a status from 200 to 999"):
        started(status=status)


def test_a_response_that_was_refused_may_be_started_again():
    writer = ResponseWriter(GET, b"")
    with pytest.raises(ValueError, match="not allowed"):
        writer.start(200, [(b"content-length", b"5"), (b"x", b"\n")])
    writer.start(500, [])
    assert (
        written(writer, b"") == b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
    )


@pytest.mark.parametrize("wrong", [(b"x", b"\n"), (b"x", "a")])
def test_nothing_is_left_of_a_response_that_was_refused(wrong):
    writer = ResponseWriter(GET, OWN)
    headers = [(b"date", b"today"), (b"Server", b"s"), (b"connection", b"close, x")]
    with pytest.raises((ValueError, TypeError)):
        writer.start(200, [*headers, wrong])
    writer.start(200, [])
    assert written(writer, b"") == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + OWN + b"\r\n"
    assert writer.keep_alive


def test_each_thing_has_its_time():
    writer = ResponseWriter(GET, b"")
    with pytest.raises(ValueError, match="has not been started"):
        writer.body(b"", more=True)
    writer.start(200, [])
    with pytest.raises(ValueError, match="has been started already"):
        writer.start(200, [])
    with pytest.raises(ValueError, match="has been started already"):
        writer.trailers([])
    writer.body(b"", more=False)
    for late in (lambda: writer.body(b"", more=False), lambda: writer.start(200, [])):
        with pytest.raises(ValueError, match="has ended already"):
            late()


# Trailers


def with_trailers(to: Request, *headers: tuple[bytes, bytes]) -> ResponseWriter:
    writer = ResponseWriter(to, b"")
    writer.start(200, headers, trailers=True)
    return writer


def test_trailers_follow_the_last_chunk():
    writer = with_trailers(TAKES_TRAILERS)
    assert writer.body(b"a", more=False)[0].endswith(b"\r\n\r\n1\r\na\r\n0\r\n")
    assert not writer.ended
    with pytest.raises(ValueError, match="only trailers may follow"):
        writer.body(b"", more=True)
    assert writer.trailers([(b"X", b"y")], more=True) == [b"x: y\r\n"]
    assert writer.trailers([]) == [b"\r\n"]
    assert writer.ended


@pytest.mark.parametrize(
    ("to", "headers"),
    [
        (GET, []),
        (request(b"TE: trailers", version=b"1.0"), []),
        (TAKES_TRAILERS, [(b"content-length", b"1")]),
        (request(b"TE: trailers", method=b"HEAD"), []),
    ],
)
def test_trailers_are_dropped_if_they_cant_be_sent(to, headers):
    writer = with_trailers(to, *headers)
    assert b"chunked" not in b"".join(writer.body(b"a", more=False))
    assert writer.trailers([(b"x", b"y")]) == []
    assert writer.ended


def test_trailers_cant_be_injected():
    writer = with_trailers(TAKES_TRAILERS)
    writer.body(b"", more=False)
    with pytest.raises(ValueError, match="not allowed in a header"):
        writer.trailers([(b"x", b"a\r\n\r\nHTTP/1.1 200 OK")])


# Replies


def test_a_reply_is_the_last_response_of_its_connection():
    reply = problem(404, "no such page")
    data = whole_response(reply, OWN)
    assert data.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"\r\nconnection: close\r\n" in data
    assert data.endswith(OWN + b"\r\n" + reply.body)


def test_a_reply_that_asks_for_an_upgrade_still_does():
    assert b"\r\nconnection: Upgrade, close\r\n" in whole_response(upgrade_required(), b"")


def test_lines_of_headers_have_their_line_ends():
    assert header_lines([(b"a", b"b"), (b"c", b"")]) == b"a: b\r\nc: \r\n"


# As clients read it


def read_by_h11(
    data: bytes, method: str, *, eof: bool
) -> tuple[int, list[tuple[bytes, bytes]], bytes, list[tuple[bytes, bytes]], object]:
    """Read a response as h11 does: its status, headers, body, trailers, and whether it ended."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    if eof:
        client.receive_data(b"")
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    return (
        response.status_code,
        list(response.headers),
        body,
        list(event.headers),
        client.trailing_data[0],
    )


REQUESTS = [
    request(*lines, method=method, version=version)
    for method in (b"GET", b"HEAD", b"POST")
    for version in (b"1.1", b"1.0")
    for lines in ([], [b"Connection: close"], [b"Connection: keep-alive"], [b"TE: trailers"])
]


def only_ours(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.startswith(b"x-")]


@given(
    to=st.sampled_from(REQUESTS),
    status=st.sampled_from([200, 201, 204, 205, 206, 304, 404, 500, 599]),
    parts=st.lists(st.binary(max_size=20) | st.just(b"x" * 2 * JOINED), min_size=1, max_size=4),
    declares=st.booleans(),
    trailers=st.none() | st.lists(st.just((b"x-t", b"v")), max_size=2),
)
def test_a_client_reads_what_was_written(to, status, parts, declares, trailers):
    writer = ResponseWriter(to, OWN)
    body = b"".join(parts)
    headers = [(b"x-a", b"b"), (b"x-c", b"\xfc d")]
    if declares:
        headers.append((b"content-length", b"%d" % len(body)))
    writer.start(status, headers, trailers=trailers is not None)
    data = written(writer, *parts)
    if trailers is not None:
        data += b"".join(writer.trailers(trailers))
    assert writer.ended
    keeps = writer.keep_alive
    follower = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" if keeps else b""
    found = read_by_h11(data + follower, to.method, eof=not keeps)
    assert found[0] == status
    assert only_ours(found[1]) == headers[:2]
    has_none = status in {204, 205, 304} or to.method == "HEAD"
    assert found[2] == (b"" if has_none else body)
    assert found[3] in ([], trailers)
    assert found[4] == follower


def test_the_interim_response_is_one():
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "a")]))
    client.receive_data(CONTINUE)
    assert client.next_event().status_code == 100


# What is done in fewer steps

HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            b"x-a Content-Type content-type set-cookie vary server connection content-length "
            b"transfer-encoding date (a)".split()
        ),
        st.sampled_from([b"a", b"4", b"0", b"007", b"close", b"", b"a\r\nb: c", b"\t", b"x" * 300]),
    ),
    max_size=4,
)


@given(
    to=st.none() | st.sampled_from(REQUESTS),
    status=st.sampled_from([200, 204, 205, 304, 404, 599]),
    headers=HEADERS,
    data=st.sampled_from([b"", b"data", bytearray(b"data"), b"x" * JOINED, b"x" * (JOINED + 1)]),
    trailers=st.booleans(),
    keeps=st.booleans(),
)
def test_a_whole_response_is_what_its_parts_are(to, status, headers, data, trailers, keeps):
    def write(*, whole: bool) -> Any:
        writer = ResponseWriter(to, OWN)
        try:
            writer.start(status, headers, trailers=trailers)
            writer.keep_alive &= keeps
            piece = writer.whole(data) if whole else None
            pieces = writer.body(data, more=False) if piece is None else [piece]
        except ValueError as refused:
            return str(refused), writer.begun
        return b"".join(pieces), writer.keep_alive, writer.ended, writer.begun

    assert write(whole=True) == write(whole=False)


@given(
    to=st.none() | st.sampled_from(REQUESTS),
    status=st.sampled_from([200, 201, 204, 205, 304, 404, 599]),
    headers=st.lists(st.sampled_from([(b"vary", b"a"), (b"Content-Type", b"b"), (b"x-a", b"")])),
    data=st.sampled_from([b"", b"data", b"x" * JOINED, b"x" * (JOINED + 1)]),
    keeps=st.booleans(),
)
def test_a_response_with_steady_headers_is_what_its_parts_are(to, status, headers, data, keeps):
    def write(headers: Any, *, at_once: bool) -> Any:
        writer = ResponseWriter(to, OWN)
        writer.keep_alive &= keeps
        piece = writer.at_once(status, headers, data) if at_once else None
        if piece is None:
            writer.start(status, headers)
            pieces = writer.body(data, more=False)
        else:
            pieces = [piece]
        return b"".join(pieces), writer.keep_alive, writer.ended, writer.begun, writer.sent

    steady = SteadyHeaders(headers)
    parts = write(headers, at_once=False)
    assert write(steady, at_once=False) == parts
    assert write(steady, at_once=True) == parts


def test_most_responses_with_steady_headers_are_written_at_once():
    headers = SteadyHeaders([(b"content-type", b"text/plain")])
    writer = ResponseWriter(request(), OWN)
    assert writer.at_once(200, headers, b"hi") is not None
    assert writer.at_once(200, headers, b"hi") is None
    with pytest.raises(ValueError, match="ended already"):
        writer.start(200, headers)


def test_most_responses_are_whole():
    writer = started((b"content-type", b"text/plain"), (b"content-length", b"2"))
    assert writer.whole(b"hi") is not None
    assert writer.whole(b"hi") is None
    with pytest.raises(ValueError, match="ended already"):
        writer.body(b"hi", more=False)


def test_a_response_that_has_begun_is_not_whole():
    writer = started()
    writer.body(b"a", more=True)
    assert writer.whole(b"b") is None


@given(HEADERS)
def test_headers_that_are_known_become_what_they_were(headers):
    def write() -> Any:
        try:
            return written(started(*headers), b"")
        except ValueError as refused:
            return str(refused)

    responses._KNOWN.clear()
    first = write()
    assert write() == first


def test_only_headers_without_secrets_are_known():
    responses._KNOWN.clear()
    started((b"set-cookie", b"a=b"), (b"etag", b"1"), (b"x-a", b"1"), (b"vary", b"accept"))
    started((b"vary", b"x" * (LONGEST_KNOWN + 1)))
    assert set(responses._KNOWN) == {(b"vary", b"accept")}


def test_there_are_not_more_known_headers_than_the_limit():
    for number in range(MOST_KNOWN + 9):
        started((b"vary", b"%d" % number))
    assert 0 < len(responses._KNOWN) <= MOST_KNOWN
