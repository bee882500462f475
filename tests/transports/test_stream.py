from __future__ import annotations

import math
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from tests.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, RSV1, TEXT, frame
from tests.transports.scripted_wire import (
    OWN_HEADERS,
    ScriptedTLSWire,
    ScriptedWire,
    accepted,
    close,
    masked,
    opened,
    read_frames,
)
from triows import Compression, Limits, Timeouts, WebSocketDisconnect
from triows._reply import Reply
from triows._transports.interface import Ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from triows._transports.stream import StreamTransport

KiB = 2**10

REFUSAL = Reply(404, [(b"content-type", b"text/plain"), (b"connection", b"upgrade")], b"no room")

both_wires = pytest.mark.parametrize("make_wire", [ScriptedWire, ScriptedTLSWire])


def told(transport) -> list[Ended | None]:
    """Make the list that grows when the owner is told that the peer is gone."""
    calls: list[Ended | None] = []
    transport.on_gone = lambda: calls.append(transport.ended)
    return calls


async def ended_by(act) -> tuple[int, str]:
    """The code and reason in the error that an action raises."""
    with pytest.raises(WebSocketDisconnect) as caught:
        await act
    return caught.value.code, caught.value.reason


# The handshake


@both_wires
async def test_the_response_has_what_was_negotiated_and_what_the_server_adds(make_wire):
    wire = make_wire()
    async with opened(wire) as transport:
        assert not transport.accepted
        await transport.accept("chat", [(b"x-a", b"1")])
        assert transport.accepted
        await wait_all_tasks_blocked()
        status, *headers = wire.head.split(b"\r\n")
    assert status == b"HTTP/1.1 101 Switching Protocols"
    assert sorted(headers) == [
        b"connection: Upgrade",
        b"sec-websocket-accept: the key's answer",
        b"sec-websocket-protocol: chat",
        *(b"%s: %s" % header for header in OWN_HEADERS),
        b"upgrade: websocket",
        b"x-a: 1",
    ]


async def test_without_a_subprotocol_the_response_names_none():
    wire = ScriptedWire()
    async with accepted(wire):
        assert b"sec-websocket-protocol" not in wire.head


async def test_a_cancelled_accept_sends_nothing():
    wire = ScriptedWire()
    async with opened(wire) as transport:
        with trio.CancelScope() as scope:
            scope.cancel()
            await transport.accept(None, [])
        assert (transport.accepted, wire.sent) == (False, b"")


async def test_a_peer_that_leaves_before_accept_is_noticed():
    wire = ScriptedWire()
    async with opened(wire) as transport:
        calls = told(transport)
        wire.leaves()
        await wait_all_tasks_blocked()
        assert calls == [Ended(1006)]
        assert await ended_by(transport.accept(None, [])) == (1006, "")
    assert wire.sent == b""


async def test_what_came_behind_the_handshake_is_delivered_after_accept():
    wire = ScriptedWire()
    async with opened(wire, early=masked("early")) as transport:
        with trio.CancelScope() as scope:
            scope.cancel()
            await transport.receive()
        await transport.accept(None, [])
        assert await transport.receive() == "early"


async def test_what_comes_before_accept_is_delivered_after_it_in_order():
    wire = ScriptedWire()
    data = masked("early", "later")
    async with opened(wire, early=data[:3]) as transport:
        wire.says(data[3:9], data[9:])
        await wait_all_tasks_blocked()
        assert transport.backlog() == (0, 0, 0)
        await transport.accept(None, [])
        assert [await transport.receive() for _ in range(2)] == ["early", "later"]


async def test_what_comes_before_accept_is_answered_behind_the_response():
    wire = ScriptedWire()
    async with opened(wire, early=frame(PING, b"5")) as transport:
        await wait_all_tasks_blocked()
        assert wire.sent == b""
        await transport.accept(None, [])
        assert wire.frames == [(PONG, b"5")]


async def test_what_comes_before_accept_is_bounded_and_read_on_after_it():
    wire = ScriptedWire()
    messages = [bytes([number]) * 16 * KiB for number in range(8)]
    async with opened(wire) as transport:
        wire.says(*(masked(message) for message in messages))
        await wait_all_tasks_blocked()
        assert wire.paused
        assert sum(map(len, wire._into)) >= 3 * 16 * KiB  # nobody has read it
        await transport.accept(None, [])
        assert [await transport.receive() for _ in messages] == messages


async def test_a_peer_that_leaves_is_noticed_while_what_came_before_accept_is_at_its_bound():
    wire = ScriptedWire()
    async with opened(wire) as transport:
        calls = told(transport)
        wire.says(masked(bytes(64 * KiB)))
        await wait_all_tasks_blocked()
        wire.leaves()
        assert calls == [Ended(1006)]


async def test_a_refusal_is_a_response_that_ends_the_connection():
    wire = ScriptedWire()
    async with opened(wire) as transport:
        calls = told(transport)
        await transport.reject(REFUSAL)
        status, *headers = wire.head.split(b"\r\n")
        assert (status, wire.body) == (b"HTTP/1.1 404 Not Found", b"no room")
        assert headers == [
            b"content-type: text/plain",
            b"content-length: 7",
            b"connection: upgrade, close",
            b"server: scripted",
        ]
        assert (transport.ended, transport.accepted) == (Ended(1006, "refused", 404), False)
    assert calls == []


async def test_a_refusal_drops_what_came_before_it():
    wire = ScriptedWire()
    async with opened(wire, early=masked("a")) as transport:
        await transport.reject(REFUSAL)
        wire.says(masked("b"))
        await wait_all_tasks_blocked()
        assert await ended_by(transport.receive()) == (1006, "refused")
        assert transport.traffic.messages_received == 0


async def test_after_a_refusal_the_rest_is_read_and_dropped_so_that_it_arrives(autojump_clock):
    wire = ScriptedWire()
    async with opened(wire) as transport:
        wire.says(*[masked(bytes(64 * KiB))] * 4)
        wire.leaves()
        await wait_all_tasks_blocked()
        await transport.reject(REFUSAL)
        await transport.aclose(linger=5)
        assert (trio.current_time(), wire.end, wire._into) == (0, "closed", [])


async def test_a_refusal_waits_for_a_peer_that_is_slow(autojump_clock):
    wire = ScriptedWire(room=10)
    async with opened(wire) as transport:
        await transport.reject(REFUSAL)  # this doesn't wait for the peer
        with trio.move_on_after(1) as scope:
            await transport.wait_delivered()
        assert scope.cancelled_caught
        wire.take()
        await transport.wait_delivered()
        assert wire.body == b"no room"


async def test_nobody_is_refused_who_has_left():
    wire = ScriptedWire()
    async with opened(wire) as transport:
        wire.leaves()
        await wait_all_tasks_blocked()
        await transport.reject(REFUSAL)
        assert (wire.sent, transport.ended) == (b"", Ended(1006))


