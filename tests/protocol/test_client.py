"""The client's side of the protocol, with bytes of a server that are made by hand."""

from __future__ import annotations

from functools import partial

import pytest
from websockets.frames import Opcode
from websockets.protocol import SERVER, Protocol
from websockets.utils import accept_key

from tests import raw
from tests.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, RSV1, TEXT, deflated
from triows._protocol.client import (
    Answer,
    BadText,
    Broken,
    ClientCodec,
    Close,
    Message,
    Ping,
    Pong,
)

frame = partial(raw.frame, mask=None)


def acceptance(codec, *lines):
    key = dict(codec.handshake)["Sec-WebSocket-Key"]
    head = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_key(key).encode(),
        *lines,
    ]
    return b"\r\n".join([*head, b"", b""])


def opened(*lines, **options):
    """Return a codec whose handshake was accepted."""
    codec = ClientCodec(**options)
    (answer,) = codec.receive(acceptance(codec, *lines))
    assert answer.accepted
    return codec


def read(data):
    """Return the frames that a server reads."""
    server = Protocol(SERVER)
    server.receive_data(data)
    assert server.parser_exc is None
    return [(one.opcode, bytes(one.data)) for one in server.events_received()]


# The handshake


def test_its_headers_are_those_of_a_handshake():
    headers = dict(ClientCodec().handshake)
    assert "Host" not in headers
    assert headers["Upgrade"] == "websocket"
    assert headers["Sec-WebSocket-Version"] == "13"
    assert "Sec-WebSocket-Protocol" not in headers
    assert "Sec-WebSocket-Extensions" not in headers


def test_it_offers_what_it_is_told_to():
    headers = dict(ClientCodec(subprotocols=["a", "b"], compression=True).handshake)
    assert headers["Sec-WebSocket-Protocol"] == "a, b"
    assert headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")


def test_its_key_is_the_same_each_time():
    codec = ClientCodec()
    assert codec.handshake == codec.handshake


def test_an_acceptance_opens_it():
    codec = ClientCodec(subprotocols=["a", "b"])
    assert not codec.is_open
    head = acceptance(codec, b"Sec-WebSocket-Protocol: b")
    assert codec.receive(head[:20]) == []
    (answer,) = codec.receive(head[20:])
    assert isinstance(answer, Answer)
    assert (answer.response.status_code, answer.accepted, answer.mistake) == (101, True, None)
    assert codec.is_open
    assert codec.subprotocol == "b"


