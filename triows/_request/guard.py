"""Keeps the promises of a request behind middlewares, which put their own functions around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextvars import ContextVar
from typing import TYPE_CHECKING

import trio

from triows._errors import consists_of, without_cancelled
from triows._exchange.log_lines import log_refusal
from triows._where import known_as
from triows.exceptions import ClientDisconnect

from .bridge import request_of
from .foreign import ForeignRequest
from .kept import KeptEnd
from .transport import DISCONNECTS, INCOMPLETE

if TYPE_CHECKING:
    from triows.types import ASGIApp, Message, Receive, Scope, Send

    from .transport import EngineRequest, RequestTransport

__all__ = ["CUT", "cut_response", "guarded", "note_line", "open_request"]


class _Below(ABC):
    """What is below the middlewares."""

    __slots__ = ("_above", "_is_over", "error", "has_line")

    def __init__(self) -> None:
        # A middleware may call the application several times.
        self._above: list[ForeignRequest] = []
        # Whether the client has its whole response, or can't get one any more.
        self._is_over = False
        #: Whether somebody has written the line of the request.
        self.has_line = False
        #: What has ended the application in the middle of its response. A middleware that has got
        #: it may raise another error first, because the response was cut.
        self.error: BaseException | None = None

    @abstractmethod
    def cut(self) -> None:
        """Let nothing more be sent."""

    @property
    @abstractmethod
    def status(self) -> int | None:
        """The status of the response, if one has begun."""

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Whether the whole response was handed over."""

    @abstractmethod
    def hold_end(self) -> None:
        """See :meth:`.RequestTransport.hold_end`."""

    def carry(self, above: ForeignRequest) -> None:
        """Be the server of a request that comes through the middlewares."""
        above.hold_below = self.hold_end
        if self._is_over:
            above.note_unheard()
        else:
            self._above.append(above)

    def note_over(self) -> None:
        """
        Note that the client has its whole response, or can't get one any more.

        A middleware may have answered itself, and have left the application running. Those that it
        has called and that haven't ended are told, as if the client had left.
        """
        self._is_over = True
        above, self._above = self._above, []  # they refer to this object
        for one in above:
            one.note_unheard()

    def let_go(self) -> None:
        """Note that the middlewares have returned."""
        self.error = None  # its traceback refers to frames that refer to this object
        self.note_over()


class _BelowOurs(_Below):
    """
    A request to our own server, which tells those above the middlewares what only it knows.

    Args:
        request: The request.
    """

    __slots__ = ("_before", "_request")

    def __init__(self, request: EngineRequest) -> None:
        super().__init__()
        self._request = request
        self._before = request.on_left

    @property
    def status(self) -> int | None:
        return self._request.status

    @property
    def is_complete(self) -> bool:
        return self._request.complete

    def cut(self) -> None:
        if not self._request.begun:
            for above in self._above:
                above.status = None  # what the middlewares have got was never sent
        self._request.cut()

    def hold_end(self) -> None:
        self._request.hold_end()

    def carry(self, above: ForeignRequest) -> None:
        above.server = self._request
        self._is_over |= self._request.complete  # the middleware has answered before
        if self._request.left:
            above.note_left(self._request.why_left)
        super().carry(above)
        if not self._is_over:
            self._request.on_left = self._tell_left
            self._request.on_complete = self.note_over

    def _tell_left(self) -> None:
        self._before()
        for above in self._above:
            above.note_left(self._request.why_left)

    def let_go(self) -> None:
        super().let_go()
        if self._request.on_complete is not None:
            self._request.on_left = self._before
            self._request.on_complete = None


class _BelowForeign(_Below):
    """
    Another server's ``send``, which refuses everything once the response was cut.

    Args:
        send: ASGI's function.
        method: The method of the request.
    """

    __slots__ = ("_is_cut", "_kept", "_method", "_send", "status")

    def __init__(self, send: Send, method: str) -> None:
        super().__init__()
        self.status: int | None = None
        self._is_cut = False
        self._kept: KeptEnd | None = None
        self._method = method
        self._send = send

    @property
    def is_complete(self) -> bool:
        return self._is_over

    def cut(self) -> None:
        self._is_cut = True

    def hold_end(self) -> None:
        self._kept = KeptEnd(self._method)

    @known_as("send")
    async def send(self, event: Message) -> None:
        """Pass an event on."""
        if self._is_cut:
            await trio.lowlevel.checkpoint()
            raise ClientDisconnect(CUT)
        events = (event,) if self._kept is None else self._kept.pass_on(event)
        for one in events:
            await self._send(one)
            self.status = one.get("status", self.status)
            if one["type"] in _ENDS and not one.get("more_body", False):
                self.note_over()
        if not events:
            await trio.lowlevel.checkpoint()


# The last event of a response is one of these, unless trailers follow.
_ENDS = ("http.response.body", "http.response.pathsend")

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
        below = _BelowForeign(send, scope["method"])
        send = below.send
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
        if below.status is not None and not below.has_line:
            why = "a middleware has answered" if below.is_complete else INCOMPLETE
            log_refusal(scope, below.status, None, why)
        below.let_go()


def note_line() -> None:
    """Note that the line of the request of this task is written, or is going to be."""
    below = _current.get()
    if below is not None:
        below.has_line = True


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


def open_request(scope: Scope, receive: Receive, send: Send) -> tuple[RequestTransport, bool]:
    """
    Return the request to which two of ASGI's functions belong.

    Args:
        scope: The request.
        receive: ASGI's function.
        send: ASGI's function.

    Returns:
        The request, and whether there is a middleware around it.
    """
    below = _current.get()
    if below is None and (request := request_of(receive, send)) is not None:
        return request, False
    # A middleware that passes the server's own functions on may answer by them itself.
    above = ForeignRequest(receive, send, scope["method"])
    if below is not None:
        below.carry(above)
    return above, below is not None