# Sending


async def test_a_message_is_with_the_system_when_send_returns_or_at_the_end_of_the_turn():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.send("\N{SNOWMAN}")
        assert wire.frames == [(TEXT, "\N{SNOWMAN}".encode())]
        await transport.send(b"\xff")
        assert transport.backlog() == (0, 0, 3)
        await wait_all_tasks_blocked()
        assert wire.frames[1:] == [(BINARY, b"\xff")]
        assert transport.backlog() == (0, 0, 0)


async def test_answers_to_messages_that_came_together_leave_together():
    wire = ScriptedWire()
    async with accepted(wire) as transport, trio.open_nursery() as nursery:

        async def echo() -> None:
            while True:
                await transport.send(await transport.receive())

        nursery.start_soon(echo)
        await wait_all_tasks_blocked()
        before = len(wire.calls)
        wire.says(masked(*"abcdefgh"))
        await wait_all_tasks_blocked()
        assert wire.messages == [bytes([one]) for one in b"abcdefgh"]
        assert len(wire.calls) == before + 1
        nursery.cancel_scope.cancel()


async def test_messages_of_several_tasks_in_one_turn_leave_in_two_calls_in_order():
    wire = ScriptedWire()
    order: list[bytes] = []

    async def send(number: int) -> None:
        message = b"%d" % number
        order.append(message)
        await transport.send(message)

    async with accepted(wire) as transport:
        before = len(wire.calls)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(send, number)
        await wait_all_tasks_blocked()
        assert wire.messages == order
        assert len(wire.calls) == before + 2


async def test_a_send_after_one_that_was_held_back_and_then_failed_raises():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.send("a")
        await transport.send("held back")
        wire.is_broken = True
        await wait_all_tasks_blocked()
        assert await ended_by(transport.send("b")) == (1006, "")


@pytest.mark.parametrize("message", ["x" * 2**14, "small"])
async def test_a_message_of_any_size_goes_behind_those_that_are_held_back(message):
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        for one in ("a", "b", message, "c"):
            await transport.send(one)
        await wait_all_tasks_blocked()
        assert wire.messages == [b"a", b"b", message.encode(), b"c"]


async def test_the_end_comes_after_what_is_held_back():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.send("a")
        await transport.send("b")
        await transport.close(4000, "done")
        assert [opcode for opcode, _ in wire.frames] == [TEXT, TEXT, CLOSE]


async def test_an_end_without_a_close_frame_still_sends_what_is_held_back():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.send("a")
        await transport.send("b")
        await transport.aclose(linger=0)
        assert (wire.messages, wire.end) == ([b"a", b"b"], "closed")


async def test_the_answer_to_a_ping_goes_behind_what_is_held_back():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.send("a")
        await transport.send("b")
        transport.data_received(frame(PING, b"?"))
        assert [opcode for opcode, _ in wire.frames] == [TEXT, TEXT, PONG]


@both_wires
async def test_what_the_system_does_not_take_waits_in_the_outbox(autojump_clock, make_wire):
    wire = make_wire(room=0)
    async with accepted(wire) as transport:
        await transport.send("12345678")
        await transport.send("abc")
        # TLS has taken the first frame apart from its last byte.
        waiting = 15 if make_wire is ScriptedWire else 6
        assert (wire.body, transport.backlog()) == (b"", (0, 0, waiting))
        wire.take(5)
        await wait_all_tasks_blocked()
        assert wire.body == b"\x81\x08123"
        wire.take()
        await wait_all_tasks_blocked()
        assert wire.messages == [b"12345678", b"abc"]
        assert transport.backlog() == (0, 0, 0)


async def test_a_send_waits_for_room_in_the_outbox(autojump_clock):
    wire = ScriptedWire(room=0)
    async with accepted(wire, limits=Limits(outbox=100)) as transport:
        for _ in range(3):
            await transport.send(bytes(28))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.send, b"x" * 28)
            await trio.sleep(5)
            assert (len(nursery.child_tasks), transport.backlog()[2]) == (1, 90)
            wire.take(30)
            await wait_all_tasks_blocked()
            assert (len(nursery.child_tasks), transport.backlog()[2]) == (0, 90)
        wire.take()
        await wait_all_tasks_blocked()
        assert wire.messages == [bytes(28)] * 3 + [b"x" * 28]


async def test_a_message_larger_than_the_outbox_goes_alone(autojump_clock):
    wire = ScriptedWire(room=0)
    async with accepted(wire, limits=Limits(outbox=10)) as transport:
        await transport.send(bytes(100))  # nothing else waits, so the limit doesn't matter
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.send, b"x" * 100)
            await wait_all_tasks_blocked()
            wire.take(101)
            await wait_all_tasks_blocked()
            assert (len(nursery.child_tasks), transport.backlog()[2]) == (1, 1)
            wire.take(1)
        assert transport.backlog()[2] == 102
        wire.take()
        await wait_all_tasks_blocked()
        assert wire.messages == [bytes(100), b"x" * 100]


async def test_a_send_that_is_cancelled_while_it_waits_sends_nothing(autojump_clock):
    wire = ScriptedWire(room=0)
    async with accepted(wire, limits=Limits(outbox=10)) as transport:
        await transport.send("12345678")
        with trio.move_on_after(1) as scope:
            await transport.send("cancelled")
        assert (scope.cancelled_caught, trio.current_time()) == (True, 1)
        wire.take()
        await transport.send("c")
        await wait_all_tasks_blocked()
        assert wire.messages == [b"12345678", b"c"]


async def test_a_send_that_is_cancelled_before_it_begins_sends_nothing():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        for _ in range(40):
            with trio.CancelScope() as scope:
                scope.cancel()
                await transport.send("a")
            assert scope.cancelled_caught
        assert (wire.body, transport.traffic.messages_sent) == (b"", 0)


@both_wires
async def test_a_message_that_was_handed_over_is_completed_though_its_sender_is_cancelled(
    autojump_clock, make_wire
):
    wire = make_wire(room=3)
    async with accepted(wire) as transport:
        async with trio.open_nursery() as nursery:

            async def send_and_stay() -> None:
                await transport.send("12345678")
                await trio.sleep_forever()

            nursery.start_soon(send_and_stay)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await transport.send("b")
        wire.take()
        await wait_all_tasks_blocked()
        assert wire.messages == [b"12345678", b"b"]


async def test_concurrent_sends_go_out_whole_and_in_the_order_of_their_calls(autojump_clock):
    wire = ScriptedWire(room=0)
    order: list[bytes] = []

    async def send(number: int) -> None:
        message = bytes([number]) * 50
        order.append(message)
        await transport.send(message)

    async with accepted(wire, limits=Limits(outbox=60)) as transport:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(send, number)
            for _ in range(200):
                await trio.sleep(0.01)
                wire.take(7)
        wire.take()
        await wait_all_tasks_blocked()
        assert wire.messages == order


