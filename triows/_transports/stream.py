"""
A transport on a connection that our own server reads and writes, from the handshake on.

When data arrives, the task that waits for a message is woken directly. A message is written
straight to the system. A task for writing exists only while the system takes nothing more. So an
idle connection needs no task of its own, and a busy one waits only for its peer.

The stream never carries half a frame followed by another frame. Once the system has taken the
beginning of a frame, either the writing task finishes the frame or the connection ends.
"""

from __future__ import annotations

import math
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING

import trio

from triows._protocol.codec import Codec
from triows._protocol.upgrade import extension_factories, response_head
from triows._where import known_as
from triows.exceptions import WebSocketStateError

from .inbox import Inbox
from .interface import ACCEPTED_BESIDE, Ended, Traffic, disconnect, nobody, undelivered
from .outbox import Outbox
from .progress import Monitor, Progress
from .turn import STRETCH
from .wire import CHUNK, FIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triows._protocol.upgrade import Upgrade
    from triows._reply import Reply
    from triows._settings import Settings
    from triows.exceptions import WebSocketDisconnect

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


class _Probe:
    """
    A ping that is sent to find out whether the peer is still there.

    Args:
        number: The ping's number. Its pong repeats it.
        frame: The frame that is sent.
    """

    __slots__ = ("end", "frame", "number", "progress", "sent_at")

    def __init__(self, number: int, frame: bytes) -> None:
        self.number = number
        self.frame = frame
        self.sent_at = trio.current_time()
        #: The number of bytes sent on the connection up to the end of this ping. It is known
        #: once the system has taken the ping.
        self.end: int | None = None
        #: The peer's progress, until its system has acknowledged the ping.
        self.progress: Progress | None = None


class _Grace:
    """
    The turns in which a handler answers messages before the end that came together with them.

    It gets another one as long as it has taken or sent a message in the last one, because any
    call may end its turn.

    Args:
        turns: How many turns there are. A handler that sends without end can't use more.
    """

    __slots__ = ("_handled", "_turns")

    def __init__(self, turns: int) -> None:
        self._turns = turns
        # The first message may have been handed over before the first turn, so that one counts.
        self._handled: object = None

    def goes_on(self, handled: object) -> bool:
        """
        Tell after a turn whether the handler gets another one.

        Args:
            handled: What it has handled. This is compared with that of the turn before.
        """
        if not self._turns or handled == self._handled:
            return False
        self._turns -= 1
        self._handled = handled
        return True


