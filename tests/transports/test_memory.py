from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from triows import Limits, Timeouts, WebSocketDisconnect
from triows._transports.interface import Ended, Refusal
from triows._transports.memory import MemoryPeer, MemoryTransport, memory_connection


def connection(
    buffer: int = 16,
    size: int = 1000,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
) -> tuple[MemoryPeer, MemoryTransport]:
    peer = MemoryPeer(buffer, size)
    server = memory_connection(peer, limits=limits or Limits(), timeouts=timeouts or Timeouts())
    return peer, server


def told(server: MemoryTransport) -> list[Ended | None]:
    """Make the list that grows when the owner is told that the peer is gone."""
    calls: list[Ended | None] = []
    server.on_gone = lambda: calls.append(server.ended)
    return calls


async def test_the_peer_sees_what_the_handshake_was_answered_with():
    peer, server = connection()
    assert not server.accepted
    await server.accept("chat", [(b"x-a", b"1")])
    assert server.accepted
    assert peer.answered.is_set()
    assert (peer.accepted, peer.subprotocol, peer.headers) == (True, "chat", [(b"x-a", b"1")])


async def test_a_peer_that_left_can_not_be_accepted():
    peer, server = connection()
    peer.close(1006, "")
    with pytest.raises(WebSocketDisconnect):
        await server.accept(None, [])
    assert not peer.accepted


async def test_a_refusal_reaches_the_peer_and_ends_the_connection():
    peer, server = connection()
    refusal = Refusal(404, [], b"no")
    await server.reject(refusal)
    assert (peer.refusal, peer.accepted, peer.answered.is_set()) == (refusal, False, True)
    assert server.ended == Ended(1006, "refused", 404)


async def test_nobody_is_refused_who_has_left():
    peer, server = connection()
    peer.close(1001, "")
    await server.reject(Refusal(404, [], b"no"))
    assert (peer.refusal, server.ended) == (None, Ended(1001))


async def test_every_step_of_a_connection_is_a_checkpoint():
    peer, server = connection()
    for step in (lambda: server.accept(None, []), lambda: server.close(1000, "")):
        with assert_checkpoints():
            await step()
    peer, server = connection()
    with assert_checkpoints():
        await server.reject(Refusal(404, [], b"no"))
    peer, server = connection()
    peer.reset()
    with assert_checkpoints(), pytest.raises(WebSocketDisconnect):
        await server.accept(None, [])


async def test_messages_pass_both_ways():
    peer, server = connection()
    await server.accept(None, [])
    await peer.send("to")
    await server.send(b"fro")
    assert (await server.receive(), await peer.inbox.receive()) == ("to", b"fro")


async def test_a_peer_that_does_not_read_makes_the_server_wait(autojump_clock):
    peer, server = connection(buffer=2)
    await server.send("a")
    await server.send("b")
    with trio.move_on_after(1) as scope:
        await server.send("c")
    assert scope.cancelled_caught
    assert [await peer.inbox.receive(), len(peer.inbox)] == ["a", 1]


async def test_the_peers_buffer_is_bounded_in_bytes_too(autojump_clock):
    _, server = connection(size=10)
    await server.send("0123456789")
    with trio.move_on_after(1) as scope:
        await server.send("c")
    assert scope.cancelled_caught


async def test_a_server_that_does_not_read_makes_the_peer_wait(autojump_clock):
    peer, server = connection(limits=Limits(inbox=2))
    await peer.send("a")
    await peer.send("b")
    with trio.move_on_after(1) as scope:
        await peer.send("c")
    assert scope.cancelled_caught
    assert server.backlog() == (2, 2, 0)


async def test_a_peer_that_takes_too_long_is_closed_with_1008(autojump_clock):
    peer, server = connection(buffer=1, timeouts=Timeouts(send=30))
    calls = told(server)
    await server.send("a")
    with pytest.raises(WebSocketDisconnect) as caught:
        await server.send("b")
    assert (caught.value.code, trio.current_time()) == (1008, 30)
    assert calls == [Ended(1008, "send timed out")]
    assert peer.inbox.ended == Ended(1008, "send timed out")


async def test_concurrent_sends_keep_their_order(autojump_clock):
    peer, server = connection(buffer=1)
    async with trio.open_nursery() as nursery:
        for letter in "abc":
            nursery.start_soon(server.send, letter)
            await wait_all_tasks_blocked()
        assert [await peer.inbox.receive() for _ in "abc"] == ["a", "b", "c"]


