"""
The connections and plain requests of a test, seen from the application's side.

The application tells what happens to each: that it was called, that it failed, that it is over. A
call is recognised by a context variable of its tasks, or by the client's address.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import trio

from triows._managers import contextmanager
from triows._watch import Watch

from ._tasks import scope_of

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Iterator

    from triows.types import Scope

__all__ = ["Call", "Calls", "call_of"]

#: Set in the tasks of one connection, if we know which one it is.
_CALL: ContextVar[Call | None] = ContextVar("triows test connection", default=None)


def call_of(context: contextvars.Context) -> Call | None:
    """Return the call for which a task with this context works, if any."""
    return context.get(_CALL)


class Call:
    """
    One connection, or one plain request, seen from the application's side.

    Args:
        url: The URL, for messages.
        secure: Whether it should look like a connection with TLS.
    """

    def __init__(self, url: str, *, secure: bool) -> None:
        self.url = url
        self.secure = secure
        #: The peer's address that the application sees. ``None`` until it is known.
        self.address: tuple[str, int] | None = None
        #: Whether :attr:`over` will be set. Over sockets, it is set only if the server has called
        #: the application.
        self.tells_end = False
        #: The application's task, and the scope around it, while the application works on it.
        self.task: trio.lowlevel.Task | None = None
        self.scope: trio.CancelScope | None = None
        #: Whether nobody waits for it any more, so that nobody would raise its error.
        self.is_left = False
        #: The error that nobody handled.
        self.error: BaseException | None = None
        #: Set when everything of the connection is over.
        self.over = trio.Event()

    @property
    def is_going(self) -> bool:
        """Whether the application is working on it."""
        return self.task is not None

    def mark(self) -> None:
        """Recognise the call in this context, and in the tasks that are started in it."""
        _CALL.set(self)

    def note_closed(self) -> None:
        """Note that its connection is closed. It isn't over as long as the application goes on."""
        if self.task is None:
            self.over.set()


class Calls(Watch):
    """
    All calls of one application.

    Args:
        raises: Whether errors that nobody handled are raised in the test. If not, they are logged,
            as by any server.
    """

    follows = True

    def __init__(self, *, raises: bool) -> None:
        self.raises = raises
        #: Errors that belong to no call, or to one that the test has left.
        self.errors: list[BaseException] = []
        #: WebSockets that the test has not left.
        self.connections: set[Call] = set()
        #: Plain requests that have not ended.
        self.requests: set[Call] = set()

    @contextmanager
    def calling(self, call: Call) -> Iterator[None]:
        """Remember a connection during a block."""
        self.connections.add(call)
        try:
            yield
        finally:
            self.connections.discard(call)

    def leave_request(self, call: Call) -> None:
        """Note that the test has left a request. Its errors count as errors of the application."""
        call.is_left = True
        if call.error is not None:
            self.errors.append(call.error)
            call.error = None
        if not call.is_going:
            self.requests.discard(call)

    # Called by the application, in the task that serves the connection.

    def began(self, scope: Scope) -> None:
        call = _CALL.get()
        if call is None:
            # On a socket, we recognise it by its address. No middleware has changed that yet.
            client: Any = scope.get("client")
            address = tuple(client) if client else None
            calls = (*self.connections, *self.requests)
            call = next((one for one in calls if one.address == address), None)
            _CALL.set(call)
        if call is not None:
            call.tells_end = True
            call.task = trio.lowlevel.current_task()
            call.scope = scope_of(call.task)

    def failed(self, scope: Scope, exc: BaseException) -> None:
        if not self.raises:
            super().failed(scope, exc)
            return
        call = _CALL.get()
        if call is None or call.is_left:
            self.errors.append(exc)
        else:
            call.error = exc

    def over(self, scope: Scope) -> None:
        if (call := _CALL.get()) is not None:
            call.over.set()
            call.task = call.scope = None  # the task's context refers to the call
            if call.is_left:
                self.requests.discard(call)
