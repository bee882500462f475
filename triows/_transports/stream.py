"""
A transport on a connection that our own server reads and writes, from the handshake on.

How far the connection has come is a state of each side (``state.py``).

When data arrives, the task that waits for a message is woken directly. A message is written
straight to the system. A task for writing exists only while the system takes nothing more. So an
idle connection needs no task of its own, and a busy one waits only for its peer.
"""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Final

import trio
from trio.lowlevel import checkpoint_if_cancelled

from triows._protocol.codec import Codec
from triows._protocol.frames import HEADS, SHORT, plain_head
from triows._protocol.responses import whole_response
from triows._protocol.upgrade import acceptance, extension_factories
from triows._where import known_as
from triows.exceptions import WebSocketStateError

from .delivery import Delivery
from .inbox import Inbox
from .interface import ACCEPTED_BESIDE, Ended, Traffic, disconnect, nobody, undelivered
from .keepalive import Keepalive
from .outbox import Outbox
from .state import Happening, Ours, Theirs, after
from .turn import STRETCH, Respite
from .wire import CHUNK, FIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triows._protocol.frames import Prepared
    from triows._protocol.upgrade import Upgrade
    from triows._reply import Reply
    from triows._settings import Settings
    from triows.exceptions import WebSocketDisconnect

    from .cork import Cork
    from .interface import Starter
    from .pinger import Pinger
    from .turn import Turn
    from .wire import Wire

__all__ = ["StreamTransport"]

Headers = list[tuple[bytes, bytes]]

#: From this size on (in bytes), a message isn't copied behind the head of its frame: the copy
#: would take longer than it takes to pass the system two pieces.
_LARGE = 2**14

# More room than can be used. It is for a reader that only looks for the peer's close frame.
_ANY = (2**31, 2**62)

# It is compared for each piece of data, and Python 3.11 is slow to find a member in its class.
_ENDED: Final = Ours.ENDED


