from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._transports.reactor import EpollReactor, TaskReactor, new_reactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._transports.reactor import Reactor

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
both = [pytest.param(EpollReactor, marks=linux_only), TaskReactor]


@pytest.fixture
def pair():
    """Make connected sockets: the reader's, and its peer's."""
    made: list[socket.socket] = []

    def make() -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        made.extend((ours, theirs))
        return ours, theirs

    yield make
    for sock in made:
        sock.close()


@pytest.fixture(params=both)
async def reactor(request, pair):
    made: Reactor = request.param()
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        yield made
        nursery.cancel_scope.cancel()


class Reader:
    """
    Reads everything, and notes its calls.

    Args:
        reactor: The reactor that calls it.
        sock: The socket that it reads.
        then: Called at the end of each call, with the call's name.
    """

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        then: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.reactor = reactor
        self.sock = sock
        self.fd = sock.fileno()
        self.then = then
        self.calls: list[str] = []
        self.data = b""
        reactor.add(self.fd, self)

    def on_readable(self) -> None:
        self.calls.append("readable")
        data = self.sock.recv(1000)
        self.data += data
        if not data:
            self.calls.append("end")
            self.reactor.discard(self.fd)
        self.then("readable")

    def on_hangup(self) -> None:
        self.calls.append("hangup")
        self.then("hangup")

    def on_turn(self) -> None:
        self.calls.append("turn")
        self.then("turn")

    def on_error(self) -> None:
        self.calls.append("error")
        self.reactor.discard(self.fd)


# Reading


async def test_what_comes_is_read_and_nobody_is_called_for_nothing(reactor, pair):
    ours, theirs = pair()
    reader = Reader(reactor, ours)
    await wait_all_tasks_blocked()
    assert reader.calls == []
    theirs.send(b"a")
    await wait_all_tasks_blocked()
    theirs.send(b"b")
    await wait_all_tasks_blocked()
    assert (reader.data, reader.calls) == (b"ab", ["readable", "readable"])


async def test_what_came_before_it_was_added_is_read(reactor, pair):
    ours, theirs = pair()
    theirs.send(b"early")
    reader = Reader(reactor, ours)
    await wait_all_tasks_blocked()
    assert reader.data == b"early"


async def test_who_does_not_read_all_is_called_again(reactor, pair):
    ours, theirs = pair()
    theirs.send(bytes(2500))
    reader = Reader(reactor, ours)
    await wait_all_tasks_blocked()
    assert reader.calls == ["readable"] * 3


@pytest.mark.parametrize("how", ["close", "shutdown"])
async def test_the_end_is_something_to_read(reactor, pair, how):
    ours, theirs = pair()
    reader = Reader(reactor, ours)
    theirs.send(b"last")
    theirs.close() if how == "close" else theirs.shutdown(socket.SHUT_WR)
    await wait_all_tasks_blocked()
    assert (reader.data, reader.calls[-1]) == (b"last", "end")
    assert "hangup" not in reader.calls


async def test_more_readers_than_are_read_at_once_are_all_read(reactor, pair, monkeypatch):
    monkeypatch.setattr("triows._transports.reactor._SOCKETS", 7)
    sockets = [pair() for _ in range(50)]
    readers = [Reader(reactor, ours) for ours, _ in sockets]
    await wait_all_tasks_blocked()
    for _, theirs in sockets:
        theirs.send(b"a")
    await wait_all_tasks_blocked()
    assert [reader.data for reader in readers] == [b"a"] * 50


async def test_a_busy_reader_does_not_keep_other_tasks_from_running(reactor, pair):
    ours, theirs = pair()
    turns = 0

    def pass_on(name: str) -> None:
        theirs.send(b"a")  # so that there is always something to read

    Reader(reactor, ours, pass_on)
    theirs.send(b"a")
    with trio.fail_after(5):
        while turns < 100:
            await trio.lowlevel.checkpoint()
            turns += 1
    reactor.discard(ours.fileno())


# Pausing