async def test_concurrent_sends_keep_their_order_though_the_system_takes_all():
    wire = ScriptedWire()
    order: list[bytes] = []

    async def send(number: int) -> None:
        message = b"%d" % number
        order.append(message)
        await transport.send(message)

    async with accepted(wire) as transport:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(send, number)
        assert wire.messages == order


async def test_a_tight_loop_of_sends_lets_other_tasks_run():
    wire = ScriptedWire()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with accepted(wire) as transport, trio.open_nursery() as nursery:
        nursery.start_soon(count)
        for _ in range(640):
            await transport.send("a")
        nursery.cancel_scope.cancel()
    assert turns >= 9


async def test_a_peer_that_makes_a_send_wait_for_too_long_is_1008(autojump_clock):
    wire = ScriptedWire(room=3)
    timeouts = Timeouts(ping_interval=math.inf, send=30)
    async with accepted(wire, timeouts=timeouts, limits=Limits(outbox=10)) as transport:
        calls = told(transport)
        await transport.send("12345678")
        await trio.sleep(10)
        assert await ended_by(transport.send("b" * 8)) == (1008, "send timed out")
        assert trio.current_time() == 30
        assert calls == [Ended(1008, "send timed out")]
        wire.take()
        await wait_all_tasks_blocked()
        assert [opcode for opcode, _ in wire.frames] == [TEXT, CLOSE]
        assert (wire.messages, wire.close_code) == ([b"12345678"], 1008)


async def test_a_peer_that_takes_nothing_of_what_waits_for_too_long_is_1008(autojump_clock):
    wire = ScriptedWire(room=3)
    timeouts = Timeouts(ping_interval=math.inf, send=30)
    async with accepted(wire, timeouts=timeouts) as transport:
        calls = told(transport)
        await transport.send("12345678")
        await transport.send("waits and is dropped")
        await trio.sleep(29)
        assert calls == []
        await trio.sleep(2)
        assert calls == [Ended(1008, "send timed out")]
        wire.take()
        await wait_all_tasks_blocked()
        assert (wire.messages, wire.close_code) == ([b"12345678"], 1008)


async def test_under_tls_a_peer_that_takes_nothing_is_told_1008_when_it_reads_again(autojump_clock):
    wire = ScriptedTLSWire(room=3)
    timeouts = Timeouts(ping_interval=math.inf, send=30)
    async with accepted(wire, timeouts=timeouts) as transport:
        calls = told(transport)
        await transport.send("12345678")
        await transport.send("waits and is dropped")
        await trio.sleep(32)
        assert calls == [Ended(1008, "send timed out")]
        wire.take()
        await wait_all_tasks_blocked()
        assert (wire.messages, wire.close_code) == ([b"12345678"], 1008)


@both_wires
async def test_a_peer_that_takes_little_but_steadily_gets_all_of_it(autojump_clock, make_wire):
    wire = make_wire(room=0)
    timeouts = Timeouts(ping_interval=math.inf, send=30)
    message = bytes(10_000)
    async with accepted(wire, timeouts=timeouts) as transport:
        await transport.send(message)
        while len(wire.body) < len(message):
            await trio.sleep(20)
            wire.take(5000)
        await wait_all_tasks_blocked()
        assert (transport.ended, wire.messages) == (None, [message])


@both_wires
async def test_a_peer_that_takes_less_than_240_bytes_a_second_is_1008(autojump_clock, make_wire):
    wire = make_wire(room=0)
    timeouts = Timeouts(ping_interval=math.inf, send=30)
    async with accepted(wire, timeouts=timeouts) as transport:
        calls = told(transport)
        await transport.send(bytes(10_000))
        while not calls:
            await trio.sleep(0.5)
            wire.take(100)
        assert calls == [Ended(1008, "read too slowly")]
        assert 5 <= trio.current_time() <= 7


@both_wires
async def test_a_wire_that_breaks_is_a_peer_that_is_gone(make_wire):
    wire = make_wire()
    async with accepted(wire) as transport:
        calls = told(transport)
        wire.is_broken = True
        assert await ended_by(transport.send("a")) == (1006, "")
        await wait_all_tasks_blocked()
        assert calls == [Ended(1006)]
        assert await ended_by(transport.send("b")) == (1006, "")


@pytest.mark.parametrize("how", ["peer closes", "peer leaves", "wire breaks"])
async def test_a_sender_that_waits_is_told_of_the_end(autojump_clock, how):
    wire = ScriptedWire(room=3)
    async with accepted(wire, limits=Limits(outbox=10)) as transport:
        await transport.send("12345678")

        async def send() -> None:
            code = 4001 if how == "peer closes" else 1006
            assert (await ended_by(transport.send("b" * 8)))[0] == code

        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(send)
                await wait_all_tasks_blocked()
                match how:
                    case "peer closes":
                        wire.says(close(4001))
                    case "peer leaves":
                        wire.leaves()
                    case _:
                        wire.break_off()


async def test_a_send_after_the_end_raises_at_once():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        wire.says(close(4001, "bye"))
        await wait_all_tasks_blocked()
        for _ in range(20):
            assert await ended_by(transport.send("a")) == (4001, "bye")


# Receiving


async def test_messages_are_text_or_bytes_as_they_were_sent():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        wire.says(masked("a", b"b"), frame(TEXT, b"c", fin=False), frame(CONTINUATION, b"d"))
        assert [await transport.receive() for _ in range(3)] == ["a", b"b", "cd"]


async def test_a_second_receiver_is_told_that_there_is_one():
    wire = ScriptedWire()
    async with accepted(wire) as transport, trio.open_nursery() as nursery:
        nursery.start_soon(transport.receive)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await transport.receive()
        wire.says(masked("a"))


async def test_a_cancelled_receive_loses_nothing(autojump_clock):
    wire = ScriptedWire()
    got: list[str | bytes] = []
    async with accepted(wire) as transport:
        for number in range(20):
            async with trio.open_nursery() as nursery:

                async def receive(nursery: trio.Nursery = nursery) -> None:
                    got.append(await transport.receive())

                nursery.start_soon(receive)
                await wait_all_tasks_blocked()
                wire.says(masked(str(number)))
                for _ in range(number % 4):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        while transport.backlog()[0]:
            got.append(await transport.receive())
    assert got == [str(number) for number in range(20)]


async def test_a_full_inbox_stops_the_reading_and_room_lets_it_go_on():
    wire = ScriptedWire()
    messages = [str(number) for number in range(10)]
    async with accepted(wire, limits=Limits(inbox=3)) as transport:
        wire.says(*(masked(message) for message in messages))
        await wait_all_tasks_blocked()
        assert (transport.backlog()[0], wire.paused) == (3, True)
        received = []
        for _ in messages:
            received.append(await transport.receive())
            await wait_all_tasks_blocked()
            assert transport.backlog()[0] <= 3
        assert (received, wire.paused) == (messages, False)


