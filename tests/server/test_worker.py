"""One worker, seen from its parent. The test plays the process. Real ones: test_workers.py."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows._server.budget import AIR, Budget
from triows._server.lifeline import ALL_DRAINED, DRAINED, LAST, REPLACED, STOPPED, TURN, TURNED
from triows._server.listening import Heir, Listener
from triows._server.newcomers import LINGER
from triows._server.worker import Worker, close_after, exit_in_words

BUDGET = Budget(graceful=30.0, interrupted=3.0, idle=1.0, at_once=7.0)
REPORT = b"30.0 3.0 1.0 7.0\n"


class PlayedProcess:
    """
    A process that does what the test says.

    Args:
        codes: The signals that end it, and the exit codes to which they lead.
    """

    pid = 4321

    def __init__(self, codes):
        self.signals = []
        self.returncode = None
        self._codes = codes
        self._over = trio.Event()

    def exit(self, code):
        self.returncode = code
        self._over.set()

    async def wait(self):
        await self._over.wait()
        return self.returncode

    def send_signal(self, number):
        self.signals.append(number)
        if number in self._codes:
            self.exit(self._codes[number])

    def kill(self):
        self.exit(-signal.SIGKILL)


class Played:
    """A worker, its process, and the process's end of the line."""

    def __init__(self, codes):
        ours, self.line = trio.socket.socketpair()
        self.process = PlayedProcess(codes)
        self.worker = Worker(self.process, ours)

    async def become_ready(self):
        await self.line.send(REPORT)
        assert await self.worker.wait_ready()


@pytest.fixture
async def play():
    """Make a worker whose process ends by these signals only."""
    played = []

    def make(codes=None):
        played.append(Played(codes or {}))
        return played[-1]

    yield make
    for one in played:
        one.worker.close()
        one.line.close()


def hurrying():
    hurry = trio.Event()
    hurry.set()
    return hurry


# The start


async def test_a_worker_is_ready_when_it_says_how_long_its_end_may_take(autojump_clock, play):
    played = play()
    assert played.worker.budget == Budget.unknown()
    await played.line.send(REPORT)
    assert await played.worker.wait_ready()
    assert played.worker.budget == BUDGET
    assert played.worker.ready_at == trio.current_time()


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "held open by its child"])
async def test_a_worker_that_ends_first_is_not_ready(autojump_clock, play, closes):
    played = play()
    answers = []

    async def note_answer():
        answers.append(await played.worker.wait_ready())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note_answer)
        if closes:
            played.line.close()
        await wait_all_tasks_blocked()
        assert answers == []
        played.process.exit(1)
    assert answers == [False]
    assert played.worker.ready_at is None


async def test_a_worker_that_ends_before_it_has_read_that_it_should_is_not_ready(play):
    played = play()
    answers = []

    async def note_answer():
        answers.append(await played.worker.wait_ready())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note_answer)
        nursery.start_soon(partial(played.worker.end, trio.Event(), others=False))
        await wait_all_tasks_blocked()
        # Its end is closed with the process. What it hasn't read resets the line.
        played.line.close()
        await wait_all_tasks_blocked()
        played.process.exit(0)
    assert answers == [False]


async def test_signals_are_passed_on_only_when_it_listens_to_them(play):
    played = play()
    played.worker.pass_on(signal.SIGUSR1)
    await played.become_ready()
    played.worker.pass_on(signal.SIGUSR2)
    assert played.process.signals == [signal.SIGUSR2]


# Whether its loop turns


async def test_it_is_asked_by_the_line_whether_its_loop_turns(play):
    played = play()
    await played.become_ready()
    answers = []

    async def ask():
        await played.worker.wait_turn()
        answers.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        assert await played.line.recv(10) == bytes([TURN])
        await wait_all_tasks_blocked()
        assert answers == []
        await played.line.send(b"\n")
    assert answers == [True]


