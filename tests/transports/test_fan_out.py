"""One message to many connections: who gets it, in which order, and who has no room for it."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from _triows_schedules.schedule import Schedule
from tests.transports import scripted
from tests.transports.scripted_wire import ScriptedWire, accepted, close
from triows import Compression, Limits
from triows._protocol.frames import Prepared
from triows._transports.fan_out import FanOut, fan_out_nowait
from triows._transports.turn import current_turn

LIMITS = Limits(outbox=10)


async def test_everybody_gets_the_message_at_once():
    wires = [ScriptedWire() for _ in range(3)]
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(accepted(wire)) for wire in wires]
        assert fan_out_nowait(members, "hello") == []
        assert [wire.messages for wire in wires] == [[b"hello"]] * 3
        assert [member.traffic.bytes_sent for member in members] == [5] * 3


async def test_a_slow_member_keeps_it_until_its_outbox_is_full(autojump_clock):
    slow, fast = ScriptedWire(room=0), ScriptedWire()
    async with accepted(slow, limits=LIMITS) as first, accepted(fast) as second:
        assert fan_out_nowait([first, second], b"123") == []
        assert fan_out_nowait([first, second], b"456") == []
        assert fan_out_nowait([first, second], b"789") == [first]
        assert first.traffic.messages_sent == 2
        slow.take()
        await wait_all_tasks_blocked()
        assert slow.messages == [b"123", b"456"]
        assert fast.messages == [b"123", b"456", b"789"]


async def test_it_does_not_overtake_a_sender_that_waits(autojump_clock):
    wire = ScriptedWire(room=0)
    async with accepted(wire, limits=LIMITS) as member, trio.open_nursery() as nursery:
        await member.send(b"12345678")
        nursery.start_soon(member.send, b"waits")
        await wait_all_tasks_blocked()
        wire.take(9)  # one byte is left, and there is room for more
        assert fan_out_nowait([member], b"") == [member]
        wire.take()
        await wait_all_tasks_blocked()
        assert fan_out_nowait([member], b"last") == []
        await wait_all_tasks_blocked()
        assert wire.messages == [b"12345678", b"waits", b"last"]


async def test_it_keeps_its_place_among_the_messages_of_a_turn():
    wire = ScriptedWire()
    async with accepted(wire) as member:
        await member.send("1")
        await member.send("2")
        fan_out_nowait([member], "3")
        await member.send("4")
        await wait_all_tasks_blocked()
        assert wire.messages == [b"1", b"2", b"3", b"4"]


async def test_a_member_that_is_gone_gets_nothing_and_has_room():
    wire = ScriptedWire()
    async with accepted(wire) as member:
        wire.says(close(1000))
        await wait_all_tasks_blocked()
        assert fan_out_nowait([member], "late") == []
        assert (wire.messages, member.traffic.messages_sent) == ([], 0)


async def test_a_member_whose_connection_breaks_does_not_count_the_message():
    wire = ScriptedWire()
    async with accepted(wire) as member:
        wire.is_broken = True
        assert fan_out_nowait([member], "lost") == []
        assert member.traffic.messages_sent == 0
        assert member.ended is not None


async def test_compressed_members_get_it_compressed():
    wire, offer = ScriptedWire(), "permessage-deflate"
    async with accepted(wire, extensions=offer, compression=Compression()) as member:
        fan_out_nowait([member], "abc" * 1000)
        assert len(wire.body) < 100


async def test_members_behind_asgi_get_it_too():
    server = scripted.ScriptedServer()
    async with scripted.accepted(server) as member:
        assert fan_out_nowait([member], "text") == []
        assert fan_out_nowait([member], b"bytes") == []
        await wait_all_tasks_blocked()
        assert server.messages == ["text", b"bytes"]
        assert member.traffic.messages_sent == 2


async def test_a_server_that_takes_nothing_has_no_room_and_one_that_is_gone_has(autojump_clock):
    server = scripted.ScriptedServer()
    async with scripted.accepted(server, limits=LIMITS) as member:
        server.gate = trio.Event()
        assert fan_out_nowait([member], b"12345678") == []
        assert fan_out_nowait([member], b"123") == [member]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.send, b"waits")
            await wait_all_tasks_blocked()
            assert fan_out_nowait([member], b"") == [member]
            server.gate.set()
        await server.leaves()
        await wait_all_tasks_blocked()
        assert fan_out_nowait([member], b"late") == []
        assert server.messages == [b"12345678", b"waits"]


class Counting:
    """A member that has no room, and notes in which turns of the loop it was asked."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def post(self, _prepared: object) -> bool:
        self.got.append(current_turn().number)
        return False


async def test_other_tasks_get_their_turn_during_a_large_fan_out():
    members = [Counting() for _ in range(1000)]
    assert await FanOut().send(members, "a") == members
    in_a_turn = Counter(number for member in members for number in member.got)
    assert sorted(in_a_turn.values()) == [1000 - 3 * 256, 256, 256, 256]


async def test_a_fan_out_that_is_cancelled_before_it_begins_reaches_nobody_and_later_everybody():
    members = [Counting() for _ in range(600)]
    with trio.CancelScope() as scope:
        scope.cancel()
        await FanOut().send(members, "a")
    assert [member.got for member in members] == [[]] * 600

    async def cancel() -> None:
        scope.cancel()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel)
            await FanOut().send(members, "a")
    assert [len(member.got) for member in members] == [1] * 600


class Noting:
    """A member that notes what it gets."""

    def __init__(self) -> None:
        self.got: list[str | bytes] = []

    def post(self, prepared: Prepared) -> bool:
        self.got.append(prepared.message)
        return True


async def publish_at_once() -> None:
    members, fan_out, began = [Noting() for _ in range(600)], FanOut(), list[str]()

    async def publish(count: int) -> None:
        began.append(str(count))
        await fan_out.send(members[:count], str(count))

    async with trio.open_nursery() as nursery:
        for count in (600, 300, 10, 599, 512):
            nursery.start_soon(publish, count)
    for at, member in enumerate(members):
        assert member.got == [one for one in began if int(one) > at]


@pytest.mark.parametrize("seed", range(8))
def test_all_members_get_concurrent_messages_in_the_order_in_which_the_calls_began(seed):
    with Schedule(seed).installed():
        trio.run(publish_at_once)


async def test_two_groups_do_not_wait_for_each_other():
    large, small = [Noting() for _ in range(5000)], Noting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(FanOut().send, large, "a")
        while not large[0].got:
            await trio.lowlevel.checkpoint()
        await FanOut().send([small], "b")
        assert small.got == ["b"]
        assert large[-1].got == []


async def test_a_message_that_is_cancelled_while_it_waits_for_earlier_ones_reaches_nobody():
    members, fan_out = [Noting() for _ in range(5000)], FanOut()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fan_out.send, members, "first")
        while not members[0].got:
            await trio.lowlevel.checkpoint()
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_soon, scope)
            await fan_out.send(members, "cancelled")
        await fan_out.send(members, "last")
    assert all(member.got == ["first", "last"] for member in members)


async def cancel_soon(scope: trio.CancelScope) -> None:
    scope.cancel()


async def test_a_text_that_cannot_be_sent_reaches_nobody():
    member = Counting()
    with pytest.raises(UnicodeEncodeError):
        await FanOut().send([member], "\ud800")
    assert member.got == []
