"""The beginning of a connection from a proxy that introduces its client, before TLS."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from attrs import evolve

from triows._protocol.proxy_header import LONGEST, BadProxyHeader, ProxyHeaderReader, Whose
from triows._transports.reactor import Readable

from .log_lines import log_closed
from .proxy import Trusted

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows._transports.reactor import Reactor

    from .arrival import Addresses
    from .listening import Listener
    from .proxy import Proxy

__all__ = ["Introduction", "Introductions"]


class Introduction(Readable):
    """
    Reads the header of the PROXY protocol from a connection. It is a :class:`.Preface`.

    It looks at the bytes first, and takes only those that belong to the header. So whoever reads
    the connection after that gets what the client has sent.

    Args:
        sock: A connected, non-blocking socket, of which nothing was read.
        reactor: Says when there is something to read.
        ends: The ends of the connection.
    """

    __slots__ = ("_close", "_ends", "_fd", "_introduce", "_reactor", "_reader", "_socket")

    def __init__(self, sock: socket.socket, reactor: Reactor, ends: Addresses) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._reactor = reactor
        self._ends = ends
        self._reader = ProxyHeaderReader()

    def start(self, introduce: Callable[[Addresses], None], close: Callable[[], None]) -> None:
        """
        Begin to read. One of the two is called, once, unless the connection is closed before.

        Args:
            introduce: Called with the ends of the client's own connection, or with those of this
                one if the proxy doesn't tell the client's. From then on, nobody reads.
            close: Closes the connection, because it can't be served.
        """
        self._introduce, self._close = introduce, close
        self._reactor.add(self._fd, self)

    def on_readable(self) -> None:
        """Read what is there of the header. The reactor calls this."""
        try:
            self._read()
        except BadProxyHeader as exc:
            self.fail(str(exc))
        except BlockingIOError:
            pass
        except OSError:
            self.end()

    def _read(self) -> None:
        seen = self._socket.recv(LONGEST, socket.MSG_PEEK)
        if not seen:
            self.end()
            return
        self._socket.recv(self._reader.receive(seen))
        if (header := self._reader.header) is None:
            return
        self._reactor.discard(self._fd)
        ends = self._ends
        if header.whose is Whose.CLIENT:
            ends = evolve(ends, client=header.client, server=header.server)
        elif header.whose is Whose.UNKNOWN:
            ends = evolve(ends, is_hidden=True)
        self._introduce(ends)

    def fail(self, why: str) -> None:
        """Close the connection, and log why."""
        log_closed(self._ends, why)
        self._close()

    def end(self) -> None:
        """Close the connection, and log that if something of the header has come."""
        if self._reader.has_begun:
            self.fail("the PROXY header is incomplete")
        else:  # balancers connect and close again, to see whether somebody listens
            self._close()

    on_error = end

    # The reactor calls these only if they are asked for.

    def on_hangup(self) -> None: ...

    def on_turn(self) -> None: ...


class Introductions:
    """
    Knows which connections begin with a header of the PROXY protocol.

    Args:
        proxy: The proxies in front of the server.
        reactor: Reads for the connections.
    """

    def __init__(self, proxy: Proxy | None, reactor: Reactor) -> None:
        self._trusted = Trusted.by(proxy)
        self._reactor = reactor

    def expected(
        self, listener: Listener, sock: socket.socket, ends: Addresses
    ) -> Introduction | None:
        """
        Return what reads the header, or ``None`` if the connection has none.

        Raises:
            OSError: The peer isn't one of the proxies.
        """
        if not listener.introduced:
            return None
        if not self._trusted.covers(ends.client):
            log_closed(ends, "it isn't one of the proxies that may introduce clients")
            raise ConnectionRefusedError
        return Introduction(sock, self._reactor, ends)