@pytest.mark.parametrize("ends", ["worker", "parent"])
async def test_an_end_counts_as_an_answer_because_something_else_notices_it(play, ends):
    played = play()
    await played.become_ready()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(played.worker.wait_turn)
        await wait_all_tasks_blocked()
        (played.line if ends == "worker" else played.worker).close()
    await played.worker.wait_turn()


async def test_words_that_come_together_reach_all_who_wait_for_them(play):
    played = play()
    await played.become_ready()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(played.worker.wait_turn)
            nursery.start_soon(played.worker.wait_stopped)
        await wait_all_tasks_blocked()
        await played.line.send(STOPPED + TURNED)


async def test_words_that_come_with_the_report_are_not_lost(play):
    played = play()
    await played.line.send(REPORT + STOPPED)
    assert await played.worker.wait_ready()
    assert played.worker.budget == BUDGET
    await played.worker.wait_stopped()


@pytest.mark.parametrize("cut", [False, True])
async def test_a_worker_that_has_ended_has_stopped_accepting(play, nursery, cut):
    played = play()
    await played.become_ready()
    stopped = trio.Event()

    async def wait():
        await played.worker.wait_stopped()
        stopped.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    if cut:
        played.line.close()
        await wait_all_tasks_blocked()
    assert not stopped.is_set()
    played.process.exit(0)
    await stopped.wait()


class PlayedListener:
    """A listener that says when it was ended."""

    ended_at = None

    def end(self):
        self.ended_at = trio.current_time()


async def test_the_listeners_end_when_all_workers_have_stopped_accepting(
    autojump_clock, play, nursery
):
    first, second = play(), play()
    listener = PlayedListener()
    nursery.start_soon(close_after, [first.worker, second.worker], [listener])
    await first.line.send(STOPPED)
    await wait_all_tasks_blocked()
    assert listener.ended_at is None
    await second.line.send(STOPPED)
    await wait_all_tasks_blocked()
    assert listener.ended_at is not None


async def test_the_listeners_end_soon_after_the_first_worker_has_stopped_accepting(
    autojump_clock, play
):
    first, second = play(), play()
    listener = PlayedListener()
    await first.line.send(STOPPED)
    began = trio.current_time()
    await close_after([first.worker, second.worker], [listener])
    assert listener.ended_at == pytest.approx(began + LINGER, abs=0.1)


async def test_workers_are_told_when_all_have_drained(autojump_clock, play, nursery):
    first, second = play(), play()
    nursery.start_soon(close_after, [first.worker, second.worker], [])
    await first.line.send(DRAINED)
    with trio.move_on_after(60):
        await first.line.recv(1)
        raise AssertionError("the other one has not drained")
    second.process.exit(0)
    assert await first.line.recv(1) == bytes([ALL_DRAINED])
    await first.line.send(STOPPED)


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_that_heeds_the_signal_gets_no_other(autojump_clock, play, number):
    played = play({number: 3})
    await played.become_ready()
    assert await played.worker.end(trio.Event(), number, others=True) == 3
    assert played.process.signals == [number]
    assert (played.worker.dismissed, played.worker.killed) == (True, False)


async def test_a_worker_that_is_not_ready_is_never_interrupted(autojump_clock, play):
    played = play({signal.SIGTERM: 0})
    await played.worker.end(trio.Event(), signal.SIGINT, others=True)
    assert played.process.signals == [signal.SIGTERM]


@pytest.mark.parametrize(
    ("number", "seconds"), [(signal.SIGTERM, BUDGET.graceful), (signal.SIGINT, BUDGET.interrupted)]
)
async def test_a_worker_is_killed_after_the_time_that_it_stated(
    autojump_clock, play, caplog, number, seconds
):
    played = play()
    await played.become_ready()
    began = trio.current_time()
    assert await played.worker.end(trio.Event(), number, others=True) == -signal.SIGKILL
    assert trio.current_time() - began == pytest.approx(seconds + AIR)
    assert played.worker.killed
    assert caplog.messages == [f"worker 4321 is killed: it has not ended in {seconds:g} s"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_hurry_is_told_by_the_line_and_the_same_signal(autojump_clock, play, number):
    # Others may signal a worker, too, so a second signal alone doesn't mean a hurry.
    played = play()
    await played.become_ready()
    hurry = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(played.worker.end, hurry, number, others=True))
        await wait_all_tasks_blocked()
        assert played.process.signals == [number]
        await played.line.recv(1)
        hurry.set()
        assert await played.line.recv(1) == bytes([number])
        await wait_all_tasks_blocked()
        assert played.process.signals == [number, number]
        played.process.exit(128 + number)
    assert not played.worker.killed


