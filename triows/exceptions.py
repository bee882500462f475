"""
The exceptions of triows.

* :exc:`TriowsError`
    * :exc:`RouteSetupError`: a mistake in a route, found at registration
        * :exc:`TemplateError`: the path template can't be read
        * :exc:`RouteConflictError`: two routes match the same paths
        * :exc:`HandlerSignatureError`: nothing can fill a parameter
        * :exc:`DependencyError`: a factory can't be used
            * :exc:`DependencyCycleError`: factories need each other
            * :exc:`MissingProviderError`: no factory makes a type
    * :exc:`Disconnected`: the peer is gone, or the connection is over (a normal end)
        * :exc:`WebSocketDisconnect`: a WebSocket connection is over
        * :exc:`ClientDisconnect`: nobody receives the response any more
    * :exc:`WebSocketClose`: raise it to end the connection with a code
        * :exc:`WrongDataType`: text instead of bytes, or the reverse (1003)
        * :exc:`InvalidMessage`: a message is not of the wanted type (1007)
    * :exc:`WebSocketStateError`: a method was called at the wrong time
    * :exc:`HandlerCancelled`: raised in resources whose handler was cancelled
    * :exc:`ResourceError`: a resource ended its connection, or would not end
        * :exc:`ResourceExpired`: a deadline around its ``yield`` passed
        * :exc:`TeardownTimeout`: its exit took longer than its share of the time
    * :exc:`NotRunningError`: the application's start-up has not run
    * :exc:`AddressError`: the server can't listen at an address

:exc:`InvalidRequest` is an :exc:`HTTPException`: a request that can't be used (422).

:exc:`HTTPException` and :exc:`WebSocketException` are Starlette's own classes, so that code
written for either framework can raise them.

These are all exceptions that an application sees. Those of the test clients are in
:mod:`triows.testing`. An exception that one part of triows raises for another, and that never gets
out, is beside the code that raises it. A wrong argument, or a call at the wrong time, raises
Python's own ``TypeError``, ``ValueError`` or ``RuntimeError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import (
    HTTPException as HTTPException,
    WebSocketException as WebSocketException,
)
from starlette.websockets import WebSocketDisconnect as StarlettesDisconnect

from ._closing import check_close

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AddressError",
    "ClientDisconnect",
    "DependencyCycleError",
    "DependencyError",
    "Disconnected",
    "HTTPException",
    "HandlerCancelled",
    "HandlerSignatureError",
    "InvalidMessage",
    "InvalidRequest",
    "MissingProviderError",
    "NotRunningError",
    "ResourceError",
    "ResourceExpired",
    "RouteConflictError",
    "RouteSetupError",
    "TeardownTimeout",
    "TemplateError",
    "TriowsError",
    "WebSocketClose",
    "WebSocketDisconnect",
    "WebSocketException",
    "WebSocketStateError",
    "WrongDataType",
]


class TriowsError(Exception):
    """The base class of all exceptions that triows defines."""


# What the user of the framework got wrong, found before anything is served.


class RouteSetupError(TriowsError):
    """
    A route can't be registered.

    Args:
        message: What is wrong and what to do instead.
        where: ``file:line (name)`` of the user's function, if there is one.
    """

    def __init__(self, message: str, where: str | None = None) -> None:
        self.message = message
        self.where = where
        super().__init__(f"{message}\n  at {where}" if where else message)


class TemplateError(RouteSetupError):
    """A path template can't be read."""


class RouteConflictError(RouteSetupError):
    """Two routes would match exactly the same paths."""


class HandlerSignatureError(RouteSetupError):
    """Nothing can fill a parameter of a handler or a factory."""


class DependencyError(RouteSetupError):
    """
    A factory can't be used where something asks for it.

    It is also raised while the application runs, if a factory makes something else than the
    type that it, or the parameter, is annotated with.

    Args:
        message: What is wrong and what to do instead.
        where: ``file:line (name)`` of the function that asks for it.
        chain: The names of the functions that ask for each other, the handler first.
    """

    def __init__(self, message: str, where: str | None = None, chain: Sequence[str] = ()) -> None:
        self.chain = tuple(chain)
        if self.chain:
            message = f"{message}\n  needed by: {' -> '.join(self.chain)}"
        super().__init__(message, where)


class DependencyCycleError(DependencyError):
    """Factories need each other, directly or through others."""


class MissingProviderError(DependencyError):
    """No factory makes a parameter's type, and it can't be read from a string."""


