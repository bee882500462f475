"""A listening socket that gets no newcomers any more."""

from __future__ import annotations

import os
import socket
import sys

import pytest

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
