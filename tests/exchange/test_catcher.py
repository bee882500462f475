"""What a function that catches may be, and what is said of one that can't catch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import pytest
from starlette.requests import HTTPConnection, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

import triows
from triows import HTTPException, HTTPProblem, RouteSetupError, Triows, WebSocketClose
from triows._exchange.catcher import checked
from triows._reply import Refused
from triows._where import where

if TYPE_CHECKING:
    from decimal import Context


class Conflict(Exception):
    """Two users have changed the same thing."""


class Stale(Conflict):
    """A user has changed what has changed meanwhile."""


class Gone(Exception):
    """What was asked for isn't there any more."""


def conflict(error: Conflict) -> HTTPException:
    raise AssertionError


@pytest.mark.parametrize("cls", [BaseException, KeyboardInterrupt, 409, "Conflict", Conflict("it")])
def test_what_is_caught_is_a_class_of_exceptions(cls):
    with pytest.raises(RouteSetupError, match=r"takes classes of exceptions, not "):
        Triows().catch(cls)


def test_something_has_to_be_caught():
    with pytest.raises(RouteSetupError, match=r"takes the classes that it catches"):
        Triows().catch()


async def waits(error: Conflict) -> HTTPException:
    raise AssertionError


def without_parameters() -> HTTPException:
    raise AssertionError


def with_three(error: Conflict, connection: Any, more: Any) -> HTTPException:
    raise AssertionError


@pytest.mark.parametrize(
    ("catcher", "message"),
    [
        (waits, "leave out the `async`"),
        (without_parameters, "takes the exception, and maybe the HTTPConnection"),
        (with_three, "takes the exception, and maybe the HTTPConnection"),
        (HTTPException(409), "decorates a function, not"),
    ],
)
def test_what_can_not_catch_is_refused(catcher, message):
    with pytest.raises(RouteSetupError, match=message):
        Triows().catch(Conflict)(catcher)


def test_a_parameter_with_a_default_gets_it():
    def catcher(error: Conflict, status: int = 418) -> HTTPException:
        return HTTPException(status)

    answer = checked(catcher, [Conflict]).answer(Conflict(), {"type": "http", "path": "/"})
    assert isinstance(answer, Refused)
    assert answer.reply.status == 418


# Starlette's order


def swapped(request: Request, error: Conflict) -> HTTPException:
    raise AssertionError


def swapped_connection(connection: HTTPConnection, error: Conflict) -> HTTPException:
    raise AssertionError


def for_a_request(error: Conflict, request: Request) -> HTTPException:
    raise AssertionError


def for_our_request(error: Conflict, request: triows.Request) -> HTTPException:
    raise AssertionError


def for_another(error: Gone) -> HTTPException:
    raise AssertionError


def for_too_few(error: Stale) -> HTTPException:
    raise AssertionError


def by_name(error: Conflict, *, connection: HTTPConnection) -> HTTPException:
    raise AssertionError


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            swapped,
            "the first parameter of a function that catches is what was caught, so request would "
            "get a Conflict, and it takes Request: write "
            "`def swapped(error: Conflict, request: HTTPConnection): ...`",
        ),
        (
            swapped_connection,
            "write `def swapped_connection(error: Conflict, connection: HTTPConnection): ...`",
        ),
        (
            for_a_request,
            "request takes Request: write `def for_a_request(error: Conflict, request: "
            "HTTPConnection): ...`",
        ),
        (for_our_request, "the second parameter of a function that catches is Starlette's HTTPCon"),
        (for_another, "error would get a Conflict, and it takes Gone"),
        (for_too_few, "error would get a Conflict, and it takes Stale"),
        (by_name, "connection can only be given by name: leave out the `*`"),
    ],
)
def test_a_function_that_would_get_something_else_is_refused_with_its_place(function, message):
    with pytest.raises(RouteSetupError) as caught:
        Triows().catch(Conflict)(function)
    assert message in str(caught.value)
    assert caught.value.where == where(function)


def broader(error: Exception, connection: object) -> HTTPException:
    raise AssertionError


def several(error: Conflict | Gone, connection: HTTPConnection) -> HTTPException:
    raise AssertionError


def without_annotations(error, connection):
    raise AssertionError


def unknown_at_run_time(error: Context, connection: Context) -> Context:
    raise AssertionError


def annotated(error: Annotated[Conflict, "what it is"]) -> Annotated[HTTPException, "an answer"]:
    raise AssertionError


@pytest.mark.parametrize(
    "function", [broader, several, without_annotations, unknown_at_run_time, annotated, conflict]
)
def test_a_function_that_takes_more_or_says_nothing_can_catch(function):
    assert checked(function, [Conflict]).function is function


def test_each_class_is_checked():
    assert checked(several, [Conflict, Gone]).takes_connection
    with pytest.raises(RouteSetupError) as caught:
        checked(conflict, [Conflict, Gone])
    assert "error would get a Gone, and it takes Conflict" in str(caught.value)
    assert "write `def conflict(error: Conflict | Gone): ...`" in str(caught.value)


def test_a_lambda_has_no_name_to_write():
    with pytest.raises(RouteSetupError, match=r"write `def answer\(error: Conflict\): \.\.\.`"):
        checked(lambda: None, [Conflict])


# Results


class Taken(HTTPProblem[str]):
    """It is taken."""


@pytest.mark.parametrize(
    "result",
    [
        HTTPException,
        Taken,
        WebSocketClose,
        Response,
        HTMLResponse,
        JSONResponse,
        RedirectResponse,
        None,
        HTTPException | WebSocketClose | None,
        Exception,
        object,
        Any,
        NoReturn,
    ],
)
def test_what_can_be_an_answer_may_be_annotated(result):
    def catcher(error):
        raise AssertionError

    catcher.__annotations__["return"] = result
    assert not checked(catcher, [Conflict]).takes_connection


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (int, "a WebSocketClose or a Response of Starlette, not int: write"),
        (dict[str, int], "not dict"),
        (HTTPException | str, "not str"),
        (ValueError, "not ValueError"),
        (StreamingResponse, "StreamingResponse is sent in parts: return an HTMLResponse"),
        (FileResponse, "FileResponse is sent in parts"),
    ],
)
def test_what_can_not_be_an_answer_is_refused(result, message):
    def catcher(error):
        raise AssertionError

    catcher.__annotations__["return"] = result
    with pytest.raises(RouteSetupError, match=message) as caught:
        Triows().catch(Conflict)(catcher)
    assert caught.value.where == where(catcher)


# Without parentheses


def test_a_function_in_place_of_a_class_is_refused_with_its_place():
    with pytest.raises(RouteSetupError) as caught:
        Triows().catch(conflict)  # type: ignore[call-overload]
    assert "write @app.catch(ValueError) above `def conflict`" in str(caught.value)
    assert caught.value.where == where(conflict)


def test_a_class_that_can_not_be_caught_is_reported_where_it_was_written():
    with pytest.raises(RouteSetupError) as caught:
        Triows().catch(409)  # type: ignore[call-overload]
    assert caught.value.where is not None
    assert __file__ in caught.value.where