async def test_a_cancelled_send_sends_nothing(autojump_clock):
    peer, server = connection(buffer=1)
    await server.send("a")
    with trio.move_on_after(1):
        await server.send("b")
    assert await peer.inbox.receive() == "a"
    await server.send("c")
    assert await peer.inbox.receive() == "c"


async def test_every_send_is_a_checkpoint():
    peer, server = connection()
    with assert_checkpoints():
        await server.send("a")
    with assert_checkpoints():
        await peer.send("a")


async def test_what_the_peer_sent_is_delivered_before_its_close():
    peer, server = connection()
    await peer.send("a")
    peer.close(4001, "bye")
    assert await server.receive() == "a"
    with pytest.raises(WebSocketDisconnect) as caught:
        await server.receive()
    assert (caught.value.code, caught.value.reason) == (4001, "bye")


async def test_the_owner_is_told_once_that_the_peer_is_gone():
    peer, server = connection()
    calls = told(server)
    peer.close(1001, "")
    peer.close(1000, "")
    assert calls == [Ended(1001)]


async def test_the_owner_is_not_told_of_its_own_close():
    peer, server = connection()
    calls = told(server)
    await server.close(1000, "")
    peer.close(1000, "")
    assert calls == []


async def test_the_peer_sees_the_servers_code():
    peer, server = connection()
    await server.close(4000, "done")
    await server.close(1000, "")
    with pytest.raises(WebSocketDisconnect) as caught:
        await peer.send("late")
    assert (caught.value.code, caught.value.reason) == (4000, "done")


async def test_sending_to_a_peer_that_left_raises_at_a_checkpoint():
    peer, server = connection()
    peer.reset()
    with assert_checkpoints(), pytest.raises(WebSocketDisconnect) as caught:
        await server.send("a")
    assert caught.value.code == 1006


async def test_a_sender_that_waits_is_told_that_the_peer_left():
    peer, server = connection(buffer=1)
    await server.send("a")

    async def send() -> None:
        with pytest.raises(WebSocketDisconnect):
            await server.send("b")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        peer.reset()


async def test_a_message_over_the_limit_closes_with_1009():
    peer, server = connection(limits=Limits(message_size=4))
    calls = told(server)
    await peer.send("1234")
    assert await server.receive() == "1234"
    await peer.send("12345")
    assert calls == [Ended(1009, "message over 4 bytes")]
    assert (peer.inbox.ended, server.traffic.messages_received) == (calls[0], 1)


async def test_a_peer_that_vanished_hears_nothing_and_is_not_heard():
    peer, server = connection()
    calls = told(server)
    peer.vanish()
    await peer.send("a")
    peer.close(1000, "")
    assert (server.backlog(), calls, server.ended) == ((0, 0, 0), [], None)


async def test_a_peer_that_vanished_is_not_told_how_it_ended():
    peer, server = connection()
    peer.vanish()
    server.fail(1011, "ping timeout")
    assert (server.ended, peer.inbox.ended) == (Ended(1011, "ping timeout"), Ended(1006))


async def test_a_peer_that_vanished_and_leaves_knows_that_it_is_over():
    peer, _ = connection()
    peer.vanish()
    peer.close(1000, "")
    with pytest.raises(WebSocketDisconnect):
        await peer.inbox.receive()


async def test_a_ping_comes_back_and_is_a_checkpoint():
    _, server = connection()
    with assert_checkpoints():
        assert await server.ping() >= 0


async def test_a_ping_to_a_peer_that_vanished_does_not_come_back(autojump_clock):
    peer, server = connection()
    peer.vanish()
    with trio.move_on_after(1000) as scope:
        await server.ping()
    assert scope.cancelled_caught


async def test_a_ping_that_waits_is_told_of_the_end(autojump_clock):
    peer, server = connection()
    peer.vanish()

    async def ping() -> None:
        with pytest.raises(WebSocketDisconnect) as caught:
            await server.ping()
        assert caught.value.code == 1011

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping)
            await wait_all_tasks_blocked()
            server.fail(1011, "ping timeout")


async def test_leaving_it_without_an_end_cuts_it():
    peer, server = connection()
    await server.aclose(linger=5)
    assert (server.ended, peer.inbox.ended) == (Ended(1006), Ended(1006))
    assert peer.answered.is_set()


async def test_messages_and_bytes_are_counted():
    peer, server = connection()
    await peer.send("\N{GRINNING FACE}")
    await server.send(b"ab")
    await server.send("c")
    traffic = server.traffic
    assert (traffic.messages_received, traffic.bytes_received) == (1, 4)
    assert (traffic.messages_sent, traffic.bytes_sent) == (2, 3)
    assert server.backlog() == (1, 4, 3)
