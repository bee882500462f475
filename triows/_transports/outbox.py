"""What waits to be written while the system takes nothing more, and the task that writes it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import trio

from .wire import BROKEN

if TYPE_CHECKING:
    from .interface import Starter
    from .wire import Wire

__all__ = ["Outbox"]


#: Frames that may wait, however small. Each takes some 60 bytes beside its own, so that a
#: mebibyte of the smallest would take twenty.
_MOST = 4096


class Owner(Protocol):
    """Whose frames they are. Nothing here waits."""

    def writing(self) -> None:
        """Something waits from now on."""

    def write_failed(self) -> None:
        """The connection broke."""

    def written(self) -> None:
        """Nothing waits any more."""


class Outbox:
    """
    Frames that wait for the system, in order.

    It is made when the system first takes less than it is given. What has begun is completed
    before anything else is written; control frames go before data frames that have not begun.
    How long all that may take is the owner's concern.

    Args:
        wire: Where to.
        owner: Told what comes of it.
        limit: Bytes that may wait; a single frame may be larger.
    """

    def __init__(self, wire: Wire, owner: Owner, *, limit: int) -> None:
        self.size = 0
        #: FIFO, so that messages go out whole and in the order in which send() was called.
        #: Held by the sender that waits for room.
        self.lock = trio.Lock()
        self._wire = wire
        self._owner = owner
        self._limit = limit
        # The first may have been taken in part; it is a view then.
        self._frames: deque[bytes | memoryview] = deque()
        # Control frames. Pings are as many as wait for their pongs; of pongs only the last is
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
        """Let a frame wait, behind the others; a task of *nursery* writes them if none does."""
        self._frames.append(frame)
        self.size += len(frame)
        if self._scope is None:
            self._scope = trio.CancelScope(shield=True)
            nursery.start_soon(self._write, self._scope, name="<triows writer>")
            self._owner.writing()

    def add_urgent(self, frame: bytes) -> None:
        """Let a control frame wait, before all that has not begun; something waits already."""
        self._urgent.append(frame)

    def discard_urgent(self, frame: bytes) -> None:
        """Forget one of them."""
        if frame in self._urgent:
            self._urgent.remove(frame)

    def add_pong(self, frame: bytes) -> None:
        """The same for a pong, in place of one that waits."""
        self._pong = frame

    def drop(self, *, but: bytes | None) -> None:
        """Forget all that has not begun, *but* a frame that goes out whatever happens."""
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
        """Write nothing more; what has begun is lost."""
        if self._scope is not None:
            self._scope.cancel()

    def has_room(self, size: int) -> bool:
        """Whether *size* bytes may wait, too. What is larger than the limit goes alone."""
        waiting = len(self._frames)
        return not waiting or (waiting < _MOST and self.size + size <= self._limit)

    def wake(self) -> None:
        """Let those who wait look again."""
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
                    # Meanwhile more may come behind the first, or be dropped.
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