def test_a_refusal_is_an_answer_with_a_body_and_no_mistake():
    codec = ClientCodec()
    (answer,) = codec.receive(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    assert (answer.response.status_code, answer.response.body) == (403, b"no")
    assert (answer.accepted, answer.mistake) == (False, None)
    assert not codec.is_open


def test_an_answer_that_breaks_a_rule_is_named():
    codec = ClientCodec()
    head = acceptance(codec).replace(b"Accept: ", b"Accept: x")
    (answer,) = codec.receive(head)
    assert not answer.accepted
    assert "Sec-WebSocket-Accept" in str(answer.mistake)
    assert codec.receive(b"") == []


def test_frames_in_the_packet_of_the_acceptance_come_after_it():
    codec = ClientCodec()
    answer, message = codec.receive(acceptance(codec) + frame(TEXT, b"early"))
    assert isinstance(answer, Answer)
    assert message == Message("early", 5)


# Messages


def test_a_message_is_text_or_bytes_and_has_a_size():
    snowman = "\N{SNOWMAN}"
    data = frame(TEXT, snowman.encode()) + frame(BINARY, b"\xff")
    assert opened().receive(data) == [Message(snowman, 3), Message(b"\xff", 1)]


def test_a_message_in_fragments_is_one_message():
    codec = opened()
    assert codec.receive(frame(TEXT, b"\xe2\x98", fin=False)) == []
    assert codec.receive(frame(PING, b"?")) == [Ping(b"?")]
    assert codec.receive(frame(CONTINUATION, b"\x83")) == [Message("\N{SNOWMAN}", 3)]


def test_a_text_that_is_not_utf_8_is_reported_and_what_follows_is_read():
    bad, good = opened().receive(frame(TEXT, b"\xff") + frame(TEXT, b"fine"))
    assert isinstance(bad, BadText)
    assert bad.mistake.object == b"\xff"
    assert good == Message("fine", 4)


def test_a_compressed_message_is_inflated_if_that_was_negotiated():
    codec = opened(b"Sec-WebSocket-Extensions: permessage-deflate", compression=True)
    data = frame(TEXT, deflated(b"x" * 1000), reserved=RSV1)
    assert codec.receive(data) == [Message("x" * 1000, 1000)]


@pytest.mark.parametrize(
    ("message", "opcode", "payload"),
    [("h\xe9", Opcode.TEXT, b"h\xc3\xa9"), (b"\xff", Opcode.BINARY, b"\xff")],
)
def test_a_message_is_written_as_a_masked_frame(message, opcode, payload):
    data = opened().message(message)
    assert data[1] & 0x80
    assert read(data) == [(opcode, payload)]


# Control frames


def test_a_ping_is_reported_and_answered():
    codec = opened()
    assert codec.receive(frame(PING, b"1") + frame(PING, b"2")) == [Ping(b"1"), Ping(b"2")]
    assert read(b"".join(codec.answers())) == [(Opcode.PONG, b"1"), (Opcode.PONG, b"2")]
    assert codec.answers() == []


def test_a_pong_is_reported():
    codec = opened()
    assert read(codec.ping(b"1234")) == [(Opcode.PING, b"1234")]
    assert codec.receive(frame(PONG, b"1234")) == [Pong(b"1234")]


def test_a_close_frame_is_reported_and_answered_with_the_same_code():
    codec = opened()
    assert codec.close_received is None
    assert codec.receive(frame(CLOSE, b"\x0f\xa1enough")) == [Close(4001, "enough")]
    assert codec.close_received == Close(4001, "enough")
    assert not codec.is_open
    assert codec.has_sent_close
    assert read(codec.answers()[0]) == [(Opcode.CLOSE, b"\x0f\xa1enough")]


def test_a_close_frame_without_a_code_counts_as_1005():
    assert opened().receive(frame(CLOSE)) == [Close(1005, "")]


def test_after_its_own_close_frame_messages_are_still_read():
    codec = opened()
    assert read(codec.close(1000, "bye")) == [(Opcode.CLOSE, b"\x03\xe8bye")]
    assert (codec.is_open, codec.has_sent_close) == (False, True)
    data = frame(TEXT, b"last") + frame(CLOSE, b"\x03\xe8bye")
    assert codec.receive(data) == [Message("last", 4), Close(1000, "bye")]


def test_the_end_of_the_connection_closes_the_clients_side():
    codec = opened()
    codec.receive(frame(CLOSE, b"\x03\xe8"))
    codec.answers()
    assert codec.receive(b"") == []
    assert codec.answers() == [b""]
    assert not codec.is_open


# A server that breaks rules


def test_a_broken_rule_is_reported_once_after_what_came_before():
    codec = opened()
    message, broken = codec.receive(frame(TEXT, b"before") + frame(3) + frame(TEXT, b"after"))
    assert message == Message("before", 6)
    assert isinstance(broken, Broken)
    assert "invalid opcode" in str(broken.mistake)
    assert read(codec.answers()[0])[0][1][:2] == b"\x03\xea"  # 1002
    assert codec.receive(frame(TEXT, b"more")) == []
    assert codec.receive(b"") == []


def test_an_end_without_a_close_frame_breaks_a_rule():
    codec = opened()
    (broken,) = codec.receive(b"")
    assert isinstance(broken, Broken)
    assert str(broken.mistake) == "unexpected end of stream"
    assert codec.answers() == [b""]


def test_a_masked_frame_breaks_a_rule():
    (broken,) = opened().receive(raw.frame(TEXT, b"masked"))
    assert isinstance(broken, Broken)
