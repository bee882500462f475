"""
Runs an application for a test: its start-up, its server, and its shutdown.

The application runs in tasks of its own, at the same time as the test. Its errors are kept, and
raised where the test sees them. Every task that the application starts is marked, so we know what
it leaves behind.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

import trio

from _triows_schedules.schedule import current_loop
from triows._errors import combined, is_a, leaves, without_cancelled

from ._alive import Alive
from ._blocked import LoopBlocked
from ._calls import Calls
from ._patience import Patience
from ._turns import follow_schedule

if TYPE_CHECKING:
    import contextvars

    from triows import Triows

    from ._backends import Backend

__all__ = ["Stage", "current_stage"]

#: Set in all tasks of an application that runs for a test.
_STAGE: ContextVar[Stage | None] = ContextVar("triows test", default=None)


def current_stage(context: contextvars.Context) -> Stage | None:
    """Return the stage whose application started a task with this context, if any."""
    return context.get(_STAGE)


class Stage:
    """
    Runs an application at the same time as a test.

    Args:
        app: The application.
        backend: How the client reaches it.
        nursery: Everything runs in it.
        patience: How many seconds the end of a connection, or of the application, may take. By
            default, what the settings add up to.
        raises: Whether errors that nobody handled are raised in the test. If not, they are logged,
            as by any server.
    """

    def __init__(
        self,
        app: Triows,
        backend: Backend,
        nursery: trio.Nursery,
        patience: float | None,
        *,
        raises: bool,
    ) -> None:
        self.app = app
        self.backend = backend
        self.nursery = nursery
        self.patience = Patience.of(app, backend.round_trip, patience, backend.drain.delay)
        self.calls = Calls(raises=raises)
        self.alive = Alive(app, self.calls, self.patience.connection)
        #: Whether something was found that does not end.
        self.has_leaked = False
        #: Whether the start-up was given up.
        self.never_started = False
        #: Whether something goes on although it was cancelled and has no shield any more.
        self.is_unending = False
        #: The error that ended the test, if its loop was blocked, and whether it was raised.
        self.blocked: LoopBlocked | None = None
        self.blocked_is_told = False
        #: Set when the application runs, or has failed to.
        self.started = trio.Event()
        self.done = trio.Event()
        #: Whether the application ended, or was told to end.
        self.is_ending = False
        self.body = trio.CancelScope()
        self._trigger = trio.Event()

    async def run(self) -> None:
        """Run the application until :meth:`end`. Keep its errors."""
        _STAGE.set(self)
        follow_schedule()
        loop = current_loop()
        if loop is not None:
            loop.pictures.append(self.alive.picture)
        try:
            with self.app.watched(self.calls):
                async with trio.open_nursery() as nursery:
                    await nursery.start(self.backend.serve, self._trigger.wait)
                    self.started.set()
        except BaseException as exc:
            error = without_cancelled(exc)
            if error is not None and any(is_a(one, KeyboardInterrupt) for one in leaves(exc)):
                raise
            if error is not None:
                found = list(leaves(error))
                self.calls.errors.append(found[0] if len(found) == 1 else error)
            if error is not exc:
                raise
        finally:
            if loop is not None:
                loop.pictures.remove(self.alive.picture)
            # If the application failed, the test ends, too.
            if not self._trigger.is_set():
                self.body.cancel()
            self.is_ending = True
            self.started.set()
            self.done.set()

    def end(self) -> None:
        """Let the application shut down, as a server does."""
        self.is_ending = True
        self._trigger.set()

    @property
    def error(self) -> BaseException | None:
        """Everything that went wrong in the application, except in its connections."""
        return combined("errors in the application", self.calls.errors)

    def note_raised(self, *errors: BaseException | None) -> None:
        """Don't raise :attr:`blocked` a second time if it is among what is raised now."""
        found = [leaf for error in errors if error is not None for leaf in leaves(error)]
        if any(is_a(leaf, LoopBlocked) for leaf in found):
            self.blocked_is_told = True
