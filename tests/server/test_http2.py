"""
HTTP/2 is not served, on any way that could lead to it.

The frames are made by hand here, because a library wouldn't make invalid ones.
"""

from __future__ import annotations

import re

import hpack
import pytest

from tests.raw import CLOSE, frame

DATA, HEADERS, PRIORITY, SETTINGS = 0, 1, 2, 4
END_STREAM, END_HEADERS = 1, 4


def http2_frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def headers(*fields: tuple[bytes, bytes], end: bool = False) -> bytes:
    payload = hpack.Encoder().encode(fields)
    return http2_frame(HEADERS, payload, END_HEADERS | (END_STREAM if end else 0), stream=1)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
START = PREFACE + http2_frame(SETTINGS)

HTTPS, HOST = (b":scheme", b"http"), (b":authority", b"127.0.0.1")
WEBSOCKET = headers(
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":path", b"/echo"),
    HTTPS,
    HOST,
    (b"sec-websocket-version", b"13"),
)

CONVERSATIONS = {
    "preface": [PREFACE],
    "half a preface": [PREFACE[:18]],
    "settings": [START],
    "garbage": [PREFACE + b"\xff" * 100],
    "request": [START + headers((b":method", b"GET"), (b":path", b"/nope"), HTTPS, HOST, end=True)],
    "raw utf-8 in the path": [
        START + headers((b":method", b"GET"), (b":path", b"/caf\xc3\xa9"), HTTPS, HOST, end=True)
    ],
    "body after the response": [
        START + headers((b":method", b"POST"), (b":path", b"/nope"), HTTPS, HOST),
        http2_frame(DATA, b"x" * 1000, stream=1) * 5,
        http2_frame(DATA, b"x", END_STREAM, stream=1),
    ],
    "websocket that closes": [
        START + WEBSOCKET,
        http2_frame(DATA, frame(CLOSE, b"\x03\xe8"), END_STREAM, stream=1),
    ],
    "connect without a path": [START + headers((b":method", b"CONNECT"), HOST)],
    "priorities": [
        START + b"".join(http2_frame(PRIORITY, bytes(5), stream=2 * n + 1) for n in range(1, 1101))
    ],
}


@pytest.mark.parametrize("parts", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_prior_knowledge_is_refused(server, parts):
    peer = server.connect()
    for number, part in enumerate(parts):
        if number:
            # The server answers or has gone. In both cases, it has read this far.
            peer.wait()
        peer.send_as_far_as_taken(part)
    answer = peer.read_rest()
    assert answer == b"" or re.match(rb"HTTP/1.1 (4\d\d|505) ", answer)


@pytest.mark.parametrize("offered", [["h2"], ["h2", "http/1.1"], ["http/1.1", "h2"]])
def test_tls_does_not_agree_on_it(tls_server, trust, offered):
    trust.set_alpn_protocols(offered)
    assert tls_server.connect().socket.selected_alpn_protocol() in {None, "http/1.1"}


def test_a_preface_in_tls_is_refused(tls_server):
    peer = tls_server.connect()
    peer.send(START)
    answer = peer.read_rest()
    assert answer == b"" or re.match(rb"HTTP/1.1 (4\d\d|505) ", answer)
