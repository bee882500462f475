"""What is known of one resource, in whichever task it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from starlette.requests import ClientDisconnect as StarlettesDisconnect

from triows._errors import add_note, says_only, without
from triows._stacks import add_stack, frames_of
from triows._where import where
from triows.exceptions import Disconnected, HandlerCancelled, ResourceExpired, TeardownTimeout

if TYPE_CHECKING:
    from .factories import Factory

__all__ = ["Resource"]


class Resource:
    """
    A resource from its entry to its exit.

    Args:
        factory: The factory that makes the resource.
        user: What uses the resource, for a message.
    """

    __slots__ = (
        "_left_by",
        "_spares_bare",
        "_thrown",
        "_user",
        "done",
        "entered",
        "error",
        "expired",
        "factory",
        "manager",
        "released",
        "task",
        "value",
    )

    def __init__(self, factory: Factory, user: str) -> None:
        self.factory = factory
        self.value: Any = None
        self.error: BaseException | None = None
        self.entered = False
        self.expired = False
        #: Whether it has been told to exit, and whether it is over.
        self.released = self.done = False
        #: The task in which it is entered, held or exited, and the context manager in it.
        #: Inspection uses them to see where the resource waits. ``None`` before and after, because
        #: both would keep alive what the resource held.
        self.task: trio.lowlevel.Task | None = None
        self.manager: Any = None
        self._user = user
        # The exception to raise at the yield, and whether not to raise it at a bare yield.
        self._thrown: BaseException | None = None
        self._spares_bare = False
        # The exception with which the resource was exited.
        self._left_by: BaseException | None = None

    @property
    def _at(self) -> str:
        return f"\n  at {where(self.factory.call)}"

    def _note_raised(self, exc: BaseException) -> None:
        """Note what its entry or its exit has raised."""
        self._left_by = exc
        if exc.__traceback__ is not None and exc.__traceback__.tb_next is None:
            # Python itself refused something, and nothing else would say whose it was.
            add_note(exc, f"this is about the resource {self.factory.name}{self._at}")

    def let_raise(
        self,
        error: BaseException | None,
        cancelled: str | None,
        own: object = None,
        *,
        is_end: bool = False,
    ) -> None:
        """
        Decide what is raised at the ``yield`` when it is released.

        If the handler raised, it is its error. If the handler was cancelled, it is
        :exc:`~triows.HandlerCancelled`, with the reason. But if the handler was cancelled, or the
        error only means that the peer has left, nothing is raised at a bare ``yield``: the lines
        after it run.

        Args:
            error: What the handler raised.
            cancelled: Why it was cancelled, if it was.
            own: The source of the exception that says so.
            is_end: Whether the error only means that the peer has left.
        """
        self._thrown = error if cancelled is None else self._cancellation(cancelled, own)
        self._spares_bare = is_end or cancelled is not None

    def _cancellation(self, reason: str, own: object) -> HandlerCancelled:
        """
        Make what is raised at the ``yield`` if the handler was cancelled.

        Each resource gets one of its own. If one exception were raised in several places, its
        traceback would grow each time.
        """
        cancelled = HandlerCancelled(reason, self._user)
        cancelled.source = own
        return cancelled

    def _to_raise(self) -> BaseException | None:
        """Return what is raised at the ``yield`` at which it is."""
        # Only now do we know at which of its yields a generator is.
        spared = self._spares_bare and not self.factory.is_guarded(self.manager)
        return None if spared else self._thrown

    def _judge(self, *, is_late: bool) -> None:
        """
        Decide what is left to report after the resource has exited.

        Args:
            is_late: Whether its exit was cancelled, because it took too long.
        """
        if self.error is not None and self._thrown is not None:
            self.error = without(self.error, self._thrown)
        if self.error is None and is_late:
            self.error = TeardownTimeout(
                f"{self.factory.name} did not exit in time, which is its share of Timeouts.teardown"
                f"{self._at}"
            )
            if self._left_by is not None:
                add_stack(self.error, frames_of(self._left_by))
            # Keep the error that was being raised when the exit took too long.
            self.error.__context__ = self._left_by
        if self.expired and (self.error is None or _is_disconnect(self.error)):
            expired = ResourceExpired(
                f"{self.factory.name} ended while it was in use: a cancel scope around its "
                "yield was cancelled, by its deadline or because a task failed"
                f"{self._at}"
            )
            expired.__context__ = self.error
            self.error = expired

    def _end(self, *, is_late: bool) -> None:
        """Note that it is over."""
        self.task = self.manager = None
        try:
            self._judge(is_late=is_late)
        except Exception as exc:  # noqa: BLE001 - the stack reports it, too
            self.error = exc
        finally:
            # Their tracebacks refer to this object.
            self._thrown = self._left_by = None
            self.done = True


def _is_disconnect(error: BaseException) -> bool:
    """Say whether it only says that the peer has left, but not why the resource has ended."""
    return says_only(
        error, Disconnected, StarlettesDisconnect, after=(HandlerCancelled, trio.Cancelled)
    )
