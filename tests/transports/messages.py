"""
A transport of whole messages, and its peer, for tests of code that uses transports.

The buffers on both sides have limits, so that a test sees the backpressure that a real peer would
cause.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

import trio

from triows._reply import Reply
from triows._transports.inbox import Inbox, payload_size
from triows._transports.interface import Ended, Traffic, disconnect, nobody
from triows._transports.pinger import Pinger
from triows.exceptions import WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triows._settings import Limits, Timeouts
    from triows._transports.interface import Starter

__all__ = ["MemoryPeer", "MemoryTransport", "memory_connection"]


class MemoryPeer:
    """
    The client's end.

    Args:
        messages: How many messages of the server may wait here unread before its sends block.
        size: How many bytes may wait.
    """

    def __init__(self, messages: int, size: int) -> None:
        #: ``None`` until the application asks for a transport. It may never do so.
        self.server: MemoryTransport | None = None
        self.inbox = Inbox(messages, size, self)
        #: Set when the server has accepted or refused, or has ended without doing so.
        self.answered = trio.Event()
        self.accepted = False
        self.subprotocol: str | None = None
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.refusal: Reply | None = None
        self._vanished = trio.Event()

    async def send(self, message: str | bytes) -> None:
        """Send to the server. Wait while its inbox is full."""
        assert self.server is not None, "there is nobody to send to before the answer"
        size = payload_size(message)
        await trio.lowlevel.checkpoint()
        while self.server.reading_paused and not self._vanished.is_set():
            await self.server.wait_reading()
        if self.inbox.ended is not None:
            raise disconnect(self, self.inbox.ended)
        if not self._vanished.is_set():
            self.server.deliver(message, size)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame. It is answered with the same code (RFC 6455 section 5.5.1)."""
        if self.server is not None and not self._vanished.is_set():
            self.server.peer_ended(Ended(code, reason))
        self.inbox.close(Ended(code, reason))

    def reset(self) -> None:
        """Cut the connection. Both sides notice at once, without a close frame (1006)."""
        self.close(1006, "")

    def vanish(self) -> None:
        """Disappear: nothing arrives any more, and the server isn't told."""
        self._vanished.set()

    @property
    def vanished(self) -> bool:
        return self._vanished.is_set()


