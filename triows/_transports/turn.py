"""Giving other tasks their turn from time to time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STRETCH", "Turn", "new_turn", "replace_turns"]

#: Messages that may be sent or received in a row, on however many connections, before the other
#: tasks get a turn. A full schedule point for each would cost a third of the speed of a busy
#: connection. This costs little, and other tasks wait for less than a millisecond.
STRETCH = 64


class Turn:
    """
    Counts the messages since the other tasks had their last turn.

    All connections of a server share one, since a broadcast sends a little on each of many.
    """

    __slots__ = ("calls",)

    def __init__(self) -> None:
        #: Whoever handles a message adds one, and calls :meth:`end` at :data:`STRETCH`.
        self.calls = 0

    async def end(self) -> None:
        """Let other tasks run. This can't be cancelled, because the message is handled already."""
        self.calls = 0
        await trio.lowlevel.cancel_shielded_checkpoint()


_make: Callable[[], Turn] = Turn


def new_turn() -> Turn:
    """Make the turn of a server, or of somebody who stands alone."""
    return _make()


def replace_turns(make: Callable[[], Turn]) -> None:
    """
    Have others made from now on.

    :mod:`triows.testing` does this, so that a test's schedule decides which calls give others a
    turn. Here, nothing is asked for each message.
    """
    global _make  # noqa: PLW0603 - there is one way for all servers
    _make = make
