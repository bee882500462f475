"""Typed routes of a server process, and clients that send what they shouldn't, or leave."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from attrs import frozen

from tests.server.harness.peer import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable


MiB = 2**20

#: How much memory a request may use. A body in memory may have 1 MiB, and what is made from it is
#: larger.
ALLOWED = 24 * MiB

JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
PACK = "Content-Type: application/msgpack"
PARTS = "Content-Type: multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'


def head(line: str, *lines: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode()


def asked(line: str, *lines: str, body: bytes) -> bytes:
    return head(line, *lines, f"Content-Length: {len(body)}") + body


def chunked(parts: Iterable[bytes]) -> Iterable[bytes]:
    for part in parts:
        yield b"%x\r\n%b\r\n" % (len(part), part)


@frozen
class Bad:
    """A request that is refused."""

    status: int
    sent: bytes
    #: What is sent behind it, as far as the server takes it.
    more: Iterable[bytes] = ()


def sized(status: int, length: int | str, *lines: str, behind: bytes = b"") -> Bad:
    """Make a request that announces a length."""
    return Bad(status, head("POST /anything", JSON, f"Content-Length: {length}", *lines) + behind)


def posted(status: int, path: str, body: bytes, *lines: str, method: str = "POST") -> Bad:
    return Bad(status, asked(f"{method} {path}", *lines, body=body))


CIRCLE = b'{"type":"Circle","radius":1}'

BAD = {
    # The wrong type of content.
    "html": posted(415, "/shapes", CIRCLE, "Content-Type: text/html"),
    "no-type": posted(415, "/shapes", CIRCLE),
    "form-for-json": posted(415, "/shapes", b"a=1", FORM),
    "json-for-form": posted(415, "/forms", b"{}", JSON),
    "json-for-upload": posted(415, "/uploads", b"{}", JSON),
    "latin-1": posted(415, "/shapes", CIRCLE, JSON + "; charset=latin-1"),
    "two-types": posted(415, "/shapes", CIRCLE, JSON, FORM),
    # JSON that isn't.
    "truncated": posted(422, "/shapes", CIRCLE[:-1], JSON),
    "trailing": posted(422, "/shapes", CIRCLE + b"]", JSON),
    "two-values": posted(422, "/shapes", CIRCLE + CIRCLE, JSON),
    "two-tags": posted(422, "/shapes", CIRCLE[:-1] + b',"type":"Square","side":1}', JSON),
    "nan": posted(422, "/shapes", CIRCLE.replace(b"1", b"NaN"), JSON),
    "too-large-a-float": posted(422, "/shapes", CIRCLE.replace(b"1", b"1e999"), JSON),
    "an-int-of-a-megabyte": posted(422, "/anything", b"9" * 900_000, JSON),
    "not-utf-8": posted(422, "/anything", b'"\xff"', JSON),
    "half-a-surrogate": posted(422, "/anything", b'"\\ud800"', JSON),
    "utf-16": posted(422, "/anything", '"a"'.encode("utf-16"), JSON),
    "a-nul": posted(422, "/anything", b'"\0"', JSON),
    "deep": posted(422, "/anything", b"[" * 500_000 + b"]" * 500_000, JSON),
    "deep-objects": posted(422, "/anything", b'{"a":' * 200_000, JSON),
    "deep-for-pydantic": posted(422, "/users/1", b"[" * 900_000, JSON, method="PATCH"),
    "deep-for-a-thread": posted(422, "/threads", b"[" * 900_000, JSON),
    # MessagePack that isn't. It announces more than there is.
    "array-of-4-billion": posted(422, "/anything", b"\xdd" + b"\xff" * 4, PACK),
    "map-of-4-billion": posted(422, "/anything", b"\xdf" + b"\xff" * 4, PACK),
    "text-of-4-gigabytes": posted(422, "/anything", b"\xdb" + b"\xff" * 4, PACK),
    "nested-arrays": posted(422, "/anything", (b"\xdd" + b"\xff" * 4) * 5000, PACK),
    "deep-pack": posted(422, "/anything", b"\x91" * MiB, PACK),
    "key-that-is-a-map": posted(422, "/anything", b"\x81\x80\x01", PACK),
    # Too much.
    "a-length-above-the-limit": Bad(
        413, head("POST /anything", JSON, f"Content-Length: {MiB + 1}")
    ),
    "100-mb-of-brackets": Bad(
        413, head("POST /anything", JSON, f"Content-Length: {100 * MiB}"), [b"[" * MiB] * 100
    ),
    "100-mb-of-brackets-in-chunks": Bad(
        413,
        head("POST /anything", JSON, "Transfer-Encoding: chunked"),
        [*chunked([b"[" * MiB] * 100)],
    ),
    "10000-parts": posted(413, "/photos", (PART + b"\r\n") * 10_000 + b"--b--", PARTS),
    "10000-parts-of-an-upload": posted(
        413, "/uploads", (PART + b"\r\n") * 10_000 + b"--b--", PARTS
    ),
    "10000-fields": posted(413, "/forms", b"&".join([b"a=1"] * 10_000), FORM),
    "a-head-of-a-part-of-a-megabyte": posted(413, "/uploads", PART[:-4] + b"a" * 900_000, PARTS),
    "a-boundary-of-a-megabyte": Bad(431, head("POST /photos", PARTS + "b" * MiB)),
    "a-boundary-of-a-kilobyte": posted(422, "/photos", b"--b", PARTS + "b" * 1000),
    "10000-cookies": Bad(431, head("GET /heads", "Cookie: " + "a=1; " * 10_000)),
    "10000-lines-of-cookies": Bad(431, head("GET /heads", *["Cookie: a=1"] * 10_000)),
    "100000-query-parameters": Bad(414, head("GET /pages?" + "a=1&" * 100_000)),
    "1000-query-parameters": Bad(422, head("GET /pages?" + "a=1&" * 1000)),
    # Lengths that aren't.
    "a-negative-length": sized(400, -1),
    "a-length-of-30-digits": sized(400, "9" * 30),
    "a-length-of-5000-digits": Bad(
        400, head("POST /shapes", JSON, "Content-Length: " + "9" * 5000)
    ),
    "a-length-with-a-sign": sized(400, "+5", behind=b"12345"),
    "two-lengths": Bad(
        400, head("POST /shapes", "Content-Length: 5", "Content-Length: 6") + CIRCLE
    ),
    "a-length-and-chunks": sized(400, 5, "Transfer-Encoding: chunked"),
    # Forms that aren't.
    "a-part-without-end": posted(422, "/photos", PART + bytes(1000), PARTS),
    "an-upload-without-end": posted(422, "/uploads", PART + bytes(1000), PARTS),
    "no-boundary": posted(422, "/photos", PART, "Content-Type: multipart/form-data"),
    "another-boundary": posted(422, "/photos", PART.replace(b"--b", b"--c"), PARTS),
    "a-part-without-name": posted(422, "/photos", PART.replace(b"name=", b"nome="), PARTS),
    "half-an-escape": posted(422, "/forms", b"name=%e4", FORM),
    # Text that becomes numbers.
    "a-number-of-5000-digits": Bad(422, head("GET /resources?number=" + "9" * 5000)),
    "a-share-that-is-nan": Bad(422, head("GET /kinds/red/1/2020-01-01/" + "0" * 32 + "?share=nan")),
    # Paths.
    "a-nul-in-a-static-path": Bad(404, head("GET /static/%00")),
    "a-long-static-path": Bad(404, head("GET /static/" + "a" * 3000)),
    # Bodies where there are none.
    "trace": Bad(405, asked("TRACE /users/1", body=b"hello")),
    "a-body-of-options-elsewhere": Bad(404, asked("OPTIONS /nowhere", body=b"hello")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_a_problem_and_takes_little_memory(endpoints_server, name):
    bad = BAD[name]
    memory = endpoints_server.bystander.ask_for("memory")
    peer = endpoints_server.connect()
    peer.send_as_far_as_taken(bad.sent)
    for more in bad.more:
        peer.send_as_far_as_taken(more)
    answer = peer.read_answer()
    assert answer.status == bad.status, answer
    assert answer.header(b"content-type") == b"application/problem+json"
    assert answer.problem["status"] == bad.status
    assert endpoints_server.bystander.ask_for("peak") - memory < ALLOWED


TRAVERSALS = (
    "../conftest.py",
    "..%2fconftest.py",
    "%2e%2e/conftest.py",
    "..%5cconftest.py",
    "x/../../conftest.py",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "....//conftest.py",
)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leaves_a_static_folder(endpoints_server, path):
    assert endpoints_server.ask(head(f"GET /static/{path}")).status == 404
    assert endpoints_server.ask(head("GET /static/typed.py")).status == 200


# A connection after a refusal


REFUSALS = {
    "404": head("POST /nowhere", "Content-Length: 5"),
    "405": head("POST /heads", "Content-Length: 5"),
    "406": head("POST /shapes", JSON, "Content-Length: 5", "Accept: image/png"),
    "413": head("POST /shapes", JSON, f"Content-Length: {MiB + 1}"),
    "415": head("POST /shapes", "Content-Type: a/b", "Content-Length: 5"),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_client_that_waits_with_its_body_is_refused_before_it_sends_it(endpoints_server, status):
    expecting = REFUSALS[status].replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    peer = endpoints_server.connect()
    answer = peer.ask(expecting)
    assert (answer.status, answer.header(b"connection")) == (int(status), b"close")
    assert peer.read_rest() == b""


def test_a_client_that_waits_with_its_body_is_told_to_send_it(endpoints_server):
    peer = endpoints_server.connect()
    peer.send(head("POST /shapes", JSON, f"Content-Length: {len(CIRCLE)}", "Expect: 100-continue"))
    assert peer.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert peer.ask(CIRCLE).status == 201


@pytest.mark.parametrize("status", sorted(REFUSALS.keys() - {"413"}))
def test_a_request_behind_a_refused_one_is_answered(endpoints_server, status):
    peer = endpoints_server.connect()
    answer = peer.ask(REFUSALS[status] + b"hello" + head("GET /"))
    assert answer.status == int(status)
    assert peer.read_answer().status == 200


def test_a_connection_ends_with_a_body_that_is_too_large_and_the_client_knows(endpoints_server):
    peer = endpoints_server.connect()
    answer = peer.ask(REFUSALS["413"] + bytes(1000))
    assert (answer.status, answer.header(b"connection")) == (413, b"close")
    peer.send_as_far_as_taken(bytes(MiB) + head("GET /"))
    assert peer.read_rest() == b""


def test_a_connection_goes_on_after_a_413_whose_body_has_come(endpoints_server):
    peer = endpoints_server.connect()
    body = (PART + b"\r\n") * 1001
    assert peer.ask(asked("POST /photos", PARTS, body=body)).status == 413
    assert peer.ask(head("GET /")).status == 200


@pytest.mark.parametrize("line", ["GET /", "HEAD /", "OPTIONS /", "TRACE /", "DELETE /users/1"])
def test_a_body_that_means_nothing_is_not_taken_for_a_request(endpoints_server, line):
    peer = endpoints_server.connect()
    smuggled = head("GET /nowhere")
    peer.send(asked(line, body=smuggled) + head("GET /", "Connection: close"))
    statuses = [line for line in peer.read_rest().split(b"\r\n") if b"HTTP/1.1 " in line]
    assert len(statuses) == 2
    assert b"404" not in b"".join(statuses)


def test_a_client_that_closes_its_side_gets_its_response(endpoints_server):
    peer = endpoints_server.connect()
    peer.send(asked("POST /shapes", JSON, body=CIRCLE))
    peer.finish()
    assert peer.read_answer().status == 201


def test_a_client_that_closes_its_side_in_the_middle_of_a_body_gets_none(endpoints_server):
    peer = endpoints_server.connect()
    peer.send(asked("POST /shapes", JSON, body=CIRCLE)[:-1])
    peer.finish()
    assert peer.read_rest() == b""


# Slow bodies


SLOW = {
    "json": head("POST /shapes", JSON, "Content-Length: 50") + b"{",
    "urlencoded": head("POST /forms", FORM, "Content-Length: 50") + b"n",
    "multipart": head("POST /photos", PARTS, "Content-Length: 50") + b"--b",
    "upload": head("POST /uploads", PARTS, "Content-Length: 500") + PART,
    "parts": head("PUT /parts", "Content-Length: 50") + b"a",
    "chunks": head("PUT /parts", "Transfer-Encoding: chunked") + b"5\r\na",
}


@pytest.mark.parametrize("name", SLOW)
def test_a_body_that_does_not_come_is_408(endpoints_server, name):
    answer = endpoints_server.ask(SLOW[name])
    assert (answer.status, answer.header(b"connection")) == (408, b"close")
    assert answer.problem["status"] == 408


# What an application puts into its responses


def test_headers_that_a_handler_sets_are_in_the_response_to_a_typed_result(endpoints_server):
    peer = endpoints_server.connect()
    for body in (CIRCLE, b'{"type":"Square","side":1}'):
        kind = b"circle" if body is CIRCLE else b"square"
        answer = peer.ask(asked("POST /shapes", JSON, "Accept: application/json", body=body))
        lines = [
            line for line in answer.head.split(b"\r\n") if not line.startswith((b"date", b"server"))
        ]
        assert sorted(lines) == [
            b"HTTP/1.1 201 Created",
            b"content-length: %d" % len(answer.body),
            b"content-type: application/json",
            b"location: /shapes/" + kind,
            b"set-cookie: last=%s; HttpOnly; Path=/; SameSite=lax" % kind,
            b"vary: accept",
        ]
    assert peer.ask(asked("POST /shapes", JSON, body=b"{}")).header(b"set-cookie") is None


INJECTED = "a\r\nX-Injected: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize("how", ["header", "refusal", "type", "added", "path"])
def test_a_line_break_in_a_header_is_a_500_and_nothing_of_it_is_sent(endpoints_server, how):
    endpoints_server.may_log_traceback = True
    peer = endpoints_server.connect()
    answer = peer.ask(head(f"GET /mistaken/{how}?text={quote(INJECTED)}"))
    assert (answer.status, answer.header(b"x-injected")) == (500, None)
    assert peer.ask(head("GET /")).status == 200


@pytest.mark.parametrize(("how", "status"), [("redirect", 307), ("cookie", 200)])
def test_a_line_break_where_it_is_escaped_ends_no_header(endpoints_server, how, status):
    answer = endpoints_server.ask(head(f"GET /mistaken/{how}?text={quote(INJECTED)}"))
    assert (answer.status, answer.header(b"x-injected")) == (status, None)


def events(answer: Answer) -> list[bytes]:
    return [line for line in answer.body.splitlines() if line]


def test_the_data_of_an_event_ends_no_event(endpoints_server):
    text = "a\n\nevent: b\rid: c\r\n\r\nretry: 1"
    line = f"GET /mistaken/data/events?text={quote(text)}"
    received = endpoints_server.ask(head(line, "Connection: close")).body
    assert b"data: event: b\ndata: id: c\n" in received
    assert {line.partition(b": ")[0] for line in received.split(b"\n")} >= {b"data"}
    assert b"\nevent:" not in received
    assert b"\nid:" not in received


@pytest.mark.parametrize("how", ["event", "id"])
def test_a_line_break_in_the_head_of_an_event_cuts_the_stream(endpoints_server, how):
    endpoints_server.may_log_traceback = True
    line = f"GET /mistaken/{how}/events?text={quote(INJECTED)}"
    answer = endpoints_server.ask(head(line))
    assert b"Injected" not in answer.body
    assert not answer.body.endswith(b"0\r\n\r\n")