async def test_nothing_is_read_while_it_is_paused_and_all_of_it_afterwards(reactor, pair):
    ours, theirs = pair()
    reader = Reader(reactor, ours)
    await wait_all_tasks_blocked()
    reactor.pause(ours.fileno())
    theirs.send(b"later")
    await wait_all_tasks_blocked()
    assert reader.calls == []
    reactor.resume(ours.fileno())
    await wait_all_tasks_blocked()
    assert reader.data == b"later"


async def test_a_reader_may_pause_itself_while_it_is_called(reactor, pair):
    ours, theirs = pair()
    reader = Reader(reactor, ours, lambda name: reactor.pause(ours.fileno()))
    theirs.send(bytes(2000))
    await wait_all_tasks_blocked()
    assert reader.calls == ["readable"]
    reactor.resume(ours.fileno())
    await wait_all_tasks_blocked()
    assert reader.calls == ["readable"] * 2


async def test_pausing_twice_takes_one_resuming(reactor, pair):
    ours, theirs = pair()
    reader = Reader(reactor, ours)
    for _ in range(2):
        reactor.pause(ours.fileno())
    theirs.send(b"a")
    reactor.resume(ours.fileno())
    reactor.resume(ours.fileno())
    await wait_all_tasks_blocked()
    assert reader.data == b"a"


async def test_a_paused_reader_leaves_the_others_alone(reactor, pair):
    (ours, theirs), (our_other, their_other) = pair(), pair()
    paused, other = Reader(reactor, ours), Reader(reactor, our_other)
    reactor.pause(ours.fileno())
    theirs.send(b"a")
    their_other.send(b"b")
    await wait_all_tasks_blocked()
    assert (paused.data, other.data) == (b"", b"b")


async def test_who_is_not_known_can_be_paused_resumed_and_discarded_to_no_effect(reactor, pair):
    ours, theirs = pair()
    fd = ours.fileno()
    reactor.pause(fd)
    reactor.resume(fd)
    reactor.discard(fd)
    reader = Reader(reactor, ours)
    theirs.send(b"a")
    await wait_all_tasks_blocked()
    assert reader.data == b"a"


async def test_a_reader_that_is_paused_by_another_is_not_called_any_more(reactor, pair):
    sockets = [pair() for _ in range(2)]

    def pause_the_other(name: str) -> None:
        for reader in readers:
            if not reader.calls:
                reactor.pause(reader.fd)

    readers = [Reader(reactor, ours, pause_the_other) for ours, _ in sockets]
    await wait_all_tasks_blocked()
    for _, theirs in sockets:
        theirs.send(b"a")
    await wait_all_tasks_blocked()
    assert sorted(reader.data for reader in readers) == [b"", b"a"]


# A peer that leaves while reading is paused


@pytest.fixture
async def epoll_reactor(pair):
    made = EpollReactor()
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        yield made
        nursery.cancel_scope.cancel()


@linux_only
@pytest.mark.parametrize("how", ["close", "shutdown"])
async def test_a_hang_up_is_noticed_once_while_reading_is_paused(epoll_reactor, pair, how):
    ours, theirs = pair()
    reader = Reader(epoll_reactor, ours)
    epoll_reactor.pause(ours.fileno())
    theirs.send(b"last")
    await wait_all_tasks_blocked()
    assert reader.calls == []
    theirs.close() if how == "close" else theirs.shutdown(socket.SHUT_WR)
    await wait_all_tasks_blocked()
    assert reader.calls == ["hangup"]


@linux_only
async def test_a_hang_up_before_the_pause_is_noticed(epoll_reactor, pair):
    ours, theirs = pair()
    reader = Reader(epoll_reactor, ours)
    theirs.close()
    epoll_reactor.pause(ours.fileno())
    await wait_all_tasks_blocked()
    assert reader.calls == ["hangup"]


@linux_only
async def test_what_was_sent_before_a_hang_up_can_still_be_read(epoll_reactor, pair):
    ours, theirs = pair()
    reader = Reader(epoll_reactor, ours)
    epoll_reactor.pause(ours.fileno())
    theirs.send(b"last")
    theirs.close()
    await wait_all_tasks_blocked()
    epoll_reactor.resume(ours.fileno())
    await wait_all_tasks_blocked()
    assert (reader.data, reader.calls[0], reader.calls[-1]) == (b"last", "hangup", "end")


