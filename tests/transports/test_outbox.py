"""What is sent at once, what waits, and in which order it goes out."""

from __future__ import annotations

import gc
import weakref
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.transports.scripted_wire import ScriptedTLSWire, ScriptedWire
from triows._transports.cork import Cork
from triows._transports.outbox import Outbox
from triows._transports.turn import Turn

PONG, OTHER_PONG = b"\x8a\x01a", b"\x8a\x01b"


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.taken: list[tuple[object, int]] = []

    def writing(self) -> None:
        self.told.append("writing")

    def write_failed(self) -> None:
        self.told.append("failed")

    def frame_taken(self, frame: object, end: int) -> None:
        self.taken.append((frame, end))

    def written(self) -> None:
        self.told.append("written")


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def wire() -> ScriptedWire:
    return ScriptedWire(room=0)


def made(wire: ScriptedWire, owner: Owner, limit: int = 10) -> Outbox:
    turn = Turn()
    return Outbox(wire, owner, turn, Cork(turn), limit=limit)


@pytest.fixture
async def corked(wire, owner, nursery):
    """An outbox with a large limit that may hold messages back, on a wire that takes everything."""
    turn = Turn()
    cork = Cork(turn)
    outbox = Outbox(wire, owner, turn, cork, limit=2**20)
    outbox.start(nursery)
    wire.take()
    nursery.start_soon(cork.run)
    await wait_all_tasks_blocked()
    yield outbox
    outbox.close()


@pytest.fixture
async def outbox(wire, owner, nursery):
    outbox = made(wire, owner)
    outbox.start(nursery)
    yield outbox
    outbox.close()  # its task is shielded


async def drained(wire: ScriptedWire) -> bytes:
    wire.take()
    await wait_all_tasks_blocked()
    return bytes(wire.sent)


async def test_what_the_system_takes_at_once_does_not_wait(wire, owner, outbox):
    wire.take()
    outbox.send(b"hello")
    assert wire.sent == b"hello"
    assert not outbox
    assert not outbox.is_busy
    assert owner.told == []


async def test_the_rest_of_a_frame_waits_and_its_owner_is_told(wire, owner, outbox):
    wire.take(2)
    outbox.send(b"hello")
    assert outbox.is_busy
    assert outbox.size == 3
    assert await drained(wire) == b"hello"
    assert owner.told == ["writing", "written"]
    assert owner.taken == [(b"hello", 5)]
    assert outbox.size == 0


async def test_an_empty_frame_does_not_wait(outbox):
    outbox.send(b"")
    assert not outbox


@pytest.mark.parametrize("room", range(8))
async def test_a_frame_in_two_pieces_may_be_cut_anywhere(wire, outbox, room):
    wire.take(room)
    outbox.post_pieces(b"head", b"and")
    assert outbox.size == 7 - room
    assert await drained(wire) == b"headand"


async def test_frames_go_out_in_the_order_in_which_they_came(wire, outbox):
    for frame in (b"a", b"b", b"c"):
        outbox.send(frame)
    assert await drained(wire) == b"abc"


async def test_an_urgent_frame_overtakes_all_that_have_not_begun(wire, outbox):
    wire.take(1)
    outbox.send(b"begun")
    outbox.send(b"later")
    outbox.send_urgent(b"1")
    outbox.send_urgent(b"2")
    assert await drained(wire) == b"begun12later"


async def test_an_urgent_frame_that_was_discarded_is_not_sent(wire, outbox):
    outbox.send(b"data")
    outbox.send_urgent(frame := b"ping")
    outbox.discard_urgent(frame)
    outbox.discard_urgent(frame)
    assert await drained(wire) == b"data"


async def test_only_the_last_of_several_pongs_that_wait_is_sent(wire, outbox):
    outbox.send(b"data")
    outbox.send_control([PONG])
    outbox.send_control([OTHER_PONG])
    assert await drained(wire) == OTHER_PONG + b"data"


async def test_answers_go_out_at_once_if_nothing_waits(wire, outbox):
    wire.take()
    outbox.send_control([PONG, OTHER_PONG])
    assert wire.sent == PONG + OTHER_PONG


