"""The connection between a worker and its parent, on the worker's side."""

from __future__ import annotations

import os
import select
import signal
import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._server.budget import Budget
from triows._server.lifeline import DRAINED, LAST, REPLACED, TURNED, Lifeline, inherited, written


@pytest.fixture
def pair():
    parents, workers = socket.socketpair()
    yield parents, workers
    parents.close()
    workers.close()


@pytest.fixture
def sighup():
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_worker_that_is_ready_states_how_long_its_end_may_take(pair):
    parents, workers = pair
    Lifeline(workers).ready(Budget(30.5, 3.0, 1.0, 7.25))
    assert parents.recv(100) == b"30.5 3.0 1.0 7.25\n"


def test_a_parent_that_is_gone_needs_no_report(pair):
    parents, workers = pair
    parents.close()
    Lifeline(workers).ready(Budget.unknown())


def test_its_descriptor_is_readable_when_the_parent_is_gone(pair):
    parents, workers = pair
    line = Lifeline(workers)
    assert select.select([line], [], [], 0)[0] == []
    parents.close()
    assert select.select([line], [], [], 1)[0] == [line]


def test_the_parents_orders_are_signals_until_it_is_gone(pair):
    parents, workers = pair
    line = Lifeline(workers)
    parents.sendall(bytes([signal.SIGTERM, signal.SIGINT]))
    assert list(line.orders()) == [signal.SIGTERM, signal.SIGINT]
    parents.close()
    assert list(line.orders()) == []


def test_a_worker_whose_loop_turns_says_so(pair):
    parents, workers = pair
    line = Lifeline(workers)
    line.report(TURNED)
    assert parents.recv(10) == b"\n"
    parents.close()
    line.report(TURNED)


async def test_a_worker_that_has_drained_says_so_and_waits_for_the_others(pair, nursery):
    parents, workers = pair
    line = Lifeline(workers)
    over = trio.Event()

    async def wait() -> None:
        await line.wait_all_drained()
        over.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert (parents.recv(10), over.is_set()) == (DRAINED, False)
    line.note_all_drained()
    await over.wait()


def test_a_line_that_is_cut_has_no_orders(pair):
    _, workers = pair
    line = Lifeline(workers)
    workers.close()
    assert line.orders() == b""


@pytest.mark.parametrize(("word", "others"), [(REPLACED, True), (LAST, False)])
def test_the_parent_says_whether_other_workers_go_on(pair, word, others):
    parents, workers = pair
    line = Lifeline(workers)
    assert line.others_go_on() is None
    parents.send(bytes([word]))
    assert [line.others_go_on() for _ in range(2)] == [others] * 2
    assert line.orders() == bytes([word])  # it was not taken
    assert line.others_go_on() is others


def test_no_other_worker_goes_on_if_the_parent_has_gone_without_a_word(pair):
    parents, workers = pair
    line = Lifeline(workers)
    parents.close()
    assert line.others_go_on() is False


async def test_a_word_that_comes_after_the_signal_is_waited_for(autojump_clock, pair, nursery):
    parents, workers = pair
    line = Lifeline(workers)

    async def speak() -> None:
        await trio.sleep(0.05)
        parents.send(bytes([LAST]))

    nursery.start_soon(speak)
    await line.wait_told()
    assert (line.others_go_on(), trio.current_time()) == (False, pytest.approx(0.05, abs=0.02))


async def test_a_word_that_never_comes_is_not_waited_for_long(autojump_clock, pair):
    _, workers = pair
    line = Lifeline(workers)
    await line.wait_told()
    assert line.others_go_on() is None
    assert trio.current_time() < 0.2


@pytest.mark.real_socket
def test_a_worker_takes_over_its_line_and_the_listening_sockets(pair, sighup):
    _, workers = pair
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        workers.dup() as line,
        listener.dup() as plain,
        listener.dup() as borrowed,
    ):
        for sock in (line, plain, borrowed):
            sock.set_inheritable(True)
        taken = inherited(
            ",".join(
                [
                    str(line.fileno()),
                    written(plain, is_plain=True, is_borrowed=False, is_introduced=False),
                    written(borrowed, is_plain=False, is_borrowed=True, is_introduced=True),
                ]
            )
        )
        assert taken.lifeline.fileno() == line.fileno()
        names = [one.socket.getsockname() for one in taken.sockets]
        assert names == [listener.getsockname()] * 2
        assert [one.is_plain for one in taken.sockets] == [True, False]
        assert [one.is_borrowed for one in taken.sockets] == [False, True]
        assert [one.is_introduced for one in taken.sockets] == [False, True]
        assert not any(sock.get_inheritable() for sock in (line, plain, borrowed))
        taken.lifeline._socket.detach()
        for one in taken.sockets:
            one.socket.detach()


def test_a_worker_is_not_ended_by_the_signal_for_its_parent(pair, sighup):
    _, workers = pair
    taken = inherited(str(os.dup(workers.fileno())))
    os.kill(os.getpid(), signal.SIGHUP)
    taken.lifeline._socket.close()
