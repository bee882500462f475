from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows import WebSocketDisconnect
from triows._transports.inbox import Inbox, payload_size
from triows._transports.interface import Ended


def inbox_of(*messages: str, limit: int = 8, size: int = 1000) -> Inbox:
    inbox = Inbox(limit, size)
    for message in messages:
        inbox.put_nowait(message, len(message))
    return inbox


@pytest.mark.parametrize(
    ("message", "size"),
    [
        ("", 0),
        ("abc", 3),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}", 2),
        ("\N{GRINNING FACE}", 4),
        (b"", 0),
        (b"\xff\xff", 2),
    ],
)
def test_a_message_is_measured_in_bytes(message: str | bytes, size: int) -> None:
    assert payload_size(message) == size


def test_a_lone_surrogate_has_no_size() -> None:
    with pytest.raises(UnicodeEncodeError):
        payload_size("a\ud800")


async def test_messages_come_out_in_the_order_in_which_they_went_in() -> None:
    inbox = inbox_of("a", "b", "c")
    assert [await inbox.receive() for _ in range(3)] == ["a", "b", "c"]


async def test_a_waiting_receiver_is_handed_its_message_without_the_queue() -> None:
    inbox = inbox_of(limit=1)
    received: list[str | bytes] = []

    async def receive() -> None:
        received.append(await inbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        inbox.put_nowait("a", 1)
        assert (len(inbox), inbox.size, inbox.full) == (0, 0, False)
    assert received == ["a"]


async def test_what_comes_after_a_hand_over_waits_in_the_queue() -> None:
    inbox = inbox_of()
    received: list[str | bytes] = []

    async def receive() -> None:
        received.append(await inbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        inbox.put_nowait("a", 1)
        inbox.put_nowait("b", 1)
    assert received == ["a"]
    assert await inbox.receive() == "b"


async def test_it_is_full_at_its_number_of_messages() -> None:
    assert not inbox_of("a", limit=2).full
    assert inbox_of("a", "b", limit=2).full


async def test_it_is_full_at_its_number_of_bytes() -> None:
    assert not inbox_of("abc", size=4).full
    assert inbox_of("abc", "d", size=4).full


async def test_a_message_over_the_bounds_is_taken_all_the_same() -> None:
    inbox = inbox_of("a", "b", limit=1)
    assert (len(inbox), inbox.size, inbox.full) == (2, 2, True)


async def test_it_stays_full_until_it_is_below_its_bounds():
    inbox = inbox_of("a", "b", limit=1)
    await inbox.receive()
    assert (len(inbox), inbox.size, inbox.full) == (1, 1, True)
    await inbox.receive()
    assert (len(inbox), inbox.size, inbox.full) == (0, 0, False)


async def test_waiting_for_room_ends_when_a_message_is_taken() -> None:
    inbox = inbox_of("a", "b", limit=2)
    with trio.testing.assert_checkpoints():
        await inbox.receive()
        await inbox.wait_room()
    assert not inbox.full


async def test_there_is_no_room_while_the_bytes_that_are_left_are_too_many(autojump_clock) -> None:
    inbox = inbox_of("a", "bcdef", size=5)
    await inbox.receive()
    with trio.move_on_after(1) as scope:
        await inbox.wait_room()
    assert scope.cancelled_caught


async def test_closing_ends_the_waiting_for_room(autojump_clock) -> None:
    inbox = inbox_of("a", limit=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.wait_room)
        await wait_all_tasks_blocked()
        inbox.close(Ended(1001))


async def test_a_cancelled_receive_takes_no_message(autojump_clock) -> None:
    inbox = inbox_of()
    with trio.move_on_after(1):
        await inbox.receive()
    inbox.put_nowait("a", 1)
    assert await inbox.receive() == "a"


async def test_a_receive_that_is_cancelled_before_it_begins_takes_no_message() -> None:
    inbox = inbox_of("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.receive()
    assert scope.cancelled_caught
    assert await inbox.receive() == "a"


@pytest.mark.parametrize("put_first", [True, False])
async def test_a_put_and_a_cancellation_in_one_tick_lose_nothing(put_first: bool) -> None:
    inbox = inbox_of()
    received: list[str | bytes] = []
    scope = trio.CancelScope()

    async def receive() -> None:
        with scope:
            received.append(await inbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        if put_first:
            inbox.put_nowait("a", 1)
            scope.cancel()
        else:
            scope.cancel()
            inbox.put_nowait("a", 1)
    while len(inbox):
        received.append(await inbox.receive())
    assert received == ["a"]


async def test_two_tasks_can_not_receive_at_once() -> None:
    inbox = inbox_of()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.receive)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="another task is receiving"):
            await inbox.receive()
        inbox.put_nowait("a", 1)


async def test_a_receiver_that_was_woken_still_receives_until_it_has_run() -> None:
    inbox = inbox_of()
    received: list[str | bytes] = []

    async def receive() -> None:
        received.append(await inbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        inbox.put_nowait("a", 1)
        inbox.close(Ended(1000))
        with pytest.raises(trio.BusyResourceError, match="another task is receiving"):
            inbox.receive_nowait()
    assert received == ["a"]


async def test_another_task_may_receive_after_a_cancelled_one(autojump_clock) -> None:
    inbox = inbox_of()
    with trio.move_on_after(1):
        await inbox.receive()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.receive)
        await wait_all_tasks_blocked()
        inbox.put_nowait("a", 1)


async def test_what_waits_when_it_closes_can_still_be_received() -> None:
    inbox = inbox_of("a", "b")
    inbox.close(Ended(4000, "done"))
    assert [await inbox.receive(), await inbox.receive()] == ["a", "b"]
    with pytest.raises(WebSocketDisconnect) as caught:
        await inbox.receive()
    assert (caught.value.code, caught.value.reason) == (4000, "done")


async def test_a_closed_inbox_raises_at_every_receive() -> None:
    inbox = inbox_of()
    inbox.close(Ended(1001))
    for _ in range(2):
        with pytest.raises(WebSocketDisconnect):
            await inbox.receive()


async def test_closing_wakes_a_waiting_receiver() -> None:
    inbox = inbox_of()
    caught: list[int] = []

    async def receive() -> None:
        try:
            await inbox.receive()
        except WebSocketDisconnect as exc:
            caught.append(exc.code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        inbox.close(Ended(1001))
    assert caught == [1001]
    with pytest.raises(WebSocketDisconnect):  # and nobody else is receiving
        await inbox.receive()


async def test_the_first_end_is_the_one_that_counts() -> None:
    inbox = inbox_of()
    inbox.close(Ended(1009, "too big"))
    inbox.close(Ended(1006))
    assert inbox.ended == Ended(1009, "too big")


async def test_what_is_put_after_the_end_is_dropped() -> None:
    inbox = inbox_of()
    inbox.close(Ended(1000))
    inbox.put_nowait("late", 4)
    assert (len(inbox), inbox.size) == (0, 0)
