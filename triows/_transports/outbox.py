"""
What is sent: given to the system at once, or kept until it takes more, in a task that writes.

A message that isn't the first one of its turn is held back until the end of the turn, so that the
messages of one turn leave in one system call (see ``cork.py``).

The stream never carries half a frame followed by another frame. Once the system has taken the
beginning of a frame, either the writing task finishes the frame or the connection ends.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Final, Protocol

import trio

from .wire import BROKEN

if TYPE_CHECKING:
    from .cork import Cork
    from .interface import Starter
    from .turn import Turn
    from .wire import Wire

__all__ = ["Outbox"]


#: How many frames may wait, however small they are. Each takes about 60 bytes in addition to its
#: own, so a mebibyte of the smallest frames would take twenty.
_MOST = 4096

#: How many frames may be held back in a turn, and how many bytes of them. They are copied into one
#: piece, and more of them in one system call would save little.
_HELD_FRAMES, _HELD_BYTES = 64, 2**14

# All outboxes in which nothing has waited share this, because an empty deque takes 700 bytes.
_NOTHING: Final[deque[bytes | memoryview]] = deque(maxlen=0)

# The first byte of a pong frame.
_PONG = 0x8A


class Owner(Protocol):
    """The owner of the frames. Nothing here waits."""

    def writing(self) -> None:
        """Called when something begins to wait."""

    def write_failed(self) -> None:
        """Called when the connection broke."""

    def frame_taken(self, frame: object, end: int) -> None:
        """
        Called when the system has taken all of a frame that waited.

        Args:
            frame: The same object that was added, or the one that the added view shows.
            end: How many bytes the wire had taken with the last one of the frame.
        """

    def written(self) -> None:
        """Called when nothing waits any more."""


class _Nobody:
    """The owner of an outbox that is closed."""

    def writing(self) -> None: ...

    def write_failed(self) -> None: ...

    def frame_taken(self, frame: object, end: int) -> None: ...

    def written(self) -> None: ...


_NOBODY: Final = _Nobody()


class Outbox:
    """
    Takes frames for the system, and keeps those that have to wait, in order.

    A frame that has begun is completed before anything else is written. Control frames go right
    behind it, ahead of all data frames that have not begun. The owner decides how long all that may
    take. As long as nothing waits, there is no task.

    Args:
        wire: Where to write.
        owner: Told what happens.
        turn: The loop in which the owner is called, whoever sends.
        cork: Flushes what is held back in a turn.
        limit: How many bytes may wait. A single frame may be larger.
    """

    __slots__ = (
        "_cork",
        "_frames",
        "_has_begun",
        "_held",
        "_limit",
        "_lock",
        "_most_held",
        "_nursery",
        "_owner",
        "_pong",
        "_progress",
        "_scope",
        "_turn",
        "_urgent",
        "_wire",
        "_wrote_in",
        "size",
        "writer",
    )

    def __init__(self, wire: Wire, owner: Owner, turn: Turn, cork: Cork, *, limit: int) -> None:
        #: Bytes that are held back or wait, without those of control frames that have not begun.
        self.size = 0
        self._wire = wire
        self._owner = owner
        self._turn = turn
        self._cork = cork
        self._limit = limit
        self._most_held = min(limit, _HELD_BYTES)
        # Messages that are held back until the end of the turn. Meanwhile nothing else waits. It is
        # made when there are some, because few connections of many have any.
        self._held: list[bytes] | None = None
        # The number of the turn in which a message was last written.
        self._wrote_in = -1
        # Where a task may run that writes what waits.
        self._nursery: Starter | None = None
        # In the order in which they are written. If the system has taken a part of the first
        # frame, that frame is a view.
        self._frames = _NOTHING
        # Whether the first frame has begun. Then it can't be dropped, and nothing can go before it.
        self._has_begun = False
        # How many control frames wait. They come after a first frame that has begun, and before
        # all other frames. There can be a ping for each call of ping() that waits, but only one
        # pong, the last (RFC 6455 section 5.5.3).
        self._urgent = 0
        self._pong: bytes | None = None
        self._scope: trio.CancelScope | None = None
        #: The task that writes what waits.
        self.writer: trio.lowlevel.Task | None = None
        # See lock(), and wait_progress(). Both are made when somebody first has to wait.
        self._lock: trio.Lock | None = None
        self._progress: trio.Event | None = None

    def start(self, nursery: Starter) -> None:
        """Let a task of *nursery* write what waits, from now on."""
        self._nursery = nursery

    def __bool__(self) -> bool:
        """Whether something is held back or waits."""
        return self._held is not None or bool(self._frames)

    @property
    def is_busy(self) -> bool:
        """
        Whether a message has to queue behind others.

        While some are held back, it has to if it comes from another loop.
        """
        if self._held is not None:
            return get_ident() != self._turn.thread
        return bool(self._frames) or (self._lock is not None and self._lock.locked())

    @property
    def lock(self) -> trio.Lock:
        """
        Held by the sender that waits for room.

        It is FIFO, so that messages go out whole and in the order in which send() was called.
        """
        if self._lock is None:
            self._lock = trio.Lock()
        return self._lock

    def post(self, frame: bytes, more: object) -> bool:
        """
        Give a message to the system, or hold it back if it isn't the only one of this turn.

        What is held back leaves at the end of the turn, or before whatever else is sent.

        Args:
            frame: The message.
            more: Whether another one is likely to follow in this turn. The last one takes those
                that are held back along, unless the system was given one in this turn already.

        Returns:
            Whether this was possible. If not, the message has to queue behind others, or it comes
            from another loop and others are held back.
        """
        held, turn = self._held, self._turn
        if held is not None:
            if get_ident() != turn.thread:
                return False
        elif self._frames or (self._lock is not None and self._lock.locked()):
            return False
        elif more or self._wrote_in == turn.number:
            held = self._begin_holding()
        if held is None:
            self._wrote_in = turn.number
            self._write_now(frame)
            return True
        size = self.size + len(frame)
        others = more or self._wrote_in == turn.number
        if others and size <= self._most_held and len(held) < _HELD_FRAMES:
            held.append(frame)
            self.size = size
        else:
            self._wrote_in = turn.number
            self.send(frame)
        return True

    def _begin_holding(self) -> list[bytes] | None:
        """Return where to hold messages back, or ``None`` if nobody would flush them."""
        if not self._cork.is_open or get_ident() != self._turn.thread:
            return None
        self._held = []
        self._cork.add(self)
        return self._held

    def queue(self, frame: bytes, size: int) -> bool:
        """
        Let a message of *size* bytes wait behind those that wait already.

        Returns:
            Whether there was room. There is none while a sender waits for some.
        """
        if (self._lock is not None and self._lock.locked()) or not self.has_room(size):
            return False
        self.send(frame)
        return True

    def send(self, frame: bytes) -> None:
        """
        Give a frame to the system, behind what is held back. What the system doesn't take waits.

        The frame may be empty.
        """
        if self._held is not None:
            self._held.append(frame)
            self.flush()
            return
        if not self._frames:
            self._write_now(frame)
        elif frame:
            self._let_wait(frame)

    def _write_now(self, frame: bytes) -> None:
        """Give a frame to the system. What it doesn't take waits. Nothing waits before it."""
        try:
            sent = self._wire.send_nowait(frame)
        except OSError:
            self._turn.call(self._owner.write_failed)
            return
        if sent < len(frame):
            self._let_wait(memoryview(frame)[sent:] if sent else frame)

    def flush(self) -> None:
        """Write what is held back."""
        held, self._held = self._held, None
        if held is None:
            return
        self.size = 0
        whole = b"".join(held)
        try:
            sent = self._wire.send_nowait(whole)
        except OSError:
            self._turn.call(self._owner.write_failed)
            return
        if sent == len(whole):
            return
        for frame in held:
            if sent < len(frame):
                self._let_wait(memoryview(frame)[sent:] if sent else frame)
            sent = max(0, sent - len(frame))

    def post_pieces(self, head: bytes, payload: bytes) -> bool:
        """
        Give a large message to the system in two pieces, without a copy.

        Returns:
            Whether this was possible. If not, the message has to queue behind others, or it comes
            from another loop, where nobody would write what the system doesn't take at once.
        """
        if get_ident() != self._turn.thread or self.is_busy:
            return False
        self.flush()
        if self._frames:
            self._let_wait(head + payload)
            return True
        try:
            sent = self._wire.send_pieces_nowait((head, payload))
        except OSError:
            self._turn.call(self._owner.write_failed)
            return True
        if len(head) <= sent < len(head) + len(payload):
            self._let_wait(memoryview(payload)[sent - len(head) :])
        elif sent < len(head):
            self._let_wait(memoryview(head + payload)[sent:] if sent else head + payload)
        return True

    def send_control(self, frames: list[bytes]) -> None:
        """Send answers to control frames. A pong goes ahead of all data frames that wait."""
        self.flush()
        if not self._frames:
            self.send(b"".join(frames))
            return
        for frame in frames:
            if frame[0] == _PONG:
                self._add_pong(frame)
            else:
                self.send(frame)

    def send_urgent(self, frame: bytes) -> None:
        """Send a control frame ahead of all data frames that wait and have not begun."""
        self.flush()
        if self._frames:
            self._add_urgent(frame)
        else:
            self.send(frame)

    def give_up(self) -> None:
        """Give up the connection."""
        self._owner.write_failed()

    def _let_wait(self, rest: bytes | memoryview) -> None:
        """
        Let a frame wait after the others.

        A view has begun: the system has taken what came before it, and nothing else waits.
        """
        if self._frames is _NOTHING:
            self._frames = deque()
        self._has_begun |= isinstance(rest, memoryview)
        self._frames.append(rest)
        self.size += len(rest)
        # A small message from another loop may come here, too. It has begun, so it goes out.
        self._turn.call(self._start_writing)

    def _start_writing(self) -> None:
        """Let a task write the frames, if none does yet."""
        if self._scope is None and self._frames:
            assert self._nursery is not None
            self._scope = trio.CancelScope(shield=True)
            self._nursery.start_soon(self._write, self._scope, self._owner, name="<triows writer>")
            self._owner.writing()

    def _add_urgent(self, frame: bytes) -> None:
        self._frames.insert(self._has_begun + self._urgent, frame)
        self._urgent += 1

    def discard_urgent(self, frame: bytes) -> None:
        """Forget one of the control frames that have not begun."""
        index = self._find_urgent(frame)
        if index is not None:
            del self._frames[index]
            self._urgent -= 1

    def _add_pong(self, frame: bytes) -> None:
        """Let a pong wait in place of one that waits."""
        if self._pong is not None:
            self.discard_urgent(self._pong)
        self._add_urgent(frame)
        self._pong = frame

    def _find_urgent(self, frame: bytes) -> int | None:
        first = int(self._has_begun)
        waiting = islice(self._frames, first, first + self._urgent)
        return next((at for at, one in enumerate(waiting, first) if one is frame), None)

    def drop(self, *, but: bytes | None) -> None:
        """
        Forget all frames that have not begun, *but* one that goes out in any case.

        What is held back is not forgotten: the system gets it first, as it would without that.
        """
        self.flush()
        if not self._frames:
            return
        begun = [self._frames.popleft()] if self._has_begun else []
        kept = [*begun, *(one for one in self._frames if one is but)]
        self._frames.clear()
        self._frames.extend(kept)
        self._urgent, self._pong = 0, None
        self.size = sum(map(len, self._frames))

    def has_begun(self, frame: bytes) -> bool:
        """Whether it is too late to drop a frame."""
        waiting = islice(self._frames, int(self._has_begun), None)
        return not any(one is frame for one in waiting)

    def clear(self) -> None:
        """Forget everything: nothing can be written any more."""
        self._held = None
        self._frames.clear()
        self._has_begun = False
        self._urgent, self._pong = 0, None
        self.size = 0
        self.wake()

    def close(self) -> None:
        """Write nothing more, and forget everything. A frame that has begun is lost."""
        if self._scope is not None:
            self._scope.cancel()
        if self:
            self.clear()
        # They refer to each other, and would stay until the next garbage collection.
        self._owner = _NOBODY

    def has_room(self, size: int) -> bool:
        """Say whether *size* bytes may wait, too. A frame above the limit goes alone."""
        fits = len(self._frames) < _MOST and self.size + size <= self._limit
        return fits or not self.size

    def wake(self) -> None:
        """Wake the waiting tasks, so that they check again."""
        if self._progress is not None:
            self._progress.set()
            self._progress = None

    async def wait_progress(self) -> None:
        """Wait until the system has taken something, or somebody calls :meth:`wake`."""
        if self._progress is None:
            self._progress = trio.Event()
        await self._progress.wait()

    async def wait_empty(self) -> None:
        """Write what is held back, and wait until the outbox is empty."""
        self.flush()
        while self:
            await self.wait_progress()

    async def _write(self, scope: trio.CancelScope, owner: Owner) -> None:
        # Shielded, but bounded: the owner watches the peer's progress, and calls close().
        self.writer = trio.lowlevel.current_task()
        with scope:
            try:
                while self._frames:
                    # During this wait, others may add frames after the first, or drop some.
                    self._note_sent(await self._wire.send_some(self._frames))
            except BROKEN:
                owner.write_failed()
        self._scope = self.writer = None
        owner.written()

    def _begin(self) -> None:
        """Note that the first frame can't be dropped any more, unless that is known."""
        if self._has_begun:
            return
        self._has_begun = True
        if self._urgent:
            self._urgent -= 1
            self.size += len(self._frames[0])
            if self._frames[0] is self._pong:
                self._pong = None

    def _note_sent(self, sent: int) -> None:
        while sent and self._frames:
            self._begin()
            first = self._frames.popleft()
            taken = min(sent, len(first))
            self.size -= taken
            sent -= taken
            if taken < len(first):
                self._frames.appendleft(memoryview(first)[taken:])
                break
            self._has_begun = False
            frame = first.obj if isinstance(first, memoryview) else first
            self._owner.frame_taken(frame, self._wire.taken - sent)
        self.wake()
