from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.transports.scripted import CONNECT, ScriptedServer, accepted, opened
from triows import Limits, Timeouts, WebSocketDisconnect
from triows._reply import Reply
from triows._transports.interface import Ended

REFUSAL = Reply(404, [(b"content-type", b"text/plain")], b"no such room")


def told(transport) -> list[Ended | None]:
    """Make the list that grows when the owner is told that the peer is gone."""
    calls: list[Ended | None] = []
    transport.on_gone = lambda: calls.append(transport.ended)
    return calls


# The handshake


async def test_accept_waits_for_the_connect_event():
    server = ScriptedServer()
    async with opened(server) as transport, trio.open_nursery() as nursery:
        nursery.start_soon(transport.accept, None, [])
        await wait_all_tasks_blocked()
        assert server.sent == []
        await server.put(CONNECT)


async def test_accept_carries_subprotocol_and_headers():
    server = ScriptedServer()
    async with opened(server) as transport:
        await server.put(CONNECT)
        assert not transport.accepted
        await transport.accept("chat", [(b"x-a", b"1")])
        assert transport.accepted
    assert server.sent[0] == {
        "type": "websocket.accept",
        "subprotocol": "chat",
        "headers": [(b"x-a", b"1")],
    }


async def test_accept_returns_when_the_server_has_taken_it():
    server = ScriptedServer()
    server.gate = trio.Event()
    async with opened(server) as transport, trio.open_nursery() as nursery:
        await server.put(CONNECT)
        nursery.start_soon(transport.accept, None, [])
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        server.gate.set()


async def test_accept_raises_if_the_peer_left_before():
    server = ScriptedServer()
    async with opened(server) as transport:
        await server.put(CONNECT)
        await server.leaves(1006)
        await wait_all_tasks_blocked()
        with pytest.raises(WebSocketDisconnect):
            await transport.accept(None, [])
    assert server.sent == []


async def test_an_acceptance_that_the_server_can_not_send_is_a_peer_that_is_gone():
    server = ScriptedServer()
    server.sends_fail = True
    async with opened(server) as transport:
        calls = told(transport)
        await server.put(CONNECT)
        await transport.accept(None, [])
        assert calls == [Ended(1006)]


async def test_what_a_peer_sent_that_left_during_accept_is_delivered():
    server = ScriptedServer()
    server.gate = trio.Event()
    async with opened(server) as transport:
        await server.put(CONNECT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.accept, None, [])
            await wait_all_tasks_blocked()
            await server.says("quick")
            await server.leaves(1000)
            await wait_all_tasks_blocked()
            server.gate.set()
        assert await transport.receive() == "quick"
        with pytest.raises(WebSocketDisconnect):
            await transport.receive()


async def test_a_refusal_has_a_status_and_a_body_where_the_server_can_send_them():
    server = ScriptedServer()
    async with opened(server) as transport:
        await server.put(CONNECT)
        await transport.reject(REFUSAL)
        await transport.wait_delivered()
    assert server.sent == [
        {
            "type": "websocket.http.response.start",
            "status": 404,
            "headers": [(b"content-type", b"text/plain"), (b"connection", b"close")],
        },
        {"type": "websocket.http.response.body", "body": b"no such room"},
    ]


async def test_a_refusal_over_http_2_has_no_connection_header():
    server = ScriptedServer()
    server.scope["http_version"] = "2"
    async with opened(server) as transport:
        await server.put(CONNECT)
        await transport.reject(REFUSAL)
        await transport.wait_delivered()
    assert server.sent[0]["headers"] == [(b"content-type", b"text/plain")]


@pytest.mark.parametrize("extensions", [{}, None])
async def test_a_refusal_is_a_close_where_the_server_can_do_no_more(extensions):
    server = ScriptedServer(extensions=extensions)
    async with opened(server) as transport:
        await server.put(CONNECT)
        await transport.reject(REFUSAL)
        await transport.wait_delivered()
    assert server.kinds == ["close"]


async def test_a_refusal_waits_for_the_connect_event():
    server = ScriptedServer()
    async with opened(server) as transport, trio.open_nursery() as nursery:
        await transport.reject(REFUSAL)
        nursery.start_soon(transport.wait_delivered)
        await wait_all_tasks_blocked()
        assert server.sent == []
        await server.put(CONNECT)


async def test_nobody_is_refused_who_has_left():
    server = ScriptedServer()
    async with opened(server) as transport:
        await server.put(CONNECT)
        await server.leaves()
        await wait_all_tasks_blocked()
        await transport.reject(REFUSAL)
    assert server.sent == []


