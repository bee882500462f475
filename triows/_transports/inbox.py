"""The bounded queue between the task that reads and the task that receives."""

from __future__ import annotations

import weakref
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

import trio
from outcome import Error, Outcome
from trio.lowlevel import (
    checkpoint_if_cancelled,
    current_task,
    reschedule,
    wait_task_rescheduled,
)

from triows._where import known_as

from .interface import disconnect
from .turn import STRETCH, current_turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from triows.exceptions import WebSocketDisconnect

    from .interface import Ended
    from .turn import Turn

__all__ = ["Inbox", "payload_size"]


# All inboxes that have never held a message share this, because an empty deque takes 700 bytes.
_NOTHING: deque[tuple[str | bytes, int]] = deque(maxlen=0)


class _Woken(Outcome[None]):
    """
    Wakes a receiver whose message is in the inbox. All receivers share one.

    To make and unwrap a :class:`outcome.Value` for each message would take longer than to decode
    the message.
    """

    __slots__ = ()

    def unwrap(self) -> None:
        """Return nothing. The others are not used, but every outcome has them."""

    def send(self, gen: Generator[Any, None, object]) -> Any:
        return gen.send(None)

    async def asend(self, agen: AsyncGenerator[Any, None]) -> Any:
        return await agen.asend(None)


_WOKEN: Final = _Woken()


def payload_size(message: str | bytes) -> int:
    """
    Return the bytes of a message on the wire, without its frame.

    Raises:
        UnicodeEncodeError: The text has a lone surrogate, which UTF-8 can't express.
    """
    if isinstance(message, str) and not message.isascii():
        return len(message.encode())
    return len(message)


class Inbox:
    """
    Messages on their way to one receiver, bounded in number and bytes.

    The reader puts messages in without waiting, and then waits for room before it reads on. So the
    inbox holds at most one message more than its limits, and the peer is held back because nobody
    reads from it. A waiting receiver gets its message directly.

    Args:
        messages: How many messages may wait.
        size: How many bytes may wait.
        owner: The owner of the messages: the ``source`` of disconnects.
        turn: Counts the messages that are taken without waiting.
    """

    __slots__ = (
        "_handed",
        "_max_messages",
        "_max_size",
        "_owner",
        "_receiver",
        "_room",
        "_turn",
        "ended",
        "on_room",
        "size",
        "waiting",
    )

    def __init__(
        self, messages: int, size: int, owner: object = None, turn: Turn | None = None
    ) -> None:
        # A weak reference, because the owner holds the inbox.
        self._owner = (lambda: None) if owner is None else weakref.ref(owner)
        self.ended: Ended | None = None
        self.size = 0
        #: Called once when there is room again, for a reader that waits for other things, too.
        self.on_room: Callable[[], object] | None = None
        self._turn = current_turn() if turn is None else turn
        self._max_messages = messages
        self._max_size = size
        #: The messages that wait, and their sizes. Made when the first one has to wait.
        self.waiting: deque[tuple[str | bytes, int]] = _NOTHING
        # The task that receives, and the message with which it was woken but hasn't returned yet.
        self._receiver: trio.lowlevel.Task | None = None
        self._handed: str | bytes | None = None
        # Made when the inbox is full, set when it no longer is.
        self._room: trio.Event | None = None

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def full(self) -> bool:
        """Whether the reader should stop reading."""
        return self._room is not None

    def room(self) -> tuple[int, int]:
        """How many messages there is room for, and how many bytes of them; none if full."""
        if self._room is not None:
            return 0, 0
        return self._max_messages - len(self.waiting), self._max_size - self.size

    def put_nowait(self, message: str | bytes, size: int) -> None:
        """Add a message of *size* bytes. It is dropped if the inbox is closed."""
        self.put_all_nowait(((message, size),), size)

    def put_all_nowait(self, items: Sequence[tuple[str | bytes, int]], size: int) -> None:
        """Add several messages, at least one, of *size* bytes together. See :meth:`put_nowait`."""
        if self.ended is not None:
            return
        if self._receiver is not None and self._handed is None:
            self._handed, first = items[0]
            reschedule(self._receiver, _WOKEN)
            if len(items) == 1:
                return
            items = items[1:]
            size -= first
        if self.waiting is _NOTHING:
            self.waiting = deque()
        self.waiting.extend(items)
        self.size += size
        if self._room is None and self._is_full():
            self._room = trio.Event()

    def _is_full(self) -> bool:
        return len(self.waiting) >= self._max_messages or self.size >= self._max_size

    async def wait_room(self) -> None:
        """Wait until there is room, or the inbox is closed."""
        if self._room is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._room.wait()

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
        if self.on_room is not None:
            call, self.on_room = self.on_room, None
            call()

    def close(self, ended: Ended) -> None:
        """Accept no more messages. After those that wait comes :exc:`WebSocketDisconnect`."""
        if self.ended is not None:
            return
        self.ended = ended
        self._make_room()
        if self._receiver is not None and self._handed is None:
            reschedule(self._receiver, Error(self._disconnect(ended)))
            self._receiver = None

    def _disconnect(self, ended: Ended) -> WebSocketDisconnect:
        return disconnect(self._owner(), ended)

    @known_as("WebSocket.receive")
    async def receive(self) -> str | bytes:
        """
        Take the oldest message. Wait for one if necessary.

        Cancelling this loses no message: one that has been handed over is returned.

        Raises:
            WebSocketDisconnect: It is closed, and no message is left.
            trio.BusyResourceError: Another task is receiving.
            RuntimeError: It would have to wait in another loop than its own.
        """
        if self._receiver is not None:
            await trio.lowlevel.checkpoint()
            raise self._busy()
        if self.waiting:
            await checkpoint_if_cancelled()
            # As _take(), in line: it is called for each message of a busy connection.
            message, size = self.waiting.popleft()
            self.size -= size
            turn = self._turn
            if self._room is not None and not self._is_full():
                turn.call(self._make_room)
            turn.calls += 1
            if turn.calls >= STRETCH:
                await turn.end()
            return message
        if self.ended is not None:
            await trio.lowlevel.checkpoint()
            raise self._disconnect(self.ended)
        if get_ident() != self._turn.thread:
            raise await self._turn.used_elsewhere()
        self._receiver = current_task()
        await wait_task_rescheduled(self._abort)
        handed = self._handed
        assert handed is not None
        self._receiver = self._handed = None
        return handed

    def receive_nowait(self) -> str | bytes:
        """
        Take the oldest message without waiting.

        Raises:
            trio.WouldBlock: There is no message yet.
            WebSocketDisconnect: As in :meth:`receive`.
            trio.BusyResourceError: As in :meth:`receive`.
        """
        if self._receiver is not None:
            raise self._busy()
        if self.waiting:
            return self._take()
        if self.ended is not None:
            raise self._disconnect(self.ended)
        raise trio.WouldBlock

    def _take(self) -> str | bytes:
        message, size = self.waiting.popleft()
        self.size -= size
        if self._room is not None and not self._is_full():
            self._make_room()
        return message

    @staticmethod
    def _busy() -> trio.BusyResourceError:
        return trio.BusyResourceError(
            "another task is receiving from this connection: let one task receive, and pass "
            "messages on to others"
        )

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._receiver = None
        return trio.lowlevel.Abort.SUCCEEDED
