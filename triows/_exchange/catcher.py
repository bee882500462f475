"""
One function of :meth:`.Triows.catch`: what it may be, and what it may answer.

At registration, a function comes in, and a mistake in it is refused. While the application serves,
an exception comes in. What comes out says how the exchange ends: a Refused, or a WebSocketClose.
"""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Never,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    overload,
)

from attrs import frozen
from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, Response, StreamingResponse

from triows._annotations import type_name, unnamed
from triows._errors import add_note
from triows._headers import check_raw_headers
from triows._injection.signatures import Unresolved, signature_of
from triows._reply import Refused, Reply, check_refusing, from_exception
from triows._where import name_of, where
from triows.exceptions import HandlerSignatureError, HTTPException, RouteSetupError, WebSocketClose

from .refusals import instance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triows.types import Scope

__all__ = ["Catcher", "Catching", "check_classes", "checked"]

#: What a function that catches may return.
Answer: TypeAlias = HTTPException | WebSocketClose | WebSocketException | Response | None

E = TypeVar("E", bound=Exception)
A = TypeVar("A", bound=Answer)


class Catching(Protocol[E]):
    """The decorator of a function that catches, as type checkers see it."""

    @overload
    def __call__(self, function: Callable[[E], A], /) -> Callable[[E], A]: ...
    @overload
    def __call__(
        self, function: Callable[[E, HTTPConnection], A], /
    ) -> Callable[[E, HTTPConnection], A]: ...


@frozen
class Catcher:
    """A function that catches."""

    function: Callable[..., Any]
    #: Whether it also takes the connection.
    takes_connection: bool

    def answer(self, error: BaseException, scope: Scope) -> BaseException | None:
        """
        Return what ends the exchange in place of an exception, or ``None`` to leave it as it is.

        Raises:
            Exception: The function has failed, or its answer can't be sent.
        """
        further = (_connection(scope),) if self.takes_connection else ()
        answer = self.function(error, *further)
        try:
            return _as_end(answer, error, scope)
        except Exception as exc:
            add_note(exc, f"{name_of(self.function)} returned it\n  at {where(self.function)}")
            raise


def _as_end(answer: Any, error: BaseException, scope: Scope) -> BaseException | None:
    """
    Return what ends the exchange, because a function has returned an answer.

    Raises:
        Exception: It isn't an answer, or can't be sent.
    """
    if isinstance(answer, Response):
        return Refused(_whole(answer, f"{name_of(type(error))} was caught"))
    if isinstance(answer, HTTPException):
        return Refused(from_exception(answer, instance_of(scope)))
    if not (answer is None or isinstance(answer, _CLOSES)):
        raise TypeError(f"{answer!r} can't answer an exception: return {_EXPECTED}")
    if answer is not None and scope["type"] == "http":
        raise TypeError(
            f"{answer!r} closes a WebSocket, and can't answer a plain request: return an "
            'HTTPException if `connection.scope["type"]` is "http"'
        )
    return answer


_CLOSES = (WebSocketClose, WebSocketException)
_EXPECTED = "an HTTPException, a WebSocketClose or a Response of Starlette"


def _connection(scope: Scope) -> HTTPConnection:
    """Make what a function gets. For a plain request, templates and others expect a Request."""
    return Request(scope) if scope["type"] == "http" else HTTPConnection(scope)


def _whole(response: Response, why: str) -> Reply:
    """
    Make a reply of a response.

    Raises:
        TypeError: It isn't whole, because it is a stream or a file.
        ValueError: It can't answer an error, or can't be sent.
    """
    body = getattr(response, "body", None)
    if not isinstance(body, bytes | memoryview):
        raise TypeError(
            f"a {name_of(type(response))} is sent in parts, and the answer to an exception is sent "
            "whole: return an HTMLResponse, or another one with all of its content"
        )
    if response.background is not None:
        raise ValueError(
            "the answer to an exception has no background task: leave background= out, and start "
            "the work in a nursery of the application"
        )
    check_refusing(response.status_code, "write status_code=...")
    return Reply(response.status_code, check_raw_headers(response.raw_headers), bytes(body), why)


# Registration.


def check_classes(classes: Sequence[Any], at: str | None) -> None:
    """
    Refuse what can't be caught.

    Raises:
        RouteSetupError: It isn't a class of exceptions.
    """
    if not classes:
        raise RouteSetupError(
            "catch() takes the classes that it catches: write @app.catch(ValueError)", at
        )
    for cls in classes:
        if inspect.isroutine(cls):
            raise RouteSetupError(
                "catch() takes the classes that it catches, before the function: write "
                f"@app.catch(ValueError) above `def {name_of(cls)}`",
                where(cls),
            )
        if not (isinstance(cls, type) and issubclass(cls, Exception)):
            raise RouteSetupError(
                f"catch() takes classes of exceptions, not {cls!r}: write @app.catch(ValueError)",
                at,
            )


