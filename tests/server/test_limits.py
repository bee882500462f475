"""How much a peer can make the server hold: messages, fragments, bombs, and data after 1009."""

from __future__ import annotations

import zlib

import pytest

from tests.raw import BINARY, CONTINUATION, TEXT, frame

MiB = 2**20

#: How much memory a hostile peer may use at a time. With a limit of 1 MiB, this is generous.
ALLOWED = 16 * MiB

DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


@pytest.mark.on_sockets_too
def test_a_message_as_big_as_the_limit_comes_back(server):
    peer = server.open("/echo")
    peer.send(frame(TEXT, b"x" * MiB))
    assert peer.read_message() == "x" * MiB


def test_a_message_over_the_limit_is_1009_as_soon_as_its_header_says_so(server):
    peer = server.open("/echo")
    peer.send(frame(BINARY, length=MiB + 1))
    assert peer.read_close()[0] == 1009


def test_fragments_over_the_limit_are_1009_as_soon_as_a_header_says_so(server):
    peer = server.open("/echo")
    peer.send(frame(BINARY, bytes(MiB // 2), fin=False))
    peer.send(frame(CONTINUATION, length=MiB // 2 + 1))
    assert peer.read_close()[0] == 1009


def test_the_limit_counts_bytes_and_not_characters(server):
    peer = server.open("/echo")
    peer.send(frame(TEXT, "\N{SNOWMAN}".encode() * (MiB // 3 + 1)))
    assert peer.read_close()[0] == 1009


@pytest.mark.on_sockets_too("one-byte")
@pytest.mark.parametrize("payload", [b"", b"x"], ids=["empty", "one-byte"])
def test_fragments_without_end_are_1009_or_1008(server, payload):
    peer = server.open("/echo")
    peer.send(frame(TEXT, fin=False))
    peer.send_as_far_as_taken(frame(CONTINUATION, payload, fin=False) * 5000)
    assert peer.read_close()[0] in {1008, 1009}


def test_as_many_fragments_as_are_allowed_make_a_message(server):
    peer = server.open("/echo")
    middle = frame(CONTINUATION, b"x", fin=False) * 4094
    peer.send(frame(TEXT, b"x", fin=False) + middle + frame(CONTINUATION, b"x"))
    assert peer.read_message() == "x" * 4096


def test_what_comes_after_1009_takes_no_memory(process_server):
    memory = process_server.bystander.ask_for("memory")
    peer = process_server.open("/echo")
    peer.send(frame(BINARY, fin=False))
    more = frame(CONTINUATION, bytes(2**16), fin=False)
    for _ in range(2000):
        peer.send_as_far_as_taken(more)
    assert peer.read_close()[0] == 1009
    assert process_server.bystander.ask_for("peak") - memory < ALLOWED


def test_one_huge_frame_takes_no_memory(process_server):
    memory = process_server.bystander.ask_for("memory")
    peer = process_server.open("/echo")
    peer.send(frame(BINARY, length=2**40))
    for _ in range(2000):
        peer.send_as_far_as_taken(bytes(2**16))
    assert peer.read_close()[0] == 1009
    assert process_server.bystander.ask_for("peak") - memory < ALLOWED


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """64 MiB, compressed."""
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [compress.compress(bytes(MiB)) for _ in range(64)]
    return b"".join([*parts, compress.flush(zlib.Z_SYNC_FLUSH)])[:-4]


@pytest.mark.parametrize("cut", [None, 1000], ids=["one-frame", "fragments"])
def test_a_compression_bomb_is_1009_and_takes_no_memory(compressing_process_server, bomb, cut):
    server = compressing_process_server
    memory = server.bystander.ask_for("memory")
    peer = server.open("/echo", DEFLATE)
    if cut is None:
        peer.send(frame(BINARY, bomb, reserved=4))
    else:
        peer.send(frame(BINARY, bomb[:cut], reserved=4, fin=False))
        for start in range(cut, len(bomb), cut):
            data = bomb[start : start + cut]
            peer.send_as_far_as_taken(frame(CONTINUATION, data, fin=False))
    assert peer.read_close()[0] == 1009
    assert server.bystander.ask_for("peak") - memory < ALLOWED


def test_many_bombs_at_once_take_no_more(compressing_process_server, bomb):
    server = compressing_process_server
    memory = server.bystander.ask_for("memory")
    peers = [server.open("/echo", DEFLATE) for _ in range(20)]
    for peer in peers:
        peer.send(frame(BINARY, bomb, reserved=4))
    assert [peer.read_close()[0] for peer in peers] == [1009] * 20
    assert server.bystander.ask_for("peak") - memory < 3 * ALLOWED
