"""Data that waits because the system takes no more, and the task that writes it."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import trio

from .wire import BROKEN

if TYPE_CHECKING:
    from .interface import Starter
    from .wire import Wire

__all__ = ["Outbox"]


#: How many frames may wait, however small they are. Each takes about 60 bytes in addition to its
#: own, so a mebibyte of the smallest frames would take twenty.
_MOST = 4096


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


class Outbox:
    """
    Frames that wait for the system, in order.

    It is made when the system first takes less than it gets. A frame that has begun is completed
    before anything else is written. Control frames go right behind it, ahead of all data frames
    that have not begun. The owner decides how long all that may take.

    Args:
        wire: Where to write.
        owner: Told what happens.
        limit: How many bytes may wait. A single frame may be larger.
    """

    def __init__(self, wire: Wire, owner: Owner, *, limit: int) -> None:
        #: Bytes that wait, without those of control frames that have not begun.
        self.size = 0
        #: FIFO, so that messages go out whole and in the order in which send() was called.
        #: Held by the sender that waits for room.
        self.lock = trio.Lock()
        self._wire = wire
        self._owner = owner
        self._limit = limit
        # In the order in which they are written. If the system has taken a part of the first
        # frame, that frame is a view.
        self._frames: deque[bytes | memoryview] = deque()
        # Whether the first frame has begun. Then it can't be dropped, and nothing can go before it.
        self._has_begun = False
        # How many control frames wait. They come after a first frame that has begun, and before
        # all other frames. There can be a ping for each call of ping() that waits, but only one
        # pong, the last (RFC 6455 section 5.5.3).
        self._urgent = 0
        self._pong: bytes | None = None
        self._scope: trio.CancelScope | None = None
        # Replaced each time the system has taken something.
        self._progress = trio.Event()

    def __bool__(self) -> bool:
        """Whether something waits."""
        return bool(self._frames)

    @property
    def is_busy(self) -> bool:
        """Whether a message has to queue behind others."""
        return bool(self._frames) or self.lock.locked()

    def add(self, frame: bytes | memoryview) -> None:
        """
        Let a frame wait after the others. Call :meth:`start` next.

        A view has begun: the system has taken what came before it, and nothing else waits.
        """
        self._has_begun |= isinstance(frame, memoryview)
        self._frames.append(frame)
        self.size += len(frame)

    def start(self, nursery: Starter) -> None:
        """Let a task of *nursery* write the frames, if none does yet."""
        if self._scope is None and self._frames:
            self._scope = trio.CancelScope(shield=True)
            nursery.start_soon(self._write, self._scope, name="<triows writer>")
            self._owner.writing()

    def add_urgent(self, frame: bytes) -> None:
        """Let a control frame wait, ahead of all data frames that have not begun."""
        self._frames.insert(self._has_begun + self._urgent, frame)
        self._urgent += 1

    def discard_urgent(self, frame: bytes) -> None:
        """Forget one of the control frames that have not begun."""
        index = self._find_urgent(frame)
        if index is not None:
            del self._frames[index]
            self._urgent -= 1

    def add_pong(self, frame: bytes) -> None:
        """Let a pong wait in the same way. It replaces one that waits."""
        if self._pong is not None:
            self.discard_urgent(self._pong)
        self.add_urgent(frame)
        self._pong = frame

    def _find_urgent(self, frame: bytes) -> int | None:
        first = int(self._has_begun)
        waiting = islice(self._frames, first, first + self._urgent)
        return next((at for at, one in enumerate(waiting, first) if one is frame), None)

    def drop(self, *, but: bytes | None) -> None:
        """Forget all frames that have not begun, *but* one that goes out in any case."""
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
        self._frames.clear()
        self._has_begun = False
        self._urgent, self._pong = 0, None
        self.size = 0
        self.wake()

    def cancel(self) -> None:
        """Write nothing more. A frame that has begun is lost."""
        if self._scope is not None:
            self._scope.cancel()

    def has_room(self, size: int) -> bool:
        """Say whether *size* bytes may wait, too. A frame above the limit goes alone."""
        fits = len(self._frames) < _MOST and self.size + size <= self._limit
        return fits or not self.size

    def wake(self) -> None:
        """Wake the waiting tasks, so that they check again."""
        self._progress.set()
        self._progress = trio.Event()

    async def wait_progress(self) -> None:
        """Wait until the system has taken something, or somebody calls :meth:`wake`."""
        await self._progress.wait()

    async def wait_empty(self) -> None:
        """Wait until the outbox is empty."""
        while self:
            await self._progress.wait()

    async def _write(self, scope: trio.CancelScope) -> None:
        # Shielded, but bounded: the owner watches the peer's progress, and calls cancel().
        with scope:
            try:
                while self:
                    if self._wire.breaks_when_cancelled:
                        self._begin()  # TLS encrypts it at once, so it can't be dropped
                    # During this wait, others may add frames after the first, or drop some.
                    self._note_sent(await self._wire.send_some(self._frames))
            except BROKEN:
                self._owner.write_failed()
        self._scope = None
        self._owner.written()

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
