"""Property tests that compare the codec's two lanes with each other, and with the library alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from attrs import define, field
from hypothesis import Phase, given, settings, strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol

from tests.protocol.frame_streams import Stream, streams
from tests.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from triows._protocol.codec import Codec, EndOfFrames

LIMIT = 70_000
FRAGMENTS = 4
ROOM = (2**31, 2**62)


@define
class Outcome:
    """Everything that a codec makes of a stream."""

    messages: list[tuple[str | bytes, int]] = field(factory=list)
    pongs: list[bytes] = field(factory=list)
    replies: bytes = b""
    end: EndOfFrames | None = None


class SlowCodec(Codec):
    """The codec without its fast lane: every frame goes to the library."""

    __slots__ = ()

    def _read_plain(self, data: bytes, position: int, *_: Any) -> int:
        return position


def deflate() -> list[Any]:
    return [PerMessageDeflate(False, False, 12, 12)]


def run(make: type[Codec], stream: Stream, *, compressing: bool, rooms: Any = None) -> Outcome:
    """Feed a stream to a codec. *rooms* has the room for each call; by default, no limit."""
    extensions = deflate() if compressing else []
    codec = make(message_size=LIMIT, fragments=FRAGMENTS, extensions=extensions)
    out = Outcome()
    for chunk in [one for one in stream.chunks if one]:
        data = chunk
        while True:
            count, size = next(rooms) if rooms else ROOM
            found = codec.receive(data, count, size)
            assert len(found) <= max(count, 1)  # a message that has begun needs no room
            out.messages += found
            data = b""
            if not codec.pending:
                break
    out.pongs = codec.pongs
    out.replies = b"".join(codec.replies)
    out.end = codec.end
    return out


def small_rooms(seed: int) -> Any:
    chance = random.Random(seed)
    while True:
        yield chance.choice([(0, 0), (1, 1), (2, 100), (3, 100_000), (100, 2**30)])


@pytest.mark.unmeasured
@given(streams(), st.booleans())
def test_both_lanes_make_the_same_of_a_stream(stream, compressing):
    assert run(Codec, stream, compressing=compressing) == run(
        SlowCodec, stream, compressing=compressing
    )


@pytest.mark.unmeasured
@given(streams(), st.booleans())
def test_it_does_not_matter_how_a_stream_is_cut(stream, compressing):
    whole = Stream(stream.data, [])
    assert run(Codec, stream, compressing=compressing) == run(Codec, whole, compressing=compressing)


@pytest.mark.unmeasured
@given(streams(), st.integers(0, 2**32))
def test_it_does_not_matter_how_much_room_there_is_at_a_time(stream, seed):
    assert run(Codec, stream, compressing=False, rooms=small_rooms(seed)) == run(
        Codec, stream, compressing=False
    )


# Against the library alone


def library(stream: Stream, *, compressing: bool) -> Outcome:
    """
    Return what a simple user of websockets makes of a stream.

    It doesn't check the rules that we check ourselves. The tests below do that.
    """
    protocol = Protocol(SERVER, max_size=LIMIT)
    protocol.extensions = deflate() if compressing else []
    out = Outcome()
    parts: list[Frame] = []
    protocol.receive_data(stream.data)
    for one in protocol.events_received():
        assert isinstance(one, Frame)
        if one.opcode is Opcode.PONG:
            out.pongs.append(bytes(one.data))
        if one.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            parts.append(one)
            if one.fin:
                data = b"".join(bytes(part.data) for part in parts)
                text = parts[0].opcode is Opcode.TEXT
                out.messages.append((data.decode() if text else data, len(data)))
                parts = []
    out.replies = b"".join(protocol.data_to_send())
    if protocol.close_rcvd is not None and protocol.parser_exc is None:
        out.end = EndOfFrames(protocol.close_rcvd.code, protocol.close_rcvd.reason, by_peer=True)
    elif protocol.close_sent is not None:
        out.end = EndOfFrames(protocol.close_sent.code, protocol.close_sent.reason, by_peer=False)
    return out


def of_the_librarys_rules_only(stream: Stream, *, compressing: bool) -> bool:
    """Whether the stream breaks none of our own rules. Then the library alone has to agree."""
    codec = run(SlowCodec, Stream(stream.data, []), compressing=compressing)
    ours = ("not valid UTF-8", "fragments", "not minimal", "highest bit", "control frame too long")
    broken = codec.end is not None and any(rule in codec.end.reason for rule in ours)
    between = b"incomplete fragmented message" in library_reason(stream, compressing=compressing)
    return not broken and not between


def library_reason(stream: Stream, *, compressing: bool) -> bytes:
    protocol = Protocol(SERVER, max_size=LIMIT)
    protocol.extensions = deflate() if compressing else []
    protocol.receive_data(stream.data)
    return str(protocol.parser_exc).encode()


@pytest.mark.unmeasured
@given(streams(), st.booleans())
def test_it_agrees_with_the_library_wherever_the_rule_is_the_librarys(stream, compressing):
    if of_the_librarys_rules_only(stream, compressing=compressing):
        assert run(Codec, stream, compressing=compressing) == library(
            stream, compressing=compressing
        )


def test_the_streams_are_of_all_kinds():
    """If they weren't, the properties above would say little."""
    wanted = {None, 1000, 1002, 1007, 1009, str, bytes}
    seen = set()

    class Enough(Exception):
        pass

    # Which examples come depends on the constants in the modules that are loaded.
    @settings(max_examples=4000, database=None, derandomize=True, phases=[Phase.generate])
    @given(streams())
    def look(stream: Stream) -> None:
        out = run(Codec, stream, compressing=False)
        seen.add(None if out.end is None else out.end.code)
        seen.update(type(message) for message, _ in out.messages)
        if wanted <= seen:
            raise Enough

    with pytest.raises(Enough):
        look()


