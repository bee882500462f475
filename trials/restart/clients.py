"""The clients. Each is a thread that goes on until it is told to stop."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NoReturn

from attrs import frozen

from tests.raw import CLOSE, PING, PONG, TEXT, close_frame, frame
from tests.server.harness.peer import Peer, Refused

from .tally import Tally

__all__ = ["CROWD", "Act", "Client", "crowd"]

#: How many seconds anything may take.
PATIENCE = 15

#: Seconds between two things that a client does.
PAUSE = 0.05

#: How many messages a client that doesn't stay sends on a WebSocket.
MESSAGES = 3

_numbers = itertools.count(1)


class Told(Exception):
    """The server has closed a WebSocket properly."""


@frozen
class Client:
    """
    What all clients need.

    Args:
        address: Where the proxy is.
        tally: Where to count.
        stop: Is set when the client should stop.
    """

    address: tuple[str, int]
    tally: Tally
    stop: threading.Event

    def pause(self) -> bool:
        """Wait for a moment. Say whether to go on."""
        return not self.stop.wait(PAUSE)

    # WebSockets.

    def stay(self) -> None:
        """Chat until the server says goodbye, and connect again."""
        while self.pause():
            self._visit()

    def come_and_go(self) -> None:
        """Connect, say something, and leave."""
        while self.pause():
            self._visit(most=MESSAGES)

    def _visit(self, most: int | None = None) -> None:
        """Connect, and chat until it is time to stop, or for *most* messages."""
        try:
            peer = self._opened()
        except (OSError, EOFError, Refused) as exc:
            self.tally.mishap("refused", f"a WebSocket was refused: {_in_words(exc)}")
            return
        with peer:
            try:
                for _ in itertools.count() if most is None else range(most):
                    if not self.pause():
                        break
                    self._say(peer)
                peer.send(close_frame())
                self._read(peer)
            except Told as told:
                if str(told) == "1001":
                    self.tally.count("told")
                elif str(told) != "1000":
                    self.tally.mishap("cut", f"a WebSocket was closed with {told}")
            except (OSError, EOFError) as exc:
                self.tally.mishap("cut", f"a WebSocket was cut: {_in_words(exc)}")

    def _opened(self) -> Peer:
        self.tally.count("websockets")
        sock = socket.create_connection(self.address, PATIENCE)
        peer = Peer(sock)
        try:
            peer.open("/talk")
        except BaseException:
            sock.close()
            raise
        return peer

    def _say(self, peer: Peer) -> None:
        """Send a message, and read it again."""
        try:
            peer.send(frame(TEXT, b"hello"))
        except ConnectionError:
            self._read(peer)  # there may be a close frame
        if (got := self._read(peer)) != b"hello":
            self.tally.mishap("twice", f"a WebSocket got {got!r}")
        self.tally.count("messages")

    def _read(self, peer: Peer) -> bytes:
        while (got := peer.read_frame()).opcode == PING:
            peer.send(frame(PONG, got.payload))
        if got.opcode == CLOSE:
            _say_goodbye(peer, int.from_bytes(got.payload[:2], "big"))
        return got.payload

    # Requests.

    def get(self) -> None:
        self._ask_again_and_again("GET", keep=False)

    def get_kept(self) -> None:
        self._ask_again_and_again("GET", keep=True)

    def post(self) -> None:
        self._ask_again_and_again("POST", keep=False)

    def post_kept(self) -> None:
        self._ask_again_and_again("POST", keep=True)

    def _ask_again_and_again(self, method: str, *, keep: bool) -> None:
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        while self.pause():
            try:
                self._ask(connection, method, {} if keep else {"Connection": "close"})
            except (OSError, http.client.HTTPException) as exc:
                self.tally.mishap(f"{method} lost", f"a {method} was lost: {_in_words(exc)}")
                connection.close()  # it is opened again
        connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, headers: dict[str, str]
    ) -> None:
        number = next(_numbers)
        self.tally.count(method)
        connection.request(method, f"/orders?number={number}", headers=headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            self.tally.mishap(f"{method} lost", f"a {method} was answered with {response.status}")
            return
        answer = json.loads(body)
        if answer["number"] != number:
            self.tally.mishap("twice", f"{method} {number} got the answer to {answer['number']}")
        self.tally.processes.add(answer["process"])
        if method == "POST":
            self.tally.answered.append(number)


def _say_goodbye(peer: Peer, code: int) -> NoReturn:
    """Answer a close frame, wait for the end, and raise :exc:`Told`."""
    peer.send_as_far_as_taken(close_frame(code))
    try:
        peer.read_rest()
    except OSError as exc:
        raise TimeoutError("no end after the close frames") from exc
    raise Told(str(code))


def _in_words(exc: BaseException) -> str:
    if isinstance(exc, Refused):
        return f"status {exc.args[0].status}"
    return f"{type(exc).__name__}: {exc}"


#: What a client does until it is told to stop.
Act = Callable[[Client], None]

#: How many clients of each kind there are.
CROWD: Mapping[Act, int] = {
    Client.stay: 8,
    Client.come_and_go: 4,
    Client.get: 3,
    Client.get_kept: 3,
    Client.post: 3,
    Client.post_kept: 3,
}


@contextmanager
def crowd(
    address: tuple[str, int], tally: Tally, clients: Mapping[Act, int] = CROWD
) -> Iterator[None]:
    """
    Let clients come until the end of the block.

    Args:
        address: Where the proxy is.
        tally: Where they count.
        clients: How many there are of each kind.

    Raises:
        Exception: A client has failed by a mistake of its own.
    """
    client = Client(address, tally, threading.Event())
    running: list[Future[None]] = []
    with ThreadPoolExecutor(sum(clients.values())) as threads:
        try:
            for act, count in clients.items():
                running += [threads.submit(act, client) for _ in range(count)]
            yield
        finally:
            client.stop.set()
    for one in running:
        one.result()
