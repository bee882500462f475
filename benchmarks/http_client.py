"""
The load for plain HTTP: sockets, one epoll, and requests that are made only once.

A client that parses answers would be slower than the servers. This one parses only the first answer
of each server. All others have to be as long as that one. If bodies are big, the kernel throws them
away, so that copying them costs the load nothing.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from contextlib import ExitStack
from typing import Self

import attrs

from .client import PATIENCE

__all__ = ["POSSIBLE", "Asking", "Connection", "Load", "Question", "whole_answer"]

#: Whether this system has what the load needs.
POSSIBLE = hasattr(select, "epoll")

#: How many bytes are read at a time. Python allocates as many for each read, and the system maps
#: larger blocks anew each time, which takes longer than a small answer.
ROOM = 2**16

#: How many are thrown away at a time.
DUMP = 2**20

#: Bodies from this size on are thrown away.
BIG = 100_000

#: Throws away what has come (``man 7 tcp``).
THROW_AWAY = socket.MSG_TRUNC if sys.platform == "linux" else 0

#: How a server says that it ends the connection, for example after 1000 requests.
LAST = b"connection: close"


@attrs.frozen
class Question:
    """
    What is asked, again and again.

    Args:
        request: The whole request.
        answer: The body that has to come back, with status 200.
    """

    request: bytes
    answer: bytes

    @classmethod
    def of(
        cls, method: str, path: str, body: bytes, answer: bytes, content_type: str = ""
    ) -> Question:
        """Make the request, as browsers and proxies send it."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"User-Agent: benchmarks\r\nAccept: */*\r\n{length}{kind}\r\n"
        )
        return cls(head.encode() + body, answer)


def whole_answer(port: int, question: Question) -> int:
    """
    Ask once, check the answer, and return how many bytes it has, with its head.

    Raises:
        ValueError: It isn't what was expected.
    """
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(question.request)
        data = bytearray()
        while not (end := data.find(b"\r\n\r\n") + 4) > 3 or len(data) - end < len(question.answer):
            received = sock.recv(ROOM)
            if not received:
                break
            data += received
    if not data.startswith(b"HTTP/1.1 200 ") or data[end:] != question.answer:
        raise ValueError(f"not the answer that was expected: {bytes(data[:200])!r}")
    return len(data)


class Connection:
    """
    A connection whose bytes are counted. Subclasses say what happens when some have come.

    Args:
        port: The port of the server.
        poll: What watches all connections.
        throws_away: Whether what comes is thrown away.
    """

    def __init__(self, port: int, poll: select.epoll, throws_away: bool = False) -> None:
        self.received = 0
        self.sent = 0
        #: What has come last, unless it is thrown away.
        self.last = b""
        self._port = port
        self._poll = poll
        self._unsent = memoryview(b"")
        self._read = self._throw_away if throws_away else self._keep
        self._room = memoryview(bytearray(DUMP if throws_away else 0))
        self.connect()

    def connect(self) -> None:
        """Connect, or connect again."""
        self._socket = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._recv, self._send = self._socket.recv, self._socket.send
        self._poll.register(self._socket, select.EPOLLIN)

    def close(self) -> None:
        self._socket.close()  # epoll forgets it

    def fileno(self) -> int:
        return self._socket.fileno()

    def turn(self, events: int) -> None:
        """Do what *events* allow."""
        if events & select.EPOLLOUT:
            self._continue()
        if events & ~select.EPOLLOUT:
            count = self._read()
            self.received += count
            self.arrived(count)

    def send(self, data: bytes) -> None:
        """Send *data*, as far as there is room. The rest follows."""
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + data)
            return
        sent = self._send(data)
        self.sent += sent
        if sent != len(data):
            self._unsent = memoryview(data)[sent:]
            self._poll.modify(self._socket, select.EPOLLIN | select.EPOLLOUT)

    def _continue(self) -> None:
        sent = self._send(self._unsent)
        self.sent += sent
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._poll.modify(self._socket, select.EPOLLIN)

    def arrived(self, count: int) -> None:
        """Called when bytes have come. Zero means that the server has ended the connection."""
        raise NotImplementedError

    def _keep(self) -> int:
        data = self._recv(ROOM)
        if data:
            self.last = data
        return len(data)

    def _throw_away(self) -> int:
        return self._socket.recv_into(self._room, DUMP, THROW_AWAY)


class Asking(Connection):
    """
    A connection that asks again when everything is answered.

    Args:
        load: What it takes part in.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self.missing = 0
        super().__init__(load.port, load.poll, load.throws_away)

    def ask(self) -> None:
        """Send all requests that are on their way together."""
        self.missing = self._load.expected
        self.send(self._load.batch)

    def arrived(self, count: int) -> None:
        self.missing -= count
        if not self.missing:
            if self._load.going:
                self.ask()
        elif self.missing < 0 or not count:
            self._renew()

    def _renew(self) -> None:
        if b"HTTP/1.1 200 " not in self.last or LAST not in self.last.lower():
            raise ConnectionError(f"not the answers that were expected: {self.last[-200:]!r}")
        old = self.fileno()
        self.close()
        self.connect()
        self._load.moved(old, self)
        self.missing = 0
        if self._load.going:
            self.ask()


class Load:
    """
    Connections that ask the same again and again. Use it in ``with``.

    Args:
        port: The port of the server.
        question: What they ask.
        connections: How many there are.
        pipelined: How many requests each sends without waiting for answers.
    """

    def __init__(self, port: int, question: Question, connections: int, pipelined: int = 1) -> None:
        self.port = port
        self.batch = question.request * pipelined
        self.expected = whole_answer(port, question) * pipelined
        self.throws_away = len(question.answer) >= BIG
        self.going = False
        self.poll = select.epoll()
        self._exchange = (len(self.batch) + self.expected) / pipelined
        self._count = connections
        self._connections: dict[int, Asking] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(self.poll.close)
        with self._stack:
            for _ in range(self._count):
                connection = Asking(self)
                self._stack.callback(connection.close)
                self._connections[connection.fileno()] = connection
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def done(self) -> float:
        """How many requests were answered. Of what is on its way, the part that has come counts."""
        connections = self._connections.values()
        return sum(one.sent + one.received for one in connections) / self._exchange

    def start(self) -> None:
        """Ask for the first time."""
        self.going = True
        for connection in self._connections.values():
            connection.ask()

    def moved(self, old: int, connection: Asking) -> None:
        """Note that a connection has another descriptor now."""
        del self._connections[old]
        self._connections[connection.fileno()] = connection

    async def drive(self, seconds: float) -> None:
        """Do nothing else for *seconds*. No other task runs in this time."""
        clock, poll, connections = time.perf_counter, self.poll.poll, self._connections
        end = clock() + seconds
        while (left := end - clock()) > 0:
            for fd, events in poll(left):
                connections[fd].turn(events)

    async def finish(self) -> None:
        """
        Stop, and wait until everything is answered.

        Raises:
            TimeoutError: That takes too long.
        """
        self.going = False
        end = time.perf_counter() + PATIENCE
        while any(one.missing for one in self._connections.values()):
            if time.perf_counter() > end:
                raise TimeoutError("not everything was answered")
            await self.drive(0.001)
