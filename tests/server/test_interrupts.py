"""
Signals while no server runs.

The first process of a container is this one, which takes itself for it. It notes its exit code
instead of ending. Real ones are in test_first_process.py.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading

import pytest

from tests.server.harness.terminal import Terminal
from triows._server.interrupts import (
    ECHO,
    SIGHUP,
    SIGNALLED,
    SIGNALS,
    Echoes,
    Hangup,
    ending_by_signals,
    ending_whatever_runs,
)

#: Seconds until a thread that doesn't do what it should makes the test fail.
PATIENCE = 10

every_signal = pytest.mark.parametrize("number", SIGNALS)


@pytest.fixture(autouse=True)
def handlers():
    """Begin with Python's own handlers, and put back those that there were."""
    pythons = dict.fromkeys([*SIGNALS, SIGHUP], signal.SIG_DFL)
    pythons[signal.SIGINT] = signal.default_int_handler
    before = {number: signal.signal(number, handler) for number, handler in pythons.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def exits(monkeypatch):
    """Be the first process. The queue gets the exit codes."""
    codes = queue.SimpleQueue()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "_exit", codes.put)
    return codes


def own_handler(_number, _frame):
    """Stands for a handler of somebody else, such as a server's."""


def handlers_now():
    return [signal.getsignal(number) for number in SIGNALS]


# Any process


def test_the_system_ends_the_process_in_the_block_only():
    with ending_by_signals():
        assert handlers_now() == [signal.SIG_DFL] * 3
    assert handlers_now() == [signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL]


def test_the_handlers_are_back_after_an_error():
    with pytest.raises(ZeroDivisionError), ending_by_signals():
        raise ZeroDivisionError
    assert handlers_now() == [signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, own_handler], ids=["ignored", "handled"])
@every_signal
def test_what_somebody_else_has_decided_stays(number, handler):
    signal.signal(number, handler)
    with ending_by_signals():
        assert signal.getsignal(number) is handler
    assert signal.getsignal(number) is handler


def test_usually_no_thread_watches():
    threads = threading.enumerate()
    with ending_whatever_runs():
        assert threading.enumerate() == threads


# SIGHUP


PRINT_MEANING = "from triows._server.interrupts import *; print(Hangup.of_this_process().name)"


def printed(command):
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, start_new_session=True
    )
    return done.stdout.strip()


def test_sighup_ends_a_process_at_a_terminal_wherever_its_output_goes():
    command = [sys.executable, "-c", PRINT_MEANING]
    with Terminal() as terminal:
        assert printed(terminal.command(command)) == "ENDS"
    assert printed(command) == "RELOADS"


def test_nohup_goes_before_the_terminal():
    with Terminal() as terminal:
        command = ["nohup", sys.executable, "-c", PRINT_MEANING]
        assert printed(terminal.command(command)) == "IGNORED"


@pytest.mark.parametrize(
    ("meaning", "ends"), [(Hangup.ENDS, True), (Hangup.RELOADS, False)], ids=["ends", "reloads"]
)
def test_sighup_ends_the_first_process_only_if_the_terminal_was_closed(
    exits, monkeypatch, meaning, ends
):
    monkeypatch.setattr(Hangup, "of_this_process", lambda: meaning)
    with ending_by_signals():
        signal.raise_signal(signal.SIGHUP)
    assert exits.empty() is not ends


# Signals of a terminal


def heard(*signals):
    """Return which of these signals count. Each is a number and a time."""
    echoes = Echoes()
    return [not echoes.is_echo(number, now) for number, now in signals]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_the_same_signal_within_a_tenth_of_a_second_is_an_echo(number):
    assert heard((number, 5), (number, 5 + 0.9 * ECHO)) == [True, False]
    assert heard((number, 5), (number, 5 + 1.1 * ECHO)) == [True, True]


def test_another_signal_is_no_echo():
    assert heard((signal.SIGINT, 5), (signal.SIGHUP, 5)) == [True, True]


def test_echoes_do_not_add_up():
    times = [0, 0.6 * ECHO, 1.2 * ECHO, 1.8 * ECHO]
    assert heard(*((signal.SIGINT, now) for now in times)) == [True, False, True, False]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_other_signals_have_no_echoes(number):
    assert heard((number, 5), (number, 5)) == [True, True]
    assert heard((signal.SIGINT, 5), (number, 5)) == [True, True]


# The first process


@every_signal
def test_a_signal_ends_the_first_process_by_its_own_handler(exits, number):
    with ending_by_signals():
        signal.raise_signal(number)
        assert exits.get_nowait() == SIGNALLED + number


def test_a_thread_may_outlive_the_block_so_a_signal_still_ends_the_first_process(exits):
    with ending_by_signals():
        pass
    signal.raise_signal(signal.SIGTERM)
    assert exits.get_nowait() == SIGNALLED + signal.SIGTERM


def test_ctrl_c_raises_again_in_the_first_process_after_the_block(exits):
    with ending_by_signals():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def arrive(*numbers):
    """Do what the interpreter does when signals arrive, whatever code runs at that time."""
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    os.write(descriptor, bytes(numbers))


@every_signal
def test_a_signal_ends_the_first_process_even_if_no_handler_can_run(exits, number):
    with ending_by_signals(), ending_whatever_runs():
        arrive(number)
        assert exits.get(timeout=PATIENCE) == SIGNALLED + number


def test_a_signal_that_means_something_else_does_not_end_the_first_process(exits):
    with ending_by_signals(), ending_whatever_runs():
        signal.signal(signal.SIGINT, own_handler)
        arrive(signal.SIGINT, signal.SIGWINCH, signal.SIGTERM)
        assert exits.get(timeout=PATIENCE) == SIGNALLED + signal.SIGTERM
    assert exits.empty()


def test_the_thread_ends_with_the_block_and_signals_wake_whom_they_woke_before(exits):
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    threads = set(threading.enumerate())
    with ending_whatever_runs():
        (watching,) = set(threading.enumerate()) - threads
    watching.join(PATIENCE)
    assert not watching.is_alive()
    assert signal.set_wakeup_fd(before) == before
