"""
A server under attack, and a witness that sees how the server is.

By default, it is our server in memory (``memory.py``), which is fast. Some tests also run against
our command on sockets. So do tests about what only real systems do. The environment variable
``TRIOWS_TEST_SERVER`` chooses a server process for all of them:

``triows``
    Our command. Everything has to work there as in memory.
``hypercorn``
    ``hypercorn -k trio`` with the same applications.
``bare``
    ``hypercorn -k trio`` with ``bare.py`` instead, which has the same routes in plain ASGI.

The last two show that the tests can fail, and why this project has a server of its own. Plain
Hypercorn can't keep these promises on Trio. Some of them fail only with ``bare``, because triows
keeps them on any server. These are the promises, and the tests for them:

================================================= =========================================
one connection can't take the server down         test_deaths, test_http2, test_tls
an application's mistake is contained             test_deaths: ``..._mistake_...``
``send`` is a checkpoint, and fails when the peer test_backpressure: ``a_handler_that_only_
is gone                                           sends_...``
timeouts, cancellation and shutdown bound a       test_backpressure, test_tls: ``a_send_is_
``send``                                          cancelled_...``, ``..._1008_...``;
                                                  test_shutdowns: ``..._no_longer_than_...``
the size limit bounds memory                      test_limits
compression is off unless it is asked for         test_frames
a ping between compressed fragments is fine       test_frames: ``a_ping_between_...``
a busy handler hides nothing                      test_backpressure: ``..._behind_unread_
                                                  messages_...``, ``a_handler_that_returns_...``
close code and reason arrive; the closing         test_closes, test_clients
handshake has a timeout
a violation gets 1002 or 1007                     test_frames; test_closes: ``a_thousand_...``
shutdown tells the clients, and handlers clean up test_shutdowns
a dead peer is found, a quiet one is kept         test_keepalives, test_cut_link
refusals end the connection, and arrive           test_handshakes: ``a_refusal_...``,
                                                  ``a_hundred_refused_...``
handshakes are checked                            test_handshakes: the wrong ones
data right behind the handshake is delivered      test_handshakes: the last part
WebSockets over HTTP/2 are refused                test_http2; test_deaths: ``an_upgrade_to_...``
a failing start-up stops the start                test_shutdowns: ``a_start_up_that_fails_...``
floods, resets and slow peers harm nobody else    the bystander of every test
================================================= =========================================

With ``hypercorn`` or ``bare``, all of them take some minutes.
"""

from __future__ import annotations

import itertools
import os
import sys
from typing import TYPE_CHECKING, Any, Self

from tests.server import besieged
from tests.server.memory import MemoryServer
from tests.server.peer import Answer, Bystander, Peer, close, request
from tests.server.process import HYPERCORN, TRIOWS, ServerProcess

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

__all__ = [
    "IS_CHOSEN",
    "PATIENCE",
    "Siege",
    "Standing",
    "start",
    "start_in_memory",
    "start_named",
]

#: Whether somebody has chosen a server process.
IS_CHOSEN = "TRIOWS_TEST_SERVER" in os.environ

SERVER = os.environ.get("TRIOWS_TEST_SERVER", "triows")

#: How many seconds anything may take. With other servers some things never come, so it is less.
PATIENCE = 15 if SERVER == "triows" else 2

_COMMANDS = {"triows": TRIOWS, "hypercorn": HYPERCORN, "bare": HYPERCORN}


def _application(name: str) -> str:
    if SERVER == "bare":
        return f"bare:{name}"
    return "failing:app" if name == "failing" else f"besieged:{name}"


_keys = itertools.count()


def start(
    name: str = "app", *options: str, below: Sequence[str] = (), host: str = "127.0.0.1"
) -> ServerProcess:
    """
    Start the server that was chosen.

    Args:
        name: The name of an application of ``besieged.py``.
        options: Further options of the command.
        below: A command that runs other commands.
        host: The host on which to serve.
    """
    command = [*below, *_COMMANDS[SERVER]]
    return ServerProcess(command, _application(name), *options, host=host)