async def test_one_chunk_of_more_messages_than_the_inbox_holds_is_delivered_bit_by_bit():
    wire = ScriptedWire()
    messages = [str(number) for number in range(100)]
    async with accepted(wire, limits=Limits(inbox=3)) as transport:
        wire.says(masked(*messages))
        received = []
        for _ in messages:
            await wait_all_tasks_blocked()
            assert transport.backlog()[0] <= 3
            received.append(await transport.receive())
        assert received == messages


async def test_the_inbox_is_bounded_in_bytes_too():
    wire = ScriptedWire()
    async with accepted(wire, limits=Limits(inbox_size=10)) as transport:
        wire.says(*[masked(b"12345678")] * 5)
        await wait_all_tasks_blocked()
        assert (transport.backlog(), wire.paused) == ((2, 16, 0), True)


async def test_pings_are_answered_while_the_inbox_is_full():
    wire = ScriptedWire()
    async with accepted(wire, limits=Limits(inbox=3)) as transport:
        wire.says(masked("1", "2", "3"), frame(PING, b"a"))
        await wait_all_tasks_blocked()
        assert transport.backlog()[0] == 3
        wire.says(frame(PING, b"b"))
        await wait_all_tasks_blocked()
        assert wire.pongs == [b"a", b"b"]


async def test_a_close_is_noticed_while_the_inbox_is_full():
    wire = ScriptedWire()
    async with accepted(wire, limits=Limits(inbox=1)) as transport:
        calls = told(transport)
        wire.says(masked("1"), close(4001))
        await wait_all_tasks_blocked()
        assert calls == [Ended(4001)]
        assert await transport.receive() == "1"
        assert await ended_by(transport.receive()) == (4001, "")


# The peer's end


async def test_the_peers_close_is_answered_with_its_code_and_the_connection_half_closed():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        calls = told(transport)
        wire.says(close(4001, "bye"))
        await wait_all_tasks_blocked()
        assert calls == [Ended(4001, "bye")]
        assert (wire.close_code, wire.eofs) == (4001, 1)
        await transport.aclose(linger=5)
    assert wire.end == "closed"


async def test_messages_before_the_peers_close_are_delivered_first():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        wire.says(masked("a", "b") + close(1000))
        await wait_all_tasks_blocked()
        assert [await transport.receive() for _ in range(2)] == ["a", "b"]
        assert await ended_by(transport.receive()) == (1000, "")


async def test_a_message_just_before_the_peers_close_can_still_be_answered():
    wire = ScriptedWire()

    async def echo() -> None:
        await transport.send(await transport.receive())

    async with accepted(wire) as transport, trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        await wait_all_tasks_blocked()
        wire.says(masked("a") + close(1000))
        await wait_all_tasks_blocked()
        assert [opcode for opcode, _ in wire.frames] == [TEXT, CLOSE]


@both_wires
async def test_the_peers_close_drops_what_waits_but_what_has_begun(make_wire):
    wire = make_wire(room=3)
    async with accepted(wire) as transport:
        await transport.send("12345678")
        await wait_all_tasks_blocked()
        await transport.send("waits")
        wire.says(frame(PING, b"waits, too"))
        await wait_all_tasks_blocked()
        wire.says(close(4001))
        await wait_all_tasks_blocked()
        assert wire.eofs == 0
        wire.take()
        await wait_all_tasks_blocked()
        assert (wire.messages, wire.pongs) == ([b"12345678"], [])
        assert (wire.close_code, wire.eofs) == (4001, 1)


async def test_what_comes_after_the_peers_close_is_ignored():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        wire.says(close(1000), masked("a"), frame(PING), frame(3))
        await wait_all_tasks_blocked()
        assert await ended_by(transport.receive()) == (1000, "")
        assert [opcode for opcode, _ in wire.frames] == [CLOSE]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(3), 1002),
        (frame(TEXT, mask=None), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(BINARY, bytes(101)), 1009),
    ],
)
async def test_a_violation_closes_with_its_code(data, code):
    wire = ScriptedWire()
    async with accepted(wire, limits=Limits(message_size=100)) as transport:
        calls = told(transport)
        wire.says(masked("before") + data)
        await wait_all_tasks_blocked()
        assert ([ended.code for ended in calls], wire.close_code) == ([code], code)
        assert await transport.receive() == "before"
        assert (await ended_by(transport.receive()))[0] == code


async def test_a_peer_that_leaves_without_a_close_is_1006():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        calls = told(transport)
        wire.says(masked("last"), frame(TEXT, b"half")[:8])
        wire.leaves()
        await wait_all_tasks_blocked()
        assert calls == [Ended(1006)]
        assert await transport.receive() == "last"
        assert await ended_by(transport.receive()) == (1006, "")


async def test_a_receiver_that_waits_is_told_of_the_end():
    wire = ScriptedWire()
    async with accepted(wire) as transport, trio.open_nursery() as nursery:
        nursery.start_soon(ended_by, transport.receive())
        await wait_all_tasks_blocked()
        wire.leaves()


async def test_a_hang_up_while_reading_is_paused_is_told_at_once():
    wire = ScriptedWire()
    messages = [str(number) for number in range(5)]
    async with accepted(wire, limits=Limits(inbox=1)) as transport:
        calls = told(transport)
        wire.says(*(masked(message) for message in messages))
        await wait_all_tasks_blocked()
        wire.leaves()
        assert calls == [Ended(1006)]
        assert await ended_by(transport.send("a")) == (1006, "")
        assert [await transport.receive() for _ in messages] == messages
        assert await ended_by(transport.receive()) == (1006, "")
        assert calls == [Ended(1006)]


async def test_after_a_hang_up_the_close_frame_among_what_waits_tells_the_true_code():
    wire = ScriptedWire()
    async with accepted(wire, limits=Limits(inbox=1)) as transport:
        calls = told(transport)
        wire.says(masked("1"), masked("2"), masked("3") + close(4001, "bye"))
        await wait_all_tasks_blocked()
        wire.leaves()
        assert [await transport.receive() for _ in range(3)] == ["1", "2", "3"]
        assert await ended_by(transport.receive()) == (4001, "bye")
        assert (transport.ended, len(calls)) == (Ended(4001, "bye"), 1)


async def test_after_a_hang_up_nothing_is_waited_for_though_nobody_has_received(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire, limits=Limits(inbox=1)) as transport:
        wire.says(masked("1"), masked("2"), masked("3"))
        await wait_all_tasks_blocked()
        wire.leaves()
        await transport.aclose(linger=5)
        assert (trio.current_time(), wire.end) == (0, "closed")


