"""The load for plain HTTP notices what a server does, though it parses only the first answer."""

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

pytest.importorskip("picows")

from benchmarks.http_client import BIG, Load, Question, whole_answer

pytestmark = [
    pytest.mark.real_socket,
    pytest.mark.skipif(sys.platform != "linux", reason="uses epoll"),
]

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
GOODBYE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
BROKEN = b"HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nno hellos"

QUESTION = Question.of("GET", "/", b"", b"hello")

#: Says how to answer: by the number of the connection, and by that of the request on it.
Answers = Callable[[int, int], bytes]


@contextmanager
def serving(answers: Answers, request: int = len(QUESTION.request)) -> Iterator[int]:
    """Serve in threads, and yield the port. An empty answer ends the connection."""

    def answer(number: int, sock: socket.socket) -> None:
        with sock, suppress(OSError):  # the load may have hung up
            count = 0
            data = HELLO
            while data not in (b"", GOODBYE) and sock.recv(request, socket.MSG_WAITALL):
                data = answers(number, count)
                sock.sendall(data)
                count += 1
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(2**16):  # what is left unread would reset the connection
                pass

    def accept() -> None:
        number = 0
        while (sock := listener.accept()[0]).getpeername() != stop.getsockname():
            threading.Thread(target=answer, args=(number, sock), daemon=True).start()
            number += 1
        sock.close()

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as stop:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.bind(("127.0.0.1", 0))
            stop.connect(listener.getsockname())
            thread.join()


def ask(load: Load, times: int) -> None:
    """Ask until there were so many answers, and finish."""

    async def asking() -> None:
        load.start()
        while load.done < times:
            await load.drive(0.001)
        await load.finish()

    asyncio.run(asking())


def test_the_first_answer_is_checked() -> None:
    with serving(lambda *_: HELLO) as port:
        assert whole_answer(port, QUESTION) == len(HELLO)
    with serving(lambda *_: BROKEN) as port, pytest.raises(ValueError, match="500 Oh"):
        whole_answer(port, QUESTION)


def test_a_question_has_a_content_type_only_if_it_is_given_one() -> None:
    plain = Question.of("POST", "/", b"{}", b"").request
    typed = Question.of("POST", "/", b"{}", b"", "application/json").request
    assert b"Content-Type" not in plain
    assert b"\r\nContent-Type: application/json\r\n" in typed
    assert typed.endswith(b"\r\n\r\n{}")


def test_answers_are_counted_whole() -> None:
    with serving(lambda *_: HELLO) as port, Load(port, QUESTION, 3, pipelined=4) as load:
        ask(load, 50)
        assert load.done >= 50
        assert load.done % 4 == 0


def test_a_connection_that_the_server_ends_properly_is_made_again() -> None:
    with (
        serving(lambda _, count: GOODBYE if count == 5 else HELLO) as port,
        Load(port, QUESTION, 2, pipelined=4) as load,
    ):
        ask(load, 50)
        assert load.done >= 50


def test_a_connection_that_is_lost_is_an_error() -> None:
    with (
        serving(lambda number, count: b"" if number and count == 5 else HELLO) as port,
        Load(port, QUESTION, 2) as load,
        pytest.raises(ConnectionError, match="not the answers that were expected"),
    ):
        ask(load, 50)


def test_an_error_instead_of_an_answer_is_noticed() -> None:
    with (
        serving(lambda number, count: BROKEN if number and count == 5 else HELLO) as port,
        Load(port, QUESTION, 2) as load,
        pytest.raises(ConnectionError, match="500 Oh"),
    ):
        ask(load, 50)


def test_bodies_of_both_directions_are_counted_as_they_come() -> None:
    body = b"a" * (BIG * 20)
    question = Question.of("POST", "/", body, body)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with (
        serving(lambda *_: head + body, request=len(question.request)) as port,
        Load(port, question, 2) as load,
    ):
        ask(load, 5)
        assert load.done == int(load.done)
