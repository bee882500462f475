"""A message that is encoded once, as all the peers read it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode

from tests.transports.scripted_wire import read_frames
from triows._protocol.codec import Codec
from triows._protocol.frames import Prepared

messages = st.one_of(st.text(max_size=200), st.binary(max_size=200), st.just("abc" * 50_000))
kinds = st.tuples(st.booleans(), st.integers(9, 15))


def encoded(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def codec(alone: bool, bits: int) -> Codec:
    deflate = PerMessageDeflate(False, alone, bits, bits)
    return Codec(message_size=2**20, fragments=10, extensions=[deflate])


@given(messages)
def test_a_peer_without_compression_reads_the_message(message):
    (frame,) = read_frames(Codec(message_size=1, fragments=1).shared_frame(Prepared(message)))
    opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
    assert (frame.opcode, bytes(frame.data)) == (opcode, encoded(message))


@given(kinds, st.lists(st.tuples(messages, st.booleans()), max_size=8))
def test_a_peer_with_compression_reads_shared_messages_and_its_own(kind, story):
    alone, bits = kind
    ours = codec(alone, bits)
    data = b"".join(
        ours.shared_frame(Prepared(message))
        if shared
        else ours.data_frame(encoded(message), text=isinstance(message, str))
        for message, shared in story
    )
    theirs = PerMessageDeflate(alone, False, bits, bits)
    frames = read_frames(data, [theirs])
    assert [bytes(frame.data) for frame in frames] == [encoded(message) for message, _ in story]


def test_a_message_is_compressed_once_for_connections_that_compress_alike():
    prepared = Prepared("abc" * 100)
    first, second, other = codec(False, 12), codec(True, 12), codec(False, 15)
    frame = first.shared_frame(prepared)
    assert len(frame) < 50
    assert second.shared_frame(prepared) is frame
    assert other.shared_frame(prepared) is not frame


def test_text_that_utf_8_cannot_express_is_refused():
    with pytest.raises(UnicodeEncodeError):
        Prepared("\ud800")
