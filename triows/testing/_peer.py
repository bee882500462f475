"""
The client's side of a WebSocket. It behaves as a browser does, or misbehaves on request.

It uses the :class:`ClientCodec` for RFC 6455, and one of the two ends: in memory or on a socket. So
a test works in the same way with both.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio
from attrs import define, field

from triows._protocol.client import (
    Answer,
    BadText,
    Broken,
    ClientCodec,
    Close,
    Event,
    Message,
    Ping,
    Pong,
)
from triows._transports.inbox import Inbox
from triows._transports.interface import Ended, disconnect
from triows._transports.wire import BROKEN

from ._client_side import ClientSide
from ._events import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from websockets.http11 import Response

    from triows._transports.interface import Starter

    from ._ends import End

__all__ = ["Peer"]

#: How a connection ends without a close frame.
_GONE = Ended(1006)

#: How many seconds the closing handshake may take when the client leaves. After that, the
#: connection is cut, as other clients do.
_LEAVING = 1.0


@define(eq=False)
class _WaitingPing:
    """A ping that waits for its pong."""

    data: bytes
    is_answered: bool = False
    #: Set when the pong has come, or can't come any more.
    over: trio.Event = field(factory=trio.Event)


class Peer(ClientSide):
    """
    The client's side of one connection.

    Args:
        end: The connection. This object owns it from now on.
        tasks: Runs the tasks of a connection with a delay.
        subprotocols: The subprotocols that it offers.
        messages: How many messages may wait unread before it stops reading.
        size: How many bytes of messages may wait unread.
        compression: Whether it offers permessage-deflate.
        slowness: Why the server may have cut the connection. It is the reason of such an end.
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
        slowness: str = "",
    ) -> None:
        super().__init__(end, tasks)
        self.inbox = Inbox(messages, size, self)
        #: Set when the server has answered the handshake, or the connection is over.
        self.answered = trio.Event()
        # Set when the server's close frame has come, or the connection is over.
        self._closed = trio.Event()
        #: The answer to the handshake, and the rule that the server has broken, if it has.
        self.response: Response | None = None
        self.mistake: Exception | None = None
        self.accepted = False
        self._slowness = slowness
        self._codec = ClientCodec(subprotocols=subprotocols, compression=compression)
        self._pings: deque[_WaitingPing] = deque()

    @property
    def handshake(self) -> list[tuple[str, str]]:
        """The headers that the request needs for RFC 6455, except ``Host``."""
        return self._codec.handshake

    @property
    def is_unanswered(self) -> bool:
        """Whether the connection was over before the server answered the handshake."""
        return self.over.is_set() and self.response is None and self.mistake is None

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose."""
        return self._codec.subprotocol

    # Reading.

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            self._codec.release()

    @property
    def _is_full(self) -> bool:
        return self.inbox.full

    async def _wait_room(self) -> None:
        await self.inbox.wait_room()

    async def _take(self, data: bytes) -> None:
        for event in self._codec.receive(data):
            if not isinstance(event, Answer | Broken):
                # A client without room reads nothing more, not even pings.
                while self.inbox.full:
                    await self.inbox.wait_room()
            self._take_event(event)
        await self._answer()

    def _take_event(self, event: Event) -> None:
        match event:
            case Message(content, size):
                self.events.add(f"received {shown(content)}")
                self.inbox.put_nowait(content, size)
            case Ping(data):
                self.events.add(f"received ping {shown(data)}")
            case Pong(data):
                self._take_pong(data)
            case Close(code, reason):
                self.events.add(f"received close {code} {reason!r}")
                self.inbox.close(Ended(code, reason))
                self._closed.set()
            case Answer():
                self._take_answer(event)
            case BadText(mistake):
                self.mistake = mistake
                text = shown(mistake.object)
                self.events.add(f"the server sent a text that isn't valid UTF-8: {text}")
            case Broken(mistake):
                self.mistake = mistake
                self.events.add(f"the server broke a rule: {mistake}")

    def _take_answer(self, answer: Answer) -> None:
        self.response = answer.response
        self.accepted = answer.accepted
        self.mistake = answer.mistake
        self.events.add(
            "the server accepted"
            if answer.accepted
            else f"the server refused: {answer.response.status_code}"
        )
        self.answered.set()

    def _take_pong(self, data: bytes) -> None:
        self.events.add(f"received pong {shown(data)}")
        while self._pings:
            ping = self._pings.popleft()
            ping.is_answered = True
            ping.over.set()
            if ping.data == data:
                break

    async def _answer(self) -> None:
        """Send the answers that RFC 6455 requires: pongs, and a close frame for a close frame."""
        for chunk in self._codec.answers():
            with suppress(*BROKEN):
                if chunk:
                    await self._write(partial(bytes, chunk))
                else:
                    self.send_eof()

    def _cut(self) -> Ended:
        """Say how a connection ended that neither the client nor a close frame has ended."""
        return Ended(1006, self.fault or self._slowness)

    def _ended(self, *, cut: bool) -> None:
        self.inbox.close(self._cut() if cut else _GONE)
        self.answered.set()
        self._closed.set()
        for ping in self._pings:
            ping.over.set()

    # Writing.

    async def _write_open(self, make: Callable[[], bytes]) -> None:
        try:
            await self._write(make)
        except BROKEN:
            raise disconnect(self, self.inbox.ended or self._cut()) from None

    async def write(self, data: bytes, event: str | None = None) -> None:
        """
        Send bytes as they are. See :meth:`_write` for what a cancellation does.

        Args:
            data: The bytes.
            event: The text for the log of events, if there should be one.

        Raises:
            WebSocketDisconnect: The connection is over.
        """

        def make() -> bytes:
            if event is not None:
                self.events.add(event)
            return data

        await self._write_open(make)

    async def send(self, message: str | bytes) -> None:
        """Send a message. See :meth:`write`."""

        def make() -> bytes:
            self._check_open()
            self.events.add(f"sent {shown(message)}")
            return self._codec.message(message)

        await self._write_open(make)

    def _check_open(self) -> None:
        if (ended := self.inbox.ended) is not None:
            raise disconnect(self, ended)
        if not self._codec.is_open:
            # The server's close frame has come, but messages before it are still unread.
            close = self._codec.close_received
            ended = self._cut() if close is None else Ended(close.code, close.reason)
            raise disconnect(self, ended)

    async def ping(self, data: bytes) -> None:
        """
        Send a ping, and wait for its pong.

        Raises:
            WebSocketDisconnect: The connection is over, or ended during the wait.
        """
        ping = _WaitingPing(data)

        def make() -> bytes:
            self._check_open()
            self.events.add(f"sent ping {shown(data)}")
            self._pings.append(ping)
            return self._codec.ping(data)

        await self._write_open(make)
        await ping.over.wait()
        if not ping.is_answered:
            raise disconnect(self, self.inbox.ended or self._cut())

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame, unless one was sent before. See :meth:`_write`."""

        def make() -> bytes:
            if not self.accepted or self._codec.has_sent_close or self.over.is_set():
                return b""
            self.events.add(f"sent close {code} {reason!r}")
            self.inbox.close(Ended(code, reason))
            return self._codec.close(code, reason)

        with suppress(*BROKEN):
            await self._write(make)

    async def leave(self) -> None:
        """Close the connection as clients do. Cut it if the client can't close it."""
        if self.has_vanished or self._stopped is not None:
            self.abandon()
        if self.accepted:
            with trio.move_on_after(_LEAVING + 2 * self._delay):
                await self.close(1000, "")
                # The server answers by itself, but first it has to read everything before that.
                await self._closed.wait()
                return
        self.abandon()