class StreamTransport:
    """
    A :class:`~triows._transports.interface.Transport` on a connection of our own server.

    Args:
        wire: The connection. The transport owns it from now on.
        upgrade: What the handshake asks for.
        early: The bytes that arrived after the handshake and are already read.
        settings: The settings of the route.
        own_headers: Makes the headers that the server adds to each response.
        pinger: Says when it is time for a ping.
        turn: The server's turn, which counts the messages of all its connections.
    """

    can_ping = True
    outlives_cancellation = True

    __slots__ = (
        "__weakref__",
        "_accept_key",
        "_close_frame",
        "_closed_by_peer",
        "_codec",
        "_delivered",
        "_early",
        "_extensions",
        "_grace",
        "_hung_up",
        "_inbox",
        "_is_given_up",
        "_last_ping",
        "_monitor",
        "_nursery",
        "_outbox",
        "_own_headers",
        "_pinger",
        "_pings",
        "_probe",
        "_read_all",
        "_settings",
        "_turn",
        "_wants_read_all",
        "_wire",
        "accepted",
        "ended",
        "latency",
        "on_gone",
        "receive",
        "traffic",
    )

    def __init__(
        self,
        wire: Wire,
        upgrade: Upgrade,
        *,
        early: bytes,
        settings: Settings,
        own_headers: Callable[[], Headers],
        pinger: Pinger,
        turn: Turn,
    ) -> None:
        self.accepted = False
        self.ended: Ended | None = None
        self.on_gone: Callable[[], None] = nobody
        self.traffic = Traffic()
        self.latency: float | None = None
        self._wire = wire
        self._accept_key = upgrade.accept
        self._settings = settings
        self._own_headers = own_headers
        self._nursery: Starter | None = None
        # Reading.
        limits = settings.limits
        factories = extension_factories(settings.compression)
        extensions, self._extensions = upgrade.negotiate(factories)
        self._codec = Codec(
            message_size=limits.message_size, fragments=limits.fragments, extensions=extensions
        )
        self._turn = turn
        self._inbox = Inbox(limits.inbox, limits.inbox_size, self, turn)
        self.receive = self._inbox.receive
        # Bytes that came before accept().
        self._early = early
        # Whether the peer has closed its side. There may still be data from it to read.
        self._hung_up = False
        # Whether the peer has sent its close frame.
        self._closed_by_peer = False
        # While the handler answers the messages that came together with the end.
        self._grace: _Grace | None = None
        # Whether there is nothing more to read. Tasks that wait for that make the event.
        self._read_all = False
        self._wants_read_all: trio.Event | None = None
        # Writing. The outbox is made when something first has to wait.
        self._outbox: Outbox | None = None
        # Watches whether the peer takes what waits.
        self._monitor: Monitor | None = None
        # Whether the peer was found too slow, or the connection broke.
        self._is_given_up = False
        # Set when there is nothing left to deliver. Whoever waits for that makes it.
        self._delivered: trio.Event | None = None
        # Our own close frame. It is sent no matter what comes from the peer.
        self._close_frame: bytes | None = None
        # An event for each call of ping() that waits, by the number of the ping.
        self._pings: dict[int, trio.Event] | None = None
        self._last_ping = 0
        # Keepalive: the ping that waits for its pong.
        self._pinger = pinger
        self._probe: _Probe | None = None

    def start(self, nursery: Starter) -> None:
        self._nursery = nursery
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
        self._note_read_all()
        if self._early and not self.accepted:
            # What the peer has sent can still be delivered, and may say why it left.
            self.on_gone()
            return
        if self._codec.noticed:
            self._heed(self._codec)
        self._end(Ended(1006))

    @property
    def over(self) -> bool:
        return self._read_all

    @property
    def answered(self) -> bool:
        return self._closed_by_peer

    async def wait_over(self) -> None:
        if self._wants_read_all is None:
            self._wants_read_all = trio.Event()
            if self._read_all:
                self._wants_read_all.set()
        await self._wants_read_all.wait()

    def _note_read_all(self) -> None:
        self._read_all = True
        if self._wants_read_all is not None:
            self._wants_read_all.set()
        self._note_delivered()

    def hung_up(self) -> None:
        # What the peer has sent can still be read, and may say why it left.
        self._hung_up = True
        self._tell(Ended(1006))
        self._note_delivered()

    def _take(self, data: bytes) -> None:
        """Read frames, hand their messages to the inbox, and act on the control frames."""
        codec, inbox = self._codec, self._inbox
        self._turn.calls = 0  # other tasks have just had their turn
        # Data after the end is ignored (RFC 6455 section 5.5.1).
        messages, size = inbox.room if inbox.ended is None else _ANY
        found = codec.receive(data, messages, size)
        if found and inbox.ended is None:
            traffic = self.traffic
            traffic.messages_received += len(found)
            for _, length in found:
                traffic.bytes_received += length
            inbox.put_all_nowait(found)
        if codec.noticed:
            if found and codec.end is not None:
                # The handler may answer the messages before the close frame first.
                self._grace = _Grace(2 * len(found))
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
        if self._grace is not None:
            if self._grace.goes_on(self._handled()):
                self._wire.yield_turn()
                return
            self._grace = None
        self._take(b"")
        if not self._codec.pending:
            self._wire.resume()

    def _heed(self, codec: Codec) -> None:
        """Act on the control frames that were read, or on the peer's mistake."""
        codec.noticed = False
        for payload in codec.pongs:
            self._note_pong(payload)
        codec.pongs.clear()
        end = codec.end
        if end is not None:
            if end.by_peer:
                self._closed_by_peer = True
                # The peer may keep its side of TCP open (section 7.1.1), so don't wait for that.
                self._note_read_all()
            if self._outbox is not None:
                self._outbox.drop(but=self._close_frame)
        if codec.replies:
            replies, codec.replies = codec.replies, []
            self._reply(replies)
        if end is not None:
            if not self._outbox:
                # There is nothing more to send (section 7.1.1), even if the handler goes on for
                # a while.
                self._wire.send_eof()
            self._end(Ended(end.code, end.reason))

    def _reply(self, frames: list[bytes]) -> None:
        outbox = self._outbox
        if not outbox:
            self._hand_over(b"".join(frames))
            return
        for frame in frames:
            if frame[0] == _PONG:
                outbox.add_pong(frame)
            else:
                self._hand_over(frame)

    def _end(self, ended: Ended) -> None:
        """Note that the peer has ended the connection: nothing more will come."""
        if self._hung_up and self._inbox.ended is None:
            # hung_up() noticed the end before anybody knew how the connection ended.
            self.ended = ended
        self._inbox.close(ended)
        self._tell(ended)
        self._wake_pings()

    def _tell(self, ended: Ended) -> None:
        if self.ended is None:
            self.ended = ended
            if self._outbox is not None:
                self._outbox.wake()
            self.on_gone()

    def receive_nowait(self) -> str | bytes:
        return self._inbox.receive_nowait()

    # Writing.

    @known_as("WebSocket.send")
    async def send(self, message: str | bytes) -> None:
        text = isinstance(message, str)
        try:
            payload = message.encode() if isinstance(message, str) else message
        except UnicodeEncodeError:
            await trio.lowlevel.checkpoint()
            raise
        if self._is_busy():
            await self._send_later(payload, text=text)
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.ended is not None:
            raise await self._disconnected()
        if len(payload) < _LARGE:
            self._hand_over(self._codec.data_frame(payload, text=text))
        elif get_ident() != self._turn.thread:
            raise await self._turn.used_elsewhere()  # the system might not take all of it
        elif self._codec.compresses:
            self._hand_over(self._codec.data_frame(payload, text=text))
        else:
            self._hand_over_large(self._codec.plain_head(len(payload), text=text), payload)
        if self.ended is not None:  # the wire broke while it took the message
            raise await self._disconnected()
        traffic = self.traffic
        traffic.messages_sent += 1
        traffic.bytes_sent += len(payload)
        turn = self._turn
        turn.calls += 1
        if turn.calls >= STRETCH:
            # Only after the write, so that no other message goes out before this one.
            await turn.end()

    def _is_busy(self) -> bool:
        """Whether a message has to queue behind others."""
        outbox = self._outbox
        return outbox is not None and (bool(outbox) or outbox.lock.locked())

    async def _send_later(self, payload: bytes, *, text: bool) -> None:
        """
        Wait for the messages before this one, and for room in the outbox.

        There is no time limit while the peer makes progress. If it makes none, the monitor ends
        the connection (see _note_look()).
        """
        await self._turn.check_loop()
        outbox = self._outbox
        assert outbox is not None
        async with outbox.lock:
            while self.ended is None and not outbox.has_room(len(payload)):
                await outbox.wait_progress()
            if self.ended is not None:
                raise await self._disconnected()
            self._hand_over(self._codec.data_frame(payload, text=text))
            if self.ended is not None:
                raise await self._disconnected()
            self.traffic.count_sent(len(payload))

    async def _disconnected(self) -> WebSocketDisconnect:
        """Pass a checkpoint, then make the error for a call after the connection's end."""
        await trio.lowlevel.checkpoint()
        assert self.ended is not None
        return disconnect(self, self.ended)

    def _hand_over(self, frame: bytes) -> None:
        """
        Give a frame to the system. What the system doesn't take goes into the outbox.

        The frame may be empty.
        """
        sent = 0
        if not self._outbox:
            try:
                sent = self._wire.send_nowait(frame)
            except OSError:
                self._turn.call(self.write_failed)
                return
        self._let_wait(memoryview(frame)[sent:] if sent else frame)

    def _let_wait(self, rest: bytes | memoryview) -> None:
        """
        Put the rest of a frame into the outbox, if there is a rest.

        A ``memoryview`` means that the system has already taken the beginning of the frame.
        """
        if not rest:
            return
        if self._outbox is None:
            self._outbox = Outbox(self._wire, self, limit=self._settings.limits.outbox)
        assert self._nursery is not None
        self._outbox.add(rest)
        # A small message from another loop may come here, too. It has begun, so it goes out.
        self._turn.call(partial(self._outbox.start, self._nursery))

    def _hand_over_large(self, head: bytes, payload: bytes) -> None:
        """Give a frame to the system in two pieces, without a copy. The outbox must be empty."""
        try:
            sent = self._wire.send_pieces_nowait((head, payload))
        except OSError:
            self.write_failed()
            return
        if sent >= len(head):
            self._let_wait(memoryview(payload)[sent - len(head) :])
        else:
            self._let_wait(memoryview(head + payload)[sent:] if sent else head + payload)

    # Called by the outbox.

    def writing(self) -> None:
        self._watch()

    def write_failed(self) -> None:
        ended = self.ended
        if ended is not None and self._is_told(ended):
            self.ended = undelivered(ended)
        self._break(Ended(1006))

    def frame_taken(self, frame: object, end: int) -> None:
        if self._probe is not None and self._probe.frame is frame:
            self._probe.end = end

    def written(self) -> None:
        if self._codec.end is not None and not self._codec.noticed:
            self._wire.send_eof()  # the close frame was the last frame
        if self._monitor is not None and self._delivered is None:
            self._monitor.stop()
        self._note_delivered()

    def _break(self, ended: Ended) -> None:
        """End the connection: nothing can be sent any more, and no answer will come."""
        self._is_given_up = True
        self._end(ended)
        self._note_read_all()
        if self._outbox is not None:
            self._outbox.clear()

    # Delivering: either the peer gets what was handed over, or it is found too slow.

    def _acknowledged(self) -> int:
        return self._wire.taken - self._wire.unacknowledged()

    def _watch(self) -> None:
        """Watch the peer's progress from now on, unless it was already found too slow."""
        if self._is_given_up:
            return
        if self._monitor is None:
            patience = self._settings.timeouts.send
            self._monitor = Monitor(self._acknowledged, self._pinger, patience, self._note_look)
        self._monitor.start()

    def _note_look(self, why: str | None) -> None:
        """Take the monitor's finding: *why* the peer is too slow, or ``None`` if it isn't."""
        if why is not None:
            self._give_up(why)
        self._note_delivered()

    def _give_up(self, why: str) -> None:
        """
        Close with 1008, because the peer is too slow.

        From then on, the time that aclose() is given is the limit.
        """
        self._is_given_up = True
        if self.ended is None:
            self.fail(1008, why)
            return
        outbox, frame = self._outbox, self._close_frame
        if outbox is None or frame is None or outbox.has_begun(frame):
            return
        # Our close frame waits behind data that the peer doesn't take.
        outbox.drop(but=None)
        self.ended = Ended(1008, why)
        self._close_frame = self._codec.other_close_frame(1008, why)
        self._hand_over(self._close_frame)

    def _note_delivered(self) -> None:
        if self._delivered is not None and self.delivered:
            self._delivered.set()

    @property
    def delivered(self) -> bool:
        if self._is_given_up:
            return True
        # After a reset, nothing more is acknowledged.
        if (self._read_all or self._hung_up) and not self._closed_by_peer:
            return True
        if self._outbox:
            return False
        return self._closed_by_peer or self._wire.unacknowledged() <= FIN

    async def wait_delivered(self) -> None:
        if self.delivered:
            return
        self._delivered = trio.Event()
        self._watch()
        try:
            await self._delivered.wait()
        finally:
            self._delivered = None
            if self._monitor is not None and not self._outbox:
                self._monitor.stop()

    async def _flushed(self) -> None:
        if self._outbox is not None:
            await self._outbox.wait_empty()

    # Pings.

    async def ping(self) -> float:
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._turn.check_loop()
        if self.ended is not None:
            raise await self._disconnected()
        started = trio.current_time()
        number, frame = self._send_ping()
        if self.ended is not None:  # the wire broke while it took the ping
            raise await self._disconnected()
        if self._pings is None:
            self._pings = {}
        answered = self._pings[number] = trio.Event()
        try:
            await answered.wait()
        finally:
            self._pings.pop(number, None)
            if self._outbox is not None:
                self._outbox.discard_urgent(frame)
        if self.ended is not None:
            raise await self._disconnected()
        self.latency = trio.current_time() - started
        return self.latency

    def _send_ping(self) -> tuple[int, bytes]:
        """
        Send a ping, ahead of all frames that the system hasn't begun to take.

        Return its number and its frame.
        """
        self._last_ping += 1
        frame = self._codec.ping_frame(self._last_ping.to_bytes(4, "big"))
        if self._outbox:
            self._outbox.add_urgent(frame)
        else:
            self._hand_over(frame)
        return self._last_ping, frame

    def _note_pong(self, payload: bytes) -> None:
        """Take a pong. It answers its ping and all pings before (RFC 6455 section 5.5.3)."""
        number = int.from_bytes(payload, "big")
        if len(payload) != 4 or not number <= self._last_ping:
            return  # it answers no ping of ours
        if self._probe is not None and self._probe.number <= number:
            self.latency = trio.current_time() - self._probe.sent_at
            self._probe = None
            self._pinger.add(self, self._settings.timeouts.ping_interval)
        for earlier in [one for one in self._pings or () if one <= number]:
            self._pings.pop(earlier).set()  # type: ignore[union-attr]  # it has entries

    def _wake_pings(self) -> None:
        for event in (self._pings or {}).values():
            event.set()

    def on_due(self) -> None:
        """Send the next ping, or see what became of the last one. The pinger calls this."""
        if self.ended is not None:
            return
        probe = self._probe
        if probe is not None and probe.progress is not None:
            self._wait_for_arrival(probe, probe.progress)
        elif probe is None or self._codec.pending:
            # The inbox is full, so the pong may wait, unread, behind messages. The peer's system
            # has taken the last ping. To show that it is still there, it has to take another.
            self._send_probe()
        else:
            self._give_up_unanswered()

    def _send_probe(self) -> None:
        """
        Send a ping, and wait for its pong.

        The peer can't answer before the ping has arrived. That may take a while, because other
        frames wait before it, in the outbox and in our system. So the time for the pong begins
        when the peer's system has acknowledged the ping. Until then the peer only has to make
        progress.
        """
        probe = self._probe = _Probe(*self._send_ping())
        if not self._outbox:
            probe.end = self._wire.taken
        seconds = self._settings.timeouts.ping_timeout
        acknowledged = self._acknowledged()
        if probe.end is None or acknowledged < probe.end:
            probe.progress = Progress(seconds, probe.sent_at, acknowledged)
            seconds = probe.progress.interval
        self._pinger.add(self, seconds)

    def _wait_for_arrival(self, probe: _Probe, progress: Progress) -> None:
        """Check that the ping has arrived, or that the peer still takes what is before it."""
        acknowledged = self._acknowledged()
        if probe.end is not None and acknowledged >= probe.end:
            probe.progress = None
            self._pinger.add(self, self._settings.timeouts.ping_timeout)
        elif progress.look(trio.current_time(), acknowledged) is None:
            self._pinger.add(self, progress.interval)
        else:
            self._give_up_unanswered()

    def _give_up_unanswered(self) -> None:
        self._is_given_up = True
        self.fail(1011, "ping timeout")

    # The handshake and the end.

    async def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._turn.check_loop()
        if self.ended is not None:
            raise await self._disconnected()
        if self.accepted:
            await trio.lowlevel.checkpoint()
            raise WebSocketStateError(ACCEPTED_BESIDE)
        own: Headers = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", self._accept_key.encode()),
        ]
        if subprotocol is not None:
            own.append((b"sec-websocket-protocol", subprotocol.encode()))
        if self._extensions is not None:
            own.append((b"sec-websocket-extensions", self._extensions.encode()))
        self.accepted = True
        self._hand_over(response_head(101, [*own, *headers, *self._own_headers()]))
        seconds = self._settings.timeouts.ping_interval
        if seconds < math.inf:
            self._pinger.add(self, seconds)
        if self._early:
            early, self._early = self._early, b""
            self._take(early)
            if not self._codec.pending:
                self._wire.resume()
            if self._read_all:
                self.eof_received()

    async def reject(self, refusal: Reply) -> None:
        await self._turn.check_loop()
        if self.accepted:
            await trio.lowlevel.checkpoint()
            raise WebSocketStateError(ACCEPTED_BESIDE)
        if self.ended is None:
            last = [(b"connection", b"close")]  # no other request is read here
            headers = [one for one in refusal.headers if one[0] != b"connection"]
            head = response_head(refusal.status, [*headers, *last, *self._own_headers()])
            self._end_here(Ended(1006, "refused", refusal.status, refusal.why))
            self._hand_over(head + refusal.body)

    async def close(self, code: int, reason: str) -> None:
        await self._turn.check_loop()
        if self._codec.noticed:
            self._heed(self._codec)  # the peer was faster and has ended the connection
        if self.ended is None:
            self._close_frame = self._codec.close_frame(code, reason)
            self._end_here(Ended(code, reason))
            self._hand_over(self._close_frame)

    def fail(self, code: int, reason: str) -> None:
        if self.ended is None and self.accepted:
            self._codec.fail(code, reason)
            self._heed(self._codec)

    def _end_here(self, ended: Ended) -> None:
        """End the connection from our side. What was handed over still goes out."""
        self.ended = ended
        self._drop_unread(ended)
        if self._outbox is not None:
            self._outbox.wake()
        self._wake_pings()

    def _drop_unread(self, ended: Ended) -> None:
        """
        Drop everything that arrives from now on.

        It is still read, because the peer's close frame comes after it.
        """
        self._inbox.close(ended)
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
            if self._outbox or not (self._closed_by_peer or self._read_all):
                with trio.move_on_after(linger):
                    await self._linger()
        finally:
            self._stop()

    def _stop(self) -> None:
        """Close the wire, so that its tasks end."""
        self._pinger.discard(self)
        if self._monitor is not None:
            self._monitor.close()
        ended = self.ended
        if ended is not None and self._is_cut(ended):
            self.ended = undelivered(ended)
        if self._outbox is not None:
            self._outbox.cancel()
        self._wire.close(abort=bool(self._outbox))
        self._note_read_all()
        # Break the reference cycles, so that the objects are freed now and don't wait for the
        # garbage collector.
        self.on_gone, self._outbox, self._monitor = nobody, None, None
        self._codec.close()

    def _is_told(self, ended: Ended) -> bool:
        """Whether we ended the connection with a close frame that the peer hasn't answered."""
        return self.accepted and ended.code != 1006 and not self._closed_by_peer

    def _is_cut(self, ended: Ended) -> bool:
        """Whether such a close frame hasn't reached the peer's system."""
        if not self._is_told(ended):
            return False
        return bool(self._outbox) or self._wire.unacknowledged() > FIN

    async def _linger(self) -> None:
        await self._flushed()
        if not self._closed_by_peer:
            # If we closed while bytes are unread, the system would send a reset, which could
            # destroy what was sent last. So tell the peer that this was all, and let it close
            # first.
            self._wire.send_eof()
            await self.wait_over()

    def backlog(self) -> tuple[int, int, int]:
        waiting = 0 if self._outbox is None else self._outbox.size
        return len(self._inbox), self._inbox.size, waiting


# The first byte of a pong frame.
_PONG = 0x8A
