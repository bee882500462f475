"""
The exceptions of triows.

* :exc:`TriowsError`
    * :exc:`HTTPProblem`: raise a subclass to answer with a problem of its type
    * :exc:`InvalidRequest`: a parameter or the body of a request can't be used (422)
    * :exc:`RouteSetupError`: a mistake in a route, found at registration
        * :exc:`TemplateError`: the path template can't be read
        * :exc:`RouteConflictError`: two routes match the same paths
        * :exc:`HandlerSignatureError`: nothing can fill a parameter
        * :exc:`DependencyError`: a factory can't be used
            * :exc:`DependencyCycleError`: factories need each other
            * :exc:`MissingProviderError`: no factory makes a type
    * :exc:`Disconnected`: the peer is gone, or the connection is over (a normal end)
        * :exc:`WebSocketDisconnect`: a WebSocket connection is over
        * :exc:`ClientDisconnect`: the client of a plain request has left
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

:exc:`HTTPException` and :exc:`WebSocketException` are Starlette's own classes, so that code
written for either framework can raise them. :exc:`HTTPProblem` and :exc:`InvalidRequest` are
HTTPExceptions, too.

These are all exceptions that an application sees. Those of the test clients are in
:mod:`triows.testing`. An exception that one part of triows raises for another, and that never gets
out, is beside the code that raises it. A wrong argument, or a call at the wrong time, raises
Python's own ``TypeError``, ``ValueError`` or ``RuntimeError``.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from starlette.exceptions import (
    HTTPException as HTTPException,
    WebSocketException as WebSocketException,
)
from starlette.websockets import WebSocketDisconnect as StarlettesDisconnect

from ._closing import check_close
from .status import code as number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._param_error import ParamError

__all__ = [
    "AddressError",
    "ClientDisconnect",
    "DependencyCycleError",
    "DependencyError",
    "Disconnected",
    "HTTPException",
    "HTTPProblem",
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

T = TypeVar("T")


class TriowsError(Exception):
    """The base class of all exceptions that triows defines."""


# What a client got wrong, or can't have.

# RFC 9457 section 3.1 defines these members of a problem, and 3.2 allows others.
_STANDARD_MEMBERS = frozenset({"type", "title", "status", "detail", "instance"})


class HTTPProblem(TriowsError, HTTPException, Generic[T]):
    """
    The base class of an application's problems, which clients tell apart by type (:rfc:`9457`).

    Raise it in a handler or a factory. The answer has the class's status, and a body of the type
    ``application/problem+json``:

        class OutOfCredit(HTTPProblem[str]):
            "You do not have enough credit."

            __status__ = 403

        raise OutOfCredit("it costs 50, and you have 30", members={"balance": 30})

    A subclass may set ``__status__``, a status from 300 to 599 (422 by default);
    ``__problem_type__``, a URI reference (the name of the class as ``out-of-credit``); and
    ``__problem_title__`` (the first line of the docstring). A type and a title aren't inherited,
    because they say which class it is. The class itself has no type of its own: it is
    ``about:blank`` with the title of the status.

    Args:
        detail: What is special about this occurrence: a str, or anything that JSON can express.
            The client sees it.
        headers: Further headers of the response.
        status: Another status than that of the class.
        problem_type: Another type.
        problem_title: Another title.
        members: Further members of the problem. Those that are ``None`` are left out.

    Raises:
        ValueError: The status can't refuse a request, or a member has the name of a standard one.
    """

    __status__: ClassVar[Any] = 422
    __problem_type__: ClassVar[str] = "about:blank"
    __problem_title__: ClassVar[str | None] = None

    detail: T | None  # type: ignore[assignment]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__status__ = _refusing(cls.__status__)
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__)
        title = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
        if "__problem_type__" not in vars(cls):
            cls.__problem_type__ = words.strip("_").replace("_", "-").lower()
        if "__problem_title__" not in vars(cls):
            cls.__problem_title__ = title or words.replace("-", " ").capitalize()

    def __init__(
        self,
        detail: T | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        status: Any = None,
        problem_type: str | None = None,
        problem_title: str | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        code = self.__status__ if status is None else _refusing(status)
        super().__init__(code, headers=None if headers is None else dict(headers))
        self.detail = detail
        self.problem_type = problem_type or self.__problem_type__
        self.problem_title = problem_title or self.__problem_title__
        self.members = dict(members or {})
        if standard := _STANDARD_MEMBERS & self.members.keys():
            name = min(standard)
            raise ValueError(f"{name!r} is a standard member of a problem: leave it out of members")

    def __str__(self) -> str:
        said = self.problem_type if self.detail is None else f"{self.problem_type}: {self.detail}"
        return f"{self.status_code} {said}"


def _refusing(status: Any) -> int:
    """Return the number of a status that refuses a request, or redirects it."""
    code = number_of(status)
    if not 300 <= code <= 599 or code == 304:
        raise ValueError(f"a problem has a status from 300 to 599 but not 304, not {code}")
    return code


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


class InvalidRequest(TriowsError, HTTPException):
    """
    A request can't be used: a parameter is missing, or something in it is wrong. The answer is 422.

    Args:
        errors: Everything that is wrong with it, which the client may see.
    """

    def __init__(self, errors: Sequence[ParamError]) -> None:
        self.errors = tuple(errors)
        HTTPException.__init__(self, 422, "; ".join(one.message for one in self.errors))


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
    The client of a plain request has left.

    Reading the body raises it, and so does ``send`` in a mounted application. ASGI requires an
    error there, and it has to be an OSError:
    https://asgi.readthedocs.io/en/latest/specs/www.html#disconnected-client-send-exception

    Starlette's class of the same name is a different one. A mounted Starlette application gets that
    from its own ``Request``.
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

    It may leave the resource. That is a normal end, and is not reported as an error. If you raise
    one yourself, or hand on the one of another handler, it is an error like any other.

    Args:
        reason: Why the handler was cancelled: ``"peer gone"``, ``"shutdown"``, ``"timeout"``,
            ``"cancelled"``, ``"task failed"``, ``"resource failed"`` or ``"application failed"``.
        what: What was cancelled, for the message.
    """

    #: Whose handler was cancelled. ``None`` if triows has not raised it in a resource.
    source: object = None

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
