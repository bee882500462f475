"""The bytes that the tests make by hand are what a library reads."""

from __future__ import annotations

import zlib

import pytest
import websockets.frames
from websockets.streams import StreamReader

from tests.raw import (
    BINARY,
    CLOSE,
    DEFLATE,
    PING,
    TEXT,
    Frame,
    close_frame,
    deflated,
    frame,
    handshake,
    take_frame,
)


def parsed(data, *, mask=True):
    """Let a library read a single frame."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    reading = websockets.frames.Frame.parse(reader.read_exact, mask=mask)
    try:
        next(reading)
    except StopIteration as done:
        return done.value
    raise AssertionError("it isn't complete")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\x01\x80\xff\x7f"])
def test_a_frame_is_what_a_library_reads(size, mask):
    payload = bytes(number % 251 for number in range(size))
    found = parsed(frame(BINARY, payload, mask=mask))
    assert (found.opcode, found.data, found.fin) == (BINARY, payload, True)


def test_a_frame_may_be_wrong():
    assert frame(TEXT, b"hi", mask=None) == b"\x81\x02hi"
    assert frame(TEXT, b"", length=2**62)[:10] == b"\x81\xff\x40" + bytes(7)
    assert frame(TEXT, b"hi", mask=None, width=2) == b"\x81\x7e\0\x02hi"
    assert frame(PING, fin=False, reserved=7)[0] == 0x79


def test_a_close_frame_has_a_code_and_a_reason_or_neither():
    assert parsed(close_frame(1001, b"bye")).data == b"\x03\xe9bye"
    assert parsed(close_frame(None)).data == b""


def test_what_is_deflated_inflates_to_what_it_was():
    data = zlib.decompressobj(-15).decompress(deflated(b"hello " * 100) + b"\0\0\xff\xff")
    assert data == b"hello " * 100


def test_a_handshake_ends_in_an_empty_line():
    head = handshake("/chat", DEFLATE)
    assert head.startswith(b"GET /chat HTTP/1.1\r\nHost: ")
    assert head.endswith(b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")


def test_a_handshake_may_lack_a_header():
    head = handshake("/chat", without=(b"Upgrade", b"Host"))
    assert b"\r\nHost:" not in head
    assert b"\r\nUpgrade:" not in head
    assert b"\r\nConnection: Upgrade\r\n" in head


@pytest.mark.parametrize("size", [0, 125, 126, 65_536])
def test_frames_are_found_however_they_arrive(size):
    stream = frame(TEXT, bytes(size), mask=None) + frame(CLOSE, b"\x03\xe8", mask=None, fin=False)
    data = bytearray()
    found = []
    for start in range(0, len(stream), 7):
        data += stream[start : start + 7]
        while (taken := take_frame(data)) is not None:
            found.append(taken)
    assert found == [Frame(TEXT, bytes(size), True, 0), Frame(CLOSE, b"\x03\xe8", False, 0)]
