"""
A TCP connection with TLS, which needs no task, as a plain one needs none.

OpenSSL does no I/O here. It takes and makes encrypted bytes in memory, so a handshake, a message
and the end are all read when the reactor says that the socket is readable, and written at once.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Final

import trio
from attrs import Factory, frozen

from .wire import BROKEN, CHUNK, PIECES, READS, SocketWire, unacknowledged

if TYPE_CHECKING:
    import socket
    from collections import deque
    from collections.abc import Iterable, Iterator, Sequence

    from .interface import Starter
    from .reactor import Reactor
    from .wire import Sink

__all__ = ["TLS", "TLSWire"]

#: The most plain bytes that a record of TLS can have (RFC 8446 section 5.1).
_RECORD: Final = 2**14

#: How many encrypted bytes to read at a time. Together with what OpenSSL keeps of an incomplete
#: record, they are never more than a chunk of plain bytes.
_READ: Final = CHUNK - _RECORD

#: How many bytes may wait that answer what the peer sends, before it counts as broken. A peer that
#: asks for new keys again and again (RFC 8446 section 4.6.3), and doesn't read, would fill the
#: memory. The largest certificate chains take a third of this.
_MOST_ANSWERS: Final = CHUNK


@frozen(eq=False)
class TLS:
    """
    What all connections of one server share: the settings, and the memory for OpenSSL's bytes.

    That memory is empty between two calls. A connection with memory of its own would keep as much
    as its largest message took, because OpenSSL doesn't give it back.

    Make it in the thread that runs the server. OpenSSL's objects must not be used in two threads.
    """

    context: ssl.SSLContext
    #: Encrypted bytes, on their way to OpenSSL.
    incoming: ssl.MemoryBIO = Factory(ssl.MemoryBIO)
    #: Encrypted bytes, as OpenSSL has made them.
    outgoing: ssl.MemoryBIO = Factory(ssl.MemoryBIO)
    thread: int = Factory(get_ident)


class TLSWire(SocketWire):
    """
    A :class:`~triows._transports.wire.Wire` with TLS on a socket.

    The handshake begins with :meth:`start`. If it fails, the peer gets an alert, and
    ``eof_received`` is called when the peer has closed the connection. Nothing here bounds the
    time for that: whoever owns the wire closes it if it isn't :attr:`secured` in time.

    All counts are of plain bytes, but :meth:`unacknowledged` counts encrypted ones, which are a few
    more. So the peer's system has at least what is taken and not unacknowledged.

    Args:
        sock: A connected, non-blocking socket.
        reactor: Says when there is something to read.
        tls: The settings.
    """

    __slots__ = (
        "_flight",
        "_is_refused",
        "_nursery",
        "_owed",
        "_sealed",
        "_tls",
        "secured",
        "ssl_object",
        "taken",
    )

    send_file = None

    def __init__(self, sock: socket.socket, reactor: Reactor, tls: TLS) -> None:
        super().__init__(sock, reactor)
        self.taken = 0
        #: Whether the handshake is over and has succeeded.
        self.secured = False
        #: Tells what the handshake has found: the peer's certificate, the protocol, the cipher.
        #: Reading or writing through it would break the connection.
        self.ssl_object = tls.context.wrap_bio(tls.incoming, tls.outgoing, server_side=True)
        self._tls = tls
        # Whether the handshake has failed. What comes after that is dropped.
        self._is_refused = False
        # Encrypted bytes that the system hasn't taken yet: a chunk at most, and answers to the
        # peer. Nothing can overtake them. A record at a time would be less, but a large message
        # would cost half as much again.
        self._sealed = b""
        # How many of the plain bytes in there were not reported as taken: the last one, or none.
        # It makes the sender keep the rest of its piece, and call send_some() to have it written.
        self._owed = 0
        # Where a task may run that writes what the handshake says. There is none after it.
        self._nursery: Starter | None = None
        # Exists while that task runs.
        self._flight: trio.Event | None = None

    def start(self, nursery: Starter, sink: Sink) -> None:
        if not self.secured:
            self._nursery = nursery
        super().start(nursery, sink)

    # Reading.

    def on_readable(self) -> None:
        """Read and decrypt what is there, up to a limit. The reactor calls this."""
        for _ in range(READS):
            data = self._receive(_READ)
            if not (data and (self._is_refused or self._take(data))):
                return
            if len(data) < _READ or self._is_paused or self._fd < 0:
                return

    def _take(self, data: bytes) -> bool:
        """
        Decrypt bytes, send what OpenSSL answers, and hand over the rest.

        Returns:
            Whether more may come.
        """
        plain, goes_on = self._decrypt(data)
        if self._tls.outgoing.pending:
            goes_on &= self._answer(self._tls.outgoing.read())
        if plain:
            self._sink.data_received(plain)
        if not goes_on and self._fd >= 0:
            self._stop_reading()
        return goes_on

    def _decrypt(self, data: bytes) -> tuple[bytes, bool]:
        """Return the plain bytes, and whether more may come."""
        incoming, goes_on = self._tls.incoming, True
        pieces = []
        incoming.write(data)
        try:
            if not self.secured:
                self.ssl_object.do_handshake()
                self.secured = True
            # OpenSSL takes all there is: it keeps the beginning of a record elsewhere.
            while goes_on and incoming.pending:
                pieces.append(self.ssl_object.read(_RECORD))
                goes_on = pieces[-1] != b""
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            goes_on = False
        finally:
            if incoming.pending:
                incoming.read()  # it must not come to another connection
        return b"".join(pieces), goes_on

    def _stop_reading(self) -> None:
        """End the reading, because the peer has said its last in TLS, or has made a mistake."""
        if not self.secured:
            # If the socket were closed while bytes are unread, the system would send a reset,
            # which could destroy the alert. So let the peer close first.
            self._is_refused = True
            super().send_eof()
        elif self._is_paused:
            self._is_over = True  # it is told when reading goes on
        else:
            self.on_error()

    # What OpenSSL sends by itself: the handshake, alerts, new keys.

    def _answer(self, sealed: bytes) -> bool:
        """Send it. Return whether the connection can go on."""
        try:
            self._write(sealed)
        except OSError:
            return False
        if self._nursery is not None:
            self._go_on_shaking_hands(self._nursery)
        return len(self._sealed) <= CHUNK + _MOST_ANSWERS

    def _go_on_shaking_hands(self, nursery: Starter) -> None:
        """Let a task write the rest of what the handshake says. Nearly always, there is none."""
        if self._sealed and self._flight is None:
            self._flight = trio.Event()
            nursery.start_soon(self._finish_flight, self._flight, name="<triows TLS writer>")
        elif self.secured and not self._sealed:
            self._nursery = None

    async def _finish_flight(self, done: trio.Event) -> None:
        try:
            with suppress(*BROKEN):  # the reactor will notice it, or the wire was closed
                while self._sealed and self._fd >= 0:
                    await self._wait_writable()
                    self._write()
        finally:
            self._flight = None
            done.set()
            if self.secured:
                self._nursery = None

    # Writing.

    def send_nowait(self, data: bytes | memoryview) -> int:
        return self.send_pieces_nowait((data,))

    def send_pieces_nowait(self, pieces: Sequence[bytes | memoryview]) -> int:
        if self._sealed or get_ident() != self._tls.thread:
            return 0  # the caller lets it wait, and calls send_some() in the right thread
        return self._send(pieces)

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        while True:
            if self._flight is not None:
                await self._flight.wait()
            if self._fd < 0:
                raise trio.ClosedResourceError("the wire was closed")
            await self._wait_writable()
            if self._sealed:
                self._write()
            if not outbox:
                return 0
            # If nothing is sent, the system hasn't taken all of what was encrypted.
            sent = 0 if self._sealed else self._send(list(islice(outbox, PIECES)))
            if sent:
                return sent

    def _send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Encrypt and write as much as the system takes, up to a limit."""
        sent, self._owed = self._owed, 0
        if sent:
            pieces = [memoryview(pieces[0])[sent:], *pieces[1:]]
        for batch in _batches_of_a_turn(pieces):
            self._encrypt(batch)
            sent += len(batch)
            if self._sealed:
                self._owed = 1
                break
        sent -= self._owed
        self.taken += sent
        return sent

    def _encrypt(self, data: bytes | memoryview) -> None:
        try:
            self.ssl_object.write(data)
        finally:
            sealed = self._tls.outgoing.read()
        self._write(sealed)

    def _write(self, more: bytes = b"") -> None:
        """Give the system encrypted bytes. What it doesn't take waits."""
        sealed = self._sealed + more if self._sealed else more
        try:
            sent = self._socket.send(sealed)
        except BlockingIOError:
            sent = 0
        self._sealed = sealed[sent:]

    def unacknowledged(self) -> int:
        return unacknowledged(self._fd) + len(self._sealed)

    # The end.

    def _say_goodbye(self) -> None:
        """
        Send ``close_notify`` (RFC 8446 section 6.1), if the system takes it at once.

        It says that nothing is missing, so it isn't sent while something that was handed over is.
        """
        if self._sealed and not self._owed:
            with suppress(OSError):
                self._write()
        if self._sealed or self._owed or not self.secured:
            return
        try:
            with suppress(OSError):  # the peer hasn't said it yet, or the connection is broken
                self.ssl_object.unwrap()
        finally:
            goodbye = self._tls.outgoing.read()
        with suppress(OSError):
            self._socket.send(goodbye)

    def send_eof(self) -> None:
        if self._fd >= 0:
            self._say_goodbye()
        super().send_eof()
        self._sealed = b""  # it can't be written any more

    def close(self, *, abort: bool) -> None:
        if self._fd >= 0 and not abort:
            self._say_goodbye()
        super().close(abort=abort)


def _batches(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Join small pieces and cut large ones, so that a batch has at most a chunk."""
    batch: list[bytes | memoryview] = []
    room = CHUNK
    for piece in pieces:
        rest = piece
        while len(rest) > room:
            yield _joined([*batch, memoryview(rest)[:room]])
            rest = memoryview(rest)[room:]
            batch, room = [], CHUNK
        batch.append(rest)
        room -= len(rest)
    if room < CHUNK:
        yield _joined(batch)


def _joined(pieces: Sequence[bytes | memoryview]) -> bytes | memoryview:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _batches_of_a_turn(pieces: Sequence[bytes | memoryview]) -> Iterable[bytes | memoryview]:
    """
    Return the first few batches. Nearly always, there is only one.

    There is none if there are no bytes: OpenSSL doesn't say what it would do with that.
    """
    size = sum(map(len, pieces))
    if size > CHUNK:
        return islice(_batches(pieces), READS)
    return (_joined(pieces),) if size else ()
