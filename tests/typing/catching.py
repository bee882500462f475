"""What a type checker makes of functions that catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse

from triows import HTTPException, Triows, WebSocketClose

app = Triows()


class Conflict(Exception):
    pass


class Gone(Exception):
    pass


class Full(Exception):
    pass


def conflict(error: Conflict) -> HTTPException:
    return HTTPException(409)


def page(error: Exception, connection: HTTPConnection) -> HTMLResponse | None:
    return None


def either(error: Conflict | Gone) -> HTTPException | WebSocketClose:
    return HTTPException(409)


def anything(error: Exception) -> JSONResponse:
    return JSONResponse({}, 500)


# A function may take more than is caught.

assert_type(app.catch(Conflict)(conflict), Callable[[Conflict], HTTPException])
assert_type(app.catch(Gone)(page), Callable[[Gone, HTTPConnection], HTMLResponse | None])
assert_type(app.catch(Exception)(anything), Callable[[Exception], JSONResponse])
assert_type(
    app.catch(Conflict, Gone)(either), Callable[[Conflict | Gone], HTTPException | WebSocketClose]
)
app.catch(Conflict, Gone, Full)(anything)
app.catch(Conflict, Gone, Full, ValueError)(anything)


@app.catch(KeyError)
def missing(error: KeyError) -> HTTPException:
    return HTTPException(404)


# Mistakes, which are refused at registration, too.


def swapped(request: Request, error: Conflict) -> HTTPException:
    return HTTPException(409)


def number(error: Conflict) -> int:
    return 409


async def waiting(error: Conflict) -> HTTPException:
    return HTTPException(409)


app.catch(Conflict)(swapped)  # type: ignore[arg-type]
app.catch(Conflict)(number)  # type: ignore[type-var]
app.catch(Conflict)(waiting)  # type: ignore[type-var]
app.catch(Gone)(conflict)  # type: ignore[arg-type]
app.catch(Conflict, Gone)(conflict)  # type: ignore[arg-type]
app.catch(conflict)  # type: ignore[call-overload]
app.catch(409)  # type: ignore[call-overload]