async def test_after_a_hang_up_before_accept_nothing_is_waited_for(autojump_clock):
    wire = ScriptedWire()
    async with opened(wire) as transport:
        wire.says(*[masked(bytes(64 * KiB))] * 3)
        await wait_all_tasks_blocked()
        wire.leaves()
        await transport.aclose(linger=5)
        assert (trio.current_time(), wire.end) == (0, "closed")


# Pings and pongs


async def test_a_ping_is_answered_with_its_payload():
    wire = ScriptedWire()
    async with accepted(wire):
        wire.says(frame(PING, b"1"), frame(PING, b"2") + frame(PING, b""))
        await wait_all_tasks_blocked()
        assert wire.frames == [(PONG, b"1"), (PONG, b"2"), (PONG, b"")]


async def test_of_pongs_that_wait_only_the_last_is_kept(autojump_clock):
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        await transport.send("12345678")
        await transport.send("waits")
        before = transport.backlog()
        for number in range(1000):
            wire.says(frame(PING, b"%d" % number))
        await wait_all_tasks_blocked()
        assert transport.backlog() == before
        wire.take()
        await wait_all_tasks_blocked()
        assert wire.pongs == [b"999"]
        assert wire.messages == [b"12345678", b"waits"]


async def test_a_peer_that_pings_for_each_byte_that_it_takes_is_answered_once(autojump_clock):
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        await transport.send(bytes(120))
        for number in range(110):
            wire.says(frame(PING, b"%d" % number))
            wire.take(1)
            await wait_all_tasks_blocked()
        wire.take()
        await wait_all_tasks_blocked()
        assert (wire.messages, wire.pongs) == ([bytes(120)], [b"109"])


async def test_a_ping_tells_how_long_its_pong_took(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        assert transport.latency is None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.ping)
            await trio.sleep(3)
            wire.says(frame(PONG, b"not it"), frame(PONG, wire.pings[0]))
        assert (transport.latency, trio.current_time()) == (3, 3)


async def test_a_pong_answers_the_pings_before_it_too(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire) as transport, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(transport.ping)
        await wait_all_tasks_blocked()
        assert len(set(wire.pings)) == 3
        wire.says(frame(PONG, wire.pings[1]))
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        wire.says(frame(PONG, wire.pings[2]))


async def test_a_ping_goes_before_the_messages_that_have_not_begun(autojump_clock):
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport, trio.open_nursery() as nursery:
        await transport.send("12345678")
        await wait_all_tasks_blocked()
        await transport.send("waits")
        nursery.start_soon(transport.ping)
        await wait_all_tasks_blocked()
        wire.take(7)
        await wait_all_tasks_blocked()
        wire.take()
        await wait_all_tasks_blocked()
        assert [opcode for opcode, _ in wire.frames] == [TEXT, PING, TEXT]
        wire.says(frame(PONG, wire.pings[0]))


@both_wires
async def test_a_ping_waits_for_one_frame_only_wherever_the_system_cuts_the_stream(
    autojump_clock, make_wire
):
    wire = make_wire(room=3)
    async with accepted(wire) as transport, trio.open_nursery() as nursery:
        for _ in range(8):
            await transport.send("12345678")
        await wait_all_tasks_blocked()
        for _ in range(2):
            nursery.start_soon(transport.ping)
            await wait_all_tasks_blocked()
        for _ in range(9):
            wire.take(10)  # each time, it stops inside a message
            await wait_all_tasks_blocked()
        wire.take()
        await wait_all_tasks_blocked()
        assert [opcode for opcode, _ in wire.frames] == [TEXT, PING, PING, *[TEXT] * 7]
        wire.says(frame(PONG, wire.pings[1]))


@both_wires
async def test_a_pong_and_a_ping_wait_for_the_same_frame_only(autojump_clock, make_wire):
    wire = make_wire(room=3)
    async with accepted(wire) as transport, trio.open_nursery() as nursery:
        for _ in range(3):
            await transport.send("12345678")
        await wait_all_tasks_blocked()
        wire.says(frame(PING, b"1"), frame(PING, b"2"))
        await wait_all_tasks_blocked()
        nursery.start_soon(transport.ping)
        await wait_all_tasks_blocked()
        wire.says(frame(PING, b"3"))
        await wait_all_tasks_blocked()
        wire.take(10)
        await wait_all_tasks_blocked()
        wire.take()
        await wait_all_tasks_blocked()
        assert [opcode for opcode, _ in wire.frames] == [TEXT, PING, PONG, TEXT, TEXT]
        assert wire.pongs == [b"3"]
        wire.says(frame(PONG, wire.pings[0]))


async def test_a_ping_that_is_cancelled_before_it_goes_out_is_not_sent(autojump_clock):
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        await transport.send("12345678")
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await transport.ping()
        wire.take()
        await wait_all_tasks_blocked()
        assert (wire.pings, wire.messages) == ([], [b"12345678"])


@pytest.mark.parametrize("how", ["peer closes", "peer leaves", "we close", "we fail"])
async def test_a_ping_that_waits_is_told_of_the_end(autojump_clock, how):
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ended_by, transport.ping())
                await wait_all_tasks_blocked()
                match how:
                    case "peer closes":
                        wire.says(close(4001))
                    case "peer leaves":
                        wire.leaves()
                    case "we close":
                        await transport.close(1000, "")
                    case _:
                        transport.fail(1011, "")


