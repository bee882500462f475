"""Keeps the promises of a request behind middlewares, which put their own functions around it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

import trio

from triows._errors import consists_of, without_cancelled
from triows._where import known_as
from triows.exceptions import ClientDisconnect

from .bridge import request_of
from .foreign import ForeignRequest
from .transport import DISCONNECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from triows.types import ASGIApp, Message, Receive, Scope, Send

    from .transport import EngineRequest, RequestTransport

__all__ = ["CUT", "cut_response", "guarded", "open_request"]


class _Below:
    """
    What is below the middlewares.

    Args:
        cut: Lets nothing more be sent.
    """

    __slots__ = ("cut", "error")

    def __init__(self, cut: Callable[[], None]) -> None:
        self.cut = cut
        #: What has ended the application in the middle of its response. A middleware that has got
        #: it may raise another error first, because the response was cut.
        self.error: BaseException | None = None

    def let_go(self) -> None:
        """Note that the middlewares have returned."""
        self.error = None  # its traceback refers to frames that refer to this object


class _BelowOurs(_Below):
    """
    A request to our own server, which tells those above the middlewares what only it knows.

    Args:
        request: The request.
    """

    __slots__ = ("_above", "_before", "_request")

    def __init__(self, request: EngineRequest) -> None:
        super().__init__(request.cut)
        self._request = request
        self._before = request.on_left
        # A middleware may call the application several times.
        self._above: list[ForeignRequest] = []

    def carry(self, above: ForeignRequest) -> None:
        """Be the server of a request that comes through the middlewares."""
        self._above.append(above)
        above.server = self._request
        if self._request.left:
            above.note_left(self._request.why_left)
        self._request.on_left = self._tell_left

    def _tell_left(self) -> None:
        self._before()
        for above in self._above:
            above.note_left(self._request.why_left)

    def let_go(self) -> None:
        super().let_go()
        if self._above:
            self._request.on_left = self._before


class _Guard:
    """Another server's ``send``, which refuses everything once the response was cut."""

    def __init__(self, send: Send) -> None:
        self._is_cut = False
        self._send = send

    def cut(self) -> None:
        """Refuse everything from now on."""
        self._is_cut = True

    @known_as("send")
    async def send(self, event: Message) -> None:
        """Pass an event on."""
        if self._is_cut:
            await trio.lowlevel.checkpoint()
            raise ClientDisconnect(CUT)
        await self._send(event)


#: What is raised instead of a return.
CUT = "the response was cut, because the application has not completed it"

#: What is below the middlewares around the request that the calling task serves.
_current: ContextVar[_Below | None] = ContextVar("guard", default=None)


async def guarded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """
    Call middlewares and what is in them.

    Starlette's BaseHTTPMiddleware ends a response properly even if the application has failed in
    the middle of it. So it isn't enough to raise an error there. And through functions of a
    middleware, nobody learns that the client has left who doesn't wait for it. Our own server tells
    it nevertheless.

    Args:
        app: The outermost middleware.
        scope: The request.
        receive: The server's function.
        send: The server's function.
    """
    if _current.get() is not None:  # a triows application that is mounted in another one
        await app(scope, receive, send)
        return
    below: _Below
    request = request_of(receive, send)
    if request is not None:
        below = _BelowOurs(request)
    else:
        guard = _Guard(send)
        send, below = guard.send, _Below(guard.cut)
    token = _current.set(below)
    try:
        await app(scope, receive, send)
    except Exception as exc:
        error = None if below.error is None else without_cancelled(below.error)
        if error is None or not consists_of(exc, *DISCONNECTS):
            raise
        raise error from None
    finally:
        _current.reset(token)
        below.let_go()


def cut_response(receive: Receive, send: Send, error: BaseException | None = None) -> None:
    """
    Let nothing more be sent for the request of this task.

    Args:
        receive: The function that the application has got.
        send: The function that the application has got.
        error: What has ended the application.
    """
    below, request = _current.get(), request_of(receive, send)
    if below is not None:
        below.error = error
    if request is not None:
        request.cut()
    elif below is not None:
        below.cut()


def open_request(receive: Receive, send: Send) -> tuple[RequestTransport, bool]:
    """
    Return the request to which two of ASGI's functions belong.

    Returns:
        The request, and whether there is a middleware around it.
    """
    below = _current.get()
    request = request_of(receive, send)
    if request is not None:
        return request, below is not None
    above = ForeignRequest(receive, send)
    if isinstance(below, _BelowOurs):
        below.carry(above)
    return above, below is not None