def checked(function: Any, classes: Sequence[type[Exception]]) -> Catcher:
    """
    Check a function that is to catch exceptions of some classes.

    Raises:
        RouteSetupError: It can't be called so, or can't return what it says.
    """
    if not callable(function):
        raise RouteSetupError(f"catch() decorates a function, not {function!r}")
    at = where(function)
    if inspect.iscoroutinefunction(function):
        raise RouteSetupError(
            "a function that catches only says what the answer is, so it is a `def`: leave out the "
            "`async`, and await in a resource, which sees the exception at its `yield`",
            at,
        )
    try:
        signature = _signature(function)
    except ValueError:  # a built-in may have no signature
        return Catcher(function, takes_connection=False)
    needed = [one for one in signature.parameters.values() if _is_needed(one)]
    name = name_of(function)
    name = name if name.isidentifier() else "answer"  # a lambda's isn't one
    caught = " | ".join(map(type_name, classes))
    example = f"`def {name}({{}}: {caught}{{}}): ...`"
    if len(needed) not in (1, 2):
        raise RouteSetupError(
            "a function that catches takes the exception, and maybe the HTTPConnection: write "
            f"{example.format('error', '')}",
            at,
        )
    takes_connection = len(needed) == 2
    _check_parameters(needed, classes, example, at)
    _check_returned(signature.return_annotation, at)
    return Catcher(function, takes_connection)


def _signature(function: Any) -> inspect.Signature:
    """Read the signature. If a name in it isn't known at run time, nothing of it is evaluated."""
    try:
        return signature_of(function)
    except HandlerSignatureError:
        return inspect.signature(function)


def _is_needed(parameter: inspect.Parameter) -> bool:
    """Say whether it has to be given. One that is given by name can't be."""
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )


def _check_parameters(
    needed: Sequence[inspect.Parameter], classes: Sequence[type], example: str, at: str
) -> None:
    """Refuse a function that would get other objects than it expects."""
    error, *further = needed
    if by_name := [one for one in needed if one.kind is one.KEYWORD_ONLY]:
        raise RouteSetupError(
            f"a function that catches gets its arguments by place, and {by_name[0].name} can only "
            "be given by name: leave out the `*`",
            at,
        )
    for cls in classes:
        if not _may_be(error.annotation, cls):
            second = f", {error.name}: HTTPConnection" if further else ""
            raise RouteSetupError(
                f"the first parameter of a function that catches is what was caught, so "
                f"{error.name} would get a {type_name(cls)}, and it takes "
                f"{type_name(error.annotation)}: write {example.format('error', second)}",
                at,
            )
    for one in further:
        if not _may_be(one.annotation, HTTPConnection):
            raise RouteSetupError(
                "the second parameter of a function that catches is Starlette's HTTPConnection, "
                f"since the exception may come from a WebSocket, too, and {one.name} takes "
                f"{type_name(one.annotation)}: write "
                f"{example.format(error.name, f', {one.name}: HTTPConnection')}",
                at,
            )


def _check_returned(annotation: Any, at: str) -> None:
    for member in _members(annotation):
        if inspect.isclass(member) and issubclass(member, (FileResponse, StreamingResponse)):
            raise RouteSetupError(
                f"a function that catches returns a response with all of its content, and "
                f"{type_name(member)} is sent in parts: return an HTMLResponse, for example",
                at,
            )
        if not any(_overlap(member, one) for one in _ANSWERS):
            raise RouteSetupError(
                f"a function that catches returns {_EXPECTED}, not {type_name(member)}: write "
                "`return HTTPException(409, detail)`, or "
                "`return JSONResponse(value, status_code=409)`",
                at,
            )


_ANSWERS = (HTTPException, *_CLOSES, Response, NoneType)
_UNKNOWN = (inspect.Parameter.empty, Any, object)
_NEVER = (Never, NoReturn)


def _members(annotation: Any) -> list[Any]:
    """Return the classes of an annotation, without what isn't known."""
    annotation = unnamed(annotation)
    if annotation in _UNKNOWN or isinstance(annotation, (str, TypeVar, Unresolved)):
        return []
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin is Union or origin is UnionType:
        return [one for arg in get_args(annotation) for one in _members(arg)]
    if annotation is None or annotation in _NEVER:
        return [NoneType]
    return [origin or annotation]


def _may_be(annotation: Any, cls: type) -> bool:
    """Say whether a parameter with an annotation takes every object of a class."""
    members = _members(annotation)
    return not members or any(_is_subclass(cls, member) for member in members)


def _overlap(one: Any, other: type) -> bool:
    return _is_subclass(one, other) or _is_subclass(other, one)


def _is_subclass(one: Any, other: Any) -> bool:
    """Say whether it is one, or whether that can't be known, as for some protocols."""
    if not (inspect.isclass(one) and inspect.isclass(other)):
        return False
    try:
        return issubclass(one, other)
    except TypeError:
        return True
