"""A TLS server, and peers that don't speak TLS correctly."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

import pytest

from tests.raw import PING, PONG, TEXT, close_frame, frame, handshake

pytestmark = pytest.mark.real_socket


def hello(context: ssl.SSLContext) -> bytes:
    """Return the first bytes of a TLS client."""
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\x00" * 1000, b"\xff" * 1000, b"\x16\x03\x01\xff\xff" + b"\xff" * 70_000, handshake()],
    ids=["nothing", "nuls", "ones", "record", "http"],
)
def test_what_is_no_tls_is_ended_without_a_traceback(tls_server, garbage):
    peer = tls_server.connect_without_tls()
    peer.send_as_far_as_taken(garbage)
    started = tls_server.now()
    peer.read_rest()
    assert tls_server.now() - started < tls_server.at_most(8)


@pytest.mark.parametrize("part", [1, 5, 50, None])
@pytest.mark.parametrize("end", ["finish", "reset"])
def test_a_peer_that_vanishes_in_the_tls_handshake_leaves_nothing(tls_server, part, end):
    peer = tls_server.connect_without_tls()
    peer.send(hello(tls_server.context)[:part])
    getattr(peer, end)()
    tls_server.settle()


def test_a_peer_that_resets_inside_tls_leaves_nothing(tls_server):
    key = tls_server.new_key()
    peer = tls_server.open(f"/collecting?key={key}")
    peer.send(frame(TEXT, b"hello", fin=False))
    peer.reset()
    assert tls_server.report(key)["code"] == 1006


def test_a_refused_peer_that_stays_is_let_go_in_time(tls_server):
    peer = tls_server.connect()
    assert peer.ask(handshake("/nowhere")).status == 404
    tls_server.settle()


def test_garbage_inside_tls_ends_the_connection(tls_server):
    key = tls_server.new_key()
    peer = tls_server.open(f"/collecting?key={key}")
    below = socket.socket(fileno=peer.socket.fileno())
    below.sendall(b"\x17\x03\x03\x00\x20" + b"\xff" * 32)
    below.detach()
    assert tls_server.report(key)["code"] == 1006


def test_messages_pings_and_closes_work_as_without(tls_server):
    key = tls_server.new_key()
    peer = tls_server.open(f"/echo?key={key}", behind=frame(TEXT, b"at once"))
    assert peer.read_message() == "at once"
    peer.send(frame(PING, b"?"))
    assert peer.read_frame().opcode == PONG
    peer.send(frame(TEXT, b"x" * 2**20))
    assert peer.read_message() == "x" * 2**20
    peer.send(close_frame(4001, b"bye"))
    assert peer.read_close()[0] == 4001
    report = tls_server.report(key)
    assert (report["code"], report["reason"]) == (4001, "bye")


def test_a_violation_is_closed_with_1002(tls_server):
    peer = tls_server.open("/echo")
    peer.send(frame(3) + bytes(100_000))
    assert peer.read_close()[0] == 1002


def test_a_hundred_violations_with_more_behind_them_get_a_hundred_close_frames(tls_server):
    for _ in range(100):
        with tls_server.open("/echo") as peer:
            peer.send_as_far_as_taken(frame(3) + bytes(200_000))
            assert peer.read_close()[0] == 1002


def test_a_hundred_refusals_arrive_though_the_peer_has_sent_more(tls_server):
    for _ in range(100):
        with tls_server.connect() as peer:
            peer.send_as_far_as_taken(handshake("/nope") + b"x" * 200_000)
            assert peer.read_answer().problem["status"] == 404


@pytest.mark.parametrize("handler", ["collecting", "deaf"])
def test_a_peer_that_says_goodbye_in_tls_only_is_1006_at_once(tls_server, handler):
    key = tls_server.new_key()
    peer = tls_server.open(f"/{handler}?key={key}")
    peer.socket.setblocking(False)
    with suppress(ssl.SSLError, ConnectionError):  # the server need not answer with TLS
        peer.socket.unwrap()
    started = tls_server.now()
    assert tls_server.report(key)["code"] == 1006
    assert tls_server.now() - started < tls_server.at_most(2)


@pytest.mark.parametrize("end", ["finish", "reset"])
@pytest.mark.parametrize("count", [20, 20_000])
def test_a_peer_that_vanishes_behind_unread_messages_is_noticed(tls_server, count, end):
    key = tls_server.new_key()
    peer = tls_server.open(f"/deaf?key={key}")
    peer.send(frame(TEXT, b"x") * count)
    started = tls_server.now()
    getattr(peer, end)()
    assert tls_server.report(key)["code"] == 1006
    assert tls_server.now() - started < tls_server.at_most(3)


def test_a_peer_that_answers_no_ping_is_1011(tls_server):
    key = tls_server.new_key()
    peer = tls_server.open(f"/watched?key={key}")
    assert peer.read_close()[0] == 1011
    assert tls_server.report(key)["code"] == 1011


def test_a_peer_that_does_not_read_is_1008_after_the_send_timeout(tls_server):
    key = tls_server.new_key()
    tls_server.open(f"/pour?key={key}")
    report = tls_server.report(key)
    assert report["code"] == 1008
    assert report["seconds"] < 4


def test_a_send_is_cancelled_after_the_second_that_its_handler_gives_it(tls_server):
    key = tls_server.new_key()
    tls_server.open(f"/impatient?key={key}")
    assert 1 <= tls_server.report(key)["seconds"] < 2


def test_a_refusal_arrives_whole_and_ends_the_connection(tls_server):
    peer = tls_server.connect()
    answer = peer.ask(handshake("/nope"))
    assert (answer.status, answer.problem["status"]) == (404, 404)
    assert peer.read_rest() == b""
