from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from attrs import evolve

from trials import server as module
from trials.server import Level, WatchedServer

BEFORE = Level(tasks=10, connections=1, descriptors=8, resident=100 * 2**20)


def test_as_much_as_before_is_no_excess():
    assert BEFORE.excess(BEFORE) == []


def test_a_task_a_connection_and_a_descriptor_count():
    after = Level(tasks=11, connections=2, descriptors=9, resident=BEFORE.resident)
    assert after.excess(BEFORE) == [
        "11 tasks, 10 before",
        "2 connections, 1 before",
        "9 descriptors, 8 before",
    ]


def test_memory_may_grow_by_a_tenth():
    assert not Level(10, 1, 8, 110 * 2**20).excess(BEFORE)
    assert Level(10, 1, 8, 111 * 2**20).excess(BEFORE) == ["111.0 MiB, 100.0 before"]


class SlowServer(WatchedServer):
    """A server that takes three seconds to tell its level, which decreases in steps."""

    def __init__(self, levels: Iterable[Level]) -> None:
        self._levels = iter(levels)
        self.clock = 0.0

    def level(self, *, trim: bool = False) -> Level:
        self.clock += 3
        return next(self._levels)

    # What it takes of the module `time`.

    def monotonic(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


def test_what_decreases_slowly_is_not_left(monkeypatch):
    levels = [evolve(BEFORE, tasks=10 + more, resident=more) for more in range(5, -1, -1)]
    server = SlowServer(levels)
    monkeypatch.setattr(module, "time", server)
    assert server.return_to(BEFORE, 4) == levels[-1]


def test_what_does_not_decrease_is_left(monkeypatch):
    # Another connection comes and goes. That isn't progress.
    levels = itertools.cycle(evolve(BEFORE, tasks=tasks) for tasks in (12, 11))
    server = SlowServer(levels)
    monkeypatch.setattr(module, "time", server)
    assert server.return_to(BEFORE, 20).excess(BEFORE)
    assert server.clock < 40


@pytest.mark.real_socket
def test_a_server_is_seen_to_hold_a_connection_and_to_give_it_back():
    with WatchedServer("trials.fuzz.application:app") as server:
        before = server.settled_level(10)
        with server.connect("/echo") as peer:
            peer.echo("hello")
            held = server.settled_level(10)
            assert held.tasks > before.tasks
            assert held.connections == before.connections + 1
            assert held.descriptors > before.descriptors
        assert not any("MiB" not in one for one in server.return_to(before, 10).excess(before))
        assert server.echoes()
        assert server.tracebacks == 0