async def test_a_refused_connection_is_over():
    server = ScriptedServer()
    async with opened(server) as transport:
        await server.put(CONNECT)
        await transport.reject(REFUSAL)
        assert transport.ended == Ended(1006, "refused", 404)
        assert not transport.accepted


# Receiving


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"text": "a"}, "a"),
        ({"text": ""}, ""),
        ({"text": "a", "bytes": None}, "a"),
        ({"bytes": b"\x00"}, b"\x00"),
        ({"bytes": b"", "text": None}, b""),
        ({"text": None, "bytes": None}, b""),
    ],
)
async def test_a_message_is_text_or_bytes_as_it_was_sent(event, message):
    server = ScriptedServer()
    async with accepted(server) as transport:
        await server.put({"type": "websocket.receive", **event})
        received = await transport.receive()
    assert (received, type(received)) == (message, type(message))


async def test_the_peers_leaving_is_noticed_while_nobody_receives():
    server = ScriptedServer()
    async with accepted(server) as transport:
        calls = told(transport)
        await server.leaves(1001, "next page")
        await wait_all_tasks_blocked()
        assert calls == [Ended(1001, "next page")]


async def test_a_close_without_a_code_is_1005():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await server.leaves(None)
        with pytest.raises(WebSocketDisconnect) as caught:
            await transport.receive()
    assert caught.value.code == 1005


async def test_a_disconnect_without_code_or_reason_keys_is_understood():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await server.put({"type": "websocket.disconnect"})
        with pytest.raises(WebSocketDisconnect) as caught:
            await transport.receive()
    assert (caught.value.code, caught.value.reason) == (1005, "")


async def test_what_was_received_is_delivered_before_the_disconnect():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await server.says("a", b"b")
        await server.leaves(4001)
        await wait_all_tasks_blocked()
        assert [await transport.receive(), await transport.receive()] == ["a", b"b"]
        with pytest.raises(WebSocketDisconnect) as caught:
            await transport.receive()
    assert caught.value.code == 4001


async def test_a_server_whose_receive_fails_is_a_peer_that_is_gone():
    server = ScriptedServer()
    async with accepted(server) as transport:
        calls = told(transport)
        server.breaks()
        with pytest.raises(WebSocketDisconnect) as caught:
            await transport.receive()
    assert caught.value.code == 1006
    assert calls == [Ended(1006)]


async def test_a_server_whose_receive_fails_is_not_waited_for(autojump_clock):
    server = ScriptedServer()
    async with accepted(server) as transport:
        server.breaks()
        await transport.aclose(linger=5)
        assert trio.current_time() == 0


async def test_a_server_whose_receive_fails_at_once_can_be_neither_accepted_nor_refused():
    server = ScriptedServer()
    server.breaks()
    async with opened(server) as transport:
        with pytest.raises(WebSocketDisconnect):
            await transport.accept(None, [])
        await transport.reject(REFUSAL)
    assert server.sent == []


async def test_an_event_of_another_kind_is_ignored():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await server.put({"type": "websocket.weather"})
        await server.says("a")
        assert await transport.receive() == "a"


async def test_a_full_inbox_stops_the_reading():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(inbox=3)) as transport:
        before = server.receives
        await server.says(*"abcdefgh")
        await wait_all_tasks_blocked()
        assert server.receives - before == 2  # three with the one that was already waiting
        assert transport.backlog() == (3, 3, 0)


async def test_an_inbox_with_many_bytes_stops_the_reading():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(inbox_size=10)) as transport:
        await server.says(b"12345678", b"12345678", b"12345678")
        await wait_all_tasks_blocked()
        assert transport.backlog() == (2, 16, 0)


async def test_reading_goes_on_when_a_message_is_taken():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(inbox=2)) as transport:
        await server.says(*"abcd")
        assert [await transport.receive() for _ in range(4)] == ["a", "b", "c", "d"]


async def test_a_message_over_the_limit_closes_with_1009():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(message_size=4)) as transport:
        calls = told(transport)
        await server.says("1234", "12345")
        await wait_all_tasks_blocked()
        assert calls == [Ended(1009, "message over 4 bytes")]
        assert await transport.receive() == "1234"
        with pytest.raises(WebSocketDisconnect):
            await transport.receive()
        assert transport.traffic.messages_received == 1
    assert [(event["type"], event["code"]) for event in server.sent] == [("websocket.close", 1009)]


async def test_the_limit_counts_the_bytes_of_text():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(message_size=4)) as transport:
        await server.says("\N{LATIN SMALL LETTER E WITH ACUTE}" * 3)
        await wait_all_tasks_blocked()
        assert transport.ended is not None
        assert transport.ended.code == 1009