async def test_a_worker_that_ignores_the_hurry_is_killed_earlier(autojump_clock, play):
    played = play()
    await played.become_ready()
    began = trio.current_time()
    assert await played.worker.end(hurrying(), others=True) == -signal.SIGKILL
    assert trio.current_time() - began == pytest.approx(BUDGET.at_once + AIR)


async def test_a_worker_that_has_ended_is_not_hurried(autojump_clock, play):
    played = play({signal.SIGTERM: 0})
    await played.become_ready()
    await played.worker.end(hurrying(), others=True)
    assert played.process.signals == [signal.SIGTERM]


async def test_the_line_is_closed_after_the_end(autojump_clock, play):
    played = play({signal.SIGTERM: 0})
    await played.worker.end(trio.Event(), others=True)
    await played.line.recv(1)
    assert await played.line.recv(1) == b""


@pytest.mark.parametrize(("others", "word"), [(True, REPLACED), (False, LAST)])
async def test_a_worker_is_told_before_the_signal_whether_others_go_on(play, others, word):
    told = []

    class Looking(PlayedProcess):
        def send_signal(self, number):
            told.append(played.line._sock.recv(100, socket.MSG_DONTWAIT))
            super().send_signal(number)

    played = play({signal.SIGTERM: 0})
    played.process.__class__ = Looking
    await played.worker.end(trio.Event(), others=others)
    assert told == [bytes([word])]


# Its process


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def test_a_process_gets_its_end_of_the_line_first_and_then_the_sockets(monkeypatch):
    started = []

    async def open_process(command, **options):
        assert all(map(is_open, options["pass_fds"]))
        started.append((command, options))
        return PlayedProcess({})

    monkeypatch.setattr(trio.lowlevel, "open_process", open_process)
    with socket.socket() as listener:
        listeners = [
            Listener(listener, True),
            Listener(listener, False),
            Listener(listener, True, lambda: Heir.NEXT),
            Listener(listener, True, introduced=True),
        ]
        worker = await Worker.start(lambda numbers: ["serve", numbers], listeners)
        ((command, options),) = started
        line, given, *_ = options["pass_fds"]
        assert given == listener.fileno()
    worker.close()
    assert worker.pid == PlayedProcess.pid
    assert command == ["serve", f"{line},{given},{given}p,{given}b,{given}i"]
    assert not is_open(line)  # the parent would never see that the worker has closed it


async def test_a_process_is_in_a_group_of_its_own_so_ctrl_c_does_not_reach_it(monkeypatch):
    started = {}

    async def open_process(_command, **options):
        started.update(options)
        return PlayedProcess({})

    monkeypatch.setattr(trio.lowlevel, "open_process", open_process)
    worker = await Worker.start(lambda numbers: ["serve", numbers], [])
    worker.close()
    assert started["process_group"] == 0
    assert started["stdin"] is subprocess.DEVNULL


async def test_a_process_that_can_not_be_started_leaves_no_line_open(monkeypatch):
    made = []

    def socketpair(make=socket.socketpair):
        made.extend(make())
        return made

    monkeypatch.setattr(socket, "socketpair", socketpair)
    with pytest.raises(FileNotFoundError):
        await Worker.start(lambda _numbers: ["/nowhere/python"], [])
    assert [end.fileno() for end in made] == [-1, -1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-signal.SIGSEGV, "SIGSEGV"),
        (-63, "signal 63"),  # a real-time signal, which has no name
    ],
)
def test_an_exit_code_is_told_in_words(code, words):
    assert exit_in_words(code) == words