def start_named(name: str) -> ServerProcess:
    """Start the same with ``server_names``. No command has an option for it."""
    return ServerProcess([sys.executable, "named.py", SERVER], _application(name))


def start_in_memory(name: str) -> MemoryServer:
    """Make our server for an application of ``besieged.py``. ``named`` has ``server_names``."""
    names = ["127.0.0.1"] if name == "named" else []
    return MemoryServer(getattr(besieged, name), server_names=names)


class Standing:
    """
    Servers that run from test to test. If one was harmed, it is started again.

    Args:
        start: Starts the server with a name.
    """

    def __init__(self, start: Callable[[str], ServerProcess | MemoryServer]) -> None:
        self._start = start
        self._servers: dict[str, ServerProcess | MemoryServer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        for server in self._servers.values():
            server.stop()
        self._servers.clear()

    def get(self, name: str) -> ServerProcess | MemoryServer:
        server = self._servers.get(name)
        if server is None:
            server = self._servers[name] = self._start(name).__enter__()
        return server

    def give_up(self, name: str) -> None:
        """Stop a server that was harmed, so that no other test uses it."""
        self._servers.pop(name).__exit__()


class Siege:
    """
    A server as one test sees it: with peers of any kind, and a bystander that sees everything.

    Args:
        server: The server.
        context: The context for TLS.
    """

    def __init__(
        self, server: ServerProcess | MemoryServer, context: ssl.SSLContext | None = None
    ) -> None:
        self.server = server
        self.context = context
        #: Whether the test makes the application fail, which is logged.
        self.may_log_traceback = False
        self.bystander = Bystander(server.reach(max(PATIENCE, 10), context))
        #: How much there was of everything before the test. Afterwards there must not be more.
        self.level: dict[str, int] = self.bystander.ask_for("census")
        self._logged = len(server.lines)
        self._peers: list[Peer] = []

    def connect(self) -> Peer:
        """Connect. The connection is closed at the end of the test."""
        peer = Peer(self.server.reach(PATIENCE, self.context))
        self._peers.append(peer)
        return peer

    def connect_without_tls(self) -> Peer:
        """Connect as if the server used no TLS."""
        peer = Peer(self.server.reach(PATIENCE))
        self._peers.append(peer)
        return peer

    def open(self, target: str = "/echo", *lines: bytes, behind: bytes = b"") -> Peer:
        """Connect, and open a WebSocket."""
        peer = self.connect()
        peer.open(target, *lines, behind=behind)
        return peer

    def ask(self, data: bytes) -> Answer:
        """Connect, send a request and read the response."""
        return self.connect().ask(data)

    def handshake(self, target: str | bytes = "/echo", *lines: bytes, **how: Any) -> Answer:
        """Connect, ask for a WebSocket and read the response."""
        return self.ask(request(target, *lines, **how))

    @staticmethod
    def new_key() -> str:
        """Make a key for a handler's report."""
        return str(next(_keys))

    def report(self, key: str) -> Any:
        """Wait for a handler's report."""
        return self.bystander.ask_for(f"report {key}")

    def now(self) -> float:
        """The seconds of the server's clock."""
        return self.server.now()

    @property
    def log(self) -> str:
        """Everything that the server has logged since the test began."""
        return "".join(self.server.lines[self._logged :])

    def settle(self) -> None:
        """Wait until the server has given back everything that it used for the test."""
        settled = self.bystander.settle(self.level)
        for name, count in settled.items():
            assert count <= self.level[name], f"{count} {name}, and {self.level[name]} before"

    def lift(self) -> None:
        """End it. Check that nobody was harmed, and that nothing is left."""
        for peer in self._peers:
            peer.socket.close()
        with self.bystander:
            self.bystander.echo("still there")
            self.settle()
            with Peer(self.server.reach(PATIENCE, self.context)) as peer:
                peer.open("/echo")
                peer.echo("anybody")
                peer.send(close())
                peer.read_rest()
            self.settle()
        assert self.server.is_running
        if not self.may_log_traceback:
            assert "Traceback" not in self.log, self.log

    def abandon(self) -> None:
        """End it without any checks."""
        for peer in [*self._peers, self.bystander]:
            peer.socket.close()
