"""The bounded queue between the task that reads and the task that receives."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import outcome
import trio

from .interface import disconnect

if TYPE_CHECKING:
    from triows.exceptions import WebSocketDisconnect

    from .interface import Ended

__all__ = ["Inbox", "payload_size"]


def payload_size(message: str | bytes) -> int:
    """
    Bytes of a message on the wire, without its frame.

    Raises:
        UnicodeEncodeError: a text with a lone surrogate, which UTF-8 can't express.
    """
    if isinstance(message, str) and not message.isascii():
        return len(message.encode())
    return len(message)


class Inbox:
    """
    Messages on their way to one receiver, bounded in number and bytes.

    The reader puts without waiting, then waits for room before it reads on; so the inbox
    holds at most one message more than its bounds, and the peer is pushed back by not
    being read. A waiting receiver is handed its message directly.

    Args:
        messages: How many messages may wait.
        size: How many bytes may wait.
        owner: Whose messages they are; the ``source`` of disconnects.
    """

    def __init__(self, messages: int, size: int, owner: object = None) -> None:
        self._owner = owner
        self.ended: Ended | None = None
        self.size = 0
        self._max_messages = messages
        self._max_size = size
        self._queue: deque[tuple[str | bytes, int]] = deque()
        self._receiver: trio.lowlevel.Task | None = None
        self._room = trio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the reader should stop reading."""
        return not self._room.is_set()

    def put_nowait(self, message: str | bytes, size: int) -> None:
        """Add a message of *size* bytes; dropped if the inbox is closed."""
        if self.ended is not None:
            return
        if self._receiver is not None:
            trio.lowlevel.reschedule(self._receiver, outcome.Value(message))
            self._receiver = None
            return
        self._queue.append((message, size))
        self.size += size
        if len(self._queue) >= self._max_messages or self.size >= self._max_size:
            self._room = trio.Event()

    async def wait_room(self) -> None:
        """Wait until there is room, or the inbox is closed."""
        await self._room.wait()

    def close(self, ended: Ended) -> None:
        """No more messages: those that wait can be received, then :exc:`WebSocketDisconnect`."""
        if self.ended is not None:
            return
        self.ended = ended
        self._room.set()
        if self._receiver is not None:
            trio.lowlevel.reschedule(self._receiver, outcome.Error(self._disconnect(ended)))
            self._receiver = None

    def _disconnect(self, ended: Ended) -> WebSocketDisconnect:
        return disconnect(self._owner, ended)

    async def receive(self) -> str | bytes:
        """
        Take the oldest message, waiting for one if need be.

        Cancelling it loses no message: one that has been handed over is returned.

        Raises:
            WebSocketDisconnect: closed, and no message is left.
            trio.BusyResourceError: another task is receiving.
        """
        if self._receiver is not None:
            raise trio.BusyResourceError("another task is receiving from this connection")
        # No schedule point when a message is there: a receiver that never waits empties
        # the inbox, and then it does.
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._queue:
            message, size = self._queue.popleft()
            self.size -= size
            if len(self._queue) < self._max_messages and self.size < self._max_size:
                self._room.set()
            return message
        if self.ended is not None:
            raise self._disconnect(self.ended)
        self._receiver = trio.lowlevel.current_task()

        def abort(_raise_cancel: Any) -> trio.lowlevel.Abort:
            self._receiver = None
            return trio.lowlevel.Abort.SUCCEEDED

        handed: str | bytes = await trio.lowlevel.wait_task_rescheduled(abort)
        return handed
