"""Peers that have silently disappeared, and peers that are only quiet."""

from __future__ import annotations

import pytest

from tests.server.peer import PING, PONG, TEXT, frame


@pytest.mark.on_sockets_too("watched")
@pytest.mark.parametrize("handler", ["watched", "watched/deaf"])
def test_a_peer_that_answers_no_ping_is_1011_after_interval_and_timeout(siege, handler):
    key = siege.new_key()
    peer = siege.open(f"/{handler}?key={key}")
    started = siege.now()
    assert peer.read_close()[0] == 1011
    assert 0.5 < siege.now() - started < 2.5  # 0.3 and 0.3
    peer.read_rest()
    assert siege.report(key)["code"] == 1011
    siege.settle()


@pytest.mark.on_sockets_too
def test_a_peer_that_has_closed_behind_a_full_inbox_is_found(siege):
    """Its FIN waits behind messages for which nobody has room."""
    key = siege.new_key()
    peer = siege.open(f"/watched/deaf?key={key}")
    flood = frame(TEXT, bytes(2**16)) * 1600
    peer.socket.settimeout(0.2)
    # On a busy machine, the server finds by then that no ping was answered.
    with pytest.raises((TimeoutError, ConnectionError)):
        peer.send(flood)
    peer.socket.close()
    # On sockets, only the pings find that before the siege loses its patience.
    assert siege.report(key)["error"] == "Cancelled"
    siege.settle()


def test_a_peer_whose_pongs_wait_behind_a_full_inbox_is_kept(siege):
    """The handler is the slow one."""
    peer = siege.open("/watched/late")
    peer.send(frame(TEXT, b"x") * 2000)
    while (got := peer.read_frame()).opcode == PING:
        peer.send(frame(PONG, got.payload))
    assert (got.opcode, got.payload) == (TEXT, b"received them all")


def test_a_quiet_peer_that_answers_pings_is_kept(siege):
    key = siege.new_key()
    peer = siege.open(f"/watched?key={key}")
    started = siege.now()
    while siege.now() - started < 1.5:
        got = peer.read_frame()
        assert got.opcode == PING
        peer.send(frame(PONG, got.payload))
    peer.echo("still there")


def test_a_quiet_peer_of_a_route_without_pings_is_kept(siege):
    peer = siege.open("/echo")
    assert peer.hears_nothing_for(1.5)
    peer.echo("still there")


def test_a_pong_that_answers_no_ping_of_ours_keeps_nobody_alive(siege):
    key = siege.new_key()
    peer = siege.open(f"/watched?key={key}")
    for _ in range(100):
        peer.send_as_far_as_taken(frame(PONG, b"what was asked?"))
    assert peer.read_close()[0] == 1011


def test_a_handlers_ping_gives_the_seconds_that_it_took(siege):
    peer = siege.open("/pinging")
    ping = peer.read_frame()
    assert ping.opcode == PING
    assert peer.hears_nothing_for(0.1)
    peer.send(frame(PONG, ping.payload))
    assert 0.09 < float(peer.read_message()) < 15
