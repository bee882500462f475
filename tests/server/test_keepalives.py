"""Peers that have silently disappeared, and peers that are only quiet."""

from __future__ import annotations

import pytest

from tests.raw import PING, PONG, TEXT, frame


@pytest.mark.on_sockets_too("watched")
@pytest.mark.parametrize("handler", ["watched", "watched/deaf"])
def test_a_peer_that_answers_no_ping_is_1011_after_interval_and_timeout(server, handler):
    key = server.new_key()
    peer = server.open(f"/{handler}?key={key}")
    started = server.now()
    assert peer.read_close()[0] == 1011
    assert 0.5 < server.now() - started < server.at_most(2.5)  # 0.3 and 0.3
    peer.read_rest()
    assert server.report(key)["code"] == 1011
    server.settle()


@pytest.mark.on_sockets_too
def test_a_peer_that_has_closed_behind_a_full_inbox_is_found(server):
    """Its FIN waits behind messages for which nobody has room."""
    key = server.new_key()
    peer = server.open(f"/watched/deaf?key={key}")
    flood = frame(TEXT, bytes(2**16)) * 1600
    peer.socket.settimeout(0.2)
    # On a busy machine, the server finds by then that no ping was answered.
    with pytest.raises((TimeoutError, ConnectionError)):
        peer.send(flood)
    peer.socket.close()
    # On sockets, only the pings find that before the server loses its patience.
    assert server.report(key)["error"] == "Cancelled"
    server.settle()


def test_a_peer_whose_pongs_wait_behind_a_full_inbox_is_kept(server):
    """The handler is the slow one."""
    peer = server.open("/watched/late")
    peer.send(frame(TEXT, b"x") * 2000)
    while (got := peer.read_frame()).opcode == PING:
        peer.send(frame(PONG, got.payload))
    assert (got.opcode, got.payload) == (TEXT, b"received them all")


def test_a_quiet_peer_that_answers_pings_is_kept(server):
    key = server.new_key()
    peer = server.open(f"/watched?key={key}")
    started = server.now()
    while server.now() - started < 1.5:
        got = peer.read_frame()
        assert got.opcode == PING
        peer.send(frame(PONG, got.payload))
    peer.echo("still there")


def test_a_quiet_peer_of_a_route_without_pings_is_kept(server):
    peer = server.open("/echo")
    assert peer.hears_nothing_for(1.5)
    peer.echo("still there")


def test_a_pong_that_answers_no_ping_of_ours_keeps_nobody_alive(server):
    key = server.new_key()
    peer = server.open(f"/watched?key={key}")
    for _ in range(100):
        peer.send_as_far_as_taken(frame(PONG, b"what was asked?"))
    assert peer.read_close()[0] == 1011


def test_a_handlers_ping_gives_the_seconds_that_it_took(server):
    peer = server.open("/pinging")
    ping = peer.read_frame()
    assert ping.opcode == PING
    assert peer.hears_nothing_for(0.1)
    peer.send(frame(PONG, ping.payload))
    assert 0.09 < float(peer.read_message()) < 15
