"""The events of one plain request, as its application gets them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._server.requests import _Events

END = {"type": "http.disconnect"}


def part(body):
    return {"type": "http.request", "body": body, "more_body": True}


@pytest.fixture
def events():
    return _Events(2)


async def test_parts_come_in_their_order_and_then_the_end(events):
    await events.put(part(b"a"))
    await events.put(part(b"b"))
    await events.put(END)
    assert [await events.receive() for _ in range(3)] == [part(b"a"), part(b"b"), END]


async def test_the_end_is_told_as_often_as_it_is_asked_for(events):
    await events.put(END)
    assert [await events.receive() for _ in range(3)] == [END, END, END]


async def test_only_a_few_parts_wait(events, nursery):
    for body in (b"a", b"b", b"c"):
        nursery.start_soon(events.put, part(body))
    await wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == 1
    await events.receive()
    await wait_all_tasks_blocked()
    assert not nursery.child_tasks


async def test_the_end_does_not_wait_for_room(events):
    await events.put(part(b"a"))
    await events.put(part(b"b"))
    await events.put(END)


async def test_whoever_receives_waits_for_the_next_part(events, nursery):
    async def put():
        await trio.lowlevel.checkpoint()
        await events.put(part(b"late"))

    nursery.start_soon(put)
    assert await events.receive() == part(b"late")


async def test_an_event_that_is_there_is_received_even_if_cancelled(events):
    await events.put(END)
    with trio.CancelScope() as scope:
        scope.cancel()
        assert await events.receive() == END
        await events.receive()  # only once
    assert scope.cancelled_caught


async def test_when_nobody_receives_any_more_parts_are_dropped(events, nursery):
    for body in (b"a", b"b", b"c"):
        nursery.start_soon(events.put, part(body))
    await wait_all_tasks_blocked()
    events.close()
    await wait_all_tasks_blocked()
    assert not nursery.child_tasks
    await events.put(part(b"d"))
    await events.put(END)
    assert await events.receive() == END