async def test_text_that_is_no_utf_8_closes_with_1007():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await server.says("a\udcff")
        await wait_all_tasks_blocked()
        assert transport.ended is not None
    assert [(event["type"], event["code"]) for event in server.sent] == [("websocket.close", 1007)]


async def test_data_after_the_close_is_ignored():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await transport.close(1000, "")
        await server.says("late")
        await wait_all_tasks_blocked()
        assert transport.traffic.messages_received == 0
        assert transport.backlog() == (0, 0, 0)


# Sending


async def test_messages_go_out_as_text_and_bytes_in_order():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await transport.send("a")
        await transport.send(b"b")
        await wait_all_tasks_blocked()
    assert server.sent == [
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "bytes": b"b"},
    ]


async def test_send_is_a_checkpoint():
    server = ScriptedServer()
    async with accepted(server) as transport:
        with assert_checkpoints():
            await transport.send("a")


async def test_send_returns_when_the_message_is_in_the_outbox():
    server = ScriptedServer()
    async with accepted(server) as transport:
        server.gate = trio.Event()
        await transport.send("a")
        await transport.send("b")
        assert transport.backlog() == (0, 0, 2)
        server.gate.set()
        await wait_all_tasks_blocked()
        assert transport.backlog() == (0, 0, 0)


async def test_a_full_outbox_makes_send_wait():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(outbox=5)) as transport:
        server.gate = trio.Event()
        await transport.send("123")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.send, "456")
            await wait_all_tasks_blocked()
            assert transport.backlog() == (0, 0, 3)
            server.gate.set()
        await wait_all_tasks_blocked()
    assert server.messages == ["123", "456"]


async def test_the_outbox_may_be_filled_to_the_last_byte():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(outbox=6)) as transport:
        server.gate = trio.Event()
        await transport.send("123")
        await transport.send("456")
        assert transport.backlog() == (0, 0, 6)


async def test_a_message_over_the_outbox_goes_alone():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(outbox=5)) as transport:
        server.gate = trio.Event()
        await transport.send("12345678")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.send, "9")
            await wait_all_tasks_blocked()
            assert transport.backlog() == (0, 0, 8)
            server.gate.set()


async def test_waiting_sends_go_out_in_the_order_in_which_they_were_called():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(outbox=1)) as transport:
        server.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            for letter in "abcde":
                nursery.start_soon(transport.send, letter)
                await wait_all_tasks_blocked()
            server.gate.set()
        await wait_all_tasks_blocked()
    assert server.messages == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("shielded", [False, True])
async def test_a_send_that_waits_for_a_stuck_server_is_cancelled_at_once(autojump_clock, shielded):
    server = ScriptedServer()
    async with accepted(server, limits=Limits(outbox=3)) as transport:
        server.gate = trio.Event()
        server.shielded = shielded
        await transport.send("123")
        before = trio.current_time()
        with trio.move_on_after(1) as scope:
            await transport.send("456")
        assert scope.cancelled_caught
        assert trio.current_time() - before == 1
        server.gate.set()
        await wait_all_tasks_blocked()
    assert server.messages == ["123"]


async def test_a_cancelled_send_leaves_the_outbox_in_order(autojump_clock):
    server = ScriptedServer()
    async with accepted(server, limits=Limits(outbox=3)) as transport:
        server.gate = trio.Event()
        await transport.send("123")
        with trio.move_on_after(1):
            await transport.send("456")
        server.gate.set()
        await transport.send("789")
        await wait_all_tasks_blocked()
    assert server.messages == ["123", "789"]


async def test_a_message_that_was_handed_over_goes_out_though_its_sender_was_cancelled():
    server = ScriptedServer()
    async with accepted(server) as transport:
        server.gate = trio.Event()
        with trio.CancelScope() as scope:
            await transport.send("whole")
            scope.cancel()
            await trio.sleep_forever()
        server.gate.set()
        await wait_all_tasks_blocked()
    assert server.messages == ["whole"]


@pytest.mark.parametrize("shielded", [False, True])
async def test_a_server_that_is_stuck_too_long_fails_the_connection(autojump_clock, shielded):
    server = ScriptedServer()
    async with accepted(server, timeouts=Timeouts(send=30)) as transport:
        calls = told(transport)
        server.gate = trio.Event()
        server.shielded = shielded
        await transport.send("a")
        before = trio.current_time()
        with pytest.raises(WebSocketDisconnect) as caught:
            await transport.receive()
        assert (caught.value.code, trio.current_time() - before) == (1008, 30)
        assert calls == [Ended(1008, "send timed out")]
        server.gate.set()