async def test_a_ping_after_the_end_raises_and_sends_nothing(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.close(4000, "done")
        with trio.fail_after(1):
            assert await ended_by(transport.ping()) == (4000, "done")
        assert wire.pings == []


async def test_a_ping_that_the_wire_breaks_at_is_told_of_the_end(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        wire.is_broken = True
        with trio.fail_after(1):
            assert await ended_by(transport.ping()) == (1006, "")


# Keeping alive

KEEPALIVE = Timeouts(ping_interval=20, ping_timeout=10)


async def test_a_peer_that_answers_is_pinged_at_each_interval(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE) as transport:
        await trio.sleep(19)
        assert wire.pings == []
        for number in range(1, 6):
            await trio.sleep(2)  # after the interval, by 1
            assert len(wire.pings) == number
            await trio.sleep(2)
            wire.says(frame(PONG, wire.pings[-1]))
            await wait_all_tasks_blocked()
            assert transport.latency == 3
            await trio.sleep(19)
        assert transport.ended is None


async def test_a_peer_that_does_not_answer_is_1011_after_interval_and_timeout(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE) as transport:
        calls = told(transport)
        await trio.sleep(29)
        assert calls == []
        await trio.sleep(2)
        assert calls == [Ended(1011, "ping timeout")]
        assert (len(wire.pings), wire.close_code) == (1, 1011)
        assert await ended_by(transport.receive()) == (1011, "ping timeout")


def pings_so_far(wire) -> list[Frame]:
    frames = read_frames(wire.body, cut_short=True)
    return [frame for frame in frames if frame.opcode is Opcode.PING]


@asynccontextmanager
async def steadily_taken(wire) -> AsyncIterator[tuple[StreamTransport, trio.CancelScope]]:
    """
    Let many messages wait, of which the peer takes 300 bytes a second.

    The system holds 5000 bytes of them all the time. So a ping arrives 17 seconds after it is
    sent, and there is data behind it all the time. Cancel the scope to make the peer stop.
    """
    taking = trio.CancelScope()
    async with accepted(wire, timeouts=KEEPALIVE) as transport, trio.open_nursery() as nursery:
        wire.unread = 5000
        for _ in range(300):
            await transport.send(bytes(98))
        await wait_all_tasks_blocked()

        async def take() -> None:
            with taking:
                while True:
                    await trio.sleep(1)
                    wire.take(300)

        nursery.start_soon(take)
        yield transport, taking
        nursery.cancel_scope.cancel()


@both_wires
async def test_the_time_for_a_pong_begins_when_the_ping_has_arrived(autojump_clock, make_wire):
    wire = make_wire(room=50)
    async with steadily_taken(wire) as (transport, _):
        await trio.sleep(46)
        assert (transport.ended, len(pings_so_far(wire))) == (None, 1)
        await trio.sleep(4)
        assert transport.ended == Ended(1011, "ping timeout")


@both_wires
async def test_a_pong_in_time_after_its_ping_has_arrived_keeps_the_peer(autojump_clock, make_wire):
    wire = make_wire(room=50)
    async with steadily_taken(wire) as (transport, _):
        await trio.sleep(46)
        wire.says(frame(PONG, b"\0\0\0\1"))
        await trio.sleep(20)
        assert transport.ended is None


@both_wires
async def test_a_peer_that_stops_before_a_ping_has_arrived_is_1011_after_the_timeout(
    autojump_clock, make_wire
):
    wire = make_wire(room=50)
    async with steadily_taken(wire) as (transport, taking):
        await trio.sleep(25)
        taking.cancel()
        await trio.sleep(9)
        assert transport.ended is None
        await trio.sleep(2.5)
        assert transport.ended == Ended(1011, "ping timeout")


async def test_a_peer_whose_system_does_not_answer_is_1011_after_interval_and_timeout(
    autojump_clock,
):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE) as transport:
        wire.unread = 6
        await trio.sleep(29)
        assert transport.ended is None
        await trio.sleep(2)
        assert transport.ended == Ended(1011, "ping timeout")


async def test_a_ping_that_arrives_late_may_be_answered_for_as_long_as_any(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE) as transport:
        wire.unread = 6
        await trio.sleep(28)
        wire.unread = 0
        await trio.sleep(9)
        wire.says(frame(PONG, wire.pings[0]))
        await trio.sleep(1)
        assert transport.ended is None
        await trio.sleep(31)
        assert transport.ended == Ended(1011, "ping timeout")


@both_wires
async def test_a_ping_of_the_handler_waits_as_long_as_data_before_it(autojump_clock, make_wire):
    wire = make_wire(room=50)
    async with accepted(wire) as transport, trio.open_nursery() as nursery:
        await transport.send(bytes(100_000))
        await wait_all_tasks_blocked()
        nursery.start_soon(transport.ping)
        for _ in range(300):
            await trio.sleep(1)
            wire.take(400)
        assert transport.ended is None
        wire.says(frame(PONG, wire.pings[0]))
        await wait_all_tasks_blocked()
        assert transport.latency == 300


async def test_other_things_than_the_pong_do_not_keep_a_peer_alive(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE) as transport:
        for _ in range(31):
            await trio.sleep(1)
            wire.says(frame(PONG, b""), frame(PING, b"a"))
        assert transport.ended == Ended(1011, "ping timeout")


async def test_a_pong_that_is_late_keeps_nobody_alive(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE) as transport:
        await trio.sleep(31)
        wire.says(frame(PONG, wire.pings[0]))
        await trio.sleep(100)
        assert (transport.ended, len(wire.pings)) == (Ended(1011, "ping timeout"), 1)


async def test_without_an_interval_nobody_is_pinged(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=Timeouts(ping_interval=math.inf)):
        await trio.sleep(10_000)
        assert wire.frames == []


async def test_nobody_is_pinged_before_accept_or_after_the_end(autojump_clock):
    wire = ScriptedWire()
    async with opened(wire, timeouts=KEEPALIVE) as transport:
        await trio.sleep(100)
        assert wire.sent == b""
        await transport.accept(None, [])
        await transport.close(1000, "")
        await trio.sleep(100)
        assert [opcode for opcode, _ in wire.frames] == [CLOSE]


async def stuck_pong(wire, transport) -> None:
    """Let the pong wait behind more messages than the inbox takes."""
    wire.says(masked("1", "2"))
    await trio.sleep(25)
    wire.says(masked("3"), frame(PONG, wire.pings[0]))
    await wait_all_tasks_blocked()
    assert wire.paused


async def test_a_pong_behind_a_full_inbox_is_waited_for_while_the_peer_takes_our_pings(
    autojump_clock,
):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE, limits=Limits(inbox=2)) as transport:
        await stuck_pong(wire, transport)
        await trio.sleep(200)
        assert transport.ended is None
        for _ in range(3):
            await transport.receive()
        wire.says(frame(PONG, wire.pings[-1]))
        await trio.sleep(9)
        assert transport.ended is None


async def test_a_pong_behind_a_full_inbox_is_not_waited_for_if_our_ping_does_not_arrive(
    autojump_clock,
):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE, limits=Limits(inbox=2)) as transport:
        await stuck_pong(wire, transport)
        await trio.sleep(50)
        assert transport.ended is None
        wire.unread = 6
        await trio.sleep(21)
        assert transport.ended == Ended(1011, "ping timeout")


async def test_a_pong_behind_a_full_inbox_is_waited_for_though_data_is_always_on_its_way(
    autojump_clock,
):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE, limits=Limits(inbox=2)) as transport:
        await stuck_pong(wire, transport)
        wire.unread = 200
        for _ in range(200):
            await transport.send(bytes(100))
            await trio.sleep(1)
        assert transport.ended is None


async def test_a_peer_whose_pong_waited_is_given_up_if_it_does_not_answer_the_next(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire, timeouts=KEEPALIVE, limits=Limits(inbox=2)) as transport:
        await stuck_pong(wire, transport)
        await trio.sleep(50)
        for _ in range(3):
            await transport.receive()
        await trio.sleep(31)
        assert transport.ended == Ended(1011, "ping timeout")


# Our close


