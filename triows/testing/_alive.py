"""What is alive in an application that runs for a test: shown, cancelled, and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import evolve
from trio.testing import MockClock

from triows._counted import counted
from triows._inspection.inside import live, with_mounted
from triows._inspection.tasks import await_frames
from triows._reasons import Reason
from triows.inspect import look_at_task, tree

from ._calls import call_of
from ._patience import ENDING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triows import Triows
    from triows._exchange.lifetime import Lifetime

    from ._calls import Call, Calls

__all__ = ["Alive"]

#: How many connections a picture shows. Nobody finds one among more of them.
_SHOWN = 20


class Alive:
    """
    The connections and requests of an application that have not ended.

    Args:
        app: The application.
        calls: What the test knows of them.
        patience: How many seconds a request may take to end when it was cancelled.
    """

    def __init__(self, app: Triows, calls: Calls, patience: float) -> None:
        self._app = app
        self._calls = calls
        self._patience = patience
        #: Requests that did not end when they were cancelled, and what they looked like then.
        self.stuck: dict[Call, str] = {}

    def open(self) -> int:
        """Count the connections that neither side has closed."""
        known = self._calls.connections
        unbound = [one for one in self.lifetimes() if _call_of(one) not in known]
        return len(known) + sum(not one.line.ended for one in unbound)

    def lifetimes(self) -> list[Lifetime]:
        """List its connections, with those of applications that are mounted in it."""
        return [one.lifetime for one in live(self._app) if one.is_connection]

    def picture(self, call: Call | None = None) -> str:
        """Describe what is alive in the application. If it is much, show *call* first."""
        seen = tree(self._app)
        shown = seen.connections
        if len(shown) > _SHOWN:
            own = "" if call is None or call.address is None else "{}:{}".format(*call.address)
            shown = tuple(sorted(shown, key=lambda one: one.peer != own)[:_SHOWN])
        text = f"what is alive in the application:\n{evolve(seen, connections=shown)}"
        if more := len(seen.connections) - len(shown):
            text += f"\n(and {counted(more, 'more connection')})"
        if call is not None and not call.over.is_set() and not self._lifetimes(call):
            # It belongs to another framework's application, so we know only its task.
            text += "" if call.task is None else f"\n{look_at_task(call.task)}"
        return text

    def why_late(self, call: Call) -> str:
        """Say why nothing came in time, to be added to a message, if it is the virtual clock."""
        is_virtual = isinstance(trio.lowlevel.current_clock(), MockClock)
        if call.task is None or not is_virtual or not _waits_for_thread(call.task):
            return ""
        return _NO_CLOCK_FOR_THREADS

    def _lifetimes(self, call: Call) -> list[Lifetime]:
        found = [exchange.lifetime for exchange in live(self._app)]
        return [one for one in found if _call_of(one) is call]

    def cancel(self, call: Call) -> None:
        """
        Cancel the handler of a connection or of a request.

        Raises:
            RuntimeError: The handler belongs to an application of another framework.
        """
        lifetimes = self._lifetimes(call)
        if not lifetimes and call in self._calls.requests:  # a middleware answers
            if call.scope is not None:
                call.scope.cancel()
        elif not lifetimes and not call.over.is_set():
            raise RuntimeError(
                "this connection is served by an application of another framework, whose "
                "handlers can't be cancelled from here"
            )
        for lifetime in lifetimes:
            lifetime.cancel(Reason.CANCELLED)

    async def wait_no_connections(self, seconds: float) -> bool:
        """Wait until all connections are over, even if cancelled. Return whether they are."""
        with trio.move_on_after(seconds, shield=True):
            for _, inside in with_mounted("", self._app._inside()):
                await inside.exchanges.wait_empty()
        return not self.lifetimes()

    async def cancel_requests(self, *calls: Call) -> None:
        """Cancel the application's work on requests. If it is just ending, wait for that."""
        await self._cancel(calls, ENDING)

    async def end_requests(self, *calls: Call) -> None:
        """Cancel the application's work on requests, and note which of them don't end in time."""
        await self._cancel(calls, self._patience)
        self.stuck |= {call: self.picture(call) for call in calls if call.is_going}

    async def _cancel(self, calls: Iterable[Call], seconds: float) -> None:
        going = [call for call in calls if call.is_going]
        for call in going:
            if call.scope is not None:
                call.scope.cancel()
        with trio.move_on_after(seconds, shield=True):
            for call in going:
                await call.over.wait()


#: Where a task waits whose work is in a thread.
_IN_THREAD = trio.to_thread.run_sync.__code__

_NO_CLOCK_FOR_THREADS = (
    "; its work is in a thread, such as that of a `def` handler, and the virtual clock doesn't "
    "wait for threads: leave autojump_clock out of this test, or override what needs the thread"
)


def _waits_for_thread(task: trio.lowlevel.Task) -> bool:
    """Say whether a task waits for a thread, or a task in one of its nurseries does."""
    if any(frame.f_code is _IN_THREAD for frame, _ in await_frames(task)):
        return True
    below = (child for nursery in task.child_nurseries for child in nursery.child_tasks)
    return any(map(_waits_for_thread, below))


def _call_of(lifetime: Lifetime) -> Call | None:
    return None if lifetime.task is None else call_of(lifetime.task.context)