# The rules that are ours


def received(*frames: bytes, **limits: int) -> Outcome:
    codec = Codec(**{"message_size": LIMIT, "fragments": FRAGMENTS, **limits})
    out = Outcome(messages=codec.receive(b"".join(frames), *ROOM))
    out.pongs, out.replies, out.end = codec.pongs, b"".join(codec.replies), codec.end
    return out


def end_of(*frames: bytes, **limits: int) -> tuple[int, bool]:
    end = received(*frames, **limits).end
    assert end is not None
    return end.code, end.by_peer


@pytest.mark.parametrize(
    "frame",
    [
        frame(TEXT, b"hello", width=2),
        frame(TEXT, b"hello", width=8),
        frame(BINARY, bytes(300), width=8),
        frame(BINARY, b"", width=8, length=2**63),
        frame(PING, bytes(126)),
        frame(PING, b"", width=8, length=2**40),
    ],
)
def test_a_length_that_may_not_stand_there_is_1002_as_soon_as_it_is_read(frame):
    header = frame[:10]
    assert end_of(header) == (1002, False)


def test_a_close_between_fragments_is_a_close():
    frames = [frame(TEXT, b"begun", fin=False), frame(CLOSE, b"\x03\xe8done")]
    out = received(*frames)
    assert (out.messages, out.end) == ([], EndOfFrames(1000, "done", by_peer=True))
    assert out.replies == b"\x88\x06\x03\xe8done"


def test_text_that_is_not_utf_8_is_1007_at_the_fragment_that_shows_it():
    assert end_of(frame(TEXT, b"fine, so far, but \xff", fin=False)) == (1007, False)


def test_a_character_may_be_cut_by_fragments_but_not_by_the_end():
    snowman = "\N{SNOWMAN}".encode()
    cut = frame(TEXT, snowman[:2], fin=False)
    assert received(cut, frame(CONTINUATION, snowman[2:])).messages == [("\N{SNOWMAN}", 3)]
    assert end_of(cut, frame(CONTINUATION, b"")) == (1007, False)


def test_a_fragment_too_many_is_1009():
    begin = frame(TEXT, b"", fin=False)
    more = frame(CONTINUATION, b"", fin=False)
    assert received(begin, *[more] * (FRAGMENTS - 1)).end is None
    assert end_of(begin, *[more] * FRAGMENTS) == (1009, False)


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
def test_a_message_up_to_the_limit_is_delivered(size):
    assert received(frame(BINARY, bytes(size))).messages == [(bytes(size), size)]


