"""
The client's side of one plain HTTP request.

It uses h11, a sans-I/O HTTP/1.1 that shares no code with the server's. Unlike a whole HTTP client,
it can write a body and read a response step by step, both at the same time, and it has the faults
of every client in a test.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import h11  # Hypercorn's
import trio

from triows.exceptions import Disconnected

from ._client_side import ClientSide
from ._events import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triows._transports.interface import Starter

    from ._ends import End

__all__ = ["HTTPDisconnect", "HTTPPeer"]

#: How many bytes the head of a response may have. httpx takes as many.
_HEAD = 100 * 2**10


class HTTPDisconnect(Disconnected, ConnectionError):
    """
    The connection of a plain request ended too early. The text says why.

    Either the response will not be complete, or no more of the request can be sent.
    """


class HTTPPeer(ClientSide):
    """
    The client's side of one request, on a connection of its own.

    Args:
        end: The connection. This object owns it from now on.
        tasks: Runs the tasks of a connection with a delay.
        size: How many bytes of the response's body may wait unread before it stops reading.
        lateness: Why the request may never have arrived.
    """

    def __init__(self, end: End, tasks: Starter, *, size: int, lateness: str = "") -> None:
        super().__init__(end, tasks)
        #: How many bytes may wait unread.
        self.size = size
        #: Set when the head of the response has come, or the connection is over.
        self.answered = trio.Event()
        self.head: h11.Response | h11.InformationalResponse | None = None
        #: Whether the whole response has come.
        self.is_complete = False
        #: The rule that the server has broken, if it has.
        self.mistake: h11.RemoteProtocolError | None = None
        self._lateness = lateness
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self._parts: deque[bytes] = deque()
        self._unread = 0
        # Replaced when the test takes a part, a part comes, or the connection is over.
        self._changed = trio.Event()

    # Reading.

    @property
    def _is_full(self) -> bool:
        return self._unread >= self.size

    async def _wait_room(self) -> None:
        await self._changed.wait()

    async def _take(self, data: bytes) -> None:
        try:
            self._protocol.receive_data(data)
            while self._take_event(self._protocol.next_event()):
                pass
        except h11.RemoteProtocolError as exc:
            if data and self.mistake is None:
                self.mistake = exc
                self.events.add(f"the server broke a rule: {exc}")
                self._note_change()
                self.answered.set()

    def _take_event(self, event: Any) -> bool:
        """Process what h11 has read. Return whether there may be more."""
        match event:
            case h11.Response() | h11.InformationalResponse(status_code=101):
                self._take_head(event)
            case h11.InformationalResponse():
                self.events.add(f"received {event.status_code}")
            case h11.Data():
                self._take_part(bytes(event.data))
            case h11.EndOfMessage():
                self.events.add("received the end of the response")
                self.is_complete = True
                self._note_change()
            case _:  # NEED_DATA, PAUSED or ConnectionClosed
                return False
        return True

    def _take_head(self, head: h11.Response | h11.InformationalResponse) -> None:
        self.events.add(f"received {head.status_code}")
        self.head = head
        self.is_complete = head.status_code == 101  # what comes after it isn't HTTP
        self.answered.set()

    def _take_part(self, part: bytes) -> None:
        if part:
            self.events.add(f"received {shown(part)}")
            self._parts.append(part)
            self._unread += len(part)
            self._note_change()

    def _ended(self, *, cut: bool) -> None:
        self.answered.set()
        self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def receive_head(self) -> h11.Response | h11.InformationalResponse:
        """
        Wait for the head of the response.

        Raises:
            HTTPDisconnect: It can't come any more.
        """
        await self.answered.wait()
        if self.head is None:
            raise self.disconnect()
        return self.head

    async def receive(self) -> bytes:
        """
        Wait for a part of the response's body. ``b""`` is its end. Cancelling this loses nothing.

        Raises:
            HTTPDisconnect: The connection ended before.
        """
        while not self._parts:
            if self.is_complete:
                return b""
            if self.over.is_set() or self.mistake is not None:
                raise self.disconnect()
            await self._changed.wait()
        part = self._parts.popleft()
        self._unread -= len(part)
        self._note_change()
        return part

    def disconnect(self) -> HTTPDisconnect:
        """Make the error for a connection that ended too early."""
        error = HTTPDisconnect(
            self.network_fault or "the application stopped before its response was complete"
        )
        error.__cause__ = self.mistake
        return error

    @property
    def network_fault(self) -> str:
        """What the test's network has to do with the end of the connection. Empty if nothing."""
        late = self.head is None and not self.has_arrived
        return self.fault or (self._lateness if late else "")

    # Writing.

    async def _send(self, event: h11.Event) -> None:
        await self._write(partial(self._made, event))

    def _made(self, event: h11.Event) -> bytes:
        return self._protocol.send(event) or b""

    async def send_head(
        self, method: bytes | str, target: bytes | str, headers: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """
        Send the head of the request.

        Raises:
            h11.LocalProtocolError: It can't be sent in HTTP/1.1.
            trio.BrokenResourceError: The connection is over.
        """
        request = h11.Request(method=method, target=target, headers=list(headers))
        self.events.add(f"sent {request.method.decode()} {request.target.decode()}")
        await self._send(request)

    async def send(self, part: bytes) -> None:
        """Send a part of the request's body. See :meth:`send_head`."""
        self.events.add(f"sent {shown(part)}")
        await self._send(h11.Data(data=part))

    async def send_end(self) -> None:
        """Send the end of the request's body. See :meth:`send_head`."""
        self.events.add("sent the end of the request")
        await self._send(h11.EndOfMessage())

    async def write(self, data: bytes) -> None:
        """Send bytes as they are. See :meth:`send_head`."""
        self.events.add(f"sent raw {data[:60]!r}")
        await self._write(lambda: data)

    # The end.

    def close(self) -> None:
        """Close the connection. What was sent still arrives, and nothing more is read."""
        if self.has_vanished or self.is_silent:
            self.abandon()
        else:
            self._note_over("closed the connection")
            self._life.cancel()
