"""Whether a peer gets what was handed over, or is too slow for that."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._transports.delivery import Delivery
from triows._transports.pinger import Pinger
from triows._transports.progress import RATE, STALLED


class Sender:
    """Has handed over a number of bytes. The test says how many have arrived."""

    def __init__(self) -> None:
        self.left = 100 * RATE
        self.has_sent = False
        #: Why the peer was given up, and when.
        self.given_up: list[tuple[str, float]] = []

    @property
    def delivered(self) -> bool:
        return not self.left or bool(self.given_up)

    def acknowledged(self) -> int:
        return -self.left

    def give_up(self, why: str) -> None:
        self.given_up.append((why, trio.current_time()))


@asynccontextmanager
async def delivering(sender: Sender) -> AsyncIterator[tuple[Delivery, Pinger]]:
    pinger = Pinger()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pinger.run)
        delivery = Delivery(sender, pinger, 10)
        yield delivery, pinger
        delivery.close()
        assert len(pinger) == 0
        nursery.cancel_scope.cancel()


@pytest.fixture
def sender() -> Sender:
    return Sender()


async def test_a_peer_that_takes_nothing_is_given_up_once(autojump_clock, sender):
    async with delivering(sender) as (delivery, _):
        delivery.watch()
        delivery.watch()
        await trio.sleep(100)
    assert sender.given_up == [(STALLED, pytest.approx(10, abs=1))]


async def test_a_peer_for_which_nothing_waits_is_not_watched(autojump_clock, sender):
    async with delivering(sender) as (delivery, pinger):
        assert len(pinger) == 0
        delivery.watch()
        delivery.note_written()
        await trio.sleep(100)
        assert len(pinger) == 0
    assert sender.given_up == []


async def test_whoever_waits_is_told_that_all_has_arrived(autojump_clock, sender):
    async with delivering(sender) as (delivery, _), trio.open_nursery() as nursery:
        nursery.start_soon(delivery.wait)
        await wait_all_tasks_blocked()
        sender.has_sent = True
        delivery.note_written()
        await trio.sleep(2)
        assert nursery.child_tasks, "it hasn't arrived"
        sender.left = 0
        await trio.sleep(2)  # it is found at the next look
        assert not nursery.child_tasks


async def test_whoever_waits_is_told_at_once_of_what_the_sender_finds(autojump_clock, sender):
    async with delivering(sender) as (delivery, _), trio.open_nursery() as nursery:
        nursery.start_soon(delivery.wait)
        await wait_all_tasks_blocked()
        delivery.note_change()
        await wait_all_tasks_blocked()
        assert nursery.child_tasks, "nothing has arrived"
        sender.left = 0
        delivery.note_change()
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks
        assert trio.current_time() < 1


async def test_whoever_waits_is_told_that_the_peer_is_too_slow(autojump_clock, sender):
    async with delivering(sender) as (delivery, _):
        await delivery.wait()
    assert sender.given_up == [(STALLED, pytest.approx(10, abs=1))]


@pytest.mark.parametrize("has_sent", [False, True])
async def test_after_a_wait_it_watches_on_if_something_is_not_sent(
    autojump_clock, sender, has_sent
):
    async with delivering(sender) as (delivery, _):
        with trio.move_on_after(1):
            await delivery.wait()
        sender.has_sent = has_sent
        delivery.watch()
        with trio.move_on_after(1):
            await delivery.wait()
        await trio.sleep(100)
    assert len(sender.given_up) == (0 if has_sent else 1)


async def test_after_its_end_nobody_is_called(autojump_clock, sender):
    async with delivering(sender) as (delivery, _):
        delivery.watch()
        delivery.close()
        delivery.close()
        delivery.note_change()
        await trio.sleep(100)
    assert sender.given_up == []


async def test_after_its_end_nobody_is_kept():
    class Owner(Sender):
        def __init__(self) -> None:
            super().__init__()
            self.delivery = Delivery(self, Pinger(), 10)

    owner = Owner()
    owner.delivery.watch()
    owner.delivery.close()
    kept = weakref.ref(owner)
    gc.disable()
    try:
        del owner
        assert kept() is None
    finally:
        gc.enable()
