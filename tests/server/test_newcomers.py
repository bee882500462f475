"""A listening socket that gets no newcomers any more."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import Counter
from functools import partial

import pytest
import trio

import triows
from triows import Route, Triows
from triows._server.config import free_port
from triows._server.newcomers import identity, turn_away

pytestmark = pytest.mark.real_socket

HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def listening_at(family: socket.AddressFamily) -> socket.socket:
    listener = socket.socket(family)
    listener.bind((HOSTS[family], 0))
    listener.listen()
    listener.setblocking(False)
    return listener


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't drop packets")
@pytest.mark.parametrize("family", HOSTS)
def test_a_newcomer_gets_no_answer_and_who_is_in_the_queue_is_served(family):
    with listening_at(family) as listener, socket.socket(family) as early:
        early.connect(listener.getsockname())
        turn_away(listener, None)
        with socket.socket(family) as late:
            late.settimeout(0.05)
            with pytest.raises(TimeoutError):
                late.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            # It has inherited the filter, which lets everything else pass.
            early.sendall(b"hello")
            assert connection.recv(5) == b"hello"
            connection.sendall(b"hello yourself")
            assert early.recv(100) == b"hello yourself"
        with pytest.raises(BlockingIOError):
            listener.accept()


class Visitors:
    """Clients that connect again and again, each in a thread. They count what happens to them."""

    def __init__(self, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self._port = port
        self._threads = [threading.Thread(target=self._come) for _ in range(16)]
        self._is_over = threading.Event()

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _come(self) -> None:
        while not self._is_over.is_set():
            try:
                sock = socket.create_connection(("127.0.0.1", self._port), timeout=0.2)
            except (ConnectionRefusedError, TimeoutError):
                self._is_over.wait(0.001)
                continue
            with sock:
                try:
                    sock.settimeout(20)
                    sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                    self.counts[sock.recv(12).decode()] += 1
                except ConnectionError:
                    self.counts["reset"] += 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't drop packets")
@pytest.mark.unmeasured
async def test_a_server_that_ends_resets_nobody() -> None:
    """Without the filter, and without emptying the queue, about ten are reset in each end."""
    root = Route("")

    @root.get
    async def hello() -> str:
        return "hello"

    config = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config.bind = [f"127.0.0.1:{port}"]
    with Visitors(port) as visitors:
        for _ in range(6):
            enough = trio.Event()
            before = visitors.counts.total()
            async with trio.open_nursery() as nursery:
                serve = partial(triows.serve, Triows(root), config, shutdown_trigger=enough.wait)
                await nursery.start(serve)
                while visitors.counts.total() < before + 20:
                    await trio.lowlevel.checkpoint()
                enough.set()
    assert set(visitors.counts) == {"HTTP/1.1 200"}


def test_where_the_system_can_drop_nothing_the_listener_goes_on():
    class Limited(socket.socket):
        def setsockopt(self, *args):
            raise PermissionError

    with Limited() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        turn_away(listener, None)
        with socket.create_connection(listener.getsockname(), timeout=5):
            pass


def test_the_file_of_a_unix_socket_is_removed_and_who_is_in_the_queue_is_served(tmp_path):
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as early:
        listener.bind(str(path))
        listener.listen()
        file = identity(listener)
        early.connect(str(path))
        turn_away(listener, file)
        assert not path.exists()
        connection, _ = listener.accept()
        connection.close()
        turn_away(listener, file)  # nobody minds a second time


def test_a_socket_that_somebody_has_put_in_its_place_is_left_alone(tmp_path):
    path, other = tmp_path / "sock", tmp_path / "new"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as newer:
        listener.bind(str(path))
        file = identity(listener)
        newer.bind(str(other))
        os.rename(other, path)
        turn_away(listener, file)
        assert path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_unix_socket_without_a_file_has_no_identity():
    with socket.socket(socket.AF_UNIX) as unnamed, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0triows")
        assert [identity(unnamed), identity(abstract)] == [None, None]
