"""A wire for tests. The test plays the system and the peer."""

from __future__ import annotations

import errno
import math
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol

from tests.raw import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame
from triows import Limits, Timeouts
from triows._headers import header_lines
from triows._protocol.upgrade import Upgrade
from triows._settings import Settings
from triows._transports.cork import Cork
from triows._transports.pinger import Pinger
from triows._transports.stream import StreamTransport
from triows._transports.turn import Turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from websockets.extensions import Extension

    from triows import Compression
    from triows._transports.wire import Sink

__all__ = [
    "QUIET",
    "ScriptedTLSWire",
    "ScriptedWire",
    "accepted",
    "close",
    "masked",
    "opened",
    "read_frames",
]

#: Without keepalive pings.
QUIET = Timeouts(ping_interval=math.inf)

#: The headers that the server adds to each response.
OWN_HEADERS = [(b"server", b"scripted")]


def masked(*messages: str | bytes) -> bytes:
    """Write messages as the peer sends them."""
    return b"".join(
        frame(TEXT, one.encode()) if isinstance(one, str) else frame(BINARY, one)
        for one in messages
    )


def close(code: int, reason: str = "") -> bytes:
    """Write the peer's close frame."""
    return close_frame(code, reason.encode())


def read_frames(
    data: bytes, extensions: list[Extension] | None = None, *, cut_short: bool = False
) -> list[Frame]:
    """
    Read what was sent to the peer with websockets' own client. All of it must be frames.

    Args:
        data: The bytes that were sent.
        extensions: The extensions that were negotiated.
        cut_short: Whether the last frame may be incomplete.
    """
    protocol = Protocol(CLIENT, max_size=None)
    protocol.extensions = extensions or []
    protocol.receive_data(data)
    frames = [event for event in protocol.events_received() if isinstance(event, Frame)]
    assert protocol.parser_exc is None
    if extensions:
        return frames
    whole = b"".join(frame.serialize(mask=False) for frame in frames)
    assert data.startswith(whole)
    if rest := data[len(whole) :]:
        # Either half a frame is left, or a close frame came, after which the client doesn't read.
        # Pings and pongs may still follow it (RFC 6455 sections 5.5.1 and 5.5.2).
        closed = bool(frames) and frames[-1].opcode is Opcode.CLOSE
        assert closed or cut_short
        more = read_frames(rest, cut_short=cut_short) if closed else []
        assert {frame.opcode for frame in more} <= {Opcode.PING, Opcode.PONG}
        frames += more
    return frames


