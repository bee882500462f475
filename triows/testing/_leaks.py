"""
Finds what an application leaves behind: connections, resources and tasks that should be over.

Structured concurrency ends most of them by itself. If something is left, it shields itself from
cancellation, or was started in a place where nobody waits for it. It is shown and then ended, if
that is possible, so that a test fails and doesn't hang.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from triows._counted import counted
from triows._reasons import Reason
from triows.inspect import look_at_task

from ._patience import ENDING
from ._stage import current_stage
from ._tasks import all_tasks, tasks_below, tasks_in, top_tasks, unshield, waits_for_thread

if TYPE_CHECKING:
    from ._calls import Call
    from ._stage import Stage

__all__ = ["LeakCheck", "LeakError", "StartTimeout"]

#: How often to take the shields away from a task that makes new ones.
_ROUNDS = 10


class LeakError(AssertionError):
    """Something in the application is alive that should be over. The text shows it."""


class StartTimeout(trio.TooSlowError, AssertionError):
    """The application has not started in time. The text shows where its start-up is."""


class LeakCheck:
    """
    Looks for leaks of one application.

    Args:
        stage: The stage on which it runs.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._top_tasks = set(top_tasks())

    def _error(
        self, what: str, *, call: Call | None = None, picture: str | None = None
    ) -> LeakError:
        self._stage.has_leaked = True
        return LeakError(f"{what}{self._cause()}\n\n{picture or self._stage.alive.picture(call)}")

    def _cause(self) -> str:
        """Say why something has not ended, if that can be seen."""
        if not any(waits_for_thread(task) for task in tasks_in(self._stage.nursery)):
            return ""
        if isinstance(trio.lowlevel.current_clock(), MockClock):
            return " (it waits for a thread, and a virtual clock does not wait for threads)"
        return " (it waits for a thread, which can't be cancelled)"

    def of_connection(self, call: Call) -> LeakError:
        """Make the error for a connection that did not end in time."""
        seconds = self._stage.patience.connection
        return self._error(
            f"the connection to {call.url} has not ended {seconds:g} s after its client left: its "
            "handler, a resource, or a task of its nursery goes on when it is cancelled",
            call=call,
        )

    def of_shutdown(self) -> LeakError:
        """Make the error for an application that did not shut down in time."""
        return self._error("the application has not shut down in the time that its settings allow")

    def of_start(self, seconds: float) -> StartTimeout:
        """Make the error for an application that did not start in time."""
        self._stage.never_started = True
        what = f"the application has not started in {seconds:g} s"
        return StartTimeout(f"{what}\n\n{self._stage.alive.picture()}")

    async def leave(self, *, failed: bool) -> LeakError | None:
        """
        End the application, whatever it does, and look for what is left.

        Args:
            failed: Whether the test has failed already.
        """
        stage, nursery = self._stage, self._stage.nursery
        leak: LeakError | None = None
        told = stage.has_leaked
        if stage.never_started:
            nursery.cancel_scope.cancel()
        elif not told:
            leak = await self._leave_connections(failed=failed)
        stage.end()
        if not told:
            patience = stage.patience
            # If the start-up was given up, only the resources that it has entered exit.
            seconds = (
                patience.ending - patience.connection if stage.never_started else patience.ending
            )
            if any(call.is_going for call in stage.alive.stuck):
                seconds = 0.0  # the server waits for it in vain
            await _wait(stage.done, seconds + ENDING)
        if not stage.done.is_set() and not told and leak is None and not stage.never_started:
            leak = self._error("the application has not ended")
        nursery.cancel_scope.cancel()
        if not stage.done.is_set() or stage.alive.stuck:
            await self._force(nursery, leak)
        if told or leak is not None or stage.never_started:
            return leak
        return await self._strays(nursery)

    async def _force(self, nursery: trio.Nursery, leak: LeakError | None) -> None:
        """End tasks that shield themselves, maybe several times."""
        for _ in range(_ROUNDS):
            for task in tasks_in(nursery):
                unshield(task, nursery.cancel_scope)
            await _settle()
            if not nursery.child_tasks:
                return
        # The watchdog interrupts a loop that catches every cancellation. A thread can't be
        # interrupted, so we have to wait for it. Before that, print what we know.
        text = leak or self._error("something in the application does not end")
        sys.stderr.write(
            f"\n{text}\n\nThis goes on although it was cancelled. Waiting for it now.\n"
        )
        sys.stderr.flush()
        self._stage.is_unending = True

    async def _leave_connections(self, *, failed: bool) -> LeakError | None:
        """Wait for connections that are ending, and end the others."""
        stage = self._stage
        leak: LeakError | None = None
        number = stage.alive.open()
        if number and not failed and not stage.is_ending:
            which = "1 connection is" if number == 1 else f"{number} connections are"
            leak = self._error(f"{which} open at the end of the test: leave their blocks first")
        for lifetime in stage.alive.lifetimes():
            if failed or not lifetime.line.ended:
                lifetime.cancel(Reason.CANCELLED)
        if any(call.is_going for call in stage.calls.requests):
            await _settle()  # they may be ending just now
        await stage.alive.end_requests(*stage.calls.requests)
        for call in tuple(stage.calls.requests):  # nobody else would raise their errors
            stage.calls.leave_request(call)
        if not await stage.alive.wait_no_connections(stage.patience.connection) and leak is None:
            which = "a connection has not ended {:g} s after its client left"
            leak = self._error(which.format(stage.patience.connection))
        if leak is None and stage.alive.stuck:
            leak = self._error(
                f"a request has not ended {stage.patience.connection:g} s after it was cancelled: "
                "its handler, a resource, or a task of its nursery goes on when it is cancelled",
                picture=next(iter(stage.alive.stuck.values())),
            )
        for call in stage.alive.stuck:
            _unshield_request(call)
            await _wait(call.over, ENDING)
        return leak

    async def _strays(self, nursery: trio.Nursery) -> LeakError | None:
        """Look for tasks that the application started in a nursery that isn't its own."""
        if self._find_strays(nursery):
            await _settle()  # they may be ending just now
        strays = self._find_strays(nursery)
        if not strays:
            return None
        number = counted(len(strays), "task")
        picture = "\n".join(str(look_at_task(task)) for task in strays)
        return self._error(
            f"{number} of the application outlived it, because nothing in the application waits "
            "for the nursery",
            picture=picture,
        )

    def _find_strays(self, nursery: trio.Nursery) -> list[trio.lowlevel.Task]:
        ours = set(tasks_in(nursery))
        marked = [
            task
            for task in all_tasks()
            if task not in ours and current_stage(task.context) is self._stage
        ]
        news = [task for task in top_tasks() if task not in self._top_tasks]
        return marked + [task for task in news if task not in marked]


def _unshield_request(call: Call) -> None:
    """End a request that was cancelled and shields itself, so that the server can end."""
    if call.task is not None and call.scope is not None and call.is_going:
        for task in (call.task, *tasks_below(call.task)):
            unshield(task, call.scope)


async def _settle() -> None:
    """Wait a moment until all tasks wait, even if this task is cancelled."""
    with trio.move_on_after(ENDING, shield=True):
        await wait_all_tasks_blocked()


async def _wait(event: trio.Event, seconds: float) -> None:
    """Wait for an event for a limited time, even if this task is cancelled."""
    with trio.move_on_after(seconds, shield=True):
        await event.wait()