@linux_only
async def test_pausing_again_after_a_hang_up_tells_of_it_again(epoll_reactor, pair):
    ours, theirs = pair()
    reader = Reader(epoll_reactor, ours)
    epoll_reactor.pause(ours.fileno())
    theirs.close()
    await wait_all_tasks_blocked()
    epoll_reactor.resume(ours.fileno())
    epoll_reactor.pause(ours.fileno())
    await wait_all_tasks_blocked()
    assert reader.calls == ["hangup"] * 2


@linux_only
async def test_who_has_hung_up_can_be_discarded(epoll_reactor, pair):
    (ours, theirs), (our_other, their_other) = pair(), pair()
    reader, other = Reader(epoll_reactor, ours), Reader(epoll_reactor, our_other)
    epoll_reactor.pause(ours.fileno())
    theirs.close()
    await wait_all_tasks_blocked()
    epoll_reactor.discard(ours.fileno())
    their_other.send(b"b")
    await wait_all_tasks_blocked()
    assert (reader.calls, other.data) == (["hangup"], b"b")


async def test_a_task_for_each_notices_the_end_when_reading_goes_on(pair):
    reactor = TaskReactor()
    ours, theirs = pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(reactor.run)
        reader = Reader(reactor, ours)
        reactor.pause(ours.fileno())
        theirs.close()
        await wait_all_tasks_blocked()
        assert reader.calls == []
        reactor.resume(ours.fileno())
        await wait_all_tasks_blocked()
        assert reader.calls[-1] == "end"
        nursery.cancel_scope.cancel()


# Discarding


async def test_who_is_discarded_is_not_called_any_more(reactor, pair):
    ours, theirs = pair()
    reader = Reader(reactor, ours)
    await wait_all_tasks_blocked()
    theirs.send(b"a")
    reactor.discard(ours.fileno())
    reactor.discard(ours.fileno())
    await wait_all_tasks_blocked()
    assert reader.calls == []


async def test_a_reader_may_discard_itself_while_it_is_called(reactor, pair):
    ours, theirs = pair()
    reader = Reader(reactor, ours, lambda name: reactor.discard(ours.fileno()))
    theirs.send(bytes(2000))
    await wait_all_tasks_blocked()
    assert reader.calls == ["readable"]


async def test_a_reader_that_is_discarded_by_another_is_not_called_any_more(reactor, pair):
    sockets = [pair() for _ in range(2)]

    def discard_the_other(name: str) -> None:
        for reader in readers:
            if not reader.calls:
                reactor.discard(reader.fd)

    readers = [Reader(reactor, ours, discard_the_other) for ours, _ in sockets]
    await wait_all_tasks_blocked()
    for _, theirs in sockets:
        theirs.send(b"a")
    await wait_all_tasks_blocked()
    assert sorted(reader.data for reader in readers) == [b"", b"a"]


async def test_who_is_discarded_while_paused_is_forgotten(reactor, pair):
    ours, theirs = pair()
    reader = Reader(reactor, ours)
    reactor.pause(ours.fileno())
    reactor.discard(ours.fileno())
    theirs.send(b"a")
    await wait_all_tasks_blocked()
    assert reader.calls == []


async def test_a_descriptor_that_comes_back_belongs_to_its_new_reader(reactor, pair):
    ours, theirs = pair()
    first = Reader(reactor, ours)
    reactor.pause(ours.fileno())
    reactor.discard(ours.fileno())
    second = Reader(reactor, ours)
    theirs.send(b"a")
    await wait_all_tasks_blocked()
    assert (first.calls, second.data) == ([], b"a")


# Turns


async def test_a_task_that_was_woken_runs_before_the_next_turn(reactor, pair):
    ours, theirs = pair()
    order: list[str] = []
    woken = trio.Event()

    def wake(name: str) -> None:
        order.append(name)
        if name == "readable":
            woken.set()
            reactor.yield_turn(reader)

    async def wait() -> None:
        await woken.wait()
        order.append("task")

    reader = Reader(reactor, ours, wake)
    # If several tasks are woken together, their order is random.
    for _ in range(30):
        order.clear()
        woken = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            theirs.send(b"a")
            await wait_all_tasks_blocked()
        assert order == ["readable", "task", "turn"]