@pytest.mark.parametrize("shielded", [False, True])
async def test_a_send_that_finds_no_room_in_time_closes_with_1008(autojump_clock, shielded):
    server = ScriptedServer()
    settings = {"limits": Limits(outbox=3), "timeouts": Timeouts(send=30)}
    async with accepted(server, **settings) as transport:
        calls = told(transport)
        server.gate = trio.Event()
        server.shielded = shielded
        await transport.send("123")
        with pytest.raises(WebSocketDisconnect) as caught:
            await transport.send("456")
        assert caught.value.code == 1008
        assert calls == [Ended(1008, "send timed out")]
        server.gate.set()


async def test_nothing_waits_for_a_server_that_was_stuck_and_nothing_follows(autojump_clock):
    server = ScriptedServer()
    async with accepted(server, timeouts=Timeouts(send=30)) as transport:
        server.gate = trio.Event()
        await transport.send("begun")
        await transport.send("next")
        await trio.sleep(30)
        await wait_all_tasks_blocked()
        assert transport.backlog() == (0, 0, 0)
        await transport.close(1000, "")
        assert trio.current_time() == 30
        server.gate.set()
        await wait_all_tasks_blocked()
    assert server.sent == []


async def test_a_slow_server_is_no_stuck_one(autojump_clock):
    server = ScriptedServer()

    async def slow(event):
        await trio.sleep(20)
        server.sent.append(event)

    async with accepted(server, timeouts=Timeouts(send=30), limits=Limits(outbox=1)) as transport:
        transport._asgi_send = slow
        for letter in "abc":
            await transport.send(letter)
        await trio.sleep(60)
        assert transport.ended is None
    assert server.messages == ["a", "b", "c"]


async def test_a_server_whose_send_fails_is_a_peer_that_is_gone():
    server = ScriptedServer()
    async with accepted(server) as transport:
        calls = told(transport)
        server.sends_fail = True
        await transport.send("a")
        await wait_all_tasks_blocked()
        assert calls == [Ended(1006)]
        with pytest.raises(WebSocketDisconnect) as caught:
            await transport.send("b")
        assert caught.value.code == 1006


async def test_a_close_that_waits_ends_when_the_server_fails(autojump_clock):
    server = ScriptedServer()
    async with accepted(server) as transport, trio.open_nursery() as nursery:
        server.gate = trio.Event()
        await transport.send("a")
        nursery.start_soon(transport.close, 1000, "")
        await wait_all_tasks_blocked()
        server.sends_fail = True
        server.gate.set()


async def test_a_sender_that_waits_for_room_is_told_that_the_peer_left():
    server = ScriptedServer()
    async with accepted(server, limits=Limits(outbox=1)) as transport:
        server.gate = trio.Event()
        await transport.send("a")

        async def send() -> None:
            with pytest.raises(WebSocketDisconnect):
                await transport.send("b")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            await server.leaves()
        server.gate.set()


async def test_sending_to_a_peer_that_left_raises_at_a_checkpoint():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await server.leaves(1001)
        await wait_all_tasks_blocked()
        with assert_checkpoints(), pytest.raises(WebSocketDisconnect) as caught:
            await transport.send("a")
    assert caught.value.code == 1001


async def test_an_endless_sender_ends_when_the_peer_leaves():
    server = ScriptedServer()
    async with accepted(server) as transport:

        async def send_for_ever() -> None:
            while True:
                await transport.send("tick")

        async def leave() -> None:
            for _ in range(20):
                await trio.lowlevel.checkpoint()
            await server.leaves()

        with pytest.RaisesGroup(WebSocketDisconnect):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_for_ever)
                nursery.start_soon(leave)
    assert set(server.messages) == {"tick"}


async def test_text_that_can_not_be_encoded_is_refused_before_anything_is_sent():
    server = ScriptedServer()
    async with accepted(server) as transport:
        with pytest.raises(ValueError, match="surrogates not allowed"):
            await transport.send("\ud800")
        await transport.send("ok")
        await wait_all_tasks_blocked()
    assert server.messages == ["ok"]


async def test_messages_and_bytes_are_counted():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await server.says("abc", b"de")
        await transport.send("\N{GRINNING FACE}")
        await wait_all_tasks_blocked()
        traffic = transport.traffic
    assert (traffic.messages_received, traffic.bytes_received) == (2, 5)
    assert (traffic.messages_sent, traffic.bytes_sent) == (1, 4)


