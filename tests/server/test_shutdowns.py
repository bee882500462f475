"""A signal to a server with peers of all kinds. Each test has a process of its own."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

import pytest

from tests.raw import CLOSE, Frame, close_frame, handshake
from tests.server.harness.choice import PATIENCE, start
from tests.server.harness.peer import NoClose, Peer

pytestmark = pytest.mark.real_socket

#: What the settings of attacked.py add up to, in seconds, with spare time for a busy machine.
BUDGET = 0.5 + 2 * 0.5 + 3 * 0.5 + 2


def test_every_peer_is_told_and_every_handler_cleans_up():
    with start() as process, ExitStack() as stack:
        peers = [stack.enter_context(Peer(process.reach(PATIENCE))) for _ in range(20)]
        for peer in peers:
            peer.open("/guarded")
            assert peer.read_message() == "here"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        for peer in peers:
            assert peer.read_close() == (1001, "")
            peer.send_as_far_as_taken(close_frame(1001))
        assert process.wait() == 0
        assert time.monotonic() - started < BUDGET
        assert process.output.count("cleaned up after 1001") == len(peers)
        assert "Traceback" not in process.output


def test_peers_of_all_kinds_are_told_and_hold_nothing():
    """The peers are idle, busy, half-open, silent, not accepted yet, or read nothing."""
    with start() as process, ExitStack() as stack:

        def connect() -> Peer:
            return stack.enter_context(Peer(process.reach(PATIENCE)))

        told = []
        for target in ["/echo", "/deaf?key=a", "/pour?key=b&size=1000", "/collecting?key=c"]:
            told.append(connect())
            told[-1].open(target)
        connect().open("/pour?key=d")  # this peer reads nothing
        half_open = connect()
        half_open.send(handshake("/echo")[:20])
        connect()
        undecided = connect()
        undecided.send(handshake("/slow"))
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert [peer.read_close()[0] for peer in told] == [1001] * len(told)
        for peer in told:
            peer.send_as_far_as_taken(close_frame(1001))
        assert process.wait() == 0
        assert time.monotonic() - started < BUDGET
        assert "Traceback" not in process.output


def test_peers_that_do_not_read_hold_it_no_longer_than_its_budget():
    with start() as process, ExitStack() as stack:
        for number in range(50):
            peer = stack.enter_context(Peer(process.reach(PATIENCE)))
            peer.open(f"/impatient?key={number}")  # the handler's send would wait for 20 s
            peer.read_frame()
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        assert time.monotonic() - started < BUDGET


def test_a_peer_that_sends_on_during_the_shutdown_gets_its_1001():
    with start() as process, Peer(process.reach(PATIENCE)) as peer:
        peer.open("/echo")
        process.send_signal(signal.SIGTERM)
        got: Frame | None = None
        while got is None or got.opcode != CLOSE:
            peer.send_as_far_as_taken(b"\x81\x81\x00\x00\x00\x00x" * 100)
            try:
                got = peer.read_frame()
            except EOFError as exc:
                raise NoClose(str(exc)) from None
        assert got.payload == b"\x03\xe9"
        peer.send_as_far_as_taken(close_frame(1001))
        assert process.wait() == 0


def test_a_new_peer_is_refused_during_the_shutdown():
    with start() as process, Peer(process.reach(PATIENCE)) as peer:
        peer.open("/guarded")
        process.send_signal(signal.SIGTERM)
        assert peer.read_close()[0] == 1001  # while this peer doesn't answer:
        try:
            with Peer(process.reach(PATIENCE)) as late:
                status = late.ask(handshake("/echo")).status
        except (ConnectionError, EOFError):
            status = 503  # nobody listens any more
        assert status == 503


def test_a_start_up_that_fails_serves_nobody():
    process = start("failing")
    try:
        assert process.wait() != 0
    finally:
        process.__exit__()
    assert "RuntimeError: there is no database" in process.output