class ScriptedWire:
    """
    A wire in memory.

    Args:
        room: How many bytes the system takes. :meth:`take` makes it take more.
    """

    send_file = None

    def __init__(self, room: float = math.inf) -> None:
        self.room = room
        #: The bytes that the system has taken.
        self.sent = bytearray()
        #: What was passed to the system at once, call by call.
        self.calls: list[bytes] = []
        self.paused = False
        self.eofs = 0
        #: How often it was asked to let the system take more.
        self.rooms = 0
        #: How it was closed: ``"closed"`` or ``"reset"``.
        self.end: str | None = None
        #: Whether everything that is sent fails.
        self.is_broken = False
        #: How many of the bytes the peer's system has not acknowledged.
        self.unread = 0
        self._into: list[bytes | None] = []
        self._sink: Sink
        self._nursery: trio.Nursery
        self._changed = trio.Event()

    # The transport's side.

    def start(self, nursery: trio.Nursery, sink: Sink) -> None:
        self._sink = sink
        self._nursery = nursery
        nursery.start_soon(self._read)

    async def _read(self) -> None:
        with trio.CancelScope(shield=True):
            while self.end is None:
                if self._into and not self.paused:
                    data = self._into.pop(0)
                    if data is None:
                        self._sink.eof_received()
                        return
                    self._sink.data_received(data)
                    await trio.lowlevel.checkpoint()
                else:
                    await self._changed.wait()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._change()

    def make_room(self) -> None:
        self.rooms += 1

    def yield_turn(self) -> None:
        async def turn() -> None:
            await trio.lowlevel.checkpoint()
            if self.end is None:
                self._sink.on_turn()

        self._nursery.start_soon(turn)

    def send_nowait(self, data: bytes) -> int:
        self._check()
        self.calls.append(bytes(data))
        return self._take(data)

    def send_pieces_nowait(self, pieces: Sequence[bytes]) -> int:
        return self.send_nowait(b"".join(pieces))

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        await self._wait_for_room()
        return self._take(b"".join(outbox))

    async def _wait_for_room(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self.room and not self.is_broken:
            await self._changed.wait()
        if self.end is not None:
            # Somebody closed the wire after this task was woken.
            raise OSError(errno.EBADF, "closed")
        self._check()

    def _check(self) -> None:
        assert self.end is None, "sent on a wire that is closed"
        if self.is_broken:
            raise ConnectionResetError

    def _take(self, data: bytes) -> int:
        taken = int(min(len(data), self.room))
        self.sent += data[:taken]
        self.room -= taken
        return taken

    def send_eof(self) -> None:
        if self.end is None:
            self.eofs += 1

    @property
    def taken(self) -> int:
        return len(self.sent)

    def unacknowledged(self) -> int:
        return self.unread

    def close(self, *, abort: bool) -> None:
        if self.end is None:
            self.end = "reset" if abort else "closed"
            self._change()

    # The system's side, and the peer's.

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def take(self, size: float = math.inf) -> None:
        """Take that many more bytes."""
        self.room += size
        self._change()

    def break_off(self) -> None:
        """Make everything that is sent from now on fail."""
        self.is_broken = True
        self._into.append(None)
        self._change()

    def says(self, *chunks: bytes) -> None:
        """Let bytes arrive, one chunk after the other. They wait while reading is paused."""
        self._into += chunks
        self._change()

    def leaves(self) -> None:
        """Close the peer's side. While reading is paused, this is reported as a hang-up."""
        self._into.append(None)
        self._change()
        if self.paused:
            self._sink.hung_up()

    @property
    def head(self) -> bytes:
        """The response's head."""
        return bytes(self.sent).partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        """The bytes after the response's head."""
        return bytes(self.sent).partition(b"\r\n\r\n")[2]

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """The opcodes and payloads of the frames that were sent. All of them must be whole."""
        cut_short = self.is_broken or self.end == "reset"
        frames = read_frames(self.body, cut_short=cut_short)
        return [(int(frame.opcode), bytes(frame.data)) for frame in frames]

    @property
    def messages(self) -> list[bytes]:
        return [payload for opcode, payload in self.frames if opcode in {TEXT, BINARY}]

    @property
    def pings(self) -> list[bytes]:
        return [payload for opcode, payload in self.frames if opcode == PING]

    @property
    def pongs(self) -> list[bytes]:
        return [payload for opcode, payload in self.frames if opcode == PONG]

    @property
    def close_code(self) -> int | None:
        """The code in the close frame."""
        for opcode, payload in self.frames:
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")
        return None


#: How many bytes the scripted TLS encrypts at a time.
BATCH = 100


class ScriptedTLSWire(ScriptedWire):
    """
    The same with TLS: it takes more than the system does, apart from the last byte of that.

    What is encrypted has to go out before anything else, so the sender must not drop that byte.
    """

    def __init__(self, room: float = math.inf) -> None:
        super().__init__(room)
        self._sealed = b""
        self._owed = b""
        self._taken = 0

    @property
    def taken(self) -> int:
        return self._taken

    def unacknowledged(self) -> int:
        return self.unread + len(self._sealed)

    def send_nowait(self, data: bytes) -> int:
        self._check()
        return 0 if self._sealed else self._seal(data)

    async def send_some(self, outbox: deque[bytes | memoryview]) -> int:
        sent = 0
        while outbox and not sent:
            if self._sealed:
                sealed = deque[bytes | memoryview]([self._sealed])
                self._sealed = self._sealed[await super().send_some(sealed) :]
            else:
                await self._wait_for_room()
                sent = self._seal(b"".join(outbox))
        return sent

    def _seal(self, data: bytes) -> int:
        assert data.startswith(self._owed), "the sender has dropped a byte that is encrypted"
        sealed = len(self._owed)
        while sealed < len(data) and not self._sealed:
            batch = data[sealed : sealed + BATCH]
            sealed += len(batch)
            self._sealed = batch[self._take(batch) :]
        self._owed = self._sealed[-1:]
        taken = sealed - len(self._owed)
        self._taken += taken
        return taken


@asynccontextmanager
async def opened(
    wire: ScriptedWire,
    *,
    early: bytes = b"",
    extensions: str | None = None,
    timeouts: Timeouts = QUIET,
    limits: Limits | None = None,
    compression: Compression | None = None,
    on_gone: Callable[[], None] = lambda: None,
) -> AsyncIterator[StreamTransport]:
    """Open a transport on *wire*, and run its tasks. It isn't accepted yet."""
    pinger, turn = Pinger(), Turn()
    cork = Cork(turn)
    transport = StreamTransport(
        wire,
        Upgrade("the key's answer", [], [] if extensions is None else [extensions]),
        early=early,
        settings=Settings(timeouts, limits or Limits(), compression),
        own_lines=lambda: header_lines(OWN_HEADERS),
        pinger=pinger,
        turn=turn,
        cork=cork,
    )
    transport.on_gone = on_gone
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pinger.run)
        nursery.start_soon(cork.run)
        while not cork.is_open:
            await trio.lowlevel.checkpoint()
        try:
            # Its tasks are shielded, so this nursery ends only if aclose() has ended them.
            async with trio.open_nursery() as tasks:
                transport.start(tasks)
                try:
                    yield transport
                finally:
                    with trio.CancelScope(shield=True):
                        await transport.aclose(linger=0)
            assert len(pinger) == 0
        finally:
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def accepted(wire: ScriptedWire, **settings: object) -> AsyncIterator[StreamTransport]:
    """
    Open and accept a transport.

    The response doesn't use up the wire's room.
    """
    room, wire.room = wire.room, math.inf
    async with opened(wire, **settings) as transport:  # type: ignore[arg-type]
        await transport.accept(None, [])
        while not wire.head:  # under TLS
            await trio.lowlevel.checkpoint()
        wire.room = room
        yield transport
