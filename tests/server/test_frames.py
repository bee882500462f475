"""Invalid frames (RFC 6455 section 5), and the close codes that answer them."""

from __future__ import annotations

import zlib

import pytest

from tests.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, deflated, frame

VIOLATIONS = {
    "unmasked": frame(TEXT, b"hello", mask=None),
    "unmasked ping": frame(PING, mask=None),
    "unmasked close": frame(CLOSE, mask=None),
    **{f"reserved bits {bits:03b}": frame(TEXT, b"a", reserved=bits) for bits in range(1, 8)},
    "reserved bit in a ping": frame(PING, reserved=4),
    **{f"reserved opcode {code:#x}": frame(code, b"a") for code in [*range(3, 8), *range(11, 16)]},
    "ping in fragments": frame(PING, b"a", fin=False),
    "close in fragments": frame(CLOSE, fin=False),
    "ping of 126 bytes": frame(PING, bytes(126)),
    "pong of 126 bytes": frame(PONG, bytes(126)),
    "close of 126 bytes": frame(CLOSE, b"\x03\xe8" + b"x" * 124),
    "ping whose length takes two bytes": frame(PING, b"a", width=2),
    "stray continuation": frame(CONTINUATION, b"a"),
    "stray continuation that goes on": frame(CONTINUATION, b"a", fin=False),
    "message inside a message": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "binary inside a text": frame(TEXT, b"a", fin=False) + frame(BINARY, b"b", fin=False),
    "continuation of what is over": (
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION) + frame(CONTINUATION)
    ),
    "5 bytes whose length takes 2": frame(TEXT, b"hello", width=2),
    "5 bytes whose length takes 8": frame(TEXT, b"hello", width=8),
    "300 bytes whose length takes 8": frame(BINARY, bytes(300), width=8),
    "close of 1 byte": frame(CLOSE, b"\x03"),
    **{
        f"close with {code}": close_frame(code)
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
    },
}


@pytest.mark.on_sockets_too(
    "unmasked", "reserved bits 100", "message inside a message", "close with 1005"
)
@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_is_closed_with_1002(server, violation):
    key = server.new_key()
    peer = server.open(f"/echo?key={key}")
    peer.send(violation)
    assert peer.read_close()[0] == 1002
    peer.read_rest()
    assert server.report(key)["code"] == 1002


@pytest.mark.parametrize("violation", ["unmasked", "stray continuation", "reserved bits 100"])
def test_messages_before_a_violation_are_answered_first(server, violation):
    peer = server.open("/echo")
    peer.send(frame(TEXT, b"one") + frame(TEXT, b"two") + VIOLATIONS[violation])
    assert [peer.read_message(), peer.read_message()] == ["one", "two"]
    assert peer.read_close()[0] == 1002


def test_a_length_of_2_to_the_63_is_1002_or_1009(server):
    peer = server.open("/echo")
    peer.send(frame(BINARY, length=2**63))
    assert peer.read_close()[0] in {1002, 1009}


# UTF-8

NO_UTF8 = {
    "no lead byte": b"\x80",
    "ff": b"\xff",
    "overlong": b"\xc0\xaf",
    "overlong of three": b"\xe0\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "too high": b"\xf4\x90\x80\x80",
    "wrong in the middle": b"a\xe2\x28\xa1b",
}


@pytest.mark.on_sockets_too("overlong")
@pytest.mark.parametrize("text", [*NO_UTF8.values(), b"\xe2\x82"], ids=[*NO_UTF8, "truncated"])
def test_text_that_is_no_utf_8_is_closed_with_1007(server, text):
    key = server.new_key()
    peer = server.open(f"/collecting?key={key}")
    peer.send(frame(TEXT, b"before") + frame(TEXT, text))
    assert peer.read_close()[0] == 1007
    report = server.report(key)
    assert (report["messages"], report["code"]) == (["before"], 1007)


@pytest.mark.parametrize("text", NO_UTF8.values(), ids=NO_UTF8)
@pytest.mark.parametrize("place", ["first", "second"])
def test_a_fragment_that_is_no_utf_8_is_closed_before_the_message_is_whole(server, place, text):
    peer = server.open("/echo")
    if place == "second":
        peer.send(frame(TEXT, b"fine", fin=False) + frame(CONTINUATION, text, fin=False))
    else:
        peer.send(frame(TEXT, text, fin=False))
    assert peer.read_close()[0] == 1007


def test_a_character_may_be_cut_anywhere_by_fragments(server):
    text = "κόσμε \N{SNOWMAN} \U0001f40d"
    raw = text.encode()
    peer = server.open("/echo")
    peer.send(frame(TEXT, raw[:1], fin=False))
    for number in range(1, len(raw)):
        peer.send(frame(CONTINUATION, raw[number : number + 1], fin=False))
    peer.send(frame(CONTINUATION))
    assert peer.read_message() == text


def test_a_character_that_the_last_fragment_leaves_open_is_1007(server):
    peer = server.open("/echo")
    peer.send(frame(TEXT, b"a\xe2\x82", fin=False) + frame(CONTINUATION, b"\xac\xe2\x82"))
    assert peer.read_close()[0] == 1007