class StreamTransport:
    """
    A :class:`~triows._transports.interface.Transport` on a connection of our own server.

    Args:
        wire: The connection. The transport owns it from now on.
        upgrade: What the handshake asks for.
        early: The bytes that arrived after the handshake and are already read.
        settings: The settings of the route.
        own_lines: Makes the lines of the headers that the server adds to each response.
        pinger: Says when it is time for a ping.
        turn: The server's turn, which counts the messages of all its connections.
        cork: Flushes messages that are held back until the end of the turn.
    """

    can_ping = True
    needs_nursery = False
    outlives_cancellation = True

    __slots__ = (
        "__weakref__",
        "_accept_key",
        "_close_frame",
        "_codec",
        "_delivery",
        "_early",
        "_extensions",
        "_inbox",
        "_is_given_up",
        "_keepalive",
        "_ours",
        "_outbox",
        "_own_lines",
        "_respite",
        "_settings",
        "_theirs",
        "_turn",
        "_wants_read_all",
        "_wire",
        "accepted",
        "around",
        "ended",
        "on_gone",
        "receive",
        "timer",
        "traffic",
    )

    def __init__(
        self,
        wire: Wire,
        upgrade: Upgrade,
        *,
        early: bytes,
        settings: Settings,
        own_lines: Callable[[], bytes],
        pinger: Pinger,
        turn: Turn,
        cork: Cork,
    ) -> None:
        self.accepted = False
        self.around: trio.CancelScope | None = None
        self.timer = pinger
        self.ended: Ended | None = None
        self.on_gone: Callable[[], None] = nobody
        self.traffic = Traffic()
        self._ours: Ours = Ours.OPEN
        self._theirs: Theirs = Theirs.OPEN
        self._wire = wire
        self._accept_key = upgrade.accept
        self._settings = settings
        self._own_lines = own_lines
        # Reading.
        limits = settings.limits
        offered = extension_factories(settings.compression)
        extensions, self._extensions = upgrade.negotiate(offered)
        self._codec = Codec(
            message_size=limits.message_size, fragments=limits.fragments, extensions=extensions
        )
        self._turn = turn
        self._inbox = Inbox(limits.inbox, limits.inbox_size, self, turn)
        self.receive = self._inbox.receive
        # Bytes that came before accept().
        self._early = early
        # While the handler answers the messages that came together with the end.
        self._respite: Respite | None = None
        # Set when there is nothing more to read. Tasks that wait for that make it.
        self._wants_read_all: trio.Event | None = None
        # Writing.
        self._outbox = Outbox(wire, self, turn, cork, limit=limits.outbox)
        # Watches whether the peer takes what waits.
        self._delivery = Delivery(self, pinger, settings.timeouts.send)
        # Whether the peer was found too slow, or the connection broke.
        self._is_given_up = False
        # Our own close frame. It is sent no matter what comes from the peer.
        self._close_frame: bytes | None = None
        self._keepalive = Keepalive(self, pinger, settings.timeouts)

    def start(self, nursery: Starter) -> None:
        self._outbox.start(nursery)
        self._wire.start(nursery, self)

    # Reading: called by the wire.

    def data_received(self, data: bytes) -> None:
        if self.accepted:
            self._take(data)
        elif self.ended is None:
            # The peer may send at once, but nothing is answered before the handshake. We keep
            # reading, because we have to notice it if the peer leaves.
            self._early += data
            if len(self._early) >= CHUNK:
                self._wire.pause()

    def eof_received(self) -> None:
        self._note_read_all(Happening.EOF)
        if self._early and not self.accepted:
            # What the peer has sent can still be delivered, and may say why it left.
            self.on_gone()
            return
        if self._codec.noticed:
            self._heed(self._codec)
        self._end(Ended(1006))

    @property
    def over(self) -> bool:
        return self._theirs is Theirs.CLOSED or self._theirs is Theirs.GONE

    @property
    def answered(self) -> bool:
        return self._theirs is Theirs.CLOSED

    async def wait_over(self) -> None:
        if self._wants_read_all is None:
            self._wants_read_all = trio.Event()
            if self.over:
                self._wants_read_all.set()
        await self._wants_read_all.wait()

    def _note_read_all(self, why: Happening) -> None:
        self._theirs = after(self._theirs, why)
        if self._wants_read_all is not None:
            self._wants_read_all.set()
        self._delivery.note_change()

    def hung_up(self) -> None:
        # What the peer has sent can still be read, and may say why it left.
        self._theirs = after(self._theirs, Happening.HANG_UP)
        self._ours = after(self._ours, Happening.HANG_UP)
        self._tell(Ended(1006))
        self._delivery.note_change()

    def _take(self, data: bytes) -> None:
        """Read frames, hand their messages to the inbox, and act on the control frames."""
        codec, inbox = self._codec, self._inbox
        self._turn.begin()
        has_ended = self._ours is _ENDED
        messages, room = _ANY if has_ended else inbox.room()
        found = codec.receive(data, messages, room)
        if found and not has_ended:
            traffic, size = self.traffic, room - codec.room
            traffic.messages_received += len(found)
            traffic.bytes_received += size
            inbox.put_all_nowait(found, size)
        if codec.noticed:
            if found and codec.end is not None:
                # The handler may answer the messages before the close frame first.
                self._respite = Respite(2 * len(found))
                self._wire.yield_turn()
            else:
                self._heed(codec)
        if codec.pending:
            self._hold()

    def _hold(self) -> None:
        """Read on when the handler has taken a message, or other tasks have had their turn."""
        self._wire.pause()
        if self._inbox.full:
            # Don't read on at once: a handler that always finds a message never waits, and no
            # other task would run.
            self._inbox.on_room = self._wire.yield_turn
        else:
            self._wire.yield_turn()

    def _handled(self) -> tuple[int, int]:
        """Tell what changes when the handler takes or sends a message."""
        return len(self._inbox), self.traffic.messages_sent

    def on_turn(self) -> None:
        if self._respite is not None:
            if self._respite.goes_on(self._handled()):
                self._wire.yield_turn()
                return
            self._respite = None
        self._take(b"")
        if not self._codec.pending:
            self._wire.resume()

    def _heed(self, codec: Codec) -> None:
        """Act on the control frames that were read, or on the peer's mistake."""
        codec.noticed = False
        for payload in codec.pongs:
            self._keepalive.note_pong(payload)
        codec.pongs.clear()
        end = codec.end
        if end is not None:
            if end.by_peer:
                # The peer may keep its side of TCP open (section 7.1.1), so don't wait for that.
                self._note_read_all(Happening.CLOSE_FRAME)
            self._outbox.drop(but=self._close_frame)
        if codec.replies:
            replies, codec.replies = codec.replies, []
            self._outbox.send_control(replies)
        if end is not None:
            if not self._outbox:
                # There is nothing more to send (section 7.1.1), even if the handler goes on for
                # a while.
                self._wire.send_eof()
            self._end(Ended(end.code, end.reason))

    def _end(self, ended: Ended) -> None:
        """Note that the peer has ended the connection: nothing more will come."""
        if self._ours is Ours.LEFT:
            self.ended = ended  # when the peer hung up, nobody knew how the connection ended
        self._close_inbox(ended)
        self._tell(ended)
        self._keepalive.wake()

    def _close_inbox(self, ended: Ended) -> None:
        self._ours = after(self._ours, Happening.END)
        self._inbox.close(ended)

    def _tell(self, ended: Ended) -> None:
        if self.ended is None:
            self.ended = ended
            self._outbox.wake()
            self.on_gone()

    def receive_nowait(self) -> str | bytes:
        return self._inbox.receive_nowait()

    # Writing.

    @known_as("WebSocket.send")
    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            text = True
            try:
                payload = message.encode()
            except UnicodeEncodeError:
                await trio.lowlevel.checkpoint()
                raise
        else:
            text, payload = False, message
        await checkpoint_if_cancelled()
        if self.ended is not None:
            raise await self._disconnected()
        size = len(payload)
        if self._extensions is None and size < _LARGE:
            head = HEADS[text][size] if size <= SHORT else plain_head(size, text=text)
            handed = self._outbox.post(head + payload, self._inbox.waiting)
        else:
            handed = self._post_other(payload, text=text)
        if not handed:
            await self._send_later(payload, text=text)
            return
        if self.ended is not None:  # the wire broke while it took the message
            raise await self._disconnected()
        traffic = self.traffic
        traffic.messages_sent += 1
        traffic.bytes_sent += size
        turn = self._turn
        turn.calls += 1
        if turn.calls >= STRETCH:
            # Only after the write, so that no other message goes out before this one.
            await turn.end()

    def _post_other(self, payload: bytes, *, text: bool) -> bool:
        """Hand over a message that is large or compressed, unless it has to queue behind others."""
        outbox = self._outbox
        if self._extensions is None:
            return outbox.post_pieces(plain_head(len(payload), text=text), payload)
        if outbox.is_busy:
            return False
        return outbox.post(self._codec.data_frame(payload, text=text), self._inbox.waiting)

    async def _send_later(self, payload: bytes, *, text: bool) -> None:
        """
        Wait for the messages before this one, and for room in the outbox.

        There is no time limit while the peer makes progress. If it makes none, the monitor ends
        the connection (see _note_look()).
        """
        await self._turn.check_loop()
        outbox = self._outbox
        async with outbox.lock:
            while self.ended is None and not outbox.has_room(len(payload)):
                await outbox.wait_progress()
            if self.ended is not None:
                raise await self._disconnected()
            outbox.send(self._codec.data_frame(payload, text=text))
            if self.ended is not None:
                raise await self._disconnected()
            self.traffic.count_sent(len(payload))

    def post(self, prepared: Prepared) -> bool:
        if self.ended is not None:
            return True
        plain, outbox = self._extensions is None, self._outbox
        frame = prepared.plain if plain else self._codec.shared_frame(prepared)
        if not outbox.post(frame, None) and not outbox.queue(frame, prepared.size):
            return False
        if self.ended is None:  # the wire didn't break while it took the message
            traffic = self.traffic
            traffic.messages_sent += 1
            traffic.bytes_sent += prepared.size
        return True

    async def _disconnected(self) -> WebSocketDisconnect:
        """Pass a checkpoint, then make the error for a call after the connection's end."""
        await trio.lowlevel.checkpoint()
        assert self.ended is not None
        return disconnect(self, self.ended)

    # Called by the outbox.

    def writing(self) -> None:
        if not self._is_given_up:
            self._delivery.watch()

    def write_failed(self) -> None:
        self._note_undelivered()
        self._break(Ended(1006))

    def frame_taken(self, frame: object, end: int) -> None:
        self._keepalive.note_taken(frame, end)

    def written(self) -> None:
        if self._codec.end is not None and not self._codec.noticed:
            self._wire.send_eof()  # the close frame was the last frame
        self._delivery.note_written()

    def _break(self, ended: Ended) -> None:
        """End the connection: nothing can be sent any more, and no answer will come."""
        self._is_given_up = True
        self._end(ended)
        self._note_read_all(Happening.EOF)
        self._outbox.clear()

    # Delivering: either the peer gets what was handed over, or it is found too slow.

    def acknowledged(self) -> int:
        return self._wire.taken - self._wire.unacknowledged()

    def give_up(self, why: str) -> None:
        """
        Close with 1008, because the peer is too slow.

        From then on, the time that aclose() is given is the limit.
        """
        self._is_given_up = True
        if self.ended is None:
            self.fail(1008, why)
            return
        outbox, frame = self._outbox, self._close_frame
        if frame is None or outbox.has_begun(frame):
            return
        # Our close frame waits behind data that the peer doesn't take.
        outbox.drop(but=None)
        self.ended = Ended(1008, why)
        self._close_frame = self._codec.other_close_frame(1008, why)
        self._outbox.send(self._close_frame)

    @property
    def has_sent(self) -> bool:
        return not self._outbox

    @property
    def delivered(self) -> bool:
        if self._is_given_up:
            return True
        # After a reset, nothing more is acknowledged.
        if self._theirs is Theirs.HUNG_UP or self._theirs is Theirs.GONE:
            return True
        if self._outbox:
            return False
        return self.answered or self._wire.unacknowledged() <= FIN

    async def wait_delivered(self) -> None:
        if not self.delivered:
            await self._delivery.wait()

    # Pings.

    async def ping(self) -> float:
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._turn.check_loop()
        if self.ended is not None:
            raise await self._disconnected()
        seconds = await self._keepalive.ping()
        if self.ended is not None:
            raise await self._disconnected()
        self._keepalive.latency = seconds
        return seconds

    @property
    def latency(self) -> float | None:
        return self._keepalive.latency

    # Called by the keepalive.

    @property
    def holds_back(self) -> bool:
        return self._codec.pending

    def send_ping(self, payload: bytes) -> bytes:
        frame = self._codec.ping_frame(payload)
        self._outbox.send_urgent(frame)
        return frame

    def withdraw_ping(self, frame: bytes) -> None:
        self._outbox.discard_urgent(frame)

    def all_taken(self) -> int | None:
        return None if self._outbox else self._wire.taken

    def give_up_unanswered(self) -> None:
        self._is_given_up = True
        self.fail(1011, "ping timeout")

    # The handshake and the end.

    async def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        await checkpoint_if_cancelled()
        if get_ident() != self._turn.thread:
            raise await self._turn.used_elsewhere()
        if self.ended is not None:
            raise await self._disconnected()
        if self.accepted:
            await trio.lowlevel.checkpoint()
            raise WebSocketStateError(ACCEPTED_BESIDE)
        self.accepted = True
        self._outbox.send(
            acceptance(self._accept_key, subprotocol, self._extensions, headers, self._own_lines())
        )
        self._keepalive.start()
        if self._early:
            early, self._early = self._early, b""
            self._take(early)
            if not self._codec.pending:
                self._wire.resume()
            if self.over:
                self.eof_received()

    async def reject(self, refusal: Reply) -> None:
        await self._turn.check_loop()
        if self.accepted:
            await trio.lowlevel.checkpoint()
            raise WebSocketStateError(ACCEPTED_BESIDE)
        if self.ended is None:
            whole = whole_response(refusal, self._own_lines())
            self._end_here(Ended(1006, "refused", refusal.status, refusal.why))
            self._outbox.send(whole)

    async def close(self, code: int, reason: str) -> None:
        if get_ident() != self._turn.thread:
            raise await self._turn.used_elsewhere()
        if self._codec.noticed:
            self._heed(self._codec)  # the peer was faster and has ended the connection
        if self.ended is None:
            self._close_frame = self._codec.close_frame(code, reason)
            self._end_here(Ended(code, reason))
            self._outbox.send(self._close_frame)

    def fail(self, code: int, reason: str) -> None:
        if self.ended is None and self.accepted:
            self._codec.fail(code, reason)
            self._heed(self._codec)

    def _end_here(self, ended: Ended) -> None:
        """End the connection from our side. What was handed over still goes out."""
        self.ended = ended
        self._drop_unread(ended)
        self._outbox.wake()
        self._keepalive.wake()

    def _drop_unread(self, ended: Ended) -> None:
        """
        Drop everything that arrives from now on.

        It is still read, because the peer's close frame comes after it.
        """
        self._close_inbox(ended)
        if not self.accepted:
            self._early = b""
            self._wire.resume()

    async def aclose(self, *, linger: float) -> None:
        if self.ended is None:  # only happens if the owner was cancelled
            self._end_here(Ended(1006))
        else:
            # After a hang-up, the inbox may still be open.
            self._drop_unread(self.ended)
        try:
            if self._outbox or not self.over:
                with trio.move_on_after(linger, shield=True):
                    await self._linger()
        finally:
            self._stop()

    def _stop(self) -> None:
        """Close the wire, so that its tasks end."""
        self._keepalive.close()
        # If the peer has answered, it has got our close frame, and the system need not be asked.
        if not self.answered and (self._outbox or self._wire.unacknowledged() > FIN):
            self._note_undelivered()
        self._wire.close(abort=bool(self._outbox))
        self._outbox.close()
        self._note_read_all(Happening.EOF)
        # Break the reference cycles, so that the objects are freed now and don't wait for the
        # garbage collector.
        self.on_gone = nobody
        self._delivery.close()
        self._codec.close()

    def _note_undelivered(self) -> None:
        """Note that a close frame with which we ended hasn't reached the peer's system."""
        ended = self.ended
        if ended is not None and ended.code != 1006 and self.accepted and not self.answered:
            self.ended = undelivered(ended)

    async def _linger(self) -> None:
        await self._outbox.wait_empty()
        if not self.answered:
            # If we closed while bytes are unread, the system would send a reset, which could
            # destroy what was sent last. So tell the peer that this was all, and let it close
            # first.
            self._wire.send_eof()
            await self.wait_over()

    @property
    def writer(self) -> trio.lowlevel.Task | None:
        return self._outbox.writer

    def backlog(self) -> tuple[int, int, int]:
        return len(self._inbox), self._inbox.size, self._outbox.size
