"""
The same message to many connections: encoded once, and written in one loop without waiting.

A peer that reads slowly has its outbox. When that is full, the peer doesn't hold up the others: it
is the caller who decides what becomes of it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import trio

from triows._protocol.frames import Prepared

from .turn import current_turn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .interface import Transport

    Member = TypeVar("Member", bound=Transport)

__all__ = ["fan_out", "fan_out_nowait"]

#: Sockets to write to before other tasks get a turn: about 10 us each, so a few milliseconds. The
#: reactor reads from twice as many, in less time for each.
_SOCKETS = 256


def fan_out_nowait(transports: Iterable[Member], message: str | bytes | Prepared) -> list[Member]:
    """
    Hand a message over to many connections. Nothing here waits.

    On each connection, it goes out after all messages that were sent before, and before those that
    are sent later. Connections that have ended get nothing.

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


async def fan_out(transports: Iterable[Member], message: str | bytes) -> list[Member]:
    """
    Do the same, but give other tasks their turn now and then.

    The connections are those at the time of the call. If this is cancelled before it begins, nobody
    gets the message. After that, everybody gets it.

    Two calls at the same time may reach two connections in different orders. To have one order for
    all, make one call after the other.

    Raises:
        UnicodeEncodeError: As in :func:`fan_out_nowait`.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    try:
        prepared = Prepared(message)
    except UnicodeEncodeError:
        await trio.lowlevel.checkpoint()
        raise
    turn, waiting = current_turn(), iter(tuple(transports))
    full: list[Member] = []
    while stretch := tuple(islice(waiting, _SOCKETS)):
        full += fan_out_nowait(stretch, prepared)
        await turn.end()
    return full
