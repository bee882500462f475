from __future__ import annotations

import pytest

from hostile.server import Level, WatchedServer

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


@pytest.mark.real_socket
def test_a_server_is_seen_to_hold_a_connection_and_to_give_it_back():
    with WatchedServer("fuzz.application:app") as server:
        before = server.settled_level(10)
        with server.connect("/echo") as peer:
            peer.send("hello")
            assert peer.receive() == b"hello"
            held = server.level()
            assert held.tasks > before.tasks
            assert held.connections == before.connections + 1
            assert held.descriptors > before.descriptors
        assert not any("MiB" not in one for one in server.return_to(before, 10).excess(before))
        assert server.echoes()
        assert server.tracebacks == 0