async def test_other_answers_stay_behind_what_was_sent_before(wire, outbox):
    outbox.send(b"data")
    outbox.send_control([b"\x88\x00"])
    assert await drained(wire) == b"data\x88\x00"


async def test_a_drop_keeps_what_has_begun_and_one_frame(wire, outbox):
    wire.take(1)
    outbox.send(b"begun")
    outbox.send(b"lost")
    outbox.send(kept := b"kept")
    outbox.drop(but=kept)
    assert outbox.size == 8
    assert await drained(wire) == b"begunkept"


async def test_without_anything_that_waits_a_drop_changes_nothing(outbox):
    outbox.drop(but=None)
    assert not outbox


@pytest.mark.parametrize(("room", "has_begun"), [(0, False), (1, True), (10, True)])
async def test_a_frame_has_begun_when_the_system_has_taken_a_byte(wire, outbox, room, has_begun):
    wire.take(room)
    outbox.send(frame := b"frame")
    assert outbox.has_begun(frame) is has_begun


async def test_under_tls_a_frame_has_begun_when_it_is_encrypted(owner, nursery):
    wire = ScriptedTLSWire(room=0)
    outbox = made(wire, owner)
    outbox.start(nursery)
    outbox.send(first := b"first")
    outbox.send(second := b"second")
    await wait_all_tasks_blocked()
    assert outbox.has_begun(first)
    assert not outbox.has_begun(second)
    assert await drained(wire) == b"firstsecond"


async def test_there_is_room_up_to_the_limit_and_for_one_frame_that_is_larger(outbox):
    assert outbox.has_room(11)
    outbox.send(b"12345")
    assert outbox.has_room(5)
    assert not outbox.has_room(6)


async def test_whoever_waits_for_room_is_woken_when_the_system_takes_something(wire, outbox):
    outbox.send(b"12345")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.wait_progress)
        await wait_all_tasks_blocked()
        wire.take(1)
    assert outbox.size == 4


async def test_whoever_holds_the_lock_keeps_others_in_line(outbox):
    async with outbox.lock:
        assert outbox.is_busy
    assert not outbox.is_busy


async def test_a_broken_wire_is_told_and_nothing_waits(wire, owner, outbox):
    wire.is_broken = True
    outbox.send(b"hello")
    outbox.post_pieces(b"he", b"llo")
    assert owner.told == ["failed", "failed"]
    assert not outbox


async def test_a_wire_that_breaks_while_frames_wait_is_told(wire, owner, outbox):
    outbox.send(b"hello")
    await wait_all_tasks_blocked()
    wire.is_broken = True
    wire.take(0)
    await wait_all_tasks_blocked()
    assert owner.told == ["writing", "failed", "written"]


async def test_after_a_close_nothing_is_written_and_nobody_waits(wire, owner, outbox):
    outbox.send(b"hello")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.wait_empty)
        await wait_all_tasks_blocked()
        outbox.close()
    assert await drained(wire) == b""
    assert owner.told == ["writing", "written"]
    assert outbox.size == 0


async def test_after_a_close_it_does_not_keep_its_owner():
    owner = Owner()
    outbox = made(ScriptedWire(), owner)
    outbox.close()
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


# Holding messages back.


def post(outbox: Outbox, *frames: bytes, more: bool = False) -> None:
    for frame in frames:
        outbox.post(frame, more)


async def test_the_first_message_of_a_turn_goes_straight_and_the_others_leave_together(
    wire, corked
):
    post(corked, b"a", b"b", b"c")
    assert wire.calls == [b"a"]
    assert corked.size == 2
    assert not corked.is_busy
    await wait_all_tasks_blocked()
    assert wire.calls == [b"a", b"bc"]
    assert not corked


async def test_a_message_is_held_back_no_longer_than_the_tasks_that_are_ready_run(wire, corked):
    post(corked, b"a", b"b")
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()
    assert wire.calls == [b"a", b"b"]


