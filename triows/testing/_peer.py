"""
The client's side of a WebSocket: what a browser does by itself, and what only faults do.

It speaks RFC 6455 by websockets' sans-I/O client, over either end of ``_ends``, in memory or on
a socket; so it can't tell the two apart, and neither can a test.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio
from attrs import define, field
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from triows._transports.inbox import Inbox
from triows._transports.interface import Ended, disconnect
from triows._transports.wire import CHUNK

from ._events import EventLog, shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from triows._transports.interface import Starter

    from ._ends import End

__all__ = ["Peer"]

_BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)

#: What ClientProtocol wants to know; the request is our own.
_URI = WebSocketURI(secure=False, host="testserver", port=80, path="/", query="")

#: Seconds that the closing handshake of a client that leaves may take before it is cut, as
#: clients do.
_LEAVING = 1.0

#: Chunks that may be on a long way at a time, in one direction.
_ON_THE_WAY = 64


class _LongWay:
    """
    A direction of a connection in which everything takes a while, and nothing overtakes.

    Args:
        deliver: Where chunks arrive.
    """

    def __init__(self, deliver: Callable[[bytes], Awaitable[None]]) -> None:
        #: Cancelled when the connection is over.
        self.scope = trio.CancelScope()
        self._deliver = deliver
        self._enter, self._leave = trio.open_memory_channel[tuple[float, bytes]](_ON_THE_WAY)

    async def send(self, chunk: bytes, seconds: float) -> None:
        """Let a chunk arrive in so many seconds."""
        await self._enter.send((trio.current_time() + seconds, chunk))

    async def run(self) -> None:
        """Deliver until the connection is over."""
        with self.scope:
            async for due, chunk in self._leave:
                await trio.sleep_until(due)
                with suppress(*_BROKEN):  # who reads sees it, too
                    await self._deliver(chunk)


@define(eq=False)
class _Ping:
    """One that waits for its pong."""

    data: bytes
    is_answered: bool = False
    #: Set when it is answered, or will not be.
    over: trio.Event = field(factory=trio.Event)


class Peer:
    """
    A client.

    Args:
        end: The connection, owned from now on.
        tasks: For what a connection needs that is far away.
        subprotocols: That it offers.
        messages: How many messages wait unread before it reads nothing more.
        size: How many bytes of them.
        compression: Whether it offers permessage-deflate.
    """

    def __init__(
        self,
        end: End,
        tasks: Starter,
        *,
        subprotocols: Sequence[str],
        messages: int,
        size: int,
        compression: bool = False,
    ) -> None:
        self.inbox = Inbox(messages, size, self)
        self.events = EventLog()
        #: Set when the server has answered the handshake, or the connection is over.
        self.answered = trio.Event()
        #: Set when nothing more will come.
        self.over = trio.Event()
        # Set when the server's close frame has come, or the connection is over.
        self._closed = trio.Event()
        #: The answer, once there is one; why it is none, if it is no good.
        self.response: Response | None = None
        self.mistake: Exception | None = None
        self.accepted = False
        self.has_vanished = False
        self._end = end
        self._tasks = tasks
        offered = [Subprotocol(one) for one in subprotocols] or None
        extensions = [ClientPerMessageDeflateFactory()] if compression else None
        self._protocol = ClientProtocol(
            _URI, subprotocols=offered, extensions=extensions, max_size=None
        )
        self._life = trio.CancelScope()
        # Around the waiting for bytes; and what to wait for before the next.
        self._receiving = trio.CancelScope()
        self._stopped: trio.Event | None = None
        self._delay = 0.0
        self._ways: tuple[_LongWay, _LongWay] | None = None
        self._sending = trio.Lock()
        # A message of which fragments are missing: whether it is text, and what has come.
        self._text = False
        self._parts: list[bytes] = []
        self._pings: deque[_Ping] = deque()

    @property
    def handshake(self) -> list[tuple[str, str]]:
        """The headers that its request needs for RFC 6455, but ``Host``."""
        return [
            (name, value)
            for name, value in self._protocol.connect().headers.raw_items()
            if name != "Host"
        ]

    @property
    def is_silent(self) -> bool:
        """Whether the server has to find out by itself that nobody is there."""
        return self._stopped is not None

    @property
    def is_unanswered(self) -> bool:
        """Whether the connection was over before the handshake was answered at all."""
        return self.over.is_set() and self.response is None and self.mistake is None

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._protocol.subprotocol

    # Reading.

    async def run(self) -> None:
        """Read until the connection is over, or :meth:`abandon`; never raises."""
        try:
            with self._life:
                await self._read()
        finally:
            for way in self._ways or ():
                way.scope.cancel()
            self._ways = None  # they know this
            self._note_over("the connection is over")
            self._end.close()
            # It and its parser know each other, and would stay until the next search for such
            # circles.
            self._protocol.parser.close()

    async def _read(self) -> None:
        with suppress(*_BROKEN):
            while data := await self._receive():
                if self._ways is None:
                    await self._take(data)
                else:
                    await self._ways[0].send(data, self._delay)
            if self._ways is None:
                await self._take(b"")
            else:
                await self._ways[0].send(b"", self._delay)
                await self.over.wait()
            return
        self._note_over("the connection was reset")

    async def _receive(self) -> bytes:
        while True:
            if self._stopped is not None:
                await self._stopped.wait()
            elif self.inbox.full:
                await self.inbox.wait_room()
            else:
                with trio.CancelScope() as self._receiving:
                    return await self._end.receive_some(CHUNK)

    async def _arrive(self, data: bytes) -> None:
        """Take what was on its way, unless nobody reads any more."""
        while self._stopped is not None:
            await self._stopped.wait()
        await self._take(data)

    async def _depart(self, data: bytes) -> None:
        """Hand over what was on its way, unless the peer has vanished meanwhile."""
        if not self.has_vanished:
            await self._end.send_all(data)

    async def _take(self, data: bytes) -> None:
        """Do what some bytes, or their end, ask for."""
        protocol = self._protocol
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        for event in protocol.events_received():
            if isinstance(event, Frame):
                # A client that is out of room reads nothing more, also no ping.
                while self.inbox.full:
                    await self.inbox.wait_room()
                self._take_frame(event)
            elif isinstance(event, Response):
                self._take_response(event)
        if protocol.parser_exc is not None and self.mistake is None:
            self.mistake = protocol.parser_exc
            self.events.add(f"the server broke a rule: {self.mistake}")
        await self._answer()
        if not data:
            self._note_over("the server closed the connection")

    def _take_response(self, response: Response) -> None:
        self.response = response
        mistake = self._protocol.handshake_exc
        self.accepted = mistake is None
        if mistake is not None and not isinstance(mistake, InvalidStatus):
            self.mistake = mistake
        self.events.add(
            "the server accepted"
            if self.accepted
            else f"the server refused: {response.status_code}"
        )
        self.answered.set()

    def _take_frame(self, frame: Frame) -> None:
        data = bytes(frame.data)
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                self._take_data(frame, data)
            case Opcode.PING:
                self.events.add(f"received ping {shown(data)}")
            case Opcode.PONG:
                self._take_pong(data)
            case Opcode.CLOSE:
                received = self._protocol.close_rcvd
                code, reason = (received.code, received.reason) if received else (1005, "")
                self.events.add(f"received close {code} {reason!r}")
                self.inbox.close(Ended(code, reason))
                self._closed.set()

    def _take_data(self, frame: Frame, data: bytes) -> None:
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self._parts.append(data)
        if frame.fin:
            whole = b"".join(self._parts)
            self._parts.clear()
            message: str | bytes = whole
            if self._text:
                try:
                    message = whole.decode()
                except UnicodeDecodeError as exc:
                    self.mistake = exc
                    self.events.add(
                        f"the server sent a text that isn't valid UTF-8: {shown(whole)}"
                    )
                    return
            self.events.add(f"received {shown(message)}")
            self.inbox.put_nowait(message, len(whole))

    def _take_pong(self, data: bytes) -> None:
        self.events.add(f"received pong {shown(data)}")
        while self._pings:
            ping = self._pings.popleft()
            ping.is_answered = True
            ping.over.set()
            if ping.data == data:
                break

    async def _answer(self) -> None:
        """Send what RFC 6455 asks for: pongs, and a close for a close."""
        for chunk in self._protocol.data_to_send():
            with suppress(*_BROKEN):
                if chunk:
                    await self._write(partial(bytes, chunk))
                elif not self.has_vanished:
                    self._end.send_eof()

    def _note_over(self, how: str) -> None:
        if self.over.is_set():
            return
        self.over.set()
        self.events.add(how)
        self.inbox.close(Ended(1006))
        self.answered.set()
        self._closed.set()
        for ping in self._pings:
            ping.over.set()

    # Writing.

    async def _write(self, make: Callable[[], bytes]) -> None:
        """
        Send what *make* gives when it is its turn.

        Cancelled before that, nothing is made and nothing sent; after that, a frame of which a
        part is missing can't be followed by anything, and the connection is cut.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        async with self._sending:
            data = make()
            try:
                if self.has_vanished:
                    await trio.lowlevel.checkpoint()
                elif self._ways is not None:
                    await self._ways[1].send(data, self._delay)
                else:
                    await self._end.send_all(data)
            except trio.Cancelled:
                self.reset()
                raise

    async def _write_open(self, make: Callable[[], bytes]) -> None:
        try:
            await self._write(make)
        except _BROKEN:
            raise disconnect(self, self.inbox.ended or Ended(1006)) from None

    async def write(self, data: bytes, event: str | None = None) -> None:
        """
        Send bytes. Cancelled before it is their turn, none is sent; then the connection is cut.

        Args:
            data: As they are.
            event: What is noted of them.

        Raises:
            WebSocketDisconnect: the connection is over.
        """

        def make() -> bytes:
            if event is not None:
                self.events.add(event)
            return data

        await self._write_open(make)

    async def send(self, message: str | bytes) -> None:
        """Send a message; as :meth:`write`."""

        def make() -> bytes:
            self._check_open()
            self.events.add(f"sent {shown(message)}")
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
            return self._made()

        await self._write_open(make)

    def _made(self) -> bytes:
        return b"".join(self._protocol.data_to_send())

    def _check_open(self) -> None:
        if (ended := self.inbox.ended) is not None:
            raise disconnect(self, ended)
        if self._protocol.state is not State.OPEN:
            # The server's close frame is behind messages that nobody has taken yet.
            close = self._protocol.close_rcvd
            ended = Ended(1006) if close is None else Ended(close.code, close.reason)
            raise disconnect(self, ended)

    async def ping(self, data: bytes) -> None:
        """
        Send a ping and wait for its pong.

        Raises:
            WebSocketDisconnect: the connection is over, also meanwhile.
        """
        ping = _Ping(data)

        def make() -> bytes:
            self._check_open()
            self.events.add(f"sent ping {shown(data)}")
            self._protocol.send_ping(data)
            self._pings.append(ping)
            return self._made()

        await self._write_open(make)
        await ping.over.wait()
        if not ping.is_answered:
            raise disconnect(self, self.inbox.ended or Ended(1006))

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame, once; cancelled before it is its turn, none."""

        def make() -> bytes:
            if not self.accepted or self._protocol.close_sent is not None or self.over.is_set():
                return b""
            self.events.add(f"sent close {code} {reason!r}")
            self._protocol.send_close(code, reason)
            self.inbox.close(Ended(code, reason))
            return self._made()

        with suppress(*_BROKEN):
            await self._write(make)

    async def leave(self) -> None:
        """Close as a client does that has seen enough; cut the connection where it can't."""
        if self.has_vanished or self._stopped is not None:
            self.abandon()
        if self.accepted:
            with trio.move_on_after(_LEAVING + 2 * self._delay):
                await self.close(1000, "")
                # A server answers by itself, but not before it has read all that came before.
                await self._closed.wait()
                return
        self.abandon()

    # Faults.

    def vanish(self) -> None:
        """Send nothing more, and hear nothing."""
        self.events.add("vanished")
        self.has_vanished = True
        self.stop_reading(noted=False)

    def stop_reading(self, *, noted: bool = True) -> None:
        """Read nothing more."""
        if noted:
            self.events.add("stopped reading")
        if self._stopped is None:
            self._stopped = trio.Event()
            self._receiving.cancel()

    def resume_reading(self) -> None:
        """Read again."""
        if self._stopped is not None and not self.has_vanished:
            self.events.add("reads again")
            self._stopped.set()
            self._stopped = None

    def reset(self) -> None:
        """Cut the connection."""
        self.events.add("reset the connection")
        self._end.reset()
        self._note_over("the connection was reset")
        self._life.cancel()

    def delay(self, seconds: float) -> None:
        """Let all that is sent from now on, in either direction, take so long."""
        self.events.add(f"everything takes {seconds:g} s from now on")
        self._delay = seconds
        if self._ways is None:
            self._ways = _LongWay(self._arrive), _LongWay(self._depart)
            for way in self._ways:
                self._tasks.start_soon(way.run, name="<long way>")

    def abandon(self) -> None:
        """End it without a word."""
        if not self.over.is_set():
            self._end.reset()
        self._life.cancel()
