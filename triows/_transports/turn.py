"""The loop that serves connections: giving its tasks their turn, and refusing other loops."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STRETCH", "Respite", "Turn", "current_turn", "use_turn"]

#: Messages that may be sent or received in a row, on however many connections, before the other
#: tasks get a turn. A full schedule point for each would cost a third of the speed of a busy
#: connection. This costs little, and other tasks wait for less than a millisecond.
STRETCH = 64


class Turn:
    """
    Counts the messages since the other tasks had their last turn.

    All connections of a server share one, since a broadcast sends a little on each of many.
    """

    __slots__ = ("calls", "loop", "number", "thread")

    def __init__(self) -> None:
        #: The loop in which this was made.
        self.loop = trio.lowlevel.current_trio_token()
        #: The thread of that loop. No other loop runs there meanwhile, and asking for the thread
        #: takes a fraction of the time.
        self.thread = get_ident()
        #: Whoever handles a message adds one, and calls :meth:`end` at :data:`STRETCH`.
        self.calls = 0
        #: Changes when tasks that were ready have run, so what is done at two numbers wasn't done
        #: in one turn of the loop. It may stay the same for several turns.
        self.number = 0

    def begin(self) -> None:
        """Note that the other tasks have just had their turn."""
        self.calls = 0
        self.number += 1

    async def end(self) -> None:
        """Let other tasks run. This can't be cancelled, because the message is handled already."""
        self.begin()
        await trio.lowlevel.cancel_shielded_checkpoint()

    # Somebody may call trio.run(ws.send, message) in a thread. What wakes a task up, or waits to
    # be woken up, works only in the task's own loop. A message that needs neither pays nothing for
    # these checks.

    async def check_loop(self) -> None:
        """
        Refuse a call from a loop other than :attr:`loop`.

        Raises:
            RuntimeError: It comes from another loop. The message says what to write instead.
        """
        if get_ident() != self.thread:
            raise await self.used_elsewhere()

    @staticmethod
    async def used_elsewhere() -> RuntimeError:
        """Pass a checkpoint, then make the error for a call from another loop."""
        await trio.lowlevel.checkpoint()
        return RuntimeError(
            "this WebSocket was used in another Trio loop than the one that serves it: in a "
            "thread, write `trio.from_thread.run(ws.send, message)` in place of `trio.run`. A "
            "thread that trio.to_thread.run_sync did not start also needs trio_token="
        )

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in :attr:`loop`: at once if this is called there, and soon otherwise."""
        if get_ident() == self.thread:
            function()
        else:
            self.loop.run_sync_soon(function)


class Respite:
    """
    The turns in which a handler answers messages before the end that came together with them.

    It gets another one as long as it has taken or sent a message in the last one, because any
    call may end its turn.

    Args:
        turns: How many turns there are. A handler that sends without end can't use more.
    """

    __slots__ = ("_handled", "_turns")

    def __init__(self, turns: int) -> None:
        self._turns = turns
        # The first message may have been handed over before the first turn, so that one counts.
        self._handled: object = None

    def goes_on(self, handled: object) -> bool:
        """
        Tell after a turn whether the handler gets another one.

        Args:
            handled: What it has handled. This is compared with that of the turn before.
        """
        if not self._turns or handled == self._handled:
            return False
        self._turns -= 1
        self._handled = handled
        return True


#: A loop has one turn, because all connections in it take the same tasks' time.
_of_this_loop: trio.lowlevel.RunVar[Turn] = trio.lowlevel.RunVar("triows turn")


def current_turn() -> Turn:
    """Return the turn of the running loop. It is made when somebody first asks for it."""
    try:
        return _of_this_loop.get()
    except LookupError:
        turn = Turn()
        _of_this_loop.set(turn)
        return turn


def use_turn(turn: Turn) -> None:
    """
    Let everything that is made in the running loop from now on have this turn.

    :mod:`triows.testing` does this, so that a test's schedule decides which calls give others a
    turn. Here, nothing is asked for each message.
    """
    _of_this_loop.set(turn)
