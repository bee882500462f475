"""Why a handler is cancelled, or will be when its grace is over."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Reason"]


class Reason(StrEnum):
    """
    Why an exchange ends before its handler does. The first reason counts.

    Each is a str, and prints as its text. Resources see it as :attr:`.HandlerCancelled.reason`.
    """

    #: The client has left, and the ``disconnect_grace`` is over.
    PEER_GONE = "peer gone"
    #: The server shuts down, and the ``shutdown_grace`` is over.
    SHUTDOWN = "shutdown"
    #: The handshake has taken longer than ``Timeouts.accept``.
    TIMEOUT = "timeout"
    #: A task in the exchange's nursery has failed.
    TASK_FAILED = "task failed"
    #: A resource of the exchange has failed while it was in use.
    RESOURCE_FAILED = "resource failed"
    #: A resource of the application has failed, so the application ends.
    APPLICATION_FAILED = "application failed"
    #: Something around the exchange was cancelled: the server, or a test.
    CANCELLED = "cancelled"

    @property
    def is_failure(self) -> bool:
        """Whether something of the exchange, or of the application, has failed."""
        return self in (Reason.TASK_FAILED, Reason.RESOURCE_FAILED, Reason.APPLICATION_FAILED)

    @property
    def from_outside(self) -> bool:
        """Whether the server may end at the same time, so that it reads and writes no more."""
        return self in (Reason.CANCELLED, Reason.APPLICATION_FAILED)
