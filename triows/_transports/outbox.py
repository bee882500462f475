"""Data that waits because the system takes no more, and the task that writes it."""

from __future__ import annotations

from collections import deque
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

    def written(self) -> None:
        """Called when nothing waits any more."""


class Outbox:
    """
    Frames that wait for the system, in order.

    It is made when the system first takes less than it gets. A frame that has begun is completed
    before anything else is written. Control frames go ahead of data frames that have not begun.
    The owner decides how long all that may take.

    Args:
        wire: Where to write.
        owner: Told what happens.
        limit: How many bytes may wait. A single frame may be larger.
    """

    def __init__(self, wire: Wire, owner: Owner, *, limit: int) -> None:
        self.size = 0
        #: FIFO, so that messages go out whole and in the order in which send() was called.
        #: Held by the sender that waits for room.
        self.lock = trio.Lock()
        self._wire = wire
        self._owner = owner
        self._limit = limit
        # The system may have taken a part of the first. Then it is a view.
        self._frames: deque[bytes | memoryview] = deque()
        # Control frames. There are as many pings as wait for their pongs. Only the last pong is
        # kept (RFC 6455 section 5.5.3).
        self._urgent: list[bytes] = []
        self._pong: bytes | None = None
        self._scope: trio.CancelScope | None = None
        # Replaced each time the system has taken something.
        self._progress = trio.Event()

    def __bool__(self) -> bool:
        """Whether something waits."""
        return bool(self._frames or self._urgent or self._pong)

    def add(self, frame: bytes | memoryview, nursery: Starter) -> None:
        """Let a frame wait after the others. A task of *nursery* writes them, if none does yet."""
        self._frames.append(frame)
        self.size += len(frame)
        if self._scope is None:
            self._scope = trio.CancelScope(shield=True)
            nursery.start_soon(self._write, self._scope, name="<triows writer>")
            self._owner.writing()

    def add_urgent(self, frame: bytes) -> None:
        """Let a control frame wait, ahead of all frames that have not begun."""
        self._urgent.append(frame)

    def discard_urgent(self, frame: bytes) -> None:
        """Forget one of the control frames."""
        if frame in self._urgent:
            self._urgent.remove(frame)

    def add_pong(self, frame: bytes) -> None:
        """Let a pong wait in the same way. It replaces one that waits."""
        self._pong = frame

    def drop(self, *, but: bytes | None) -> None:
        """Forget all frames that have not begun, *but* one that goes out in any case."""
        # Under TLS the first may be encrypted already.
        first = self._frames[0] if self._frames and self._wire.breaks_when_cancelled else None
        kept = [
            one for one in self._frames if isinstance(one, memoryview) or one is first or one is but
        ]
        self._frames.clear()
        self._frames.extend(kept)
        self._urgent.clear()
        self._pong = None
        self.size = sum(map(len, self._frames))

    def has_begun(self, frame: bytes) -> bool:
        """Whether it is too late to drop a frame."""
        first = self._frames[0] if self._frames and self._wire.breaks_when_cancelled else None
        return frame is first or not any(one is frame for one in self._frames)

    def clear(self) -> None:
        """Forget everything: nothing can be written any more."""
        self._frames.clear()
        self._urgent.clear()
        self._pong = None
        self.size = 0
        self.wake()

    def cancel(self) -> None:
        """Write nothing more. A frame that has begun is lost."""
        if self._scope is not None:
            self._scope.cancel()

    def has_room(self, size: int) -> bool:
        """Say whether *size* bytes may wait, too. A frame above the limit goes alone."""
        waiting = len(self._frames)
        return not waiting or (waiting < _MOST and self.size + size <= self._limit)

    def wake(self) -> None:
        """Let waiting tasks look again."""
        self._progress.set()
        self._progress = trio.Event()

    async def wait_progress(self) -> None:
        """Wait until the system has taken something, or :meth:`wake`."""
        await self._progress.wait()

    async def wait_empty(self) -> None:
        """Wait until nothing waits."""
        while self:
            await self._progress.wait()

    async def _write(self, scope: trio.CancelScope) -> None:
        # Shielded, but bounded: the owner watches the peer's progress, and calls cancel().
        with scope:
            try:
                while self:
                    self._put_urgent_first()
                    # Meanwhile more frames may be added after the first, or be dropped.
                    self._note_sent(await self._wire.send_some(self._frames))
            except BROKEN:
                self._owner.write_failed()
        self._scope = None
        self._owner.written()

    def _put_urgent_first(self) -> None:
        if self._frames and isinstance(self._frames[0], memoryview):
            return  # what has begun comes first, and until then only the last pong is kept
        if self._pong is not None:
            self._urgent.append(self._pong)
            self._pong = None
        if self._urgent:
            self._frames.extendleft(reversed(self._urgent))
            self.size += sum(map(len, self._urgent))
            self._urgent.clear()

    def _note_sent(self, sent: int) -> None:
        self.size -= min(sent, self.size)
        while sent and self._frames:
            first = self._frames.popleft()
            if sent < len(first):
                self._frames.appendleft(memoryview(first)[sent:])
                break
            sent -= len(first)
        self.wake()
