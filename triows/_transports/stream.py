"""
The Trio stream: a connection that is ours from its handshake on.

What is read wakes the task that waits for a message directly. Writing goes straight to the
system; a task for it exists only while the system takes nothing more. So an idle connection
costs no task of its own, and a busy one waits for nobody but its peer.

Whatever happens, the stream never carries a part of a frame that is followed by another: what
the system has begun to take is finished by the writing task, or the connection is over.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from triows._protocol.codec import Codec
from triows._protocol.upgrade import extension_factories, response_head
from triows._where import known_as

from .inbox import Inbox
from .interface import Ended, Refusal, Traffic, disconnect, nobody, undelivered
from .outbox import Outbox
from .progress import Monitor, Progress
from .turn import STRETCH
from .wire import CHUNK, FIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triows._protocol.upgrade import Upgrade
    from triows._settings import Settings
    from triows.exceptions import WebSocketDisconnect

    from .interface import Starter
    from .pinger import Pinger
    from .turn import Turn
    from .wire import Wire

__all__ = ["StreamTransport"]

Headers = list[tuple[bytes, bytes]]

#: Bytes of a message that are worth not to be copied behind a head: above, copying takes
#: longer than another system call's piece.
_LARGE = 2**14

# More room than can be used: for a reader that only looks for the peer's close frame.
_ANY = (2**31, 2**62)


class _Probe:
    """
    A ping that keeps a connection alive.

    Args:
        number: Its own.
        frame: What is sent.
    """

    __slots__ = ("end", "frame", "number", "progress", "sent_at")

    def __init__(self, number: int, frame: bytes) -> None:
        self.number = number
        self.frame = frame
        self.sent_at = trio.current_time()
        #: Its end among all bytes that are sent, once the system has taken it.
        self.end: int | None = None
        #: That of the peer, until its system has acknowledged the ping.
        self.progress: Progress | None = None


class StreamTransport:
    """
    A :class:`~triows._transports.interface.Transport` on a connection of our own.

    Args:
        wire: The connection, owned from now on.
        upgrade: What its handshake asks for.
        early: What came behind the handshake.
        settings: Of its route.
        own_headers: Makes the headers that the server adds to each response.
        pinger: Says when it is time for a ping.
        turn: The server's; counts the messages of all its connections.
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
        # The peer has closed its side, though not all it sent may have been read.
        self._hung_up = False
        # It has sent its close frame.
        self._closed_by_peer = False
        # There is nothing more to read; and the event for who waits for that.
        self._read_all = False
        self._wants_read_all: trio.Event | None = None
        # Writing: made when something first has to wait.
        self._outbox: Outbox | None = None
        # Watches whether the peer takes what waits; and whether it was found too slow.
        self._monitor: Monitor | None = None
        self._is_given_up = False
        # Set when there is nothing left to deliver; made by whoever waits for that.
        self._delivered: trio.Event | None = None
        # Ours, which is sent whatever comes from the peer.
        self._close_frame: bytes | None = None
        # Who waits for a pong, by the number of the ping.
        self._pings: dict[int, trio.Event] | None = None
        self._last_ping = 0
        # Keeping alive: the ping that waits for its pong.
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
            # The peer may send at once, but is not answered before the handshake is. That it
            # leaves has to be noticed.
            self._early += data
            if len(self._early) >= CHUNK:
                self._wire.pause()

    def eof_received(self) -> None:
        self._note_read_all()
        if self._early and not self.accepted:
            # What it has sent can still be delivered, and may tell why it left.
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
        # What it has sent can still be taken, and may tell why.
        self._hung_up = True
        self._tell(Ended(1006))
        self._note_delivered()

    def _take(self, data: bytes) -> None:
        """Read frames, hand over messages, and do what else they say."""
        codec, inbox = self._codec, self._inbox
        self._turn.calls = 0  # the others have just had theirs
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
                # The messages before it may be answered before it is.
                self._wire.yield_turn()
            else:
                self._heed(codec)
        if codec.pending:
            self._hold()

    def _hold(self) -> None:
        """Read on when the handler has taken something, or the others have had their turn."""
        self._wire.pause()
        if self._inbox.full:
            # Not at once: a handler that is never out of messages would let nobody run.
            self._inbox.on_room = self._wire.yield_turn
        else:
            self._wire.yield_turn()

    def on_turn(self) -> None:
        self._take(b"")
        if not self._codec.pending:
            self._wire.resume()

    def _heed(self, codec: Codec) -> None:
        """Do what control frames, or mistakes, ask for."""
        codec.noticed = False
        for payload in codec.pongs:
            self._note_pong(payload)
        codec.pongs.clear()
        end = codec.end
        if end is not None:
            if end.by_peer:
                self._closed_by_peer = True
                self._note_read_all()  # it need not close its side (section 7.1.1)
            if self._outbox is not None:
                self._outbox.drop(but=self._close_frame)
        if codec.replies:
            replies, codec.replies = codec.replies, []
            self._reply(replies)
        if end is not None:
            if not self._outbox:
                # There is nothing more to say (section 7.1.1), though the handler may need
                # longer to end.
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
        """End it from the peer's side: nothing more will come."""
        if self._hung_up and self._inbox.ended is None:
            # It was noticed before it was known how.
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
        if len(payload) < _LARGE or self._codec.compresses:
            self._hand_over(self._codec.data_frame(payload, text=text))
        else:
            self._hand_over_large(self._codec.plain_head(len(payload), text=text), payload)
        if self.ended is not None:  # the wire broke at it
            raise await self._disconnected()
        traffic = self.traffic
        traffic.messages_sent += 1
        traffic.bytes_sent += len(payload)
        turn = self._turn
        turn.calls += 1
        if turn.calls >= STRETCH:
            # Only now, so that no other message goes out before this one.
            await turn.end()

    def _is_busy(self) -> bool:
        """Whether a message has to stand in line."""
        outbox = self._outbox
        return outbox is not None and (bool(outbox) or outbox.lock.locked())

    async def _send_later(self, payload: bytes, *, text: bool) -> None:
        """
        Wait for the messages before this one, and for room in the outbox.

        That takes as long as the peer makes progress, see _note_look().
        """
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
        """Make the error for whoever uses it after its end, behind a checkpoint."""
        await trio.lowlevel.checkpoint()
        assert self.ended is not None
        return disconnect(self, self.ended)

    def _hand_over(self, frame: bytes) -> None:
        """Give a frame, or none, to the system; what the system does not take, to the outbox."""
        sent = 0
        if not self._outbox:
            try:
                sent = self._wire.send_nowait(frame)
            except OSError:
                self.write_failed()
                return
        self._let_wait(memoryview(frame)[sent:] if sent else frame)

    def _let_wait(self, rest: bytes | memoryview) -> None:
        """Put what is left of a frame, or nothing, into the outbox; a view has begun."""
        if not rest:
            return
        if self._outbox is None:
            self._outbox = Outbox(self._wire, self, limit=self._settings.limits.outbox)
        assert self._nursery is not None
        self._outbox.add(rest, self._nursery)

    def _hand_over_large(self, head: bytes, payload: bytes) -> None:
        """Give a frame to the system in two pieces, when nothing waits: a copy takes time."""
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
            self._wire.send_eof()  # the close frame was the last
        if self._monitor is not None and self._delivered is None:
            self._monitor.stop()
        self._note_delivered()

    def _break(self, ended: Ended) -> None:
        """Nothing can be sent any more, and nobody waits for an answer."""
        self._is_given_up = True
        self._end(ended)
        self._note_read_all()
        if self._outbox is not None:
            self._outbox.clear()

    # Delivering: what was handed over reaches the peer, or the peer is too slow.

    def _acknowledged(self) -> int:
        return self._wire.taken - self._wire.unacknowledged()

    def _watch(self) -> None:
        """Look at the peer's progress from now on, unless it was found to make none."""
        if self._is_given_up:
            return
        if self._monitor is None:
            patience = self._settings.timeouts.send
            self._monitor = Monitor(self._acknowledged, self._pinger, patience, self._note_look)
        self._monitor.start()

    def _note_look(self, why: str | None) -> None:
        """Called by the monitor: the peer is too slow, or it is not."""
        if why is not None:
            self._give_up(why)
        self._note_delivered()

    def _give_up(self, why: str) -> None:
        """
        Close with 1008, for the peer is too slow.

        From here on it is the connection's end that sets the limit, see aclose().
        """
        self._is_given_up = True
        if self.ended is None:
            self.fail(1008, why)
            return
        outbox, frame = self._outbox, self._close_frame
        if outbox is None or frame is None or outbox.has_begun(frame):
            return
        # Our own close stands behind what the peer does not take.
        outbox.drop(but=None)
        self.ended = Ended(1008, why)
        self._close_frame = self._codec.other_close_frame(1008, why)
        self._hand_over(self._close_frame)

    def _note_delivered(self) -> None:
        if self._delivered is not None and self._is_delivered():
            self._delivered.set()

    def _is_delivered(self) -> bool:
        """Whether nothing is left to deliver, or nobody to deliver it to."""
        if self._is_given_up:
            return True
        # What a reset connection has not acknowledged it never will.
        if (self._read_all or self._hung_up) and not self._closed_by_peer:
            return True
        if self._outbox:
            return False
        return self._closed_by_peer or self._wire.unacknowledged() <= FIN

    async def wait_delivered(self) -> None:
        if self._is_delivered():
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
        if self.ended is not None:
            raise await self._disconnected()
        started = trio.current_time()
        number, frame = self._send_ping()
        if self.ended is not None:  # the wire broke at it
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
        """Send a ping before all data that has not begun. Return its number and its frame."""
        self._last_ping += 1
        frame = self._codec.ping_frame(self._last_ping.to_bytes(4, "big"))
        if self._outbox:
            self._outbox.add_urgent(frame)
        else:
            self._hand_over(frame)
        return self._last_ping, frame

    def _note_pong(self, payload: bytes) -> None:
        """A pong answers its ping and those before it (RFC 6455 section 5.5.3)."""
        number = int.from_bytes(payload, "big")
        if len(payload) != 4 or not number <= self._last_ping:
            return  # nobody asked
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
        """Called by the pinger."""
        if self.ended is not None:
            return
        probe = self._probe
        if probe is not None and probe.progress is not None:
            self._wait_for_arrival(probe, probe.progress)
        elif probe is None or self._codec.pending:
            # While the inbox is full, the pong may wait behind messages. The peer's system has
            # taken the ping, and has to take the next one.
            self._send_probe()
        else:
            self._give_up_unanswered()

    def _send_probe(self) -> None:
        """
        Send a ping, and wait for its pong.

        Until the ping has arrived, the peer can't answer. That may take a while: other frames
        stand before it, here and in our system. So the time for the pong begins when the peer's
        system has acknowledged the ping. Until then the peer only has to make progress.
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
        """Look whether a ping has arrived, or the peer still takes what stands before it."""
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
        if self.ended is not None:
            raise await self._disconnected()
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

    async def reject(self, refusal: Refusal) -> None:
        if self.ended is None:
            last = [(b"connection", b"close")]  # no other request is read here
            headers = [one for one in refusal.headers if one[0] != b"connection"]
            head = response_head(refusal.status, [*headers, *last, *self._own_headers()])
            self._end_here(Ended(1006, "refused", refusal.status, refusal.why))
            self._hand_over(head + refusal.body)

    async def close(self, code: int, reason: str) -> None:
        if self._codec.noticed:
            self._heed(self._codec)  # the peer was first
        if self.ended is None:
            self._close_frame = self._codec.close_frame(code, reason)
            self._end_here(Ended(code, reason))
            self._hand_over(self._close_frame)

    def fail(self, code: int, reason: str) -> None:
        if self.ended is None and self.accepted:
            self._codec.fail(code, reason)
            self._heed(self._codec)

    def _end_here(self, ended: Ended) -> None:
        """End it from our side: what was handed over still goes out."""
        self.ended = ended
        self._drop_unread(ended)
        if self._outbox is not None:
            self._outbox.wake()
        self._wake_pings()

    def _drop_unread(self, ended: Ended) -> None:
        """Let all that comes from now on be read, so as to reach its end, and dropped."""
        self._inbox.close(ended)
        if not self.accepted:
            self._early = b""
            self._wire.resume()

    async def aclose(self, *, linger: float) -> None:
        if self.ended is None:  # only an owner that was cancelled leaves it so
            self._end_here(Ended(1006))
        else:
            self._drop_unread(self.ended)  # its owner may have been told of a hang-up only
        if self._outbox or not (self._closed_by_peer or self._read_all):
            with trio.move_on_after(linger):
                await self._linger()
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
        # Whoever knows it is let go, so that it does not stay until the next search for
        # circles of objects.
        self.on_gone, self._outbox, self._monitor = nobody, None, None
        self._codec.close()

    def _is_told(self, ended: Ended) -> bool:
        """Whether a connection ended by a close frame of ours, which the peer has not answered."""
        return self.accepted and ended.code != 1006 and not self._closed_by_peer

    def _is_cut(self, ended: Ended) -> bool:
        """Whether such a close frame has not reached the peer's system."""
        if not self._is_told(ended):
            return False
        return bool(self._outbox) or self._wire.unacknowledged() > FIN

    async def _linger(self) -> None:
        await self._flushed()
        if not self._closed_by_peer:
            # Unread bytes would make the system send a reset, which could overtake what was
            # sent last. So the peer is told that this was all, and closes first.
            self._wire.send_eof()
            await self.wait_over()

    def backlog(self) -> tuple[int, int, int]:
        waiting = 0 if self._outbox is None else self._outbox.size
        return len(self._inbox), self._inbox.size, waiting


# First byte of a pong.
_PONG = 0x8A