async def test_a_turn_comes_once_though_nothing_is_to_be_read(reactor, pair):
    ours, _ = pair()
    reader = Reader(reactor, ours)
    reactor.yield_turn(reader)
    assert reader.calls == []
    await wait_all_tasks_blocked()
    assert reader.calls == ["turn"]


async def test_a_turn_comes_while_reading_is_paused(reactor, pair):
    ours, _ = pair()
    reader = Reader(reactor, ours)
    reactor.pause(ours.fileno())
    reactor.yield_turn(reader)
    await wait_all_tasks_blocked()
    assert reader.calls == ["turn"]


async def test_each_who_yields_gets_a_turn(reactor, pair):
    readers = [Reader(reactor, pair()[0]) for _ in range(20)]
    for reader in readers:
        reactor.yield_turn(reader)
    await wait_all_tasks_blocked()
    assert [reader.calls for reader in readers] == [["turn"]] * 20


async def test_who_yields_in_its_turn_gets_another_when_others_have_run(reactor, pair):
    order: list[str] = []

    def go_on(name: str) -> None:
        order.append(name)
        if len(order) < 5:
            reactor.yield_turn(reader)
            nursery.start_soon(note)

    async def note() -> None:
        order.append("task")

    reader = Reader(reactor, pair()[0], go_on)
    async with trio.open_nursery() as nursery:
        reactor.yield_turn(reader)
        await wait_all_tasks_blocked()
    assert order == ["turn", "task", "turn", "task", "turn"]


# Errors


def fail(name: str) -> None:
    raise ZeroDivisionError


async def test_an_error_in_reading_ends_that_reader_alone_and_is_logged(reactor, pair, caplog):
    (ours, theirs), (our_other, their_other) = pair(), pair()
    bad, good = Reader(reactor, ours, fail), Reader(reactor, our_other)
    for _ in range(2):
        theirs.send(b"a")
        their_other.send(b"b")
        await wait_all_tasks_blocked()
    assert (bad.calls, good.data) == (["readable", "error"], b"bb")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("triows", "ERROR")
    assert record.exc_info[0] is ZeroDivisionError


async def test_an_error_in_a_turn_ends_that_reader_alone_and_is_logged(reactor, pair, caplog):
    bad, good = Reader(reactor, pair()[0], fail), Reader(reactor, pair()[0])
    reactor.yield_turn(bad)
    reactor.yield_turn(good)
    await wait_all_tasks_blocked()
    assert (bad.calls, good.calls) == (["turn", "error"], ["turn"])
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


@linux_only
async def test_an_error_at_a_hang_up_ends_that_reader_alone_and_is_logged(
    epoll_reactor, pair, caplog
):
    (ours, theirs), (our_other, their_other) = pair(), pair()
    bad, good = Reader(epoll_reactor, ours, fail), Reader(epoll_reactor, our_other)
    epoll_reactor.pause(ours.fileno())
    theirs.close()
    await wait_all_tasks_blocked()
    their_other.send(b"b")
    await wait_all_tasks_blocked()
    assert (bad.calls, good.data) == (["hangup", "error"], b"b")
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


# The reactor itself


@linux_only
def test_the_fastest_one_is_that_of_the_system():
    made: list[Reactor] = []

    async def make() -> None:
        made.append(new_reactor())
        with trio.CancelScope() as scope:
            scope.cancel()
            await made[0].run()

    trio.run(make)
    assert type(made[0]) is EpollReactor


def test_where_there_is_no_epoll_each_socket_has_a_task(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert type(new_reactor()) is TaskReactor


@linux_only
@pytest.mark.parametrize("make", both)
async def test_its_descriptors_are_given_back_at_its_end(make, pair):
    ours, theirs = pair()
    theirs.send(b"a")
    before = set(os.listdir("/proc/self/fd"))
    reactor = make()
    async with trio.open_nursery() as nursery:
        await nursery.start(reactor.run)
        reader = Reader(reactor, ours)
        reactor.yield_turn(reader)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert reader.data == b"a"
    assert set(os.listdir("/proc/self/fd")) == before
