"""Close codes and reasons arrive, in both directions, whatever else happens."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.raw import BINARY, PING, TEXT, close_frame, frame, handshake
from tests.server.harness.peer import NoClose


@pytest.mark.on_sockets_too("collecting-4001")
@pytest.mark.parametrize(
    ("sent", "seen", "answered"),
    [
        (close_frame(4001, b"bye"), (4001, "bye"), 4001),
        (close_frame(1000), (1000, ""), 1000),
        (close_frame(1001, b"a" * 123), (1001, "a" * 123), 1001),
        (close_frame(1011, "caf\xe9".encode()), (1011, "caf\xe9"), 1011),
        (close_frame(3000), (3000, ""), 3000),
        (close_frame(None), (1005, ""), None),
    ],
    ids=["4001", "1000", "1001", "1011", "3000", "none"],
)
@pytest.mark.parametrize("handler", ["collecting", "deaf"])
def test_a_peers_code_and_reason_reach_the_handler_and_are_answered(
    server, handler, sent, seen, answered
):
    key = server.new_key()
    peer = server.open(f"/{handler}?key={key}")
    peer.send(sent)
    code, _ = peer.read_close()
    assert code in {answered, 1000} if answered is None else code == answered
    started = server.now()
    peer.read_rest()
    # the server closes first (RFC 6455 section 7.1.1)
    assert server.now() - started < server.at_most(1)
    report = server.report(key)
    assert (report["code"], report["reason"]) == seen


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
)
def test_every_code_that_may_be_sent_is_answered_with_itself(server, code):
    peer = server.open("/echo")
    peer.send(close_frame(code))
    assert peer.read_close()[0] == code


@pytest.mark.on_sockets_too
def test_the_servers_code_and_reason_reach_the_peer(server):
    peer = server.open("/closing/4002?reason=enough")
    assert peer.read_close() == (4002, "enough")
    peer.send(close_frame(4002))
    peer.read_rest()


@pytest.mark.on_sockets_too("talks")
@pytest.mark.parametrize("peer_does", ["nothing", "reads", "talks"])
def test_a_peer_that_does_not_answer_a_close_is_waited_for_no_longer_than_allowed(
    server, peer_does
):
    peer = server.open("/closing/1000")
    started = server.now()
    if peer_does == "talks":
        for _ in range(100):
            peer.send_as_far_as_taken(frame(TEXT, b"x" * 1000))
    if peer_does == "reads":
        assert peer.read_close() == (1000, "")
        peer.read_rest()
        assert server.now() - started < server.at_most(3)  # Timeouts.close is 0.5
    server.settle()
    assert server.now() - started < server.at_most(4)


def test_what_comes_after_a_close_is_ignored(server):
    key = server.new_key()
    peer = server.open(f"/collecting?key={key}")
    peer.send(frame(TEXT, b"before") + close_frame() + frame(TEXT, b"after") + close_frame(4000))
    peer.send_as_far_as_taken(frame(PING, b"?") + frame(3, mask=None))
    assert peer.read_close() == (1000, "")
    assert peer.read_rest() == b""
    report = server.report(key)
    assert (report["messages"], report["code"]) == (["before"], 1000)


def test_a_close_in_the_middle_of_a_fragmented_message_is_a_normal_close(server):
    key = server.new_key()
    peer = server.open(f"/collecting?key={key}")
    peer.send(frame(TEXT, b"begun", fin=False) + close_frame(1000, b"enough"))
    assert peer.read_close()[0] == 1000
    report = server.report(key)
    assert (report["messages"], report["code"], report["reason"]) == ([], 1000, "enough")


@pytest.mark.on_sockets_too("in a frame-finish", "in a frame-reset")
@pytest.mark.parametrize("end", ["finish", "reset"])
@pytest.mark.parametrize("at", ["between", "in a header", "in a frame", "in a message"])
def test_a_peer_that_vanishes_is_1006_at_once(server, at, end):
    key = server.new_key()
    peer = server.open(f"/collecting?key={key}")
    whole = frame(TEXT, b"hello", fin=False)
    peer.send({"between": b"", "in a header": whole[:1], "in a frame": whole[:8]}.get(at, whole))
    started = server.now()
    getattr(peer, end)()
    report = server.report(key)
    assert server.now() - started < server.at_most(2)
    assert (report["messages"], report["code"]) == ([], 1006)
    if end == "finish":
        peer.read_rest()  # the server closes its side, too


# A violation's close frame


BAD = frame(3, b"no such opcode")
JUNK = bytes(200_000)

# What the peer does after the bad frame. In each case, there is unread input when the server
# closes, so the kernel sends a reset.
WAYS = {
    "more in the same packet": BAD + JUNK,
    "a little more": BAD + b"\x81",
    "another violation": BAD * 2000,
    "messages": BAD + frame(BINARY, b"x" * 1000) * 50,
    "nothing": BAD,
}


def closes(server, way: str) -> bool:
    """Say whether a close frame comes after one bad frame."""
    with server.connect() as peer:
        if way == "in the handshake's packet":
            peer.send_as_far_as_taken(handshake("/echo") + BAD + JUNK)
            assert peer.read_answer().status == 101
        elif way == "behind echoes that nobody has read":
            peer.open("/echo")
            peer.send(frame(BINARY, b"x" * 1000) * 20)
            peer.send_as_far_as_taken(BAD + JUNK)
        elif way == "before FIN":
            peer.open("/echo")
            peer.send_as_far_as_taken(BAD + JUNK)
            with suppress(OSError):  # the server may have been faster
                peer.finish()
        else:
            peer.open("/echo")
            peer.send_as_far_as_taken(WAYS[way])
        try:
            return peer.read_close()[0] == 1002
        except NoClose:
            return False


@pytest.mark.parametrize(
    "way",
    [
        *WAYS,
        "in the handshake's packet",
        "behind echoes that nobody has read",
        "before FIN",
    ],
)
def test_a_thousand_violations_in_eight_ways_get_a_thousand_close_frames(process_server, way):
    assert sum(closes(process_server, way) for _ in range(125)) == 125


def test_the_close_frame_arrives_while_the_peer_goes_on_sending(process_server):
    arrived = 0
    for _ in range(50):
        with process_server.open("/echo") as peer:
            peer.send(BAD)
            for _ in range(20):
                peer.send_as_far_as_taken(bytes(10_000))
            with suppress(NoClose):
                arrived += peer.read_close()[0] == 1002
    assert arrived == 50


@pytest.mark.on_sockets_too
def test_an_unread_close_frame_is_the_last_thing_on_the_wire(server):
    """No message of the handler follows it."""
    peer = server.open("/pour?key=&size=100")
    peer.send(close_frame(1000))
    assert peer.read_close() == (1000, "")
    assert peer.read_rest() == b""