async def test_after_each_turn_the_first_message_goes_straight_again(wire, corked):
    for _ in range(2):
        post(corked, b"a", b"b")
        await wait_all_tasks_blocked()
    assert wire.calls == [b"a", b"b"] * 2


async def test_the_last_answer_takes_those_before_it_along(wire, corked):
    post(corked, b"a", b"b", more=True)
    assert wire.calls == []
    post(corked, b"c")
    assert wire.calls == [b"abc"]


async def test_messages_are_not_held_back_as_long_as_nobody_would_flush_them(wire, outbox):
    wire.take()
    post(outbox, b"a", b"b", more=True)
    assert wire.calls == [b"a", b"b"]


async def test_what_is_held_back_is_bounded_in_messages(wire, corked):
    post(corked, *[b"a"] * 100, more=True)
    assert wire.calls == [b"a" * 65]


async def test_what_is_held_back_is_bounded_in_bytes(wire, corked):
    post(corked, *[bytes(2**13)] * 3, more=True)
    assert wire.calls == [bytes(3 * 2**13)]


async def test_no_more_is_held_back_than_may_wait(wire, owner, nursery):
    turn = Turn()
    cork = Cork(turn)
    outbox = Outbox(wire, owner, turn, cork, limit=10)
    nursery.start_soon(cork.run)
    await wait_all_tasks_blocked()
    wire.take()
    post(outbox, b"12345", b"67890", b"1", more=True)
    assert wire.calls == [b"12345678901"]
    outbox.close()


SENDS = {
    "a frame": lambda outbox: outbox.send(b"x"),
    "pieces": lambda outbox: outbox.post_pieces(b"", b"x"),
    "an answer": lambda outbox: outbox.send_control([b"x"]),
    "a ping": lambda outbox: outbox.send_urgent(b"x"),
}


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
async def test_whatever_is_sent_goes_behind_what_is_held_back(wire, corked, send):
    post(corked, b"a", b"b", more=True)
    send(corked)
    assert wire.sent == b"abx"


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
async def test_of_what_is_held_back_a_full_system_leaves_data_that_a_ping_overtakes(
    wire, corked, send
):
    wire.room = 1
    post(corked, b"begun", b"b", more=True)
    send(corked)
    expected = b"begunxb" if send is SENDS["a ping"] else b"begunbx"
    assert await drained(wire) == expected


async def test_what_the_system_does_not_take_at_the_end_of_the_turn_waits(wire, corked, owner):
    wire.room = 4
    post(corked, b"abc", b"def", b"ghi", more=True)
    await wait_all_tasks_blocked()
    assert corked.is_busy
    assert (wire.sent, corked.size) == (b"abcd", 5)
    assert await drained(wire) == b"abcdefghi"
    assert owner.told == ["writing", "written"]
    assert owner.taken == [(b"def", 6), (b"ghi", 9)]


async def test_what_is_held_back_is_not_dropped(wire, corked):
    post(corked, b"a", b"b", more=True)
    corked.drop(but=None)
    assert wire.sent == b"ab"


async def test_waiting_until_it_is_empty_writes_what_is_held_back(wire, corked):
    post(corked, b"a", b"b", more=True)
    with trio.CancelScope() as scope:
        scope.cancel()
        await corked.wait_empty()
    assert wire.sent == b"ab"


async def test_what_is_held_back_is_forgotten_if_nothing_can_be_written(wire, corked):
    post(corked, b"a", b"b", more=True)
    corked.clear()
    assert (bool(corked), corked.size) == (False, 0)
    await wait_all_tasks_blocked()
    assert wire.sent == b""


async def test_the_owner_is_told_if_writing_fails_at_the_end_of_the_turn(wire, corked, owner):
    post(corked, b"a", b"b", more=True)
    wire.is_broken = True
    await wait_all_tasks_blocked()
    assert owner.told == ["failed"]


async def test_in_another_thread_nothing_is_held_back(wire, corked):
    await trio.to_thread.run_sync(partial(post, corked, b"a", b"b", more=True))
    assert wire.calls == [b"a", b"b"]