# What the peer got wrong.


class InvalidRequest(HTTPException):
    """
    A request can't be used: a parameter is missing, or something in it is wrong. The answer is 422.

    Args:
        errors: Everything that is wrong with it. Each has a ``location``, a ``name`` and a
            ``message``, which the client may see.
    """

    def __init__(self, errors: Sequence[Any]) -> None:
        self.errors = tuple(errors)
        super().__init__(422, "; ".join(one.message for one in self.errors))


# How a connection ends.


class Disconnected(TriowsError):
    """
    The peer is gone, or the connection is over: you can't receive or send anything more.

    It may leave a handler: that is a normal end, and is not reported as an error.
    """

    #: What is over. If the exception leaves the handler of another connection, it is an error
    #: there, and not a normal end.
    source: object = None


class ClientDisconnect(Disconnected, OSError):
    """
    Nobody receives the response any more. A mounted application's ``send`` raises it.

    ASGI requires an error here, and it has to be an OSError:
    https://asgi.readthedocs.io/en/latest/specs/www.html#disconnected-client-send-exception
    """


class WebSocketDisconnect(Disconnected, StarlettesDisconnect):
    """
    The connection is over: you can't receive or send anything more.

    It may leave a handler: that is a normal end, and is not reported as an error. ``except`` with
    Starlette's ``WebSocketDisconnect`` catches it, too.

    Args:
        code: The close code (:rfc:`6455#section-7.4`). It is 1006 if there was no close frame, and
            1005 if there was one without a code.
        reason: The text that came with the code.
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        Exception.__init__(self, f"{code} {reason}".rstrip())


class WebSocketClose(TriowsError):
    """
    Raise this in a handler, or in anything that it calls, to close the connection.

    Args:
        code: A close code that may be sent: 1000-1003, 1007-1014, 3000-4999.
        reason: At most 123 bytes of UTF-8. The peer sees it.

    Raises:
        ValueError: The code or the reason can't be sent.
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        check_close(code, reason)
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}".rstrip())


class WrongDataType(WebSocketClose):
    """The peer sent text where you asked for bytes, or the reverse."""

    def __init__(self, reason: str) -> None:
        super().__init__(1003, reason)


class InvalidMessage(WebSocketClose):
    """
    The peer sent a message that isn't JSON, or isn't of the type that you asked for.

    The peer sees only "invalid message". :attr:`detail` says what was wrong. It may quote the
    application's types.

    Args:
        detail: What was wrong, for the log.
    """

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(1007, "invalid message")


class WebSocketStateError(TriowsError, RuntimeError):
    """You called a method of the connection at a time when it can't work."""


# What happens to resources.


class HandlerCancelled(TriowsError):
    """
    Raised at the ``yield`` of a guarded resource whose handler was cancelled.

    The lifespan and the application's resources get it if the application was cancelled.

    Unlike :exc:`trio.Cancelled`, it is an :exc:`Exception`. So a transaction's ``except
    Exception`` rolls back, and the cleanup can ``await`` as usual.

    Args:
        reason: Why the handler was cancelled: ``"peer gone"``, ``"shutdown"``, ``"timeout"``,
            ``"cancelled"``, ``"task failed"``, ``"resource failed"`` or ``"application failed"``.
        what: What was cancelled, for the message.
    """

    def __init__(self, reason: str, what: str = "the handler") -> None:
        self.reason = str(reason)
        why = "" if reason == "cancelled" else f": {reason}"
        super().__init__(f"{what} was cancelled{why}")


class ResourceError(TriowsError):
    """The base class of errors that a resource causes without raising one itself."""


class ResourceExpired(ResourceError):
    """
    A deadline around a resource's ``yield`` passed while the resource was in use.

    It isn't an error if somebody calls ``cancel()`` on such a scope or nursery: the handler
    goes on, and the resource exits in its turn.
    """


class TeardownTimeout(ResourceError):
    """A resource's exit took longer than its share of the time, and was cancelled."""


class NotRunningError(TriowsError, RuntimeError):
    """A resource that lives as long as the application is needed, before the start-up has run."""


# What happens to a server.


class AddressError(TriowsError, OSError):
    """
    The server can't listen at an address, for example because another process does.

    :func:`triows.serve` raises it. The message says which address it is, and why. ``errno`` is the
    system's number, such as :data:`errno.EADDRINUSE`.
    """

    def __str__(self) -> str:
        return str(self.strerror)