class MemoryTransport:
    """
    The server's end, a :class:`~triows._transports.interface.Transport`.

    Args:
        peer: The client's end.
        limits: The limits of the inbox and of messages.
        timeouts: Only ``send`` and the two of pings are used.
    """

    around: trio.CancelScope | None = None
    timer: Pinger | None = None
    can_ping = True
    needs_nursery = False
    writer = None
    outlives_cancellation = True

    def __init__(self, peer: MemoryPeer, *, limits: Limits, timeouts: Timeouts) -> None:
        self.accepted = False
        self.ended: Ended | None = None
        self.on_gone: Callable[[], None] = nobody
        self.traffic = Traffic()
        self.latency: float | None = None
        self._peer = peer
        self._limits = limits
        self._timeouts = timeouts
        self._inbox = Inbox(limits.inbox, limits.inbox_size, self)
        self._send_lock = trio.Lock()
        self._over = trio.Event()
        self._heard_all = trio.Event()
        self._pinging = trio.CancelScope(shield=True)

    def start(self, nursery: Starter) -> None:
        # Everything else is done by the client's calls.
        if self._timeouts.ping_interval < math.inf:
            nursery.start_soon(self._keep_alive, name="<triows keepalive>")

    async def _keep_alive(self) -> None:
        with self._pinging:
            while self.ended is None:
                await trio.sleep(self._timeouts.ping_interval)
                if not self.accepted:
                    continue
                with trio.move_on_after(self._timeouts.ping_timeout) as scope:
                    try:
                        await self.ping()
                    except WebSocketDisconnect:
                        return
                if scope.cancelled_caught:
                    self.fail(1011, "ping timeout")

    # Called by the peer.

    @property
    def reading_paused(self) -> bool:
        return self._inbox.full

    async def wait_reading(self) -> None:
        await self._inbox.wait_room()

    def deliver(self, message: str | bytes, size: int) -> None:
        if self.ended is not None:
            return
        if size > self._limits.message_size:
            self.fail(1009, f"message over {self._limits.message_size} bytes")
            return
        self.traffic.count_received(size)
        self._inbox.put_nowait(message, size)

    def peer_ended(self, ended: Ended) -> None:
        if self.ended is None:
            self._end(ended)
            self.on_gone()

    # The transport.

    async def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        if self.ended is not None:
            await trio.lowlevel.checkpoint()
            self._raise_ended()
        self.accepted = self._peer.accepted = True
        self._peer.subprotocol = subprotocol
        self._peer.headers = headers
        self._peer.answered.set()
        await trio.lowlevel.checkpoint()

    async def reject(self, refusal: Reply) -> None:
        if self.ended is None:
            self._peer.refusal = refusal
            self._end(Ended(1006, "refused", refusal.status))
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def receive(self) -> str | bytes:
        return await self._inbox.receive()

    def receive_nowait(self) -> str | bytes:
        return self._inbox.receive_nowait()

    async def send(self, message: str | bytes) -> None:
        size = payload_size(message)
        if self.ended is not None:
            await trio.lowlevel.checkpoint()
            self._raise_ended()
        async with self._send_lock:
            with trio.move_on_after(self._timeouts.send) as scope:
                # A close on either side ends the wait, because it closes the client's inbox.
                await self._peer.inbox.wait_room()
            if scope.cancelled_caught:
                self.fail(1008, "send timed out")
            if self.ended is not None:
                self._raise_ended()
            self.traffic.count_sent(size)
            self._peer.inbox.put_nowait(message, size)

    def _raise_ended(self) -> NoReturn:
        assert self.ended is not None
        raise disconnect(self, self.ended)

    async def ping(self) -> float:
        started = trio.current_time()
        await trio.lowlevel.checkpoint()
        if self._peer.vanished:
            await self._over.wait()
        if self.ended is not None:
            self._raise_ended()
        self.latency = trio.current_time() - started
        return self.latency

    async def close(self, code: int, reason: str) -> None:
        if self.ended is None:
            self._end(Ended(code, reason))
        await trio.lowlevel.cancel_shielded_checkpoint()

    @property
    def over(self) -> bool:
        return self._heard_all.is_set()

    @property
    def answered(self) -> bool:
        # A peer that is there answers at once.
        return self.ended is not None and not self._peer.vanished

    async def wait_over(self) -> None:
        await self._heard_all.wait()

    def fail(self, code: int, reason: str) -> None:
        if self.ended is None:
            self._end(Ended(code, reason))
            self.on_gone()

    def _end(self, ended: Ended) -> None:
        self.ended = ended
        self._over.set()
        if not self._peer.vanished:
            self._heard_all.set()
        self._inbox.close(ended)
        # A client that has vanished can't know how the connection ended.
        self._peer.inbox.close(Ended(1006) if self._peer.vanished else ended)
        self._peer.answered.set()

    @property
    def delivered(self) -> bool:
        """Everything is delivered at once."""
        return True

    async def wait_delivered(self) -> None:
        """Do nothing, because everything is delivered at once."""

    async def aclose(self, *, linger: float) -> None:
        # There is no closing handshake to wait for. If the owner was cancelled, the connection may
        # not have ended yet, and is cut.
        if self.ended is None:
            self._end(Ended(1006))
        self._pinging.cancel()
        self._heard_all.set()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def backlog(self) -> tuple[int, int, int]:
        return len(self._inbox), self._inbox.size, self._peer.inbox.size


def memory_connection(peer: MemoryPeer, *, limits: Limits, timeouts: Timeouts) -> MemoryTransport:
    """Make the server's end for a client."""
    server = peer.server = MemoryTransport(peer, limits=limits, timeouts=timeouts)
    return server