def test_a_message_over_the_limit_is_1009_as_soon_as_its_header_is_read():
    assert end_of(frame(BINARY, b"", length=LIMIT + 1)) == (1009, False)


def test_fragments_over_the_limit_together_are_1009():
    half = LIMIT // 2 + 1
    begin = frame(BINARY, bytes(half), fin=False)
    assert end_of(begin, frame(CONTINUATION, b"", length=half)[:10]) == (1009, False)


def test_a_message_that_inflates_over_the_limit_is_1009():
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS, extensions=deflate())
    bomb = PerMessageDeflate(False, False, 12, 12).encode(Frame(Opcode.BINARY, bytes(10**7)))
    codec.receive(frame(BINARY, bytes(bomb.data), reserved=4), *ROOM)
    assert codec.end is not None
    assert codec.end.code == 1009


def test_nothing_is_read_after_a_close():
    out = received(frame(CLOSE, b"\x03\xe8"), frame(TEXT, b"late"), frame(3))
    assert (out.messages, out.end) == ([], EndOfFrames(1000, "", by_peer=True))


def test_a_close_without_a_code_is_1005():
    assert received(frame(CLOSE)).end == EndOfFrames(1005, "", by_peer=True)


def test_pings_are_answered_in_order():
    out = received(frame(PING, b"1"), frame(TEXT, b"x"), frame(PING, b"2"))
    assert out.replies == b"\x8a\x011\x8a\x012"


# Room and turns


def test_control_frames_need_no_room():
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS)
    frames = [frame(PING, b"?"), frame(TEXT, b"wait"), frame(PING, b"behind")]
    assert codec.receive(b"".join(frames), 0, 0) == []
    assert (codec.pending, codec.replies) == (True, [b"\x8a\x01?"])
    assert codec.receive(b"", 1, 1) == [("wait", 4)]
    assert (codec.pending, codec.replies[1:]) == (False, [b"\x8a\x06behind"])


def test_many_frames_are_read_in_several_turns():
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS)
    codec.receive(frame(PING) * 1000, *ROOM)
    first = len(codec.replies)
    assert codec.pending
    assert 0 < first < 1000
    while codec.pending:
        codec.receive(b"", *ROOM)
    assert len(codec.replies) == 1000


# Writing


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
@pytest.mark.parametrize("text", [True, False])
def test_a_frame_is_what_the_library_writes(size, text):
    payload = b"x" * size
    protocol = Protocol(SERVER)
    (protocol.send_text if text else protocol.send_binary)(payload)
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS)
    assert codec.data_frame(payload, text=text) == b"".join(protocol.data_to_send())


def test_a_frame_is_compressed_where_that_was_negotiated():
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS, extensions=deflate())
    frame = codec.data_frame(b"x" * 1000, text=True)
    assert frame[0] == 0xC1
    assert len(frame) < 100


def test_a_close_frame_is_written_once():
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS)
    assert codec.close_frame(1001, "bye") == b"\x88\x05\x03\xe9bye"
    assert codec.close_frame(1000, "") == b""
    codec.fail(1008, "slow")
    assert codec.replies == []


def test_a_peers_answer_to_our_close_is_its_close():
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS)
    codec.close_frame(1001, "")
    codec.receive(frame(CLOSE, b"\x03\xe9"), *ROOM)
    assert (codec.end, codec.replies) == (EndOfFrames(1001, "", by_peer=True), [])


def test_failing_writes_a_close_frame_and_reads_no_more():
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS)
    codec.fail(1011, "ping timeout")
    assert b"".join(codec.replies) == b"\x88\x0e\x03\xf3ping timeout"
    assert codec.receive(frame(TEXT, b"late"), *ROOM) == []


def test_pongs_are_told_with_their_payloads():
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS)
    assert codec.ping_frame(b"1234") == b"\x89\x041234"
    codec.receive(frame(PONG, b"1234"), *ROOM)
    assert codec.pongs == [b"1234"]


def test_messages_before_a_violation_may_be_answered_compressed():
    codec = Codec(message_size=LIMIT, fragments=FRAGMENTS, extensions=deflate())
    assert codec.receive(frame(TEXT, b"first") + frame(3), *ROOM) == [("first", 5)]
    assert codec.end is not None
    assert codec.data_frame(b"x" * 1000, text=True)[0] == 0xC1
