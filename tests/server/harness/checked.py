"""A server that is checked after each test, and servers that several tests share."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Self

from tests.raw import close_frame, handshake
from tests.server.harness.choice import PATIENCE
from tests.server.harness.peer import Answer, Bystander, Peer
from tests.server.harness.process import ServerProcess

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from tests.server.harness.memory import MemoryServer

__all__ = ["CheckedServer", "SharedServers"]

_keys = itertools.count()

#: How many seconds a busy machine may hold up what should take less than one.
BUSY = 8


class SharedServers:
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


class CheckedServer:
    """
    A server as one test sees it: with peers of any kind, and a bystander that sees everything.

    At the end, :meth:`check` checks that nobody was harmed, and that nothing is left.

    Args:
        server: The server.
        context: The context for TLS.
    """

    def __init__(
        self, server: ServerProcess | MemoryServer, context: ssl.SSLContext | None = None
    ) -> None:
        self._server = server
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
        peer = Peer(self._server.reach(PATIENCE, self.context))
        self._peers.append(peer)
        return peer

    def connect_without_tls(self) -> Peer:
        """Connect as if the server used no TLS."""
        peer = Peer(self._server.reach(PATIENCE))
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
        return self.ask(handshake(target, *lines, **how))

    @staticmethod
    def new_key() -> str:
        """Make a key for a handler's report."""
        return str(next(_keys))

    def report(self, key: str) -> Any:
        """Wait for a handler's report."""
        return self.bystander.ask_for(f"report {key}")

    def now(self) -> float:
        """The seconds of the server's clock."""
        return self._server.now()

    def at_most(self, seconds: float) -> float:
        """
        Give how many seconds of the server's clock something may take that should take these.

        On the real clock, a busy machine holds up the test and the server.
        """
        return seconds + BUSY if isinstance(self._server, ServerProcess) else seconds

    @property
    def ws_url(self) -> str:
        """The URL of a server in a process."""
        assert isinstance(self._server, ServerProcess)
        return self._server.ws_url

    @property
    def url(self) -> str:
        """The same for plain requests."""
        assert isinstance(self._server, ServerProcess)
        return self._server.url

    @property
    def log(self) -> str:
        """Everything that the server has logged since the test began."""
        return "".join(self._server.lines[self._logged :])

    def settle(self) -> None:
        """Wait until the server has given back everything that it used for the test."""
        settled = self.bystander.settle(self.level)
        for name, count in settled.items():
            assert count <= self.level[name], f"{count} {name}, and {self.level[name]} before"

    def check(self) -> None:
        """Hang up, and check that nobody was harmed, and that nothing is left."""
        for peer in self._peers:
            peer.socket.close()
        with self.bystander:
            self.bystander.echo("still there")
            self.settle()
            with Peer(self._server.reach(PATIENCE, self.context)) as peer:
                peer.open("/echo")
                peer.echo("anybody")
                peer.send(close_frame())
                peer.read_rest()
            self.settle()
        assert self._server.is_running
        if not self.may_log_traceback:
            assert "Traceback" not in self.log, self.log

    def hang_up(self) -> None:
        """Close all connections of the test, without any checks."""
        for peer in [*self._peers, self.bystander]:
            peer.socket.close()