async def test_a_close_goes_behind_what_was_sent_before(autojump_clock):
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        calls = told(transport)
        await transport.send("12345678")
        await transport.send("b")
        await transport.close(4000, "done")  # this doesn't wait for the peer
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.wait_delivered)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            wire.take()
        assert [opcode for opcode, _ in wire.frames] == [TEXT, TEXT, CLOSE]
        assert (transport.ended, calls) == (Ended(4000, "done"), [])


async def test_a_second_close_changes_nothing():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.close(4000, "done")
        await transport.close(1000, "")
        assert wire.frames == [(CLOSE, (4000).to_bytes(2, "big") + b"done")]
        assert transport.ended == Ended(4000, "done")


async def test_a_close_after_the_peers_changes_nothing():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        wire.says(close(4001))
        await wait_all_tasks_blocked()
        await transport.close(1000, "")
        assert (wire.close_code, transport.ended) == (4001, Ended(4001))


async def test_a_close_whose_delivery_nobody_waits_for_is_sent_all_the_same(autojump_clock):
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        await transport.send("12345678")
        await transport.close(4000, "")
        with trio.move_on_after(1) as scope:
            await transport.wait_delivered()
        assert scope.cancelled_caught
        wire.take()
        await wait_all_tasks_blocked()
        assert (wire.messages, wire.close_code) == ([b"12345678"], 4000)


async def test_after_our_close_nothing_is_sent_or_received():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        calls = told(transport)
        await transport.close(4000, "done")
        assert await ended_by(transport.send("a")) == (4000, "done")
        assert await ended_by(transport.receive()) == (4000, "done")
        wire.says(masked("a"), close(4000))
        await wait_all_tasks_blocked()
        assert [opcode for opcode, _ in wire.frames] == [CLOSE]
        assert calls == []


async def test_our_close_is_sent_though_the_peers_comes_while_it_waits(autojump_clock):
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        await transport.send("12345678")
        await transport.send("dropped")
        with trio.move_on_after(1):
            await transport.close(4000, "")
        wire.says(close(4001))
        await wait_all_tasks_blocked()
        wire.take()
        await transport.aclose(linger=5)
        assert (wire.messages, wire.close_code, wire.end) == ([b"12345678"], 4000, "closed")


async def test_our_close_that_has_begun_is_completed_though_the_peers_comes(autojump_clock):
    wire = ScriptedWire(room=2)
    async with accepted(wire) as transport:
        with trio.move_on_after(1):
            await transport.close(4000, "")
        wire.says(close(4001))
        await wait_all_tasks_blocked()
        wire.take()
        await wait_all_tasks_blocked()
        assert (wire.frames, wire.eofs) == ([(CLOSE, (4000).to_bytes(2, "big"))], 1)


async def test_a_failure_drops_what_waits_and_tells_why(autojump_clock):
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        calls = told(transport)
        await transport.send("12345678")
        await wait_all_tasks_blocked()
        await transport.send("dropped")
        transport.fail(1011, "ping timeout")
        transport.fail(1008, "too late")
        assert calls == [Ended(1011, "ping timeout")]
        wire.take()
        await wait_all_tasks_blocked()
        assert (wire.messages, wire.close_code) == ([b"12345678"], 1011)


async def test_nobody_fails_before_accept():
    wire = ScriptedWire()
    async with opened(wire) as transport:
        transport.fail(1011, "")
        assert (transport.ended, wire.sent) == (None, b"")


# The end of all


