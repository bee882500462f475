"""When memory is given back to the system."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._server.trimmer import Trimmer


@pytest.fixture
def times():
    return []


@pytest.fixture
async def trimmer(autojump_clock, nursery, times):
    made = Trimmer(lambda pad: times.append((trio.current_time(), pad)))
    nursery.start_soon(made.run)
    await wait_all_tasks_blocked()
    return made


async def test_as_long_as_no_connection_ends_nothing_is_trimmed(autojump_clock, trimmer, times):
    await trio.sleep(100)
    assert times == []


async def test_connections_that_end_at_the_same_time_are_one_reason(autojump_clock, trimmer, times):
    for _ in range(3):
        trimmer.note_ended()
        await trio.sleep(0.1)
    await trio.sleep(100)
    assert times == [(1, 0)]


async def test_it_trims_once_a_second_at_most(autojump_clock, trimmer, times):
    for _ in range(50):
        trimmer.note_ended()
        await trio.sleep(0.1)
    assert len(times) <= 5


async def test_with_this_systems_library_it_can_be_called(autojump_clock, nursery):
    trimmer = Trimmer()
    nursery.start_soon(trimmer.run)
    trimmer.note_ended()
    await trio.sleep(2)
