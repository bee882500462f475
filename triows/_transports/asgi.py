"""
A transport on any ASGI server's ``receive`` and ``send``.

It has three tasks, which end with the connection. One reads ahead, so that it notices a peer that
leaves while the handler is busy. One writes: a handler that waits in ``send`` can be cancelled
even if the server's own ``send`` can't, and a message that has begun is always completed. The
third watches the one that writes.
See https://asgi.readthedocs.io/en/latest/specs/www.html#websocket.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import TYPE_CHECKING, NoReturn

import trio

from triows._errors import exc_info, is_a
from triows._where import known_as
from triows.exceptions import WebSocketDisconnect, WebSocketStateError

from .inbox import Inbox, payload_size
from .interface import ACCEPTED_BESIDE, Ended, Traffic, disconnect, nobody, undelivered
from .progress import STALLED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triows._protocol.frames import Prepared
    from triows._reply import Reply
    from triows._settings import Limits, Timeouts
    from triows.types import Message, Receive, Scope, Send

    from .interface import Starter
    from .pinger import Pinger

__all__ = ["ASGITransport"]


logger = logging.getLogger("triows")


class ASGITransport:
    """
    A :class:`~triows._transports.interface.Transport` on an ASGI connection.

    Args:
        scope: The connection's scope.
        receive: The server's function.
        send: The server's function.
        limits: How much may wait in each direction, and how large a message may be.
        timeouts: Only ``send`` is used.
        connected: Whether a middleware has received ``websocket.connect``. It comes only once.
    """

    around: trio.CancelScope | None = None
    timer: Pinger | None = None
    can_ping = False
    needs_nursery = True
    #: Its writer is a task of the owner's nursery.
    writer = None
    outlives_cancellation = False

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        limits: Limits,
        timeouts: Timeouts,
        connected: bool = False,
    ) -> None:
        self.accepted = self.answered = False
        self.ended: Ended | None = None
        self.on_gone: Callable[[], None] = nobody
        self.traffic = Traffic()
        self.latency: float | None = None
        self._extensions = scope.get("extensions") or {}
        self._http_version = scope.get("http_version", "1.1")
        self._asgi_receive = receive
        self._asgi_send = send
        self._limits = limits
        self._timeouts = timeouts
        self._inbox = Inbox(limits.inbox, limits.inbox_size, self)
        self._outbox: deque[tuple[Message, int]] = deque()
        self._outbox_size = 0
        # The lock is FIFO, so messages go out in the order in which send() was called.
        self._send_lock = trio.Lock()
        self._connected = trio.Event()
        if connected:
            self._connected.set()
        self._disconnected = trio.Event()
        # Why the acceptance could not be sent, if that was a mistake of our side.
        self._mistake: WebSocketStateError | None = None
        # Replaced each time the writer has taken something.
        self._progress = trio.Event()
        # Set when there is something to write.
        self._work = trio.Event()
        # The tasks shield themselves. aclose() cancels these scopes.
        self._reading = trio.CancelScope(shield=True)
        self._writing = trio.CancelScope(shield=True)
        # Its deadline is the time at which the server has had an event for too long.
        self._watching = trio.CancelScope(shield=True)

    def start(self, nursery: Starter) -> None:
        nursery.start_soon(self._read, name="<triows ASGI reader>")
        nursery.start_soon(self._write, name="<triows ASGI writer>")
        nursery.start_soon(self._watch, name="<triows ASGI watch>")

    # Reading.

    async def _read(self) -> None:
        with self._reading:
            try:
                while not self._disconnected.is_set():
                    self._take(await self._asgi_receive())
                    await self._inbox.wait_room()
            except Exception as exc:
                # The server's own connection broke, so the server reports that. To the
                # application, the peer is gone.
                logger.debug("ASGI receive failed", exc_info=exc_info(exc))
                self._end(Ended(1006))
            finally:
                self._disconnected.set()
                self._connected.set()

    def _take(self, event: Message) -> None:
        kind = event["type"]
        if kind == "websocket.connect":
            self._connected.set()
        elif kind == "websocket.receive":
            text = event.get("text")
            self._deliver(event.get("bytes") or b"" if text is None else text)
        elif kind == "websocket.disconnect":
            code = event.get("code")
            self._disconnected.set()
            # Our own bridge says 1006 if the peer has left without an answer. Other servers may
            # not know that.
            self.answered = code != 1006
            self._end(Ended(1005 if code is None else code, event.get("reason") or ""))

    def _deliver(self, message: str | bytes) -> None:
        if self.ended is not None:
            return  # ignore data after the close (RFC 6455 section 5.5.1)
        try:
            size = payload_size(message)
        except UnicodeEncodeError:
            self.fail(1007, "text that is not valid UTF-8")
            return
        if size > self._limits.message_size:
            self.fail(1009, f"message over {self._limits.message_size} bytes")
            return
        self.traffic.count_received(size)
        self._inbox.put_nowait(message, size)

    @known_as("WebSocket.receive")
    async def receive(self) -> str | bytes:
        return await self._inbox.receive()

    def receive_nowait(self) -> str | bytes:
        return self._inbox.receive_nowait()

    # Writing.

    async def _write(self) -> None:
        with self._writing:
            while True:
                while self._outbox:
                    await self._write_one(*self._outbox[0])
                self._work = trio.Event()
                await self._work.wait()

    async def _write_one(self, event: Message, size: int) -> None:
        """Give the server one event."""
        self._watching.deadline = trio.current_time() + self._timeouts.send
        try:
            if not self._connected.is_set():
                await self._connected.wait()
            await self._asgi_send(event)
        except Exception as exc:
            logger.debug("ASGI send failed", exc_info=exc_info(exc))
            self._disconnected.set()  # aclose() need not wait for the peer
            if is_a(exc, WebSocketDisconnect):  # our own bridge says why
                self._lose(Ended(exc.code, exc.reason))
            elif is_a(exc, WebSocketStateError) and event["type"] == "websocket.accept":
                self.accepted, self._mistake = False, exc
                self._lose(Ended(1011))  # whoever has answered before leaves it open
            else:
                self._lose(Ended(1006))
            return
        finally:
            self._watching.deadline = math.inf
        if self._outbox:
            self._outbox.popleft()
            self._outbox_size -= size
        self._progressed()

    async def _watch(self) -> None:
        """
        Fail the connection if the server takes too long over an event.

        This is a task of its own, because a server may shield its work, as Hypercorn does.
        """
        with self._watching:
            await trio.sleep_forever()
        if not self._reading.cancel_called:  # aclose() cancels both
            # After a half-written message, nothing else can be sent.
            self._writing.cancel()
            self._lose(Ended(1008, STALLED))

    def _lose(self, ended: Ended) -> None:
        """End the connection, because the server takes nothing more."""
        self._note_undelivered()
        self._outbox.clear()
        self._outbox_size = 0
        self._progressed()
        self._end(ended)

    def _note_undelivered(self) -> None:
        """Correct how the connection ended if the server hasn't taken our close."""
        closes = any(event["type"] == "websocket.close" for event, _ in self._outbox)
        if closes and self.accepted and self.ended is not None:
            self.ended = undelivered(self.ended)

    def _progressed(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    def _submit(self, event: Message, size: int = 0) -> None:
        self._outbox.append((event, size))
        self._outbox_size += size
        self._work.set()

    @property
    def delivered(self) -> bool:
        # Nobody tells us what the server does with an event. So an event that it has taken
        # counts as delivered.
        return not self._outbox

    async def wait_delivered(self) -> None:
        while self._outbox:
            await self._progress.wait()

    @known_as("WebSocket.send")
    async def send(self, message: str | bytes) -> None:
        try:
            size = payload_size(message)
        except UnicodeEncodeError:
            await trio.lowlevel.checkpoint()
            raise
        if self.ended is not None:
            await trio.lowlevel.checkpoint()
            self._raise_ended()
        async with self._send_lock:
            while self._must_wait(size):  # as long as the server takes events: see _watch()
                await self._progress.wait()
            if self.ended is not None:
                self._raise_ended()
            self._submit_message(message, size)

    def post(self, prepared: Prepared) -> bool:
        message, size = prepared.message, len(prepared.payload)
        if self.ended is not None:
            return True
        if self._send_lock.locked() or self._must_wait(size):
            return False
        self._submit_message(message, size)
        return True

    def _submit_message(self, message: str | bytes, size: int) -> None:
        key = "text" if isinstance(message, str) else "bytes"
        self._submit({"type": "websocket.send", key: message}, size)
        self.traffic.count_sent(size)

    def _must_wait(self, size: int) -> bool:
        # A message that is larger than the outbox goes alone.
        full = bool(self._outbox) and self._outbox_size + size > self._limits.outbox
        return full and self.ended is None

    def _raise_ended(self) -> NoReturn:
        assert self.ended is not None
        raise disconnect(self, self.ended)

    # The handshake and the end.

    async def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        await self._connected.wait()
        if self.ended is not None:
            self._raise_ended()
        if self.accepted:
            await trio.lowlevel.checkpoint()
            raise WebSocketStateError(ACCEPTED_BESIDE)
        self.accepted = True
        self._submit(
            {"type": "websocket.accept", "subprotocol": subprotocol, "headers": list(headers)}
        )
        # If the peer leaves during this wait, don't raise: it may have sent messages. After the
        # last of them, receive() says that it has left.
        await self.wait_delivered()
        if self._mistake is not None:
            raise self._mistake

    async def reject(self, refusal: Reply) -> None:
        if self.accepted:
            await trio.lowlevel.checkpoint()
            raise WebSocketStateError(ACCEPTED_BESIDE)
        if self.ended is None:
            if "websocket.http.response" in self._extensions:
                self._submit(
                    {
                        "type": "websocket.http.response.start",
                        "status": refusal.status,
                        "headers": [*refusal.headers, *self._last_words()],
                    }
                )
                self._submit({"type": "websocket.http.response.body", "body": refusal.body})
            else:
                self._submit({"type": "websocket.close", "code": 1000})
            self._end_here(Ended(1006, "refused", refusal.status, refusal.why))

    def _last_words(self) -> list[tuple[bytes, bytes]]:
        """
        Tell the client to send no other request on this connection.

        Hypercorn and other servers close the connection after a refusal. In Hypercorn, a request
        that arrives before the close even causes a crash. HTTP/2 has no such header (RFC 9113
        section 8.2.2).
        """
        return [(b"connection", b"close")] if self._http_version == "1.1" else []

    async def close(self, code: int, reason: str) -> None:
        if self.ended is None:
            self._submit({"type": "websocket.close", "code": code, "reason": reason})
            self._end_here(Ended(code, reason))

    @property
    def over(self) -> bool:
        return self._disconnected.is_set()

    async def wait_over(self) -> None:
        await self._disconnected.wait()

    def fail(self, code: int, reason: str) -> None:
        if self.ended is None:
            self._submit({"type": "websocket.close", "code": code, "reason": reason})
            self._end(Ended(code, reason))

    async def ping(self) -> float:
        raise NotImplementedError("ASGI has no pings")

    def _end_here(self, ended: Ended) -> None:
        """End the connection from our side. What was handed over still goes out."""
        self.ended = ended
        self._inbox.close(ended)
        self._progressed()

    def _end(self, ended: Ended) -> None:
        """Note that the connection has ended, unless we ended it ourselves."""
        if self.ended is None:
            self._end_here(ended)
            self.on_gone()

    async def aclose(self, *, linger: float) -> None:
        # A server may wait until we have taken all its messages, as Hypercorn does. So the reader
        # goes on and drops messages until the disconnect comes.
        try:
            with trio.move_on_after(linger, shield=True):
                await self.wait_delivered()
                if self.accepted:
                    await self._disconnected.wait()
        finally:
            self._note_undelivered()
            for scope in (self._reading, self._writing, self._watching):
                scope.cancel()

    def backlog(self) -> tuple[int, int, int]:
        return len(self._inbox), self._inbox.size, self._outbox_size
