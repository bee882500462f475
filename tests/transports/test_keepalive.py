"""Pings and their pongs, with a connection that only notes what it is asked for."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows import Timeouts
from triows._transports.interface import Ended
from triows._transports.keepalive import Keepalive
from triows._transports.pinger import Pinger

TIMEOUTS = Timeouts(ping_interval=20, ping_timeout=10)


class Connection:
    """A connection whose system takes everything, and whose peer acknowledges everything."""

    def __init__(self) -> None:
        self.ended: Ended | None = None
        self.holds_back = False
        #: When pings were sent, and with which payloads.
        self.sent: list[tuple[float, bytes]] = []
        self.frames: list[bytes] = []
        self.withdrawn: list[bytes] = []
        #: Whether other frames wait before a ping.
        self.is_busy = False
        #: How many bytes the peer has not acknowledged.
        self.unread = 0
        self.given_up_at: float | None = None

    @property
    def taken(self) -> int:
        return 6 * len(self.sent)

    def send_ping(self, payload: bytes) -> bytes:
        self.sent.append((trio.current_time(), payload))
        self.frames.append(b"a ping: " + payload)
        return self.frames[-1]

    def withdraw_ping(self, frame: bytes) -> None:
        self.withdrawn.append(frame)

    def all_taken(self) -> int | None:
        return None if self.is_busy else self.taken

    def acknowledged(self) -> int:
        return self.taken - self.unread

    def give_up_unanswered(self) -> None:
        self.given_up_at = trio.current_time()
        self.ended = Ended(1011)

    @property
    def times(self) -> list[float]:
        return [when for when, _ in self.sent]


@pytest.fixture
async def pinger(autojump_clock, nursery):
    made = Pinger()
    nursery.start_soon(made.run)
    await wait_all_tasks_blocked()
    return made


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
def keepalive(connection, pinger) -> Keepalive:
    return Keepalive(connection, pinger, TIMEOUTS)


async def test_the_first_ping_comes_after_the_interval(autojump_clock, keepalive, connection):
    keepalive.start()
    await trio.sleep(25)
    assert connection.sent == [(20, b"\0\0\0\1")]


async def test_without_an_interval_there_are_none(autojump_clock, connection, pinger):
    Keepalive(connection, pinger, Timeouts(ping_interval=math.inf)).start()
    assert len(pinger) == 0


async def test_the_interval_begins_again_with_each_pong(autojump_clock, keepalive, connection):
    keepalive.start()
    await trio.sleep(23)
    keepalive.note_pong(b"\0\0\0\1")
    assert keepalive.latency == 3
    await trio.sleep(25)
    assert connection.times == [20, 43]
    assert connection.given_up_at is None


async def test_a_peer_that_does_not_answer_in_time_is_given_up(
    autojump_clock, keepalive, connection, pinger
):
    keepalive.start()
    await trio.sleep(100)
    assert connection.given_up_at == 30
    assert len(pinger) == 0


async def test_the_time_for_a_pong_begins_when_the_ping_has_arrived(
    autojump_clock, keepalive, connection
):
    keepalive.start()
    connection.unread = 1
    await trio.sleep(25)
    connection.unread = 0
    await trio.sleep(100)
    assert connection.given_up_at == pytest.approx(35, abs=1)


async def test_a_ping_that_never_arrives_is_not_waited_for(autojump_clock, keepalive, connection):
    keepalive.start()
    connection.unread = 1
    await trio.sleep(100)
    assert connection.given_up_at == pytest.approx(30, abs=1)


async def test_a_ping_that_had_to_wait_has_arrived_when_its_last_byte_has(
    autojump_clock, keepalive, connection
):
    keepalive.start()
    connection.is_busy = True
    await trio.sleep(25)
    keepalive.note_taken(b"another frame", 1)
    await trio.sleep(1)
    keepalive.note_taken(connection.frames[0], connection.taken)
    await trio.sleep(100)
    assert connection.given_up_at == pytest.approx(36, abs=1)


async def test_while_reading_is_held_back_another_ping_is_sent_instead(
    autojump_clock, keepalive, connection
):
    keepalive.start()
    connection.holds_back = True
    await trio.sleep(45)
    assert connection.times == [20, 30, 40]
    assert connection.given_up_at is None


async def test_an_ended_connection_is_not_pinged(autojump_clock, keepalive, connection, pinger):
    keepalive.start()
    connection.ended = Ended(1000)
    await trio.sleep(100)
    assert connection.sent == []
    assert len(pinger) == 0


@pytest.mark.parametrize("payload", [b"", b"\0\0\0\2", b"\0\0\0\0\1", b"hello"])
async def test_a_pong_for_no_ping_of_ours_changes_nothing(
    autojump_clock, keepalive, connection, payload
):
    keepalive.start()
    await trio.sleep(25)
    keepalive.note_pong(payload)
    assert keepalive.latency is None


async def test_a_call_of_ping_returns_the_seconds_until_its_pong(
    autojump_clock, keepalive, nursery
):
    async def answer():
        await trio.sleep(2)
        keepalive.note_pong(b"\0\0\0\1")

    nursery.start_soon(answer)
    assert await keepalive.ping() == 2


async def test_a_pong_answers_all_pings_before_its_own(autojump_clock, keepalive, nursery):
    answered = []

    async def ping(name):
        await keepalive.ping()
        answered.append(name)

    for name in "abc":
        nursery.start_soon(ping, name)
        await wait_all_tasks_blocked()
    keepalive.note_pong(b"\0\0\0\2")
    await wait_all_tasks_blocked()
    assert sorted(answered) == ["a", "b"]
    keepalive.note_pong(b"\0\0\0\3")
    await wait_all_tasks_blocked()
    assert sorted(answered) == ["a", "b", "c"]


async def test_a_cancelled_ping_is_withdrawn(autojump_clock, keepalive, connection):
    with trio.move_on_after(1):
        await keepalive.ping()
    assert connection.withdrawn == [b"a ping: \0\0\0\1"]
    keepalive.note_pong(b"\0\0\0\1")  # nobody waits for it any more


async def test_whoever_waits_is_woken_at_the_end(autojump_clock, keepalive, nursery):
    async def wake():
        await trio.sleep(2)
        keepalive.wake()

    nursery.start_soon(wake)
    assert await keepalive.ping() == 2


async def test_after_its_close_it_sends_none_and_holds_nothing(
    autojump_clock, keepalive, connection, pinger
):
    keepalive.start()
    keepalive.close()
    assert len(pinger) == 0
    keepalive.on_due()
    assert connection.sent == []