@pytest.mark.parametrize("reason", NO_UTF8.values(), ids=NO_UTF8)
def test_a_reason_that_is_no_utf_8_is_closed_with_1007(server, reason):
    peer = server.open("/echo")
    peer.send(close_frame(1000, reason))
    assert peer.read_close()[0] == 1007


# Valid frames that are rare


def test_a_ping_between_fragments_is_answered_before_the_message(server):
    peer = server.open("/echo")
    peer.send(frame(TEXT, b"one ", fin=False) + frame(PING, b"?"))
    pong = peer.read_frame()
    assert (pong.opcode, pong.payload) == (PONG, b"?")
    peer.send(frame(CONTINUATION, b"two"))
    assert peer.read_message() == "one two"


def test_pongs_that_nobody_asked_for_are_ignored(server):
    peer = server.open("/echo")
    peer.send(frame(PONG) + frame(PONG, b"x" * 125))
    peer.echo("as if nothing had been")


@pytest.mark.on_sockets_too
def test_frames_that_come_byte_by_byte_are_read(server):
    peer = server.open("/echo")
    for byte in frame(TEXT, b"hello", fin=False) + frame(PING) + frame(CONTINUATION, b"!"):
        peer.send(bytes([byte]))
    assert peer.read_frame().opcode == PONG
    assert peer.read_message() == "hello!"


def test_empty_messages_of_both_kinds_come_back(server):
    peer = server.open("/echo")
    peer.send(frame(TEXT) + frame(BINARY) + frame(TEXT, fin=False) + frame(CONTINUATION))
    assert [peer.read_message() for _ in range(3)] == ["", b"", ""]


def test_a_mask_of_zeros_is_a_mask(server):
    peer = server.open("/echo")
    peer.send(frame(TEXT, b"hello", mask=bytes(4)))
    assert peer.read_message() == "hello"


@pytest.mark.on_sockets_too("1048576")
@pytest.mark.parametrize("size", [125, 126, 127, 65_535, 65_536, 2**20])
def test_each_width_of_a_length_is_read_and_written(server, size):
    peer = server.open("/echo")
    peer.send(frame(BINARY, b"x" * size))
    assert peer.read_message() == b"x" * size


# Compression

DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


def test_compression_is_off_unless_it_is_asked_for(server):
    answer = server.handshake("/echo", DEFLATE)
    assert answer.status == 101
    assert answer.header(b"sec-websocket-extensions") is None


@pytest.mark.on_sockets_too("text")
@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
def test_a_ping_between_compressed_fragments_harms_neither(compressing_server, opcode):
    key = compressing_server.new_key()
    peer = compressing_server.open(f"/collecting?key={key}", DEFLATE)
    payload = bytes(range(32, 127)) * 50
    data = deflated(payload)
    half = len(data) // 2
    peer.send(frame(opcode, data[:half], fin=False, reserved=4) + frame(PING, b"?"))
    peer.send(frame(CONTINUATION, data[half:]))
    pong = peer.read_frame()
    assert (pong.opcode, pong.payload) == (PONG, b"?")
    peer.send(close_frame(1000))
    assert peer.read_close() == (1000, "")
    expected = payload.decode() if opcode == TEXT else len(payload)
    assert compressing_server.report(key)["messages"] == [expected]


def test_compressed_messages_that_refer_to_the_one_before_are_read(compressing_server):
    key = compressing_server.new_key()
    peer = compressing_server.open(f"/collecting?key={key}", DEFLATE)
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    for _ in range(3):
        data = compress.compress(b"the same again " * 10) + compress.flush(zlib.Z_SYNC_FLUSH)
        peer.send(frame(TEXT, data.removesuffix(b"\x00\x00\xff\xff"), reserved=4))
    peer.send(close_frame(1000))
    peer.read_close()
    assert compressing_server.report(key)["messages"] == ["the same again " * 10] * 3


@pytest.mark.parametrize("data", [b"\xff" * 20, b"no deflate at all", b"\x07"])
def test_data_that_is_no_deflate_is_closed_with_1007_or_1002(compressing_server, data):
    peer = compressing_server.open("/echo", DEFLATE)
    peer.send(frame(TEXT, data, reserved=4))
    assert peer.read_close()[0] in {1002, 1007}


@pytest.mark.parametrize(
    "violation",
    [
        frame(TEXT, deflated(b"a"), reserved=6),
        frame(PING, b"", reserved=4),
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", reserved=4),
    ],
    ids=["another bit", "ping", "continuation"],
)
def test_a_reserved_bit_in_the_wrong_place_is_1002_with_compression_too(
    compressing_server, violation
):
    peer = compressing_server.open("/echo", DEFLATE)
    peer.send(violation)
    assert peer.read_close()[0] == 1002


def test_compressed_text_that_is_no_utf_8_is_1007(compressing_server):
    peer = compressing_server.open("/echo", DEFLATE)
    peer.send(frame(TEXT, deflated(b"caf\xe9"), reserved=4))
    assert peer.read_close()[0] == 1007
