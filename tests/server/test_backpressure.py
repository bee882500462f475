"""Peers that don't read, handlers that don't receive, and floods."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.raw import PING, PONG, TEXT, close_frame, frame
from tests.server.harness.peer import NoClose

MiB = 2**20


# A peer that does not read


def test_a_send_is_cancelled_after_the_second_that_its_handler_gives_it(server):
    key = server.new_key()
    server.open(f"/impatient?key={key}")
    report = server.report(key)
    assert report["error"] is None
    assert 1 <= report["seconds"] < 2


@pytest.mark.on_sockets_too
def test_a_peer_that_does_not_read_is_1008_after_the_send_timeout(server):
    key = server.new_key()
    server.open(f"/pour?key={key}")
    report = server.report(key)
    assert (report["error"], report["code"]) == ("WebSocketDisconnect", 1008)
    assert 1 <= report["seconds"] < server.at_most(4)  # Timeouts.send is 1
    server.settle()


def test_many_peers_that_do_not_read_take_little_memory_and_harm_nobody(process_server):
    memory = process_server.bystander.ask_for("memory")
    keys = [process_server.new_key() for _ in range(50)]
    for key in keys:
        process_server.open(f"/pour?key={key}")
    started = process_server.now()
    process_server.bystander.echo("me, too")
    with process_server.open("/echo") as another:
        another.echo("and me")
    assert process_server.now() - started < process_server.at_most(1)
    assert {process_server.report(key)["code"] for key in keys} == {1008}
    # An outbox of 1 MiB each, at most.
    assert process_server.bystander.ask_for("peak") - memory < 50 * 1.5 * MiB
    process_server.settle()


@pytest.mark.on_sockets_too
def test_a_handler_that_only_sends_harms_nobody(server):
    """A send is a checkpoint even if it doesn't have to wait."""
    key = server.new_key()
    peer = server.open(f"/pour?key={key}&size=10")
    for _ in range(1000):
        peer.read_frame()
    started = server.now()
    server.bystander.echo("me, too")
    assert server.now() - started < server.at_most(1)
    peer.reset()
    report = server.report(key)
    assert (report["error"], report["code"]) == ("WebSocketDisconnect", 1006)


@pytest.mark.on_sockets_too
def test_a_handler_that_only_sends_ends_when_its_peer_has_sent_and_reset(server):
    key = server.new_key()
    peer = server.open(f"/pour?key={key}")
    peer.send(frame(TEXT, b"x") * 30)
    peer.reset()
    assert server.report(key)["seconds"] < server.at_most(3)
    server.settle()


def test_a_handler_that_only_sends_is_told_that_its_peer_closes(server):
    key = server.new_key()
    peer = server.open(f"/pour?key={key}&size=1000")
    peer.send(frame(TEXT, b"x") * 30 + close_frame(4001, b"bye"))
    assert peer.read_close()[0] == 4001
    report = server.report(key)
    assert (report["code"], report["reason"]) == (4001, "bye")


# A handler that does not receive


def test_pings_behind_unread_messages_are_answered(server):
    key = server.new_key()
    peer = server.open(f"/deaf?key={key}")
    peer.send(frame(TEXT, b"x") * 20 + frame(PING, b"?"))  # Limits.inbox is 32
    pong = peer.read_frame()
    assert (pong.opcode, pong.payload) == (PONG, b"?")


def test_a_close_behind_unread_messages_is_answered(server):
    key = server.new_key()
    peer = server.open(f"/deaf?key={key}")
    peer.send(frame(TEXT, b"x") * 20 + close_frame(4001, b"bye"))
    assert peer.read_close()[0] == 4001
    report = server.report(key)
    assert (report["code"], report["reason"]) == (4001, "bye")


@pytest.mark.on_sockets_too("20000-finish", "20000-reset")
@pytest.mark.parametrize("end", ["finish", "reset"])
@pytest.mark.parametrize("count", [20, 200, 20_000])
def test_a_peer_that_vanishes_behind_unread_messages_is_noticed(server, count, end):
    key = server.new_key()
    peer = server.open(f"/deaf?key={key}")
    peer.send(frame(TEXT, b"x") * count)
    started = server.now()
    getattr(peer, end)()
    report = server.report(key)
    assert server.now() - started < server.at_most(3)
    assert report["code"] == 1006
    server.settle()


def test_messages_before_a_peer_vanished_are_delivered_first(server):
    key = server.new_key()
    peer = server.open(f"/collecting?key={key}")
    peer.send(b"".join(frame(TEXT, b"%d" % number) for number in range(1000)))
    peer.finish()
    report = server.report(key)
    assert report["messages"] == [str(number) for number in range(1000)]


def test_a_handler_that_returns_leaves_nothing_with_messages_unread(server):
    peer = server.open("/distracted")
    peer.send(frame(TEXT, b"x") * 30)
    assert peer.read_close() == (1000, "")
    peer.send_as_far_as_taken(close_frame(1000))
    peer.read_rest()
    server.settle()


def test_a_full_inbox_takes_no_more_from_the_peer(process_server):
    memory = process_server.bystander.ask_for("memory")
    key = process_server.new_key()
    peer = process_server.open(f"/deaf?key={key}")
    peer.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        peer.send(frame(TEXT, bytes(2**16)) * 1600)
    peer.reset()
    # Limits.inbox_size is 4 MiB
    assert process_server.bystander.ask_for("peak") - memory < 10 * MiB


# Floods


@pytest.mark.parametrize(
    "flood",
    [frame(PING) * 4096, frame(TEXT) * 4096, frame(PING, bytes(125)) * 500],
    ids=["pings", "messages", "big-pings"],
)
def test_a_flood_whose_answers_nobody_reads_is_held_back(process_server, flood):
    memory = process_server.bystander.ask_for("memory")
    peers = [process_server.open("/echo") for _ in range(3)]
    for peer in peers:
        peer.socket.setblocking(False)
    slowest = 0.0
    for _ in range(100):
        for peer in peers:
            with suppress(BlockingIOError, ConnectionError):
                peer.socket.send(flood)
        started = process_server.now()
        process_server.bystander.echo("me, too")
        slowest = max(slowest, process_server.now() - started)
    assert slowest < process_server.at_most(1)
    assert process_server.bystander.ask_for("peak") - memory < 16 * MiB


def test_a_flood_that_is_read_is_answered_in_order(server):
    peer = server.open("/echo")
    messages = [f"{number}" for number in range(2000)]
    peer.send(b"".join(frame(TEXT, one.encode()) for one in messages))
    assert [peer.read_message() for _ in messages] == messages


@pytest.mark.on_sockets_too
def test_no_close_is_lost_to_a_peer_that_reads_late(server):
    """If the peer begins to read in time, it gets the outbox and then the close frame."""
    key = server.new_key()
    peer = server.open(f"/impatient?key={key}")
    server.report(key)
    try:
        code, _ = peer.read_close()
    except NoClose:
        pytest.fail("the server gave up a peer that reads")
    assert code == 1000