# The end


async def test_a_close_comes_after_what_was_sent_before():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await transport.send("last words")
        await transport.close(4000, "done")
        await transport.wait_delivered()
    assert server.sent == [
        {"type": "websocket.send", "text": "last words"},
        {"type": "websocket.close", "code": 4000, "reason": "done"},
    ]


async def test_only_the_first_close_is_sent():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await transport.close(4000, "")
        await transport.close(1000, "")
        transport.fail(1011, "")
        await wait_all_tasks_blocked()
        assert transport.ended == Ended(4000)
    assert server.kinds == ["close"]


async def test_a_peer_that_left_is_sent_no_close():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await server.leaves(1001)
        await wait_all_tasks_blocked()
        await transport.close(1000, "")
        assert transport.ended == Ended(1001)
    assert server.sent == []


async def test_the_answer_to_our_close_does_not_change_how_it_ended():
    server = ScriptedServer()
    async with accepted(server) as transport:
        calls = told(transport)
        await transport.close(4000, "done")
        await server.leaves(1000)
        await wait_all_tasks_blocked()
        assert (transport.ended, calls) == (Ended(4000, "done"), [])


async def test_receiving_after_our_close_raises_with_our_code():
    server = ScriptedServer()
    async with accepted(server) as transport:
        await transport.close(4000, "done")
        with pytest.raises(WebSocketDisconnect) as caught:
            await transport.receive()
    assert (caught.value.code, caught.value.reason) == (4000, "done")


async def test_the_close_goes_out_though_the_owner_is_cancelled():
    server = ScriptedServer()
    with trio.CancelScope() as scope:
        async with accepted(server) as transport:
            scope.cancel()
            with trio.CancelScope(shield=True):
                await transport.close(1001, "")
                await transport.wait_delivered()
    assert server.kinds == ["close"]


async def test_the_end_waits_for_the_peers_answer_and_not_longer(autojump_clock):
    server = ScriptedServer()
    async with accepted(server) as transport, trio.open_nursery() as nursery:
        await transport.close(1000, "")
        before = trio.current_time()

        async def answer() -> None:
            await trio.sleep(2)
            await server.leaves(1000)

        nursery.start_soon(answer)
        await transport.aclose(linger=5)
        assert trio.current_time() - before == 2


async def test_the_end_does_not_wait_for_a_silent_peer_for_ever(autojump_clock):
    server = ScriptedServer()
    async with accepted(server) as transport:
        await transport.close(1000, "")
        before = trio.current_time()
        await transport.aclose(linger=5)
        assert trio.current_time() - before == 5


async def test_the_end_stops_the_tasks_even_if_it_is_cancelled(autojump_clock):
    async with accepted(ScriptedServer()) as transport:
        await transport.close(1000, "")
        with trio.move_on_after(2):
            await transport.aclose(linger=5)
        await wait_all_tasks_blocked()
        nursery = trio.lowlevel.current_task().child_nurseries[-1]
        assert not nursery.child_tasks


@pytest.mark.parametrize("shielded", [False, True])
async def test_the_end_does_not_wait_for_a_stuck_server_for_ever(autojump_clock, shielded):
    server = ScriptedServer()
    async with accepted(server) as transport:
        server.gate = trio.Event()
        server.shielded = shielded
        await transport.send("a")
        before = trio.current_time()
        await transport.aclose(linger=5)
        assert trio.current_time() - before == 5
        server.gate.set()


async def test_messages_that_nobody_read_do_not_hold_the_servers_task(autojump_clock):
    server = ScriptedServer(queue=10)
    limits = Limits(inbox=2)
    async with trio.open_nursery() as nursery, accepted(server, limits=limits) as transport:

        async def flood() -> None:
            await server.says(*"x" * 100)
            await server.leaves(1000)

        nursery.start_soon(flood)
        await wait_all_tasks_blocked()
        await transport.close(1000, "")
        before = trio.current_time()
        await transport.aclose(linger=5)
        assert trio.current_time() == before


async def test_leaving_it_without_an_end_is_no_failure_of_the_peer():
    server = ScriptedServer()
    async with accepted(server) as transport:
        calls = told(transport)
        await transport.aclose(linger=0)
        await wait_all_tasks_blocked()
        assert (transport.ended, calls) == (None, [])


async def test_nothing_of_it_runs_after_the_end():
    server = ScriptedServer()
    async with trio.open_nursery() as nursery:
        async with accepted(server) as transport:
            await transport.aclose(linger=0)
        assert not nursery.child_tasks
