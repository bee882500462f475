"""Keeps a middleware from ending a response properly that was cut."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

import trio

from triows._where import known_as
from triows.exceptions import ClientDisconnect

from .bridge import request_of

if TYPE_CHECKING:
    from triows.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["cut_response", "guarded", "is_guarded"]


class _Cuttable(Protocol):
    def cut(self) -> None:
        """Let nothing more be sent."""


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
            raise ClientDisconnect(_CUT)
        await self._send(event)


_CUT = "the response was cut, because the application was cancelled in the middle of it"

#: What cuts the response to the request that the calling task serves.
_current: ContextVar[_Cuttable | None] = ContextVar("guard", default=None)


async def guarded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """
    Call middlewares and what is in them.

    Starlette's BaseHTTPMiddleware ends a response properly even if the application has failed in
    the middle of it. So it isn't enough to raise an error there.

    Args:
        app: The outermost middleware.
        scope: The request.
        receive: The server's function.
        send: The server's function.
    """
    if _current.get() is not None:  # a triows application that is mounted in another one
        await app(scope, receive, send)
        return
    request = request_of(receive, send)
    if request is not None:
        token = _current.set(request)
    else:
        guard = _Guard(send)
        send, token = guard.send, _current.set(guard)
    try:
        await app(scope, receive, send)
    finally:
        _current.reset(token)


def is_guarded() -> bool:
    """Say whether there is a middleware around the request of this task."""
    return _current.get() is not None


def cut_response(receive: Receive, send: Send) -> ClientDisconnect:
    """
    Let nothing more be sent for the request of this task. Return the error that says so.

    Args:
        receive: The function that the application has got.
        send: The function that the application has got.
    """
    current = request_of(receive, send) or _current.get()
    if current is not None:
        current.cut()
    return ClientDisconnect(_CUT)
