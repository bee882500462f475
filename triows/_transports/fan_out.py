"""
The same message to many connections: encoded once, and written in one loop without waiting.

A peer that reads slowly has its outbox. When that is full, the peer doesn't hold up the others: it
is the caller who decides what becomes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio
from trio.lowlevel import checkpoint_if_cancelled

from triows._protocol.frames import Prepared

from .turn import current_turn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .interface import Transport

    Member = TypeVar("Member", bound=Transport)

__all__ = ["FanOut", "fan_out_nowait"]

#: Sockets to write to before other tasks get a turn: about 10 us each, so a few milliseconds. The
#: reactor reads from twice as many, in less time for each.
_SOCKETS = 256


def fan_out_nowait(transports: Iterable[Member], message: str | bytes | Prepared) -> list[Member]:
    """
    Hand a message over to many connections. Nothing here waits.

    On each connection, it goes out after all messages that were sent before, and before those that
    are sent later. Connections that have ended get nothing. A :class:`FanOut` that is under way has
    reached some of the connections, and reaches the others after this.

    Args:
        transports: The connections, which are accepted.
        message: The message.

    Returns:
        The connections that had no room for it, in the same order.

    Raises:
        UnicodeEncodeError: The text has a lone surrogate. Nobody has got it.
    """
    prepared = message if isinstance(message, Prepared) else Prepared(message)
    return [one for one in transports if not one.post(prepared)]


class FanOut:
    """
    Hands messages over to many connections, in one order for all of them.

    Calls at the same time take effect in the order in which they began: the next message reaches
    its first connection when this one has reached its last. Make one of these for each group that
    has to agree on an order, such as the receivers of a topic. Two groups don't wait for each
    other.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        # It is FIFO. Nobody has to wait for it until somebody has more than a stretch of members.
        self._lock = trio.Lock()

    async def send(self, transports: Iterable[Member], message: str | bytes) -> list[Member]:
        """
        Do the same as :func:`fan_out_nowait`, but give other tasks their turn now and then.

        The connections are those at the time of the call. If this is cancelled before it begins, or
        while it waits for earlier calls, nobody gets the message. After that, everybody gets it.

        Raises:
            UnicodeEncodeError: As in :func:`fan_out_nowait`.
        """
        await checkpoint_if_cancelled()
        try:
            prepared = Prepared(message)
        except UnicodeEncodeError:
            await trio.lowlevel.checkpoint()
            raise
        members, turn = tuple(transports), current_turn()
        await self._begin()
        try:
            full = fan_out_nowait(members[:_SOCKETS], prepared)
            for start in range(_SOCKETS, len(members), _SOCKETS):
                await turn.end()
                full += fan_out_nowait(members[start : start + _SOCKETS], prepared)
        finally:
            self._lock.release()
        await turn.end()
        return full

    async def _begin(self) -> None:
        """Wait for earlier calls. Trio's lock would wait for a turn of the loop in any case."""
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            await self._lock.acquire()