async def test_the_end_waits_for_the_peer_to_close_its_side(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.close(1000, "")
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await transport.aclose(linger=5)
                assert trio.current_time() == 2

            nursery.start_soon(end)
            await trio.sleep(2)
            assert (wire.eofs, wire.end) == (1, None)
            wire.leaves()
        assert wire.end == "closed"


async def test_the_end_waits_no_longer_than_for_the_peers_close_frame(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.close(1000, "")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: transport.aclose(linger=5))
            await trio.sleep(2)
            wire.says(close(1000))
        assert (trio.current_time(), wire.end) == (2, "closed")


async def test_the_end_waits_for_nobody_longer_than_it_may(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.close(1000, "")
        await transport.aclose(linger=5)
        assert (trio.current_time(), wire.eofs, wire.end) == (5, 1, "closed")


@both_wires
async def test_no_cancellation_shortens_the_end(autojump_clock, make_wire):
    wire = make_wire()
    async with accepted(wire) as transport:
        await transport.close(1000, "")
        with trio.move_on_after(2):
            await transport.aclose(linger=5)
        assert (trio.current_time(), wire.end) == (5, "closed")


async def test_what_still_comes_at_the_end_is_read_and_dropped(autojump_clock):
    wire = ScriptedWire()
    async with accepted(wire, limits=Limits(inbox=1)) as transport:
        wire.says(*[masked("a")] * 10)
        await wait_all_tasks_blocked()
        assert wire.paused
        await transport.close(1000, "")
        wire.leaves()
        await transport.aclose(linger=5)
        assert (trio.current_time(), wire._into) == (0, [])


@both_wires
async def test_the_end_waits_for_what_was_sent_and_resets_what_is_stuck(autojump_clock, make_wire):
    wire = make_wire(room=3)
    async with accepted(wire) as transport:
        await transport.send("12345678")
        with trio.move_on_after(0):
            await transport.close(1000, "")
        await transport.aclose(linger=5)
        assert (trio.current_time(), wire.eofs, wire.end) == (5, 0, "reset")


async def test_what_is_taken_late_is_still_sent_at_the_end(autojump_clock):
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        await transport.send("12345678")
        with trio.move_on_after(0):
            await transport.close(1000, "")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: transport.aclose(linger=5))
            await trio.sleep(3)
            wire.take()
            wire.leaves()
        assert (trio.current_time(), wire.end) == (3, "closed")
        assert (wire.messages, wire.close_code) == ([b"12345678"], 1000)


async def test_a_connection_that_is_left_without_an_end_is_1006():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        calls = told(transport)
        await transport.aclose(linger=0)
        assert (transport.ended, wire.end, calls) == (Ended(1006), "closed", [])
        assert await ended_by(transport.receive()) == (1006, "")


async def test_a_second_end_has_no_effect():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.close(1000, "")
        await transport.aclose(linger=0)
        await transport.aclose(linger=0)
    assert wire.end == "closed"


async def test_messages_are_sent_and_received_while_the_owner_is_cancelled():
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:
        with trio.CancelScope() as scope:
            scope.cancel()
            with trio.CancelScope(shield=True):
                await transport.send("12345678")
                wire.take()
                wire.says(masked("a"))
                assert await transport.receive() == "a"
                await wait_all_tasks_blocked()
        assert wire.messages == [b"12345678"]


# What it counts


async def test_messages_and_their_bytes_are_counted():
    wire = ScriptedWire(room=0)
    async with accepted(wire) as transport:
        await transport.send("\N{SNOWMAN}")
        await transport.send(b"12")
        wire.says(masked("\N{GRINNING FACE}", b"a", "b"), frame(PING, b"not counted"))
        await wait_all_tasks_blocked()
        await transport.receive()
        traffic = transport.traffic
        assert (traffic.messages_sent, traffic.bytes_sent) == (2, 5)
        assert (traffic.messages_received, traffic.bytes_received) == (3, 6)
        assert transport.backlog() == (2, 2, 9)


# Compression

OFFER = "permessage-deflate; client_max_window_bits"


async def test_compression_is_negotiated_in_the_response_and_used_both_ways():
    wire = ScriptedWire()
    message = "abc" * 1000
    theirs = PerMessageDeflate(False, False, 12, 12)
    async with accepted(wire, extensions=OFFER, compression=Compression()) as transport:
        assert (
            b"sec-websocket-extensions: permessage-deflate;"
            b" server_max_window_bits=12; client_max_window_bits=12"
        ) in wire.head.split(b"\r\n")
        for _ in range(2):
            await transport.send(message)
        await wait_all_tasks_blocked()
        assert len(wire.body) < 100
        frames = read_frames(wire.body, [theirs])
        assert [bytes(frame.data) for frame in frames] == [message.encode()] * 2
        encoded = theirs.encode(frames[0])
        wire.says(frame(TEXT, bytes(encoded.data), reserved=RSV1))
        assert await transport.receive() == message


@pytest.mark.parametrize(
    ("offer", "compression"), [(None, Compression()), (OFFER, None), ("x-other", Compression())]
)
async def test_without_an_offer_or_the_setting_nothing_is_compressed(offer, compression):
    wire = ScriptedWire()
    async with accepted(wire, extensions=offer, compression=compression) as transport:
        assert b"sec-websocket-extensions" not in wire.head
        await transport.send("abc" * 1000)
        assert wire.messages == [b"abc" * 1000]


async def test_a_message_that_inflates_over_the_limit_is_1009():
    wire = ScriptedWire()
    theirs = PerMessageDeflate(False, False, 12, 12)
    data = theirs.encode(Frame(Opcode.BINARY, bytes(100_000))).data
    limits = Limits(message_size=1000)
    async with accepted(
        wire, extensions=OFFER, compression=Compression(), limits=limits
    ) as transport:
        wire.says(frame(BINARY, bytes(data), reserved=4))
        assert (await ended_by(transport.receive()))[0] == 1009


async def test_a_close_that_waits_for_its_turn_is_not_cut_off_by_an_outbox_that_empties():
    """Earlier messages are answered first. The system may take the rest at that moment."""
    wire = ScriptedWire(room=3)
    async with accepted(wire) as transport:

        async def echo() -> None:
            with suppress(WebSocketDisconnect):
                while True:
                    await transport.send(await transport.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo)
            await transport.send("first")
            await wait_all_tasks_blocked()
            wire.says(masked("one") + masked("two") + close(3001, "bye"))
            wire.take()
        assert transport.ended == Ended(3001, "bye")
        assert wire.messages == [b"first", b"one", b"two"]
        assert (wire.close_code, wire.eofs) == (3001, 1)


@pytest.mark.parametrize("end", [close(3001), frame(TEXT, mask=None)], ids=["close", "error"])
async def test_a_handler_that_gives_others_turns_answers_all_that_came_with_the_end(end):
    wire = ScriptedWire()
    async with accepted(wire) as transport, trio.open_nursery() as nursery:

        async def echo() -> None:
            with suppress(WebSocketDisconnect):
                while True:
                    message = await transport.receive()
                    await trio.lowlevel.checkpoint()
                    await transport.send(message)
                    await trio.lowlevel.checkpoint()

        nursery.start_soon(echo)
        await wait_all_tasks_blocked()
        wire.says(masked("one") + masked("two") + masked("three") + end)
        await wait_all_tasks_blocked()
        assert wire.messages == [b"one", b"two", b"three"]


async def test_a_handler_that_sends_without_end_does_not_hold_up_a_close():
    wire = ScriptedWire()
    async with accepted(wire) as transport, trio.open_nursery() as nursery:

        async def tick() -> None:
            with suppress(WebSocketDisconnect):
                while True:
                    await transport.send("tick")
                    await trio.lowlevel.checkpoint()

        nursery.start_soon(tick)
        await trio.lowlevel.checkpoint()
        wire.says(masked("one") + close(3001, "bye"))
        assert await transport.receive() == "one"
        with pytest.raises(WebSocketDisconnect):
            await transport.receive()
        assert len(wire.messages) < 10


async def test_tiny_messages_are_bounded_in_number(autojump_clock):
    wire = ScriptedWire(room=0)
    timeouts = Timeouts(ping_interval=math.inf, send=30)
    async with accepted(wire, timeouts=timeouts) as transport:
        sent = 0
        with trio.move_on_after(1):
            while True:
                await transport.send("")
                sent += 1
        assert 1000 < sent < 10_000


async def test_what_came_before_a_slow_acceptance_is_delivered_though_its_sender_has_left():
    wire = ScriptedWire()
    async with opened(wire) as transport:
        wire.says(masked("early"), close(4001, "bye"))
        wire.leaves()
        await wait_all_tasks_blocked()
        await transport.accept(None, ())
        assert await transport.receive() == "early"
        assert await ended_by(transport.receive()) == (4001, "bye")


# Whether the peer is there


async def test_a_peer_is_over_when_it_has_answered_our_close():
    wire = ScriptedWire()
    async with accepted(wire) as transport:
        await transport.close(1001, "")
        assert (transport.over, transport.answered) == (False, False)
        wire.says(close(1001))
        await transport.wait_over()
        assert (transport.over, transport.answered) == (True, True)


@both_wires
async def test_a_peer_that_leaves_without_an_answer_is_over_too(make_wire):
    wire = make_wire()
    async with accepted(wire) as transport:
        await transport.close(1001, "")
        wire.leaves()
        await transport.wait_over()
        assert (transport.over, transport.answered) == (True, False)


async def test_who_waits_for_an_answer_is_told_of_the_end():
    wire = ScriptedWire()
    async with trio.open_nursery() as nursery, accepted(wire) as transport:
        await transport.close(1001, "")
        nursery.start_soon(transport.wait_over)
        await wait_all_tasks_blocked()


async def test_that_a_peer_has_left_is_noticed_though_it_sent_something_before_accept():
    wire = ScriptedWire()
    async with opened(wire, early=masked("early")) as transport:
        calls = told(transport)
        wire.leaves()
        await wait_all_tasks_blocked()
        assert calls == [None]
        await transport.accept(None, [])
        assert await transport.receive() == "early"
