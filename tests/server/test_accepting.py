from __future__ import annotations

import errno
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._server.accepting import accept_from, accept_rest, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Connection:
    def __init__(self) -> None:
        self.blocking = True

    def setblocking(self, blocking: bool) -> None:
        self.blocking = blocking


class ScriptedListener:
    """A listener. The test says what its ``accept()`` returns or raises."""

    def __init__(self) -> None:
        self.outcomes: list[Connection | OSError] = []
        self.accepts = 0
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)

    def fileno(self) -> int:
        return self._ours.fileno()

    def brings(self, *outcomes: Connection | OSError) -> None:
        self.outcomes += outcomes
        self._theirs.send(b"a")

    def accept(self) -> tuple[Connection, object]:
        self.accepts += 1
        if not self.outcomes:
            self._ours.recv(100)
            raise BlockingIOError
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome, ("127.0.0.1", 5)

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


@pytest.fixture
def listener() -> Iterator[ScriptedListener]:
    made = ScriptedListener()
    yield made
    made.close()


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def always() -> None:
    """Say that there is room."""


async def accepting(
    nursery: trio.Nursery,
    listener: ScriptedListener,
    room: Callable[[], trio.Event | None] = always,
) -> list[Connection]:
    """Accept from *listener*. Yield the list to which accepted connections are added."""
    started: list[Connection] = []
    nursery.start_soon(accept_from, listener, started.append, room)
    await wait_all_tasks_blocked()
    return started


async def test_connections_are_started_in_order_and_do_not_block(nursery, listener):
    started = await accepting(nursery, listener)
    assert started == []
    for _ in range(2):
        connections = [Connection() for _ in range(3)]
        listener.brings(*connections)
        await wait_all_tasks_blocked()
        assert started[-3:] == connections
    assert (len(started), {one.blocking for one in started}) == (6, {False})


async def test_more_than_are_accepted_at_once_are_all_accepted(nursery, listener):
    started = await accepting(nursery, listener)
    connections = [Connection() for _ in range(100)]
    listener.brings(*connections)
    await wait_all_tasks_blocked()
    assert started == connections


async def test_a_flood_of_connections_lets_other_tasks_run(nursery, listener):
    started = await accepting(nursery, listener)
    listener.brings(*(Connection() for _ in range(1000)))
    turns = 0
    while len(started) < 1000:
        await trio.lowlevel.checkpoint()
        turns += 1
    assert turns >= 10


@pytest.mark.parametrize(
    "number",
    [
        errno.EAGAIN,
        errno.EINTR,
        errno.ECONNABORTED,
        # Errors of accept(2) for a connection that is already over.
        errno.EPERM,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
    ],
    ids=errno.errorcode.get,
)
async def test_a_connection_that_is_over_before_it_is_accepted_harms_nobody(
    nursery, listener, caplog, number
):
    started = await accepting(nursery, listener)
    connection = Connection()
    listener.brings(error(number), connection)
    await wait_all_tasks_blocked()
    assert (started, caplog.records) == ([connection], [])


@pytest.mark.parametrize(
    "number",
    [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS],
    ids=errno.errorcode.get,
)
async def test_without_descriptors_or_memory_it_tries_on_and_says_so_once(
    autojump_clock, nursery, listener, caplog, number
):
    started = await accepting(nursery, listener)
    connection = Connection()
    listener.brings(*[error(number)] * 20, connection)
    await trio.sleep(0.95)
    assert (started, listener.accepts) == ([], 10)
    await trio.sleep(2)
    assert started == [connection]
    (record,) = caplog.records
    assert (record.name, record.levelname, record.exc_info) == ("triows", "ERROR", None)
    assert os.strerror(number) in record.getMessage()


async def test_a_second_shortage_is_told_of_again(autojump_clock, nursery, listener, caplog):
    started = await accepting(nursery, listener)
    for _ in range(2):
        listener.brings(error(errno.EMFILE), error(errno.EMFILE), Connection())
        await trio.sleep(1)
    assert (len(started), len(caplog.records)) == (2, 2)


async def test_a_listener_that_is_broken_is_an_error(listener):
    listener.brings(error(errno.ENOTSOCK))
    with pytest.raises(OSError, match=os.strerror(errno.ENOTSOCK)):
        await accept_from(listener, lambda connection: None, always)


async def test_it_ends_when_another_process_has_ended_the_listening(listener):
    listener.brings(error(errno.EINVAL))
    await accept_from(listener, lambda connection: None, always)


async def test_without_room_nothing_is_accepted_until_there_is_some(nursery, listener):
    limit, event = 2, trio.Event()
    started: list[Connection] = []

    def room() -> trio.Event | None:
        return event if len(started) >= limit else None

    nursery.start_soon(accept_from, listener, started.append, room)
    connections = [Connection() for _ in range(5)]
    listener.brings(*connections)
    await wait_all_tasks_blocked()
    assert (started, listener.accepts) == (connections[:2], 2)
    # It was woken, but somebody else was faster.
    full, event = event, trio.Event()
    full.set()
    await wait_all_tasks_blocked()
    assert listener.accepts == 2
    limit = 6
    event.set()
    await wait_all_tasks_blocked()
    assert started == connections


async def test_a_listener_is_left_open(listener):
    with trio.CancelScope() as scope:
        scope.cancel()
        await accept_from(listener, lambda connection: None, always)
    assert listener.fileno() >= 0


def test_the_rest_of_a_queue_is_accepted_whatever_happened_to_some(listener):
    connections, started = [Connection() for _ in range(3)], []
    first, *others = connections
    listener.brings(first, error(errno.ECONNABORTED), error(errno.ECONNRESET), *others)
    accept_rest(listener, started.append, always)
    assert (started, {one.blocking for one in started}) == (connections, {False})


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EINVAL], ids=errno.errorcode.get)
def test_the_rest_of_a_queue_is_left_if_the_system_takes_no_more(listener, number):
    started: list[Connection] = []
    listener.brings(Connection(), error(number), Connection())
    accept_rest(listener, started.append, always)
    assert len(started) == 1


def test_the_rest_of_a_queue_is_left_where_there_is_no_room(listener):
    started: list[Connection] = []
    listener.brings(*(Connection() for _ in range(5)))
    accept_rest(listener, started.append, lambda: trio.Event() if len(started) >= 2 else None)
    assert len(started) == 2


@pytest.mark.real_socket
def test_a_connection_inherits_that_small_messages_leave_at_once():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        prepare(listener)
        with socket.create_connection(listener.getsockname()):
            connection, _ = listener.accept()
            with connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.real_socket
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other options")
def test_a_connection_inherits_that_the_system_takes_little_that_it_can_not_send():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        prepare(listener)
        with socket.create_connection(listener.getsockname()):
            connection, _ = listener.accept()
            with connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, 25) == 2**14  # TCP_NOTSENT_LOWAT


@pytest.mark.real_socket
def test_a_unix_socket_needs_nothing_of_that(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        prepare(listener)
