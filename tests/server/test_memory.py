"""The server in memory, which other tests use for peers that send any bytes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import trio

from tests.raw import TEXT, frame
from tests.server.applications import attacked
from tests.server.harness.checked import CheckedServer
from tests.server.harness.memory import MemoryServer
from tests.server.harness.peer import NoClose, Peer
from triows import Triows

if TYPE_CHECKING:
    from collections.abc import Iterator

# If the server hangs, the run ends here and prints all stacks.
pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def server() -> Iterator[MemoryServer]:
    with MemoryServer(Triows(*attacked.routes, timeouts=attacked.TIMEOUTS)) as server:
        yield server


def test_its_time_passes_only_while_a_peer_waits_and_takes_none(server):
    peer = Peer(server.reach(10_000))
    began, before = time.monotonic(), server.now()
    assert server.now() == before
    with pytest.raises(EOFError):
        peer.read(1)  # Timeouts.handshake
    assert server.now() - before == pytest.approx(1)
    peer = Peer(server.reach(10_000))
    peer.open("/echo")
    assert peer.hears_nothing_for(900)
    assert server.now() - before == pytest.approx(901)
    assert time.monotonic() - began < 100


def test_a_peer_that_waits_in_vain_is_told_so(server):
    peer = Peer(server.reach(15))
    peer.open("/deaf?key=a")
    with pytest.raises(TimeoutError):
        peer.read_frame()
    with pytest.raises(TimeoutError):
        peer.send(frame(TEXT, bytes(2**16)) * 100)


def test_a_server_that_has_ended_is_a_connection_that_has(server):
    peer = Peer(server.reach(15))
    peer.open("/echo")
    server.stop()
    assert not server.is_running
    with pytest.raises(NoClose):
        peer.read_close()
    with pytest.raises(ConnectionError):
        peer.send(b"")


def test_a_server_that_ends_while_a_peer_waits_tells_it(server):
    peer = Peer(server.reach(1000))
    peer.open("/echo")
    server.call(server._trigger.set)
    assert peer.read_close() == (1001, "")
    assert peer.read_rest() == b""


def test_a_task_that_is_left_is_found_by_the_check(server):
    checked = CheckedServer(server)
    checked.check()
    checked = CheckedServer(server)
    server.call(trio.lowlevel.spawn_system_task, trio.sleep, 1000)
    with pytest.raises(AssertionError, match="tasks, and"):
        checked.check()


def test_a_connection_that_the_server_keeps_is_found_by_the_check(server):
    checked = CheckedServer(server)
    server.call(server._listener.open.add, object())
    with pytest.raises(AssertionError, match="descriptors, and"):
        checked.check()


def test_what_the_server_logs_is_found_by_the_check(server):
    checked = CheckedServer(server)
    checked.handshake("/mistaken/error")
    with pytest.raises(AssertionError, match="Traceback"):
        checked.check()
